#include <fmt/format.h>

#include "connect/parquet/path_template.h"
#include "connect/parquet/table_load.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::parquet {
namespace {

using engine::quote_identifier;
using engine::quote_list;

/// T."id" = S."id" AND …
std::string same_key(const std::vector<std::string>& key, std::string_view left, std::string_view right) {
    std::string out;
    for (const auto& name : key)
        out += fmt::format("{}{}.{} = {}.{}", out.empty() ? "" : " AND ", left, quote_identifier(name), right, quote_identifier(name));
    return out;
}

std::string any_null(const std::vector<std::string>& key) {
    std::string out;
    for (const auto& name : key) out += fmt::format("{}{} IS NULL", out.empty() ? "" : " OR ", quote_identifier(name));
    return out;
}

/// A row's value for the JSON object of a reject: as it is where JSON has an exact form, else as text.
std::string json_value(const data::Field& field) {
    switch (field.type.kind) {
        case data::Kind::boolean:
        case data::Kind::int16:
        case data::Kind::int32:
        case data::Kind::int64:
        case data::Kind::uint32:
        case data::Kind::uint64:
        case data::Kind::text:
        case data::Kind::json: return quote_identifier(field.name);
        default: return fmt::format("CAST({} AS VARCHAR)", quote_identifier(field.name));
    }
}

std::string json_object(const std::vector<const data::Field*>& fields) {
    std::string out;
    for (const auto* field : fields)
        out += fmt::format("{}{}, {}", out.empty() ? "" : ", ", engine::quote_literal(field->name), json_value(*field));
    return fmt::format("CAST(json_object({}) AS VARCHAR)", out);
}

}  // namespace

/// Rows that cannot take part: their number is small or the run ends here by its reject policy.
Status TableLoad::reject_rows(const std::string& condition, const std::string& code, const std::string& reason) {
    std::vector<const data::Field*> all;
    std::vector<const data::Field*> key;
    for (const auto& field : schema_.fields) {
        all.push_back(&field);
        if (std::ranges::count(target_.key, field.name) != 0) key.push_back(&field);
    }
    PN_TRY(auto rows, connection_.query(fmt::format("SELECT {}, {} FROM _penstock_raw WHERE {}", json_object(key), json_object(all),
                                                    condition)));
    for (size_t i = 0; i < rows.rows.size(); ++i)
        PN_CHECK(scan_context_.rejects.add({.table = target_.info.name,
                                            .route = "",
                                            .source_position = "",
                                            .key = rows.text(i, 0),
                                            .column = target_.key.front(),
                                            .code = code,
                                            .reason = reason,
                                            .payload = rows.text(i, 1),
                                            .received_at = now()}));
    counts_.rows_rejected += static_cast<int64_t>(rows.rows.size());
    return {};
}

Status TableLoad::reject_null_keys() {
    PN_CHECK(reject_rows(any_null(target_.key), "null_key",
                         fmt::format("a column of the key ({}) is NULL, so that the row could never be found again",
                                     fmt::join(target_.key, ", "))));
    picked_ = fmt::format("SELECT * FROM _penstock_raw WHERE NOT ({})", any_null(target_.key));
    return {};
}

