#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/drill/drill.h"
#include "app/operate/courier.h"
#include "app/operate/news.h"
#include "app/output.h"
#include "app/project.h"
#include "app/recovery_target.h"
#include "app/schedule/backup_jobs.h"
#include "base/log.h"
#include "state/measures.h"

namespace penstock::app {
namespace {

using state::Measure;

int64_t micros(double seconds) { return static_cast<int64_t>(seconds * 1e6); }

/// For metrics. What this drill has not measured is not known any more.
Status put_on_record(const config::Document& document, const DrillReport& report) {
    PN_CHECK(open_state(document));  // made where there is none: a drill is what somebody else asks for later
    PN_TRY(auto measures, state::Measures::open_existing(document.state.reveal(), document.state_directory));
    auto set = [&](Measure::Kind kind, std::optional<int64_t> amount) {
        std::vector<Measure> now;
        if (amount)
            now.push_back({.owner = report.backup, .kind = kind, .amount = *amount, .measured_at = report.ended_at});
        return measures->replace(report.backup, kind, now);
    };
    auto of = [](const std::optional<double>& seconds) {
        return seconds ? std::optional(micros(*seconds)) : std::nullopt;
    };
    PN_CHECK(set(Measure::Kind::drill_rto, of(report.rto)));
    PN_CHECK(set(Measure::Kind::drill_rpo, of(report.rpo)));
    PN_CHECK(set(Measure::Kind::drill_passed, report.passed() ? 1 : 0));
    return set(Measure::Kind::drill_at, report.ended_at.time_since_epoch().count());
}

Result<int> drill(const Session& session, const BackupPlace& place, backup::RecoveryTarget target) {
    bool keeps = session.options.keep_sandbox;
    PN_TRY(auto report, run_drill(place, {.backup = session.options.backup, .target = std::move(target), .keep = keeps},
                                  session.stop));
    auto stored = store_report(report, place.catalog);
    if (auto kept = put_on_record(place.document, report); !kept)
        log::warning("metrics do not know of the drill: {}", kept.error().message);
    if (!report.passed()) {
        if (!session.options.interval.empty())  // nobody reads what it prints
            for (const auto& why : report.failures()) log::error("drill of {}: {}", place.backup->name, why);
        News(place.document).drill_failed(*place.backup, report.id, report.failures());
        carry_news(place.document, session.stop);
    }
    auto json = drill_json(report);
    json["report"] = stored ? nlohmann::ordered_json(*stored) : nlohmann::ordered_json(nullptr);
    auto text = drill_text(report);
    if (stored) text += "  report: " + *stored + "\n";
    if (keeps) text += "  the restored server's folder stays until the next drill\n";
    PN_CHECK(session.json() ? print_json(json) : print(text));
    if (!stored) return fail(std::move(stored.error()));
    return report.passed() ? 0 : exit_code(ErrorKind::check_failed);
}

}  // namespace

Result<int> command::backup_drill(const Session& session) {
    PN_TRY(auto target, read_target(session.options));
    PN_TRY(auto place, open_backup(session));
    auto tell = [&](const Error& error) {
        News(place->document).drill_failed(*place->backup, session.options.interval, {error.text()});
        carry_news(place->document, session.stop);
    };
    return in_interval(session, place->document, [&] { return drill(session, *place, std::move(target)); }, tell);
}

}  // namespace penstock::app
