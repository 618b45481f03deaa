#include "transform/events/ddl_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace penstock::events {
namespace {

class Scanner {
  public:
    Scanner(std::string_view text, const std::string& file) : text_(text), file_(file) {}

    Result<std::vector<Token>> all() {
        std::vector<Token> out;
        while (true) {
            PN_CHECK(skip_blanks());
            Token token{.begin = at_};
            if (at_ == text_.size()) {
                token.end = at_;
                out.push_back(std::move(token));
                return out;
            }
            PN_CHECK(take(token));
            token.end = at_;
            out.push_back(std::move(token));
        }
    }

  private:
    static bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80); }
    bool starts(std::string_view what) const { return text_.substr(at_).starts_with(what); }

    Status skip_blanks() {
        while (at_ < text_.size()) {
            if (std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
            else if (starts("--") || starts("#")) at_ = std::min(text_.find('\n', at_), text_.size());
            else if (starts("/*")) {
                size_t end = text_.find("*/", at_);
                if (end == text_.npos) return unclosed("comment", at_);
                at_ = end + 2;
            } else break;
        }
        return {};
    }

    Status take(Token& token) {
        char c = text_[at_];
        if (c == '`' || c == '"' || c == '\'') return quoted(token, c);
        if (!is_word(c)) {
            token.kind = Token::Kind::mark;
            token.text = c;
            ++at_;
            return {};
        }
        bool number = std::isdigit(static_cast<unsigned char>(c));
        token.kind = number ? Token::Kind::number : Token::Kind::word;
        while (at_ < text_.size() && (is_word(text_[at_]) || (number && text_[at_] == '.'))) token.text += text_[at_++];
        return {};
    }

    /// "…" is a string, as in BigQuery.
    Status quoted(Token& token, char quote) {
        size_t begin = at_++;
        token.kind = quote == '`' ? Token::Kind::name : Token::Kind::string;
        while (at_ < text_.size() && text_[at_] != quote) {
            char c = text_[at_++];
            if (c == '\\' && at_ < text_.size()) {
                c = text_[at_++];
                if (c == 'n') c = '\n';
                else if (c == 't') c = '\t';
                else if (std::string_view("\\'\"`").find(c) == std::string_view::npos)
                    return fail(error("ddl_escape", "an escape that is not known here", at_ - 2));
            }
            token.text += c;
        }
        if (at_ == text_.size()) return unclosed("quote", begin);
        ++at_;
        return {};
    }

    Error error(std::string code, std::string message, size_t where) const {
        return {.kind = ErrorKind::configuration,
                .code = std::move(code),
                .message = std::move(message),
                .where = place_in(text_, where, file_)};
    }
    Status unclosed(std::string_view what, size_t where) const {
        return fail(error("ddl_unclosed", fmt::format("a {} is not closed", what), where));
    }

    std::string_view text_;
    const std::string& file_;
    size_t at_ = 0;
};

}  // namespace

Result<std::vector<Token>> tokens_of(std::string_view text, const std::string& file) {
    return Scanner(text, file).all();
}

std::string place_in(std::string_view text, size_t offset, const std::string& file) {
    auto before = text.substr(0, offset);
    auto line = 1 + std::ranges::count(before, '\n');
    size_t begin = before.rfind('\n');
    size_t column = 1 + (begin == before.npos ? offset : offset - begin - 1);
    return fmt::format("{}:{}:{}", file, line, column);
}

}  // namespace penstock::events