/// Of several staged rows of one key the one with the newest cursor value takes part and the others are superseded. Where
/// nothing tells which is the newest and they differ, all of them are rejected; where they are equal one is kept.
Status TableLoad::pick_newest_by_key() {
    if (target_.info.key_is_unique && target_.key == target_.info.key) return {};
    std::string key = quote_list(target_.key);
    PN_TRY([[maybe_unused]] auto made,
           connection_.execute(fmt::format("CREATE TEMP TABLE _penstock_repeated AS SELECT {0} FROM ({1}) GROUP BY {0} HAVING count(*) > 1",
                                           key, picked_)));
    PN_TRY(auto repeated, connection_.query("SELECT count(*) FROM _penstock_repeated"));
    if (repeated.number(0, 0) == 0) return {};
    bool ordered = !target_.info.cursor.empty() && schema_.find(target_.info.cursor) >= 0;
    std::string order = ordered ? fmt::format("ORDER BY {} DESC NULLS LAST", quote_identifier(target_.info.cursor)) : std::string();
    std::string newest = ordered ? fmt::format("QUALIFY rank() OVER (PARTITION BY {} {}) = 1", key, order) : std::string();
    PN_TRY(made, connection_.execute(fmt::format(
                     "CREATE TEMP TABLE _penstock_ambiguous AS SELECT {key} FROM (SELECT DISTINCT * FROM (SELECT S.* FROM ({picked}) S "
                     "SEMI JOIN _penstock_repeated R ON {same} {newest})) GROUP BY {key} HAVING count(*) > 1",
                     fmt::arg("key", key), fmt::arg("picked", picked_), fmt::arg("same", same_key(target_.key, "S", "R")),
                     fmt::arg("newest", newest))));
    std::string ambiguous = fmt::format("({}) IN (SELECT {} FROM _penstock_ambiguous)",
                                        target_.key.size() == 1 ? key : "ROW(" + key + ")",
                                        target_.key.size() == 1 ? key : "ROW(" + key + ")");
    PN_CHECK(reject_rows(ambiguous, "duplicate_key",
                         fmt::format("several rows have this key ({}) and nothing tells which is the newest", fmt::join(target_.key, ", "))));
    picked_ = fmt::format("SELECT S.* FROM ({}) S ANTI JOIN _penstock_ambiguous A ON {} QUALIFY row_number() OVER (PARTITION BY {} {}) = 1",
                          picked_, same_key(target_.key, "S", "A"), key, order);
    return {};
}

/// The published rows in the shape of now; "" when there are none.
Result<std::string> TableLoad::select_all_published() {
    if (!newest_ || target_.full_refresh) return std::string();
    PN_TRY(auto live, live_manifests(context_.unit.root(), context_.pipeline, target_.name));
    std::string select;
    for (const auto& manifest : live) {
        if (manifest.files.empty()) continue;
        for (const auto& file : manifest.files)
            if (!is_there(context_.unit.root() / file.path))
                return fail({.kind = ErrorKind::refused,
                             .code = "published_file_vanished",
                             .message = fmt::format("{} holds rows of the table and is gone", (context_.unit.root() / file.path).string()),
                             .hint = "restore it, or rebuild the table with --full-refresh"});
        select += (select.empty() ? "" : " UNION ALL ") + select_published(manifest, manifest.files);
    }
    if (select.empty() || newest_->mode == "merge" || newest_->mode == "history") return select;
    PN_TRY(auto twice, connection_.query(fmt::format("SELECT count(*) FROM (SELECT 1 FROM ({}) GROUP BY {} HAVING count(*) > 1 LIMIT 1)", select,
                                                     quote_list(target_.key))));
    if (twice.number(0, 0) == 0) return select;
    return fail({.kind = ErrorKind::conflict,
                 .code = "key_not_unique",
                 .message = fmt::format("the published rows of {} have several with the same key ({})", target_.name,
                                        fmt::join(target_.key, ", ")),
                 .hint = "they were appended by an earlier mode: rebuild the table with --full-refresh"});
}

/// When a new version begins: at its cursor's time where that is one, else when the run began.
std::string TableLoad::valid_from() const {
    std::string started = fmt::format("TIMESTAMPTZ {}", engine::quote_literal(iso_time(context_.started_at)));
    int position = schema_.find(target_.info.cursor);
    if (position < 0) return started;
    auto kind = schema_.fields[static_cast<size_t>(position)].type.kind;
    if (kind != data::Kind::timestamptz && kind != data::Kind::timestamp) return started;
    return fmt::format("coalesce(CAST(S.{} AS TIMESTAMPTZ), {})", quote_identifier(target_.info.cursor), started);
}

