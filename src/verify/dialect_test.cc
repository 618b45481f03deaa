#include "verify/dialect.h"

#include <doctest/doctest.h>

#include "engine/database.h"

namespace penstock::verify {
namespace {

using data::Kind;

TEST_CASE("values beside one another read as one row only") {
    auto database = *engine::Database::in_memory({});
    auto connection = *database.connect();
    const auto& sql = dialect_named("duckdb");
    auto row = [&](const std::string& a, const std::string& b) {
        flow::ComparedColumn first{.name = "a", .type = data::scalar(Kind::text), .text = a};
        flow::ComparedColumn second{.name = "b", .type = data::scalar(Kind::text), .text = b};
        auto rows = connection.query("SELECT " + sql.framed({&first, &second}, true));
        if (!rows) FAIL(rows.error().text());
        return rows->text(0, 0);
    };
    CHECK(row("'p'", "'q'") ==
          "1:p\x1f"
          "1:q\x1f");
    CHECK(row("CAST(NULL AS VARCHAR)", "'n'") != row("'n'", "CAST(NULL AS VARCHAR)"));
    CHECK(row("'p' || chr(31)", "'q'") != row("'p'", "chr(31) || 'q'"));
    CHECK(row("''", "'x'") != row("CAST(NULL AS VARCHAR)", "'x'"));
    CHECK(row("'ü'", "''") ==
          "2:ü\x1f"
          "0:\x1f");
}

TEST_CASE("texts are literals in the words of each engine") {
    CHECK(dialect_named("postgres").literal("it's \\") == "'it''s \\'");
    CHECK(dialect_named("duckdb").identifier("a\"b") == "\"a\"\"b\"");
    CHECK(dialect_named("bigquery").literal("it's\x1f\\\n") == "('it\\'s' || CHR(31) || '\\\\\\x0a')");
    CHECK(dialect_named("bigquery").identifier("a`b") == "`a\\`b`");
}

TEST_CASE("no function is called with more arguments than PostgreSQL takes") {
    std::vector<std::string> many(200, "x");
    auto sql = dialect_named("postgres").concat(many);
    size_t calls = 0;
    for (size_t at = sql.find("concat("); at != sql.npos; at = sql.find("concat(", at + 1)) ++calls;
    CHECK(calls == 3);
}

TEST_CASE("people read floats short and lists with separators") {
    CHECK(shown("1.0000000000000001e-01", data::scalar(Kind::float64)) == "0.1");
    CHECK(shown("1.0000000149011612e-01", data::scalar(Kind::float32)) == "0.1");
    CHECK(shown("NaN", data::scalar(Kind::float64)) == "nan");
    CHECK(shown("[1\x1f"
                "2\x1f]",
                data::list_of(data::scalar(Kind::int32))) == "[1;2;]");
    CHECK(shown("a\x1f", data::scalar(Kind::text)) == "a\x1f");
}

}  // namespace
}  // namespace penstock::verify
