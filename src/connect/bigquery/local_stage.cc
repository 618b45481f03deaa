#include "connect/bigquery/local_stage.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "base/clock.h"
#include "base/failpoint.h"
#include "connect/bigquery/fingerprint.h"
#include "connect/bigquery/row_size.h"
#include "connect/bigquery/staged_values.h"
#include "engine/json_value.h"
#include "engine/scan_function.h"
#include "engine/sql.h"

namespace penstock::bigquery {
namespace {

using Path = std::filesystem::path;

// "Quotas and limits": a job changes 4,000 partitions at most; one is that of NULL.
constexpr int64_t most_partitions = 3999;
constexpr uint64_t file_bytes = uint64_t{256} << 20;

std::string engine_text(std::string_view text) { return engine::quote_literal(text); }

std::string file_list(const StagedFiles& staged) {
    std::string list;
    for (const auto& file : staged.files) list += (list.empty() ? "" : ", ") + engine_text(file.string());
    return fmt::format("read_parquet([{}])", list);
}

/// What names a row: its key in the target, and the source's own, by which a replay finds it.
std::set<std::string> naming_columns(const flow::TableTarget& target) {
    std::set<std::string> names(target.key.begin(), target.key.end());
    names.insert(target.info.key.begin(), target.info.key.end());
    return names;
}

std::string row_json(const flow::TableTarget& target, const Shape& shape, bool key_only) {
    auto named = naming_columns(target);
    std::string members;
    for (const auto& column : shape.columns) {
        if (key_only && !named.contains(column.source)) continue;
        const auto& type = target.info.schema.fields[column.field].type;
        members += fmt::format("{}{}, {}", members.empty() ? "" : ", ", engine_text(column.source),
                               engine::json_value(type, engine::quote_identifier(column.source)));
    }
    return fmt::format("CAST(json_object({}) AS VARCHAR)", members);
}

/// The mark of rows with a fault: its number, its reason and the row, as JSON.
std::string mark_sql(const flow::TableTarget& target, const Shape& shape, const std::vector<Fault>& faults) {
    std::string any, number, reason;
    for (size_t i = 0; i < faults.size(); ++i) {
        any += (i == 0 ? "" : " OR ") + faults[i].condition;
        number += fmt::format(" WHEN {} THEN {}", faults[i].condition, i);
        reason += fmt::format(" WHEN {} THEN {}", faults[i].condition, faults[i].reason);
    }
    return fmt::format(
        "CASE WHEN {} THEN CAST(json_object('fault', CASE{} END, 'reason', CASE{} END, 'key', {}, 'row', {}) AS "
        "VARCHAR) END",
        any, number, reason, row_json(target, shape, true), row_json(target, shape, false));
}

std::string joined(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, ", ")); }

std::string quoted_list(const std::vector<std::string>& names) { return engine::quote_list(names); }

std::string same_on(const std::vector<std::string>& names, std::string_view left, std::string_view right) {
    std::string on;
    for (const auto& name : names)
        on += fmt::format("{}{}.{} IS NOT DISTINCT FROM {}.{}", on.empty() ? "" : " AND ", left,
                          engine::quote_identifier(name), right, engine::quote_identifier(name));
    return on;
}

bool key_is_certain(const flow::TableTarget& target) {
    std::set<std::string> wanted(target.key.begin(), target.key.end());
    return target.info.key_is_unique && wanted == std::set<std::string>(target.info.key.begin(), target.info.key.end());
}

/// As GoogleSQL: the text is the embedded engine's.
std::optional<std::string> literal(const Column& column, const std::string& text) {
    if (column.repeated) return std::nullopt;
    if (column.type == "INT64") return text;
    if (column.type == "STRING") return bigquery::quote_literal(text);
    if (column.type == "DATE" || column.type == "DATETIME" || column.type == "TIMESTAMP" || column.type == "NUMERIC" ||
        column.type == "BIGNUMERIC")
        return fmt::format("{} '{}'", column.type, text);
    return std::nullopt;
}

