#include "base/clock.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <cstdlib>

namespace penstock {

TimePoint now() {
    if (const char* pinned = std::getenv("PENSTOCK_NOW"); pinned != nullptr)
        return TimePoint(std::chrono::seconds(std::strtoll(pinned, nullptr, 10)));
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

std::string iso_time(TimePoint time) {
    auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    auto micros = (time - seconds).count();
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                       micros);
}

std::string expand_time(std::string pattern, TimePoint time) {
    auto parts = fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time)));
    static constexpr std::array<std::pair<const char*, const char*>, 8> fields = {
        {{"{yyyy}", "{:%Y}"},
         {"{MM}", "{:%m}"},
         {"{dd}", "{:%d}"},
         {"{HH}", "{:%H}"},
         {"{mm}", "{:%M}"},
         {"{ss}", "{:%S}"},
         {"{yyyyMMdd}", "{:%Y%m%d}"},
         {"{yyyyMMddHHmmss}", "{:%Y%m%d%H%M%S}"}}};
    for (const auto& [name, format] : fields) {
        std::string_view wanted = name;
        for (size_t at = pattern.find(wanted); at != pattern.npos; at = pattern.find(wanted, at))
            pattern.replace(at, wanted.size(), fmt::format(fmt::runtime(format), parts));
    }
    return pattern;
}

}  // namespace penstock
