#include <limits>

#include "base/calendar.h"
#include "connect/postgres/text/text_cursor.h"
#include "connect/postgres/text/text_parser.h"
#include "connect/postgres/wire.h"

namespace penstock::postgres {
namespace {

constexpr int64_t seconds_per_day = 86'400;

// What the server holds (timestamp.h): 4714-11-24 BC to 5874897-12-31 for dates, to 294276-12-31 for timestamps.
constexpr int64_t first_day = -2451545;
constexpr int64_t last_day = 2145031948;
constexpr int64_t first_second = first_day * seconds_per_day;
constexpr int64_t end_second = 9'223'371'331'200;
constexpr int longest_offset = 16 * 3600 - 1;

struct Civil {
    int64_t year;
    int month;
    int day;
};

bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int days_in_month(int64_t year, int month) {
    constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/// Howard Hinnant's days_from_civil, since 2000-01-01. Year 0 is 1 BC.
int64_t days_since_2000(const Civil& date) {
    int64_t year = date.year - (date.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (date.month > 2 ? date.month - 3 : date.month + 9) + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468 - epoch_days;
}

/// year-month-day, without the era that ends the whole text.
bool read_date(TextCursor& text, Civil& date, Malformed& malformed) {
    int year;
    if (!text.natural(year) || year < 1 || year > 9'999'999 || !text.take('-') || !text.two_digits(date.month) ||
        !text.take('-') || !text.two_digits(date.day))
        return malformed.because("year-month-day, as DateStyle ISO writes it");
    date.year = year;
    return true;
}

/// " BC" or nothing, and then the end. Only now the month's days are known.
bool read_era(TextCursor& text, Civil& date, Malformed& malformed) {
    if (text.take(" BC")) date.year = 1 - date.year;
    if (!text.done()) return malformed.because("nothing, or BC, after the date");
    if (date.month < 1 || date.month > 12 || date.day < 1 || date.day > days_in_month(date.year, date.month))
        return malformed.because("a date of the calendar");
    return true;
}

/// hour:minute:second with up to six digits of its fraction, 24:00:00 included.
bool read_clock(TextCursor& text, int64_t& micros, Malformed& malformed) {
    int hour, minute, second;
    int64_t fraction = 0;
    if (!text.two_digits(hour) || !text.take(':') || !text.two_digits(minute) || !text.take(':') ||
        !text.two_digits(second) || (text.take('.') && !text.millionths(fraction)))
        return malformed.because("hour:minute:second and up to six digits of a fraction");
    micros = (hour * 3600 + minute * 60 + second) * micros_per_second + fraction;
    if (minute > 59 || second > 59 || micros > seconds_per_day * micros_per_second)
        return malformed.because("a time between 00:00:00 and 24:00:00");
    return true;
}

/// +hh, +hh:mm or +hh:mm:ss.
bool read_offset(TextCursor& text, int& seconds_east, Malformed& malformed) {
    constexpr const char* expected = "an offset from UTC below 16 hours, such as +00 or -03:30";
    if (!text.at('+') && !text.at('-')) return malformed.because(expected);
    bool west = text.minus();
    int hours, minutes = 0, seconds = 0;
    if (!text.two_digits(hours)) return malformed.because(expected);
    if (text.take(':')) {
        if (!text.two_digits(minutes) || (text.take(':') && !text.two_digits(seconds)))
            return malformed.because(expected);
    }
    seconds_east = hours * 3600 + minutes * 60 + seconds;
    if (minutes > 59 || seconds > 59 || seconds_east > longest_offset) return malformed.because(expected);
    if (west) seconds_east = -seconds_east;
    return true;
}

/// The extremes of the wire's integer.
template <class Wire>
bool parse_infinity(std::string_view text, std::string& wire) {
    if (text == "infinity") put(wire, std::numeric_limits<Wire>::max());
    else if (text == "-infinity") put(wire, std::numeric_limits<Wire>::min());
    else return false;
    return true;
}

template <bool with_zone>
bool parse_moment(std::string_view text, std::string& wire, Malformed& malformed) {
    TextCursor cursor(text);
    if (!cursor.at_digit() && parse_infinity<int64_t>(text, wire)) return true;
    Civil date;
    int64_t clock;
    int seconds_east = 0;
    if (!read_date(cursor, date, malformed)) return false;
    if (!cursor.take(' ')) return malformed.because("a space between date and time");
    if (!read_clock(cursor, clock, malformed)) return false;
    if (with_zone && !read_offset(cursor, seconds_east, malformed)) return false;
    if (!read_era(cursor, date, malformed)) return false;
    int64_t second = days_since_2000(date) * seconds_per_day + clock / micros_per_second - seconds_east;
    if (second < first_second || second >= end_second)
        return malformed.because("a time from 4714-11-24 BC to 294276-12-31");
    put(wire, second * micros_per_second + clock % micros_per_second);
    return true;
}

}  // namespace

bool parse_date(std::string_view text, std::string& wire, Malformed& malformed) {
    TextCursor cursor(text);
    if (!cursor.at_digit() && parse_infinity<int32_t>(text, wire)) return true;
    Civil date;
    if (!read_date(cursor, date, malformed) || !read_era(cursor, date, malformed)) return false;
    int64_t days = days_since_2000(date);
    if (days < first_day || days > last_day) return malformed.because("a date from 4714-11-24 BC to 5874897-12-31");
    put(wire, static_cast<int32_t>(days));
    return true;
}

bool parse_time(std::string_view text, std::string& wire, Malformed& malformed) {
    TextCursor cursor(text);
    int64_t micros;
    if (!read_clock(cursor, micros, malformed)) return false;
    if (!cursor.done()) return malformed.because("nothing after the time");
    put(wire, micros);
    return true;
}

/// timetz_send counts its zone in seconds west.
bool parse_timetz(std::string_view text, std::string& wire, Malformed& malformed) {
    TextCursor cursor(text);
    int64_t micros;
    int seconds_east;
    if (!read_clock(cursor, micros, malformed) || !read_offset(cursor, seconds_east, malformed)) return false;
    if (!cursor.done()) return malformed.because("nothing after the offset");
    put(wire, micros);
    put(wire, -seconds_east);
    return true;
}

bool parse_timestamp(std::string_view text, std::string& wire, Malformed& malformed) {
    return parse_moment<false>(text, wire, malformed);
}

bool parse_timestamptz(std::string_view text, std::string& wire, Malformed& malformed) {
    return parse_moment<true>(text, wire, malformed);
}

}  // namespace penstock::postgres
