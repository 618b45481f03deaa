#include "transform/debezium/decode_time.h"

#include <charconv>
#include <limits>

#include "base/calendar.h"
#include "data/timetz.h"

namespace penstock::debezium {
namespace {

/// Reads from the front; every step says whether it found what it wanted.
class Scanner {
  public:
    explicit Scanner(std::string_view text) : rest_(text) {}

    bool take(char wanted) {
        if (!rest_.starts_with(wanted)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool done() const { return rest_.empty(); }
    std::string_view rest() const { return rest_; }

    std::optional<int64_t> number(size_t least, size_t most) {
        size_t count = 0;
        int64_t value = 0;
        while (count < most && count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9')
            value = value * 10 + (rest_[count++] - '0');
        if (count < least) return std::nullopt;
        rest_.remove_prefix(count);
        return value;
    }

    /// Digits behind a point as microseconds; 0 where there is none.
    std::optional<int64_t> fraction() {
        if (!take('.')) return 0;
        int64_t micros = 0;
        int digits = 0;
        while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
            if (digits < 6) micros = micros * 10 + (rest_[0] - '0');
            else if (rest_[0] != '0') return std::nullopt;
            rest_.remove_prefix(1);
            ++digits;
        }
        if (digits == 0) return std::nullopt;
        for (; digits < 6; ++digits) micros *= 10;
        return micros;
    }

  private:
    std::string_view rest_;
};

struct Day {
    int64_t year;
    int64_t days;
};

/// Howard Hinnant's days_from_civil.
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

int64_t days_in_month(int64_t year, int64_t month) {
    constexpr int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

std::optional<Day> read_day(Scanner& text) {
    bool negative = text.take('-');
    if (!negative) text.take('+');
    auto year = text.number(4, 9);
    if (!year || !text.take('-')) return std::nullopt;
    auto month = text.number(2, 2);
    if (!month || *month < 1 || *month > 12 || !text.take('-')) return std::nullopt;
    auto day = text.number(2, 2);
    int64_t of = negative ? -*year : *year;
    if (!day || *day < 1 || *day > days_in_month(of, *month)) return std::nullopt;
    return Day{of, days_from_civil(of, *month, *day)};
}

/// 24:00:00 included.
std::optional<int64_t> read_clock(Scanner& text) {
    auto hours = text.number(2, 2);
    if (!hours || *hours > 24 || !text.take(':')) return std::nullopt;
    auto minutes = text.number(2, 2);
    if (!minutes || *minutes > 59) return std::nullopt;
    int64_t seconds = 0;
    if (text.take(':')) {
        auto read = text.number(2, 2);
        if (!read || *read > 59) return std::nullopt;
        seconds = *read;
    }
    auto fraction = text.fraction();
    if (!fraction) return std::nullopt;
    int64_t micros = ((*hours * 60 + *minutes) * 60 + seconds) * micros_per_second + *fraction;
    if (micros > micros_per_day) return std::nullopt;
    return micros;
}

/// Z, +05:30, -08, or nothing; in seconds east.
std::optional<int64_t> read_offset(Scanner& text) {
    if (text.done() || text.take('Z')) return 0;
    bool west = text.take('-');
    if (!west && !text.take('+')) return std::nullopt;
    auto hours = text.number(2, 2);
    if (!hours || *hours > 15) return std::nullopt;
    int64_t seconds = *hours * 3600;
    for (int64_t unit : {60, 1}) {
        if (!text.take(':')) break;
        auto part = text.number(2, 2);
        if (!part || *part > 59) return std::nullopt;
        seconds += *part * unit;
    }
    return west ? -seconds : seconds;
}

}  // namespace

std::optional<int64_t> parse_date(std::string_view text) {
    Scanner scanner(text);
    auto day = read_day(scanner);
    if (!day) return std::nullopt;
    scanner.take('Z');
    if (!scanner.done()) return std::nullopt;
    return day->days;
}

std::optional<int64_t> parse_time(std::string_view text) {
    Scanner scanner(text);
    auto micros = read_clock(scanner);
    if (!micros) return std::nullopt;
    scanner.take('Z');
    if (!scanner.done()) return std::nullopt;
    return micros;
}

std::optional<Instant> parse_timestamp(std::string_view text) {
    Scanner scanner(text);
    auto day = read_day(scanner);
    if (!day || (!scanner.take('T') && !scanner.take(' '))) return std::nullopt;
    auto micros = read_clock(scanner);
    if (!micros) return std::nullopt;
    auto offset = read_offset(scanner);
    if (!offset || !scanner.done()) return std::nullopt;
    __extension__ using Wide = __int128;
    return Instant{day->year, Wide{day->days} * micros_per_day + *micros - *offset * micros_per_second};
}

std::optional<int64_t> parse_zoned_time(std::string_view text) {
    Scanner scanner(text);
    auto micros = read_clock(scanner);
    if (!micros || scanner.done()) return std::nullopt;
    auto offset = read_offset(scanner);
    if (!offset || !scanner.done() || *offset > 57599 || *offset < -57599) return std::nullopt;
    return *micros << 24 | (57599 - *offset);
}

std::optional<data::Interval> parse_interval(std::string_view text) {
    __extension__ using Wide = __int128;
    Scanner scanner(text);
    if (!scanner.take('P')) return std::nullopt;
    Wide months = 0, days = 0, micros = 0;
    bool time = false, any = false;
    while (!scanner.done()) {
        if (!time && scanner.take('T')) {
            time = true;
            continue;
        }
        bool negative = scanner.take('-');
        auto whole = scanner.number(1, 18);
        if (!whole) return std::nullopt;
        auto fraction = scanner.fraction();
        if (!fraction) return std::nullopt;
        Wide sign = negative ? -1 : 1;
        if (time && scanner.take('S')) micros += sign * (Wide{*whole} * micros_per_second + *fraction);
        else if (*fraction != 0) return std::nullopt;
        else if (time && scanner.take('H')) micros += sign * *whole * 3600 * micros_per_second;
        else if (time && scanner.take('M')) micros += sign * *whole * 60 * micros_per_second;
        else if (!time && scanner.take('Y')) months += sign * *whole * 12;
        else if (!time && scanner.take('M')) months += sign * *whole;
        else if (!time && scanner.take('W')) days += sign * *whole * 7;
        else if (!time && scanner.take('D')) days += sign * *whole;
        else return std::nullopt;
        any = true;
    }
    auto holds = [](Wide value, auto like) {
        using Limits = std::numeric_limits<decltype(like)>;
        return value >= Limits::min() && value <= Limits::max();
    };
    if (!any || !holds(months, int32_t{}) || !holds(days, int32_t{}) || !holds(micros, int64_t{})) return std::nullopt;
    return data::Interval{static_cast<int32_t>(months), static_cast<int32_t>(days), static_cast<int64_t>(micros)};
}

}  // namespace penstock::debezium