Error folder_error(const Path& folder, const std::error_code& code) {
    return {.kind = ErrorKind::capacity,
            .code = "temporary_folder",
            .message = fmt::format("cannot use the folder {}: {}", folder.string(), code.message()),
            .hint = "rows are staged on this machine before they are loaded: give TMPDIR a folder with room"};
}

}  // namespace

Path LocalStage::next_folder() { return folder_ / std::to_string(folders_++); }

void LocalStage::clear() noexcept {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored))
        std::filesystem::remove_all(entry.path(), ignored);
}

Status LocalStage::copy(const std::string& select, const Path& folder) {
    std::error_code failed;
    std::filesystem::create_directories(folder.parent_path(), failed);
    if (failed) return fail(folder_error(folder, failed));
    PN_CHECK(connection_.execute(
        fmt::format("COPY ({}) TO {} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, FILE_SIZE_BYTES {})",
                    select, engine_text(folder.string()), file_bytes)));
    return {};
}

Status LocalStage::list_files(const Path& folder, StagedFiles& staged) {
    staged.files.clear();
    staged.rows = staged.bytes = 0;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(folder, failed))
        if (entry.path().extension() == ".parquet") staged.files.push_back(entry.path());
    if (failed) return fail(folder_error(folder, failed));
    std::ranges::sort(staged.files);
    if (staged.files.empty()) return {};
    std::string list;
    for (const auto& file : staged.files) list += (list.empty() ? "" : ", ") + engine_text(file.string());
    PN_TRY(auto sums, connection_.query(
                          fmt::format("SELECT CAST(sum(num_rows) AS BIGINT), CAST(sum(file_size_bytes) AS BIGINT) FROM "
                                      "parquet_file_metadata([{}])",
                                      list)));
    staged.rows = sums.number(0, 0);
    staged.bytes = sums.number(0, 1);
    return {};
}

LocalStage::Marks LocalStage::marks_of(const flow::TableTarget& target, const Shape& shape) const {
    Marks marks;
    std::vector<Fault> faults;
    for (const auto& column : shape.columns)
        for (auto& fault : faults_of(target.info.schema.fields[column.field].type, column.incoming,
                                     engine::quote_identifier(column.source), policies_)) {
            marks.faults.push_back(column.source + "\n" + fault.code);
            faults.push_back(std::move(fault));
        }
    if (auto large = most_row_bytes_ > 0 ? row_size_fault(target, shape, most_row_bytes_) : std::nullopt) {
        marks.faults.push_back("\n" + large->code);  // of no column
        faults.push_back(std::move(*large));
    }
    if (!faults.empty()) marks.sql = mark_sql(target, shape, faults);
    return marks;
}

Result<StagedFiles> LocalStage::write_rows(const std::string& select, std::vector<Column> columns) {
    StagedFiles staged{.columns = std::move(columns)};
    auto folder = next_folder();
    PN_CHECK(copy(select, folder));
    PN_CHECK(list_files(folder, staged));
    return staged;
}

Result<engine::Rows> LocalStage::look(const StagedFiles& staged, const std::string& select) {
    if (staged.files.empty()) return engine::Rows();
    return connection_.query(fmt::format(
        "SELECT {} FROM {}{}", select, file_list(staged),
        staged.marks_rejects ? fmt::format(" WHERE {} IS NULL", engine::quote_identifier(reject_column)) : ""));
}

