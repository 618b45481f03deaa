#include "transform/events/document_reader.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <simdjson.h>

#include <nlohmann/json.hpp>
#include <random>

#include "transform/events/ddl.h"

namespace penstock::events {
namespace {

using data::Kind;

data::Schema schema(std::string_view columns) {
    auto parsed = parse_ddl(fmt::format("CREATE TABLE t ({})", columns), "t.sql");
    REQUIRE_MESSAGE(parsed.has_value(), parsed.error().text());
    return parsed->schema;
}

FieldPlan plan_of(const data::Field& field) {
    FieldPlan plan{.name = field.name, .type = field.type, .required = !field.nullable};
    for (const auto& child : field.type.children) plan.children.push_back(plan_of(child));
    return plan;
}

/// A table of the columns and of Penstock's own.
EventTable table(std::string_view columns, config::UnknownFields unknown = config::UnknownFields::reject) {
    EventTable out{.route = "order", .unknown_fields = unknown, .max_bytes = 1000};
    out.info.name = "data.orders";
    out.info.schema = schema(columns);
    out.fields = plan_of({.name = "", .type = data::structure_of(out.info.schema.fields)});
    auto add = [&](const char* name, Kind kind) {
        out.info.schema.fields.push_back({.name = name, .type = data::scalar(kind)});
        return static_cast<int>(out.info.schema.fields.size()) - 1;
    };
    out.ingestion = add(ingestion_time, Kind::timestamptz);
    if (unknown == config::UnknownFields::keep) out.kept = add(config::kept_fields_column, Kind::json);
    out.position = add(position, Kind::text);
    out.version_column = add(schema_version, Kind::text);
    return out;
}

/// One event after the other into one block.
struct Reading {
    explicit Reading(EventTable of) : table(std::move(of)), block(table.info.schema), reader(table) {}

    bool read(std::string_view json) {
        flow::Message message{.payload = texts.keep(json), .position = "t/0/7", .received_micros = 42};
        return reader.read(message, indexer.index(message.payload, texts), block, refusal);
    }
    std::string refused(std::string_view json) {
        CHECK_FALSE(read(json));
        return fmt::format("{} {}: {}", refusal.code, refusal.path, refusal.reason);
    }
    template <class T>
    T value(size_t column, size_t row) {
        REQUIRE(block.columns[column].valid(row));
        return block.columns[column].values<T>()[row];
    }
    std::string text(size_t column, size_t row) { return std::string(value<data::StringRef>(column, row).view()); }

