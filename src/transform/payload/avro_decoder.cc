#include "transform/payload/avro_decoder.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>

#include <bit>
#include <cstring>
#include <memory>

#include "base/calendar.h"
#include "base/hex.h"
#include "data/block.h"
#include "flow/payload.h"
#include "transform/debezium/decimals.h"
#include "transform/debezium/json_text.h"
#include "transform/debezium/times.h"
#include "transform/payload/iso_instant.h"
#include "transform/payload/zigzag.h"

namespace penstock::payload {
namespace {

constexpr int deepest = 100;
constexpr int64_t nanos_per_second = 1'000'000'000;
constexpr int64_t millis_per_day = micros_per_day / 1000;

int64_t floor_divide(int64_t value, int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

/// A big-endian two's complement of any length, as a decimal fraction.
std::string long_decimal(std::string_view bytes, int scale) {
    std::string magnitude(bytes);
    bool negative = !bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0x80) != 0;
    if (negative) {
        bool carry = true;
        for (auto at = magnitude.rbegin(); at != magnitude.rend(); ++at) {
            auto inverted = static_cast<unsigned char>(~static_cast<unsigned char>(*at));
            *at = static_cast<char>(carry ? inverted + 1 : inverted);
            carry = carry && inverted == 0xff;
        }
    }
    std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
        BN_bin2bn(reinterpret_cast<const unsigned char*>(magnitude.data()), static_cast<int>(magnitude.size()),
                  nullptr),
        BN_free);
    char* shown = BN_bn2dec(number.get());
    std::string digits = shown;
    OPENSSL_free(shown);
    auto places = static_cast<size_t>(scale);
    if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
    if (places > 0) digits.insert(digits.size() - places, ".");
    return negative ? "-" + digits : digits;
}

void append_decimal(std::string_view bytes, int scale, std::string& out) {
    if (bytes.size() > sizeof(data::Int128)) {
        out += long_decimal(bytes, scale);
        return;
    }
    data::Int128 value = !bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0x80) != 0 ? -1 : 0;
    for (char byte : bytes) value = value * 256 + static_cast<unsigned char>(byte);
    debezium::append_decimal(value, scale, out);
}

void append_nanos(int64_t nanos, std::string& out) {
    int64_t seconds = floor_divide(nanos, nanos_per_second);
    append_iso_instant(seconds, static_cast<int32_t>(nanos - seconds * nanos_per_second), out);
}

class Reader {
  public:
    Reader(std::string_view bytes, std::string& json) : rest_(bytes), json_(json), begin_(json.size()) {}

    bool value(const AvroType& type, int depth = 0);
    bool done() const { return rest_.empty(); }
    std::string fault;
    std::string path;  ///< to where the fault is

  private:
    bool fail(std::string why) {
        fault = std::move(why);
        return false;
    }
    /// The fault was met inside: .name or [index] of it.
    bool inside(const std::string& step) {
        if (path.size() < 200) path.insert(0, step);
        return false;
    }
    /// Room for what comes; a list of nothings costs no byte of the payload.
    bool room() {
        return json_.size() - begin_ <= flow::most_document_bytes || fail("it is longer than 64 MiB as JSON");
    }

    bool take(size_t size, std::string_view& out) {
        if (size > rest_.size()) return fail("the payload ends within a value");
        out = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return true;
    }
    bool number(int64_t& out, int most_bits = 64) {
        switch (take_zigzag(rest_, out)) {
            case ZigzagFault::ends: return fail("the payload ends within a value");
            case ZigzagFault::beyond_64_bits: return fail("a number is beyond 64 bits");
            case ZigzagFault::none: break;
        }
        return most_bits == 64 || (out <= INT32_MAX && out >= INT32_MIN) || fail("an int is beyond 32 bits");
    }
    bool sized(std::string_view& out) {
        int64_t size = 0;
        if (!number(size)) return false;
        if (size < 0) return fail("a length is negative");
        return take(static_cast<size_t>(size), out);
    }
    template <class Number>
    bool floating() {
        using Bits = std::conditional_t<sizeof(Number) == 4, uint32_t, uint64_t>;
        std::string_view bytes;
        if (!take(sizeof(Number), bytes)) return false;
        Bits bits = 0;
        for (size_t i = 0; i < sizeof(Number); ++i) bits |= Bits{static_cast<unsigned char>(bytes[i])} << (8 * i);
        debezium::append_json_number(std::bit_cast<Number>(bits), json_);
        return true;
    }

