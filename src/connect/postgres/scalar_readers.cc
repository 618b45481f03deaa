#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "connect/postgres/reader.h"
#include "connect/postgres/text_form.h"
#include "connect/postgres/utf8.h"

namespace penstock::postgres {
namespace {

bool malformed(ReadContext& context, const char* type, FieldRef field) {
    return context.refuse("malformed", fmt::format("the server sent {} bytes that are no {}", field.length, type));
}

/// Values whose bytes only need their order turned. `Wire` is the unsigned integer of their width, `Shown` their meaning.
template <class Wire, class Shown>
class IntegerReader final : public ReaderOf<IntegerReader<Wire, Shown>> {
  public:
    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        if (field.length != sizeof(Wire)) [[unlikely]]
            return malformed(context, "number", field);
        column.values<Wire>()[row] = load_big_endian<Wire>(field.data);
        return true;
    }
    void render(FieldRef field, std::string& json) const override {
        if (field.length != sizeof(Wire)) return append_json_bytes(field.view(), json);
        auto value = std::bit_cast<Shown>(load_big_endian<Wire>(field.data));
        if constexpr (std::is_floating_point_v<Shown>) {
            if (!std::isfinite(value))
                return append_json_string(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity", json);
            char digits[32];
            json.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
        } else {
            json += std::to_string(value);
        }
    }
};

class BooleanReader final : public ReaderOf<BooleanReader> {
  public:
    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        if (field.length != 1) [[unlikely]]
            return malformed(context, "boolean", field);
        column.values<uint8_t>()[row] = field.data[0] != 0;
        return true;
    }
    void render(FieldRef field, std::string& json) const override {
        json += field.length == 1 && field.data[0] != 0 ? "true" : "false";
    }
};

class UuidReader final : public ReaderOf<UuidReader> {
  public:
    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        if (field.length != 16) [[unlikely]]
            return malformed(context, "uuid", field);
        uint64_t* halves = column.values<uint64_t>() + row * 2;
        halves[0] = load_big_endian<uint64_t>(field.data + 8);
        // The top bit is flipped so that signed 128-bit order is uuid order.
        halves[1] = load_big_endian<uint64_t>(field.data) ^ (uint64_t{1} << 63);
        return true;
    }
    void render(FieldRef field, std::string& json) const override {
        if (field.length != 16) return append_json_bytes(field.view(), json);
        json += '"';
        for (size_t i = 0; i < 16; ++i)
            json += fmt::format("{}{:02x}", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                                static_cast<unsigned char>(field.data[i]));
        json += '"';
    }
};

class BytesReader final : public ReaderOf<BytesReader> {
  public:
    bool read(FieldRef field, data::Column& column, size_t row, ReadContext&) const override {
        column.values<data::StringRef>()[row] = data::StringRef(field.view());
        return true;
    }
    void render(FieldRef field, std::string& json) const override { append_json_bytes(field.view(), json); }
};

/// `skip` leading bytes are not text: jsonb begins with its version, 1.
template <bool validate, int skip, bool is_json>
class TextReader final : public ReaderOf<TextReader<validate, skip, is_json>> {
  public:
    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        std::string_view text = field.view();
        if constexpr (skip != 0) {
            if (text.empty() || text[0] != skip) [[unlikely]]
                return malformed(context, "jsonb of version 1", field);
            text.remove_prefix(skip);
        }
        if constexpr (validate) {
            if (size_t bad = first_invalid_utf8(text); bad != text.size()) {
                return context.refuse("invalid_utf8",
                                      fmt::format("byte {} of {} (0x{:02x}) is not valid UTF-8", bad + 1, text.size(),
                                                  static_cast<unsigned char>(text[bad])));
            }
        }
        column.values<data::StringRef>()[row] = data::StringRef(text);
        return true;
    }
    void render(FieldRef field, std::string& json) const override {
        std::string_view text = field.view();
        if (skip != 0 && !text.empty()) text.remove_prefix(skip);
        if (is_json && !validate) json += text;
        else append_json_string(text, json);
    }
};

template <int skip, bool is_json>
ReaderPtr make_text_reader(bool validate_utf8) {
    if (validate_utf8) return std::make_shared<TextReader<true, skip, is_json>>();
    return std::make_shared<TextReader<false, skip, is_json>>();
}

}  // namespace

ReaderPtr boolean_reader() { return std::make_shared<BooleanReader>(); }
ReaderPtr int16_reader() { return std::make_shared<IntegerReader<uint16_t, int16_t>>(); }
ReaderPtr int32_reader() { return std::make_shared<IntegerReader<uint32_t, int32_t>>(); }
ReaderPtr int64_reader() { return std::make_shared<IntegerReader<uint64_t, int64_t>>(); }
ReaderPtr uint32_reader() { return std::make_shared<IntegerReader<uint32_t, uint32_t>>(); }
ReaderPtr uint64_reader() { return std::make_shared<IntegerReader<uint64_t, uint64_t>>(); }
// Floats travel as their bits: NaN, infinities and -0 arrive as they are.
ReaderPtr float32_reader() { return std::make_shared<IntegerReader<uint32_t, float>>(); }
ReaderPtr float64_reader() { return std::make_shared<IntegerReader<uint64_t, double>>(); }
ReaderPtr uuid_reader() { return std::make_shared<UuidReader>(); }
ReaderPtr bytes_reader() { return std::make_shared<BytesReader>(); }
ReaderPtr text_reader(bool validate_utf8) { return make_text_reader<0, false>(validate_utf8); }
ReaderPtr json_reader(bool validate_utf8) { return make_text_reader<0, true>(validate_utf8); }
ReaderPtr jsonb_reader(bool validate_utf8) { return make_text_reader<1, true>(validate_utf8); }

}  // namespace penstock::postgres
