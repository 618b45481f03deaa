#include "connect/postgres/text_field.h"

#include <limits>

namespace penstock::postgres {

bool TextField::finish(Malformed& malformed) {
    size_t size = wire_.size() - start_;
    if (size > std::numeric_limits<int32_t>::max()) return malformed.because("less than 2 GiB");
    put_at(wire_, start_ - 4, static_cast<int32_t>(size));
    return true;
}

bool put_field(const TextParser& parser, std::string_view text, std::string& wire, Malformed& malformed) {
    TextField field(wire);
    return parser.parse(text, wire, malformed) && field.finish(malformed);
}

bool take_quoted(TextCursor& text, bool doubled, std::string& scratch, std::string_view& value) {
    value = text.until("\"\\");
    bool copied = false;
    while (!text.done()) {
        char c = text.next();
        if (c == '"' && !(doubled && text.at('"'))) {
            if (copied) value = scratch;
            return true;
        }
        if (text.done()) return false;
        if (!copied) scratch = value;
        copied = true;
        scratch += text.next();
        scratch += text.until("\"\\");
    }
    return false;
}

}  // namespace penstock::postgres
