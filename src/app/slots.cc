#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/pipeline.h"
#include "app/project.h"
#include "app/slot_view.h"
#include "app/text_table.h"
#include "app/usage_mistake.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

/// A slot of one of the configuration's servers, with what this project has to do with it.
struct Found {
    SlotServer* server;
    flow::Slot slot;
    std::vector<std::string> pipelines;

    std::string reader() const { return pipelines.empty() ? "" : pipelines.front(); }
};

std::vector<std::string> readers_of(const std::vector<Pipeline>& pipelines, const std::string& connection,
                                    const std::string& slot) {
    std::vector<std::string> names;
    for (const auto& pipeline : pipelines)
        if (pipeline.source_connection() == connection && pipeline.slot() == slot) names.push_back(pipeline.name());
    return names;
}

Json found_json(const Found& found) {
    Json json = {{"connection", found.server->connection()}, {"slot", found.slot.name}};
    json["pipelines"] = found.pipelines;
    json.update(slot_json(found.slot, found.reader()));
    return json;
}

std::string list_text(const std::vector<Found>& all) {
    if (all.empty()) return "there are no replication slots\n";
    TextTable table({{.heading = "CONNECTION"},
                     {.heading = "SLOT"},
                     {.heading = "PIPELINE"},
                     {.heading = "PLUGIN"},
                     {.heading = "DATABASE"},
                     {.heading = "PID", .align = Align::right},
                     {.heading = "RESTART"},
                     {.heading = "CONFIRMED"},
                     {.heading = "KEPT", .align = Align::right},
                     {.heading = "BEHIND", .align = Align::right},
                     {.heading = "STATE"},
                     {.heading = "ROOM", .align = Align::right},
                     {.heading = "LASTS", .align = Align::right},
                     {.heading = "IS"}});
    std::string concerns;
    for (const auto& found : all) {
        const auto& [server, slot, pipelines] = found;
        table.add({server->connection(), slot.name, fmt::format("{}", fmt::join(pipelines, ", ")), slot.plugin,
                   slot.database, slot.active ? std::to_string(slot.reader_pid) : "", slot.kept_from, slot.confirmed,
                   shown_bytes(slot.retained_bytes), shown_bytes(slot.lag_bytes), slot.state,
                   shown_bytes(slot.room_bytes), shown_seconds(slot.seconds_left()), slot_traits(slot)});
        if (!slot.concern.empty())
            concerns += fmt::format("\n{}: {}\n  fix: {}\n", slot.name, slot.concern, slot_fix(slot, found.reader()));
    }
    return table.text() + concerns;
}

/// Where the slot stands: with its pipeline's connection, or the only one that has it.
Result<Found> find_slot(const Session& session, const std::vector<Pipeline>& pipelines,
                        std::vector<SlotServer>& servers) {
    const std::string& name = session.options.names.front();
    std::vector<Found> found;
    for (auto& server : servers) {
        PN_TRY(auto slots, server.list());
        for (auto& slot : slots)
            if (slot.name == name) found.push_back({&server, slot, readers_of(pipelines, server.connection(), name)});
    }
    auto used = [](const Found& one) { return !one.pipelines.empty(); };
    if (found.size() > 1 && std::ranges::count_if(found, used) == 1) found = {*std::ranges::find_if(found, used)};
    if (found.empty())
        return fail(misused("unknown_slot", fmt::format("there is no slot '{}'", name),
                            "`penstock slots list` shows those that are there"));
    if (found.size() == 1) return found.front();
    std::vector<std::string> connections;
    for (const auto& one : found) connections.push_back(one.server->connection());
    return fail(misused("ambiguous_slot",
                        fmt::format("connections {} all show a slot '{}'", fmt::join(connections, ", "), name),
                        "say which is meant by --connection"));
}

Status refuse_active(const flow::Slot& slot) {
    if (!slot.active) return {};
    return fail(
        {.kind = ErrorKind::conflict,
         .code = "slot_active",
         .message = fmt::format("slot {} is being read: {}", slot.name, slot.reader),
         .where = "slot " + slot.name,
         .hint = "stop its reader first; one that was cut off is let go after the server's wal_sender_timeout"});
}

/// What becomes of those who need the slot.
std::string consequence(const Found& found) {
    if (found.pipelines.empty())
        return found.slot.plugin.empty() ? "; a standby or backup may need it"
                                         : "; no pipeline of this configuration uses it";
    return fmt::format("; pipeline {0} then needs `penstock run --full-refresh {0}`", fmt::join(found.pipelines, ", "));
}

Status confirmed(const Session& session, const Found& found, const std::string& doing) {
    if (session.options.confirm) return {};
    const auto& slot = found.slot;
    auto lost = slot.lag_bytes.value_or(0) > 0
                    ? fmt::format("changes in {} of log since {} that its reader may not have",
                                  shown_bytes(slot.lag_bytes), slot.confirmed)
                    : std::string("the position up to which its reader has everything");
    return fail(misused("not_confirmed",
                        fmt::format("{} slot {} gives up {}{}", doing, slot.name, lost, consequence(found)),
                        "nothing was done; repeat it with --confirm if that is meant"));
}

Status report(const Session& session, const Found& found, const std::string& done, const std::string& position) {
    if (session.json()) {
        Json json = found_json(found);
        json["done"] = done;
        json["position"] = position.empty() ? Json(nullptr) : Json(position);
        return print_json(json);
    }
    return print(fmt::format("slot {} {}{}{}\n", found.slot.name, done, position.empty() ? "" : " to " + position,
                             found.pipelines.empty() ? "" : consequence(found)));
}

}  // namespace

Result<int> command::slots_list(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, select_pipelines(document, {}));
    PN_TRY(auto servers, slot_servers(document, session.options.names, session.stop));
    std::vector<Found> all;
    for (auto& server : servers) {
        PN_TRY(auto slots, server.list());
        for (auto& slot : slots) {
            auto readers = readers_of(pipelines, server.connection(), slot.name);
            all.push_back({&server, std::move(slot), std::move(readers)});
        }
    }
    if (session.json()) {
        Json list = Json::array();
        for (const auto& found : all) list.push_back(found_json(found));
        PN_CHECK(print_json({{"slots", list}}));
    } else {
        PN_CHECK(print(list_text(all)));
    }
    return 0;
}

Result<int> command::slots_drop(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, select_pipelines(document, {}));
    PN_TRY(auto servers, slot_servers(document, one_or_all(session.options.connection), session.stop));
    PN_TRY(auto found, find_slot(session, pipelines, servers));
    PN_CHECK(refuse_active(found.slot));
    PN_CHECK(confirmed(session, found, "dropping"));
    PN_TRY(auto slots, found.server->open());
    PN_CHECK(slots->drop(found.slot));
    PN_CHECK(report(session, found, "dropped", ""));
    return 0;
}

Result<int> command::slots_advance(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, select_pipelines(document, {}));
    PN_TRY(auto servers, slot_servers(document, one_or_all(session.options.connection), session.stop));
    PN_TRY(auto found, find_slot(session, pipelines, servers));
    PN_CHECK(refuse_active(found.slot));
    PN_CHECK(confirmed(session, found, "advancing"));
    PN_TRY(auto slots, found.server->open());
    PN_TRY(auto reached, slots->advance(found.slot, session.options.to));
    PN_CHECK(report(session, found, "advanced", reached));
    return 0;
}

}  // namespace penstock::app
