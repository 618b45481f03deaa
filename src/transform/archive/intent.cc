#include "transform/archive/intent.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/failpoint.h"
#include "io/object_store.h"
#include "transform/archive/index.h"
#include "transform/archive/path.h"

namespace penstock::archive {
namespace {

using Json = nlohmann::ordered_json;

constexpr int intent_version = 1;

std::optional<Intent> read_intent(std::string_view text) {
    auto json = Json::parse(text, nullptr, false);
    if (!json.is_object() || json.value("version", Json()) != intent_version) return std::nullopt;
    Intent intent;
    for (auto [name, member] :
         {std::pair{"pipeline", &Intent::pipeline}, {"segment", &Intent::segment}, {"position", &Intent::position}}) {
        auto value = json.value(name, Json());
        if (!value.is_string()) return std::nullopt;
        intent.*member = value.get<std::string>();
    }
    auto objects = json.value("objects", Json());
    if (!objects.is_array()) return std::nullopt;
    for (const auto& name : objects) {
        if (!name.is_string()) return std::nullopt;
        intent.objects.push_back(name.get<std::string>());
    }
    return intent;
}

}  // namespace

std::string intent_name(std::string_view pipeline, std::string_view writer) {
    auto name = "_penstock/archive/" + encode_part(pipeline);
    if (!writer.empty()) name += "/" + encode_part(writer);
    return name + ".json";
}

Result<std::optional<Intent>> load_intent(io::ObjectStore& store, const std::string& name) {
    PN_TRY(auto there, store.info(name));
    if (!there) return std::optional<Intent>();
    PN_TRY(auto text, store.get(name));
    auto intent = read_intent(text);
    if (!intent)
        return fail({.kind = ErrorKind::data,
                     .code = "archive_intent",
                     .message = fmt::format("{} is not what this version of Penstock writes", store.url(name)),
                     .hint = "use the version that wrote it; or look which objects it names, remove those whose "
                             "messages are not in the tables, then remove it"});
    return intent;
}

Status save_intent(io::ObjectStore& store, const std::string& name, const Intent& intent) {
    Json json{{"version", intent_version},
              {"pipeline", intent.pipeline},
              {"segment", intent.segment},
              {"position", intent.position},
              {"objects", intent.objects}};
    return store.put(name, json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<size_t> withdraw(io::ObjectStore& store, const Intent& intent) {
    size_t removed = 0;
    for (const auto& object : intent.objects) {
        PN_TRY(auto header, load_header(store, object));
        if (!header || header->segment != intent.segment) continue;
        PN_CHECK(store.remove(object));
        PN_FAILPOINT(archive_withdraw_during);
        PN_CHECK(store.remove(object + std::string(index_suffix)));
        ++removed;
    }
    return removed;
}

bool same_position(std::string_view one, std::string_view other) {
    if (one == other) return true;
    auto left = nlohmann::json::parse(one, nullptr, false);
    auto right = nlohmann::json::parse(other, nullptr, false);
    return !left.is_discarded() && !right.is_discarded() && left == right;
}

}  // namespace penstock::archive
