#include "transform/debezium/envelope.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "flow/change.h"
#include "transform/debezium/decimals.h"
#include "transform/debezium/json_text.h"
#include "transform/debezium/times.h"

using namespace penstock;
using namespace penstock::debezium;
using Json = nlohmann::json;

namespace {

template <class Append>
std::string written(Append append) {
    std::string out;
    append(out);
    return out;
}

std::string unscaled(data::Int128 value) {
    return written([&](std::string& out) { append_unscaled(value, out); });
}

std::string unscaled_text(std::string_view text) {
    return written([&](std::string& out) { append_unscaled(*parse_decimal(text), out); });
}

/// A part of a table (id int8 key, name text, amount numeric(12,2)) with old rows, and rows put in by hand.
struct Part {
    flow::TableInfo info;
    data::Schema schema;
    std::unique_ptr<data::Block> block;
    std::vector<std::unique_ptr<std::string>> texts;

    explicit Part(bool full = false) {
        info.name = "public.t";
        info.database = "db";
        info.key = {"id"};
        info.changes = info.old_rows = true;
        info.full_old_rows = full;
        info.schema.fields = {
            {.name = "id", .type = data::scalar(data::Kind::int64), .nullable = false, .source_type = "bigint"},
            {.name = "name", .type = data::scalar(data::Kind::text), .source_type = "text"},
            {.name = "amount", .type = data::decimal(12, 2), .source_type = "numeric(12,2)"}};
        schema = flow::change::part_schema(info);
        block = std::make_unique<data::Block>(schema);
        block->clear();
    }

    data::Column& column(std::string_view name) { return block->columns[static_cast<size_t>(schema.find(name))]; }

    void text(std::string_view name, size_t row, std::string value) {
        texts.push_back(std::make_unique<std::string>(std::move(value)));
        column(name).values<data::StringRef>()[row] = data::StringRef(*texts.back());
    }

    size_t add(char op, int64_t id, std::string name, uint64_t ordinal, std::string unchanged = "") {
        size_t row = block->rows++;
        column("id").values<int64_t>()[row] = id;
        text("name", row, std::move(name));
        column("amount").values<int64_t>()[row] = 123450;
        text(flow::change::op, row, std::string(1, op));
        text(flow::change::position, row, flow::change::position_of(0x100, ordinal));
        column(flow::change::committed_at).values<int64_t>()[row] = 1'700'000'000'123'456;
        text(flow::change::unchanged, row, std::move(unchanged));
        column(flow::change::identity).set_null(row);
        column(flow::change::origin(0)).set_null(row);
        column(flow::change::transaction).values<int64_t>()[row] = 77;
        return row;
    }

    std::vector<Message> encode(Encoder& encoder, size_t row) {
        std::vector<Message> out;
        REQUIRE(encoder.encode(*block, row, out));
        return out;
    }
};

Encoder encoder_of(const Part& part, EnvelopeOptions options = {}) {
    options.server = "shop";
    auto made = Encoder::make(part.info, part.schema, options);
    REQUIRE(made);
    return std::move(*made);
}

}  // namespace

TEST_CASE("unscaled numbers are the shortest two's complement") {
    CHECK(unscaled(123450) == "AeI6");
    CHECK(unscaled(0) == "AA==");
    CHECK(unscaled(-1) == "/w==");
    CHECK(unscaled(127) == "fw==");
    CHECK(unscaled(128) == "AIA=");
    CHECK(unscaled(-128) == "gA==");
    CHECK(unscaled(-129) == "/38=");
    for (std::string_view text :
         {"0", "1", "-1", "127", "128", "-128", "-129", "123450", "-98765432109876543210987654321"}) {
        data::Int128 value = 0;
        for (char c : text)
            if (c != '-') value = value * 10 + (c - '0');
        CHECK(unscaled_text(text) == unscaled(text[0] == '-' ? -value : value));
    }
    CHECK(!parse_decimal("NaN"));
    CHECK(parse_decimal("-0012.340")->scale == 3);
}

TEST_CASE("money in any locale has two digits behind the point") {
    auto cents = [](std::string_view text) {
        return (parse_money(text)->negative ? "-" : "") + parse_money(text)->digits;
    };
    CHECK(cents("$1,234.50") == "123450");
    CHECK(cents("-1.234,50 €") == "-123450");
    CHECK(cents("(¥1,234)") == "-123400");
    CHECK(cents("$0.05") == "005");
    CHECK(!parse_money("none"));
}

