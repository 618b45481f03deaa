#include "connect/bigquery/answer.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace penstock::bigquery {

int64_t number_of(const nlohmann::json& json, const char* name, int64_t none) {
    auto found = json.find(name);
    if (found != json.end() && found->is_number_integer()) return found->get<int64_t>();
    auto text = text_of(json, name);
    int64_t value = none;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

const nlohmann::json& part_of(const nlohmann::json& json, const char* name) {
    static const nlohmann::json nothing = nlohmann::json::object();
    auto found = json.find(name);
    return found != json.end() && found->is_object() ? *found : nothing;
}

}  // namespace penstock::bigquery
