#include "flow/read_position.h"

#include <nlohmann/json.hpp>

namespace penstock::flow {

std::string ReadPosition::to_json() const {
    nlohmann::ordered_json json = {{"cursor", cursor}, {"of", of}};
    if (batch != 0) json["batch"] = batch;
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<ReadPosition> ReadPosition::from_json(const std::string& text) {
    auto json = nlohmann::json::parse(text, nullptr, false);
    auto good = [&](const char* name) { return json.is_object() && json.contains(name) && json[name].is_string(); };
    if (good("cursor") && good("of"))
        return ReadPosition{.cursor = json["cursor"].get<std::string>(), .of = json["of"].get<std::string>()};
    return fail({.kind = ErrorKind::data,
                 .code = "bad_position",
                 .message = "the checkpoint's position cannot be read",
                 .hint = "run with --full-refresh to start over"});
}

}  // namespace penstock::flow
