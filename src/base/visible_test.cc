#include "base/visible.h"

#include <doctest/doctest.h>

using penstock::Shown;
using penstock::visible;

TEST_CASE("a line of a log stays one line, whatever is in it") {
    CHECK(visible("orders", Shown::line) == "orders");
    CHECK(visible("a\nb\tc\rd", Shown::line) == "a\\nb\\tc\\rd");
    CHECK(visible("\x1b]0;title\x07\x7f", Shown::line) == "\\x1b]0;title\\x07\\x7f");
    CHECK(visible("\x1b[31mred", Shown::line) == "\\x1b[31mred");
    CHECK(visible("\xc2\x9b"
                  "31m \xc3\xa9 \xe2\x98\x83",
                  Shown::line) == "\\u009b31m \xc3\xa9 \xe2\x98\x83");
}

TEST_CASE("a page keeps its lines and colours, and nothing else that a terminal obeys") {
    CHECK(visible("a\n\tb\r", Shown::page) == "a\n\tb\\r");
    CHECK(visible("\x1b[31mred\x1b[0m", Shown::page) == "\x1b[31mred\x1b[0m");
    CHECK(visible("\x1b[2J\x1b[H\x1b[31", Shown::page) == "\\x1b[2J\\x1b[H\\x1b[31");
}
