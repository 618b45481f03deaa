#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connect/postgres/pg_type.h"

namespace penstock::postgres {

/// Why a text is no value of its type.
struct Malformed {
    const char* expected = "";
    bool because(const char* expected_instead) {
        expected = expected_instead;
        return false;
    }
};

/// Appends the wire form of one type's text. False with `malformed` set; what was appended until then means nothing.
/// The pieces text_wire.h is made of; stateless and shared by threads.
class TextParser {
  public:
    virtual ~TextParser() = default;
    virtual bool parse(std::string_view text, std::string& wire, Malformed& malformed) const = 0;
};

using TextParserPtr = std::shared_ptr<const TextParser>;

/// Plain values have no state at all: a function is their parser.
using ParseText = bool(std::string_view text, std::string& wire, Malformed& malformed);

template <ParseText parse_text>
class TextParserOf final : public TextParser {
  public:
    bool parse(std::string_view text, std::string& wire, Malformed& malformed) const override {
        return parse_text(text, wire, malformed);
    }
};

template <ParseText parse_text>
TextParserPtr parser_of() {
    return std::make_shared<TextParserOf<parse_text>>();
}

// Plain values (text_wire_plain.cc).
ParseText parse_verbatim, parse_bool, parse_int2, parse_int4, parse_int8, parse_uint4, parse_uint8, parse_float4,
    parse_float8, parse_bytea, parse_hex, parse_uuid, parse_jsonb;
ParseText parse_numeric;  // text_wire_numeric.cc

// Times (text_wire_time.cc, text_wire_interval.cc).
ParseText parse_date, parse_time, parse_timetz, parse_timestamp, parse_timestamptz, parse_interval;

// Nested values (text_wire_array.cc, text_wire_composite.cc, text_wire_range.cc). `oid` is what the wire form names as the
// part's type.
struct TextPart {
    TextParserPtr parser;
    Oid oid;
};
TextParserPtr array_parser(TextPart element, char delimiter);
TextParserPtr composite_parser(std::vector<TextPart> attributes);
TextParserPtr range_parser(TextParserPtr bound);
TextParserPtr multirange_parser(TextParserPtr bound);
/// A range as the record (lower, upper, lower_inc, upper_inc, isempty), which is how ranges over rewritten bounds travel.
TextParserPtr range_record_parser(TextPart bound);
ParseText parse_hstore;

}  // namespace penstock::postgres
