#include "connect/smtp/mail.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/base64.h"

namespace penstock::smtp {
namespace {

using Json = nlohmann::ordered_json;

/// Nobody reads more, and some servers refuse large mail.
constexpr size_t most_text = size_t{64} << 10;

std::string text_in(const Json& object, const char* name) {
    auto found = object.find(name);
    return found == object.end() || !found->is_string() ? "" : found->get<std::string>();
}

/// The longest piece from `begin` on that ends between characters.
std::string_view piece_of(std::string_view text, size_t begin, size_t most) {
    size_t end = std::min(text.size(), begin + most);
    while (end < text.size() && end > begin + 1 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(begin, end - begin);
}

std::string value_text(const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string body_of(const Json& news) {
    std::string body = text_in(news, "title") + "\n\n";
    if (auto text = text_in(news, "text"); !text.empty()) body += text + "\n\n";
    auto error = news.find("error");
    if (error != news.end() && error->is_object()) {
        if (auto where = text_in(*error, "where"); !where.empty()) body += "Where: " + where + "\n\n";
        if (auto hint = text_in(*error, "hint"); !hint.empty()) body += "What to do: " + hint + "\n\n";
    }
    for (const char* name : {"pipeline", "backup", "drill", "event", "status", "origin", "at", "duration_seconds"})
        if (auto found = news.find(name); found != news.end() && !found->is_null())
            body += fmt::format("{}: {}\n", name, value_text(*found));
    if (auto window = news.find("window"); window != news.end() && window->is_object())
        body += fmt::format("window: {} to {}\n", text_in(*window, "start"), text_in(*window, "end"));
    if (auto run = text_in(news, "run_id"); !run.empty()) body += fmt::format("\npenstock runs {}\n", run);
    return body.size() <= most_text ? body : std::string(piece_of(body, 0, most_text)) + "…\n";
}

/// In lines of 76 letters, as RFC 2045 wants them.
std::string base64_lines(std::string_view bytes) {
    constexpr size_t bytes_a_line = 57;
    std::string out;
    for (size_t at = 0; at < bytes.size(); at += bytes_a_line)
        out += to_base64(bytes.substr(at, bytes_a_line)) + "\r\n";
    return out;
}

/// A message's lines end in CR LF within base64, too, or a reader on another system sees one line.
std::string with_line_ends(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '\r') continue;
        if (c == '\n') out += '\r';
        out += c;
    }
    return out;
}

}  // namespace

std::string header_text(std::string_view text) {
    constexpr size_t bytes_a_word = 42;  // an encoded word has 75 letters at most
    auto plain = [](unsigned char c) { return c >= ' ' && c < 127; };
    if (text.size() <= 60 && std::ranges::all_of(text, plain) && text.find("=?") == text.npos) return std::string(text);
    std::string out;
    for (size_t at = 0; at < text.size();) {
        auto piece = piece_of(text, at, bytes_a_word);
        out += fmt::format("{}=?UTF-8?B?{}?=", at == 0 ? "" : "\r\n ", to_base64(piece));
        at += piece.size();
    }
    return out;
}

std::string mail_of(const ConnectionOptions& options, const Json& news, TimePoint at) {
    std::vector<std::string> to;
    for (const auto& address : options.to) to.push_back(address.value);
    const auto& from = options.from.value;
    // Of a JSON text with broken UTF-8 every reader would make something else.
    auto whole = Json::parse(news.dump(-1, ' ', false, Json::error_handler_t::replace));
    std::string mail;
    auto add = [&](std::string_view name, std::string_view text) { mail += fmt::format("{}: {}\r\n", name, text); };
    add("From", from);
    add("To", fmt::format("{}", fmt::join(to, ",\r\n ")));
    add("Subject", header_text("[penstock] " + text_in(whole, "title")));
    add("Date", fmt::format("{:%a, %d %b %Y %H:%M:%S} +0000",
                            fmt::gmtime(std::chrono::system_clock::to_time_t(
                                std::chrono::time_point_cast<std::chrono::system_clock::duration>(at)))));
    add("Message-ID", fmt::format("<{}@{}>", text_in(whole, "id"), from.substr(from.find('@') + 1)));
    add("Auto-Submitted", "auto-generated");  // RFC 3834: no answers by machines
    add("X-Penstock-Event", header_text(text_in(whole, "event")));
    if (auto pipeline = text_in(whole, "pipeline"); !pipeline.empty())
        add("X-Penstock-Pipeline", header_text(pipeline));
    add("MIME-Version", "1.0");
    add("Content-Type", "text/plain; charset=utf-8");
    add("Content-Transfer-Encoding", "base64");
    return mail + "\r\n" + base64_lines(with_line_ends(body_of(whole)));
}

}  // namespace penstock::smtp
