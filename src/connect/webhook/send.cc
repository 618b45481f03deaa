#include "connect/webhook/send.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "io/http.h"

namespace penstock::webhook {
namespace {

using Json = nlohmann::ordered_json;

/// Slack cuts at 40,000 characters; nobody reads that much.
constexpr size_t most_text = 3000;

/// Of Slack's page on formatting text: these three have a meaning of their own.
std::string escaped(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '&') out += "&amp;";
        else if (c == '<') out += "&lt;";
        else if (c == '>') out += "&gt;";
        else out += c;
    }
    return out;
}

std::string text_in(const Json& object, const char* name) {
    auto found = object.find(name);
    return found == object.end() || !found->is_string() ? "" : found->get<std::string>();
}

std::string cut(std::string text) {
    if (text.size() <= most_text) return text;
    size_t end = most_text;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(0, end) + "…";
}

std::string slack_text(const Json& news) {
    std::string text = fmt::format("*{}*", escaped(text_in(news, "title")));
    if (auto said = text_in(news, "text"); !said.empty()) text += "\n" + escaped(cut(said));
    auto error = news.find("error");
    if (error != news.end() && error->is_object())
        if (auto hint = text_in(*error, "hint"); !hint.empty()) text += "\n_" + escaped(cut(hint)) + "_";
    if (auto run = text_in(news, "run_id"); !run.empty()) text += "\n`penstock runs " + escaped(run) + "`";
    return text;
}

}  // namespace

std::string body_of(Form form, const Json& news) {
    auto body = form == Form::slack ? Json{{"text", slack_text(news)}} : news;
    return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

io::Delivery send(const ConnectionOptions& options, const Json& news, std::stop_token stop) {
    io::Request request{.method = "POST",
                        .url = options.url.reveal(),
                        .headers = {"Content-Type: application/json", "Idempotency-Key: " + text_in(news, "id")},
                        .body = body_of(form_of(options), news),
                        .timeout = std::chrono::duration_cast<std::chrono::milliseconds>(options.timeout),
                        .most_bytes = size_t{64} << 10};
    if (!options.bearer.empty()) request.headers.push_back("Authorization: Bearer " + options.bearer.reveal());
    for (const auto& [name, value] : options.headers) request.headers.push_back(name + ": " + value.reveal());
    io::HttpClient client({.ca_file = options.ca.value});
    return io::delivery_of(client.send(request, std::move(stop)));
}

}  // namespace penstock::webhook
