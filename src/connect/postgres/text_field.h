#pragma once

#include <string>
#include <string_view>

#include "connect/postgres/text/text_cursor.h"
#include "connect/postgres/text/text_parser.h"

namespace penstock::postgres {

/// A part of a nested value on the wire: a length word ahead of what is appended until finish().
class TextField {
  public:
    explicit TextField(std::string& wire) : wire_(wire), start_(wire.size() + 4) { put<int32_t>(wire, 0); }
    bool finish(Malformed& malformed);

  private:
    std::string& wire_;
    size_t start_;
};

inline void put_null(std::string& wire) { put<int32_t>(wire, -1); }

bool put_field(const TextParser& parser, std::string_view text, std::string& wire, Malformed& malformed);

/// What stands in quotes, after the first of them and with the last: as it stands, or in `scratch` when something in it is
/// escaped. A backslash escapes anything; where quotes are `doubled` (composites, ranges), two are one.
bool take_quoted(TextCursor& text, bool doubled, std::string& scratch, std::string_view& value);

}  // namespace penstock::postgres