    bool boolean();
    bool integer(const AvroType& type);
    bool moment(AvroLogical logical, int64_t value);
    bool bytes(const AvroType& type, std::string_view bytes);
    bool duration(std::string_view bytes);
    bool record(const AvroType& type, int depth);
    bool blocks(const AvroType& type, int depth);
    bool choice(const AvroType& type, int depth);

    std::string_view rest_;
    std::string& json_;
    size_t begin_;
};

bool Reader::value(const AvroType& type, int depth) {
    if (depth > deepest) return fail("it is nested more than 100 levels deep");
    if (!room()) return false;
    std::string_view text;
    switch (type.kind) {
        case AvroKind::null: json_ += "null"; return true;
        case AvroKind::boolean: return boolean();
        case AvroKind::int32:
        case AvroKind::int64: return integer(type);
        case AvroKind::float32: return floating<float>();
        case AvroKind::float64: return floating<double>();
        case AvroKind::bytes: return sized(text) && bytes(type, text);
        case AvroKind::fixed: return take(type.size, text) && bytes(type, text);
        case AvroKind::string:
            if (!sized(text)) return false;
            debezium::append_json_string(text, json_);
            return true;
        case AvroKind::record: return record(type, depth);
        case AvroKind::enumeration: {
            int64_t index = 0;
            if (!number(index)) return false;
            if (index < 0 || static_cast<size_t>(index) >= type.symbols.size())
                return fail(fmt::format("symbol {} of an enum of {}", index, type.symbols.size()));
            debezium::append_json_string(type.symbols[static_cast<size_t>(index)], json_);
            return true;
        }
        case AvroKind::array:
        case AvroKind::map: return blocks(type, depth);
        case AvroKind::choice: return choice(type, depth);
    }
    return false;
}

bool Reader::boolean() {
    std::string_view byte;
    if (!take(1, byte)) return false;
    if (byte[0] != 0 && byte[0] != 1) return fail("a boolean is neither 0 nor 1");
    json_ += byte[0] ? "true" : "false";
    return true;
}

bool Reader::integer(const AvroType& type) {
    int64_t value = 0;
    if (!number(value, type.kind == AvroKind::int32 ? 32 : 64)) return false;
    if (type.logical != AvroLogical::none) return moment(type.logical, value);
    debezium::append_integer(value, json_);
    return true;
}

bool Reader::moment(AvroLogical logical, int64_t value) {
    using enum AvroLogical;
    json_ += '"';
    switch (logical) {
        case date: debezium::append_iso_date(value, json_); break;
        case time_millis:
        case time_micros: {
            int64_t in_a_day = logical == time_millis ? millis_per_day : micros_per_day;
            if (value < 0 || value >= in_a_day) return fail("a time is not within a day");
            debezium::append_iso_time(logical == time_millis ? value * 1000 : value, json_);
            break;
        }
        case timestamp_millis:
        case local_timestamp_millis:
            if (value > INT64_MAX / 1000 - 1 || value < INT64_MIN / 1000 + 1)
                return fail("a timestamp is out of all bounds");
            debezium::append_iso_timestamp(value * 1000, json_);
            if (logical == local_timestamp_millis) json_.pop_back();
            break;
        case timestamp_micros:
        case local_timestamp_micros:
            if (value == INT64_MAX || value == -INT64_MAX) return fail("a timestamp is out of all bounds");
            debezium::append_iso_timestamp(value, json_);
            if (logical == local_timestamp_micros) json_.pop_back();
            break;
        case timestamp_nanos:
        case local_timestamp_nanos:
            append_nanos(value, json_);
            if (logical == timestamp_nanos) json_ += 'Z';
            break;
        default: break;
    }
    json_ += '"';
    return true;
}

