#include "app/http/answer.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "app/output.h"
#include "base/secret.h"

namespace penstock::app::http {
namespace {

std::string unescaped(std::string_view text, bool plus_is_blank) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        unsigned value = 0;
        if (text[i] == '%' && i + 2 < text.size() &&
            std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
            out += static_cast<char>(value);
            i += 2;
        } else {
            out += plus_is_blank && text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

}  // namespace

Response json_answer(int status, const nlohmann::ordered_json& body) {
    auto text = body.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    return {.status = status, .body = redact(std::move(text)) + "\n"};
}

Response error_answer(int status, const Error& error) { return json_answer(status, {{"error", error_json(error)}}); }

Response error_answer(int status, std::string_view code, std::string_view message, std::string_view hint) {
    return error_answer(status,
                        Error{.code = std::string(code), .message = std::string(message), .hint = std::string(hint)});
}

std::string bearer(const Request& request) {
    auto given = request.header("authorization");
    bool is_one = given.size() > 7 && (given.starts_with("Bearer ") || given.starts_with("bearer "));
    return is_one ? given.substr(7) : "";
}

void split_target(std::string_view target, Request& into) {
    auto mark = target.find('?');
    into.path = unescaped(target.substr(0, mark), false);
    if (mark == target.npos) return;
    auto query = target.substr(mark + 1);
    while (!query.empty()) {
        auto end = query.find('&');
        auto part = query.substr(0, end);
        auto equals = part.find('=');
        if (!part.empty())
            into.query[unescaped(part.substr(0, equals), true)] =
                equals == part.npos ? "" : unescaped(part.substr(equals + 1), true);
        if (end == query.npos) break;
        query.remove_prefix(end + 1);
    }
}

}  // namespace penstock::app::http
