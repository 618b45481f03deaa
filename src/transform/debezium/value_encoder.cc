#include "transform/debezium/value_encoder.h"

#include <fmt/format.h>

#include "base/hex.h"
#include "transform/debezium/value_forms.h"

namespace penstock::debezium {
namespace {

using data::Kind;

/// "numeric(12,2)" taken apart: the name without its modifier, and the modifier's numbers, -1 where there are none.
struct SourceType {
    std::string name;
    int first = -1;
    int second = -1;
};

SourceType take_apart(std::string_view shown) {
    SourceType out;
    auto open = shown.find('('), close = shown.find(')', open);
    if (open == shown.npos || close == shown.npos) {
        out.name = shown;
        return out;
    }
    out.name = std::string(shown.substr(0, open)) + std::string(shown.substr(close + 1));
    auto inside = shown.substr(open + 1, close - open - 1);
    auto end = std::from_chars(inside.data(), inside.data() + inside.size(), out.first).ptr;
    if (end != inside.data() + inside.size() && *end == ',')
        std::from_chars(end + 1, inside.data() + inside.size(), out.second);
    return out;
}

std::string_view element_of(std::string_view shown) {
    if (shown.ends_with("[]")) shown.remove_suffix(2);
    return shown;
}

template <class T>
ValueEncoderPtr integer_value(std::string_view type) {
    return formed(form(type), [](const data::Column& column, size_t row, std::string& out) {
        append_integer(column.values<T>()[row], out);
    });
}

template <class T>
ValueEncoderPtr floating_value(std::string_view type) {
    return formed(form(type), [](const data::Column& column, size_t row, std::string& out) {
        append_json_number(column.values<T>()[row], out);
    });
}

ValueEncoderPtr string_value(std::string_view name) {
    return formed(form("string", name), [](const data::Column& column, size_t row, std::string& out) {
        append_json_string(text_at(column, row), out);
    });
}

ValueEncoderPtr uuid_value() {
    return formed(form("string", "io.debezium.data.Uuid"),
                  [](const data::Column& column, size_t row, std::string& out) {
                      auto bits = column.values<data::Int128>()[row];
                      std::string bytes;
                      for (int i = 15; i >= 0; --i) bytes += static_cast<char>(bits >> (8 * i));
                      bytes[0] ^= '\x80';
                      std::string_view view = bytes;
                      out += '"';
                      size_t at = 0;
                      for (size_t part : {4, 2, 2, 2, 6}) {
                          if (at != 0) out += '-';
                          append_hex(view.substr(at, part), out);
                          at += part;
                      }
                      out += '"';
                  });
}

/// Texts that have a meaning Debezium knows.
ValueEncoderPtr text_value(std::string_view source_type, const EnvelopeOptions& options) {
    SourceType type = take_apart(source_type);
    if (type.name == "numeric")
        return numeric_text_value(std::max(type.first, 0), type.first < 0 ? -1 : std::max(type.second, 0),
                                  options.decimals);
    if (type.name == "money") return money_value(options.decimals);
    if (type.name == "bit") return bits_value(std::max(type.first, 1), true);
    if (type.name == "bit varying") return bits_value(type.first < 0 ? INT32_MAX : type.first, false);
    if (type.name == "point") return point_value();
    if (type.name == "xml") return string_value("io.debezium.data.Xml");
    if (type.name == "ltree") return string_value("io.debezium.data.Ltree");
    if (type.name == "tsvector") return string_value("io.debezium.data.Tsvector");
    return string_value({});
}

class ListValue final : public ValueEncoder {
  public:
    explicit ListValue(ValueEncoderPtr element) : element_(std::move(element)) {}

    bool append(const data::Column& column, size_t row, Out& out) const override {
        auto [offset, length] = column.values<data::ListEntry>()[row];
        const auto& elements = column.children().front();
        out.text += '[';
        for (uint64_t i = 0; i < length; ++i) {
            if (i != 0) out.text += ',';
            if (!element_->append_nullable(elements, offset + i, out)) return false;
        }
        out.text += ']';
        return true;
    }
    void append_unavailable(std::string& out) const override {
        std::string element;
        element_->append_unavailable(element);
        out += element == "null" ? element : "[" + element + "]";
    }
    std::string schema_head() const override { return R"("type":"array","items":)" + element_->schema(true, {}); }

