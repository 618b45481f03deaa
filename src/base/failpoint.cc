#include "base/failpoint.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

namespace penstock {

bool failpoints_armed = false;

namespace {

enum class Action { none, kill, error, delay };

constexpr std::array infos = {
#define PN_FAILPOINT_ENTRY(identifier, what) FailpointInfo{#identifier, what},
#include "base/failpoints.h"
#undef PN_FAILPOINT_ENTRY
};

std::array<Action, infos.size()> actions{};
std::array<std::atomic<int64_t>, infos.size()> to_pass{};  // visits before the action

Result<Action> parse_action(std::string_view text) {
    if (text == "kill") return Action::kill;
    if (text == "error") return Action::error;
    if (text == "delay") return Action::delay;
    return fail({.kind = ErrorKind::usage,
                 .code = "failpoint_action",
                 .message = fmt::format("failpoint action '{}' is unknown", text),
                 .where = "PENSTOCK_FAILPOINT",
                 .hint = "use kill, error or delay"});
}

Status arm_one(std::string_view item) {
    auto equals = item.find('=');
    auto name = item.substr(0, equals);
    PN_TRY(Action action, parse_action(equals == item.npos ? std::string_view{} : item.substr(equals + 1)));
    int64_t visit = 1;
    if (auto at = name.find('@'); at != name.npos) {
        std::from_chars(name.data() + at + 1, name.data() + name.size(), visit);
        name = name.substr(0, at);
    }
    for (size_t i = 0; i < infos.size(); ++i) {
        if (infos[i].name != name) continue;
        actions[i] = action;
        to_pass[i] = visit - 1;
        failpoints_armed = true;
        return {};
    }
    return fail({.kind = ErrorKind::usage,
                 .code = "failpoint_name",
                 .message = fmt::format("there is no failpoint '{}'", name),
                 .where = "PENSTOCK_FAILPOINT",
                 .hint = "`penstock failpoints` lists them"});
}

}  // namespace

std::span<const FailpointInfo> failpoints() { return infos; }

Status arm_failpoints(const char* spec) {
    if (spec == nullptr) return {};
    std::string_view rest = spec;
    while (!rest.empty()) {
        auto comma = rest.find(',');
        PN_CHECK(arm_one(rest.substr(0, comma)));
        rest = comma == rest.npos ? std::string_view{} : rest.substr(comma + 1);
    }
    return {};
}

Status hit_failpoint(Failpoint point) {
    auto index = static_cast<size_t>(point);
    if (actions[index] != Action::none && to_pass[index].fetch_sub(1) > 0) return {};
    switch (actions[index]) {
        case Action::none: return {};
        case Action::kill: std::raise(SIGKILL); return {};
        case Action::delay: std::this_thread::sleep_for(std::chrono::seconds(1)); return {};
        case Action::error:
            return fail({.kind = ErrorKind::unavailable,
                         .code = "failpoint",
                         .message = fmt::format("failpoint {} was hit", infos[index].name),
                         .hint = "unset PENSTOCK_FAILPOINT"});
    }
    std::unreachable();
}

}  // namespace penstock
