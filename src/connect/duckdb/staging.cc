#include "connect/duckdb/staging.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "engine/json_value.h"
#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;
using engine::quote_list;
using engine::quote_literal;

constexpr const char* staged = "temp.main.penstock_staged";
constexpr const char* contested = "temp.main.penstock_contested";
constexpr const char* finalists = "temp.main.penstock_finalists";

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

}  // namespace

std::string row_json(const Shape& shape, const std::vector<std::string>* only) {
    std::string members;
    for (const auto& column : shape.columns) {
        if (only != nullptr && std::ranges::find(*only, column.name) == only->end()) continue;
        members += fmt::format("{}{}, {}", members.empty() ? "" : ", ", quote_literal(column.source),
                               engine::json_value(column.type, quote_identifier(column.name)));
    }
    return fmt::format("CAST(json_object({}) AS VARCHAR)", members);
}

std::string join_on(const std::vector<std::string>& names, std::string_view left, std::string_view right) {
    std::string on;
    for (const auto& name : names)
        on += fmt::format("{}{}.{} = {}.{}", on.empty() ? "" : " AND ", left, quote_identifier(name), right,
                          quote_identifier(name));
    return on;
}

std::string same_on(const std::vector<std::string>& names, std::string_view left, std::string_view right) {
    std::string on;
    for (const auto& name : names)
        on += fmt::format("{}{}.{} IS NOT DISTINCT FROM {}.{}", on.empty() ? "" : " AND ", left, quote_identifier(name),
                          right, quote_identifier(name));
    return on;
}

Status refuse_repeated_keys(Load& load, const std::vector<std::string>& key, const std::string& repeated,
                            std::string_view why) {
    std::string shown;
    for (const auto& name : key)
        shown += fmt::format("{}coalesce(CAST({} AS VARCHAR), 'NULL')", shown.empty() ? "" : " || ', ' || ",
                             quote_identifier(name));
    PN_TRY(auto found, load.connection.query(fmt::format("SELECT {} FROM ({}) LIMIT 1", shown, repeated)));
    if (found.empty()) return {};
    return fail({.kind = ErrorKind::refused,
                 .code = "key_not_unique",
                 .message = fmt::format("{} has several rows with the key ({}) = ({}), {}", load.target.name,
                                        joined(key), found.text(0, 0), why),
                 .hint = fmt::format("remove all but one of them (SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1 "
                                     "finds all), or name columns under `key:` that tell them apart",
                                     quote_list(key), load.into.quoted())});
}

Result<Staging> Staging::fill(Load& load) {
    Staging staging(load);
    staging.table_ = staged;
    PN_CHECK(staging.drop());
    PN_CHECK(load.pull(fmt::format("CREATE TEMP TABLE {} AS {}", staged, load.select())));
    staging.rows_ = load.scan.rows();
    PN_FAILPOINT(target_stage_after);
    return staging;
}

Status Staging::drop() {
    for (const char* table : {staged, contested, finalists})
        PN_CHECK(load_->run(fmt::format("DROP TABLE IF EXISTS {}", table)));
    return {};
}

Status Staging::filter(const std::string& statement) {
    PN_TRY(int64_t changed, load_->run(statement));
    rows_ -= changed;
    filtered_ += changed;
    return {};
}

/// A condition on S and T of one key; "" where no row can be outdated.
std::string Staging::outdated() const {
    const auto& info = load_->target.info;
    const auto* cursor = load_->shape.find(info.cursor);
    std::string at = cursor == nullptr ? "" : quote_identifier(cursor->name);
    if (info.key.empty()) {
        if (load_->target.replays.empty()) return "";
        return at.empty() ? "true" : fmt::format("(S.{0} > T.{0}) IS NOT TRUE", at);
    }
    auto primary = load_->shape.names_of(info.key);
    if (!info.key_is_unique || at.empty() || !primary) return "";
    if (std::ranges::all_of(*primary, [&](const auto& name) { return std::ranges::find(key_, name) != key_.end(); }))
        return "";
    return fmt::format("NOT ({0}) AND T.{1} IS NOT NULL AND (S.{1} IS NULL OR S.{1} < T.{1})",
                       same_on(*primary, "S", "T"), at);
}

Status Staging::leave_out_outdated(const std::string& among) {
    std::string condition = outdated();
    if (condition.empty()) return {};
    return filter(fmt::format("DELETE FROM {} AS S USING {} AS T WHERE {} AND {}{}", table_, load_->into.quoted(),
                              join_on(key_), condition, among.empty() ? "" : " AND " + among));
}

