#include "transform/steps/info_after.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace penstock::steps {
namespace {

/// A column whose values the step made: what the source knows of its own says nothing about them.
data::Field made_field(const data::Field* was, const engine::TargetColumn& column) {
    data::Field field{.name = column.name, .type = *column.type};
    if (was != nullptr) {
        field.source_id = was->source_id;
        field.source_relation = was->source_relation;
    }
    field.source_type = column.sql_type;
    field.initial_unknown = true;
    return field;
}

data::Field field_after(const data::Schema& was, const StepSql& step, const engine::TargetColumn& column) {
    auto same = step.same.find(column.name);
    int at = was.find(same != step.same.end() ? same->second : column.name);
    const data::Field* before = at < 0 ? nullptr : &was.fields[static_cast<size_t>(at)];
    if (before == nullptr || same == step.same.end() || before->type != *column.type) return made_field(before, column);
    data::Field field = *before;
    field.name = column.name;
    if (!step.guessed) return field;
    // A query may have put anything there under the same name.
    field.nullable = true;
    field.initial.reset();
    field.initial_unknown = true;
    return field;
}

Error no_such_type(const flow::TableInfo& info, const StepSql& step, const engine::TargetColumn& column) {
    return {.kind = ErrorKind::configuration,
            .code = "step_type_unknown",
            .message = fmt::format("the step `{}` gives {} a column '{}' of type {}, which no target holds", step.name,
                                   info.name, column.name, column.sql_type),
            .where = step.place,
            .hint = "cast it in the query, for example to BIGINT, DECIMAL(38,0) or VARCHAR"};
}

Error takes_cursor(const flow::TableInfo& info, const StepSql& step) {
    return {.kind = ErrorKind::configuration,
            .code = "step_takes_cursor",
            .message = fmt::format("the step `{}` takes away or changes '{}', the cursor of {}", step.name, info.cursor,
                                   info.name),
            .where = step.place,
            .hint = "the target needs the cursor's values to tell the newest row: leave the column as it is"};
}

}  // namespace

Result<flow::TableInfo> info_after(const flow::TableInfo& was, const StepSql& step,
                                   const std::vector<engine::TargetColumn>& columns) {
    flow::TableInfo info = was;
    info.schema.fields.clear();
    for (const auto& column : columns) {
        if (!column.type) return fail(no_such_type(was, step, column));
        info.schema.fields.push_back(field_after(was.schema, step, column));
    }
    PN_CHECK(check_names(info, step.place));
    auto now = [&](const std::string& name) -> std::string {
        for (const auto& [after, before] : step.same)
            if (before == name && info.schema.find(after) >= 0) return after;
        return "";
    };
    for (auto& name : info.key) {
        std::string same = now(name);
        bool replaced = std::ranges::find(step.replaced, name) != step.replaced.end();
        if (same.empty() && !replaced) {
            info.key.clear();
            info.key_is_unique = false;
            break;
        }
        if (!same.empty()) name = same;
    }
    for (auto& name : info.cluster_by)
        if (std::string same = now(name); !same.empty()) name = same;
    if (was.cursor.empty()) return info;
    info.cursor = now(was.cursor);
    int at = info.cursor.empty() ? -1 : info.schema.find(info.cursor);
    if (at < 0) return fail(takes_cursor(was, step));
    const auto& before = was.schema.fields[static_cast<size_t>(was.schema.find(was.cursor))].type;
    if (info.schema.fields[static_cast<size_t>(at)].type != before) return fail(takes_cursor(was, step));
    return info;
}

Status check_names(const flow::TableInfo& info, const std::string& place) {
    std::set<std::string> seen;
    for (const auto& field : info.schema.fields) {
        std::string folded = field.name;
        std::ranges::transform(folded, folded.begin(), [](unsigned char c) { return std::tolower(c); });
        if (seen.insert(folded).second) continue;
        return fail(
            {.kind = ErrorKind::configuration,
             .code = "step_column_twice",
             .message = fmt::format("{} has two columns '{}' at this step, but for upper and lower case", info.name,
                                    field.name),
             .where = place,
             .hint = "steps tell columns apart by their names: give one of them another by a query at the source"});
    }
    return {};
}

}  // namespace penstock::steps
