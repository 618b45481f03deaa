#include "app/text_table.h"

#include <doctest/doctest.h>

using namespace penstock::app;

TEST_CASE("a table is aligned by what a screen shows, numbers to the right, without blanks at line ends") {
    TextTable table(
        {{.heading = "PIPELINE"}, {.heading = "ROWS", .align = TextTable::Align::right}, {.heading = "STATUS"}});
    table.add({"größe", "5,000,000", "success"});
    table.add({"b", "7", ""});
    CHECK(table.text() ==
          "PIPELINE       ROWS  STATUS\n"
          "größe     5,000,000  success\n"
          "b                 7\n");
}

TEST_CASE("a column that says nothing in any row is left out") {
    TextTable table({{.heading = "TABLE"}, {.heading = "NOTE"}, {.heading = "ROWS", .align = TextTable::Align::right}});
    table.add({"a", "", "1"});
    CHECK(table.text() == "TABLE  ROWS\na         1\n");
}

TEST_CASE("without rows the heading still tells what would stand there") {
    TextTable table({{.heading = "A"}, {.heading = "B"}});
    CHECK(table.text() == "A  B\n");
}

TEST_CASE("cells stay on one line and within their width") {
    CHECK(one_line("two\nlines\tand \x1b[31mred") == "two lines and  [31mred");
    CHECK(one_line("123456", 6) == "123456");
    CHECK(one_line("1234567", 6) == "12345…");
    CHECK(one_line("größer als", 6) == "größe…");
    CHECK(display_width("表") == 2);
    CHECK(display_width("e\u0301") == 1);
    CHECK(display_width("\xff") == 1);
}
