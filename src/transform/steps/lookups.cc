#include "transform/steps/lookups.h"

#include <fmt/format.h>

#include "base/log.h"
#include "engine/sql.h"
#include "transform/steps/step_sql.h"

namespace penstock::steps {
namespace {

using engine::quote_identifier;
using engine::quote_literal;

/// How DuckDB reads the file, by its name; "" where it does not.
std::string reader_of(const config::FilePath& file) {
    std::string path = file.value.string();
    auto plain = file.value.extension() == ".gz" ? file.value.stem() : file.value;
    std::string kind = plain.extension().string();
    if (kind == ".csv" || kind == ".tsv") return fmt::format("read_csv({}, header = true)", quote_literal(path));
    if (kind == ".parquet") return fmt::format("read_parquet({})", quote_literal(path));
    if (kind == ".json" || kind == ".ndjson" || kind == ".jsonl")
        return fmt::format("read_json_auto({})", quote_literal(path));
    return "";
}

Error not_read(const config::LookupStep& step, const std::string& why) {
    return at_step(step.file.place, "lookup_not_read",
                   fmt::format("the lookup file {} cannot be read: {}", step.file.value.string(), why),
                   "it is CSV with a heading (.csv, .tsv), Parquet (.parquet) or JSON (.json, .ndjson), CSV and JSON "
                   "also with .gz");
}

}  // namespace

std::string Lookups::table_of(const config::LookupStep& step) {
    return quote_identifier(fmt::format("penstock lookup {}:{}", step.file.place.line, step.file.place.column));
}

Result<Lookups> Lookups::load(const Steps& steps, engine::Database& database) {
    PN_TRY(auto connection, database.connect());
    Lookups made(std::move(connection));
    std::string paths;
    for (const auto& step : steps) {
        if (!step.value.lookup) continue;
        PN_CHECK(made.read(step));
        made.files_.push_back({&step, std::chrono::steady_clock::now()});
        paths += (paths.empty() ? "" : ", ") + quote_literal(step.value.lookup->file.value.string());
    }
    // A step's SQL is for its rows: it reads and writes no other file.
    PN_CHECK(
        made.connection_.execute(fmt::format("SET allowed_paths = [{}]; SET enable_external_access = false", paths)));
    return made;
}

Status Lookups::read(const config::Located<config::Step>& step) {
    const auto& lookup = *step.value.lookup;
    std::string reader = reader_of(lookup.file);
    if (reader.empty()) return fail(not_read(lookup, "its name does not tell what it is"));
    auto made = connection_.execute(
        fmt::format("CREATE TABLE {} AS SELECT *, true AS penstock_found FROM {}", table_of(lookup), reader));
    if (!made) return fail(not_read(lookup, made.error().message));
    return check_unique(lookup, step.place.text(), table_of(lookup));
}

Status Lookups::check_unique(const config::LookupStep& step, const std::string& place, const std::string& table) {
    std::vector<std::string> key;
    for (const auto& [column, of_file] : step.on) key.push_back(of_file.value);
    auto repeated = connection_.query(
        fmt::format("SELECT count(*)::BIGINT FROM (SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1)",
                    engine::quote_list(key), table));
    if (!repeated) return fail(not_read(step, repeated.error().message));
    if (repeated->number(0, 0) == 0) return {};
    return fail(
        {.kind = ErrorKind::configuration,
         .code = "lookup_not_unique",
         .message = fmt::format("the lookup file {} has several rows for {} of its keys ({})", step.file.value.string(),
                                repeated->number(0, 0), engine::quote_list(key)),
         .where = place,
         .hint =
             "a row would come out several times: leave one row a key in the file, or name more columns under `on`"});
}

Status Lookups::read_again(const config::LookupStep& step) {
    PN_CHECK(connection_.execute("BEGIN"));
    auto done = [&]() -> Status {
        PN_CHECK(connection_.execute(fmt::format("DELETE FROM {}", table_of(step))));
        PN_CHECK(connection_.execute(fmt::format("INSERT INTO {} BY NAME SELECT *, true AS penstock_found FROM {}",
                                                 table_of(step), reader_of(step.file))));
        PN_CHECK(check_unique(step, "", table_of(step)));
        PN_CHECK(connection_.execute("COMMIT"));
        return {};
    }();
    if (!done) connection_.rollback();
    return done;
}

Status Lookups::refresh() {
    auto now = std::chrono::steady_clock::now();
    for (auto& file : files_) {
        const auto& lookup = *file.step->value.lookup;
        if (lookup.refresh.count() == 0 || now - file.read_at < lookup.refresh) continue;
        auto done = read_again(lookup);
        file.read_at = now;
        if (!done) log::warning("a lookup goes on with the rows it has: {}", done.error().message);
    }
    return {};
}

}  // namespace penstock::steps
