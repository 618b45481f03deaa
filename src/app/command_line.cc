#include "app/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>

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

CLI::Validator count_validator() {
    return CLI::Validator(
        [](std::string& text) -> std::string {
            bool whole = !text.empty() && text.size() < 19 &&
                         std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c); });
            return whole && text != "0" ? "" : fmt::format("'{}' is not a whole number above 0", text);
        },
        "", "count");
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
        declare_schema();
        declare_rejects();
        declare_replay();
        declare_verify();
        declare_why();
        declare_quality();
        declare_backups();
        declare_exports(app_, options_);
        declare_slots();
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
        options_.output = output_ == "json" || json_ ? OutputFormat::json : OutputFormat::text;
        if (!log_format_.empty()) options_.log_format = log_format_ == "json" ? log::Format::json : log::Format::text;
    }

  private:
    CLI::App* command(CLI::App& parent, const std::string& name, const std::string& doc, bool hidden = false) {
        auto* made = parent.add_subcommand(name, doc);
        if (hidden) made->group("");
        return made;
    }

    CLI::Option* names(CLI::App* command, const std::string& what, const std::string& doc, bool required = false) {
        auto* made = command->add_option(what, options_.names, doc)->type_name("");
        return required ? made->required() : made;
    }

    CLI::Option* name(CLI::App* command, const std::string& what, const std::string& doc, bool required) {
        return names(command, what, doc, required)->expected(required ? 1 : 0, 1);
    }

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
        auto* demo = command(app_, "demo", "Take a tour on a throwaway PostgreSQL server");
        demo->add_option("--keep", options_.keep, "Leave configuration and warehouse in this new folder")
            ->type_name("DIR");
        auto* init = command(app_, "init", "Write a commented configuration");
        init->add_option("--from", options_.url, "Write a pipeline for each table of this database")->type_name("URL");
        init->add_flag("--force", options_.force, "Overwrite an existing file");
        command(app_, "check", "Read the configuration and report every mistake in it; connects to nothing");
        auto* doctor = command(app_, "doctor", "Connect, and look at versions, settings and privileges");
        names(doctor, "CONNECTION", "Only these connections");
    }

    void most(CLI::App& at, const char* doc) {
        at.add_option("--most", options_.most, doc)->type_name("N")->check(count_validator())->capture_default_str();
    }

    void declare_pipelines() {
        auto* plan = command(app_, "plan", "Say what a run would do: schema changes as SQL, rows, bytes, lossy spots");
        names(plan, "PIPELINE", "Only these pipelines");
        plan->add_flag("--full-refresh", options_.full_refresh, "As if checkpoints were forgotten");
        plan->add_option("--as-of", options_.as_of, "As if the source were read as it was then")->type_name("TIME");
        auto* run = command(app_, "run", "Run pipelines once");
        names(run, "PIPELINE", "The pipelines to run, or --all");
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
        auto* types = command(app_, "types", "Show how each column maps, and where a value could not be held");
        names(types, "PIPELINE", "Only these pipelines");
    }

    void declare_serve() {
        auto* serve =
            command(app_, "serve", "Run pipelines on schedule, and when messages come by HTTP, until stopped");
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
        auto* schedule = command(app_, "schedule", "Show when the scheduler runs pipelines, and for which windows");
        names(schedule, "PIPELINE", "Only these pipelines");
        schedule->add_option("--from", options_.from, "After this moment, instead of now")->type_name("TIME");
        schedule->add_option("--to", options_.to, "Up to this moment")->type_name("TIME");
        most(*schedule, "How many of each pipeline");
        auto* pause = command(app_, "pause", "Keep the scheduler from beginning runs of pipelines");
        names(pause, "PIPELINE", "The pipelines", true);
        auto* resume = command(app_, "resume", "Let the scheduler begin runs of pipelines again");
        names(resume, "PIPELINE", "The pipelines", true);
        auto* backfill = command(app_, "backfill", "Have the scheduler run a pipeline for times gone by");
        name(backfill, "PIPELINE", "The pipeline", true);
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
        auto* status = command(app_, "status", "Show each pipeline: last run, next run, state, rows, rejects");
        names(status, "PIPELINE", "Only these pipelines");
        auto* runs = command(app_, "runs", "Show past runs, or one in detail");
        name(runs, "ID", "The run; the beginning of its id will do", false);
        runs->add_option("--pipeline", options_.pipeline, "Only runs of this pipeline")->type_name("PIPELINE");
        most(*runs, "How many");
    }

    void declare_schema() {
        auto* schema = command(app_, "schema", "Show the shape of tables, how it would change and how it has changed");
        schema->require_subcommand(1);
        for (auto [verb, doc] : {std::pair{"show", "Show the columns of a target table as of the last run"},
                                 std::pair{"diff", "Show what the next run would change in a target table"},
                                 std::pair{"history", "Show every decision about a target table's shape"}}) {
            auto* made = command(*schema, verb, doc);
            name(made, "TABLE", "The target's name of the table", true);
            made->add_option("--pipeline", options_.pipeline, "The pipeline that writes it")->type_name("PIPELINE");
            if (std::string_view(verb) == "show")
                made->add_option("--as", options_.form, "As a contract: json-schema, avro, bigquery")
                    ->check(CLI::IsMember({"json-schema", "avro", "bigquery"}));
        }
    }

    void declare_rejects() {
        auto* rejects =
            command(app_, "rejects", "Look at rows that could not be written, try them again, or let them go");
        rejects->require_subcommand(1);
        auto* list = command(*rejects, "list", "List rejected rows that nobody has dealt with");
        names(list, "PIPELINE", "Only these pipelines");
        most(*list, "How many of each pipeline");
        list->add_flag("--closed", options_.closed, "Also those that were replayed or discarded");
        auto* show = command(*rejects, "show", "Show a rejected row in full");
        names(show, "ID", "The reject", true);
        auto* replay = command(*rejects, "replay", "Read rejected rows again from the source and write them");
        name(replay, "PIPELINE", "The pipeline", true);
        replay->add_option("--id", options_.ids, "Only this reject; may be repeated")
            ->type_name("ID")
            ->allow_extra_args(false);
        replay->add_flag("--dry-run", options_.dry_run, "Only say what would be read again");
        auto* discard = command(*rejects, "discard", "Mark rejected rows as dealt with, without writing them");
        names(discard, "PIPELINE|ID", "All of a pipeline, or single rejects", true);
        for (auto* made : {list, replay, discard})
            made->add_option("--table", options_.table, "Only rows of this source table")->type_name("TABLE");
    }

    void declare_replay() {
        auto* replay = command(app_, "replay", "Read the messages of a time from the archive again");
        name(replay, "PIPELINE", "The pipeline, a stream of events with an `archive`", true);
        replay->add_option("--from", options_.from, "The first moment (2026-11-20T12:00:00Z, 2026-11-20)")
            ->type_name("TIME")
            ->required();
        replay->add_option("--to", options_.to, "The moment behind the last; without it, now")->type_name("TIME");
        replay->add_option("--route", options_.routes, "Only what was archived under this route; may be repeated")
            ->type_name("ROUTE")
            ->allow_extra_args(false);
        replay->add_option("--into", options_.into, "The table for the route's rows, instead of its own")
            ->type_name("TABLE");
        replay->add_flag("--rejected", options_.rejected, "Also what is among the rejects, open or discarded");
        replay->add_flag("--dry-run", options_.dry_run, "Only list the objects that would be read");
    }

    void declare_verify() {
        auto* verify = command(app_, "verify", "Compare source and target, row by row, in the engines themselves");
        name(verify, "PIPELINE", "The pipeline", true);
        verify->add_option("--table", options_.table, "Only this table of the source")->type_name("TABLE");
        verify->add_option("--sample", options_.sample, "Only some rows: a fraction, a share or how many")
            ->type_name("N|0.01|1%");
        verify->add_option("--max-differences", options_.max_differences, "How many differences to show of each table")
            ->type_name("N")
            ->check(count_validator())
            ->capture_default_str();
        verify->add_flag(
            "--repair", options_.repair,
            "Read the rows that differ again from the source, take away those that it has not, and compare anew");
    }

    void declare_why() {
        auto* why = command(app_, "why", "Say where a row of a target came from, or why it is not there");
        why->add_option("TABLE", options_.table, "The table, as the target calls it")->type_name("")->required();
        names(why, "KEY", "The columns that name the row, each as COLUMN=VALUE", true);
        why->add_option("--pipeline", options_.pipeline, "The pipeline that writes it")->type_name("PIPELINE");
    }

    void declare_quality() {
        auto* quality =
            command(app_, "quality", "Ask what checks ask, read suites of Great Expectations, show what was found");
        quality->require_subcommand(1);
        auto* run = command(*quality, "run", "Ask the target's tables as they are now; loads nothing");
        names(run, "PIPELINE", "Only these pipelines");
        auto* import = command(*quality, "import", "Print a suite of Great Expectations as `checks` of a pipeline");
        name(import, "FILE", "The suite, as JSON", true);
        auto* docs = command(*quality, "docs", "Write what checks have found as a page of HTML");
        names(docs, "PIPELINE", "Only these pipelines");
        docs->add_option("--into", options_.into, "The file; standard output where none is named")->type_name("FILE");
    }

    void declare_backups() {
        auto* backup = command(app_, "backup", "Back up whole servers, and restore them");
        backup->require_subcommand(1);
        auto* run = command(*backup, "run", "Take a backup");
        auto* wal = command(*backup, "wal", "Keep the server's log as it is written, so that any time can be restored");
        auto* fetch = command(*backup, "wal-fetch", "PostgreSQL's restore_command: write one file of the log");
        auto* list = command(*backup, "list", "List what can be restored");
        auto* verify =
            command(*backup, "verify", "Read everything again, and compare each file with what the server said");
        auto* restore = command(*backup, "restore", "Restore a server into a folder, ready to start");
        auto* status =
            command(*backup, "status", "Show what a recovery would take and lose now, and whether the goals hold");
        names(status, "NAME", "Only these of the configuration's `backups`");
        auto* drill =
            command(*backup, "drill", "Prove that a backup can be restored: restore, start, ask and check it");
        auto* prune = command(*backup, "prune", "Remove what `keep` does not keep, and what killed runs left");
        prune->add_flag("--dry-run", options_.dry_run, "Only say what would be removed");
        for (auto* made : {run, wal, list, verify, restore, drill, prune})
            name(made, "NAME", "One of the configuration's `backups`", true);
        names(fetch, "NAME FILE PATH", "One of the configuration's `backups`, the file (%f), and where it goes (%p)",
              true)
            ->expected(3);
        wal->add_flag("--follow", options_.follow, "Go on until stopped, which is what is done where nothing is said");
        wal->add_flag("--drain", options_.drain, "Up to what the server has written now");
        wal->add_flag("--accept-gap", options_.accept_gap,
                      "Where the log behind what is stored is gone from the server: go on behind the gap");
        run->add_flag("--incremental", options_.incremental,
                      "Only what changed since the newest backup; all where there is none");
        for (auto* made : {run, drill}) made->add_option("--interval", options_.interval)->group("");
        for (auto* made : {verify, restore, drill})
            made->add_option("--backup", options_.backup, "This one; the beginning of its id will do")->type_name("ID");
        restore->add_option("--into", options_.into, "The folder: a new one or an empty one")
            ->type_name("DIR")
            ->required();
        for (auto* made : {restore, drill}) {
            made->add_flag("--latest", options_.latest,
                           "As far as the stored log reaches, which is what is restored where nothing is said");
            made->add_option("--to-time", options_.to_time, "As it was then: 2026-11-22T12:30:00Z, or with an offset")
                ->type_name("TIME");
        }
        restore->add_option("--to-lsn", options_.to_lsn, "All that had ended at this place of the log")
            ->type_name("LSN");
        restore->add_option("--to-name", options_.to_name, "Up to a restore point (pg_create_restore_point)")
            ->type_name("NAME");
        restore->add_option("--to-xid", options_.to_xid, "Up to this transaction, and with it")->type_name("XID");
        drill->add_flag("--keep", options_.keep_sandbox, "Leave the restored server's folder, until the next drill");
        for (auto* made : {status, drill}) made->add_flag("--json", json_, "The same as --output json");
        restore->add_flag("--preview", options_.preview, "Only say what would be restored, and what would be lost");
    }

    void declare_slots() {
        auto* slots =
            command(app_, "slots", "Look after the places that servers keep in their logs for readers of changes");
        slots->require_subcommand(1);
        auto* list =
            command(*slots, "list", "List the replication slots: who reads them, what they keep, how long they last");
        names(list, "CONNECTION", "Only of these connections");
        auto* drop = command(*slots, "drop", "Drop a slot, and let the server's log go that it kept");
        auto* advance = command(*slots, "advance", "Give up the changes that a slot still keeps, up to a position");
        for (auto* made : {drop, advance}) {
            name(made, "SLOT", "The slot", true);
            made->add_option("--connection", options_.connection, "The connection whose server has it")
                ->type_name("CONNECTION");
            made->add_flag("--confirm", options_.confirm, "Do it; without this, say what would be lost");
        }
        advance->add_option("--to", options_.to, "The position; without it, where the server is now")->type_name("LSN");
    }

    void declare_reference() {
        auto* components = command(app_, "components", "Show the kinds of connections and all their options");
        components->add_flag("--json", json_, "The same as --output json");
        command(app_, "config-schema", "Print the JSON Schema of the configuration");
        auto* completion = command(app_, "completion", "Print the completions for a shell");
        completion->add_option("SHELL", options_.shell, "The shell")
            ->check(CLI::IsMember({"bash", "zsh", "fish"}))
            ->type_name("")
            ->required();
        command(app_, "failpoints", "List the failpoints, for tests", true);
        auto* docs = command(app_, "docs", "Print a page of the reference, or the names of all pages", true);
        docs->add_option("PAGE", options_.page, "The page")->type_name("");
    }

    Options& options_;
    CLI::App app_{about};
    std::string output_ = "text";
    std::string log_format_;
    std::string log_level_;
    bool manual_ = false;
    bool json_ = false;
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
