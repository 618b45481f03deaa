#include "connect/postgres/text/text_cursor.h"
#include "connect/postgres/text/text_parser.h"
#include "connect/postgres/text_field.h"

namespace penstock::postgres {
namespace {

/// record_send: a count, then type and value of each attribute. The text: `(1,"b ""q""",)`, nothing being NULL.
class CompositeParser final : public TextParser {
  public:
    explicit CompositeParser(std::vector<TextPart> attributes) : attributes_(std::move(attributes)) {}

    bool parse(std::string_view text, std::string& wire, Malformed& malformed) const override {
        TextCursor cursor(text);
        std::string scratch;
        put(wire, static_cast<int32_t>(attributes_.size()));
        if (!cursor.take('(')) return malformed.because("( at the begin of a composite value");
        for (size_t i = 0; i < attributes_.size(); ++i) {
            if (i != 0 && !cursor.take(',')) return malformed.because("as many values as the composite has attributes");
            put<uint32_t>(wire, attributes_[i].oid);
            std::string_view value;
            if (cursor.take('"')) {
                if (!take_quoted(cursor, true, scratch, value))
                    return malformed.because("a closing quote in a composite value");
            } else if (value = cursor.until(",()\"\\"); value.empty()) {
                put_null(wire);
                continue;
            }
            if (!put_field(*attributes_[i].parser, value, wire, malformed)) return false;
        }
        return (cursor.take(')') && cursor.done()) || malformed.because(") at the end of a composite value");
    }

  private:
    std::vector<TextPart> attributes_;
};

}  // namespace

TextParserPtr composite_parser(std::vector<TextPart> attributes) {
    return std::make_shared<CompositeParser>(std::move(attributes));
}

/// hstore_send: a count, then key and value of each pair. The text: `"a"=>"1", "b"=>NULL`.
bool parse_hstore(std::string_view text, std::string& wire, Malformed& malformed) {
    TextCursor cursor(text);
    std::string scratch;
    size_t head = wire.size();
    put<int32_t>(wire, 0);
    int32_t count = 0;
    if (cursor.done()) return true;
    do {
        std::string_view part;
        if (!cursor.take('"') || !take_quoted(cursor, false, scratch, part))
            return malformed.because("a key in quotes in an hstore");
        TextField key(wire);
        wire += part;
        if (!key.finish(malformed)) return false;
        if (!cursor.take("=>")) return malformed.because("=> after an hstore's key");
        if (cursor.take("NULL")) {
            put_null(wire);
        } else {
            if (!cursor.take('"') || !take_quoted(cursor, false, scratch, part))
                return malformed.because("NULL or a value in quotes in an hstore");
            TextField value(wire);
            wire += part;
            if (!value.finish(malformed)) return false;
        }
        ++count;
    } while (cursor.take(", "));
    put_at(wire, head, count);
    return cursor.done() || malformed.because(", between an hstore's pairs");
}

}  // namespace penstock::postgres
