#include "connect/postgres/replication/server_slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "connect/postgres/options.h"
#include "connect/postgres/replication/slot_outlook.h"

namespace penstock::postgres {
namespace {

using Clock = std::chrono::steady_clock;

/// Between the two looks that tell how fast the log grows.
constexpr auto between_looks = std::chrono::seconds(1);

flow::Slot shown(const SlotState& state) {
    auto text = [](const std::optional<Lsn>& lsn) { return lsn ? lsn->text() : std::string(); };
    flow::Slot slot{.name = state.name,
                    .plugin = state.plugin,
                    .database = state.database,
                    .active = state.active,
                    .reader_pid = state.active_pid,
                    .reader = state.holder,
                    .kept_from = text(state.restart_lsn),
                    .confirmed = text(state.confirmed_flush_lsn),
                    .log_end = text(log_end(state)),
                    .retained_bytes = state.retained_bytes,
                    .lag_bytes = {},
                    .state = state.lost() ? "lost" : state.wal_status,
                    .room_bytes = state.lost() ? std::nullopt : state.safe_wal_size,
                    .bytes_a_second = {},
                    .temporary = state.temporary,
                    .two_phase = state.two_phase,
                    .failover = state.failover,
                    .synced = state.synced,
                    .concern = {},
                    .fix = {}};
    if (auto end = log_end(state); end && state.confirmed_flush_lsn)
        slot.lag_bytes = static_cast<int64_t>(*end - std::min<uint64_t>(*end, *state.confirmed_flush_lsn));
    return slot;
}

Error at_slot(const flow::Slot& slot, ErrorKind kind, std::string code, std::string message, std::string hint) {
    return {.kind = kind,
            .code = std::move(code),
            .message = std::move(message),
            .where = "slot " + slot.name,
            .hint = std::move(hint)};
}

class ServerSlots : public flow::Slots {
  public:
    ServerSlots(std::unique_ptr<Session> session, std::stop_token stop)
        : session_(std::move(session)), stop_(std::move(stop)) {}

    Result<std::vector<flow::Slot>> list() override {
        auto began = Clock::now();
        PN_TRY(auto before, list_slots(*session_));
        auto limited = [](const SlotState& state) { return state.safe_wal_size && !state.lost(); };
        auto after = before;
        if (std::ranges::any_of(before, limited)) {
            wait();
            PN_TRY(after, list_slots(*session_));
        }
        std::chrono::duration<double> between = Clock::now() - began;
        std::vector<flow::Slot> slots;
        for (const auto& state : after) {
            slots.push_back(shown(state));
            auto earlier = std::ranges::find(before, state.name, &SlotState::name);
            if (earlier != before.end() && limited(state))
                slots.back().bytes_a_second = log_rate(*earlier, state, between);
            PN_CHECK(worry(state, slots.back()));
        }
        return slots;
    }

    Status drop(const flow::Slot& slot) override { return drop_slot(*session_, slot.name); }

    Result<std::string> advance(const flow::Slot& slot, const std::string& to) override {
        if (slot.plugin.empty())
            return fail(at_slot(
                slot, ErrorKind::refused, "slot_physical",
                fmt::format("slot {} is a physical one: the standby or backup that reads it moves it", slot.name),
                "drop it if nobody does"));
        PN_TRY(auto here, session_->query("SELECT pg_catalog.current_database()"));
        if (here.text(0, 0) != slot.database)
            return fail(at_slot(slot, ErrorKind::refused, "slot_database",
                                fmt::format("slot {} belongs to database {}, and this connection is to {}", slot.name,
                                            slot.database, here.text(0, 0)),
                                "give --connection one that leads to that database"));
        auto target = Lsn::parse(to.empty() ? slot.log_end : to), confirmed = Lsn::parse(slot.confirmed);
        if (!target)
            return fail(at_slot(slot, ErrorKind::usage, "bad_position", fmt::format("'{}' is no position", to),
                                "positions look like 16/B374D848"));
        if (confirmed && *target < *confirmed)
            return fail(at_slot(
                slot, ErrorKind::refused, "slot_backwards",
                fmt::format("slot {} stands at {}: it cannot go back to {}", slot.name, slot.confirmed, target->text()),
                "what is confirmed is gone; `penstock run --full-refresh` copies the tables again"));
        PN_TRY(auto reached, advance_slot(*session_, slot.name, *target));
        return reached.text();
    }

  private:
    void wait() {
        std::mutex mutex;
        std::condition_variable_any wake;
        std::unique_lock lock(mutex);
        wake.wait_for(lock, stop_, between_looks, [] { return false; });
    }

    Status worry(const SlotState& state, flow::Slot& slot) {
        auto concern = slot_concern(state, "{pipeline}");
        if (!concern) return {};
        slot.grave = concern->grave;
        slot.concern = concern->what;
        slot.fix = concern->fix;
        if (!concern->held) return {};
        PN_TRY(auto who, oldest_writer(*session_));
        if (!who.empty()) slot.concern += ": " + who;
        return {};
    }

    std::unique_ptr<Session> session_;
    std::stop_token stop_;
};

}  // namespace

Result<std::unique_ptr<flow::Slots>> open_slots(const config::Node& node, const std::filesystem::path&,
                                                std::stop_token stop) {
    PN_TRY(auto options, parse_connection(node, node.path.substr(node.path.rfind('.') + 1)));
    PN_TRY(auto session, Session::connect(options, "penstock/slots", stop));
    return std::make_unique<ServerSlots>(std::move(session), std::move(stop));
}

}  // namespace penstock::postgres
