#include <CLI/CLI.hpp>

#include "app/declare.h"

// What is done to whole PostgreSQL servers.
namespace penstock::app {

void declare_backups(CLI::App& program, Options& options) {
    auto* backup = add_command(program, "backup", "Back up whole servers, and restore them");
    backup->require_subcommand(1);
    auto* run = add_command(*backup, "run", "Take a backup");
    auto* wal = add_command(*backup, "wal", "Keep the server's log as it is written, so that any time can be restored");
    auto* fetch = add_command(*backup, "wal-fetch", "PostgreSQL's restore_command: write one file of the log");
    auto* list = add_command(*backup, "list", "List what can be restored");
    auto* verify =
        add_command(*backup, "verify", "Read everything again, and compare each file with what the server said");
    auto* restore = add_command(*backup, "restore", "Restore a server into a folder, ready to start");
    auto* status =
        add_command(*backup, "status", "Show what a recovery would take and lose now, and whether the goals hold");
    take_names(options, status, "NAME", "Only these of the configuration's `backups`");
    auto* drill =
        add_command(*backup, "drill", "Prove that a backup can be restored: restore, start, ask and check it");
    auto* drills = add_command(*backup, "drills", "List what drills have found, or show one's report");
    auto* prune = add_command(*backup, "prune", "Remove what `keep` does not keep, and what killed runs left");
    prune->add_flag("--dry-run", options.dry_run, "Only say what would be removed");
    for (auto* made : {run, wal, list, verify, restore, drill, prune})
        take_name(options, made, "NAME", "One of the configuration's `backups`", true);
    take_names(options, drills, "NAME ID", "One of the configuration's `backups`, and a drill of it", true)
        ->expected(1, 2);
    take_most(options, *drills, "How many");
    take_names(options, fetch, "NAME FILE PATH",
               "One of the configuration's `backups`, the file (%f), and where it goes (%p)", true)
        ->expected(3);
    wal->add_flag("--follow", options.follow, "Go on until stopped, which is what is done where nothing is said");
    wal->add_flag("--drain", options.drain, "Up to what the server has written now");
    wal->add_flag("--accept-gap", options.accept_gap,
                  "Where the log behind what is stored is gone from the server: go on behind the gap");
    run->add_flag("--incremental", options.incremental,
                  "Only what changed since the newest backup; all where there is none");
    for (auto* made : {run, drill}) made->add_option("--interval", options.interval)->group("");
    for (auto* made : {verify, restore, drill})
        made->add_option("--backup", options.backup, "This one; the beginning of its id will do")->type_name("ID");
    restore->add_option("--into", options.into, "The folder: a new one or an empty one")->type_name("DIR")->required();
    for (auto* made : {restore, drill}) {
        made->add_flag("--latest", options.latest,
                       "As far as the stored log reaches, which is what is restored where nothing is said");
        made->add_option("--to-time", options.to_time, "As it was then: 2026-11-22T12:30:00Z, or with an offset")
            ->type_name("TIME");
    }
    restore->add_option("--to-lsn", options.to_lsn, "All that had ended at this place of the log")->type_name("LSN");
    restore->add_option("--to-name", options.to_name, "Up to a restore point (pg_create_restore_point)")
        ->type_name("NAME");
    restore->add_option("--to-xid", options.to_xid, "Up to this transaction, and with it")->type_name("XID");
    drill->add_flag("--keep", options.keep_sandbox, "Leave the restored server's folder, until the next drill");
    for (auto* made : {status, drill}) made->add_flag("--json", options.as_json, "The same as --output json");
    restore->add_flag("--preview", options.preview, "Only say what would be restored, and what would be lost");
}

void declare_slots(CLI::App& program, Options& options) {
    auto* slots =
        add_command(program, "slots", "Look after the places that servers keep in their logs for readers of changes");
    slots->require_subcommand(1);
    auto* list =
        add_command(*slots, "list", "List the replication slots: who reads them, what they keep, how long they last");
    take_names(options, list, "CONNECTION", "Only of these connections");
    auto* drop = add_command(*slots, "drop", "Drop a slot, and let the server's log go that it kept");
    auto* advance = add_command(*slots, "advance", "Give up the changes that a slot still keeps, up to a position");
    for (auto* made : {drop, advance}) {
        take_name(options, made, "SLOT", "The slot", true);
        made->add_option("--connection", options.connection, "The connection whose server has it")
            ->type_name("CONNECTION");
        made->add_flag("--confirm", options.confirm, "Do it; without this, say what would be lost");
    }
    advance->add_option("--to", options.to, "The position; without it, where the server is now")->type_name("LSN");
}

}  // namespace penstock::app
