// Feeds arbitrary text to the conversion of every kind of type. What it accepts, the type's reader must be able to read, and
// what has an exact text of our own must come back from it as the same bytes.

#include <cstddef>
#include <cstdint>
#include <map>

#include "connect/postgres/numeric.h"
#include "connect/postgres/reader.h"
#include "connect/postgres/text/text_wire.h"
#include "connect/postgres/text_form.h"

namespace {

using namespace penstock;
using namespace penstock::postgres;
using data::Kind;

using TextOf = std::string (*)(std::string_view wire);

template <class T>
T integer(std::string_view wire) {
    return static_cast<T>(load_big_endian<std::make_unsigned_t<T>>(wire.data()));
}

struct Case {
    Oid oid;
    data::Type type;
    ReaderPtr reader;
    TextOf text = nullptr;
};

PgType core(Oid oid, const char* name) { return {.oid = oid, .name = name, .shown = name, .core = true}; }

const std::map<Oid, PgType>& types() {
    static const std::map<Oid, PgType> all = [] {
        std::map<Oid, PgType> made;
        Oid oid = 1;
        for (const char* name :
             {"bool", "int2", "int4", "int8", "xid8", "float4", "float8", "numeric", "bytea", "uuid", "jsonb", "date",
              "time", "timetz", "timestamp", "timestamptz", "interval", "text", "inet"}) {
            made[oid] = core(oid, name);
            ++oid;
        }
        made[30] = {.oid = 30, .element = 3};
        made[31] = {.oid = 31, .element = 18};
        made[32] = {.oid = 32, .kind = 'c', .attributes = {{"a", 3, -1, 0}, {"b", 31, -1, 0}, {"c", 19, -1, 0}}};
        made[33] = {.oid = 33, .element = 32};
        made[34] = {.oid = 34, .kind = 'r', .subtype = 12};
        made[35] = {.oid = 35, .kind = 'm', .subtype = 34};
        made[36] = {.oid = 36, .kind = 'r', .subtype = 19};
        made[37] = {.oid = 37, .name = "hstore"};
        return made;
    }();
    return all;
}

constexpr TimeLimits limits{.infinite = true, .end_of_day = true};

std::vector<Case> plain_cases() {
    return {
        {1, data::scalar(Kind::boolean), boolean_reader()},
        {2, data::scalar(Kind::int16), int16_reader()},
        {4, data::scalar(Kind::int64), int64_reader(),
         [](std::string_view wire) { return std::to_string(integer<int64_t>(wire)); }},
        {5, data::scalar(Kind::uint64), uint64_reader()},
        {6, data::scalar(Kind::float32), float32_reader()},
        {7, data::scalar(Kind::float64), float64_reader()},
        {8, data::scalar(Kind::text), numeric_text_reader(),
         [](std::string_view wire) { return Numeric::parse(wire).value().text(); }},
        {9, data::scalar(Kind::bytes), bytes_reader()},
        {10, data::scalar(Kind::uuid), uuid_reader()},
        {11, data::scalar(Kind::json), jsonb_reader(false)},
        {12, data::scalar(Kind::date), date_reader(limits),
         [](std::string_view wire) { return date_text(integer<int32_t>(wire)); }},
        {13, data::scalar(Kind::time), time_reader(limits),
         [](std::string_view wire) { return time_text(integer<int64_t>(wire)); }},
        {14, data::scalar(Kind::timetz), timetz_reader()},
        {15, data::scalar(Kind::timestamp), timestamp_reader(limits),
         [](std::string_view wire) { return timestamp_text(integer<int64_t>(wire), false); }},
        {16, data::scalar(Kind::timestamptz), timestamptz_reader(limits),
         [](std::string_view wire) { return timestamp_text(integer<int64_t>(wire), true); }},
        {17, data::scalar(Kind::interval), interval_reader()},
    };
}

std::vector<Case> nested_cases() {
    auto text = data::scalar(Kind::text);
    auto texts = data::list_of(text);
    auto whole = data::scalar(Kind::int32);
    auto date = data::scalar(Kind::date);
    auto flag = data::scalar(Kind::boolean);
    auto fields = [&](const data::Type& bound) {
        return data::structure_of({{.name = "lower", .type = bound},
                                   {.name = "upper", .type = bound},
                                   {.name = "li", .type = flag},
                                   {.name = "ui", .type = flag},
                                   {.name = "empty", .type = flag}});
    };
    auto row =
        data::structure_of({{.name = "a", .type = whole}, {.name = "b", .type = texts}, {.name = "c", .type = text}});
    auto row_reader =
        composite_reader({"a", "b", "c"}, {int32_reader(), array_reader(text_reader(false), 1), text_reader(false)});
    auto record_reader = composite_reader(
        {"lower", "upper", "li", "ui", "empty"},
        {text_reader(false), text_reader(false), boolean_reader(), boolean_reader(), boolean_reader()});
    return {
        {30, data::list_of(whole), array_reader(int32_reader(), 1)},
        {30, data::list_of(data::list_of(whole)), array_reader(int32_reader(), 2)},
        {31, texts, array_reader(text_reader(false), 1)},
        {32, row, row_reader},
        {33, data::list_of(row), array_reader(row_reader, 1)},
        {34, fields(date), range_reader(date_reader(limits))},
        {35, data::list_of(fields(date)), multirange_reader(range_reader(date_reader(limits)))},
        {36, fields(text), record_reader},
        {37, data::map_of(text, text), hstore_reader()},
    };
}

const std::vector<Case>& cases() {
    static const auto all = [] {
        auto made = plain_cases();
        for (auto& nested : nested_cases()) made.push_back(std::move(nested));
        return made;
    }();
    return all;
}

void require(bool holds) {
    if (!holds) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    if (size < 1) return 0;
    const Case& chosen = cases()[bytes[0] % cases().size()];
    std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    constexpr data::Holds holds{.infinite_dates = true, .end_of_day = true, .timetz = true, .interval = true};
    auto convert =
        TextToWire::make(chosen.oid, [](Oid oid) -> const PgType& { return types().at(oid); }, holds).value();

    std::string wire = "kept";
    if (!convert.convert(text, wire)) {
        require(wire == "kept");
        return 0;
    }
    require(wire.starts_with("kept"));
    wire.erase(0, 4);
    data::Schema schema{{{.name = "v", .type = chosen.type}}};
    data::Block block(schema);
    ReadContext context{.block = block};
    FieldRef field{wire.data(), static_cast<int32_t>(wire.size())};
    require(chosen.reader->read(field, block.columns[0], 0, context) || context.refusal.code != "malformed");
    std::string json;
    chosen.reader->render(field, json);
    if (chosen.text != nullptr) {
        std::string again;
        require(convert.convert(chosen.text(wire), again).has_value());
        require(again == wire);
    }
    return 0;
}
