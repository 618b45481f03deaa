#include "app/operate/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "app/comparisons.h"
#include "app/operate/exposition.h"
#include "app/operate/whose.h"
#include "base/version.h"
#include "state/measures.h"

namespace penstock::app {
namespace {

using state::Measure;

/// Older ones of a server that does not answer would look like news.
constexpr std::chrono::minutes stale_slot{5};

double seconds_since(int64_t micros, TimePoint now) {
    auto since = now - TimePoint(std::chrono::microseconds(micros));
    return std::max(0.0, std::chrono::duration<double>(since).count());
}

bool is_of_backups(Measure::Kind kind) {
    using Kind = Measure::Kind;
    return kind == Kind::backup_at || kind == Kind::drill_at || kind == Kind::drill_rto || kind == Kind::drill_rpo ||
           kind == Kind::drill_passed;
}

/// Of what the file still has.
std::vector<Measure> current(const config::Document& document, std::vector<Measure> all, TimePoint now) {
    std::erase_if(all, [&](const Measure& one) {
        if (one.kind == Measure::Kind::slot_bytes)
            return document.connection(one.owner) == nullptr || now - one.measured_at > stale_slot;
        if (is_of_backups(one.kind)) return document.backup(one.owner) == nullptr;
        const auto* pipeline = pipeline_behind(document, one.owner);
        // One that follows has no end to measure from.
        return pipeline == nullptr ||
               (one.kind == Measure::Kind::loaded_until && pipeline->run == config::RunKind::follow);
    });
    return all;
}

/// A counter that first appears with its first failure has not grown for whoever compares it with before.
void begin_with_zero(const config::Document& document, std::vector<Measure>& all) {
    std::set<std::string> names;
    for (const auto& pipeline : document.pipelines)
        if (!pipeline.for_each) names.insert(pipeline.name);
    std::set<std::pair<std::string, std::string>> counted;
    for (const auto& one : all) {
        if (one.kind != Measure::Kind::runs) continue;
        names.insert(one.owner);
        counted.emplace(one.owner, one.outcome);
    }
    for (const auto& name : names)
        for (std::string status : {"success", "failed", "stopped"})
            if (!counted.contains({name, status}))
                all.push_back({.owner = name, .kind = Measure::Kind::runs, .outcome = status});
}

class MetricsPage {
  public:
    MetricsPage(const config::Document& document, std::vector<Measure> measures, TimePoint now, MetricsWriter& into)
        : document_(document), measures_(std::move(measures)), now_(now), out_(into) {}

    void write() {
        out_.family("penstock_build_info", "gauge", "The version of the program; the value is always 1.");
        out_.sample({{"version", version}}, 1);
        each(Measure::Kind::runs, "penstock_pipeline_runs_total", "counter", "Runs that have ended.",
             [&](const Measure& one) { sample({{"pipeline", one.owner}, {"status", one.outcome}}, one); });
        durations();
        each(Measure::Kind::rows, "penstock_rows_total", "counter",
             "Rows of source tables by what became of them; all are read.", [&](const Measure& one) {
                 sample({{"pipeline", one.owner}, {"table", one.subject}, {"outcome", one.outcome}}, one);
             });
        each(Measure::Kind::loaded_until, "penstock_lag_seconds", "gauge",
             "Since the newest run that succeeded began: what the source had then is in the target.",
             [&](const Measure& one) { age({{"pipeline", one.owner}}, one); });
        each(Measure::Kind::slot_bytes, "penstock_slot_retained_bytes", "gauge",
             "Log that a server keeps for a slot's reader.",
             [&](const Measure& one) { sample({{"connection", one.owner}, {"slot", one.subject}}, one); });
        each(Measure::Kind::open_rejects, "penstock_rejects", "gauge",
             "Rejected rows that are neither replayed nor discarded.",
             [&](const Measure& one) { sample({{"pipeline", one.owner}}, one); });
        each(Measure::Kind::bytes_billed, "penstock_bytes_billed_total", "counter",
             "Bytes that warehouses have billed.", [&](const Measure& one) { sample({{"pipeline", one.owner}}, one); });
        each(Measure::Kind::backup_at, "penstock_backup_age_seconds", "gauge", "Since the newest backup was complete.",
             [&](const Measure& one) { age({{"backup", one.owner}}, one); });
        each(Measure::Kind::drill_rto, "penstock_drill_rto_seconds", "gauge",
             "What the last drill took until the restored server answered.",
             [&](const Measure& one) { seconds({{"backup", one.owner}}, one); });
        each(Measure::Kind::drill_rpo, "penstock_drill_rpo_seconds", "gauge",
             "Between the last transaction that the store had and the begin of the last drill.",
             [&](const Measure& one) { seconds({{"backup", one.owner}}, one); });
        each(Measure::Kind::drill_at, "penstock_drill_age_seconds", "gauge", "Since the last drill ended.",
             [&](const Measure& one) { age({{"backup", one.owner}}, one); });
        each(Measure::Kind::drill_passed, "penstock_drill_passed", "gauge",
             "Whether the last drill found nothing wrong.",
             [&](const Measure& one) { sample({{"backup", one.owner}}, one); });
        comparisons();
        goals("penstock_backup_rto_goal_seconds", "How long a recovery may take: tier or rto of the backup.",
              &config::RecoveryGoals::rto);
        goals("penstock_backup_rpo_goal_seconds", "How much of the past may be lost: tier or rpo of the backup.",
              &config::RecoveryGoals::rpo);
    }

