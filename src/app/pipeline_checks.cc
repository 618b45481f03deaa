// What can be found wrong with a pipeline without connecting.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/pipeline.h"
#include "check/staged_rows.h"
#include "transform/events/source.h"

namespace penstock::app {

Status Pipeline::validate() const {
    if (is_work()) return {};  // its own options are all there is
    if (source_component_->validate_source != nullptr) PN_CHECK(source_component_->validate_source(source_));
    if (target_component_->validate_target != nullptr) PN_CHECK(target_component_->validate_target(target_));
    PN_CHECK(validate_checks());
    PN_CHECK(validate_rejects());
    if (is_routed()) return validate_route();
    if (config_->route || config_->archive)
        return fail({.kind = ErrorKind::configuration,
                     .code = "option_without_effect",
                     .message = fmt::format("{}: `route` and `archive` are for streams of events", name()),
                     .where = config_->place.text(),
                     .hint = "leave them out, or read events with `format: json`"});
    return is_stream() ? validate_stream() : validate_read();
}

Status Pipeline::validate_rejects() const {
    if (!config_->rejects) return {};
    const auto& connection = config_->rejects->connection;
    bool same = connection.value == config_->target_connection;
    if (same && target_component_->shows_rejects) return {};
    return fail({.kind = ErrorKind::configuration,
                 .code = "rejects_not_there",
                 .message = same ? fmt::format("{}: a {} target has no views to show rejects by", name(),
                                               target_component_->type)
                                 : fmt::format("{}: rejects cannot be in connection '{}', for they are committed "
                                               "together with the rows beside them",
                                               name(), connection.value),
                 .where = connection.place.text(),
                 .hint = same ? "leave `rejects` out; `penstock rejects list` shows them"
                              : fmt::format("name the target's connection, '{}', or leave `rejects` out",
                                            config_->target_connection)});
}

Status Pipeline::validate_archive() const {
    if (!config_->archive || source_.open_archive) return {};
    const auto& connection = config_->archive->connection;
    return fail(
        {.kind = ErrorKind::configuration,
         .code = "no_archive_there",
         .message = fmt::format("{}: connection '{}' is none that an archive can be in", name(), connection.value),
         .where = connection.place.text(),
         .hint = "name a connection of type files"});
}

Status Pipeline::validate_route() const {
    if (!config_->route)
        return fail(
            {.kind = ErrorKind::configuration,
             .code = "no_routes",
             .message = fmt::format("{}: nothing says what events look like and where they go", name()),
             .where = config_->place.text(),
             .hint = "route: {by: event_type, order: {schema: ddl/order_events.sql, table: data.order_events}}"});
    if (!target_component_->keeps_streams)
        return fail(at_target("events_not_taken",
                              fmt::format("a {} target does not take events in this version", target_component_->type),
                              "write them to a duckdb, bigquery or files connection"));
    for (const char* option : {"table", "dataset", "deletes", "update_when"})
        if (config_->target.find(option) != nullptr)
            return fail(at_target("option_without_effect",
                                  fmt::format("`{}` says nothing of events: each route has its table", option),
                                  "leave it out"));
    auto of_rows = [](auto mode) {
        return !mode || *mode == config::WriteMode::append || *mode == config::WriteMode::merge;
    };
    if (!of_rows(options_.mode))
        return fail(at_target("mode_without_effect",
                              fmt::format("mode {} is not for events", config::to_string(*options_.mode)),
                              "use mode: append, or mode: merge with a key"));
    PN_CHECK(validate_archive());
    return events::EventSource::check(*config_);
}

Error Pipeline::at_target(std::string code, std::string message, std::string hint) const {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = fmt::format("{}: {}", name(), message),
            .where = config_->target.place.text(),
            .hint = std::move(hint)};
}

