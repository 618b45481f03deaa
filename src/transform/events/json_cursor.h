#pragma once

#include <string>
#include <string_view>

#include "transform/events/json_index.h"

namespace penstock::events {

/// Walks a JSON text along its index and checks what it passes. A step that is false has set `fault`, and the walk is over.
class JsonCursor {
  public:
    /// The index has no fault.
    JsonCursor(std::string_view text, const JsonIndex& index)
        : text_(text), at_(index.at), end_(index.at + index.count) {}

    /// The first character of what comes next; 0 at the end.
    char peek() const { return at_ < end_ ? text_[*at_] : '\0'; }
    bool done() const { return at_ == end_; }
    /// Where what comes next begins in the text; its end where nothing comes.
    size_t place() const { return at_ < end_ ? *at_ : text_.size(); }
    /// Over one character of punctuation.
    bool take(char wanted) {
        if (peek() != wanted) return false;
        ++at_;
        return true;
    }
    bool expect(char wanted) { return take(wanted) || fail(wanted); }

    /// The text of the number, string (with quotes) or word that comes next; over it. Only strings are checked to be one.
    std::string_view token();
    /// A string; `raw` without quotes, escapes as they are.
    bool string(std::string_view& raw);
    /// Undoes the escapes of a raw string: from then on it is the scratch where it had any.
    bool plain(std::string_view& raw, std::string& scratch, std::string_view what = "string");
    /// Over any value, checking all of it. `text` is the whole of it.
    bool value(std::string_view& text, int depth = 0);
    /// Over any value, checking nothing but that its brackets close.
    bool skip();

    /// To the value of an object's member; false where there is none, or (with a fault) no JSON.
    bool enter(std::string_view name);

    /// visit() has to go over the member's value; `key` is raw.
    template <class Visit>
    bool object(Visit&& visit) {
        if (!expect('{')) return false;
        if (take('}')) return true;
        do {
            std::string_view key;
            if (!string(key) || !expect(':') || !visit(key)) return false;
        } while (take(','));
        return expect('}');
    }
    /// visit() has to go over the element.
    template <class Visit>
    bool array(Visit&& visit) {
        if (!expect('[')) return false;
        if (take(']')) return true;
        do {
            if (!visit()) return false;
        } while (take(','));
        return expect(']');
    }

    bool fail(char wanted);
    bool fail(std::string why) {
        fault = std::move(why);
        return false;
    }
    std::string fault;

  private:
    size_t end_of_token() const { return at_ + 1 < end_ ? at_[1] : text_.size(); }

    std::string_view text_;
    const uint32_t* at_;
    const uint32_t* end_;
};

/// Levels of nesting in what value() checks.
inline constexpr int deepest = 100;

/// -1 for what is none.
int hex_digit(char c);

/// By RFC 8259.
bool is_number(std::string_view token);

/// Undoes the escapes of a string's raw text; false where one is none. `out` is overwritten.
bool unescape(std::string_view raw, std::string& out);

}  // namespace penstock::events