  private:
    void sample(const MetricsWriter::Labels& labels, const Measure& one) {
        out_.sample(labels, static_cast<double>(one.amount));
    }
    void seconds(const MetricsWriter::Labels& labels, const Measure& one) {
        out_.sample(labels, static_cast<double>(one.amount) / 1e6);
    }
    void age(const MetricsWriter::Labels& labels, const Measure& one) {
        out_.sample(labels, seconds_since(one.amount, now_));
    }

    template <class Show>
    void each(Measure::Kind kind, std::string_view name, std::string_view type, std::string_view help, Show show) {
        bool any = false;
        for (const auto& one : measures_) {
            if (one.kind != kind) continue;
            if (!std::exchange(any, true)) out_.family(name, type, help);
            show(one);
        }
    }

    void comparisons() {
        auto all = comparisons_of(measures_);
        if (all.empty()) return;
        out_.family("penstock_verify_differences", "gauge",
                    "Rows that differed between source and target when they were last compared.");
        for (const auto& [pipeline, found] : all)
            out_.sample({{"pipeline", pipeline}}, static_cast<double>(found.differences));
        std::erase_if(all, [](const auto& one) { return one.second.since == TimePoint{}; });
        if (all.empty()) return;
        out_.family("penstock_verify_age_seconds", "gauge", "Within so long every row was compared with the source.");
        for (const auto& [pipeline, found] : all)
            out_.sample({{"pipeline", pipeline}}, seconds_since(found.since.time_since_epoch().count(), now_));
    }

    /// Of the configuration, beside what was measured: rules compare the two.
    void goals(std::string_view name, std::string_view help,
               std::optional<std::chrono::microseconds> config::RecoveryGoals::* which) {
        bool any = false;
        for (const auto& backup : document_.backups) {
            auto goal = backup.goals().*which;
            if (!goal) continue;
            if (!std::exchange(any, true)) out_.family(name, "gauge", help);
            out_.sample({{"backup", backup.name}}, std::chrono::duration<double>(*goal).count());
        }
    }

    /// Buckets lie apart in the state and one above the other in the format.
    void durations() {
        std::map<std::string, std::map<std::string, int64_t>> taken;
        std::map<std::string, int64_t> sums;
        for (const auto& one : measures_) {
            if (one.kind == Measure::Kind::duration) taken[one.owner][one.subject] = one.amount;
            if (one.kind == Measure::Kind::duration_sum) sums[one.owner] = one.amount;
        }
        if (taken.empty()) return;
        out_.family("penstock_pipeline_duration_seconds", "histogram", "What runs took, their retries included.");
        for (auto& [pipeline, buckets] : taken) {
            int64_t up_to = 0;
            auto bucket = [&](const std::string& bound) {
                up_to += buckets[bound];
                out_.sample({{"pipeline", pipeline}, {"le", bound}}, static_cast<double>(up_to), "_bucket");
            };
            for (int64_t bound : state::duration_bounds()) bucket(fmt::format("{}", bound));
            bucket("+Inf");
            out_.sample({{"pipeline", pipeline}}, static_cast<double>(sums[pipeline]) / 1e6, "_sum");
            out_.sample({{"pipeline", pipeline}}, static_cast<double>(up_to), "_count");
        }
    }

    const config::Document& document_;
    std::vector<Measure> measures_;
    TimePoint now_;
    MetricsWriter& out_;
};

}  // namespace

Result<std::string> metrics_text(const config::Document& document, TimePoint now) {
    Exposition text;
    PN_CHECK(write_metrics(document, now, text));
    return text.text();
}

Status write_metrics(const config::Document& document, TimePoint now, MetricsWriter& into) {
    std::vector<Measure> all;
    PN_TRY(auto measures, state::Measures::open_existing(document.state.reveal(), document.state_directory));
    if (measures) {
        PN_TRY(all, measures->all());
    }
    auto shown = current(document, std::move(all), now);
    begin_with_zero(document, shown);
    MetricsPage(document, std::move(shown), now, into).write();
    return {};
}

}  // namespace penstock::app
