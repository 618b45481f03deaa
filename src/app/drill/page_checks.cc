#include "app/drill/page_checks.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <regex>

namespace penstock::app {
namespace {

constexpr int64_t pages_of_a_file = 131072;  // a GiB of pages of 8 KiB
constexpr int most_of_a_relation = 100;

/// Whatever has a file of its own. Temporary ones are of sessions that are gone.
constexpr const char* relations_sql = R"(
SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relkind, am.amname, pg_relation_filepath(c.oid),
    CASE WHEN tn.oid IS NOT NULL THEN format('%I.%I', tn.nspname, coalesce(t.relname, o.relname)) ELSE '' END,
    i.indisvalid AND i.indisready, coalesce(i.indisunique, false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam
    LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid
    LEFT JOIN pg_class o ON o.reltoastrelid = c.oid AND c.relkind = 't'
    LEFT JOIN pg_namespace tn ON tn.oid = coalesce(t.relnamespace, o.relnamespace)
WHERE c.relkind IN ('r', 't', 'm', 'i', 'S') AND c.relpersistence <> 't' ORDER BY c.oid)";

struct Relation {
    std::string oid, kind, method, file;
    RelationName name;
    bool valid = true, unique = false;
};

std::string kind_name(char kind) {
    switch (kind) {
        case 'i': return "index";
        case 't': return "toast";
        case 'S': return "sequence";
        default: return "table";
    }
}

/// The checks of one database.
class DatabaseChecks {
  public:
    DatabaseChecks(postgres::Session& session, std::string database, PageChecks& into, const std::stop_token& stop)
        : session_(session), database_(std::move(database)), into_(into), stop_(stop) {}

    Status run() {
        PN_CHECK(session_.execute("SET default_transaction_read_only = off; SET search_path = pg_catalog"));
        PN_CHECK(make_extension());
        PN_TRY(auto rows, session_.query(relations_sql));
        for (int row = 0; row < rows.count(); ++row) {
            Relation one{.oid = rows.text(row, 0),
                         .kind = rows.text(row, 2),
                         .method = rows.text(row, 3),
                         .file = rows.text(row, 4)};
            one.name = {.database = database_,
                        .relation = rows.text(row, 1),
                        .kind = kind_name(one.kind.front()),
                        .table = rows.text(row, 5)};
            if (one.kind == "i") one.valid = rows.truth(row, 6), one.unique = rows.truth(row, 7);
            if (!one.file.empty()) into_.files.emplace(one.file, one.name);
            PN_CHECK(check(one));
        }
        ++into_.databases;
        return {};
    }

  private:
    /// Where the server has it already, in whatever schema, that one is asked.
    Status make_extension() {
        auto made = session_.execute(
            "CREATE SCHEMA IF NOT EXISTS penstock_drill; CREATE EXTENSION IF NOT EXISTS amcheck "
            "SCHEMA penstock_drill");
        if (!made)
            return fail({.kind = ErrorKind::capacity,
                         .code = "no_amcheck",
                         .message = fmt::format("the pages of database {} cannot be checked, for the extension amcheck "
                                                "cannot be made: {}",
                                                database_, made.error().message),
                         .hint = "install the contrib modules of this PostgreSQL where drills run"});
        PN_TRY(auto where, session_.query("SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON "
                                          "n.oid = e.extnamespace WHERE e.extname = 'amcheck'"));
        schema_ = where.text(0, 0);
        return {};
    }

    Status check(const Relation& one) {
        if (stop_.stop_requested())
            return fail({.kind = ErrorKind::interrupted,
                         .code = "interrupted",
                         .message = "stopped while the restored pages were checked"});
        if (one.kind == "S") return {};  // of a single page; checksums tell of it
        if (one.kind == "i" && one.method == "btree" && one.valid) return check_index(one);
        if (one.kind != "i" && one.method == "heap") return check_table(one);
        into_.not_checked.emplace_back(
            one.name, one.valid ? fmt::format("amcheck reads no {}", one.method) : "the index is not valid");
        return {};
    }

    Status check_table(const Relation& one) {
        auto rows = session_.query_patiently(
            fmt::format("SELECT blkno, offnum, attnum, msg FROM {}.verify_heapam(relation => {}::regclass, "
                        "on_error_stop => false, check_toast => true, skip => 'none') LIMIT {}",
                        schema_, one.oid, most_of_a_relation),
            stop_, [] {});
        if (!rows) return take(one, std::move(rows.error()));
        ++into_.tables;
        for (int row = 0; row < rows->count(); ++row) {
            PageFault fault{.in = one.name,
                            .page = rows->is_null(row, 0) ? -1 : rows->integer(row, 0),
                            .item = rows->is_null(row, 1) ? -1 : rows->integer(row, 1),
                            .what = rows->text(row, 3)};
            if (!rows->is_null(row, 2)) fault.what = fmt::format("column {}: {}", rows->text(row, 2), fault.what);
            add(one, std::move(fault));
        }
        return {};
    }

    Status check_index(const Relation& one) {
        bool knows_unique = session_.server_version() >= 170000;
        auto rows = session_.query_patiently(
            fmt::format("SELECT {}.bt_index_check(index => {}::regclass, heapallindexed => true{})", schema_, one.oid,
                        knows_unique ? fmt::format(", checkunique => {}", one.unique) : ""),
            stop_, [] {});
        if (!rows) return take(one, std::move(rows.error()));
        ++into_.indexes;
        return {};
    }

