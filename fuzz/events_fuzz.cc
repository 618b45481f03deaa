// Feeds arbitrary bytes to the reader of JSON events: the index, the router and the reader of documents. nlohmann's parser is the
// oracle: what is taken must be JSON and come back with the values that it finds there; what is refused as no JSON must be none.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "transform/events/ddl.h"
#include "transform/events/document_reader.h"
#include "transform/events/router.h"

namespace {

using namespace penstock;
using namespace penstock::events;
using Json = nlohmann::json;

[[noreturn]] void wrong(const char* what, std::string_view text) {
    std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(std::min<size_t>(text.size(), 500)), text.data());
    std::abort();
}

/// Whether a text is JSON whatever the size of its numbers, which nlohmann holds in doubles.
struct Grammar : nlohmann::json_sax<Json> {
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(int64_t) override { return true; }
    bool number_unsigned(uint64_t) override { return true; }
    bool number_float(double, const std::string&) override { return true; }
    bool string(std::string&) override { return true; }
    bool binary(Json::binary_t&) override { return true; }
    bool start_object(size_t) override { return true; }
    bool key(std::string&) override { return true; }
    bool end_object() override { return true; }
    bool start_array(size_t) override { return true; }
    bool end_array() override { return true; }
    bool parse_error(size_t, const std::string&, const Json::exception& error) override {
        too_large = error.id == 406;
        return false;
    }
    bool too_large = false;
};

enum class Is { json, other, unknown };

Is judge(std::string_view text) {
    // nlohmann ends at a NUL and passes over a byte order mark.
    if (text.find('\0') != text.npos || text.starts_with("\xEF\xBB\xBF")) return Is::unknown;
    Grammar grammar;
    if (Json::sax_parse(text.begin(), text.end(), &grammar)) return Is::json;
    return grammar.too_large ? Is::unknown : Is::other;
}

FieldPlan plan_of(const data::Field& field) {
    FieldPlan plan{.name = field.name, .type = field.type, .required = !field.nullable};
    for (const auto& child : field.type.children) plan.children.push_back(plan_of(child));
    return plan;
}

EventTable make_table() {
    auto parsed = parse_ddl(
        "CREATE TABLE t (id STRING, n INT64, amount NUMERIC(12, 2), x FLOAT64, at TIMESTAMP, day DATE, ok BOOL, raw "
        "BYTES,"
        " tags ARRAY<STRING>, s STRUCT<a INT64, b STRING, c ARRAY<STRUCT<d INT64>>>, doc JSON)",
        "t.sql");
    if (!parsed) std::abort();
    EventTable out{.route = "order", .unknown_fields = config::UnknownFields::keep, .max_bytes = 1 << 20};
    out.info.name = "t";
    out.info.schema = parsed->schema;
    out.fields = plan_of({.name = "", .type = data::structure_of(out.info.schema.fields)});
    auto add = [&](const char* name, data::Kind kind) {
        out.info.schema.fields.push_back({.name = name, .type = data::scalar(kind)});
        return static_cast<int>(out.info.schema.fields.size()) - 1;
    };
    out.ingestion = add(ingestion_time, data::Kind::timestamptz);
    out.kept = add(config::kept_fields_column, data::Kind::json);
    out.position = add(position, data::Kind::text);
    out.version_column = add(schema_version, data::Kind::text);
    return out;
}

const EventTable& table() {
    static const EventTable made = make_table();
    return made;
}

std::string_view text_of(data::Block& block, int column) {
    return block.columns[static_cast<size_t>(column)].values<data::StringRef>()[0].view();
}

bool is_null(const data::Block& block, int column) { return !block.columns[static_cast<size_t>(column)].valid(0); }

void compare_texts(data::Block& block, const Json& json, std::string_view text) {
    const auto& schema = table().info.schema;
    int id = schema.find("id"), number = schema.find("n"), tags = schema.find("tags"), doc = schema.find("doc");
    auto has = [&](const char* name) { return json.contains(name) && !json[name].is_null(); };
    if (has("id") == is_null(block, id)) wrong("id is there in one only", text);
    if (has("id") && json["id"] != text_of(block, id)) wrong("id differs", text);
    if (has("n") && json["n"].is_number_integer() &&
        json["n"] != block.columns[static_cast<size_t>(number)].values<int64_t>()[0])
        wrong("n differs", text);
    if (has("doc") && Json::parse(text_of(block, doc)) != json["doc"]) wrong("doc differs", text);
    if (!has("tags")) return;
    auto& list = block.columns[static_cast<size_t>(tags)];
    auto entry = list.values<data::ListEntry>()[0];
    if (entry.offset + entry.length > list.children()[0].size() || entry.length != json["tags"].size())
        wrong("the list differs", text);
    for (uint64_t i = 0; i < entry.length; ++i) {
        auto& child = list.children()[0];
        if (child.valid(entry.offset + i) == json["tags"][i].is_null()) wrong("an element is there in one only", text);
        if (child.valid(entry.offset + i) &&
            json["tags"][i] != child.values<data::StringRef>()[entry.offset + i].view())
            wrong("an element differs", text);
    }
}

void compare(data::Block& block, std::string_view text) {
    auto json = Json::parse(text.begin(), text.end(), nullptr, false);
    if (!json.is_object()) return;  // numbers that nlohmann cannot hold
    compare_texts(block, json, text);
    Json others = Json::object();
    for (const auto& [name, value] : json.items())
        if (table().fields.find(name) < 0) others[name] = value;
    if (is_null(block, table().kept) != others.empty()) wrong("unknown fields are there in one only", text);
    if (!others.empty() && Json::parse(text_of(block, table().kept)) != others) wrong("unknown fields differ", text);
}

void check_route(std::string_view text, const JsonIndex& index, Is is) {
    static const config::Route routes = [] {
        config::Route made;
        made.by.value = "s.b";
        made.to = {{.name = "order"}, {.name = "a\"b"}};
        return made;
    }();
    static const Router router(routes);
    Refusal refusal;
    int found = router.route(text, index, refusal);
    if (found < 0 && refusal.code.empty()) wrong("no route, and no reason", text);
    if (found < 0 || is != Is::json) return;
    auto json = Json::parse(text.begin(), text.end(), [](int, auto, auto&) { return true; }, false);
    if (!json.is_object() || !json.contains("s")) wrong("a route by a field that is not there", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::vector<char> memory(size + flow::text_padding);
    if (size > 0) std::memcpy(memory.data(), data, size);
    std::string_view text(memory.data(), size);
    flow::TextStore store;
    JsonIndexer indexer;
    auto index = indexer.index(text, store);
    Is is = judge(text);
    check_route(text, index, is);

    flow::Message message{.payload = text, .position = "o:1", .received_micros = 42};
    data::Block block(table().info.schema);
    DocumentReader reader(table());
    Refusal refusal;
    if (reader.read(message, index, block, refusal)) {
        if (block.rows != 1) wrong("not one row", text);
        if (is == Is::other) wrong("taken, and it is no JSON", text);
        if (is == Is::json) compare(block, text);
        return 0;
    }
    if (block.rows != 0 || refusal.code.empty() || refusal.reason.empty()) wrong("refused without a reason", text);
    bool deep = refusal.reason.find("nested deeper") != std::string::npos;
    if (is == Is::json && refusal.code == "bad_json" && !deep) wrong("JSON that is said to be none", text);
    return 0;
}