Result<StagedFiles> LocalStage::write(const flow::TableTarget& target, const Shape& shape, flow::Scan& scan,
                                      const flow::ScanContext& context, const std::vector<Extra>& extras) {
    StagedFiles staged;
    std::string list;
    for (const auto& column : shape.columns) {
        auto name = engine::quote_identifier(column.source);
        list += fmt::format("{}{} AS {}", list.empty() ? "" : ", ",
                            stage_sql(target.info.schema.fields[column.field].type, column.incoming, name, policies_),
                            name);
        staged.columns.push_back(bigquery::staged(column.incoming));
    }
    for (const auto& [sql, column] : extras) {
        list += fmt::format(", {} AS {}", sql, engine::quote_identifier(column.name));
        staged.columns.push_back(column);
    }
    auto marks = marks_of(target, shape);
    staged.marks_rejects = !marks.sql.empty();
    if (staged.marks_rejects) {
        list += fmt::format(", {} AS {}", marks.sql, engine::quote_identifier(reject_column));
        staged.columns.push_back({.name = reject_column, .type = "STRING"});
    }
    engine::LentScan lent(database_, scan, target.info.estimated_rows);
    auto folder = next_folder();
    Status written = copy(fmt::format("SELECT {} FROM {}", list, lent.sql()), folder);
    if (!written) return fail(lent.original(std::move(written.error())));
    staged.rows_read = lent.rows();
    PN_CHECK(list_files(folder, staged));
    if (staged.rows != staged.rows_read)
        return fail({.kind = ErrorKind::internal,
                     .code = "rows_lost",
                     .message = fmt::format("{} rows of {} were handed over and {} are in the files", staged.rows_read,
                                            target.info.name, staged.rows)});
    if (staged.marks_rejects) PN_CHECK(collect_rejects(target, marks, staged, context));
    bool keyed = target.mode == flow::Mode::merge || target.mode == flow::Mode::history;
    bool unsure = keyed && !target.info.changes && !key_is_certain(target);
    if (unsure && staged.rows > 0) PN_CHECK(make_keys_unique(target, shape, staged, context));
    return staged;
}

Status LocalStage::reject(const flow::TableTarget& target, const Marks& marks, const std::string& text,
                          const std::string& position, const flow::ScanContext& context) {
    auto mark = nlohmann::json::parse(text, nullptr, false);
    if (!mark.is_object())
        return fail({.kind = ErrorKind::internal, .code = "bad_mark", .message = "a reject is no JSON"});
    const auto& fault = marks.faults[mark.value("fault", size_t{0})];
    auto line = fault.find('\n');
    return context.rejects.add({.table = target.info.name,
                                .source_position = position,
                                .key = mark.value("key", ""),
                                .column = fault.substr(0, line),
                                .code = fault.substr(line + 1),
                                .reason = (line == 0 ? "" : fault.substr(0, line) + ": ") + mark.value("reason", ""),
                                .payload = mark.value("row", ""),
                                .received_at = now()});
}

Status LocalStage::collect_rejects(const flow::TableTarget& target, const Marks& marks, StagedFiles& staged,
                                   const flow::ScanContext& context) {
    for (const auto& file : staged.files) {
        PN_TRY(auto rows,
               connection_.query(fmt::format("SELECT {0} FROM read_parquet({1}) WHERE {0} IS NOT NULL",
                                             engine::quote_identifier(reject_column), engine_text(file.string()))));
        for (size_t i = 0; i < rows.rows.size(); ++i) {
            PN_CHECK(reject(target, marks, rows.text(i, 0), "", context));
            ++staged.rejected;
        }
    }
    return {};
}

Result<int64_t> LocalStage::reject_rows(const flow::TableTarget& target, const Shape& shape, const std::string& from,
                                        const char* code, const std::string& reason, const flow::ScanContext& context) {
    // Staged values are text or numbers already.
    auto json = [&](bool key_only) {
        auto named = naming_columns(target);
        std::string members;
        for (const auto& column : shape.columns) {
            if (key_only && !named.contains(column.source)) continue;
            auto kind = target.info.schema.fields[column.field].type.kind;
            bool bytes = kind == data::Kind::bytes,
                 number = column.incoming.type == "INT64" || column.incoming.type == "BOOL";
            auto name = engine::quote_identifier(column.source);
            members += fmt::format("{}{}, {}", members.empty() ? "" : ", ", engine_text(column.source),
                                   bytes    ? fmt::format("'\\x' || lower(hex({}))", name)
                                   : number ? name
                                            : fmt::format("CAST({} AS VARCHAR)", name));
        }
        return fmt::format("CAST(json_object({}) AS VARCHAR)", members);
    };
    PN_TRY(auto rows, connection_.query(fmt::format("SELECT {}, {} FROM {}", json(true), json(false), from)));
    for (size_t i = 0; i < rows.rows.size(); ++i)
        PN_CHECK(context.rejects.add({.table = target.info.name,
                                      .source_position = "",
                                      .key = rows.text(i, 0),
                                      .column = joined(target.key),
                                      .code = code,
                                      .reason = reason,
                                      .payload = rows.text(i, 1),
                                      .received_at = now()}));
    return static_cast<int64_t>(rows.rows.size());
}

