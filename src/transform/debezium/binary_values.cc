#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "base/hex.h"
#include "transform/debezium/value_forms.h"

namespace penstock::debezium {
namespace {

std::string base64_of(std::string_view bytes, bool url = false) {
    std::string out = "\"";
    append_base64(bytes, out, url);
    return out + '"';
}

template <class T>
void append_little_endian(T value, std::string& out) {
    static_assert(std::endian::native == std::endian::little);
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// "10110" as Java's BitSet lays it out: bit 0 is the last one.
std::string bit_bytes(std::string_view bits) {
    std::string bytes((bits.size() + 7) / 8, '\0');
    for (size_t i = 0; i < bits.size(); ++i)
        if (bits[bits.size() - 1 - i] == '1') bytes[i / 8] |= static_cast<char>(1 << i % 8);
    return bytes;
}

constexpr std::string_view geometry_fields =
    R"(,"fields":[{"type":"bytes","optional":false,"field":"wkb"},{"type":"int32","optional":true,"field":"srid"}])";
constexpr std::string_view point_fields =
    R"(,"fields":[{"type":"double","optional":false,"field":"x"},{"type":"double","optional":false,"field":"y"},)"
    R"({"type":"bytes","optional":true,"field":"wkb"},{"type":"int32","optional":true,"field":"srid"}])";

}  // namespace

ValueEncoderPtr bytes_value(Binaries mode) {
    Form shape = form(mode == Binaries::bytes ? "bytes" : "string");
    bool url = mode == Binaries::base64_url;
    if (mode == Binaries::hex) {
        shape.unavailable = "\"";
        append_hex(unavailable_value, shape.unavailable);
        shape.unavailable += '"';
        return formed(std::move(shape), [](const data::Column& column, size_t row, std::string& out) {
            out += '"';
            append_hex(text_at(column, row), out);
            out += '"';
        });
    }
    shape.unavailable = base64_of(unavailable_value, url);
    return formed(std::move(shape), [url](const data::Column& column, size_t row, std::string& out) {
        out += '"';
        append_base64(text_at(column, row), out, url);
        out += '"';
    });
}

ValueEncoderPtr bits_value(int length, bool fixed) {
    if (fixed && length == 1)
        return formed(form("boolean"), [](const data::Column& column, size_t row, std::string& out) {
            out += text_at(column, row) == "1" ? "true" : "false";
        });
    auto shape = form("bytes", "io.debezium.data.Bits", fmt::format(",\"parameters\":{{\"length\":\"{}\"}}", length));
    return formed(std::move(shape), [](const data::Column& column, size_t row, std::string& out) {
        out += base64_of(bit_bytes(text_at(column, row)));
    });
}

ValueEncoderPtr point_value() {
    Form shape = form("struct", "io.debezium.data.geometry.Point", ",\"doc\":\"Geometry (POINT)\"");
    shape.head += point_fields;
    return formed_or_refused(std::move(shape), [](const data::Column& column, size_t row, Out& out) {
        std::string text(text_at(column, row));
        char* at = text.data() + 1;
        double x = std::strtod(at, &at);
        if (*at == ',') ++at;
        double y = std::strtod(at, nullptr);
        std::string wkb("\x01\x01\0\0\0", 5);
        append_little_endian(x, wkb);
        append_little_endian(y, wkb);
        out.text += "{\"x\":";
        append_json_number(x, out.text);
        out.text += ",\"y\":";
        append_json_number(y, out.text);
        out.text += ",\"wkb\":" + base64_of(wkb) + ",\"srid\":null}";
        return true;
    });
}

ValueEncoderPtr geometry_value(std::string_view name) {
    Form shape =
        form("struct", fmt::format("io.debezium.data.geometry.{}", name), fmt::format(",\"doc\":\"{}\"", name));
    shape.head += geometry_fields;
    return formed(std::move(shape), [](const data::Column& column, size_t row, std::string& out) {
        // EWKB: byte order, type with the flag for an SRID, the SRID.
        std::string_view ewkb = text_at(column, row);
        out += "{\"wkb\":" + base64_of(ewkb) + ",\"srid\":";
        bool little = ewkb.size() > 8 && ewkb[0] == 1;
        uint32_t type = 0, srid = 0;
        if (little) {
            std::memcpy(&type, ewkb.data() + 1, 4);
            std::memcpy(&srid, ewkb.data() + 5, 4);
        }
        if ((type & 0x20000000) != 0) append_integer(srid, out);
        else out += "null";
        out += '}';
    });
}

ValueEncoderPtr hstore_value() {
    return formed(form("string", "io.debezium.data.Json"),
                  [](const data::Column& column, size_t row, std::string& out) {
                      const auto& pairs = column.children().front().children();
                      auto [offset, length] = column.values<data::ListEntry>()[row];
                      std::string json;
                      for (uint64_t i = offset; i < offset + length; ++i) {
                          json += json.empty() ? "{" : ",";
                          append_json_string(text_at(pairs[0], i), json);
                          json += ':';
                          if (pairs[1].valid(i)) append_json_string(text_at(pairs[1], i), json);
                          else json += "null";
                      }
                      append_json_string(json.empty() ? "{}" : json + "}", out);
                  });
}

}  // namespace penstock::debezium