TEST_CASE("times as ISO 8601 has them") {
    auto date = [](int64_t days) { return written([&](std::string& out) { append_iso_date(days, out); }); };
    CHECK(date(19782) == "2024-02-29");
    CHECK(date(-735160) == "-0043-03-15");
    CHECK(date(0) == "1970-01-01");
    CHECK(date(2'932'897) == "+10000-01-01");
    auto stamp = [](int64_t micros) { return written([&](std::string& out) { append_iso_timestamp(micros, out); }); };
    CHECK(stamp(1'709'210'096'789'012) == "2024-02-29T12:34:56.789012Z");
    CHECK(stamp(-1) == "1969-12-31T23:59:59.999999Z");
    CHECK(stamp(500'000) == "1970-01-01T00:00:00.5Z");
    CHECK(stamp(INT64_MAX) == "infinity");
    CHECK(stamp(-INT64_MAX) == "-infinity");
    auto interval = [](data::Interval value) {
        return written([&](std::string& out) { append_iso_interval(value, out); });
    };
    CHECK(interval({.months = 14, .days = 3, .micros = 14'706'700'000}) == "P1Y2M3DT4H5M6.7S");
    CHECK(interval({.months = -1, .days = 0, .micros = -700'000}) == "P0Y-1M0DT0H0M-0.7S");
}

TEST_CASE("texts are escaped as JSON wants them") {
    for (std::string text : {std::string("plain"), std::string("a\"b\\c\n\t\x01\0z", 11), std::string("é😀")})
        CHECK(Json::parse(json_string(text)) == Json(text));
    auto number = [](double value) { return written([&](std::string& out) { append_json_number(value, out); }); };
    CHECK(number(1.5) == "1.5");
    CHECK(number(2) == "2.0");
    CHECK(number(1e300) == "1e+300");
}

TEST_CASE("an insert, and a delete with its tombstone") {
    Part part;
    size_t insert = part.add('c', 1, "x", 0), gone = part.add('d', 1, "", 2);
    auto encoder = encoder_of(part);
    auto messages = part.encode(encoder, insert);
    REQUIRE(messages.size() == 1);
    CHECK(*messages[0].key == R"({"id":1})");
    auto value = Json::parse(*messages[0].value);
    CHECK(value["op"] == "c");
    CHECK(value["before"].is_null());
    CHECK(value["after"] == Json::parse(R"({"id":1,"name":"x","amount":"AeI6"})"));
    CHECK(value["source"]["txId"] == 77);
    CHECK(value["source"]["db"] == "db");
    CHECK(value["source"]["ts_ms"] == 1'700'000'000'123);
    CHECK(value["source"]["sequence"] == R"(["256","0"])");
    CHECK(messages[0].position == flow::change::position_of(0x100, 0));
    messages = part.encode(encoder, gone);
    REQUIRE(messages.size() == 2);
    CHECK(Json::parse(*messages[0].value)["after"].is_null());
    CHECK(*messages[1].key == R"({"id":1})");
    CHECK(!messages[1].value);
    EnvelopeOptions without;
    without.tombstones = false;
    auto bare = encoder_of(part, without);
    CHECK(part.encode(bare, gone).size() == 1);
}

TEST_CASE("a row that moves names the other key") {
    Part part;
    size_t from = part.add('d', 1, "", 6), to = part.add('c', 2, "x", 7), later = part.add('c', 3, "y", 8);
    auto encoder = encoder_of(part);
    auto messages = part.encode(encoder, from);
    REQUIRE(messages.size() == 2);
    CHECK(messages[0].new_key == R"({"id":2})");
    CHECK(messages[1].new_key == R"({"id":2})");
    CHECK(part.encode(encoder, to)[0].old_key == R"({"id":1})");
    CHECK(part.encode(encoder, later)[0].old_key.empty());
}

TEST_CASE("values that were not sent are named") {
    Part part;
    size_t row = part.add('u', 1, "", 0, "011");
    auto encoder = encoder_of(part);
    auto message = part.encode(encoder, row)[0];
    CHECK(message.unavailable == R"(["name","amount"])");
    CHECK(Json::parse(*message.value)["after"] ==
          Json::parse(R"({"id":1,"name":"__debezium_unavailable_value","amount":null})"));
}

TEST_CASE("old rows stand before new ones, and a truncate has neither") {
    Part part(true);
    size_t row = part.add('u', 1, "new", 0), truncated = part.add('t', 0, "", 2);
    part.column(flow::change::before(0)).values<int64_t>()[row] = 1;
    part.text(flow::change::before(1), row, "old");
    part.column(flow::change::before(2)).set_null(row);
    auto encoder = encoder_of(part);
    auto value = Json::parse(*part.encode(encoder, row)[0].value);
    CHECK(value["before"] == Json::parse(R"({"id":1,"name":"old","amount":null})"));
    auto message = part.encode(encoder, truncated)[0];
    CHECK(!message.key);
    CHECK(Json::parse(*message.value)["op"] == "t");
}

TEST_CASE("schemas describe the payload") {
    Part part;
    size_t row = part.add('c', 1, "x", 0);
    EnvelopeOptions options;
    options.schemas = options.transactions = true;
    auto encoder = encoder_of(part, options);
    auto message = part.encode(encoder, row)[0];
    auto value = Json::parse(*message.value), key = Json::parse(*message.key);
    CHECK(value["schema"]["name"] == "shop.public.t.Envelope");
    CHECK(value["payload"]["transaction"]["id"] == "77:256");
    CHECK(key["schema"]["fields"][0] == Json::parse(R"({"type":"int64","optional":false,"field":"id"})"));
    for (size_t i = 0; i < value["schema"]["fields"].size(); ++i)
        CHECK(value["payload"].contains(value["schema"]["fields"][i]["field"]));
}

TEST_CASE("topics have no characters that Kafka refuses") {
    flow::TableInfo info;
    info.name = "public.Größe x";
    info.database = "db";
    CHECK(*topic_name("{server}.{database}.{schema}.{table}", "s", info) == "s.db.public.Gr____e_x");
    CHECK(!topic_name("{nothing}", "s", info));
}
