#include "app/drill/stored_drills.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "backup/part.h"
#include "io/object_store.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view folder = "drills/", seals = ".hmac";

/// As new_run_id() makes them: whatever else was asked for names no object.
bool is_id(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

Error no_such_drill(const std::string& id) {
    return {.kind = ErrorKind::usage,
            .code = "no_such_drill",
            .message = fmt::format("the store has no report of a drill '{}'", id),
            .hint = "`penstock backup drills NAME` lists those that are there"};
}

}  // namespace

Result<std::vector<std::string>> drill_ids(const backup::Catalog& catalog) {
    auto within = catalog.path(std::string(folder));
    PN_TRY(auto objects, catalog.store().list(within));
    std::vector<std::string> ids;
    for (const auto& one : objects) {
        if (!one.name.ends_with(seals)) continue;
        auto id = one.name.substr(within.size(), one.name.size() - within.size() - seals.size());
        if (is_id(id)) ids.push_back(std::move(id));
    }
    std::ranges::sort(ids, std::greater());  // they begin with the time
    return ids;
}

Result<Json> stored_drill(const backup::Catalog& catalog, const std::string& id) {
    if (!is_id(id)) return fail(no_such_drill(id));
    auto base = catalog.path(std::string(folder) + id), name = base + ".json";
    auto sealed = catalog.store().get(base + std::string(seals));
    if (!sealed && sealed.error().code == "no_such_object") return fail(no_such_drill(id));
    if (!sealed) return fail(std::move(sealed.error()));
    PN_TRY(auto text, catalog.store().get(name));
    auto json = sealed->starts_with(catalog.key().sign(text) + "  ") ? Json::parse(text, nullptr, false) : Json();
    if (!json.is_object())
        return fail(backup::damaged_object(catalog.store().url(name), "is damaged: its signature does not hold"));
    if (json.value("id", "") == id) return json;
    return fail(backup::damaged_object(catalog.store().url(name), "is the report of another drill"));
}

Result<std::optional<LastDrill>> last_drill(const backup::Catalog& catalog) {
    PN_TRY(auto ids, drill_ids(catalog));
    if (ids.empty()) return std::optional<LastDrill>();
    PN_TRY(auto json, stored_drill(catalog, ids.front()));
    LastDrill drill{.id = json.value("id", ""), .passed = json.value("passed", false)};
    drill.ended_at = json.value("ended_at", "");
    if (json.contains("rto_seconds") && json["rto_seconds"].is_number()) drill.rto = json["rto_seconds"].get<double>();
    return std::optional(std::move(drill));
}

}  // namespace penstock::app
