#include "connect/smtp/mail.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "base/base64.h"

namespace penstock::smtp {
namespace {

ConnectionOptions options() {
    ConnectionOptions made;
    made.from.value = "penstock@example.com";
    made.to = {{.value = "a@example.com"}, {.value = "b@example.com"}};
    return made;
}

TEST_CASE("nothing of the news ends a header, and every line is ASCII") {
    nlohmann::ordered_json news = {{"id", "1"},
                                   {"event", "run_failed"},
                                   {"title", "orders failed\r\nBcc: thief@example.com"},
                                   {"text", "Größe\n.\nRCPT TO:<thief@example.com>"}};
    auto mail = mail_of(options(), news, TimePoint{});
    CHECK(mail.find("\r\nBcc:") == mail.npos);
    CHECK(mail.find("\r\n.\r\n") == mail.npos);
    for (unsigned char c : mail) CHECK(c < 128);
    for (size_t at = mail.find('\n'); at != mail.npos; at = mail.find('\n', at + 1)) CHECK(mail[at - 1] == '\r');
    CHECK(mail.find("Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n") != mail.npos);
    CHECK(mail.find("Message-ID: <1@example.com>\r\n") != mail.npos);
}

TEST_CASE("a subject beyond ASCII comes in words of 75 letters that end between characters") {
    std::string title;
    for (int i = 0; i < 60; ++i) title += "ö€";
    std::string back;
    auto text = header_text(title);
    for (size_t at = 0; at < text.size();) {
        auto end = std::min(text.find("\r\n ", at), text.size());
        auto word = text.substr(at, end - at);
        CHECK(word.size() <= 75);
        auto piece = *from_base64(word.substr(10, word.size() - 12));
        CHECK((static_cast<unsigned char>(piece.front()) & 0xC0) != 0x80);
        back += piece;
        at = end + 3;
    }
    CHECK(back == title);
    CHECK(header_text("plain") == "plain");
    CHECK(header_text("=?UTF-8?B?eA==?=") != "=?UTF-8?B?eA==?=");
}

}  // namespace
}  // namespace penstock::smtp
