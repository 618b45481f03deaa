#include "config/step.h"

namespace penstock::config {
namespace {

const Spec<ProgramStep>& program_spec() {
    using P = ProgramStep;
    static const auto made =
        Spec<P>("program", "A program beside the pipeline that takes and gives rows as Arrow streams.")
            .required("command", &P::command, "The program and its arguments; no shell is involved.",
                      {.example = "[python3, rules.py]"})
            .field("timeout", &P::timeout, "How long it may be silent, and how long it may take to end.")
            .check([](const P& program, const Node&) -> Status {
                if (!program.command.empty() && !program.command.front().empty()) return {};
                return fail({.kind = ErrorKind::configuration,
                             .code = "no_command",
                             .message = "`command` is empty",
                             .hint = "name a program, such as [python3, rules.py]"});
            });
    return made;
}

}  // namespace

const Spec<Step>& step_spec() {
    using S = Step;
    static const auto made =
        Spec<S>("step", "What happens to rows between source and target.")
            .field("sql", &S::sql,
                   "A query over the rows, which are the table `batch`. It runs on each block of rows alone.",
                   {.example = "SELECT *, lower(email) AS email_lc FROM batch"})
            .field("program", &S::program, program_spec(), "A program that the rows go through.")
            .field("drops", &S::drops,
                   "The name of the rule by which the step leaves rows out: they count as filtered. Without it, a step "
                   "that gives other than the rows it was given ends the run.",
                   {.example = "only_active"})
            .one_of({"sql", "program"})
            .unavailable("mask", "write it as sql: sha256(), regexp_replace()")
            .unavailable("geoip", "lookups of addresses are planned");
    return made;
}

}  // namespace penstock::config
