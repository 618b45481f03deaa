#include "transform/debezium/times.h"

#include <fmt/format.h>

#include <cstdlib>
#include <iterator>

#include "transform/debezium/json_text.h"

namespace penstock::debezium {
namespace {

constexpr int64_t second = 1'000'000;
constexpr int64_t day = 86'400 * second;

void two(int64_t number, std::string& out) {
    out += static_cast<char>('0' + number / 10);
    out += static_cast<char>('0' + number % 10);
}

void fraction(int64_t micros, std::string& out) {
    if (micros == 0) return;
    out += '.';
    size_t begin = out.size();
    out.resize(begin + 6);
    for (size_t i = 6; i-- > 0; micros /= 10) out[begin + i] = static_cast<char>('0' + micros % 10);
    while (out.back() == '0') out.pop_back();
}

}  // namespace

void append_iso_date(int64_t days, std::string& out) {
    // The civil calendar from a count of days, in eras of 400 years that begin in March.
    int64_t shifted = days + 719'468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146'096) / 146'097;
    int64_t of_era = shifted - era * 146'097;
    int64_t year_of_era = (of_era - of_era / 1'460 + of_era / 36'524 - of_era / 146'096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march = (5 * of_year + 2) / 153;
    int64_t month = march < 10 ? march + 3 : march - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    if (year >= 0 && year <= 9'999) {
        two(year / 100, out);
        two(year % 100, out);
    } else {
        out += year < 0 ? '-' : '+';
        fmt::format_to(std::back_inserter(out), "{:04}", std::abs(year));
    }
    out += '-';
    two(month, out);
    out += '-';
    two(of_year - (153 * march + 2) / 5 + 1, out);
}

void append_iso_time(int64_t micros, std::string& out) {
    int64_t seconds = micros / second;
    two(seconds / 3'600, out);
    out += ':';
    two(seconds / 60 % 60, out);
    out += ':';
    two(seconds % 60, out);
    fraction(micros % second, out);
}

void append_iso_timestamp(int64_t micros, std::string& out) {
    if (micros == infinite_micros || micros == -infinite_micros) {
        out += micros > 0 ? "infinity" : "-infinity";
        return;
    }
    int64_t days = micros / day, rest = micros % day;
    if (rest < 0) {
        rest += day;
        --days;
    }
    append_iso_date(days, out);
    out += 'T';
    append_iso_time(rest, out);
    out += 'Z';
}

void append_iso_timetz(int64_t packed, std::string& out) {
    append_iso_time(packed >> 24, out);
    int64_t offset = 57'599 - (packed & 0xffffff);
    if (offset == 0) {
        out += 'Z';
        return;
    }
    out += offset < 0 ? '-' : '+';
    offset = std::abs(offset);
    two(offset / 3'600, out);
    out += ':';
    two(offset / 60 % 60, out);
    if (offset % 60 == 0) return;
    out += ':';
    two(offset % 60, out);
}

void append_iso_interval(const data::Interval& value, std::string& out) {
    int64_t seconds = value.micros / second, micros = value.micros % second;
    auto part = [&](int64_t number, char unit) {
        append_integer(number, out);
        out += unit;
    };
    out += 'P';
    part(value.months / 12, 'Y');
    part(value.months % 12, 'M');
    part(value.days, 'D');
    out += 'T';
    part(seconds / 3'600, 'H');
    part(seconds / 60 % 60, 'M');
    if (seconds % 60 == 0 && value.micros < 0 && micros != 0) out += '-';
    append_integer(seconds % 60, out);
    fraction(std::abs(micros), out);
    out += 'S';
}

}  // namespace penstock::debezium
