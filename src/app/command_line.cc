#include "app/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>

#include "app/declare.h"
#include "app/export/command_line.h"
#include "app/usage_mistake.h"
#include "base/version.h"

namespace penstock::app {
namespace {

constexpr auto about =
    "Moves tables from PostgreSQL into DuckDB and Parquet, incrementally and exactly once. Every row read ends as "
    "written, rejected with its reason, or filtered by a named rule.";

constexpr auto exit_codes =
    "Exit codes: 0 done; 1 a run failed; 2 bad usage or configuration; 3 a check failed; 4 stopped by a budget; "
    "130 interrupted (state is consistent).";

struct NamedLevel {
    std::string_view name;
    log::Level level;
};
/// LOG_LEVEL is shared with other programs, so their usual words are understood, too.
constexpr std::array<NamedLevel, 9> levels = {{{"debug", log::Level::debug},
                                               {"info", log::Level::info},
                                               {"warning", log::Level::warning},
                                               {"error", log::Level::error},
                                               {"trace", log::Level::debug},
                                               {"notice", log::Level::info},
                                               {"warn", log::Level::warning},
                                               {"critical", log::Level::error},
                                               {"fatal", log::Level::error}}};

CLI::Validator level_validator(std::optional<log::Level>& into) {
    return CLI::Validator(
        [&into](std::string& text) -> std::string {
            std::string lower = CLI::detail::to_lower(text);
            auto found = std::ranges::find(levels, lower, &NamedLevel::name);
            if (found == levels.end()) return fmt::format("'{}' is not one of debug, info, warning, error", text);
            into = found->level;
            return "";
        },
        "{debug,info,warning,error}", "level");
}

/// Declares the whole command line and reads it into `options`.
class CommandLine {
  public:
    explicit CommandLine(Options& options) : options_(options) {
        app_.name("penstock");
        app_.require_subcommand(1);
        app_.fallthrough();
        app_.set_help_flag("-h,--help", "Say what can be done here");
        app_.set_version_flag("--version", fmt::format("penstock {}", version), "Print the version");
        app_.footer("`penstock --help` shows the options of every command.");  // inherited by the commands
        declare_global();
        declare_start();
        declare_pipelines();
        declare_serve();
        declare_schedule();
        declare_history();
        declare_schema(app_, options_);
        declare_rejects(app_, options_);
        declare_replay(app_, options_);
        declare_verify(app_, options_);
        declare_why(app_, options_);
        declare_quality(app_, options_);
        declare_backups(app_, options_);
        declare_exports(app_, options_);
        declare_slots(app_, options_);
        declare_reference();
        app_.footer(exit_codes);
    }

    CLI::App& app() { return app_; }
    bool wants_manual() const { return manual_; }

    std::string chosen() const {
        std::string path;
        const CLI::App* at = &app_;
        while (!at->get_subcommands().empty()) {
            at = at->get_subcommands().front();
            path += (path.empty() ? "" : " ") + at->get_name();
        }
        return path;
    }

    void finish() {
        options_.command = chosen();
        options_.output = output_ == "json" || options_.as_json ? OutputFormat::json : OutputFormat::text;
        if (!log_format_.empty()) options_.log_format = log_format_ == "json" ? log::Format::json : log::Format::text;
    }

  private:
    void declare_global() {
        app_.add_option("-f,--file", options_.file, "The configuration")
            ->type_name("FILE")
            ->envname("PENSTOCK_FILE")
            ->capture_default_str();
        app_.add_option("--output", output_, "How results are written to standard output")
            ->check(CLI::IsMember({"text", "json"}))
            ->type_name("FORMAT");
        app_.add_option("--log-format", log_format_,
                        "How the log is written to standard error; json when that is no terminal")
            ->check(CLI::IsMember({"text", "json"}))
            ->type_name("FORMAT");
        app_.add_option("--log-level", log_level_, "How much is logged")
            ->check(level_validator(options_.log_level))
            ->type_name("LEVEL")
            ->envname("LOG_LEVEL");
        app_.add_flag("--quiet", options_.quiet, "No progress, and only warnings and errors in the log");
        app_.add_option("--state", options_.state, "Where run history and locks are kept, instead of `state:`")
            ->type_name("URL");
        app_.add_flag("--man", manual_, "Print the manual page")->group("");
    }

