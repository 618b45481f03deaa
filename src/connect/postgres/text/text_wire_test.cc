#include "connect/postgres/text/text_wire.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

namespace penstock::postgres {
namespace {

constexpr data::Holds everything{.infinite_dates = true, .end_of_day = true, .timetz = true, .interval = true};

/// Types as a server describes them; the oids of built-in ones are PostgreSQL's.
const std::map<Oid, PgType>& types() {
    static const std::map<Oid, PgType> all = [] {
        std::map<Oid, PgType> made;
        auto add = [&](PgType type) {
            if (type.shown.empty()) type.shown = type.name;
            made[type.oid] = std::move(type);
        };
        Oid plain = 1;
        for (const char* name : {"bool", "int2", "int8", "xid8", "float4", "float8", "numeric", "bytea", "uuid",
                                 "jsonb", "time", "timetz", "timestamp", "timestamptz", "interval", "inet"})
            add({.oid = plain++, .name = name, .core = true});
        add({.oid = 23, .name = "int4", .shown = "integer", .core = true});
        add({.oid = 25, .name = "text", .core = true});
        add({.oid = 26, .name = "oid", .core = true});
        add({.oid = 603, .name = "box", .core = true, .delimiter = ';'});
        add({.oid = 1082, .name = "date", .core = true});
        add({.oid = 1007, .name = "_int4", .shown = "integer[]", .element = 23, .core = true});
        add({.oid = 1009, .name = "_text", .element = 25, .core = true});
        add({.oid = 1020, .name = "_box", .element = 603, .core = true});
        add({.oid = 1041, .name = "_inet", .element = 16, .core = true});
        add({.oid = 3904, .name = "int4range", .kind = 'r', .subtype = 23, .core = true});
        add({.oid = 4451, .name = "int4multirange", .kind = 'm', .subtype = 3904, .core = true});
        add({.oid = 20000,
             .name = "room",
             .kind = 'c',
             .attributes = {{"a", 23, -1, 0}, {"b", 25, -1, 0}, {"c", 1009, -1, 0}}});
        add({.oid = 20001, .name = "_room", .element = 20000});
        add({.oid = 20002, .name = "positive", .kind = 'd', .base = 23});
        add({.oid = 20003, .name = "_positive", .element = 20002});
        add({.oid = 20004, .name = "textrange", .kind = 'r', .subtype = 25});
        add({.oid = 20005, .name = "inetrange", .kind = 'r', .subtype = 16});
        add({.oid = 20006, .name = "inetmultirange", .kind = 'm', .subtype = 20005});
        add({.oid = 20007, .name = "hstore"});
        add({.oid = 20008, .name = "geometry"});
        add({.oid = 20009, .name = "mood", .kind = 'e'});
        add({.oid = 20010, .name = "place", .kind = 'c', .attributes = {{"host", 16, -1, 0}, {"port", 23, -1, 0}}});
        add({.oid = 20011, .name = "void", .kind = 'p'});
        add({.oid = 20012, .name = "endless", .element = 20012});
        return made;
    }();
    return all;
}

const PgType& named(std::string_view name) {
    for (const auto& [oid, type] : types())
        if (type.name == name) return type;
    FAIL("no type " << name);
    std::unreachable();
}

Result<TextToWire> made(std::string_view type, const data::Holds& holds = everything) {
    return TextToWire::make(named(type).oid, [](Oid oid) -> const PgType& { return types().at(oid); }, holds);
}

std::string hex(std::string_view bytes) {
    std::string out;
    for (char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return out;
}

/// The wire form in hexadecimal digits, or what was expected.
std::string wire(std::string_view type, std::string_view text, const data::Holds& holds = everything) {
    auto convert = made(type, holds);
    REQUIRE(convert);
    std::string out = "kept";
    auto status = convert->convert(text, out);
    if (status) {
        REQUIRE(out.starts_with("kept"));
        return hex(out.substr(4));
    }
    CHECK(out == "kept");
    CHECK(status.error().kind == ErrorKind::data);
    CHECK(status.error().code == "malformed");
    return status.error().message.substr(status.error().message.rfind(": ") + 2);
}

std::string int32_hex(int64_t value) { return fmt::format("{:08x}", static_cast<uint32_t>(value)); }

TEST_CASE("what is text already is not copied") {
    CHECK(made("text")->verbatim());
    CHECK(made("mood")->verbatim());
    CHECK(made("inet")->verbatim());
    CHECK(made("inetmultirange")->verbatim());
    CHECK(made("timetz", {})->verbatim());
    CHECK(made("interval", {})->verbatim());
    CHECK(!made("timetz")->verbatim());
    CHECK(!made("inetrange")->verbatim());
    CHECK(wire("text", "any\\thing") == hex("any\\thing"));
}

std::string words(std::initializer_list<int64_t> values) {
    std::string out;
    for (int64_t value : values) out += int32_hex(value);
    return out;
}

/// Length and bytes.
std::string field(std::string_view text) { return int32_hex(static_cast<int64_t>(text.size())) + hex(text); }

TEST_CASE("arrays") {
    CHECK(wire("_int4", "{}") == words({0, 0, 23}));
    CHECK(wire("_int4", "{1,NULL}") == words({1, 1, 23, 2, 1, 4, 1, -1}));
    CHECK(wire("_int4", "{{1,2},{3,4}}") == words({2, 0, 23, 2, 1, 2, 1, 4, 1, 4, 2, 4, 3, 4, 4}));
    CHECK(wire("_int4", "[-1:0]={1,2}") == words({1, 0, 23, 2, -1, 4, 1, 4, 2}));
    CHECK(wire("_int4", "[2:2][0:1]={{5,6}}") == words({2, 0, 23, 1, 2, 2, 0, 4, 5, 4, 6}));
    CHECK(wire("_text", R"({a,"b \"q\" \\",NULL,"NULL",""})") ==
          words({1, 1, 25, 5, 1}) + field("a") + field("b \"q\" \\") + int32_hex(-1) + field("NULL") + field(""));
    CHECK(wire("_box", "{(1,1),(0,0);(2,2),(0,0)}") ==
          words({1, 0, 25, 2, 1}) + field("(1,1),(0,0)") + field("(2,2),(0,0)"));
    CHECK(wire("_inet", "{10.0.0.1,::1/64}") == words({1, 0, 25, 2, 1}) + field("10.0.0.1") + field("::1/64"));
    CHECK(wire("_positive", "{7}") == words({1, 0, 20002, 1, 1, 4, 7}));
    for (const char* text : {"",
                             "{",
                             "}",
                             "{1",
                             "{1,}",
                             "{,1}",
                             "{1}}",
                             "{{1},{2,3}}",
                             "{{1},2}",
                             "{1,{2}}",
                             "{{}}",
                             "{1}x",
                             "[1:2]={1}",
                             "[1:1][1:1]={1}",
                             "[1:1]{1}",
                             "[1:]={1}",
                             "[9999999999:1]={1}",
                             "[2:1]={}",
                             "{\"1}",
                             "{\"1\\",
                             "{1;2}",
                             "{{{{{{{1}}}}}}}",
                             "{\"1\"2}",
                             "{1\"2\"}",
                             "{ 1}",
                             "[1:1][1:1][1:1][1:1][1:1][1:1][1:1]={1}"})
        CHECK_MESSAGE(wire("_int4", text).ends_with("was expected"), text);
}

TEST_CASE("composites") {
    CHECK(wire("room", "(,,)") == words({3, 23, -1, 25, -1, 1009, -1}));
    CHECK(wire("room", R"((1,"b ""q"" \\","{x,""y z""}"))") == words({3, 23, 4, 1, 25}) + field("b \"q\" \\") +
                                                                   words({1009, 32, 1, 0, 25, 2, 1}) + field("x") +
                                                                   field("y z"));
    CHECK(wire("room", R"((1,"",))") == words({3, 23, 4, 1, 25}) + field("") + words({1009, -1}));
    CHECK(wire("_room", R"x({"(1,\"a\"\"b\",)",NULL})x") ==
          words({1, 1, 20000, 2, 1, 35, 3, 23, 4, 1, 25}) + field("a\"b") + words({1009, -1, -1}));
    CHECK(wire("place", "(10.0.0.1,80)") == words({2, 25}) + field("10.0.0.1") + words({23, 4, 80}));
    for (const char* text :
         {"", "(", "()", "(,)", "(,,,)", "(,,", "1,,", "(,,)x", "(,\",)", "(,\"a\"b,)", "(,(,)", "(x,,)", "(,,{1)"})
        CHECK_MESSAGE(wire("room", text).ends_with("was expected"), text);
}

TEST_CASE("ranges") {
    CHECK(wire("int4range", "empty") == "01");
    CHECK(wire("int4range", "[1,5)") == "02" + words({4, 1, 4, 5}));
    CHECK(wire("int4range", "(,5)") == "08" + words({4, 5}));
    CHECK(wire("int4range", "(,)") == "18");
    CHECK(wire("textrange", R"(["","a,""\\]"])") == "06" + field("") + field("a,\"\\]"));
    CHECK(wire("int4multirange", "{}") == words({0}));
    CHECK(wire("int4multirange", "{[1,3),[5,)}") ==
          words({2, 17}) + "02" + words({4, 1, 4, 3, 9}) + "12" + words({4, 5}));
    CHECK(wire("inetrange", "[10.0.0.1,)") == words({5, 25}) + field("10.0.0.1") + words({25, -1, 16, 1}) + "01" +
                                                  words({16, 1}) + "00" + words({16, 1}) + "00");
    CHECK(wire("inetrange", "empty") ==
          words({5, 25, -1, 25, -1, 16, 1}) + "00" + words({16, 1}) + "00" + words({16, 1}) + "01");
    for (const char* text : {"", "[", "[1", "[1,", "[1,2", "1,2", "[1,2)x", "emptyx", "[,2)", "[1,]", "[1;2)",
                             "[\"1,2)", "[1,2,3)", "[[1,2)", "[1\"1\",2)"})
        CHECK_MESSAGE(wire("int4range", text).ends_with("was expected"), text);
    for (const char* text : {"", "{", "{[1,2)", "{[1,2),}", "{[1,2)}x", "[1,2)", "{[1,2);[3,4)}"})
        CHECK_MESSAGE(wire("int4multirange", text).ends_with("was expected"), text);
}

TEST_CASE("hstore") {
    CHECK(wire("hstore", "") == words({0}));
    CHECK(wire("hstore", R"("a"=>"1", "b\"\\"=>NULL)") ==
          words({2}) + field("a") + field("1") + field("b\"\\") + words({-1}));
    for (const char* text :
         {"a=>1", "\"a\"", "\"a\"=>", "\"a\"=>1", "\"a\"=>\"1", "\"a\"=>\"1\",", "\"a\"=>NULLx", "\"a\"=>\"1\", "})
        CHECK_MESSAGE(wire("hstore", text).ends_with("was expected"), text);
}

TEST_CASE("an error names type, size and what was expected, never the value") {
    std::string out = "kept";
    auto status = made("int4")->convert("secret", out);
    REQUIRE(!status);
    CHECK(status.error().message ==
          "the server sent a text of 6 bytes that is no integer: an integer of 32 bits was expected");
    CHECK(out == "kept");
}

TEST_CASE("types that are none to be read") {
    CHECK(made("void").error().code == "unmapped_type");
    CHECK(made("endless").error().code == "unmapped_type");
}

}  // namespace
}  // namespace penstock::postgres
