#include "connect/postgres/text/text_cursor.h"
#include "connect/postgres/text/text_parser.h"
#include "connect/postgres/text_field.h"

namespace penstock::postgres {
namespace {

constexpr Oid bool_oid = 16;

// Flags of range_send.
constexpr uint8_t range_empty = 0x01;
constexpr uint8_t lower_inclusive = 0x02;
constexpr uint8_t upper_inclusive = 0x04;
constexpr uint8_t lower_unbounded = 0x08;
constexpr uint8_t upper_unbounded = 0x10;

/// A range taken apart; unbounded sides are never inclusive.
struct RangeText {
    struct Bound {
        std::string_view value;
        bool there = false;
        bool inclusive = false;
        std::string scratch = {};
    };
    Bound lower = {};
    Bound upper = {};
    bool empty = false;

    bool read(TextCursor& text, Malformed& malformed) {
        empty = text.take("empty");
        if (empty) return true;
        lower.inclusive = text.at('[');
        if (!text.take('[') && !text.take('(')) return malformed.because("[, ( or empty at the begin of a range");
        if (!read_bound(text, lower, malformed)) return false;
        if (!text.take(',')) return malformed.because(", between a range's bounds");
        if (!read_bound(text, upper, malformed)) return false;
        upper.inclusive = text.at(']');
        if (!text.take(']') && !text.take(')')) return malformed.because("] or ) at the end of a range");
        if ((lower.inclusive && !lower.there) || (upper.inclusive && !upper.there))
            return malformed.because("( or ) at a range's open side");
        return true;
    }

  private:
    static bool read_bound(TextCursor& text, Bound& bound, Malformed& malformed) {
        if (text.take('"')) {
            bound.there = take_quoted(text, true, bound.scratch, bound.value);
            return bound.there || malformed.because("a closing quote in a range");
        }
        bound.value = text.until(",()[]\"\\");
        bound.there = !bound.value.empty();
        return true;
    }
};

/// range_send: flags, then the bounds that are there.
bool put_range(const RangeText& range, const TextParser& bound, std::string& wire, Malformed& malformed) {
    unsigned flags = range_empty;
    if (!range.empty)
        flags = (range.lower.there ? 0U : lower_unbounded) | (range.upper.there ? 0U : upper_unbounded) |
                (range.lower.inclusive ? lower_inclusive : 0U) | (range.upper.inclusive ? upper_inclusive : 0U);
    wire += static_cast<char>(flags);
    for (const auto* side : {&range.lower, &range.upper})
        if (side->there && !put_field(bound, side->value, wire, malformed)) return false;
    return true;
}

class RangeParser final : public TextParser {
  public:
    explicit RangeParser(TextParserPtr bound) : bound_(std::move(bound)) {}

    bool parse(std::string_view text, std::string& wire, Malformed& malformed) const override {
        TextCursor cursor(text);
        RangeText range;
        if (!range.read(cursor, malformed)) return false;
        if (!cursor.done()) return malformed.because("nothing after a range");
        return put_range(range, *bound_, wire, malformed);
    }

  private:
    TextParserPtr bound_;
};

class RangeRecordParser final : public TextParser {
  public:
    explicit RangeRecordParser(TextPart bound) : bound_(std::move(bound)) {}

    bool parse(std::string_view text, std::string& wire, Malformed& malformed) const override {
        TextCursor cursor(text);
        RangeText range;
        if (!range.read(cursor, malformed)) return false;
        if (!cursor.done()) return malformed.because("nothing after a range");
        put<int32_t>(wire, 5);
        for (const auto* side : {&range.lower, &range.upper}) {
            put<uint32_t>(wire, bound_.oid);
            if (!side->there) put_null(wire);
            else if (!put_field(*bound_.parser, side->value, wire, malformed)) return false;
        }
        for (bool flag : {range.lower.inclusive, range.upper.inclusive, range.empty}) {
            put<uint32_t>(wire, bool_oid);
            put<int32_t>(wire, 1);
            wire += static_cast<char>(flag);
        }
        return true;
    }

  private:
    TextPart bound_;
};

/// multirange_send: a count and the ranges. The text: `{[1,3),[5,)}`, ranges without quotes around them.
class MultirangeParser final : public TextParser {
  public:
    explicit MultirangeParser(TextParserPtr bound) : bound_(std::move(bound)) {}

    bool parse(std::string_view text, std::string& wire, Malformed& malformed) const override {
        TextCursor cursor(text);
        size_t head = wire.size();
        put<int32_t>(wire, 0);
        if (text == "{}") return true;
        if (!cursor.take('{')) return malformed.because("{ at the begin of a multirange");
        int32_t count = 0;
        do {
            RangeText range;
            TextField field(wire);
            if (!range.read(cursor, malformed) || !put_range(range, *bound_, wire, malformed) ||
                !field.finish(malformed))
                return false;
            ++count;
        } while (cursor.take(','));
        put_at(wire, head, count);
        return (cursor.take('}') && cursor.done()) || malformed.because("} at the end of a multirange");
    }

  private:
    TextParserPtr bound_;
};

}  // namespace

TextParserPtr range_parser(TextParserPtr bound) { return std::make_shared<RangeParser>(std::move(bound)); }
TextParserPtr multirange_parser(TextParserPtr bound) { return std::make_shared<MultirangeParser>(std::move(bound)); }
TextParserPtr range_record_parser(TextPart bound) { return std::make_shared<RangeRecordParser>(std::move(bound)); }

}  // namespace penstock::postgres
