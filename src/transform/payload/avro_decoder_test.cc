#include "transform/payload/avro_decoder.h"

#include <doctest/doctest.h>

#include <string>

#include "transform/payload/protobuf_schema.h"

namespace penstock::payload {
namespace {

std::string json_of(const char* schema, std::string_view bytes) {
    auto parsed = AvroSchema::parse(schema);
    REQUIRE(parsed.has_value());
    std::string json;
    auto read = append_avro(parsed->root(), bytes, json);
    return read ? json : "! " + read.error();
}

using namespace std::string_view_literals;

TEST_CASE("numbers of Avro end where they do") {
    CHECK(json_of("\"long\"", "\x01"sv) == "-1");
    CHECK(json_of("long", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv) == "-9223372036854775808");
    CHECK(json_of("long", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03"sv) == "! a number is beyond 64 bits");
    CHECK(json_of("int", "\x80\x80\x80\x80\x10"sv) == "! an int is beyond 32 bits");
    CHECK(json_of("long", "\x80"sv) == "! the payload ends within a value");
}

TEST_CASE("decimals of any length are exact") {
    constexpr const char* schema = R"({"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 2})";
    CHECK(json_of(schema, "\x00"sv) == "0.00");
    CHECK(json_of(schema, "\x02\xff"sv) == "-0.01");
    CHECK(json_of(schema, "\x04\x00\x80"sv) == "1.28");
    CHECK(json_of(schema, "\x02\x80"sv) == "-1.28");
    // 2^136 and its negative: more than 16 bytes.
    std::string large = "\x24\x01" + std::string(17, '\0'), negative = "\x24\xff" + std::string(17, '\0');
    CHECK(json_of(schema, large) == "871122859317602466466238995025326621327.36");
    CHECK(json_of(schema, negative) == "-" + json_of(schema, large));
}

TEST_CASE("instants of Avro are those of the calendar") {
    CHECK(json_of(R"({"type": "long", "logicalType": "timestamp-nanos"})", "\x01"sv) ==
          "\"1969-12-31T23:59:59.999999999Z\"");
    CHECK(json_of(R"({"type": "long", "logicalType": "local-timestamp-micros"})", "\x02"sv) ==
          "\"1970-01-01T00:00:00.000001\"");
    CHECK(json_of(R"({"type": "int", "logicalType": "time-millis"})", "\x01"sv) == "! a time is not within a day");
    // A logical type that does not fit is none.
    CHECK(json_of(R"({"type": "string", "logicalType": "date"})", "\x02x"sv) == "\"x\"");
}

TEST_CASE("a list of nothings does not fill the memory") {
    std::string payload = "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    CHECK(json_of(R"({"type": "array", "items": "null"})", payload) ==
          "! [13421773]: it is longer than 64 MiB as JSON");
}

TEST_CASE("a fault says where") {
    constexpr const char* schema =
        R"({"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "map", "values": {"type": "array", "items": "boolean"}}}]})";
    CHECK(json_of(schema, "\x02\x02k\x04\x01\x07"sv) == "! a.k[1]: a boolean is neither 0 nor 1");
}

TEST_CASE("schemas that are none say why") {
    auto why = [](const char* text) { return AvroSchema::parse(text).error(); };
    CHECK(why("{") == "type '{' is not defined");
    CHECK(why(R"({"type": "record", "name": "R"})") == "a record has no list of `fields`");
    CHECK(why(R"([["null"]])") == "a union is directly within a union");
    CHECK(why(R"({"type": "array"})") == "an array or map has no `items`");
    CHECK(ProtobufSchema::parse("message", {}).error().starts_with("line 1"));
}

}  // namespace
}  // namespace penstock::payload
