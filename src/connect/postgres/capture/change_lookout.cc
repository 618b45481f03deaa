// Tables that come and go: at the beginning of a run, and while it follows.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "connect/postgres/capture/change_source.h"

namespace penstock::postgres {
namespace {

/// Relations that have nothing to do with the pipeline may fill the stream.
constexpr auto least_between_looks = std::chrono::seconds(2);

}  // namespace

Result<ChangePlan> ChangeSource::plan_what_can_be() {
    while (true) {
        auto plan = plan_changes(*catalog_, options_.source, options_.policies, options_.holds);
        if (plan || !leave_out(plan.error())) return plan;
    }
}

/// Of an error of one table: the others are planned without it. A run that follows and meets one by a pattern goes on too:
/// whoever makes a table need not know of the pipeline.
bool ChangeSource::leave_out(const Error& error) {
    auto named = [&](const Relation& relation) {
        return std::ranges::any_of(changes().tables, [&](const config::Text& text) {
            return text.value == relation.full_name() || text.value == relation.name;
        });
    };
    auto relations = list_relations(*catalog_, whole_tables(options_.source));
    if (!relations || relations->size() < 2) return false;
    for (const auto& relation : *relations) {
        auto name = relation.full_name();
        if (error.where != "table " + name && !error.where.starts_with(name + ".")) continue;
        if (changes().on_table_error == OnTableError::stop && (!options_.follow || named(relation))) return false;
        log::error("{} cannot be captured, the other tables go on: {}{}{}", name, error.message,
                   error.hint.empty() ? "" : "; ", error.hint);
        unfit_[name] = {error.code, error.message};
        options_.source.changes->exclude.push_back({.value = name});
        return true;
    }
    return false;
}

Status ChangeSource::say_what_is_gone() {
    if (!last_) return {};
    for (const auto& [name, oid] : last_->tables) {
        auto captured = [&](const ChangeTable& table) { return table.read.oid == oid || table.read.info.name == name; };
        if (std::ranges::any_of(plan_.tables, captured)) continue;
        PN_TRY(auto found,
               catalog_->query("SELECT 1 FROM pg_catalog.pg_class WHERE oid = $1::oid", {std::to_string(oid)}));
        if (found.count() == 0) log::warning("{} was dropped from the source; its target stays as it was", name);
    }
    return {};
}

/// A failure to look is no failure of the stream.
Status ChangeSource::look_for_tables() {
    auto since = std::chrono::steady_clock::now() - looked_at_;
    bool due = since > changes().look_every || (met_other_ && since > least_between_looks);
    if (!options_.follow || !due) return {};
    met_other_ = false;
    looked_at_ = std::chrono::steady_clock::now();
    auto session = Session::connect(options_.connection, options_.purpose, stop_);
    if (!session) return {};
    auto relations = list_relations(**session, whole_tables(options_.source));
    if (!relations) return {};
    for (const auto& relation : *relations) {
        auto known = [&](const ChangeTable& table) { return table.read.oid == relation.oid; };
        if (std::ranges::any_of(plan_.tables, known) || passed_over_.contains(relation.oid)) continue;
        PN_CHECK(may_join(**session, relation));
    }
    for (const auto& table : plan_.tables) {
        auto there = [&](const Relation& relation) { return relation.oid == table.read.oid; };
        if (std::ranges::any_of(*relations, there) || !passed_over_.insert(table.read.oid).second) continue;
        log::warning("{} was dropped from the source; its target stays as it was", table.read.info.name);
    }
    return look_for_partitions(**session);
}

/// What has changed in rows without being streamed is found out again, with the way out, when the tables are opened.
Status ChangeSource::look_for_partitions(Session& session) {
    auto shapes = table_shapes(session, plan_.tables);
    if (!shapes) return {};
    for (size_t i = 0; i < shapes->size(); ++i) {
        (*shapes)[i].published = shapes_[i].published;
        if ((*shapes)[i].pieces.empty() || captured_[i].state == State::aside) continue;
        if (auto trouble = unstreamed(name_of(i), shapes_[i], (*shapes)[i], columns_by()))
            return fail({.kind = ErrorKind::unavailable, .code = flow::look_again, .message = trouble->message});
    }
    return {};
}

/// One that could not be captured does not stop the others; a run that begins with it says so in full.
Status ChangeSource::may_join(Session& session, const Relation& relation) {
    auto alone = options_.source;
    alone.changes->tables = {{.value = relation.full_name()}};
    auto plan = plan_changes(session, alone, options_.policies, options_.holds);
    if (!plan) {
        passed_over_.insert(relation.oid);
        log::warning("{} is new and cannot be captured: {}", relation.full_name(), plan.error().message);
        return {};
    }
    log::info("{} is new and joins", relation.full_name());
    return fail({.kind = ErrorKind::unavailable,
                 .code = flow::look_again,
                 .message = fmt::format("table {} is new", relation.full_name())});
}

}  // namespace penstock::postgres