  private:
    ValueEncoderPtr element_;
};

class StructValue final : public ValueEncoder {
  public:
    StructValue(const data::Type& type, const EnvelopeOptions& options) {
        for (const auto& field : type.children)
            fields_.push_back(
                {field.name, json_string(field.name) + ":", value_encoder(field.type, field.source_type, options)});
    }

    bool append(const data::Column& column, size_t row, Out& out) const override {
        for (size_t i = 0; i < fields_.size(); ++i) {
            out.text += i == 0 ? '{' : ',';
            out.text += fields_[i].label;
            if (!fields_[i].value->append_nullable(column.children()[i], row, out)) return false;
        }
        out.text += '}';
        return true;
    }
    std::string schema_head() const override {
        std::string out = R"("type":"struct","fields":[)";
        for (size_t i = 0; i < fields_.size(); ++i)
            out += (i == 0 ? "" : ",") + fields_[i].value->schema(true, fields_[i].name);
        return out + "]";
    }

  private:
    struct Member {
        std::string name;
        std::string label;
        ValueEncoderPtr value;
    };
    std::vector<Member> fields_;
};

ValueEncoderPtr unsigned_value() {
    return formed_or_refused(form("int64"), [](const data::Column& column, size_t row, Out& out) {
        auto number = column.values<uint64_t>()[row];
        if (number > INT64_MAX) {
            out.refusal = fmt::format("{} is above 2^63-1", number);
            return false;
        }
        append_integer(number, out.text);
        return true;
    });
}

int fraction_digits(std::string_view source_type) {
    int digits = take_apart(source_type).first;
    return digits < 0 ? 6 : digits;
}

}  // namespace

std::string ValueEncoder::schema(bool optional, std::string_view field) const {
    std::string out = fmt::format("{{{},\"optional\":{}{}", schema_head(), optional, schema_tail());
    if (!field.empty()) out += ",\"field\":" + json_string(field);
    return out + "}";
}

ValueEncoderPtr value_encoder(const data::Type& type, std::string_view source_type, const EnvelopeOptions& options) {
    switch (type.kind) {
        case Kind::boolean:
            return formed(form("boolean"), [](const data::Column& column, size_t row, std::string& out) {
                out += column.values<int8_t>()[row] != 0 ? "true" : "false";
            });
        case Kind::int16: return integer_value<int16_t>("int16");
        case Kind::int32: return integer_value<int32_t>("int32");
        case Kind::int64: return integer_value<int64_t>("int64");
        case Kind::uint32: return integer_value<uint32_t>("int64");
        case Kind::uint64: return unsigned_value();
        case Kind::float32: return floating_value<float>("float");
        case Kind::float64: return floating_value<double>("double");
        case Kind::decimal: return decimal_value(type, options.decimals);
        case Kind::text: return text_value(source_type, options);
        case Kind::json: return string_value("io.debezium.data.Json");
        case Kind::bytes:
            if (source_type.starts_with("geometry")) return geometry_value("Geometry");
            if (source_type.starts_with("geography")) return geometry_value("Geography");
            return bytes_value(options.binaries);
        case Kind::uuid: return uuid_value();
        case Kind::date: return date_value(options.times);
        case Kind::time: return time_value(fraction_digits(source_type), options.times);
        case Kind::timetz: return timetz_value();
        case Kind::timestamp: return timestamp_value(fraction_digits(source_type), options.times);
        case Kind::timestamptz: return timestamptz_value();
        case Kind::interval: return interval_value(options.intervals);
        case Kind::list:
            return std::make_unique<ListValue>(
                value_encoder(type.children.front().type, element_of(source_type), options));
        case Kind::structure: return std::make_unique<StructValue>(type, options);
        case Kind::map: return hstore_value();
    }
    std::unreachable();
}

}  // namespace penstock::debezium
