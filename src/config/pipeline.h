#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/archive.h"
#include "config/check.h"
#include "config/route.h"
#include "config/settings.h"
#include "config/step.h"
#include "config/trigger.h"

namespace penstock::config {

/// The options that every connection, source and target has, whatever its system. The options of a component derive from one
/// of these structs and its Spec starts with `.include(…)` of the matching spec.

struct ConnectionOptions {
    std::string type;
};

struct SourceOptions {
    Text connection;
};

enum class WriteMode { append, replace, merge, history };
enum class SchemaChange { evolve, freeze, reject };
enum class Deletes { hard, soft };

std::string_view to_string(WriteMode mode);
std::string_view to_string(SchemaChange policy);

struct TargetOptions {
    Text connection;
    std::optional<WriteMode> mode;
    std::vector<Text> key;
    Text update_when;
    Text partition_by;
    std::vector<Text> cluster_by;
    SchemaChange schema_change = SchemaChange::evolve;
    std::optional<Deletes> deletes;

    /// The mode, or what stands for it where none is given: whole reads replace; increments merge where there is a key, and
    /// append where there is none.
    WriteMode mode_for(bool incremental) const;
};

/// Targets that hold tables by name (databases), where TargetOptions alone are for files and buses.
struct TableTargetOptions : TargetOptions {
    Text table;
    Text dataset;
};

const Spec<ConnectionOptions>& connection_spec();
const Spec<SourceOptions>& source_spec();
const Spec<TargetOptions>& target_spec();
const Spec<TableTargetOptions>& table_target_spec();

enum class Catchup { none, one, all };
enum class RunKind { drain, follow };

/// `for_each`: in place of the pipeline one stands for each row of a table; `{client.column}` in its source and target, and in
/// the options of their connections, are that row's values.
struct ForEach {
    Text connection;
    Text table;
    Text as;            ///< what rows are called in placeholders
    Text key;           ///< the column that tells rows apart
    Text last_success;  ///< the column that is set to when the last successful run began; "" none
};

/// `jobs`: a table where each run leaves what became of it.
struct JobTable {
    Text connection;
    Text table;
};

/// `rejects`: where the pipeline's rejects can be read by a name of their own.
struct RejectsView {
    Text connection;
    Text table;  ///< schema or dataset, and a name
};

/// One entry of `pipelines`. The settings are those of `defaults` with the pipeline's own over them. `source` and `target` are
/// parsed by the spec of their component (`connect/<system>`); the document has already reported their mistakes. A pipeline that
/// is work of another program has neither, and no connections.
struct PipelineConfig : PipelineSettings {
    std::string name;
    Place place;  ///< of the name
    Node source;
    Node target;
    Node command;  ///< in place of both: a program's work, parsed by command_spec() or dbt_spec() (config/work.h)
    Node dbt;
    std::string source_connection;
    std::string target_connection;
    Text schedule;
    Text timezone;
    Catchup catchup = Catchup::none;
    std::vector<Text> after;
    std::optional<RunKind> run;
    std::optional<ForEach> for_each;
    std::optional<JobTable> jobs;
    std::optional<Trigger> trigger;
    std::optional<Route> route;
    std::optional<Archive> archive;
    std::optional<RejectsView> rejects;

    // Of one that stands for a row of `for_each` (app/for_each.h).
    std::string origin;               ///< the pipeline of the file
    std::optional<ForEach> row_of;    ///< the `for_each` of that
    std::string organization;         ///< the row's key
    std::optional<Error> unusable{};  ///< why this row cannot be run; others can

    std::vector<Located<Step>> steps;
    std::vector<Located<Check>> checks;

    /// `command` or `dbt`; null where rows go from a source to a target.
    const Node* work() const { return !command.is_null() ? &command : dbt.is_null() ? nullptr : &dbt; }
};

const Spec<ForEach>& for_each_spec();
const Spec<JobTable>& jobs_spec();
const Spec<RejectsView>& rejects_spec();
const Spec<PipelineConfig>& pipeline_spec();

}  // namespace penstock::config
