// Feeds arbitrary bytes to the COPY decoder with every kind of reader: framing, values, rendering of refused rows.

#include <cstddef>
#include <cstdint>

#include "connect/postgres/copy_decoder.h"

namespace {

using namespace penstock;
using namespace penstock::postgres;
using data::Kind;

struct Case {
    data::Schema schema;
    std::vector<ReaderPtr> readers;

    void add(data::Type type, ReaderPtr reader) {
        schema.fields.push_back({.name = "c" + std::to_string(schema.fields.size()), .type = std::move(type)});
        readers.push_back(std::move(reader));
    }
};

/// Few columns a case, so that the fuzzer reaches the values soon; the first input byte chooses the case.
Case make_case(uint8_t choice) {
    Case out;
    auto text = data::scalar(Kind::text);
    auto date = data::scalar(Kind::date);
    auto flag = data::scalar(Kind::boolean);
    auto range = data::structure_of({{.name = "lower", .type = date},
                                     {.name = "upper", .type = date},
                                     {.name = "li", .type = flag},
                                     {.name = "ui", .type = flag},
                                     {.name = "empty", .type = flag}});
    switch (choice % 8) {
        case 0:
            out.add(data::scalar(Kind::int32), int32_reader());
            out.add(text, text_reader(true));
            break;
        case 1: out.add(data::decimal(12, 2), decimal_reader(12, 2, config::SpecialNumbers::reject)); break;
        case 2: out.add(data::decimal(38, 9), decimal_reader(38, 9, config::SpecialNumbers::null)); break;
        case 3: out.add(data::list_of(data::list_of(text)), array_reader(text_reader(true), 2)); break;
        case 4:
            out.add(
                data::list_of(data::structure_of(
                    {{.name = "a", .type = data::scalar(Kind::int64)}, {.name = "b", .type = data::list_of(text)}})),
                array_reader(composite_reader({"a", "b"}, {int64_reader(), array_reader(text_reader(false), 1)}), 1));
            break;
        case 5: out.add(data::list_of(range), multirange_reader(range_reader(date_reader({})))); break;
        case 6: out.add(data::map_of(text, text), hstore_reader()); break;
        default:
            out.add(data::scalar(Kind::timestamptz), timestamptz_reader({}));
            out.add(data::scalar(Kind::timetz), timetz_reader());
            out.add(data::scalar(Kind::interval), interval_reader());
            out.add(data::scalar(Kind::json), jsonb_reader(true));
            out.add(data::scalar(Kind::uuid), uuid_reader());
            out.add(text, numeric_text_reader());
            break;
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
    if (size < 2) return 0;
    Case chosen = make_case(bytes[0]);
    size_t message = bytes[1] + size_t{1};  // the stream is cut into messages of this size
    std::string_view rest(reinterpret_cast<const char*>(bytes) + 2, size - 2);
    data::Block block(chosen.schema);
    CopyDecoder decoder(chosen.readers);
    std::vector<RefusedRow> refused;
    while (!rest.empty() || decoder.carries()) {
        block.clear();
        decoder.begin_block();
        auto part = rest.substr(0, message);
        rest.remove_prefix(part.size());
        bool stuck = part.empty();
        if (!decoder.split(part, block)) break;
        stuck = stuck && decoder.rows() == 0;
        decoder.decode(block, refused);
        for (const auto& row : refused) {
            std::string json;
            for (size_t column = 0; column < decoder.columns(); ++column)
                if (auto field = decoder.raw(row.row, column); !field.is_null())
                    chosen.readers[column]->render(field, json);
        }
        if (!refused.empty()) decoder.decode_rest(block, refused);
        if (stuck) break;
    }
    return 0;
}
