#include <algorithm>

#include "connect/postgres/text/text_cursor.h"
#include "connect/postgres/text/text_parser.h"

namespace penstock::postgres {
namespace {

// What the server's numeric holds (NUMERIC_MAX_PRECISION aside): digits before and after the point.
constexpr size_t most_whole_digits = 131072;
constexpr size_t most_fraction_digits = 16383;

void put_header(std::string& wire, uint16_t count, int weight, uint16_t sign, uint16_t display_scale) {
    put(wire, count);
    put(wire, static_cast<int16_t>(weight));
    put(wire, sign);
    put(wire, display_scale);
}

/// The infinities carry a display scale of 32: bits of their sign, which numeric_send reads as such.
bool parse_special(std::string_view text, std::string& wire) {
    if (text == "NaN") put_header(wire, 0, 0, 0xC000, 0);
    else if (text == "Infinity") put_header(wire, 0, 0, 0xD000, 32);
    else if (text == "-Infinity") put_header(wire, 0, 0, 0xF000, 32);
    else return false;
    return true;
}

/// Groups of four digits, without zero groups at either end.
class GroupWriter {
  public:
    GroupWriter(std::string& wire, size_t most) : wire_(wire), start_(wire.size()), end_(start_) {
        wire_.resize(start_ + most * 2);
    }
    void add(int group) {
        if (group == 0 && end_ == start_) {
            ++skipped_;
            return;
        }
        end_ += 2;
        put_at(wire_, end_ - 2, static_cast<int16_t>(group));
        if (group != 0) kept_ = end_ - start_;
    }
    size_t finish() {
        wire_.resize(start_ + kept_);
        return kept_ / 2;
    }
    int skipped() const { return skipped_; }

  private:
    std::string& wire_;
    size_t start_;
    size_t end_;
    size_t kept_ = 0;
    int skipped_ = 0;
};

/// Up to four digits from `at` on, as if zeros followed.
int group_at(std::string_view digits, size_t at) {
    int group = 0;
    for (size_t i = at; i < at + 4; ++i) group = group * 10 + (i < digits.size() ? digits[i] - '0' : 0);
    return group;
}

std::string_view take_digits(TextCursor& text) {
    const char* start = text.rest().data();
    while (text.at_digit()) text.next();
    return {start, static_cast<size_t>(text.rest().data() - start)};
}

}  // namespace

/// numeric_send: count of base-10000 digits, weight of the first, sign, display scale, digits.
bool parse_numeric(std::string_view text, std::string& wire, Malformed& malformed) {
    TextCursor cursor(text);
    bool negative = cursor.take('-');
    std::string_view whole = take_digits(cursor);
    std::string_view fraction;
    bool has_point = cursor.take('.');
    if (has_point) fraction = take_digits(cursor);
    if (whole.empty() || !cursor.done() || (has_point && fraction.empty()))
        return parse_special(text, wire) || malformed.because("decimal digits, NaN or Infinity");
    whole.remove_prefix(std::min(whole.find_first_not_of('0'), whole.size()));
    if (whole.size() > most_whole_digits || fraction.size() > most_fraction_digits)
        return malformed.because("at most 131072 digits before the point and 16383 after it");

    size_t whole_groups = (whole.size() + 3) / 4;
    size_t head = wire.size();
    put_header(wire, 0, 0, 0, static_cast<uint16_t>(fraction.size()));
    GroupWriter groups(wire, whole_groups + (fraction.size() + 3) / 4);
    size_t first = whole.size() % 4;
    int group = 0;
    for (size_t i = 0; i < first; ++i) group = group * 10 + (whole[i] - '0');
    if (first != 0) groups.add(group);
    for (size_t i = first; i < whole.size(); i += 4) groups.add(group_at(whole, i));
    for (size_t i = 0; i < fraction.size(); i += 4) groups.add(group_at(fraction, i));
    size_t count = groups.finish();
    if (count == 0) return true;  // zero has neither sign nor weight
    put_at(wire, head, static_cast<uint16_t>(count));
    put_at(wire, head + 2, static_cast<int16_t>(static_cast<int>(whole_groups) - 1 - groups.skipped()));
    put_at(wire, head + 4, static_cast<uint16_t>(negative ? 0x4000 : 0));
    return true;
}

}  // namespace penstock::postgres
