#include "connect/http_api/pager.h"

#include <doctest/doctest.h>

namespace penstock::http_api {

TEST_CASE("the next page in a Link header") {
    CHECK(next_link("<https://h/a?page=2>; rel=\"next\", <https://h/a?page=9>; rel=\"last\"") == "https://h/a?page=2");
    CHECK(next_link("<https://h/a?page=1>; rel=\"first\", <https://h/a?x=1,2&page=3>; title=\"a, b\"; REL=next") ==
          "https://h/a?x=1,2&page=3");
    CHECK(next_link("<https://h/a>; rel=\"last next\"") == "https://h/a");
    CHECK(next_link("<https://h/a>; rel=\"nextish\"").empty());
    CHECK(next_link("<https://h/a>; rel=\"prev\"").empty());
    CHECK(next_link("<https://h/a; rel=next").empty());
    CHECK(next_link("<https://h/a>; rel=").empty());
    CHECK(next_link("").empty());
}

TEST_CASE("which URLs are of one host") {
    CHECK(same_origin("https://API.example.com/a", "https://api.example.com:443/b?c"));
    CHECK(same_origin("http://127.0.0.1:80/", "http://127.0.0.1"));
    CHECK(!same_origin("https://api.example.com", "http://api.example.com"));
    CHECK(!same_origin("https://api.example.com", "https://api.example.com.evil.example"));
    CHECK(!same_origin("https://api.example.com", "https://api.example.com:8443"));
    CHECK(!same_origin("https://api.example.com", "https://api.example.com@evil.example/"));
}

TEST_CASE("parameters are escaped") {
    CHECK(with_param("https://h/a", "a b", "1&2=3") == "https://h/a?a%20b=1%262%3D3");
    CHECK(with_param("https://h/a?x=1", "y", "+") == "https://h/a?x=1&y=%2B");
}

}  // namespace penstock::http_api
