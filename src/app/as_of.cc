#include "app/as_of.h"

#include <fmt/format.h>

#include <regex>

namespace penstock::app {

Result<TimePoint> parse_moment(const std::string& text) {
    static const std::regex form(
        R"((\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)? ?(?:(Z|UTC)|([+-])(\d\d):?(\d\d)?)?)",
        std::regex::icase);
    std::smatch parts;
    bool good = std::regex_match(text, parts, form);
    auto number = [&](size_t group) { return parts[group].matched ? std::stoi(parts[group].str()) : 0; };
    std::chrono::year_month_day date;
    if (good) {
        date = {std::chrono::year(number(1)), std::chrono::month(static_cast<unsigned>(number(2))),
                std::chrono::day(static_cast<unsigned>(number(3)))};
        good = date.ok() && number(4) < 24 && number(5) < 60 && number(6) < 60 && number(10) < 24 && number(11) < 60;
    }
    if (!good)
        return fail({.kind = ErrorKind::usage,
                     .code = "bad_time",
                     .message = fmt::format("'{}' is no time", text),
                     .hint = "write 2026-11-20T12:00:00Z, or with an offset, 2026-11-20T12:00:00+01:00"});
    std::string fraction = parts[7].str();
    fraction.resize(6, '0');
    auto offset = std::chrono::hours(number(10)) + std::chrono::minutes(number(11));
    return TimePoint(std::chrono::sys_days(date)) + std::chrono::hours(number(4)) + std::chrono::minutes(number(5)) +
           std::chrono::seconds(number(6)) + std::chrono::microseconds(std::stoi(fraction)) -
           (parts[9].str() == "-" ? -offset : offset);
}

Status travel(std::vector<Pipeline>& pipelines, const std::string& as_of) {
    if (as_of.empty()) return {};
    PN_TRY(auto moment, parse_moment(as_of));
    for (auto& pipeline : pipelines) PN_CHECK(pipeline.travel_to(moment));
    return {};
}

}  // namespace penstock::app