Status Pipeline::validate_stream() const {
    if (!target_component_->takes_changes)
        return fail(at_target("changes_not_taken",
                              fmt::format("a {} target does not take changes in this version", target_component_->type),
                              "write them to a duckdb connection"));
    if (target_component_->logs_changes) return validate_log();
    if (options_.mode && (*options_.mode == config::WriteMode::append || *options_.mode == config::WriteMode::replace))
        return fail(
            at_target("mode_without_effect",
                      fmt::format("mode {} is for reads; changes are merged", config::to_string(*options_.mode)),
                      "use mode: merge or mode: history"));
    if (!options_.key.empty() || !options_.update_when.empty())
        return fail(at_target(
            "option_without_effect",
            "rows of a change stream are told apart by the source's replica identity, and every change is taken",
            "leave out `key` and `update_when`"));
    if (options_.deletes && options_.mode == config::WriteMode::history)
        return fail(at_target("option_without_effect", "mode history keeps deleted rows as closed versions",
                              "leave out `deletes`"));
    return {};
}

/// A log has every change, and no state of a row that could be merged or deleted.
Status Pipeline::validate_log() const {
    if (options_.mode && *options_.mode != config::WriteMode::append)
        return fail(
            at_target("changes_are_logged",
                      fmt::format("a {} target keeps changes as a log, a row each; mode {} of changes is not there "
                                  "in this version",
                                  target_component_->type, config::to_string(*options_.mode)),
                      "use mode: append; for a mirror or a history of the rows, write to a duckdb connection"));
    if (options_.deletes || !options_.key.empty() || !options_.update_when.empty())
        return fail(at_target("option_without_effect", "a log has every change as it came, deletes among them",
                              "leave out `deletes`, `key` and `update_when`"));
    return {};
}

Status Pipeline::validate_read() const {
    if (options_.deletes)
        return fail(at_target("option_without_effect",
                              "`deletes` is for change streams: a read does not see what was deleted",
                              "leave it out, or capture `changes`"));
    if (config_->run)
        return fail({.kind = ErrorKind::configuration,
                     .code = "option_without_effect",
                     .message = fmt::format("{}: `run` is for streams; this pipeline ends by itself", name()),
                     .where = config_->place.text(),
                     .hint = "leave it out"});
    return {};
}

/// What is recorded of a reject is the source's row unless a step has been over it: before the rejection by the source or a
/// step that is a mask, a column dropped, or a program; before that by a check, any step that changes a row.
const config::Located<config::Step>* Pipeline::step_over(const flow::Reject& reject) const {
    bool checked = reject.code == check::rejected_code;
    if (!reject.key.empty() && !is_routed() && !checked) return nullptr;  // read again by its key
    auto key = nlohmann::json::parse(reject.key, nullptr, false);
    auto names_key = [&](const auto& columns) {
        return !key.is_object() ||
               std::ranges::any_of(columns, [&](const auto& name) { return key.contains(name.value); });
    };
    auto marks = [&](const config::Step& step) {
        if (!checked) return step.mask || !step.drop.empty() || step.program;
        bool all = !step.sql.empty() || !step.rename.empty() || step.program;
        return all || (step.mask && names_key(step.mask->columns)) || (!step.drop.empty() && names_key(step.drop)) ||
               (!step.cast.empty() && !key.is_object()) || std::ranges::any_of(step.cast, [&](const auto& cast) {
                   return key.is_object() && key.contains(cast.first);
               });
    };
    for (const auto& step : config_->steps)
        if (marks(step.value)) return &step;
    return nullptr;
}

Status Pipeline::check_replay(const std::vector<flow::RejectRecord>& rejects) const {
    for (const auto& record : rejects) {
        const auto* step = step_over(record.reject);
        if (step == nullptr) continue;
        return fail(
            {.kind = ErrorKind::usage,
             .code = "replay_not_available",
             .message = fmt::format("{}: what was recorded of reject {} of {} is not what the source sent: step "
                                    "'{}' has been over it",
                                    name(), record.id, record.reject.table, step->value.kind()),
             .hint = config_->archive
                         ? fmt::format("`penstock rejects discard {0}`, then `penstock replay {0} "
                                       "--rejected --from TIME` reads the archive",
                                       name())
                         : fmt::format("`penstock run {} --full-refresh` reads everything again", name())});
    }
    return {};
}

}  // namespace penstock::app
