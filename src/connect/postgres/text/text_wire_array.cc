#include "connect/postgres/text/text_cursor.h"
#include "connect/postgres/text/text_parser.h"
#include "connect/postgres/text_field.h"

namespace penstock::postgres {
namespace {

constexpr int most_dimensions = 6;  // MAXDIM of the server

bool is_null_word(std::string_view token) {
    return token.size() == 4 && (token[0] | 0x20) == 'n' && (token[1] | 0x20) == 'u' && (token[2] | 0x20) == 'l' &&
           (token[3] | 0x20) == 'l';
}

/// One array's text on its way: `[2:3]={a,"b c",NULL}`.
class ArrayText {
  public:
    ArrayText(const TextPart& element, char delimiter, std::string_view text, std::string& wire, Malformed& malformed)
        : element_(element), text_(text), wire_(wire), malformed_(malformed), ends_{delimiter, '}', '"', '{', '\\'} {}

    bool parse() {
        if (!read_bounds()) return false;
        if (dimensions_ == 0 && text_.rest() == "{}") {
            put_header(0);
            return true;
        }
        int levels = 0;
        while (static_cast<size_t>(levels) < text_.rest().size() && text_.rest()[static_cast<size_t>(levels)] == '{')
            ++levels;
        if (levels < 1 || levels > most_dimensions || (dimensions_ != 0 && dimensions_ != levels))
            return malformed_.because("an array of up to six dimensions, as many as it has bounds");
        size_t head = wire_.size();
        put_header(levels);
        if (!read_level(0, levels)) return false;
        if (!text_.done()) return malformed_.because("nothing after an array's last }");
        put_at(wire_, head + 4, has_nulls_ ? 1 : 0);
        for (int i = 0; i < levels; ++i) {
            if (dimensions_ != 0 && sizes_[i] != uppers_[i] - lowers_[i] + 1)
                return malformed_.because("as many elements as an array's bounds tell");
            put_at(wire_, head + 12 + static_cast<size_t>(i) * 8, static_cast<int32_t>(sizes_[i]));
            put_at(wire_, head + 16 + static_cast<size_t>(i) * 8, static_cast<int32_t>(lowers_[i]));
        }
        return true;
    }

  private:
    /// Sizes and lower bounds are filled in when they are known.
    void put_header(int levels) {
        put<int32_t>(wire_, levels);
        put<int32_t>(wire_, 0);
        put<uint32_t>(wire_, element_.oid);
        wire_.resize(wire_.size() + static_cast<size_t>(levels) * 8);
    }

    bool read_bound(int64_t& bound) {
        bool negative = text_.take('-');
        int32_t value;
        bool read = text_.natural(value);
        bound = negative ? -static_cast<int64_t>(value) : value;
        return read;
    }

    /// Written when a lower bound is not 1.
    bool read_bounds() {
        while (text_.at('[')) {
            if (dimensions_ == most_dimensions) return malformed_.because("at most six dimensions");
            text_.take('[');
            if (!read_bound(lowers_[dimensions_]) || !text_.take(':') || !read_bound(uppers_[dimensions_]) ||
                !text_.take(']'))
                return malformed_.because("an array's bounds, such as [0:2]");
            ++dimensions_;
        }
        return dimensions_ == 0 || text_.take('=') || malformed_.because("= after an array's bounds");
    }

    bool read_level(int level, int levels) {
        if (!text_.take('{')) return malformed_.because("{ at the begin of an array's dimension");
        int64_t count = 0;
        do {
            if (!(level + 1 < levels ? read_level(level + 1, levels) : read_element())) return false;
            ++count;
        } while (text_.take(ends_[0]));
        if (!text_.take('}')) return malformed_.because("a delimiter or } after an array's element");
        if (sizes_[level] == 0) sizes_[level] = count;
        return sizes_[level] == count || malformed_.because("equally long rows in an array");
    }

    bool read_element() {
        std::string_view value;
        if (text_.take('"')) {
            if (!take_quoted(text_, false, scratch_, value)) return malformed_.because("a closing quote in an array");
        } else {
            value = text_.until({ends_, sizeof ends_});
            if (value.empty()) return malformed_.because("an array's element");
            if (is_null_word(value)) {
                has_nulls_ = true;
                put_null(wire_);
                return true;
            }
        }
        return put_field(*element_.parser, value, wire_, malformed_);
    }

    const TextPart& element_;
    TextCursor text_;
    std::string& wire_;
    Malformed& malformed_;
    char ends_[5];  // what cannot stand in an element without quotes; the delimiter first
    std::string scratch_ = {};
    int dimensions_ = 0;  // told by bounds
    int64_t lowers_[most_dimensions] = {1, 1, 1, 1, 1, 1};
    int64_t uppers_[most_dimensions] = {};
    int64_t sizes_[most_dimensions] = {};
    bool has_nulls_ = false;
};

/// array_send: dimensions, whether there are NULLs, the element's type, (size, lower bound) per dimension, elements.
class ArrayParser final : public TextParser {
  public:
    ArrayParser(TextPart element, char delimiter) : element_(std::move(element)), delimiter_(delimiter) {}

    bool parse(std::string_view text, std::string& wire, Malformed& malformed) const override {
        return ArrayText(element_, delimiter_, text, wire, malformed).parse();
    }

  private:
    TextPart element_;
    char delimiter_;
};

}  // namespace

TextParserPtr array_parser(TextPart element, char delimiter) {
    return std::make_shared<ArrayParser>(std::move(element), delimiter);
}

}  // namespace penstock::postgres
