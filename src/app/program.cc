#include "app/program.h"

#include <array>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/interruption.h"
#include "app/output.h"
#include "app/terminal.h"
#include "base/failpoint.h"

namespace penstock::app {
namespace {

struct Verb {
    std::string_view name;
    Command command;
};

constexpr std::array verbs = {Verb{"check", command::check},
                              Verb{"doctor", command::doctor},
                              Verb{"plan", command::plan},
                              Verb{"run", command::run},
                              Verb{"serve", command::serve},
                              Verb{"types", command::types},
                              Verb{"status", command::status},
                              Verb{"schedule", command::schedule},
                              Verb{"pause", command::pause},
                              Verb{"resume", command::resume},
                              Verb{"backfill", command::backfill},
                              Verb{"runs", command::runs},
                              Verb{"schema show", command::schema_show},
                              Verb{"schema diff", command::schema_diff},
                              Verb{"schema history", command::schema_history},
                              Verb{"rejects list", command::rejects_list},
                              Verb{"rejects show", command::rejects_show},
                              Verb{"rejects replay", command::rejects_replay},
                              Verb{"replay", command::replay},
                              Verb{"rejects discard", command::rejects_discard},
                              Verb{"quality run", command::quality_run},
                              Verb{"verify", command::verify},
                              Verb{"why", command::why},
                              Verb{"quality import", command::quality_import},
                              Verb{"quality docs", command::quality_docs},
                              Verb{"export airflow", command::export_airflow},
                              Verb{"export kubernetes", command::export_kubernetes},
                              Verb{"export cloudrun", command::export_cloudrun},
                              Verb{"export terraform", command::export_terraform},
                              Verb{"backup run", command::backup_run},
                              Verb{"backup wal", command::backup_wal},
                              Verb{"backup wal-fetch", command::backup_wal_fetch},
                              Verb{"backup prune", command::backup_prune},
                              Verb{"backup list", command::backup_list},
                              Verb{"backup verify", command::backup_verify},
                              Verb{"backup status", command::backup_status},
                              Verb{"backup drill", command::backup_drill},
                              Verb{"backup drills", command::backup_drills},
                              Verb{"backup restore", command::backup_restore},
                              Verb{"slots list", command::slots_list},
                              Verb{"slots drop", command::slots_drop},
                              Verb{"slots advance", command::slots_advance},
                              Verb{"init", command::init},
                              Verb{"demo", command::demo},
                              Verb{"components", command::components},
                              Verb{"config-schema", command::config_schema},
                              Verb{"completion", command::completion},
                              Verb{"--man", command::manual},
                              Verb{"failpoints", command::failpoints},
                              Verb{"docs", command::docs}};

log::Format log_format(const Options& options) {
    return options.log_format.value_or(stderr_is_terminal() ? log::Format::text : log::Format::json);
}

/// Whoever watches a terminal sees progress and results; what a log tells beside them would be noise.
log::Level log_level(const Options& options) {
    if (options.quiet) return log::Level::warning;
    bool watched = stderr_is_terminal() && log_format(options) == log::Format::text;
    return options.log_level.value_or(watched ? log::Level::warning : log::Level::info);
}

Result<int> dispatch(const Session& session) {
    for (const auto& verb : verbs)
        if (verb.name == session.options.command) return verb.command(session);
    return fail({.kind = ErrorKind::internal,
                 .code = "command_without_code",
                 .message = "the command '" + session.options.command + "' is declared and does nothing"});
}

Result<int> guarded_dispatch(const Session& session) {
    try {
        return dispatch(session);
    } catch (const std::exception& error) {
        return fail({.kind = ErrorKind::internal,
                     .code = "unexpected_exception",
                     .message = std::string("unexpected exception: ") + error.what(),
                     .hint = "this is a fault of penstock: please report it with the command that showed it"});
    }
}

int show_error(const Error& error, log::Format format) {
    print_error(error, format);
    return exit_code(error.kind);
}

}  // namespace

int program(int argc, const char* const* argv) {
    Interruption interruption;
    auto request = read_command_line(argc, argv);
    // How the log is written is not known when the command line is not: people type command lines.
    if (!request) return show_error(request.error(), log::Format::text);
    if (request->answer) {
        auto printed = print(*request->answer);
        return printed ? 0 : show_error(printed.error(), log::Format::text);
    }
    const Session session{
        .options = request->options, .log_format = log_format(request->options), .stop = interruption.token()};
    log::setup(session.log_format, log_level(session.options));
    if (auto armed = arm_failpoints(std::getenv("PENSTOCK_FAILPOINT")); !armed)
        return show_error(armed.error(), session.log_format);
    auto code = guarded_dispatch(session);
    return code ? *code : show_error(code.error(), session.log_format);
}

}  // namespace penstock::app
