#include "connect/postgres/capture/wal2json_stream.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "connect/postgres/replication/replication_error.h"

namespace penstock::postgres {
namespace {

bool is_number(const ReadColumn& column) {
    return column.type == 700 || column.type == 701 || column.type == 1700;  // float4, float8, numeric
}

bool any_number(const ChangePlan& plan) {
    return std::ranges::any_of(
        plan.tables, [](const ChangeTable& table) { return std::ranges::any_of(table.read.columns, is_number); });
}

bool unknown_option(const Error& error, std::string_view option) {
    return error.message.find(fmt::format("option \"{}\"", option)) != std::string::npos;
}

Error older_format(const Error& cause) {
    Error error{
        .kind = ErrorKind::refused,
        .code = "wal2json_format",
        .message = "the server's wal2json is older than 2.0 and writes format 1 only, which leaves TRUNCATE out",
        .where = cause.where,
        .hint = "use plugin: pgoutput; or set format_version: 1, and run with --full-refresh after each TRUNCATE"};
    error.cause = std::make_shared<const Error>(cause);
    return error;
}

std::string oids_of(const ChangePlan& plan) {
    std::string oids = "{";
    for (const auto& table : plan.tables) oids += fmt::format("{}{}", oids.size() == 1 ? "" : ",", table.read.oid);
    return oids + "}";
}

Status check_numbers(const ChangePlan& plan) {
    for (const auto& table : plan.tables)
        for (const auto& column : table.read.columns) {
            if (!is_number(column) || !column.field.nullable) continue;
            return fail({.kind = ErrorKind::refused,
                         .code = "nan_written_as_null",
                         .message = fmt::format("the server's wal2json writes NaN and infinities as null: in column {} "
                                                "({}) of {} nobody could tell them from NULL",
                                                column.field.name, column.field.source_type, table.read.info.name),
                         .where = "table " + table.read.info.name,
                         .hint = "use plugin: pgoutput or wal2json 2.6; make the column NOT NULL; or, where the "
                                 "tables never hold NaN or infinities, say so with finite_numbers: true"});
        }
    return {};
}

/// The value of `add-tables`: "" where the server had better send all.
std::string wanted_tables(const ChangePlan& plan) {
    std::string list;
    for (const auto& table : plan.tables) {
        auto plain = [](std::string_view name) {
            return std::ranges::all_of(name,
                                       [](char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)); });
        };
        // Escapes differ between versions.
        if (!plain(table.read.schema) || !plain(table.read.relation)) return "";
        list += fmt::format("{}{}.{}", list.empty() ? "" : ",", table.read.schema, table.read.relation);
    }
    return list;
}

}  // namespace

Status check_wal2json_tables(const ChangePlan& plan) {
    for (const auto& table : plan.tables) {
        const auto& read = table.read;
        if (read.leaves.size() == 1 && read.leaves[0].oid == read.oid) continue;
        return fail({.kind = ErrorKind::refused,
                     .code = "partitions_by_name",
                     .message = fmt::format("{} is partitioned, and wal2json names partitions, not the table they "
                                            "belong to",
                                            read.info.name),
                     .where = "table " + read.info.name,
                     .hint = "use plugin: pgoutput, or capture the partitions as tables of their own"});
    }
    return {};
}

Result<std::vector<Wal2jsonCatalog>> wal2json_catalog(Session& session, const std::vector<IntakeTable>& tables) {
    std::string oids = "{";
    for (const auto& one : tables) oids += fmt::format("{}{}", oids.size() == 1 ? "" : ",", one.table->read.oid);
    oids += "}";
    PN_TRY(auto rows, session.query("SELECT attrelid, attname, attlen = -1, attgenerated <> '' FROM "
                                    "pg_catalog.pg_attribute WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT "
                                    "attisdropped",
                                    {oids}));
    std::vector<Wal2jsonCatalog> catalogs;
    for (const auto& one : tables) {
        const ChangeTable& table = *one.table;
        Wal2jsonCatalog catalog{.may_be_unsent = std::vector<bool>(table.read.columns.size()), .generated = {}};
        for (int row = 0; row < rows.count(); ++row) {
            if (static_cast<Oid>(rows.integer(row, 0)) != table.read.oid) continue;
            if (rows.truth(row, 3)) catalog.generated.push_back(rows.text(row, 1));
            int column = table.read.info.schema.find(rows.text(row, 1));
            if (column >= 0) catalog.may_be_unsent[static_cast<size_t>(column)] = rows.truth(row, 2);
        }
        catalogs.push_back(std::move(catalog));
    }
    return catalogs;
}