    void declare_start() {
        auto* demo = add_command(app_, "demo", "Take a tour on a throwaway PostgreSQL server");
        demo->add_option("--keep", options_.keep, "Leave configuration and warehouse in this new folder")
            ->type_name("DIR");
        auto* init = add_command(app_, "init", "Write a commented configuration");
        init->add_option("--from", options_.url, "Write a pipeline for each table of this database")->type_name("URL");
        init->add_flag("--force", options_.force, "Overwrite an existing file");
        add_command(app_, "check", "Read the configuration and report every mistake in it; connects to nothing");
        auto* doctor = add_command(app_, "doctor", "Connect, and look at versions, settings and privileges");
        take_names(options_, doctor, "CONNECTION", "Only these connections");
    }

    void declare_pipelines() {
        auto* plan =
            add_command(app_, "plan", "Say what a run would do: schema changes as SQL, rows, bytes, lossy spots");
        take_names(options_, plan, "PIPELINE", "Only these pipelines");
        plan->add_flag("--full-refresh", options_.full_refresh, "As if checkpoints were forgotten");
        plan->add_option("--as-of", options_.as_of, "As if the source were read as it was then")->type_name("TIME");
        auto* run = add_command(app_, "run", "Run pipelines once");
        take_names(options_, run, "PIPELINE", "The pipelines to run, or --all");
        run->add_flag("--all", options_.all, "All pipelines");
        run->add_flag("--full-refresh", options_.full_refresh, "Forget checkpoints and load everything again");
        run->add_option("--resnapshot", options_.resnapshot,
                        "Read this table of a change stream anew, while the others go on; may be repeated")
            ->type_name("TABLE")
            ->allow_extra_args(false);
        run->add_option("--limit", options_.limit, "Read at most this many rows of each table")
            ->type_name("N")
            ->check(count_validator());
        run->add_option("--from", options_.from, "Read from this cursor value on, instead of the checkpoint")
            ->type_name("VALUE");
        run->add_option("--to", options_.to, "Read up to this cursor value")->type_name("VALUE");
        run->add_option("--as-of", options_.as_of,
                        "Read the source as it was at this moment (2026-11-20T12:00:00Z), where it can")
            ->type_name("TIME");
        run->add_option("--shard", options_.shard, "Read the I-th of N parts")->type_name("I/N");
        run->add_option("--param", options_.parameters, "Set a parameter of the configuration; may be repeated")
            ->type_name("NAME=VALUE")
            ->allow_extra_args(false);
        run->add_option("--window", options_.window,
                        "What {window.start}, {window.end} and {window.date} stand for (2026-11-01/2026-11-02)")
            ->type_name("FROM/TO");
        run->add_option("--interval", options_.interval)->group("");  // of the scheduler's own runs
        run->add_option("--wait", options_.wait, "Wait so long for another run that has the pipeline")
            ->type_name("SECONDS")
            ->check(CLI::Range(0, 86'400));
        run->add_flag("--follow", options_.follow, "Go on until stopped");
        run->add_flag("--drain", options_.drain, "Read a stream up to what is there now");
        auto* types = add_command(app_, "types", "Show how each column maps, and where a value could not be held");
        take_names(options_, types, "PIPELINE", "Only these pipelines");
    }

    void declare_serve() {
        auto* serve =
            add_command(app_, "serve", "Run pipelines on schedule, and when messages come by HTTP, until stopped");
        serve->add_option("--listen", options_.listen, "Where; a port alone is one of this machine only")
            ->type_name("HOST:PORT")
            ->capture_default_str();
        auto number = [&](const char* name, int64_t& into, const char* doc) {
            serve->add_option(name, into, doc)->type_name("N")->check(count_validator())->capture_default_str();
        };
        number("--workers", options_.workers, "How many runs and messages are worked on at once");
        number("--backlog", options_.backlog, "How many more wait before others are refused");
        number("--grace-period", options_.grace_period, "Seconds that runs have to end when the server is stopped");
        serve->add_flag("--allow-unauthenticated", options_.allow_unauthenticated,
                        "Listen beyond this machine although a trigger asks nobody who it is");
    }

    void declare_schedule() {
        auto* schedule = add_command(app_, "schedule", "Show when the scheduler runs pipelines, and for which windows");
        take_names(options_, schedule, "PIPELINE", "Only these pipelines");
        schedule->add_option("--from", options_.from, "After this moment, instead of now")->type_name("TIME");
        schedule->add_option("--to", options_.to, "Up to this moment")->type_name("TIME");
        take_most(options_, *schedule, "How many of each pipeline");
        auto* pause = add_command(app_, "pause", "Keep the scheduler from beginning runs of pipelines");
        take_names(options_, pause, "PIPELINE", "The pipelines", true);
        auto* resume = add_command(app_, "resume", "Let the scheduler begin runs of pipelines again");
        take_names(options_, resume, "PIPELINE", "The pipelines", true);
        auto* backfill = add_command(app_, "backfill", "Have the scheduler run a pipeline for times gone by");
        take_name(options_, backfill, "PIPELINE", "The pipeline", true);
        backfill->add_option("--from", options_.from, "The first moment (2026-11-01, 2026-11-01T06:30)")
            ->type_name("TIME")
            ->required();
        backfill->add_option("--to", options_.to, "The moment behind the last")->type_name("TIME")->required();
        auto* whole = backfill->add_flag("--contiguous", options_.contiguous, "One run for the whole stretch of time");
        backfill->add_flag("--per-interval", per_interval_, "A run for each time of the schedule; the default")
            ->excludes(whole);
        backfill->add_flag("--dry-run", options_.dry_run, "Only list the windows");
    }

    void declare_history() {
        auto* status = add_command(app_, "status", "Show each pipeline: last run, next run, state, rows, rejects");
        take_names(options_, status, "PIPELINE", "Only these pipelines");
        auto* runs = add_command(app_, "runs", "Show past runs, or one in detail");
        take_name(options_, runs, "ID", "The run; the beginning of its id will do", false);
        runs->add_option("--pipeline", options_.pipeline, "Only runs of this pipeline")->type_name("PIPELINE");
        runs->add_flag("--log", options_.log, "What the run has said while it ran: its own lines of the log");
        take_most(options_, *runs, "How many");
    }

    void declare_reference() {
        auto* components = add_command(app_, "components", "Show the kinds of connections and all their options");
        components->add_flag("--json", options_.as_json, "The same as --output json");
        add_command(app_, "config-schema", "Print the JSON Schema of the configuration");
        auto* completion = add_command(app_, "completion", "Print the completions for a shell");
        completion->add_option("SHELL", options_.shell, "The shell")
            ->check(CLI::IsMember({"bash", "zsh", "fish"}))
            ->type_name("")
            ->required();
        add_command(app_, "failpoints", "List the failpoints, for tests", true);
        auto* docs = add_command(app_, "docs", "Print a page of the reference, or the names of all pages", true);
        docs->add_option("PAGE", options_.page, "The page")->type_name("");
    }

    Options& options_;
    CLI::App app_{about};
    std::string output_ = "text";
    std::string log_format_;
    std::string log_level_;
    bool manual_ = false;
    bool per_interval_ = false;  ///< what is done anyway
};

OptionInfo describe(const CLI::Option& option) {
    OptionInfo info;
    for (const auto& name : option.get_snames()) info.names.push_back("-" + name);
    for (const auto& name : option.get_lnames()) info.names.push_back("--" + name);
    info.doc = option.get_description();
    info.variable = option.get_envname();
    info.required = option.get_required();
    info.repeats = option.get_items_expected_max() > 1;
    // The parser shows a type as NAME or NAME:{choice,choice}.
    std::string type = option.get_type_size() == 0 ? "" : option.get_type_name();
    auto open = type.find('{');
    if (open != type.npos && type.back() == '}') {
        info.choices = CLI::detail::split(type.substr(open + 1, type.size() - open - 2), ',');
        type = type.substr(0, open == 0 ? 0 : open - 1);
    }
    info.value = type.substr(0, type.find(':'));
    if (option.get_positional()) info.value = option.get_name(true);
    return info;
}

CommandInfo describe(const CLI::App& app) {
    CommandInfo info{.name = app.get_parent() == nullptr ? "" : app.get_name(), .doc = app.get_description()};
    for (const auto* option : app.get_options()) {
        bool everywhere = app.get_parent() != nullptr && option == app.get_help_ptr();
        if (option->get_group().empty() || everywhere) continue;
        (option->get_positional() ? info.arguments : info.options).push_back(describe(*option));
    }
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
        if (!command->get_group().empty()) info.commands.push_back(describe(*command));
    return info;
}

}  // namespace

Result<Request> read_command_line(int argc, const char* const* argv) {
    Request request;
    CommandLine line(request.options);
    CLI::App& app = line.app();
    // The manual is asked for without a command.
    if (argc == 2 && std::string_view(argv[1]) == "--man") {
        request.options.command = "--man";
        return request;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        request.answer = app.help();
        return request;
    } catch (const CLI::CallForVersion&) {
        request.answer = fmt::format("penstock {}\n", version);
        return request;
    } catch (const CLI::ParseError& error) {
        if (argc <= 1) {
            request.answer = app.help();
            return request;
        }
        return fail(explain_mistake(app, error, line.chosen()));
    }
    line.finish();
    return request;
}

CommandInfo describe_command_line() {
    Options scratch;
    CommandLine line(scratch);
    return describe(line.app());
}

}  // namespace penstock::app
