#include <limits>

#include "base/calendar.h"
#include "connect/postgres/text/text_cursor.h"
#include "connect/postgres/text/text_parser.h"
#include "data/block.h"

namespace penstock::postgres {
namespace {

using data::Int128;

constexpr int64_t micros_per_minute = 60 * micros_per_second;
constexpr int64_t micros_per_hour = 60 * micros_per_minute;
constexpr int64_t largest_number = 99'999'999'999;  // more digits than any field has; sums stay far from 128 bits

/// Wide enough for any text: whether the sums fit is looked at once, at the end.
struct Sum {
    Int128 months = 0;
    Int128 days = 0;
    Int128 micros = 0;
};

/// A number as it stands before its unit; the sign counts for the fraction too.
struct Number {
    int64_t whole = 0;
    int64_t millionths = 0;
    bool negative = false;

    Int128 times(int64_t unit) const { return negative ? -Int128(whole) * unit : Int128(whole) * unit; }
};

bool read_number(TextCursor& text, Number& number) {
    number.negative = text.minus();
    number.millionths = 0;
    return text.natural(number.whole) && number.whole <= largest_number &&
           (!text.take('.') || text.millionths(number.millionths));
}

/// :minutes:seconds after the hours; one sign for all of it.
bool read_clock(TextCursor& text, const Number& hours, Sum& sum) {
    int minutes, seconds;
    int64_t fraction = 0;
    if (hours.millionths != 0 || !text.take(':') || !text.two_digits(minutes) || minutes > 59 || !text.take(':') ||
        !text.two_digits(seconds) || seconds > 59 || (text.take('.') && !text.millionths(fraction)))
        return false;
    int64_t rest = minutes * micros_per_minute + seconds * micros_per_second + fraction;
    sum.micros += hours.times(micros_per_hour) + (hours.negative ? -rest : rest);
    return true;
}

/// Adds a number of a unit; only seconds have fractions.
bool add(const Number& number, std::string_view unit, Sum& sum) {
    if (unit == "sec") {
        sum.micros += number.times(micros_per_second) + (number.negative ? -number.millionths : number.millionths);
        return true;
    }
    if (number.millionths != 0) return false;
    if (unit == "year") sum.months += number.times(12);
    else if (unit == "mon") sum.months += number.times(1);
    else if (unit == "day") sum.days += number.times(1);
    else if (unit == "hour") sum.micros += number.times(micros_per_hour);
    else if (unit == "min") sum.micros += number.times(micros_per_minute);
    else return false;
    return true;
}

/// postgres: `-1 years +2 mons 3 days -04:05:06.7`; postgres_verbose: `@ 1 year 3 days 6.7 secs ago`.
bool read_words(TextCursor& text, Sum& sum) {
    if (text.take("@ ") && text.rest() == "0") return true;
    Number number;
    while (true) {
        if (!read_number(text, number)) return false;
        if (text.at(':')) return read_clock(text, number, sum) && text.done();
        if (!text.take(' ')) return false;
        std::string_view unit = text.until(" ");
        if (unit.ends_with('s')) unit.remove_suffix(1);
        if (!add(number, unit, sum)) return false;
        if (text.done()) return true;
        text.take(' ');
        if (text.rest() == "ago") return sum = {-sum.months, -sum.days, -sum.micros}, true;
    }
}

/// iso_8601: `P1Y-2M3DT4H5M-6.7S`, `PT0S`.
bool read_iso(TextCursor& text, Sum& sum) {
    bool clock = false;
    Number number;
    do {
        if (!clock && text.take('T')) clock = true;
        if (!read_number(text, number) || text.done()) return false;
        char letter = text.next();
        std::string_view unit = letter == 'Y' && !clock   ? "year"
                                : letter == 'M' && !clock ? "mon"
                                : letter == 'D' && !clock ? "day"
                                : letter == 'H' && clock  ? "hour"
                                : letter == 'M' && clock  ? "min"
                                : letter == 'S' && clock  ? "sec"
                                                          : "";
        if (!add(number, unit, sum)) return false;
    } while (!text.done());
    return true;
}

bool read_year_month(TextCursor& text, const Number& years, Sum& sum) {
    Number months{.negative = years.negative};
    if (years.millionths != 0 || !text.take('-') || !text.natural(months.whole) || months.whole > 11) return false;
    sum.months += years.times(12) + months.times(1);
    return true;
}

/// sql_standard: `0`, `1-2`, `4:05:06`, `-3 4:05:06` (one sign for all), `+1-2 -3 +4:05:06` (a sign for each).
bool read_sql(TextCursor& text, Sum& sum) {
    Number first, days, hours;
    if (text.rest() == "0") return true;
    if (!read_number(text, first)) return false;
    if (text.at(':')) return read_clock(text, first, sum) && text.done();
    if (text.at('-')) {
        if (!read_year_month(text, first, sum)) return false;
        if (text.done()) return true;
        if (!text.take(' ') || !read_number(text, days) || !add(days, "day", sum) || !text.take(' ')) return false;
        return read_number(text, hours) && read_clock(text, hours, sum) && text.done();
    }
    if (!add(first, "day", sum) || !text.take(' ') || !text.natural(hours.whole) || hours.whole > largest_number)
        return false;
    hours.negative = first.negative;
    return read_clock(text, hours, sum) && text.done();
}

template <class T>
bool fits(Int128 value) {
    return value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max();
}

void put_interval(std::string& wire, int64_t micros, int32_t days, int32_t months) {
    put(wire, micros);
    put(wire, days);
    put(wire, months);
}

/// PostgreSQL 17: all three at their extreme.
bool parse_infinite(std::string_view text, std::string& wire) {
    using Micros = std::numeric_limits<int64_t>;
    using Days = std::numeric_limits<int32_t>;
    if (text == "infinity") put_interval(wire, Micros::max(), Days::max(), Days::max());
    else if (text == "-infinity") put_interval(wire, Micros::min(), Days::min(), Days::min());
    else return false;
    return true;
}

}  // namespace

bool parse_interval(std::string_view text, std::string& wire, Malformed& malformed) {
    if (parse_infinite(text, wire)) return true;
    TextCursor cursor(text);
    Sum sum;
    bool words = text.find_first_of("@eoa") != text.npos;  // year, mon, day: each unit that can stand alone
    bool read = cursor.take('P') ? read_iso(cursor, sum) : words ? read_words(cursor, sum) : read_sql(cursor, sum);
    if (!read) return malformed.because("an interval, such as 1 year 2 mons -3 days 04:05:06.7");
    if (!fits<int32_t>(sum.months) || !fits<int32_t>(sum.days) || !fits<int64_t>(sum.micros))
        return malformed.because("months and days of 32 bits and microseconds of 64");
    put_interval(wire, static_cast<int64_t>(sum.micros), static_cast<int32_t>(sum.days),
                 static_cast<int32_t>(sum.months));
    return true;
}

}  // namespace penstock::postgres
