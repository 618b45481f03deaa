#include "app/drill/drill.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "app/as_of.h"
#include "app/drill/captured_pipelines.h"
#include "base/ids.h"
#include "base/log.h"

namespace penstock::app {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds log_patience{5};

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
        PN_CHECK(recover());
        PN_CHECK(ask_state());
        begin_phase("queries");
        PN_TRY(report_.queries, ask_queries(sandbox_, database(), config_.queries, stop_));
        begin_phase("pages");
        PN_TRY(report_.pages, check_pages(sandbox_, stop_));
        begin_phase("compare");
        PN_TRY(auto compared, compare_pipelines(place_.document, *place_.backup, sandbox_, *report_.held_until, stop_));
        report_.compared.insert(report_.compared.end(), compared.begin(), compared.end());
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
        PN_TRY(plan_, sandbox_.restore(place_.catalog, std::move(wanted), backup_threads(), stop_));
        for (const auto& library : config_.libraries) server_.libraries.push_back(library.value);
        server_.users = {"postgres"};
        if (auto user = user_of(place_.document, place_.backup->connection.value); !user.empty())
            server_.users.push_back(user);
        return {};
    }

    /// Up to the end, with stops where the targets of captured pipelines stand.
    Status recover() {
        double compared = 0;
        if (request_.target.kind == backup::RecoveryTarget::Kind::latest) {
            PN_TRY(auto captured,
                   CapturedPipelines::look_at(place_.document, *place_.backup, report_.record->system_identifier));
            if (!captured.empty()) {
                PN_TRY(compared, compare_captured(captured));
            }
        }
        begin_phase("recovery");
        PN_CHECK(sandbox_.start(plan_, server_, stop_));
        report_.isolated = sandbox_.isolated();
        report_.rto = seconds() - compared;
        return {};
    }

    /// The seconds that it took beside recovery.
    Result<double> compare_captured(CapturedPipelines& captured) {
        auto end = postgres::Lsn::parse(report_.record->end_lsn).value_or(postgres::Lsn());
        begin_phase("wait");
        PN_TRY(auto reach, wait_for_log(captured));
        captured.leave_out(end, reach);
        end_phase();
        double compared = report_.phases.back().seconds;
        for (auto place : captured.places()) {
            begin_phase("recovery");
            backup::RecoveryTarget there{.kind = backup::RecoveryTarget::Kind::lsn, .text = place.text(), .lsn = place};
            PN_TRY(auto way, backup::plan_recovery(place_.catalog, report_.record->id, there));
            PN_ASSERT(way.recovery && way.recovery->record);  // leave_out()
            auto paused = sandbox_.start_paused(plan_, server_, {.last = *way.recovery->record, .place = place}, stop_);
            if (!paused && paused.error().code != "recovery_not_paused") return fail(std::move(paused.error()));
            begin_phase("compare");
            if (paused) captured.compare(place, sandbox_, stop_);
            else captured.leave_out(place, paused.error());
            PN_CHECK(sandbox_.stop());
            end_phase();
            compared += report_.phases.back().seconds;
        }
        report_.compared = captured.outcome();
        return compared;
    }

    /// How far the stored log reaches. What a target has got already may be on its way into the store.
    Result<postgres::Lsn> wait_for_log(const CapturedPipelines& captured) {
        if (!report_.recovery) return postgres::Lsn();  // the sandbox was made without
        auto places = captured.places();
        auto until = steady_clock::now() + log_patience + 3 * place_.backup->wal.interval;
        while (true) {
            PN_TRY(auto now, backup::plan_recovery(place_.catalog, report_.record->id, request_.target));
            auto reach = now.recovery ? now.recovery->reach : postgres::Lsn();
            bool enough = places.empty() || reach >= *places.rbegin();
            if (enough || stop_.stop_requested() || steady_clock::now() >= until) return reach;
            std::this_thread::sleep_for(std::chrono::milliseconds(500));
        }
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
    backup::RestorePlan plan_;
    SandboxServer server_{.programs = config_.programs.value};
};

}  // namespace

Result<DrillReport> run_drill(const BackupPlace& place, const DrillRequest& request, const std::stop_token& stop) {
    const auto& folder = place.backup->drill.folder;
    PN_TRY(auto sandbox, Sandbox::claim(folder.empty() ? "/var/tmp" : folder.value, place.catalog));
    if (request.keep) sandbox->keep();
    return Drill(place, request, *sandbox, stop).run();
}

}  // namespace penstock::app
