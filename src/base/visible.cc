#include "base/visible.h"

#include <fmt/format.h>

namespace penstock {
namespace {

/// The length of the colour sequence that `text` begins with ("\x1b[31m", "\x1b[0m"), 0 if with none.
size_t colour_length(std::string_view text) {
    if (!text.starts_with("\x1b[")) return 0;
    size_t end = text.find_first_not_of("0123456789;", 2);
    return end != text.npos && end < 12 && text[end] == 'm' ? end + 1 : 0;
}

/// C1 controls, which some terminals obey as they do ESC [: U+0080 to U+009F, in UTF-8.
bool is_c1(std::string_view text) {
    return text.size() > 1 && static_cast<unsigned char>(text[0]) == 0xc2 &&
           static_cast<unsigned char>(text[1]) >= 0x80 && static_cast<unsigned char>(text[1]) < 0xa0;
}

}  // namespace

std::string visible(std::string_view text, Shown shown) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        auto c = static_cast<unsigned char>(text.front());
        size_t length = 1;
        if (is_c1(text)) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[1]));
            length = 2;
        } else if (c >= 0x20 && c != 0x7f) {
            out += text.front();
        } else if (shown == Shown::page && (c == '\n' || c == '\t')) {
            out += text.front();
        } else if (size_t colour = shown == Shown::page ? colour_length(text) : 0; colour > 0) {
            out += text.substr(0, colour);
            length = colour;
        } else if (c == '\n' || c == '\t' || c == '\r') {
            out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r";
        } else {
            out += fmt::format("\\x{:02x}", c);
        }
        text.remove_prefix(length);
    }
    return out;
}

}  // namespace penstock
