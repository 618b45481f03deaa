#include "app/work/work.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "app/work/dbt.h"
#include "base/log.h"
#include "config/work.h"
#include "flow/comparison.h"

namespace penstock::app {
namespace {

Error has_no_rows(const flow::BuildContext& context) {
    const auto& name = context.pipeline.name;
    return {.kind = ErrorKind::usage,
            .code = "no_rows_of_its_own",
            .message = fmt::format("{} is work of another program: Penstock sees none of its rows", name),
            .where = context.pipeline.place.text(),
            .hint = fmt::format("`penstock plan {}` says what is run; name a pipeline with a source and a target for "
                                "what concerns rows",
                                name)};
}

Program command_program(const config::CommandWork& command, const WorkTry& work) {
    Program program{.words = {}, .folder = command.folder.empty() ? work.directory : command.folder.value};
    for (const auto& word : command.run) program.words.push_back(word.value);
    program.place = command.run.front().place.text();
    return program;
}

/// What every program is told beside what its author gives it.
void add_variables(Program& program, const config::ProgramWork& given, const WorkTry& work) {
    program.variables["PENSTOCK_PIPELINE"] = work.pipeline.name;
    program.variables["PENSTOCK_RUN_ID"] = work.run_id;
    program.variables["PENSTOCK_FULL_REFRESH"] = work.full_refresh ? "1" : "";
    for (const auto& [name, value] : given.env) program.variables[name] = value.reveal();
}

Status run_command(const config::CommandWork& command, const WorkTry& work, std::stop_token stop) {
    PN_TRY(auto program, program_of(work));
    PN_TRY(auto end, run_program(program, std::move(stop)));
    if (end.good()) return {};
    bool again = end.signal == 0 && std::ranges::find(command.retry_on, end.code) != command.retry_on.end();
    return fail({.kind = again ? ErrorKind::unavailable : ErrorKind::refused,
                 .code = "command_failed",
                 .message = fmt::format("the command {} {}", program.words.front(), end.told()),
                 .where = program.place,
                 .hint = again ? "what it said is in the log; its exit code asks for another try"
                               : "what it said is in the log; `retry_on` names the exit codes that are worth another "
                                 "try"});
}

}  // namespace

const flow::Component& work_component() {
    static const flow::Component made = {
        .type = "program",
        .doc = "Work of another program.",
        .build_source = [](const flow::BuildContext& context) -> Result<std::unique_ptr<flow::Source>> {
            return fail(has_no_rows(context));
        },
        .build_replay_source = [](const flow::BuildContext& context, const std::vector<flow::RejectRecord>&)
            -> Result<std::unique_ptr<flow::Source>> { return fail(has_no_rows(context)); },
        .build_sink = [](const flow::BuildContext& context) -> Result<std::unique_ptr<flow::Sink>> {
            return fail(has_no_rows(context));
        },
        .target_name = [](const flow::BuildContext& context, const flow::TableInfo&) -> Result<std::string> {
            return fail(has_no_rows(context));
        },
        .compare_source = [](const flow::BuildContext& context, std::stop_token)
            -> Result<std::unique_ptr<flow::ComparedSource>> { return fail(has_no_rows(context)); },
        .compare_target = [](const flow::BuildContext& context, std::stop_token)
            -> Result<std::unique_ptr<flow::ComparedTarget>> { return fail(has_no_rows(context)); }};
    return made;
}

std::string written_connection(const config::PipelineConfig& pipeline) {
    const auto* name = pipeline.work() == nullptr ? nullptr : pipeline.work()->find("connection");
    return name == nullptr ? "" : name->text;
}

Result<Program> program_of(const WorkTry& work) {
    Program program;
    if (!work.pipeline.command.is_null()) {
        PN_TRY(auto command, config::command_spec().parse(work.pipeline.command));
        program = command_program(command, work);
        add_variables(program, command, work);
    } else {
        PN_TRY(auto dbt, config::dbt_spec().parse(work.pipeline.dbt));
        program = dbt_program(dbt, work);
        add_variables(program, dbt, work);
    }
    // The folder of a configuration that is named without one is "".
    program.folder = program.folder.empty() ? std::filesystem::current_path()
                                            : std::filesystem::absolute(program.folder).lexically_normal();
    return program;
}

Status do_work(const WorkTry& work, std::vector<flow::TableResult>& tables, std::stop_token stop) {
    if (!work.pipeline.command.is_null()) {
        PN_TRY(auto command, config::command_spec().parse(work.pipeline.command));
        return run_command(command, work, std::move(stop));
    }
    PN_TRY(auto dbt, config::dbt_spec().parse(work.pipeline.dbt));
    return run_dbt(dbt, work, tables, std::move(stop));
}

}  // namespace penstock::app
