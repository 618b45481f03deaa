// What is said of a row: for people and for programs.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/run_history.h"
#include "app/text_table.h"
#include "app/whereabouts.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t longest_shown = 100;

std::string shown_value(const std::optional<std::string>& text) {
    return text ? one_line(*text, longest_shown) : "NULL";
}

std::string batch_text(const Whereabouts& row) {
    if (!row.by) return "brought by   not known: no commit on record reaches as far as the row\n";
    std::string out = fmt::format("brought by   run {}, batch {}, committed {} ({})\n", row.by->run_id, row.by->batch,
                                  row.by->committed_at, row.by_reason);
    if (!row.by->cursor_to.empty())
        out += fmt::format("             cursor {} to {}, read {}\n",
                           row.by->cursor_from.empty() ? "the beginning" : row.by->cursor_from, row.by->cursor_to,
                           row.by->read_at);
    return out;
}

Json values_json(const NamedValues& values) {
    Json json = Json::object();
    for (const auto& [name, text] : values) json[name] = text ? Json(*text) : Json(nullptr);
    return json;
}

Json checks_json(const Whereabouts& row) {
    Json list = Json::array();
    for (const auto& record : row.checks)
        list.push_back({{"check", record.validation.check},
                        {"column", record.validation.column},
                        {"success", record.validation.success},
                        {"unexpected", record.validation.unexpected_count}});
    return list;
}

std::string fate_of(const flow::RejectRecord& record) {
    if (record.replayed_at != TimePoint{}) return "replayed";
    return record.discarded_at != TimePoint{} ? "discarded" : "open";
}

Json rejects_json(const Whereabouts& row) {
    Json list = Json::array();
    for (const auto& record : row.rejects)
        list.push_back({{"id", record.id},
                        {"run_id", record.run_id},
                        {"column", record.reject.column},
                        {"code", record.reject.code},
                        {"reason", record.reject.reason},
                        {"state", fate_of(record)}});
    return list;
}

bool any_open(const Whereabouts& row) {
    for (const auto& record : row.rejects)
        if (record.open()) return true;
    return false;
}

}  // namespace

std::string Whereabouts::verdict() const {
    bool there = !rows.empty() && !deleted;
    if (there && filtered) return "the target has it; in the source it no longer meets the pipeline's `where`";
    if (there && !source_asked) return "the target has it";
    if (there && !at_source) return "the target has it, and the source has it no more";
    if (there && differs.empty()) return "the target has it as the source has it now";
    if (there && newer)
        return "the target has it as it was: the source changed it since, and the next run will read it";
    if (there && any_open(*this)) return "the target has it as it was: what it is now was rejected";
    if (there) return fmt::format("the target has it, and the source has something else in {}", differs);
    std::string what = deleted ? "it is marked as deleted" : "the target does not have it";
    if (any_open(*this)) return what + ": it was rejected";
    if (source_asked && !at_source)
        return deleted ? "the source deleted it, and the target keeps its last values" : "neither side has it";
    if (filtered) return what + ": the pipeline's `where` leaves it out";
    if (newer) return what + ": it is newer than the checkpoint, and the next run will read it";
    if (!source_asked) return what;
    if (stream)
        return fmt::format(
            "{}, and the source has it: `penstock verify {}` says whether the change is on its way, "
            "`penstock run {} --resnapshot {}` reads the table again",
            what, pipeline, pipeline, source);
    return fmt::format("{}, and the source has it: `penstock verify {} --repair` reads it again", what, pipeline);
}

std::string whereabouts_text(const Whereabouts& row) {
    std::string text = row.verdict() + "\n\n";
    text += fmt::format("table        {} <- {}, pipeline {}\n", row.target, row.source, row.pipeline);
    if (!row.rows.empty()) text += batch_text(row);
    if (!row.cursor.empty()) text += fmt::format("cursor       {}\n", row.cursor);
    if (!row.position.empty()) text += fmt::format("position     {} (commit and place within it)\n", row.position);
    if (row.schema_version > 0) text += fmt::format("schema       version {}\n", row.schema_version);
    if (row.source_asked) text += fmt::format("source       as of {}\n", row.moment);
    for (const auto& record : row.checks)
        text += fmt::format("check        {} {}: {}\n", record.validation.check, record.validation.column,
                            record.validation.success ? "passed" : "failed");
    for (const auto& record : row.rejects)
        text += fmt::format("reject       {} ({}), run {}: {}: {}\n", record.id, fate_of(record), record.run_id,
                            record.reject.column, record.reject.reason);
    TextTable table({{.heading = "COLUMN"}, {.heading = "TARGET"}, {.heading = "SOURCE"}});
    const NamedValues* newest = row.rows.empty() ? nullptr : &row.rows.back();
    const NamedValues& shown = newest != nullptr ? *newest : row.at_source ? *row.at_source : NamedValues();
    for (const auto& [name, held] : shown) {
        std::string there;
        if (row.at_source)
            for (const auto& [column, text_there] : *row.at_source)
                if (column == name) there = shown_value(text_there);
        table.add({name, newest != nullptr ? shown_value(held) : "", there});
    }
    if (!table.empty()) text += "\n" + table.text();
    if (row.rows.size() > 1)
        text += fmt::format("{} rows of the target have this key; the newest is shown\n", row.rows.size());
    return text;
}

Json whereabouts_json(const Whereabouts& row) {
    Json versions = Json::array();
    for (const auto& one : row.rows) versions.push_back(values_json(one));
    Json by = nullptr;
    if (row.by)
        by = {{"run_id", row.by->run_id},       {"batch", row.by->batch},     {"cursor_from", row.by->cursor_from},
              {"cursor_to", row.by->cursor_to}, {"read_at", row.by->read_at}, {"committed_at", row.by->committed_at},
              {"known_by", row.by_reason}};
    return {{"verdict", row.verdict()},
            {"pipeline", row.pipeline},
            {"source", row.source},
            {"target", row.target},
            {"rows", versions},
            {"deleted", row.deleted},
            {"brought_by", by},
            {"cursor", row.cursor},
            {"position", row.position},
            {"schema_version", row.schema_version},
            {"checks", checks_json(row)},
            {"rejects", rejects_json(row)},
            {"at_source", row.at_source ? values_json(*row.at_source) : Json(nullptr)},
            {"moment", row.moment},
            {"newer", row.newer},
            {"filtered", row.filtered},
            {"differs", row.differs}};
}

}  // namespace penstock::app
