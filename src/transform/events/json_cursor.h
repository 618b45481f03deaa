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
        : text_(text), at_(index.at), end_(index.at + index.count), escapes_(index.escapes) {}

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
    std::string_view token() {
        if (done()) return {};
        size_t begin = *at_, end = end_of_token();
        ++at_;
        while (end > begin && is_space(text_[end - 1])) --end;
        return text_.substr(begin, end - begin);
    }
    /// A string; `raw` without quotes, escapes as they are.
    bool string(std::string_view& raw) {
        if (peek() != '"') return fail('"');
        auto text = token();
        if (text.size() < 2 || text.back() != '"') return fail("a string is not closed");
        raw = text.substr(1, text.size() - 2);
        return true;
    }
    /// Undoes the escapes of a raw string: from then on it is the scratch where it had any.
    bool plain(std::string_view& raw, std::string& scratch, std::string_view what = "string") {
        return !escapes_ || raw.find('\\') == raw.npos || undo_escapes(raw, scratch, what);
    }
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
    static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
    bool undo_escapes(std::string_view& raw, std::string& scratch, std::string_view what);
    size_t end_of_token() const { return at_ + 1 < end_ ? at_[1] : text_.size(); }

    std::string_view text_;
    const uint32_t* at_;
    const uint32_t* end_;
    bool escapes_;  // anywhere in the text
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
