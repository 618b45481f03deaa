#include <CLI/CLI.hpp>

#include "app/declare.h"

// What looks at tables, at rows, and at what became of them.
namespace penstock::app {

void declare_schema(CLI::App& program, Options& options) {
    auto* schema =
        add_command(program, "schema", "Show the shape of tables, how it would change and how it has changed");
    schema->require_subcommand(1);
    for (auto [verb, doc] : {std::pair{"show", "Show the columns of a target table as of the last run"},
                             std::pair{"diff", "Show what the next run would change in a target table"},
                             std::pair{"history", "Show every decision about a target table's shape"}}) {
        auto* made = add_command(*schema, verb, doc);
        take_name(options, made, "TABLE", "The target's name of the table", true);
        made->add_option("--pipeline", options.pipeline, "The pipeline that writes it")->type_name("PIPELINE");
        if (std::string_view(verb) == "show")
            made->add_option("--as", options.form, "As a contract: json-schema, avro, bigquery")
                ->check(CLI::IsMember({"json-schema", "avro", "bigquery"}));
    }
}

void declare_rejects(CLI::App& program, Options& options) {
    auto* rejects =
        add_command(program, "rejects", "Look at rows that could not be written, try them again, or let them go");
    rejects->require_subcommand(1);
    auto* list = add_command(*rejects, "list", "List rejected rows that nobody has dealt with");
    take_names(options, list, "PIPELINE", "Only these pipelines");
    take_most(options, *list, "How many of each pipeline");
    list->add_flag("--closed", options.closed, "Also those that were replayed or discarded");
    auto* show = add_command(*rejects, "show", "Show a rejected row in full");
    take_names(options, show, "ID", "The reject", true);
    auto* replay = add_command(*rejects, "replay", "Read rejected rows again from the source and write them");
    take_name(options, replay, "PIPELINE", "The pipeline", true);
    replay->add_option("--id", options.ids, "Only this reject; may be repeated")
        ->type_name("ID")
        ->allow_extra_args(false);
    replay->add_flag("--dry-run", options.dry_run, "Only say what would be read again");
    auto* discard = add_command(*rejects, "discard", "Mark rejected rows as dealt with, without writing them");
    take_names(options, discard, "PIPELINE|ID", "All of a pipeline, or single rejects", true);
    for (auto* made : {list, replay, discard})
        made->add_option("--table", options.table, "Only rows of this source table")->type_name("TABLE");
}

void declare_replay(CLI::App& program, Options& options) {
    auto* replay = add_command(program, "replay", "Read the messages of a time from the archive again");
    take_name(options, replay, "PIPELINE", "The pipeline, a stream of events with an `archive`", true);
    replay->add_option("--from", options.from, "The first moment (2026-11-20T12:00:00Z, 2026-11-20)")
        ->type_name("TIME")
        ->required();
    replay->add_option("--to", options.to, "The moment behind the last; without it, now")->type_name("TIME");
    replay->add_option("--route", options.routes, "Only what was archived under this route; may be repeated")
        ->type_name("ROUTE")
        ->allow_extra_args(false);
    replay->add_option("--into", options.into, "The table for the route's rows, instead of its own")
        ->type_name("TABLE");
    replay->add_flag("--rejected", options.rejected, "Also what is among the rejects, open or discarded");
    replay->add_flag("--dry-run", options.dry_run, "Only list the objects that would be read");
}

void declare_verify(CLI::App& program, Options& options) {
    auto* verify = add_command(program, "verify", "Compare source and target, row by row, in the engines themselves");
    take_name(options, verify, "PIPELINE", "The pipeline", true);
    verify->add_option("--table", options.table, "Only this table of the source")->type_name("TABLE");
    verify->add_option("--sample", options.sample, "Only some rows: a fraction, a share or how many")
        ->type_name("N|0.01|1%");
    verify
        ->add_option(
            "--part", options.part,
            "Only one of N equal parts of the keys; next: of the configuration's, which was not compared for longest")
        ->type_name("K/N|next");
    verify->add_option("--interval", options.interval)->group("");
    verify->add_option("--max-differences", options.max_differences, "How many differences to show of each table")
        ->type_name("N")
        ->check(count_validator())
        ->capture_default_str();
    verify->add_flag(
        "--repair", options.repair,
        "Read the rows that differ again from the source, take away those that it has not, and compare anew");
}

void declare_why(CLI::App& program, Options& options) {
    auto* why = add_command(program, "why", "Say where a row of a target came from, or why it is not there");
    why->add_option("TABLE", options.table, "The table, as the target calls it")->type_name("")->required();
    take_names(options, why, "KEY", "The columns that name the row, each as COLUMN=VALUE", true);
    why->add_option("--pipeline", options.pipeline, "The pipeline that writes it")->type_name("PIPELINE");
}

void declare_quality(CLI::App& program, Options& options) {
    auto* quality =
        add_command(program, "quality", "Ask what checks ask, read suites of Great Expectations, show what was found");
    quality->require_subcommand(1);
    auto* run = add_command(*quality, "run", "Ask the target's tables as they are now; loads nothing");
    take_names(options, run, "PIPELINE", "Only these pipelines");
    auto* import = add_command(*quality, "import", "Print a suite of Great Expectations as `checks` of a pipeline");
    take_name(options, import, "FILE", "The suite, as JSON", true);
    auto* docs = add_command(*quality, "docs", "Write what checks have found as a page of HTML");
    take_names(options, docs, "PIPELINE", "Only these pipelines");
    docs->add_option("--into", options.into, "The file; standard output where none is named")->type_name("FILE");
}

}  // namespace penstock::app