    EventTable table;
    data::Block block;
    DocumentReader reader;
    flow::TextStore texts;
    JsonIndexer indexer;
    Refusal refusal;
};

TEST_CASE("an event is a row") {
    Reading events(
        table("id STRING NOT NULL, n INT64, price FLOAT64, amount NUMERIC(10, 2), at TIMESTAMP, day DATE, ok BOOL,"
              " raw BYTES, doc JSON, u UUID"));
    REQUIRE(events.read(
        R"({"id":"a\u00e4\"b","n":-5,"price":1.5e1,"amount":12.30,"at":"2026-11-21T10:00:00.5+01:00","day":"2024-02-29",)"
        R"("ok":true,"raw":"AAE=","doc":{"x":[1,{"y":null}]},"u":"00000000-0000-0000-0000-000000000001"} )"));
    CHECK(events.text(0, 0) == "aä\"b");
    CHECK(events.value<int64_t>(1, 0) == -5);
    CHECK(events.value<double>(2, 0) == 15);
    CHECK(events.value<int64_t>(3, 0) == 1230);
    CHECK(events.value<int64_t>(4, 0) == 1795251600500000);
    CHECK(events.value<int32_t>(5, 0) == 19782);
    CHECK(events.value<int8_t>(6, 0) == 1);
    CHECK(events.text(7, 0) == std::string("\0\1", 2));
    CHECK(events.text(8, 0) == R"({"x":[1,{"y":null}]})");
    CHECK(events.value<int64_t>(10, 0) == 42);
    CHECK(events.text(11, 0) == "t/0/7");
    REQUIRE(events.read(R"({"id":"b"})"));
    for (size_t column = 1; column < 10; ++column) CHECK_FALSE(events.block.columns[column].valid(1));
}

TEST_CASE("lists and structs, in any order of fields") {
    Reading events(table("items ARRAY<STRUCT<sku STRING, n INT64>>, address STRUCT<city STRING, zip STRING NOT NULL>"));
    REQUIRE(events.read(R"({"address":{"zip":"1010","city":"Wien"},"items":[{"n":1,"sku":"x"},{"sku":"y"}]})"));
    REQUIRE(events.read(R"({"items":[]})"));
    const auto& list = events.block.columns[0];
    CHECK(list.values<data::ListEntry>()[0].length == 2);
    CHECK(list.values<data::ListEntry>()[1].length == 0);
    const auto& element = list.children()[0];
    CHECK(element.children()[0].values<data::StringRef>()[1].view() == "y");
    CHECK(element.children()[1].values<int64_t>()[0] == 1);
    CHECK_FALSE(element.children()[1].valid(1));
    CHECK(events.block.columns[1].children()[0].values<data::StringRef>()[0].view() == "Wien");
    CHECK_FALSE(events.block.columns[1].valid(1));
    CHECK(events.refused(R"({"items":[{"sku":"x","n":1.5}]})") == "not_an_integer items[0].n: 1.5: it is no integer");
    CHECK(events.refused(R"({"address":{"city":"Wien"}})") == "missing_field address.zip: the field is missing");
    CHECK(events.refused(R"({"items":[{"sku":"x"},{"m":1}]})") ==
          "unknown_field items[1].m: the table has no such field");
}

TEST_CASE("what a refused event left is not seen by the next") {
    Reading events(table("a STRING, b INT64, c STRUCT<d STRING, e INT64>"));
    CHECK_FALSE(events.read(R"({"a":null,"c":{"d":null,"e":null},"b":"x"})"));
    REQUIRE(events.read(R"({"a":"1","b":2,"c":{"d":"3","e":4}})"));
    CHECK(events.text(0, 0) == "1");
    CHECK(events.block.columns[2].valid(0));
    CHECK(events.block.columns[2].children()[0].valid(0));
    CHECK(events.block.columns[2].children()[1].values<int64_t>()[0] == 4);
}

TEST_CASE("what a column cannot hold exactly is refused by name") {
    Reading events(
        table("id STRING NOT NULL, n INT64, x FLOAT64, d NUMERIC(5, 2), at TIMESTAMP, local DATETIME, day DATE, t "
              "TIME, raw BYTES, u UUID, ok BOOL"));
    auto code = [&](std::string_view field) {
        CHECK_FALSE(events.read(fmt::format(R"({{"id":"1",{}}})", field)));
        return events.refusal.code;
    };
    CHECK(code(R"("n":9223372036854775808)") == "number_out_of_range");
    CHECK(code(R"("n":"5")") == "wrong_type");
    CHECK(code(R"("x":1e999)") == "number_out_of_range");
    CHECK(code(R"("x":9007199254740993)") == "integer_not_exact");
    CHECK(code(R"("d":1000)") == "numeric_overflow");
    CHECK(code(R"("d":1.005)") == "numeric_overflow");
    CHECK(code(R"("at":"yesterday")") == "bad_time");
    CHECK(code(R"("at":"2026-13-01T00:00:00Z")") == "bad_time");
    CHECK(code(R"("at":"2026-01-01T00:00:00.1234567Z")") == "bad_time");
    CHECK(code(R"("at":"10000-01-01T00:00:00Z")") == "time_out_of_range");
    CHECK(code(R"("at":1795251600)") == "wrong_type");
    CHECK(code(R"("local":"2026-01-01T00:00:00Z")") == "bad_time");
    CHECK(code(R"("day":"2023-02-29")") == "bad_time");
    CHECK(code(R"("t":"24:00:00")") == "bad_time");
    CHECK(code(R"("raw":"not base64!")") == "bad_base64");
    CHECK(code(R"("u":"123")") == "bad_uuid");
    CHECK(code(R"("ok":1)") == "wrong_type");
    CHECK(code(R"("ok":{})") == "wrong_type");
    CHECK(code(R"("zz":1)") == "unknown_field");
    CHECK(code(R"("n":1,"n":2)") == "field_twice");
    CHECK(events.refused(R"({"n":1})").starts_with("missing_field id"));
    CHECK(events.refused(R"({"id":null})").starts_with("null_value id"));
    CHECK(events.refused("[1]").starts_with("not_an_object"));
    CHECK(events.refused("").starts_with("bad_json"));
    CHECK(events.refused(fmt::format(R"({{"id":"{}"}})", std::string(1000, 'x'))).starts_with("too_large"));
    REQUIRE(events.read(
        R"({"id":"1","n":5e0,"x":9007199254740992,"d":-999.990,"at":"2026-01-01 00:00:00.123400000","local":"2026-01-01"})"));
}

TEST_CASE("unknown fields are kept as JSON, or left out, but never unchecked") {
    Reading keeping(table("id STRING", config::UnknownFields::keep));
    REQUIRE(keeping.read(R"({"x":{"deep":[1,2,12345678901234567890123]},"id":"1","y\n":"z"})"));
    CHECK(keeping.text(2, 0) == R"({"x":{"deep":[1,2,12345678901234567890123]},"y\n":"z"})");
    CHECK_FALSE(keeping.read(R"({"id":"1","x":[tru]})"));
    Reading ignoring(table("id STRING", config::UnknownFields::ignore));
    REQUIRE(ignoring.read(R"({"x":{"deep":[1,2]},"id":"1"})"));
    CHECK_FALSE(ignoring.read(R"({"id":"1","x":{"a":01}})"));
    CHECK_FALSE(ignoring.read(R"({"id":"1","x":"\x"})"));
    CHECK(
        ignoring.refused(fmt::format(R"({{"x":{}{}}})", std::string(150, '['), std::string(150, ']'))).find("deeper") !=
        std::string::npos);
}

/// Random bytes put into good events: whoever takes one must agree with another parser that it is JSON.
TEST_CASE("what is taken is JSON, and means what another parser says") {
    Reading events(
        table("s STRING, n INT64, x FLOAT64, l ARRAY<INT64>, o STRUCT<a STRING, b BOOL>", config::UnknownFields::keep));
    std::mt19937 random(7);
    const std::string seeds[] = {
        R"({"s":"a\u00e9\ud83d\ude00\n","n":-12,"x":1.25e-3,"l":[1,2,3],"o":{"a":null,"b":false}})",
        R"( {"z":[{"q":"\\"},true,null,0.5],"s":"","n":0} )"};
    const std::string alphabet = R"({}[]:,"\ \n0123456789.eE+-truefalsn/ud\t)";
    int taken = 0, json = 0;
    for (int i = 0; i < 60'000; ++i) {
        std::string text = seeds[random() % 2];
        for (unsigned edits = random() % 3; edits > 0; --edits) {
            size_t at = random() % text.size();
            char c = alphabet[random() % alphabet.size()];
            if (random() % 3 == 0) text.erase(at, 1);
            else if (random() % 2 == 0) text.insert(at, 1, c);
            else text[at] = c;
        }
        simdjson::dom::parser other;
        bool valid = other.parse(text).error() == simdjson::SUCCESS;
        json += valid;
        events.block.clear();
        events.block.rows = 0;
        if (!events.read(text)) {
            // Refused as no JSON only where the other one agrees: but for numbers beyond what it knows.
            if (events.refusal.code == "bad_json") CHECK_MESSAGE(!valid, text);
            continue;
        }
        ++taken;
        auto parsed = nlohmann::json::parse(text, nullptr, false);
        REQUIRE_MESSAGE(!parsed.is_discarded(), text);
        if (parsed.contains("s") && parsed["s"].is_string()) CHECK(events.text(0, 0) == parsed["s"].get<std::string>());
        if (parsed.contains("x") && parsed["x"].is_number())
            CHECK(events.value<double>(2, 0) == parsed["x"].get<double>());
    }
    CHECK(taken > 15'000);
    CHECK(json > taken);
}

}  // namespace
}  // namespace penstock::events
