#include "transform/events/router.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::events {
Router::Router(const config::Route& route)
    : by_(route.by.value), ignore_unmatched_(route.unmatched == config::Unmatched::ignore) {
    for (size_t begin = 0; !by_.empty() && begin <= by_.size();) {
        size_t end = std::min(by_.find('.', begin), by_.size());
        path_.push_back(by_.substr(begin, end - begin));
        begin = end + 1;
    }
    for (size_t i = 0; i < route.to.size(); ++i) {
        const auto& to = route.to[i];
        if (to.match.empty()) routes_.emplace(to.name, i);
        for (const auto& value : to.match) routes_.emplace(value.value, i);
    }
}

int Router::refuse(Refusal& refusal, std::string code, std::string reason) const {
    refusal = {.column = "", .path = "", .code = std::move(code), .reason = std::move(reason)};
    return nowhere;
}

int Router::route(std::string_view json, const JsonIndex& index, Refusal& refusal) const {
    if (path_.empty()) return 0;
    JsonCursor cursor(json, index);
    auto broken = [&](std::string_view why) {
        return refuse(refusal, "bad_json", fmt::format("the event is no valid JSON: {}", why));
    };
    if (index.fault != nullptr) return broken(index.fault);
    if (cursor.peek() != '{') return refuse_other(cursor, refusal), nowhere;
    for (const auto& name : path_) {
        if (cursor.enter(name)) continue;
        if (!cursor.fault.empty()) return broken(cursor.fault);
        return refuse(refusal, "no_routing_field", fmt::format("the event has no field {}", by_));
    }
    std::string_view name;
    if (cursor.peek() != '"')
        return refuse(refusal, "no_routing_field", fmt::format("{} of the event is no text", by_));
    std::string scratch;
    if (!cursor.string(name) || !cursor.plain(name, scratch)) return broken(cursor.fault);
    auto found = routes_.find(name);
    if (found != routes_.end()) return found->second;
    if (ignore_unmatched_) return filtered;
    return refuse(refusal, "no_route", fmt::format("no route takes {} '{}'", by_, name.substr(0, 100)));
}

}  // namespace penstock::events
