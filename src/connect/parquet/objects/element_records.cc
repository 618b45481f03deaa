#include <fmt/format.h>

#include "connect/parquet/objects/records.h"

namespace penstock::parquet {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

class ElementRecords : public Records {
  public:
    ElementRecords(Content content, size_t most) : content_(std::move(content)), most_(most) {}

    Result<bool> next(Record& record) override {
        PN_TRY(bool begun, begin());
        if (!begun) return false;
        text_.clear();
        bytes_ = 0;
        PN_CHECK(value());
        expected_ = in_array_ ? Expected::comma_or_end : Expected::anything;
        record = {.text = text_, .number = ++number_, .bytes = bytes_, .cut = bytes_ > most_};
        return true;
    }

    uint64_t bytes_read() const override { return content_.bytes_read(); }

  private:
    enum class Expected { anything, value_or_end, value, comma_or_end };

    /// The next character without passing over it; 0 at the end.
    Result<char> peek() {
        if (at_ == piece_.size()) {
            before_ += piece_.size();
            PN_TRY(piece_, content_.next());
            at_ = 0;
            if (piece_.empty()) return '\0';
        }
        // A NUL is no JSON, and the end is known by the piece.
        return piece_[at_] == '\0' ? '\1' : piece_[at_];
    }

    Error unexpected(std::string_view what) const {
        return object_damaged(content_.url(), fmt::format("{} at byte {}", what, before_ + at_ + 1));
    }

    /// Up to the next value's first character; false at the end.
    Result<bool> begin() {
        for (;;) {
            PN_TRY(char c, peek());
            if (c == '\0') {
                if (in_array_) return fail(object_damaged(content_.url(), "it ends within its array"));
                return false;
            }
            if (is_space(c)) {
                ++at_;
            } else if (c == '[' && !in_array_) {
                ++at_;
                in_array_ = true;
                expected_ = Expected::value_or_end;
            } else if (c == ']') {
                if (!in_array_) return fail(unexpected("']' closes nothing"));
                if (expected_ == Expected::value) return fail(unexpected("']' stands where an element is missing"));
                ++at_;
                in_array_ = false;
                expected_ = Expected::anything;
            } else if (c == ',') {
                if (expected_ != Expected::comma_or_end) return fail(unexpected("',' stands where a value is missing"));
                ++at_;
                expected_ = Expected::value;
            } else if (expected_ == Expected::comma_or_end) {
                return fail(unexpected("',' is missing between two elements"));
            } else {
                return true;
            }
        }
    }

    /// One value up to its end: by its brackets, or of a scalar by what follows.
    Status value() {
        int64_t depth = 0;
        bool in_string = false, escaped = false;
        for (;;) {
            PN_TRY(char first, peek());
            if (first == '\0') {
                if (depth == 0 && !in_string) return {};
                return fail(object_damaged(content_.url(), "it ends within a value"));
            }
            size_t from = at_;
            bool ended = false;
            for (; at_ < piece_.size() && !ended; ++at_) {
                char c = piece_[at_];
                if (in_string) {
                    if (escaped) escaped = false;
                    else if (c == '\\') escaped = true;
                    else if (c == '"') in_string = false;
                } else if (c == '"') {
                    in_string = true;
                } else if (c == '{' || c == '[') {
                    ++depth;
                } else if (depth == 0 && (c == ',' || c == ']' || is_space(c))) {
                    break;
                } else if (c == '}' || c == ']') {
                    if (--depth < 0) return fail(unexpected("a bracket closes nothing"));
                    ended = depth == 0;
                }
            }
            keep(piece_.substr(from, at_ - from));
            if (ended || at_ < piece_.size()) return {};
        }
    }

    void keep(std::string_view more) {
        bytes_ += more.size();
        if (text_.size() <= most_) text_ += more.substr(0, most_ + 1 - text_.size());
    }

    Content content_;
    size_t most_;
    std::string_view piece_;
    size_t at_ = 0;
    uint64_t before_ = 0;
    bool in_array_ = false;
    Expected expected_ = Expected::anything;
    std::string text_;
    uint64_t bytes_ = 0;
    int64_t number_ = 0;
};

}  // namespace

std::unique_ptr<Records> element_records(Content content, size_t most) {
    return std::make_unique<ElementRecords>(std::move(content), most);
}

}  // namespace penstock::parquet
