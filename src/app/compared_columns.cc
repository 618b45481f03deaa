#include "app/compared_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/letters.h"
#include "flow/change.h"

namespace penstock::app {
namespace {

bool concerns(const config::Step& step, const std::string& table) {
    return step.tables.empty() ||
           std::ranges::any_of(step.tables, [&](const auto& name) { return name.value == table; });
}

Error stepped(const Pipeline& pipeline, const config::Located<config::Step>& step) {
    return {.kind = ErrorKind::usage,
            .code = "verify_not_available",
            .message = fmt::format("{}: after a step `{}` nobody can say of a row of the source what the target must "
                                   "have in its place",
                                   pipeline.name(), step.value.kind()),
            .where = step.place.text(),
            .hint = "compare the tables before such a step: a pipeline without it, and the step in one behind it"};
}

/// What the steps do to columns of the source: name to why it is not compared.
Result<std::map<std::string, std::string>> touched(const Pipeline& pipeline, const std::string& table) {
    std::map<std::string, std::string> out;
    for (const auto& located : pipeline.config().steps) {
        const auto& step = located.value;
        if (!concerns(step, table)) continue;
        bool rows = !step.sql.empty() || step.filter || step.dedupe || step.program ||
                    (step.geoip && step.geoip->missing != config::GeoipStep::Missing::keep) ||
                    (step.lookup && step.lookup->missing != config::LookupStep::Missing::keep);
        if (rows) return fail(stepped(pipeline, located));
        std::string why = fmt::format("a step `{}` changes it on the way", step.kind());
        for (const auto& [from, to] : step.rename) out[from] = why;
        for (const auto& name : step.drop) out[name.value] = why;
        for (const auto& [name, type] : step.cast) out[name] = why;
        if (step.mask)
            for (const auto& name : step.mask->columns) out[name.value] = why;
    }
    return out;
}

/// A column that changed its type beyond what the target could widen goes on under another name: the newest of them.
const flow::ComparedColumn* find(const flow::ComparedTable& table, const std::string& name) {
    const flow::ComparedColumn* found = nullptr;
    std::string wanted = lower_case(name);
    for (const auto& column : table.columns)
        if (lower_case(column.name) == wanted) found = &column;
    for (int version = 2;; ++version) {
        std::string next = fmt::format("{}__v{}", wanted, version);
        auto there =
            std::ranges::find_if(table.columns, [&](const auto& column) { return lower_case(column.name) == next; });
        if (there == table.columns.end()) return found;
        found = &*there;
    }
}

}  // namespace

Error key_not_compared(const flow::TableTarget& table, const std::string& column, const std::string& why) {
    return {.kind = ErrorKind::usage,
            .code = "verify_not_available",
            .message = fmt::format("{}: its key column {} cannot be compared: {}", table.info.name, column, why),
            .where = "table " + table.info.name,
            .hint = "let the key reach the target as it is"};
}

Result<ComparedColumns> compared_columns(const Pipeline& pipeline, const flow::TableTarget& table,
                                         const flow::ComparedTable& there) {
    PN_TRY(auto changed, touched(pipeline, table.info.name));
    ComparedColumns out;
    for (const auto& field : table.info.schema.fields) {
        std::string why;
        const auto* column = find(there, field.name);
        if (auto step = changed.find(field.name); step != changed.end()) why = step->second;
        else if (column == nullptr) why = "the target has no such column yet";
        else why = column->not_compared;
        if (!why.empty()) {
            if (std::ranges::find(table.key, field.name) != table.key.end())
                return fail(key_not_compared(table, field.name, why));
            out.left_out.emplace_back(field.name, why);
            continue;
        }
        out.source.push_back({.name = field.name, .type = column->type});
        out.target.push_back(*column);
    }
    return out;
}

std::string current_rows(const flow::TableTarget& table, const std::function<std::string(std::string_view)>& quoted) {
    bool history = table.mode == flow::Mode::history;
    std::string condition = history ? quoted(flow::change::valid_to) + " IS NULL" : "";
    bool marked = table.info.changes && (history || table.deletes == flow::Deletes::soft);
    if (!marked) return condition;
    return fmt::format("{}{}{} IS NOT TRUE", condition, condition.empty() ? "" : " AND ",
                       quoted(flow::change::deleted));
}

}  // namespace penstock::app