/// Staged rows that change the table: new keys, and rows that differ from the published one, are not older and pass
/// `update_when`. With history only versions that are still valid count, and a new one begins after the one it ends.
Status TableLoad::choose_winners(const std::string& published) {
    bool history = target_.mode == flow::Mode::history;
    std::string from = history ? fmt::format(", {} AS _penstock_from", valid_from()) : std::string();
    if (published.empty()) {
        PN_TRY([[maybe_unused]] auto made,
               connection_.execute(fmt::format("CREATE TEMP VIEW _penstock_winners AS SELECT S.*{} FROM ({}) S", from, picked_)));
        return {};
    }
    if (history)
        from = fmt::format(", CASE WHEN T._penstock_found THEN greatest({0}, T._penstock_valid_from + INTERVAL 1 MICROSECOND) ELSE {0} END "
                           "AS _penstock_from",
                           valid_from());
    std::string differs = "false";
    for (const auto& column : shape_.columns)
        if (column.source >= 0 && std::ranges::count(target_.key, column.field.name) == 0)
            differs += fmt::format(" OR S.{0} IS DISTINCT FROM T.{0}", quote_identifier(column.field.name));
    std::string not_older = "true";
    if (!target_.info.cursor.empty() && schema_.find(target_.info.cursor) >= 0)
        not_older = fmt::format("(S.{0} < T.{0}) IS NOT TRUE", quote_identifier(target_.info.cursor));
    PN_TRY([[maybe_unused]] auto made,
           connection_.execute(fmt::format(
               "CREATE TEMP TABLE _penstock_winners AS SELECT S.*{from} FROM ({picked}) S LEFT JOIN (SELECT *, true AS _penstock_found "
               "FROM ({published}) {open}) T ON {same} WHERE T._penstock_found IS NULL OR (({differs}) AND {not_older} AND ({when}))",
               fmt::arg("from", from), fmt::arg("picked", picked_), fmt::arg("published", published),
               fmt::arg("open", history ? "WHERE _penstock_valid_to IS NULL" : ""), fmt::arg("same", same_key(target_.key, "S", "T")),
               fmt::arg("differs", differs), fmt::arg("not_older", not_older),
               fmt::arg("when", target_.update_when.empty() ? "true" : target_.update_when))));
    return {};
}

/// The whole table is written anew: what is published without the winners' rows, and the winners. It costs reading and
/// writing the table, which is what a table of plain files asks for an update; a load that changes nothing costs neither.
Status TableLoad::merge_by_key() {
    std::string raw = "SELECT * EXCLUDE (_penstock_file) FROM " + read_sql(raw_folder(), raw_, {}, schema_);
    PN_TRY([[maybe_unused]] auto made, connection_.execute("CREATE TEMP VIEW _penstock_raw AS " + raw));
    PN_CHECK(reject_null_keys());
    PN_CHECK(pick_newest_by_key());
    PN_TRY(std::string published, select_all_published());
    PN_CHECK(choose_winners(published));
    PN_TRY(auto winners, connection_.query("SELECT count(*) FROM _penstock_winners"));
    counts_.rows_written = winners.number(0, 0);
    counts_.rows_filtered = counts_.rows_read - counts_.rows_rejected - counts_.rows_written;
    bool same_shape = newest_ && shape_.decisions.empty() && newest_->partitions == partition_names(partitions_) &&
                      newest_->mode == (target_.mode == flow::Mode::merge ? "merge" : "history");
    if (counts_.rows_written == 0 && same_shape && !target_.full_refresh) {
        unchanged_ = true;
        return {};
    }
    bool history = target_.mode == flow::Mode::history;
    auto names = [](const data::Schema& schema) {
        std::vector<std::string> out;
        for (const auto& field : schema.fields) out.push_back(field.name);
        return out;
    };
    std::string columns = quote_list(names(schema_));
    std::string added = history ? fmt::format("SELECT {}, _penstock_from AS _penstock_valid_from, CAST(NULL AS TIMESTAMPTZ) AS "
                                              "_penstock_valid_to FROM _penstock_winners",
                                              columns)
                                : fmt::format("SELECT {} FROM _penstock_winners", columns);
    if (published.empty()) return write_final(added);
    std::string same = same_key(target_.key, "T", "W");
    std::string kept =
        history ? fmt::format("SELECT {}, T._penstock_valid_from, coalesce(T._penstock_valid_to, W._penstock_from) AS _penstock_valid_to "
                              "FROM ({}) T LEFT JOIN _penstock_winners W ON {} AND T._penstock_valid_to IS NULL",
                              quote_list(names(schema_), "T."), published, same)
                : fmt::format("SELECT {} FROM ({}) T ANTI JOIN _penstock_winners W ON {}", quote_list(names(schema_), "T."), published, same);
    return write_final(kept + " UNION ALL " + added);
}

}  // namespace penstock::parquet
