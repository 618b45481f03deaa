#pragma once

#include <cstddef>
#include <string_view>

namespace penstock::postgres {

/// Walks JSON text front to back and builds nothing: all it hands out are pieces of the text as they stand there, so
/// that numbers keep their digits. Checks the grammar of RFC 8259, but not that strings are UTF-8: a SQL_ASCII database
/// sends what it has. Like WireCursor, the first thing that is wrong turns `ok` false for good and what follows reads as
/// nothing: callers check once, at the end.
class JsonCursor {
  public:
    explicit JsonCursor(std::string_view text) : text_(text) {}

    bool ok() const { return ok_; }
    /// Where it stands, or where it went wrong.
    size_t offset() const { return at_; }
    /// Nothing but space is left.
    bool done() { return peek() == '\0' && ok_ && at_ == text_.size(); }

    /// The next character that is not space; '\0' at the end.
    char peek();
    /// Steps over `token` if it comes next.
    bool take(char token);
    /// Steps over `token`; anything else is wrong.
    void expect(char token) {
        if (!take(token)) fail();
    }
    void fail() { ok_ = false; }

    /// What stands between the quotes of a string, as it stands there: give it to unescape() when it has a backslash.
    std::string_view string();

    /// Any one value: a string with its quotes, a number, true, false, null, an array or an object. Nesting is limited.
    std::string_view value();

    /// Calls `member(key)` for every member of an object; it reads the value. Keys are as they stand there.
    template <class Member>
    void object(Member member) {
        expect('{');
        if (take('}')) return;
        do {
            auto key = string();
            expect(':');
            if (ok_) member(key);
        } while (ok_ && take(','));
        expect('}');
    }

    /// Calls `element()` for every element of an array; it reads it.
    template <class Element>
    void array(Element element) {
        expect('[');
        if (take(']')) return;
        do {
            if (ok_) element();
        } while (ok_ && take(','));
        expect(']');
    }

    /// Steps over `count` characters, whatever they are.
    std::string_view raw(size_t count);
    std::string_view rest() const { return text_.substr(at_); }

  private:
    void skip_string();
    void skip_number();
    void skip_digits();
    void skip_word(std::string_view word);
    void skip_value(int depth);
    char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    std::string_view text_;
    size_t at_ = 0;
    bool ok_ = true;
};

/// Puts the text of a JSON string (what stands between its quotes, as JsonCursor gave it) at `to`, which has room for
/// as many bytes; returns how many there are. Half of a surrogate pair becomes U+FFFD.
size_t unescape(std::string_view string, char* to);

}  // namespace penstock::postgres
