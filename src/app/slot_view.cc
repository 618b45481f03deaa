#include "app/slot_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/components.h"
#include "base/humane.h"

namespace penstock::app {

using Json = nlohmann::ordered_json;

Result<std::unique_ptr<flow::Slots>> SlotServer::open() const {
    return find_component(connection_->type)->open_slots(connection_->options, document_->directory, stop_);
}

Result<std::vector<flow::Slot>> SlotServer::list() const {
    PN_TRY(auto slots, open());
    return slots->list();
}

Result<std::vector<SlotServer>> slot_servers(const config::Document& document, const std::vector<std::string>& names,
                                             std::stop_token stop) {
    std::vector<SlotServer> servers;
    for (const auto& name : names) {
        const auto* connection = document.connection(name);
        if (connection == nullptr) return fail(config::no_such_connection(document, name));
        if (find_component(connection->type)->open_slots == nullptr)
            return fail(
                {.kind = ErrorKind::usage,
                 .code = "no_slots_there",
                 .message = fmt::format("connection {} is of type {}, which has no slots", name, connection->type),
                 .hint = "name a connection that changes are captured from"});
        servers.emplace_back(document, *connection, stop);
    }
    if (!names.empty()) return servers;
    for (const auto& connection : document.connections)
        if (find_component(connection.type)->open_slots != nullptr) servers.emplace_back(document, connection, stop);
    return servers;
}

std::string slot_fix(const flow::Slot& slot, const std::string& pipeline) {
    constexpr std::string_view placeholder = "{pipeline}";
    std::string fix = slot.fix;
    for (size_t at; (at = fix.find(placeholder)) != std::string::npos;)
        fix.replace(at, placeholder.size(), pipeline.empty() ? "…" : pipeline);
    return fix;
}

Json slot_json(const flow::Slot& slot, const std::string& pipeline) {
    auto text = [](const std::string& value) { return value.empty() ? Json(nullptr) : Json(value); };
    auto number = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
    return {{"plugin", text(slot.plugin)},
            {"database", text(slot.database)},
            {"active", slot.active},
            {"active_pid", slot.active ? Json(slot.reader_pid) : Json(nullptr)},
            {"reader", text(slot.reader)},
            {"restart_lsn", text(slot.kept_from)},
            {"confirmed_flush_lsn", text(slot.confirmed)},
            {"retained_bytes", number(slot.retained_bytes)},
            {"lag_bytes", number(slot.lag_bytes)},
            {"wal_status", text(slot.state)},
            {"safe_wal_size", number(slot.room_bytes)},
            {"wal_bytes_per_second", number(slot.bytes_a_second)},
            {"seconds_until_lost", number(slot.seconds_left())},
            {"temporary", slot.temporary},
            {"two_phase", slot.two_phase},
            {"failover", slot.failover},
            {"synced", slot.synced},
            {"concern", text(slot.concern)},
            {"fix", text(slot_fix(slot, pipeline))}};
}

std::string shown_bytes(const std::optional<int64_t>& bytes) {
    return bytes ? humane_bytes(static_cast<uint64_t>(std::max<int64_t>(*bytes, 0))) : "";
}

std::string shown_seconds(const std::optional<double>& seconds) {
    return seconds ? humane_duration(std::chrono::duration<double>(*seconds)) : "";
}

std::string slot_traits(const flow::Slot& slot) {
    std::string out;
    for (auto [is, name] : {std::pair{slot.temporary, "temporary"},
                            {slot.two_phase, "two-phase"},
                            {slot.failover, "failover"},
                            {slot.synced, "synced"}})
        if (is) out += fmt::format("{}{}", out.empty() ? "" : ", ", name);
    return out;
}

}  // namespace penstock::app
