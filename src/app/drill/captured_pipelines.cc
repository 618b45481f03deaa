#include "app/drill/captured_pipelines.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/project.h"
#include "base/ids.h"
#include "base/log.h"
#include "connect/postgres/capture/change_position.h"

namespace penstock::app {
namespace {

using postgres::Lsn;
using postgres::StreamPosition;

Error not_comparable(std::string message, std::string hint) {
    return {.kind = ErrorKind::check_failed,
            .code = "not_at_one_position",
            .message = std::move(message),
            .hint = std::move(hint)};
}

/// A table that was read after the stream's place holds what came in between.
Status check_tables(const StreamPosition& stream, const std::vector<flow::BatchRecord>& batches,
                    const std::string& name) {
    std::string behind = stream.unread.empty() ? "" : stream.unread.begin()->first;
    for (const auto& batch : batches) {
        if (batch.source == flow::stream_row) continue;
        auto table = postgres::ChangePosition::from_json(batch.checkpoint.position);
        if (table && table->from > stream.streamed) behind = batch.source;
    }
    if (behind.empty()) return {};
    return fail(not_comparable(fmt::format("its table {} is not at the place of its stream yet", behind),
                               fmt::format("`penstock run {} --drain` brings it there", name)));
}

/// Where the pipeline's target stands.
Result<StreamPosition> position_of(const config::Document& document, const std::string& name) {
    PN_TRY(auto pipeline, Pipeline::find(document, name));
    PN_TRY(auto ledger, pipeline.open_ledger());
    if (ledger != nullptr) {
        PN_TRY(auto batches, ledger->checkpoints(name));
        auto stream = std::ranges::find(batches, flow::stream_row, &flow::BatchRecord::source);
        if (stream != batches.end()) {
            PN_TRY(auto position, StreamPosition::from_json(stream->checkpoint.position));
            PN_CHECK(check_tables(position, batches, name));
            return position;
        }
    }
    return fail(not_comparable("its target has no position of a stream yet",
                               fmt::format("`penstock run {}` brings it to one", name)));
}

}  // namespace

Result<CapturedPipelines> CapturedPipelines::look_at(const config::Document& document, const config::Backup& backup,
                                                     const std::string& system_identifier) {
    CapturedPipelines made(document);
    for (const auto& name : backup.drill.verify) {
        if (!captures(*document.pipeline(name.value))) continue;
        Stand stand{.found = {.name = name.value}};
        PN_TRY(auto store, open_state(document));
        auto lock = store.acquire(name.value, new_run_id());
        if (lock) stand.lock = std::move(*lock);
        else log::info("{} goes on while it is compared: {}", name.value, lock.error().message);
        auto position = position_of(document, name.value);
        if (position && position->system != system_identifier)
            position = fail(not_comparable(
                fmt::format("its stream is of server {}, and the backup of {}", position->system, system_identifier),
                "name pipelines that read the backed up server"));
        if (position) stand.place = position->streamed;
        else stand.found.error = std::move(position.error());
        stand.is_over = stand.found.error.has_value();
        made.all_.push_back(std::move(stand));
    }
    return made;
}

std::set<Lsn> CapturedPipelines::places() const {
    std::set<Lsn> all;
    for (const auto& one : all_)
        if (!one.is_over) all.insert(one.place);
    return all;
}

void CapturedPipelines::leave_out(Lsn first, Lsn last) {
    for (auto& one : all_) {
        if (one.is_over || (one.place > first && one.place <= last)) continue;
        bool early = one.place <= first;
        one.found.error = not_comparable(
            fmt::format("its target stands at {}, and the {} at {}", one.place.text(),
                        early ? "restored backup ends" : "stored log ends", (early ? first : last).text()),
            early ? fmt::format("`penstock run {}` brings it further; or drill an older backup", one.found.name)
                  : "`penstock backup wal` must be running, and not be far behind");
        one.is_over = true;
        one.lock.reset();
    }
}

void CapturedPipelines::leave_out(Lsn place, const Error& why) {
    for (auto& one : all_) {
        if (one.is_over || one.place != place) continue;
        one.found.error = why;
        one.is_over = true;
        one.lock.reset();
    }
}

void CapturedPipelines::compare(Lsn place, const Sandbox& sandbox, const std::stop_token& stop) {
    for (auto& one : all_) {
        if (one.is_over || one.place != place) continue;
        one.found = compare_restored(*document_, one.found.name, sandbox, {.as_it_stands = true}, stop);
        one.found.as_of = place.text();
        auto now = position_of(*document_, one.found.name);
        if (!one.found.error && !one.found.equal() && now && now->streamed != place)
            one.found.note = fmt::format(
                "its stream went on to {} while it was compared, which is among the differences: stop it for "
                "the drill",
                now->streamed.text());
        one.is_over = true;
        one.lock.reset();
    }
}

std::vector<ComparedPipeline> CapturedPipelines::outcome() const {
    std::vector<ComparedPipeline> all;
    for (const auto& one : all_) all.push_back(one.found);
    return all;
}

}  // namespace penstock::app
