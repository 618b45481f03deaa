#pragma once

#include <stop_token>

#include "app/options.h"
#include "base/error.h"

namespace penstock::app {

/// What a command works with beside its options.
struct Session {
    const Options& options;
    log::Format log_format;
    std::stop_token stop;

    bool json() const { return options.output == OutputFormat::json; }
};

/// A command of the program: the exit code, or an Error that main shows and turns into one.
using Command = Result<int> (*)(const Session&);

namespace command {

Result<int> check(const Session& session);
Result<int> doctor(const Session& session);
Result<int> plan(const Session& session);
Result<int> run(const Session& session);
Result<int> serve(const Session& session);
Result<int> types(const Session& session);
Result<int> status(const Session& session);
Result<int> schedule(const Session& session);
Result<int> pause(const Session& session);
Result<int> resume(const Session& session);
Result<int> backfill(const Session& session);
Result<int> runs(const Session& session);
Result<int> schema_show(const Session& session);
Result<int> schema_diff(const Session& session);
Result<int> schema_history(const Session& session);
Result<int> rejects_list(const Session& session);
Result<int> rejects_show(const Session& session);
Result<int> rejects_replay(const Session& session);
Result<int> replay(const Session& session);
Result<int> quality_run(const Session& session);
Result<int> quality_import(const Session& session);
Result<int> quality_docs(const Session& session);
Result<int> rejects_discard(const Session& session);
Result<int> backup_run(const Session& session);
Result<int> backup_wal(const Session& session);
Result<int> backup_wal_fetch(const Session& session);
Result<int> backup_prune(const Session& session);
Result<int> backup_list(const Session& session);
Result<int> backup_verify(const Session& session);
Result<int> backup_status(const Session& session);
Result<int> backup_drill(const Session& session);
Result<int> backup_drills(const Session& session);
Result<int> backup_restore(const Session& session);
Result<int> export_airflow(const Session& session);
Result<int> export_kubernetes(const Session& session);
Result<int> export_cloudrun(const Session& session);
Result<int> export_terraform(const Session& session);
Result<int> slots_list(const Session& session);
Result<int> slots_drop(const Session& session);
Result<int> slots_advance(const Session& session);
Result<int> verify(const Session& session);
Result<int> why(const Session& session);
Result<int> init(const Session& session);
Result<int> demo(const Session& session);
Result<int> components(const Session& session);
Result<int> config_schema(const Session& session);
Result<int> completion(const Session& session);
Result<int> manual(const Session& session);
Result<int> failpoints(const Session& session);
Result<int> docs(const Session& session);

}  // namespace command

}  // namespace penstock::app
