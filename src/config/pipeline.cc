#include "config/pipeline.h"

#include "config/check.h"

#include <fmt/format.h>

#include "config/work.h"

namespace penstock::config {
namespace {

Status check_update_when(const TargetOptions& target, const Node&) {
    if (target.update_when.empty() || !target.mode || *target.mode == WriteMode::merge) return {};
    return fail({.kind = ErrorKind::configuration,
                 .code = "option_without_effect",
                 .message = fmt::format("'update_when' has no effect in mode '{}'", to_string(*target.mode)),
                 .where = target.update_when.place.text(),
                 .hint = "it says which rows a merge updates: write mode: merge, or remove it"});
}

/// What is for rows means nothing to another program.
Status check_work(const PipelineConfig& pipeline, const Node& node) {
    if (pipeline.work() == nullptr) return {};
    for (auto name : {"target", "steps", "checks", "route", "archive", "rejects", "run"})
        if (const auto* entry = node.entry(name))
            return fail({.kind = ErrorKind::configuration,
                         .code = "option_without_effect",
                         .message = fmt::format("'{}' is for rows, which a program keeps to itself", name),
                         .where = entry->place.text(),
                         .hint = "remove it; give a pipeline of rows a source and a target"});
    return {};
}

}  // namespace

std::string_view to_string(WriteMode mode) {
    switch (mode) {
        case WriteMode::append: return "append";
        case WriteMode::replace: return "replace";
        case WriteMode::merge: return "merge";
        case WriteMode::history: return "history";
    }
    std::unreachable();
}

std::string_view to_string(SchemaChange policy) {
    switch (policy) {
        case SchemaChange::evolve: return "evolve";
        case SchemaChange::freeze: return "freeze";
        case SchemaChange::reject: return "reject";
    }
    std::unreachable();
}

WriteMode TargetOptions::mode_for(bool incremental) const {
    if (mode) return *mode;
    if (!incremental) return WriteMode::replace;
    return key.empty() ? WriteMode::append : WriteMode::merge;
}

const Spec<ConnectionOptions>& connection_spec() {
    static const auto made =
        Spec<ConnectionOptions>("connection", "A system that pipelines read from or write to.")
            .required("type", &ConnectionOptions::type, "Which kind of system this is; it decides the other options.");
    return made;
}

const Spec<SourceOptions>& source_spec() {
    static const auto made = Spec<SourceOptions>("source", "What a pipeline reads.")
                                 .required("connection", &SourceOptions::connection,
                                           "The name of a connection of this file.", {.example = "shop"});
    return made;
}

const Spec<TargetOptions>& target_spec() {
    using T = TargetOptions;
    static const auto made =
        Spec<T>("target", "Where a pipeline writes, and how rows meet those already there.")
            .required("connection", &T::connection, "The name of a connection of this file.", {.example = "warehouse"})
            .choice("mode", &T::mode,
                    {{"append", WriteMode::append, "Add the rows."},
                     {"replace", WriteMode::replace, "Build the table aside and swap it in when complete."},
                     {"merge", WriteMode::merge, "Update rows with the same key, insert the others."},
                     {"history", WriteMode::history,
                      "Keep every version of a row with the time it was valid (slowly changing dimension, type 2)."}},
                    "How rows meet those already there.",
                    {.default_note = "replace; with a cursor merge where there is a key, else append"})
            .field("key", &T::key, "Columns that identify a row, for merge and history.",
                   {.example = "[user_id, event_timestamp]", .default_note = "the primary key of the source table"})
            .field("update_when", &T::update_when,
                   "SQL condition over target row T and incoming row S; a merge updates only where it holds.",
                   {.example = "T.is_active IS DISTINCT FROM S.is_active"})
            .field("partition_by", &T::partition_by, "Column or expression that divides the table.",
                   {.example = "date(event_timestamp)"})
            .field("cluster_by", &T::cluster_by, "Columns by which rows are kept together.",
                   {.example = "[user_id, event_type]"})
            .choice("schema_change", &T::schema_change,
                    {{"evolve", SchemaChange::evolve, "Follow the source: add columns, widen types."},
                     {"freeze", SchemaChange::freeze, "Keep the target as it is and leave new columns out."},
                     {"reject", SchemaChange::reject, "End the run."}},
                    "What happens when the source's columns change.")
            .choice("deletes", &T::deletes,
                    {{"hard", Deletes::hard, "The row is deleted."},
                     {"soft", Deletes::soft, "The row stays and `_penstock_deleted` becomes true."}},
                    "What a delete in a change stream does to the target's row, in mode merge.",
                    {.default_note = "hard"})
            .check(check_update_when);
    return made;
}

const Spec<TableTargetOptions>& table_target_spec() {
    using T = TableTargetOptions;
    static const auto made =
        Spec<T>("table target", "A target that holds tables by name.")
            .include(target_spec())
            .field("table", &T::table, "The table, schema-qualified; `{schema}` and `{table}` stand for the source's.",
                   {.example = "ecommerce.fct_events", .default_note = "the source table's own name"})
            .field("dataset", &T::dataset, "The schema or dataset for tables that keep their own names.",
                   {.example = "shop"})
            .at_most_one_of({"table", "dataset"});
    return made;
}

const Spec<ForEach>& for_each_spec() {
    static const auto made =
        Spec<ForEach>("for_each", "A pipeline for each row of a table.")
            .required("connection", &ForEach::connection, "The name of a mysql connection of this file.",
                      {.example = "ops"})
            .required("table", &ForEach::table, "The table or view, at most 1,000 rows.",
                      {.example = "client_billing_config"})
            .required("as", &ForEach::as, "What a row is called in placeholders.", {.example = "client"})
            .field("key", &ForEach::key, "The column that tells rows apart; it becomes part of the pipelines' names.",
                   {.default_note = "organization_id"})
            .field("last_success", &ForEach::last_success,
                   "A column of the table that is set to the time when the row's last successful run began, for people "
                   "and other programs: where a run goes on is in the target's checkpoint.",
                   {.example = "last_successful_run"});
    return made;
}

const Spec<JobTable>& jobs_spec() {
    static const auto made = Spec<JobTable>("jobs",
                                            "A table of jobs: organization_id, job_id, status (IN_PROGRESS, SUCCESS, "
                                            "FAILED), error_message, and steps as "
                                            "JSON where it has that column. Made when there is none.")
                                 .required("connection", &JobTable::connection,
                                           "The name of a mysql connection of this file.", {.example = "ops"})
                                 .required("table", &JobTable::table, "The table.", {.example = "etl_jobs"});
    return made;
}

const Spec<RejectsView>& rejects_spec() {
    using R = RejectsView;
    static const auto made =
        Spec<R>("rejects", "A view of the pipeline's rejects, in the target.")
            .required("connection", &R::connection,
                      "The target's own connection: rejects are committed together with the rows beside them.",
                      {.example = "warehouse"})
            .required("table", &R::table,
                      "The view's name, with its schema or dataset. It has the pipeline's rows of the bookkeeping's "
                      "table `rejects`.",
                      {.example = "backend_events_data.rejected_events"})
            .check([](const R& view, const Node&) -> Status {
                const auto& name = view.table.value;
                auto dot = name.find('.');
                bool two_parts = dot != name.npos && dot != 0 && dot + 1 != name.size() &&
                                 name.find('.', dot + 1) == name.npos && name.find('{') == name.npos;
                if (two_parts) return {};
                return fail({.kind = ErrorKind::configuration,
                             .code = "bad_table_name",
                             .message = fmt::format("'{}' is no name of a table in a schema or dataset", name),
                             .where = view.table.place.text(),
                             .hint = "write schema.table, without placeholders"});
            });
    return made;
}

const Spec<PipelineConfig>& pipeline_spec() {
    using P = PipelineConfig;
    static const auto made =
        Spec<P>("pipeline", "One flow of rows from a source to a target, or the work of another program.")
            .field("source", &P::source, "What is read; the options depend on the type of its connection.",
                   {.example = "{connection: shop, table: public.events}", .noun = "map"})
            .field("target", &P::target, "Where it is written; the options depend on the type of its connection.",
                   {.example = "{connection: warehouse, table: events}", .noun = "map"})
            .field("command", &P::command, kept(command_spec()),
                   "In place of source and target: a program that is run.", {.example = "{run: [python3, tell.py]}"})
            .field("dbt", &P::dbt, kept(dbt_spec()), "In place of source and target: a command of dbt in a project.",
                   {.example = "{project: dbt/shop}"})
            .field("steps", &P::steps, step_spec(), "What happens to rows on their way, one after the other.",
                   {.example = "[{mask: {columns: [email], with: sha256, salt: \"${SALT}\"}}]"})
            .field("checks", &P::checks, check_spec(), "What must hold for rows before they are published.",
                   {.example = "[{not_null: [user_id]}, {row_count: {min: 1}}]"})
            .field("schedule", &P::schedule,
                   "When `penstock serve` runs it: a cron expression of five fields, @hourly, @daily, @weekly, "
                   "@monthly, @yearly, or @every with a duration. A pipeline without one that comes `after` scheduled "
                   "ones runs when they do.",
                   {.example = "\"0 2 * * *\""})
            .field("timezone", &P::timezone, "The time zone of the schedule, by its IANA name.",
                   {.example = "Europe/Vienna", .default_note = "UTC"})
            .choice("catchup", &P::catchup,
                    {{"false", Catchup::none, "Missed times are skipped."},
                     {"one", Catchup::one, "One run makes up for all missed times."},
                     {"all", Catchup::all, "Each missed time is run."}},
                    "What happens to scheduled times that were missed.")
            .field("after", &P::after, "Pipelines that must have succeeded first.", {.example = "[customers]"})
            .include(settings_spec())
            .field(
                "rejects", &P::rejects, rejects_spec(),
                "A name under which the target shows the pipeline's rejects; they are kept in the bookkeeping's table "
                "`rejects` (penstock.rejects) in any case.")
            .field("route", &P::route, route_codec(), "Of an event stream: which events go into which table.")
            .field("archive", &P::archive, archive_spec(),
                   "Of an event stream: where its messages are kept as they came.")
            .choice("run", &P::run,
                    {{"drain", RunKind::drain, "Up to where the stream was when the run began; then it ends."},
                     {"follow", RunKind::follow, "On and on, until it is stopped."}},
                    "How far a run of a stream goes; `--drain` and `--follow` of `penstock run` come first.",
                    {.default_note = "drain"})
            .field("for_each", &P::for_each, for_each_spec(),
                   "One pipeline stands for each row of a table, such as an organization's: `{client.column}` in "
                   "source, target and their "
                   "connections is that row's value. One that fails does not touch the others.")
            .field("jobs", &P::jobs, jobs_spec(), "A table where each run leaves what became of it.")
            .field("trigger", &P::trigger, trigger_spec(),
                   "A message from outside that starts it, in `penstock serve`.")
            .one_of({"source", "command", "dbt"})
            .requires_other("source", "target")
            .requires_other("timezone", "schedule")
            .requires_other("catchup", "schedule")
            .check(check_work);
    return made;
}

}  // namespace penstock::config
