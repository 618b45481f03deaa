#include "io/http.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>

#include "io/google_error.h"
#include "io/resumable_upload.h"
#include "io/retry.h"
#include "io/test_server.h"
#include "io/url.h"

namespace penstock::io {
namespace {

constexpr RetrySettings quick = {.first_delay = std::chrono::milliseconds(1),
                                 .longest_delay = std::chrono::milliseconds(5),
                                 .deadline = std::chrono::seconds(20)};

struct TestFile {
    explicit TestFile(const std::string& text) {
        char name[] = "/tmp/penstock-io-XXXXXX";
        ::close(::mkstemp(name));
        path = name;
        std::ofstream(path) << text;
    }
    ~TestFile() { std::filesystem::remove(path); }
    std::filesystem::path path;
};

}  // namespace

TEST_CASE("urls are taken apart") {
    auto origin = origin_of("HTTP://127.0.0.1:9050/x");
    CHECK(!origin);
    origin = origin_of("http://127.0.0.1:9050/x?y");
    REQUIRE(origin);
    CHECK(origin->text == "http://127.0.0.1:9050");
    CHECK(origin->is_loopback());
    CHECK(origin_of("http://[::1]:80/")->is_loopback());
    CHECK(!origin_of("http://127.evil.example/")->is_loopback());
    CHECK(!origin_of("https://bigquery.googleapis.com")->is_loopback());
    CHECK(!origin_of("https://user@host/"));
    CHECK(path_of("https://host/a?b=c") == "/a?b=c");
    CHECK(path_of("https://host") == "/");
    CHECK(escape_url("a b/ü") == "a%20b%2F%C3%BC");
}

TEST_CASE("a request and its answer") {
    TestServer server([](const auto&) { return TestServer::answer(418, "tea", "X-Kind: pot\r\n"); });
    HttpClient http;
    auto answer = http.send({.method = "POST", .url = server.url() + "/a", .headers = {"X-Say: hi"}, .body = "hello"});
    REQUIRE(answer);
    CHECK(answer->status == 418);
    CHECK(answer->body == "tea");
    CHECK(answer->header("x-kind") == "pot");
    auto received = server.received();
    REQUIRE(received.size() == 1);
    CHECK(received[0].method == "POST");
    CHECK(received[0].body == "hello");
    CHECK(received[0].header("X-Say") == "hi");
}

TEST_CASE("what goes wrong is told apart") {
    HttpClient http;
    SUBCASE("nobody listens") {
        auto answer = http.send({.url = "http://127.0.0.1:1/"});
        REQUIRE(!answer);
        CHECK(answer.error().kind == ErrorKind::unavailable);
    }
    SUBCASE("the connection closes") {
        TestServer server([](const auto&) { return ""; });
        auto answer = http.send({.url = server.url()});
        REQUIRE(!answer);
        CHECK(answer.error().kind == ErrorKind::unavailable);
    }
    SUBCASE("half an answer") {
        TestServer server([](const auto&) { return "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"; });
        auto answer = http.send({.url = server.url()});
        REQUIRE(!answer);
        CHECK(answer.error().kind == ErrorKind::unavailable);
    }
    SUBCASE("too much") {
        TestServer server([](const auto&) { return TestServer::answer(200, std::string(5000, 'x')); });
        auto answer = http.send({.url = server.url(), .most_bytes = 100});
        REQUIRE(!answer);
        CHECK(answer.error().code == "answer_too_large");
    }
    SUBCASE("a stop") {
        std::stop_source stop;
        stop.request_stop();
        auto answer = http.send({.url = "http://127.0.0.1:1/"}, stop.get_token());
        REQUIRE(!answer);
        CHECK(answer.error().kind == ErrorKind::interrupted);
    }
}

TEST_CASE("delays grow, are spread, and keep to what the server asked") {
    RetrySettings settings{.first_delay = std::chrono::milliseconds(100), .longest_delay = std::chrono::seconds(1)};
    CHECK(backoff(settings, 1, 1.0).count() == 100);
    CHECK(backoff(settings, 3, 1.0).count() == 400);
    CHECK(backoff(settings, 30, 1.0).count() == 1000);
    CHECK(backoff(settings, 3, 0.0).count() == 0);
    CHECK(backoff(settings, 1, 0.5, std::chrono::seconds(7)).count() == 7000);
    Response response;
    response.headers["retry-after"] = "3";
    CHECK(retry_after(response).count() == 3000);
    response.headers["retry-after"] = "Wed, 21 Oct 2015 07:28:00 GMT";
    CHECK(retry_after(response).count() == 0);
    response.headers["date"] = "Wed, 21 Oct 2015 07:27:00 GMT";  // the server's clock counts, not ours
    CHECK(retry_after(response).count() == 60'000);
    response.headers["retry-after"] = "3600";
    CHECK(retry_after(response).count() == 600'000);
    CHECK(retry_after(response, std::chrono::hours(2)).count() == 3'600'000);
    for (const char* nothing : {"-5", "soon", ""}) {
        response.headers["retry-after"] = nothing;
        CHECK(retry_after(response).count() == 0);
    }
}

TEST_CASE("references in an answer") {
    CHECK(*resolve_url("https://h:8443/v1/users?page=1", "?page=2") == "https://h:8443/v1/users?page=2");
    CHECK(*resolve_url("https://h/v1/users", "/v2/a b") == "https://h/v2/a%20b");
    CHECK(*resolve_url("https://h/v1/users", "//other/x") == "https://other/x");
    CHECK(*resolve_url("https://h/v1/users", "http://other/x") == "http://other/x");
    CHECK(!resolve_url("https://h/v1/users", "http://[bad"));
}

TEST_CASE("packed answers, and headers that come several times") {
    // "hello" by gzip, and twice Link.
    const std::string packed(
        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00", 25);
    TestServer server([&](const auto&) {
        return TestServer::answer(200, packed, "Content-Encoding: gzip\r\nLink: <a>; rel=x\r\nlink: <b>; rel=next\r\n");
    });
    HttpClient http;
    auto answer = http.send({.url = server.url(), .headers = {"Accept-Encoding:"}});
    REQUIRE(answer);
    CHECK(answer->body == "hello");
    CHECK(answer->header("link") == "<a>; rel=x, <b>; rel=next");
    CHECK(server.received()[0].header("Accept-Encoding").find("gzip") != std::string::npos);
    auto limited = http.send({.url = server.url(), .headers = {"Accept-Encoding:"}, .most_bytes = 4});
    REQUIRE(!limited);
    CHECK(limited.error().code == "answer_too_large");
}

TEST_CASE("Google's errors") {
    auto error =
        google_error({.status = 403,
                      .headers = {},
                      .body = R"({"error":{"message":"slow\ndown","errors":[{"reason":"rateLimitExceeded"}]}})"});
    CHECK(error.reason == "rateLimitExceeded");
    CHECK(error.message == "slow");
    CHECK(is_passing(403, error.reason));
    CHECK(!is_passing(403, "accessDenied"));
    CHECK(!is_passing(403, "quotaExceeded"));
    CHECK(is_passing(503, ""));
    CHECK(google_error({.status = 502, .headers = {}, .body = "<html>\nbad"}).message == "<html>");
}

TEST_CASE("an upload goes on from where the server has got") {
    std::string content(700'000, 'a');
    for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>('a' + i * 7 % 26);
    TestFile file(content);
    std::string kept;
    int requests = 0, sessions = 0;
    TestServer server([&](const TestServer::Received& request) -> std::string {
        ++requests;
        if (request.method == "POST") {
            ++sessions;
            kept.clear();
            return TestServer::answer(200, "", "Location: http://elsewhere.example/session?id=1\r\n");
        }
        CHECK(request.target == "/session?id=1");
        auto range = request.header("Content-Range");
        auto incomplete = [&] {
            return TestServer::answer(308, "",
                                      kept.empty() ? "" : fmt::format("Range: bytes=0-{}\r\n", kept.size() - 1));
        };
        if (range.starts_with("bytes */")) {
            return kept.size() == content.size() ? TestServer::answer(200, "{}") : incomplete();
        }
        REQUIRE(range.starts_with(fmt::format("bytes {}-", kept.size())));
        if (requests == 3) return "";                                // lost before it arrived
        if (requests == 5) kept += request.body.substr(0, 100'000);  // a part of it arrived
        else kept += request.body;
        if (requests == 5) return TestServer::answer(503);
        if (requests == 8) return TestServer::answer(410);         // the session is gone
        return kept.size() == content.size() ? "" : incomplete();  // the last answer is lost
    });
    HttpClient http;
    Upload what{.url = server.url() + "/upload",
                .metadata = "{}",
                .file = {.file = file.path, .size = content.size()},
                .chunk_bytes = 262'144};
    auto answer = upload(what, quick, {}, [&](Request request) { return http.send(request); });
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(kept == content);
    CHECK(sessions == 2);
}

TEST_CASE("an upload that is refused is not tried again") {
    TestFile file("x");
    TestServer server(
        [](const auto&) { return TestServer::answer(409, R"({"error":{"errors":[{"reason":"duplicate"}]}})"); });
    HttpClient http;
    auto answer = upload({.url = server.url(), .metadata = "{}", .file = {.file = file.path, .size = 1}}, quick, {},
                         [&](Request request) { return http.send(request); });
    REQUIRE(answer);
    CHECK(answer->status == 409);
    CHECK(server.received().size() == 1);
}

}  // namespace penstock::io