Status LocalStage::make_keys_unique(const flow::TableTarget& target, const Shape& shape, StagedFiles& staged,
                                    const flow::ScanContext& context) {
    std::string taken = fmt::format(
        "(SELECT * FROM {}{})", file_list(staged),
        staged.marks_rejects ? fmt::format(" WHERE {} IS NULL", engine::quote_identifier(reject_column)) : "");
    auto unique = target.key;
    bool by_newest = !target.newest().empty() && shape.find(target.newest()) != nullptr;
    if (target.mode == flow::Mode::history && by_newest) unique.push_back(target.newest());
    std::string any_null;
    for (const auto& name : target.key)
        any_null += fmt::format("{}{} IS NULL", any_null.empty() ? "" : " OR ", engine::quote_identifier(name));
    auto repeated = [&](const std::string& from) {
        return fmt::format("(SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1)", quoted_list(unique), from);
    };
    PN_TRY(int64_t nulls, reject_rows(target, shape, fmt::format("{} WHERE {}", taken, any_null), "null_key",
                                      fmt::format("key ({}) has NULL in it, so the row cannot be told from others",
                                                  joined(target.key)),
                                      context));
    std::string whole = fmt::format("(SELECT * FROM {} WHERE NOT ({}))", taken, any_null);
    PN_CHECK(connection_.execute(
        fmt::format("CREATE OR REPLACE TEMP TABLE penstock_repeated AS SELECT * FROM {}", repeated(whole))));
    PN_TRY(auto some, connection_.query("SELECT 1 FROM penstock_repeated LIMIT 1"));
    if (some.empty() && nulls == 0) return {};

    auto on = same_on(unique, "S", "D");
    PN_CHECK(connection_.execute(fmt::format(
        "CREATE OR REPLACE TEMP TABLE penstock_contested AS SELECT S.* FROM {} S SEMI JOIN penstock_repeated D ON {}",
        whole, on)));
    std::string newest =
        by_newest ? fmt::format(" ORDER BY {} DESC NULLS LAST", engine::quote_identifier(target.newest())) : "";
    PN_CHECK(connection_.execute(
        fmt::format("CREATE OR REPLACE TEMP TABLE penstock_finalists AS SELECT DISTINCT * EXCLUDE (penstock_rank) FROM "
                    "(SELECT *, rank() "
                    "OVER (PARTITION BY {}{}) AS penstock_rank FROM penstock_contested) WHERE penstock_rank = 1",
                    quoted_list(unique), newest)));
    std::string even = repeated("penstock_finalists");
    PN_TRY(
        int64_t rejected,
        reject_rows(
            target, shape,
            fmt::format("(SELECT F.* FROM penstock_finalists F SEMI JOIN {} D ON {})", even, same_on(unique, "F", "D")),
            "duplicate_key",
            fmt::format("several rows have this key ({}), differ, and none of them is the newest", joined(target.key)),
            context));
    auto before = staged;
    auto folder = next_folder();
    PN_CHECK(
        copy(fmt::format("SELECT S.* FROM {} S ANTI JOIN penstock_repeated D ON {} UNION ALL BY NAME SELECT F.* FROM "
                         "penstock_finalists F ANTI JOIN {} D ON {}",
                         whole, on, even, same_on(unique, "F", "D")),
             folder));
    PN_CHECK(list_files(folder, staged));
    staged.filtered = before.taken() - nulls - rejected - staged.rows;
    staged.rejected = 0;  // they are not in these files
    std::error_code ignored;
    for (const auto& file : before.files) std::filesystem::remove(file, ignored);
    return {};
}

