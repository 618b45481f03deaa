#include "backup/verify_wal.h"

#include <fmt/format.h>

#include <utility>

#include "connect/postgres/replication/slot.h"

namespace penstock::backup {
namespace {

class WalVerification {
  public:
    WalVerification(const WalStore& store, const WalIndex& index, const std::stop_token& stop)
        : store_(store), index_(index), stop_(stop) {}

    Result<WalVerifyReport> run() {
        for (size_t i = 0; i < index_.stretches.size(); ++i) {
            const auto& stretch = index_.stretches[i];
            report_.stretches.push_back({stretch.timeline, stretch.from, stretch.to});
            PN_CHECK(read(stretch));
            const auto* before =
                i > 0 && index_.stretches[i - 1].timeline == stretch.timeline ? &index_.stretches[i - 1] : nullptr;
            if (!stretch.begins) miss(stretch, before);
            if (before == nullptr && stretch.timeline > 1) PN_CHECK(look_back(stretch));
        }
        for (const auto& piece : index_.superfluous)
            PN_CHECK(note(store_.get(piece), store_.url(piece), piece.to - piece.from));
        return std::move(report_);
    }

  private:
    template <class T>
    Status note(const Result<T>& got, const std::string& url, uint64_t bytes) {
        if (stop_.stop_requested())
            return fail({.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while verifying"});
        ++report_.objects;
        if (got) {
            report_.bytes += bytes;
            return {};
        }
        bool missing = got.error().code == "no_such_object";
        if (!missing && got.error().code != "backup_damaged") return fail(got.error());
        report_.faults.push_back({.object = url, .what = missing ? "is missing" : "is damaged", .files = {}});
        return {};
    }

    Status read(const WalStretch& stretch) {
        for (const auto& piece : stretch.pieces)
            PN_CHECK(note(store_.get(piece), store_.url(piece), piece.to - piece.from));
        if (!stretch.begins) return {};
        return note(store_.check_beginning(stretch.timeline, stretch.from),
                    store_.catalog().url(store_.layout().beginning_name(stretch.timeline, stretch.from)), 0);
    }

    void miss(const WalStretch& stretch, const WalStretch* before) {
        auto first = before != nullptr ? before->to : Lsn(stretch.from.value - 1);
        auto folder = store_.catalog().url(store_.layout().segment_folder(stretch.timeline, first));
        report_.faults.push_back(
            {.object = folder,
             .what = before != nullptr ? fmt::format("is missing or not whole: log from {} to {} is not there",
                                                     before->to.text(), stretch.from.text())
                                       : fmt::format("is missing: the log before {} is not there", stretch.from.text()),
             .files = {}});
    }

    /// Where the timeline came from: its history is there, and all of the one before it, where that was followed.
    Status look_back(const WalStretch& first) {
        auto url = store_.catalog().url(history_name(first.timeline));
        auto history = store_.get_history(first.timeline);
        PN_CHECK(note(history, url, 0));
        if (!history) return {};
        auto switches = postgres::parse_timeline_history(*history);
        if (switches.empty()) return {};
        auto left = switches.back();
        const WalStretch* before = nullptr;
        for (const auto& stretch : index_.stretches)
            if (stretch.timeline == left.timeline) before = &stretch;
        if (before == nullptr || first.from != store_.layout().segment_start(left.at) || before->to >= left.at)
            return {};
        report_.faults.push_back(
            {.object = store_.catalog().url(store_.layout().segment_folder(before->timeline, before->to)),
             .what = fmt::format("is missing or not whole: log from {} to {} is not there, where timeline {} began",
                                 before->to.text(), left.at.text(), first.timeline),
             .files = {}});
        return {};
    }

    const WalStore& store_;
    const WalIndex& index_;
    const std::stop_token& stop_;
    WalVerifyReport report_;
};

}  // namespace

Result<std::optional<WalVerifyReport>> verify_wal(const Catalog& catalog, const std::stop_token& stop) {
    auto store = WalStore::open(catalog);
    if (!store && store.error().code == "backup_damaged")
        return std::optional(WalVerifyReport{.stretches = {},
                                             .faults = {{.object = store.error().where,
                                                         .what = "is damaged, so that none of the log can be read",
                                                         .files = {}}}});
    if (!store) return fail(std::move(store.error()));
    if (!*store) {
        // Pieces without it cannot be read.
        PN_TRY(bool there, has_wal(catalog));
        if (!there) return std::optional<WalVerifyReport>();
        return std::optional(WalVerifyReport{.stretches = {},
                                             .faults = {{.object = catalog.url("wal/log.json"),
                                                         .what = "is missing, so that none of the log can be read",
                                                         .files = {}}}});
    }
    PN_TRY(auto index, (*store)->index());
    PN_TRY(auto report, WalVerification(**store, index, stop).run());
    return std::optional(std::move(report));
}

}  // namespace penstock::backup