Status Staging::prepare_key() {
    PN_TRY(key_, load_->shape.names_of(load_->target.key));
    if (const auto* cursor = load_->shape.find(load_->target.newest())) cursor_ = cursor->name;
    return {};
}

Status Staging::make_keys_unique() {
    PN_CHECK(prepare_key());
    if (load_->key_is_certain()) return {};
    PN_CHECK(reject_null_keys());
    return resolve_duplicates(key_);
}

Status Staging::make_versions_unique() {
    PN_CHECK(prepare_key());
    if (load_->key_is_certain()) return {};
    PN_CHECK(reject_null_keys());
    auto unique = key_;
    if (!cursor_.empty()) unique.push_back(cursor_);
    return resolve_duplicates(unique);
}

/// Hands the rows of a table to the reject log; the policy may end the run there.
Result<int64_t> Staging::reject(const std::string& from, const char* code, const std::string& reason) {
    // The source's primary key is named too: by it a replay finds the row as it is then.
    auto named = key_;
    if (auto primary = load_->shape.names_of(load_->target.info.key))
        named.insert(named.end(), primary->begin(), primary->end());
    std::string sql =
        fmt::format("SELECT {}, {} FROM {}", row_json(load_->shape, &named), row_json(load_->shape, nullptr), from);
    PN_TRY(auto rows, load_->connection.query(sql));
    for (size_t i = 0; i < rows.rows.size(); ++i)
        PN_CHECK(load_->context.rejects.add({.table = load_->target.info.name,
                                             .key = rows.text(i, 0),
                                             .column = joined(load_->target.key),
                                             .code = code,
                                             .reason = reason,
                                             .payload = rows.text(i, 1),
                                             .received_at = now()}));
    return static_cast<int64_t>(rows.rows.size());
}

Status Staging::reject_null_keys() {
    std::string any_null;
    for (const auto& name : key_)
        any_null += fmt::format("{}{} IS NULL", any_null.empty() ? "" : " OR ", quote_identifier(name));
    PN_TRY(int64_t rejected, reject(fmt::format("{} WHERE {}", table_, any_null), "null_key",
                                    fmt::format("key ({}) has NULL in it, so the row cannot be told from others",
                                                joined(load_->target.key))));
    rows_ -= rejected;
    if (rejected == 0) return {};
    PN_CHECK(load_->run(fmt::format("DELETE FROM {} WHERE {}", table_, any_null)));
    return {};
}

Status Staging::resolve_duplicates(const std::vector<std::string>& unique) {
    auto names = quote_list(unique), columns = quote_list(load_->column_names());
    auto repeated = [&](std::string_view table) {
        return fmt::format("(SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1)", names, table);
    };
    PN_TRY(auto any, load_->connection.query(fmt::format("SELECT 1 FROM {} LIMIT 1", repeated(table_))));
    if (any.empty()) return {};

    // Only keys that are there more than once are looked at further.
    PN_CHECK(load_->run(fmt::format("CREATE TEMP TABLE {} AS SELECT S.* FROM {} S SEMI JOIN {} D ON {}", contested,
                                    table_, repeated(table_), same_on(unique, "S", "D"))));
    PN_TRY(int64_t taken, load_->run(fmt::format("DELETE FROM {} AS S WHERE EXISTS (SELECT 1 FROM {} D WHERE {})",
                                                 table_, contested, same_on(unique, "S", "D"))));
    // Rows that are the same collapse; SQL's DISTINCT takes '1 month' for '30 days'.
    std::string exactly = engine::value_list(load_->columns());
    std::string newest = cursor_.empty() ? "" : fmt::format(" ORDER BY {} DESC NULLS LAST", quote_identifier(cursor_));
    PN_CHECK(load_->run(fmt::format(
        "CREATE TEMP TABLE {} AS SELECT DISTINCT ON ({}) {} FROM (SELECT *, rank() OVER (PARTITION BY {}{}) AS "
        "penstock_rank FROM {}) WHERE penstock_rank = 1",
        finalists, exactly, columns, names, newest, contested)));
    auto losers = fmt::format("JOIN {} D ON {}", repeated(finalists), same_on(unique, "F", "D"));
    PN_TRY(int64_t rejected,
           reject(fmt::format("(SELECT F.* FROM {} F SEMI {})", finalists, losers), "duplicate_key",
                  fmt::format("several rows have this key ({}), differ, and none of them is the newest",
                              joined(load_->target.key))));
    PN_TRY(int64_t kept, load_->run(fmt::format("INSERT INTO {0} ({1}) SELECT {1} FROM {2} F ANTI {3}", table_, columns,
                                                finalists, losers)));
    rows_ += kept - taken;
    filtered_ += taken - rejected - kept;
    return {};
}

}  // namespace penstock::duckdb