bool Reader::bytes(const AvroType& type, std::string_view bytes) {
    switch (type.logical) {
        case AvroLogical::decimal:
            if (bytes.size() > 50'000) return fail("a decimal has more than 50,000 bytes");
            append_decimal(bytes, type.scale, json_);
            return true;
        case AvroLogical::duration: return duration(bytes);
        case AvroLogical::uuid: {
            std::string digits;
            append_hex(bytes, digits);
            for (size_t dash : {20, 16, 12, 8}) digits.insert(dash, "-");
            json_ += '"' + digits + '"';
            return true;
        }
        default: break;
    }
    json_ += '"';
    debezium::append_base64(bytes, json_);
    json_ += '"';
    return true;
}

bool Reader::duration(std::string_view bytes) {
    uint32_t parts[3] = {};
    for (size_t i = 0; i < 12; ++i) parts[i / 4] |= uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * (i % 4));
    auto seconds = fmt::format("{}", parts[2] / 1000);
    if (parts[2] % 1000 != 0) seconds += fmt::format(".{:03}", parts[2] % 1000);
    json_ += fmt::format("\"P{}M{}DT{}S\"", parts[0], parts[1], seconds);
    return true;
}

bool Reader::record(const AvroType& type, int depth) {
    json_ += '{';
    for (const auto& field : type.fields) {
        if (json_.back() != '{') json_ += ',';
        debezium::append_json_string(field.name, json_);
        json_ += ':';
        if (!value(*field.type, depth + 1)) return inside("." + field.name);
    }
    json_ += '}';
    return true;
}

/// Blocks of items, each with its count (a negative one is followed by the block's size); a count of 0 ends them.
bool Reader::blocks(const AvroType& type, int depth) {
    bool map = type.kind == AvroKind::map, first = true;
    json_ += map ? '{' : '[';
    while (true) {
        int64_t count = 0, size = 0;
        if (!number(count)) return false;
        if (count == 0) break;
        if (count < 0) {
            if (count == INT64_MIN || !number(size)) return fault.empty() ? fail("a block has no size") : false;
            count = -count;
        }
        for (int64_t i = 0; i < count; ++i) {
            if (!std::exchange(first, false)) json_ += ',';
            std::string_view key;
            if (map) {
                if (!sized(key)) return false;
                debezium::append_json_string(key, json_);
                json_ += ':';
            }
            if (!value(*type.parts[0], depth + 1))
                return inside(map ? fmt::format(".{}", key) : fmt::format("[{}]", i));
        }
    }
    json_ += map ? '}' : ']';
    return true;
}

bool Reader::choice(const AvroType& type, int depth) {
    int64_t branch = 0;
    if (!number(branch)) return false;
    if (branch < 0 || static_cast<size_t>(branch) >= type.parts.size())
        return fail(fmt::format("branch {} of a union of {}", branch, type.parts.size()));
    return value(*type.parts[static_cast<size_t>(branch)], depth + 1);
}

}  // namespace

std::expected<void, std::string> append_avro(const AvroType& type, std::string_view bytes, std::string& json) {
    Reader reader(bytes, json);
    if (!reader.value(type)) {
        std::string_view path = reader.path;
        if (path.starts_with('.')) path.remove_prefix(1);
        return std::unexpected(path.empty() ? reader.fault : fmt::format("{}: {}", path, reader.fault));
    }
    if (!reader.done()) return std::unexpected(std::string("bytes follow the value"));
    return {};
}

}  // namespace penstock::payload
