#include <doctest/doctest.h>
#include <fmt/format.h>

#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>

#include "flow/change.h"
#include "transform/debezium/decode.h"

namespace penstock::debezium {
namespace {

using nlohmann::ordered_json;

/// Texts with memory behind them.
class Texts {
  public:
    std::string_view keep(std::string text) {
        size_t size = text.size();
        text.resize(size + padding);
        return std::string_view(kept_.emplace_back(std::move(text))).substr(0, size);
    }

  private:
    std::deque<std::string> kept_;
};

struct Captured {
    std::string kind;
    std::string key;
    std::string value;
};

/// Messages of the table as a Debezium wrote them: tests/fixtures/debezium.
std::vector<Captured> captured(const std::string& file, const std::string& config) {
    std::ifstream lines("tests/fixtures/debezium/" + file);
    REQUIRE(lines.good());
    std::vector<Captured> out;
    for (std::string line; std::getline(lines, line);) {
        auto json = ordered_json::parse(line);
        if (json["config"] != config || !json["topic"].get<std::string>().ends_with(".shop.orders")) continue;
        auto text = [&](const char* name) { return json[name].is_null() ? "" : json[name].dump(); };
        out.push_back({json["case"], text("key"), text("value")});
    }
    REQUIRE(out.size() > 5);
    return out;
}

struct Table {
    Texts texts;
    Splitter keys, values;
    std::optional<EventTable> table;
    std::optional<data::Schema> schema;
    std::optional<data::Block> block;
    std::optional<Decoder> decoder;
    Refusal refusal;

    Table(const Captured& first, DecodeOptions options) {
        auto key = keys.split(texts.keep(first.key)), value = values.split(texts.keep(first.value));
        REQUIRE(key);
        REQUIRE(value);
        auto made = EventTable::make("shop.orders", value->schema, *key, value->payload, std::move(options));
        if (!made) FAIL(made.error().text());
        table = std::move(*made);
        schema = flow::change::part_schema(table->info);
        block.emplace(*schema);
        decoder.emplace(*table);
    }

    Decoder::Outcome decode(const Captured& message, Event event = {}) {
        if (!message.key.empty()) event.key = keys.split(texts.keep(message.key)).value().payload;
        Result<Split> value = message.value.empty() ? Result<Split>(Split{}) : values.split(texts.keep(message.value));
        if (!value) return refusal = {.code = value.error().code}, Decoder::Outcome::refused;
        event.value = value->payload;
        event.position = ++position;
        return decoder->decode(event, *block, refusal);
    }

    const data::Column& column(std::string_view name) const {
        int found = schema->find(name);
        REQUIRE(found >= 0);
        return block->columns[static_cast<size_t>(found)];
    }
    std::string text(std::string_view name, size_t row) const {
        const auto& of = column(name);
        return of.valid(row) ? std::string(of.values<data::StringRef>()[row].view()) : "NULL";
    }
    template <class T>
    T value(std::string_view name, size_t row) const {
        REQUIRE(column(name).valid(row));
        return column(name).values<T>()[row];
    }