    /// An answer that is an error ends the reading of this relation. It is a fault unless nobody can be asked any more.
    Status take(const Relation& one, Error error) {
        if (error.kind == ErrorKind::interrupted) return fail(std::move(error));
        if (PQstatus(session_.raw()) != CONNECTION_OK)
            return fail({.kind = ErrorKind::check_failed,
                         .code = "restored_server_failed",
                         .message = fmt::format("the restored server broke off while {} {} of database {} was read: {}",
                                                one.name.kind, one.name.relation, database_, error.message),
                         .where = one.file});
        PageFault fault{.in = one.name, .what = std::move(error.message)};
        static const std::regex place(R"(block (\d+)(?: of relation ([^ :;\"]+)| in index))");
        std::smatch found;
        if (std::regex_search(fault.what, found, place)) {
            bool elsewhere = found[2].matched && found[2].str() != one.file;
            fault.page = std::stoll(found[1].str());
            if (elsewhere) fault.file = found[2].str();
        }
        add(one, std::move(fault));
        return {};
    }

    void add(const Relation& one, PageFault fault) {
        if (into_.faults.size() >= PageChecks::most_faults) return;
        if (fault.file.empty()) fault.file = one.file;
        if (fault.page >= pages_of_a_file) fault.file += fmt::format(".{}", fault.page / pages_of_a_file);
        into_.faults.push_back(std::move(fault));
    }

    postgres::Session& session_;
    std::string database_, schema_;
    PageChecks& into_;
    const std::stop_token& stop_;
};

/// `checksum verification failed in file "/…/base/5/16384.1_vm", block 3: …`
void take_checksum_fault(const std::string& line, const std::filesystem::path& data, PageChecks& into) {
    static const std::regex form(R"re(verification failed in file "([^"]+)", block (\d+): (.*))re");
    std::smatch found;
    if (!std::regex_search(line, found, form) || into.faults.size() >= PageChecks::most_faults) return;
    PageFault fault{.file = found[1].str(), .page = std::stoll(found[2].str()), .what = found[3].str()};
    auto below = data.string() + "/";
    if (fault.file.starts_with(below)) fault.file.erase(0, below.size());
    auto name = fault.file.substr(fault.file.rfind('/') + 1);
    auto base = fault.file.substr(0, fault.file.size() - name.size()) + name.substr(0, name.find_first_of("._"));
    if (auto known = into.files.find(base); known != into.files.end()) fault.in = known->second;
    fault.what = "its checksum does not hold: " + fault.what;
    into.faults.push_back(std::move(fault));
}

}  // namespace

Result<PageChecks> check_pages(const Sandbox& sandbox, const std::stop_token& stop) {
    PageChecks checks;
    PN_TRY(auto first, sandbox.connect("template1", stop));
    PN_TRY(auto shown, first->query("SHOW data_checksums"));
    checks.has_checksums = shown.text(0, 0) == "on";
    // A connection limit of -2 says that the database was half made or half removed.
    PN_TRY(auto databases,
           first->query("SELECT datname, datallowconn AND datconnlimit <> -2 FROM pg_catalog.pg_database "
                        "ORDER BY oid"));
    first.reset();
    for (int row = 0; row < databases.count(); ++row) {
        auto name = databases.text(row, 0);
        if (!databases.truth(row, 1)) {
            checks.not_checked.emplace_back(RelationName{.database = name, .kind = "database"},
                                            "nobody may connect to it");
            continue;
        }
        PN_TRY(auto session, sandbox.connect(name, stop));
        PN_CHECK(DatabaseChecks(*session, name, checks, stop).run());
    }
    return checks;
}

Status check_checksums(const Sandbox& sandbox, PageChecks& checks, const std::stop_token& stop) {
    if (!checks.has_checksums) {
        checks.no_checksums =
            "the server has none (data_checksums = off): what a disk changes within a value is not found";
        return {};
    }
    auto log = sandbox.folder() / "checksums";
    PN_TRY(auto code, sandbox.run("pg_checksums", {"--check", "-D", sandbox.data().string()}, log, stop));
    if (stop.stop_requested())
        return fail(
            {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while checksums were read"});
    if (!code) {
        checks.no_checksums =
            "there is no pg_checksums beside the server: only pages that amcheck and the queries have read were "
            "checked";
        return {};
    }
    std::ifstream in(log);
    size_t before = checks.faults.size();
    for (std::string line; std::getline(in, line);) {
        take_checksum_fault(line, sandbox.data(), checks);
        static const std::regex scanned(R"(Blocks scanned: *(\d+))");
        if (std::smatch found; std::regex_search(line, found, scanned)) checks.checksums = std::stoll(found[1].str());
    }
    if (*code == 0 || checks.faults.size() > before) return {};
    return fail({.kind = ErrorKind::check_failed,
                 .code = "checksums_not_read",
                 .message = fmt::format("pg_checksums failed: {}", last_line(log)),
                 .where = sandbox.data().string()});
}

std::string fault_text(const PageFault& fault) {
    std::string text =
        fault.in.relation.empty()
            ? "no relation that is known"
            : fmt::format("{} {}{}, database {}", fault.in.kind, fault.in.relation,
                          fault.in.table.empty() ? "" : " of table " + fault.in.table, fault.in.database);
    text += ":";
    if (fault.page >= 0) text += fmt::format(" page {}", fault.page);
    if (fault.item >= 0) text += fmt::format(", item {}", fault.item);
    if (!fault.file.empty()) text += fmt::format("{}{}", fault.page >= 0 ? " of " : " ", fault.file);
    return text + ": " + fault.what;
}

}  // namespace penstock::app