Result<std::optional<LocalStage::Range>> LocalStage::range_of(const StagedFiles& staged, const ColumnPlan& column) {
    if (staged.files.empty()) return std::optional<Range>();
    auto name = engine::quote_identifier(column.source);
    PN_TRY(auto rows,
           connection_.query(fmt::format(
               "SELECT CAST(min({0}) AS VARCHAR), CAST(max({0}) AS VARCHAR) FROM {1}{2}", name, file_list(staged),
               staged.marks_rejects ? fmt::format(" WHERE {} IS NULL", engine::quote_identifier(reject_column)) : "")));
    if (!rows.rows[0][0]) return std::optional<Range>();
    auto low = literal(column.incoming, rows.text(0, 0)), high = literal(column.incoming, rows.text(0, 1));
    if (!low || !high) return std::optional<Range>();
    return std::optional(Range{*low, *high});
}

Result<std::vector<LocalStage::Range>> LocalStage::partition_ranges(const StagedFiles& staged, const ColumnPlan& column,
                                                                    const Partitioning& partitioning) {
    std::vector<Range> ranges;
    if (staged.files.empty()) return ranges;
    auto name = engine::quote_identifier(column.source);
    std::string partition = partitioning.unit.empty()
                                ? fmt::format("({} - ({})) // {}", name, partitioning.start, partitioning.interval)
                                : fmt::format("date_trunc('{}', {})", partitioning.unit, name);
    std::string taken =
        staged.marks_rejects ? fmt::format(" AND {} IS NULL", engine::quote_identifier(reject_column)) : "";
    PN_TRY(auto rows, connection_.query(
                          fmt::format("WITH reached AS (SELECT {1} AS p, min({0}) AS low, max({0}) AS high FROM {2} "
                                      "WHERE {0} IS NOT NULL{3} GROUP BY 1), "
                                      "numbered AS (SELECT *, (row_number() OVER (ORDER BY p) - 1) // {4} AS part FROM "
                                      "reached) SELECT CAST(min(low) AS "
                                      "VARCHAR), CAST(max(high) AS VARCHAR) FROM numbered GROUP BY part ORDER BY part",
                                      name, partition, file_list(staged), taken, most_partitions)));
    for (size_t i = 0; i < rows.rows.size(); ++i) {
        auto low = literal(column.incoming, rows.text(i, 0)), high = literal(column.incoming, rows.text(i, 1));
        if (!low || !high) return std::vector<Range>();
        ranges.push_back({*low, *high});
    }
    return ranges;
}

Result<StagedFiles> LocalStage::write_rejects(const flow::RunIdentity& run,
                                              const std::vector<const flow::RejectLog*>& logs,
                                              const std::vector<Column>& columns) {
    std::string definition;
    for (const auto& column : columns)
        definition += fmt::format("{}{} {}", definition.empty() ? "" : ", ", engine::quote_identifier(column.name),
                                  column.type == "TIMESTAMP" ? "TIMESTAMPTZ" : "VARCHAR");
    PN_CHECK(connection_.execute(fmt::format("CREATE OR REPLACE TABLE penstock_rejects ({})", definition)));
    PN_TRY(auto appender, engine::Appender::open(connection_, "main", "penstock_rejects"));
    using engine::Value;
    auto or_null = [](const std::string& text) { return text.empty() ? Value() : Value(text); };
    int64_t number = 0;
    for (const auto* log : logs)
        PN_CHECK(log->for_each([&](const flow::Reject& reject) -> Status {
            std::string id = fingerprint({run.run_id, reject.table, std::to_string(++number)}).substr(0, 12);
            std::vector<Value> row = {id,
                                      run.pipeline,
                                      run.run_id,
                                      reject.table,
                                      or_null(reject.route),
                                      or_null(reject.source_position),
                                      or_null(reject.key),
                                      or_null(reject.column),
                                      reject.code,
                                      reject.reason,
                                      or_null(reject.payload),
                                      reject.received_at == TimePoint{} ? Value() : Value(iso_time(reject.received_at)),
                                      Value(),
                                      Value()};
            return appender.append(row);
        }));
    PN_CHECK(appender.close());
    StagedFiles staged{.columns = columns};
    auto folder = next_folder();
    PN_CHECK(copy("SELECT * FROM penstock_rejects", folder));
    PN_CHECK(connection_.execute("DROP TABLE penstock_rejects"));
    PN_CHECK(list_files(folder, staged));
    return staged;
}

}  // namespace penstock::bigquery
