#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"

namespace penstock::app {

enum class OutputFormat { text, json };

/// The command line, read. Every command has what it needs and leaves the rest alone.
struct Options {
    std::string command;  ///< "run", "rejects list"

    // All commands.
    std::string file = "penstock.yaml";
    OutputFormat output = OutputFormat::text;
    bool as_json = false;                   ///< the same as that format
    std::optional<log::Format> log_format;  ///< absent: text on a terminal, else JSON
    std::optional<log::Level> log_level;
    bool quiet = false;
    std::string state;  ///< instead of the configuration's `state:`

    std::vector<std::string> names;  ///< pipelines, connections, a run, a table, rejects: as the command takes them
    bool all = false;

    // run and plan
    bool full_refresh = false;
    std::vector<std::string> resnapshot;  ///< tables of a stream
    bool follow = false;
    bool drain = false;
    int64_t limit = -1;
    std::string from;
    std::string to;
    std::string as_of;
    std::string shard;
    std::vector<std::string> parameters;
    std::string window;
    int64_t wait = 0;      ///< seconds, for another run of the pipeline
    std::string interval;  ///< the scheduler's name for the attempt that this run is

    // init and demo
    std::string url;
    bool force = false;
    std::string keep;

    // lists
    std::string form;  ///< of a schema: "" for people
    std::string pipeline;
    std::string table;
    std::vector<std::string> ids;  ///< single rejects
    int64_t most = 20;
    bool log = false;     ///< of a run
    bool closed = false;  ///< rejects that were replayed or discarded, too

    // replays
    std::vector<std::string> routes;
    std::string into;
    bool rejected = false;  ///< what is in the rejects, too
    bool dry_run = false;

    // backups
    std::string backup;        ///< of several, the one with this id; the beginning of it will do
    bool latest = false;       ///< what is done anyway
    bool preview = false;      ///< only say what a restore would do
    bool incremental = false;  ///< a backup of what changed since the newest one

    // verify
    std::string sample;
    std::string part;  ///< "3/24"
    int64_t max_differences = 100;
    bool repair = false;

    // slots
    std::string connection;
    bool confirm = false;

    // serve
    std::string listen = "127.0.0.1:8080";
    int64_t workers = 2;
    int64_t backlog = 100;
    int64_t grace_period = 25;  ///< seconds
    bool allow_unauthenticated = false;

    // backfill
    bool contiguous = false;

    // exports
    std::vector<std::string> shards;  ///< NAME=N
    std::string out;                  ///< a folder
    std::string image = "ghcr.io/example/penstock:0.1.0";
    std::string project;
    bool serve = false;

    std::string shell;  ///< completion
    std::string page;   ///< docs

    // the log of backups
    std::string to_time;
    std::string to_lsn;
    std::string to_name;
    std::string to_xid;
    bool accept_gap = false;

    bool keep_sandbox = false;  ///< of a drill
};

}  // namespace penstock::app
