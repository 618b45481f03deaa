#include "config/work.h"

#include <fmt/format.h>

#include "config/mistake.h"

namespace penstock::config {
namespace {

/// The first value below a node that came from a reference; null where none did.
const Node* reference_in(const Node& node) {
    if (!node.reference.empty()) return &node;
    for (const auto& item : node.items)
        if (const auto* found = reference_in(item)) return found;
    for (const auto& entry : node.entries)
        if (const auto* found = reference_in(entry.value)) return found;
    return nullptr;
}

/// Shorter ones are words and numbers (`main`, `1000`), which would be blotted out wherever they stand.
constexpr size_t least_secret = 8;

/// Of a variable only what comes from a reference is a secret: `example` would blot out a word.
Codec<Secret> variable_codec() {
    return {{.kind = Kind::text, .secret = true},
            [](const Node& node, Secret& into, const Reading& reading) {
                if (!read_scalar(node, "text", false, reading)) return false;
                for (const auto& value : node.resolved)
                    if (value.size() >= least_secret) remember_secret(value);
                into = Secret(node.text);
                return true;
            },
            secret_codec().write};
}

Status check_command(const CommandWork& command, const Node& node) {
    if (!command.run.empty() && !command.run.front().empty()) return {};
    return fail(problem(node.find("run") ? *node.find("run") : node, "no_program", "`run` names no program",
                        "the program and its arguments: [python3, tell.py]"));
}

Status check_dbt(const DbtWork& dbt, const Node&) {
    if (dbt.vars.is_null()) return {};
    if (!dbt.vars.is_map())
        return fail(problem(dbt.vars, "wrong_type", fmt::format("expected a map, found {}", describe(dbt.vars.kind))));
    if (const auto* found = reference_in(dbt.vars))
        return fail(problem(
            *found, "secret_on_command_line",
            fmt::format("{} would stand on a command line, which everybody on the machine can read", found->shown()),
            "give it in `env`, and read it in the project by env_var()"));
    return {};
}

const Spec<ProgramWork>& program_work_spec() {
    using W = ProgramWork;
    static const auto made =
        Spec<W>("work", "What every program of a pipeline has.")
            .field(
                "env", &W::env, variable_codec(),
                "Variables of the program's environment, over those of Penstock's own, which it inherits. What comes "
                "from a reference, and is of eight letters or more, is redacted in its output.",
                {.example = "{ERP_TOKEN: \"${ERP_TOKEN}\"}"})
            .field("connection", &W::connection,
                   "The connection of this file that the program writes. While it runs, `penstock serve` begins no "
                   "other run that has the same DuckDB file as its target.",
                   {.example = "warehouse"})
            .field("retry_on", &W::retry_on,
                   "Exit codes after which it is tried again, as often as `retries` says. After another one it is "
                   "not: nobody but you knows whether doing it twice is harmless.",
                   {.example = "[1, 75]",
                    .default_note = "75, which means that it may go better later (EX_TEMPFAIL); of dbt: none",
                    .least = 1,
                    .most = 255});
    return made;
}

}  // namespace

const Spec<CommandWork>& command_spec() {
    using C = CommandWork;
    static const auto made =
        Spec<C>("command", "In place of source and target: a program that is run. Its exit code 0 is success.")
            .required("run", &C::run,
                      "The program and its arguments, as a list. No shell reads them; `{window.start}` and "
                      "`{param.NAME}` stand for what the run is told. Everybody on the machine can read them: secrets "
                      "belong in `env`.",
                      {.example = "[python3, tell.py, --since, \"{window.start}\"]"})
            .field("folder", &C::folder, "Where it runs.",
                   {.example = "scripts", .default_note = "the folder of the configuration"})
            .include(program_work_spec())
            .check(check_command);
    return made;
}

const Spec<DbtWork>& dbt_spec() {
    using D = DbtWork;
    static const auto made =
        Spec<D>("dbt",
                "In place of source and target: a command of dbt. What became of its models and tests is read from its "
                "run_results.json.")
            .required("project", &D::project, "The folder of dbt_project.yml.", {.example = "dbt/shop"})
            .field("profiles", &D::profiles, "The folder of profiles.yml.",
                   {.example = "dbt/shop", .default_note = "where dbt looks for it"})
            .field("target", &D::target, "The target of the profile.",
                   {.example = "prod", .default_note = "the profile's own"})
            .choice("command", &D::command,
                    {{"build", "build", "Seeds, snapshots, models and their tests, in their order."},
                     {"run", "run", "The models."},
                     {"test", "test", "The tests."},
                     {"seed", "seed", "The seeds."},
                     {"snapshot", "snapshot", "The snapshots."}},
                    "What dbt does.")
            .field("select", &D::select, "Which nodes, as dbt selects them.",
                   {.example = "[marts, tag:hourly]", .default_note = "all of them"})
            .field("exclude", &D::exclude, "Which of them not.", {.example = "[tag:slow]"})
            .field("vars", &D::vars, "Variables of the project, by name.",
                   {.example = "{since: \"{window.start}\"}", .noun = "map"})
            .field("threads", &D::threads, "How many nodes dbt builds at once.",
                   {.default_note = "the profile's own", .least = 1, .most = 1000})
            .field("program", &D::program, "dbt itself: a name on the PATH, or a path.",
                   {.example = "/opt/dbt/bin/dbt"})
            .include(program_work_spec())
            .check(check_dbt);
    return made;
}

}  // namespace penstock::config