Status check_wal2json_remark(const Error& remark, const ChangePlan& plan) {
    static constexpr std::string_view left_out[] = {"no tuple ", "no old tuple data ",
                                                    "without primary key or replica identity"};
    auto says = [&](std::string_view words) { return remark.message.find(words) != std::string::npos; };
    if (std::ranges::none_of(left_out, says)) return {};
    for (const auto& table : plan.tables) {
        if (!says(fmt::format("\"{}\"", table.read.relation))) continue;
        return fail(
            {.kind = ErrorKind::schema,
             .code = "identity_changed",
             .message = fmt::format("changes of {} were made while it had no replica identity, and wal2json leaves "
                                    "them out: {}",
                                    table.read.info.name, remark.message),
             .where = "table " + table.read.info.name,
             .hint = "run once with --full-refresh, which reads the tables anew and goes on from there"});
    }
    return {};
}

Status check_still_named(Session& session, const ChangePlan& plan) {
    PN_TRY(auto rows, session.query("SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN "
                                    "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY "
                                    "($1::oid[])",
                                    {oids_of(plan)}));
    std::set<std::pair<std::string, std::string>> names;
    for (int row = 0; row < rows.count(); ++row) names.emplace(rows.text(row, 0), rows.text(row, 1));
    for (const auto& table : plan.tables) {
        if (names.contains({table.read.schema, table.read.relation})) continue;
        return fail({.kind = ErrorKind::unavailable,
                     .code = flow::look_again,
                     .message = fmt::format("table {} was renamed, dropped or made anew, and wal2json knows tables by "
                                            "name only",
                                            table.read.info.name),
                     .where = "table " + table.read.info.name,
                     .hint = "what came before is in the target; a retry sees the tables as they are"});
    }
    return {};
}

Result<bool> wal2json_tells_numbers(Session& session, const ChangePlan& plan, const ChangesOptions& changes) {
    bool oldest = changes.format_version == FormatVersion::one;
    std::vector<const char*> options;
    if (!oldest) options.push_back("'format-version', '2'");
    bool ask = any_number(plan) && !changes.finite_numbers;
    if (ask) options.push_back("'numeric-data-types-as-string', 'true'");
    if (options.empty()) return false;
    // Ends with the first record: all that matters is whether the plugin knows its options.
    auto asked = session.query(fmt::format("SELECT count(*) FROM pg_catalog.pg_logical_slot_peek_changes($1, '0/1', "
                                           "NULL, {})",
                                           fmt::join(options, ", ")),
                               {changes.slot.value});
    if (asked) return ask;
    if (unknown_option(asked.error(), "format-version")) return fail(older_format(asked.error()));
    if (!unknown_option(asked.error(), "numeric-data-types-as-string"))
        return fail(replication_error(std::move(asked.error())));
    PN_CHECK(check_numbers(plan));
    return false;
}

std::vector<std::pair<std::string, std::string>> wal2json_options(const ChangePlan& plan, const ChangesOptions& changes,
                                                                  bool special_numbers) {
    std::vector<std::pair<std::string, std::string>> options = {
        {"include-xids", "true"},      {"include-lsn", "true"},   {"include-timestamp", "true"},
        {"include-type-oids", "true"}, {"include-types", "true"}, {"include-typmod", "true"}};
    if (changes.format_version == FormatVersion::one) options.emplace_back("write-in-chunks", "true");
    else options.emplace_back("format-version", "2");
    if (special_numbers) options.emplace_back("numeric-data-types-as-string", "true");
    if (auto tables = wanted_tables(plan); !tables.empty()) options.emplace_back("add-tables", tables);
    return options;
}

}  // namespace penstock::postgres
