#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::events {

/// A word, a quoted name, a string, a number or one character of punctuation.
struct Token {
    enum class Kind { end, word, name, string, number, mark } kind = Kind::end;
    std::string text;  ///< quotes and escapes undone
    size_t begin = 0;  ///< in the text
    size_t end = 0;
};

/// The statement without blanks and comments, closed by a token `end`.
Result<std::vector<Token>> tokens_of(std::string_view text, const std::string& file);

/// file:line:column of an offset in the text.
std::string place_in(std::string_view text, size_t offset, const std::string& file);

}  // namespace penstock::events
