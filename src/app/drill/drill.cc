#include "app/drill/drill.h"

#include <fmt/format.h>

#include <chrono>

#include "app/as_of.h"
#include "base/ids.h"
#include "base/log.h"

namespace penstock::app {
namespace {

using std::chrono::steady_clock;

/// One drill on its way.
class Drill {
  public:
    Drill(const BackupPlace& place, const DrillRequest& request, Sandbox& sandbox, const std::stop_token& stop)
        : place_(place), config_(place.backup->drill), request_(request), sandbox_(sandbox), stop_(stop) {
        report_.id = new_run_id();
        report_.backup = place.backup->name;
        report_.started_at = now();
    }

    Result<DrillReport> run() {
        auto done = steps();
        end_phase();
        if (!done && done.error().kind == ErrorKind::interrupted) return fail(std::move(done.error()));
        if (!done) report_.error = std::move(done.error());
        report_.ended_at = now();
        return std::move(report_);
    }

  private:
    Status steps() {
        PN_CHECK(restore());
        PN_CHECK(ask_state());
        begin_phase("queries");
        PN_TRY(report_.queries, ask_queries(sandbox_, database(), config_.queries, stop_));
        begin_phase("pages");
        PN_TRY(report_.pages, check_pages(sandbox_, stop_));
        begin_phase("compare");
        PN_TRY(report_.compared,
               compare_pipelines(place_.document, *place_.backup, sandbox_, *report_.held_until, stop_));
        begin_phase("stop");
        PN_CHECK(sandbox_.stop());
        begin_phase("checksums");
        return check_checksums(sandbox_, *report_.pages, stop_);
    }

    Status restore() {
        begin_phase("plan");
        PN_TRY(auto wanted, backup::plan_recovery(place_.catalog, request_.backup, request_.target));
        report_.record = wanted.backup;
        report_.recovery = wanted.recovery;
        measure_rpo();
        begin_phase("restore");
        PN_TRY(auto plan, sandbox_.restore(place_.catalog, std::move(wanted), backup_threads(), stop_));
        begin_phase("recovery");
        SandboxServer server{.programs = config_.programs.value};
        for (const auto& library : config_.libraries) server.libraries.push_back(library.value);
        server.users = {"postgres"};
        if (auto user = user_of(place_.document, place_.backup->connection.value); !user.empty())
            server.users.push_back(user);
        PN_CHECK(sandbox_.start(plan, server, stop_));
        report_.isolated = sandbox_.isolated();
        report_.rto = seconds();
        return {};
    }

    void measure_rpo() {
        auto last = report_.record->ended_at;
        if (report_.recovery && report_.recovery->reach_time) last = std::max(last, *report_.recovery->reach_time);
        auto lost = std::chrono::duration<double>(report_.started_at - last).count();
        report_.rpo = std::max(0.0, lost);
    }

    /// The restored server itself knows the last transaction that it replayed.
    Status ask_state() {
        report_.held_until = report_.record->ended_at;
        PN_TRY(auto session, sandbox_.connect("template1", stop_));
        PN_TRY(auto rows, session->query("SELECT to_char(pg_catalog.pg_last_xact_replay_timestamp(), "
                                         "'YYYY-MM-DD\"T\"HH24:MI:SS.USTZH:TZM')"));
        if (rows.is_null(0, 0)) return {};
        PN_TRY(auto replayed, parse_moment(rows.text(0, 0)));
        report_.held_until = std::max(*report_.held_until, replayed);
        return {};
    }

    std::string database() const {
        if (!config_.database.empty()) return config_.database.value;
        auto named = database_of(place_.document, place_.backup->connection.value);
        return named.empty() ? "postgres" : named;
    }

    double seconds() const { return std::chrono::duration<double>(steady_clock::now() - begin_).count(); }

    void begin_phase(std::string name) {
        end_phase();
        log::info("drill of {}: {}", report_.backup, name);
        report_.phases.push_back({.name = std::move(name), .begin = seconds()});
    }

    void end_phase() {
        if (!report_.phases.empty()) report_.phases.back().seconds = seconds() - report_.phases.back().begin;
    }

    const BackupPlace& place_;
    const config::BackupDrill& config_;
    const DrillRequest& request_;
    Sandbox& sandbox_;
    const std::stop_token& stop_;
    steady_clock::time_point begin_ = steady_clock::now();
    DrillReport report_;
};

}  // namespace

Result<DrillReport> run_drill(const BackupPlace& place, const DrillRequest& request, const std::stop_token& stop) {
    const auto& folder = place.backup->drill.folder;
    PN_TRY(auto sandbox, Sandbox::claim(folder.empty() ? "/var/tmp" : folder.value, place.catalog));
    if (request.keep) sandbox->keep();
    return Drill(place, request, *sandbox, stop).run();
}

}  // namespace penstock::app