    uint64_t position = 0;
};

data::Holds all() { return {.infinite_dates = true, .end_of_day = true, .timetz = true, .interval = true}; }

/// What every mode must make of row 1.
void check_first_row(const Table& table) {
    CHECK(table.value<int64_t>("id", 0) == 1);
    CHECK(table.text("customer", 0) == "Ann \"A\" é\n");
    CHECK(table.value<int64_t>("amount", 0) == 123450);
    CHECK(table.text("rate", 0) == "0.000123456789012345");
    CHECK(table.value<int16_t>("small", 0) == -2);
    CHECK(table.value<float>("ratio", 0) == 1.5f);
    CHECK(std::isnan(table.value<double>("dbl", 0)));
    CHECK(table.value<int8_t>("is_paid", 0) == 1);
    CHECK(table.value<int32_t>("d", 0) == 19782);
    CHECK(table.value<int64_t>("t", 0) == 47655678000);
    CHECK(table.value<int64_t>("t6", 0) == 86399999999);
    CHECK(table.value<int64_t>("ttz", 0) == (int64_t{16200} * 1000000 << 24 | 57599));
    CHECK(table.value<int64_t>("ts3", 0) == 1709210096789000);
    CHECK(table.value<int64_t>("ts6", 0) == 1709210096789012);
    CHECK(table.value<int64_t>("tstz", 0) == 1709202896789012);
    CHECK(table.text("j", 0) == R"({"a": [1,2], "a":3})");
    CHECK(table.text("b", 0) == "\xde\xad\xbe\xef");
    CHECK(table.text("_penstock_op", 0) == "r");
    CHECK(table.text("_penstock_position", 0) == "0000000000000001/0000000000000000");
    CHECK(table.text("_penstock_unchanged", 0) == "");
    auto tags = table.value<data::ListEntry>("tags", 0);
    REQUIRE(tags.length == 3);
    const auto& tag = table.column("tags").children()[0];
    CHECK(tag.values<data::StringRef>()[tags.offset + 1].view() == "y,z");
    CHECK_FALSE(tag.valid(tags.offset + 2));
}

std::vector<std::pair<std::string, std::string>> orders() {
    return {{"id", "bigint"},
            {"customer", "text"},
            {"amount", "numeric(12,2)"},
            {"rate", "numeric"},
            {"price", "numeric(19,2)"},
            {"qty", "int"},
            {"small", "smallint"},
            {"ratio", "real"},
            {"dbl", "double precision"},
            {"is_paid", "boolean"},
            {"d", "date"},
            {"t", "time(3)"},
            {"t6", "time"},
            {"ttz", "timetz"},
            {"ts3", "timestamp(3)"},
            {"ts6", "timestamp"},
            {"tstz", "timestamptz"},
            {"iv", "interval"},
            {"j", "json"},
            {"jb", "jsonb"},
            {"tags", "text[]"},
            {"nums", "int[]"},
            {"nn", "numeric(6,2)[]"},
            {"u", "uuid"},
            {"b", "bytea"},
            {"ip", "text"},
            {"r", "text"},
            {"st", "text"},
            {"big", "text"}};
}

DecodeOptions with_text_numerics() {
    DecodeOptions options{.holds = all()};
    options.policies.numeric.otherwise.form = config::NumericForm::text;
    return options;
}

/// Through a whole capture: what is refused, what becomes of each event.
void check_stream(Table& table, const std::vector<Captured>& messages) {
    for (const auto& message : messages) {
        CAPTURE(message.value);
        size_t before = table.block->rows;
        auto outcome = table.decode(message, {});
        CAPTURE(table.refusal.column + ": " + table.refusal.reason);
        CHECK(outcome == Decoder::Outcome::rows);
        if (outcome != Decoder::Outcome::rows) continue;
        std::string op = table.text("_penstock_op", before);
        CHECK(op == (message.kind == "tombstone" ? "d" : message.kind));
    }
}

}  // namespace

TEST_CASE("Debezium's events with schema say what their columns are") {
    auto messages = captured("events-with-schema.jsonl", "sch");
    Table table(messages[0], with_text_numerics());
    CHECK(table.table->info.key == std::vector<std::string>{"id"});
    CHECK(data::to_string(table.table->info.schema.fields[2].type) == "decimal(12,2)");
    CHECK_FALSE(table.table->info.schema.fields[1].nullable);
    CHECK(data::to_string(table.table->info.schema.fields[22].type) == "list<decimal(6,2)>");
    check_stream(table, messages);
    check_first_row(table);
    CHECK(table.value<int64_t>("iv", 0) == 37091106700000);
    CHECK(table.value<int64_t>("_penstock_committed_at", 0) > 1'700'000'000'000'000);
}

TEST_CASE("events without schema need declared columns") {
    auto messages = captured("events.jsonl", "plain");
    Texts texts;
    auto made =
        EventTable::make("shop.orders", "", {"", texts.keep(messages[0].key)}, texts.keep(messages[0].value), {});
    REQUIRE_FALSE(made);
    CHECK(made.error().code == "columns_unknown");
    CHECK(made.error().hint.find("columns: {id: bigint, customer: text") != std::string::npos);

    auto options = with_text_numerics();
    options.columns = orders();
    Table table(messages[0], options);
    check_stream(table, messages);
    check_first_row(table);
    CHECK(table.value<int64_t>("ts6", 2) == std::numeric_limits<int64_t>::max());
    CHECK(table.value<int64_t>("tstz", 2) == -std::numeric_limits<int64_t>::max());
    CHECK(table.value<int32_t>("d", 2) == -735160);
}

TEST_CASE("the other modes give the same values") {
    auto messages = captured("events.jsonl", "str");
    auto options = with_text_numerics();
    options.columns = orders();
    options.decimals = Decimals::string;
    options.times = Times::isostring;
    options.intervals = Intervals::string;
    options.binaries = Binaries::base64;
    Table table(messages[0], options);
    check_stream(table, messages);
    check_first_row(table);
    auto interval = table.value<data::Interval>("iv", 0);
    CHECK(interval.months == 14);
    CHECK(interval.days == 3);
    CHECK(interval.micros == 14706700000);
    CHECK(table.text("rate", 2) == "NaN");
    CHECK(table.value<int64_t>("ts6", 2) == std::numeric_limits<int64_t>::max());
    CHECK(table.value<int32_t>("d", 2) == -735160);
}

TEST_CASE("a value that was not sent is marked in updates and moved rows only") {
    auto messages = captured("events-with-schema.jsonl", "sch");
    Table table(messages[0], with_text_numerics());
    auto update = std::ranges::find(messages, "u", &Captured::kind);
    REQUIRE(update != messages.end());
    REQUIRE(table.decode(*update) == Decoder::Outcome::rows);
    CHECK(table.text("_penstock_unchanged", 0) == "00000000000000000000000000001");
    CHECK(table.text("big", 0) == "NULL");
    Captured typed = *update;  // somebody's own text
    typed.value.replace(typed.value.find("\"op\":\"u\""), 8, "\"op\":\"c\"");
    REQUIRE(table.decode(typed) == Decoder::Outcome::rows);
    CHECK(table.text("_penstock_unchanged", 1) == "");
    CHECK(table.text("big", 1) == unavailable_value);
    REQUIRE(table.decode(typed, {.identity = 7, .origin = table.texts.keep(R"({"id":5})"), .moved = true}) ==
            Decoder::Outcome::rows);
    CHECK(table.text("big", 2) == "NULL");
    CHECK(table.value<int64_t>("_penstock_identity", 2) == 7);
    CHECK(table.value<int64_t>("_penstock_origin_0", 2) == 5);
}

TEST_CASE("what cannot be held is refused, and the next event is not touched by it") {
    auto messages = captured("events-with-schema.jsonl", "sch");
    Table table(messages[0], with_text_numerics());
    auto with = [&](std::string_view from, std::string_view to) {
        Captured changed = messages[0];
        size_t at = changed.value.find(from, changed.value.find("\"payload\""));
        REQUIRE(at != std::string::npos);
        changed.value.replace(at, from.size(), to);
        return changed;
    };
    auto refused = [&](const Captured& message) {
        REQUIRE(table.decode(message) == Decoder::Outcome::refused);
        return table.refusal.column + " " + table.refusal.code;
    };
    CHECK(refused(with("\"amount\":\"AeI6\"", "\"amount\":\"AeI6AAAAAAA=\"")) == "amount numeric_overflow");
    CHECK(refused(with("\"qty\":7", "\"qty\":7.5")) == "qty bad_value");
    CHECK(refused(with("\"qty\":7", "\"qty\":9999999999")) == "qty out_of_range");
    CHECK(refused(with("\"id\":1", "\"id\":null")) == "id null_in_required");
    CHECK(refused(with("\"u\":\"0", "\"u\":\"x")) == "u bad_value");
    CHECK(refused(with("\"b\":\"3q2+7w==\"", "\"b\":\"3q2-7w==\"")) == "b bad_value");
    CHECK(refused(with("\"op\":\"r\"", "\"op\":\"x\"")) == " unknown_op");
    CHECK(refused(with("\"nums\":[1,2", "\"nums\":[1,\"2\"")) == "nums bad_value");
    CHECK(refused(with("\"customer\":\"Ann", "\"customer\":\"\\ud800")) == " bad_json");
    Captured bare{"", messages[0].key, R"({"id": 1})"};
    CHECK(refused(bare) == " not_an_envelope");
    Captured cut{"", messages[0].key, R"({"op": "c", "after": {)"};
    CHECK(refused(cut) == " bad_json");
    table.position = 0;
    REQUIRE(table.decode(messages[0]) == Decoder::Outcome::rows);
    check_first_row(table);
}

TEST_CASE("tables without key come as whole rows") {
    auto messages = captured("events-with-schema.jsonl", "sch");
    Captured first = messages[0];
    first.key = "";
    Texts texts;
    Splitter splitter;
    auto value = splitter.split(texts.keep(first.value)).value();
    auto made = EventTable::make("shop.orders", value.schema, {}, value.payload, with_text_numerics());
    REQUIRE(made);
    CHECK(made->info.key.empty());
    auto schema = flow::change::part_schema(made->info);
    data::Block block(schema);
    Decoder decoder(*made);
    Refusal refusal;
    std::string json(value.payload);
    auto json_of = ordered_json::parse(json);
    json_of["before"] = json_of["after"];
    json_of["after"]["qty"] = 8;
    json_of["op"] = "u";
    REQUIRE(decoder.decode({.value = texts.keep(json_of.dump()), .position = 5}, block, refusal) ==
            Decoder::Outcome::rows);
    REQUIRE(block.rows == 2);
    auto at = [&](const char* name) -> data::Column& { return block.columns[static_cast<size_t>(schema.find(name))]; };
    CHECK(at("_penstock_op").values<data::StringRef>()[0].view() == "d");
    CHECK(at("_penstock_op").values<data::StringRef>()[1].view() == "c");
    CHECK(at("qty").values<int32_t>()[0] == 7);
    CHECK(at("qty").values<int32_t>()[1] == 8);
    CHECK(at("_penstock_position").values<data::StringRef>()[1].view() == "0000000000000005/0000000000000001");
    json_of["before"] = nullptr;
    CHECK(decoder.decode({.value = texts.keep(json_of.dump()), .position = 6}, block, refusal) ==
          Decoder::Outcome::refused);
    CHECK(refusal.code == "no_row");
    CHECK(block.rows == 2);
}

}  // namespace penstock::debezium
