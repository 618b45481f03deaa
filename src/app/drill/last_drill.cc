#include "app/drill/last_drill.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "backup/part.h"
#include "io/object_store.h"

namespace penstock::app {

Result<std::optional<LastDrill>> last_drill(const backup::Catalog& catalog) {
    constexpr std::string_view seals = ".hmac";
    PN_TRY(auto objects, catalog.store().list(catalog.path("drills/")));
    std::erase_if(objects, [&](const auto& one) { return !one.name.ends_with(seals); });
    if (objects.empty()) return std::optional<LastDrill>();
    // Their names begin with the time.
    auto seal_name = std::ranges::max(objects, {}, &io::ObjectInfo::name).name;
    auto name = seal_name.substr(0, seal_name.size() - seals.size()) + ".json";
    PN_TRY(auto sealed, catalog.store().get(seal_name));
    PN_TRY(auto text, catalog.store().get(name));
    auto damaged = [&] {
        return fail(backup::damaged_object(catalog.store().url(name), "is damaged: its signature does not hold"));
    };
    if (!sealed.starts_with(catalog.key().sign(text) + "  ")) return damaged();
    auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return damaged();
    LastDrill drill{.id = json.value("id", ""), .passed = json.value("passed", false)};
    drill.ended_at = json.value("ended_at", "");
    if (json.contains("rto_seconds") && json["rto_seconds"].is_number()) drill.rto = json["rto_seconds"].get<double>();
    return std::optional(std::move(drill));
}

}  // namespace penstock::app
