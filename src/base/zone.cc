#include "base/zone.h"

#include <date/tz.h>
#include <fmt/format.h>

#include "base/humane.h"

namespace penstock {
namespace {

Error no_timezones(std::string why) {
    return {.kind = ErrorKind::refused,
            .code = "no_timezones",
            .message = fmt::format("this machine's time zones cannot be used: {}", why),
            .hint = "install the package tzdata; Debian's holds what is needed"};
}

/// The library reads the list of transitions in a zone's file and not the rule behind it, which files of the slim form rely on.
Status check_form() {
    using namespace std::chrono;
    auto july = date::sys_seconds((sys_days(2030y / July / 1)).time_since_epoch());
    if (date::locate_zone("Europe/Vienna")->get_info(july).offset == hours(2)) return {};
    return fail(no_timezones("their files are of the slim form, without the transitions to come"));
}

Result<const date::tzdb*> database() {
    try {
        static const date::tzdb* const all = &date::get_tzdb();
        static const Status form = check_form();
        if (!form) return fail(form.error());
        return all;
    } catch (const std::exception& error) {
        return fail(no_timezones(error.what()));
    }
}

}  // namespace

Result<Zone> Zone::find(std::string_view name) {
    if (name == "UTC") return Zone();
    PN_TRY(const auto* all, database());
    Zone found;
    found.name_ = name;
    try {
        found.zone_ = date::locate_zone(found.name_);
        return found;
    } catch (const std::exception&) {
        std::vector<std::string> names;
        for (const auto& zone : all->zones) names.push_back(zone.name());
        auto nearest = nearest_name(name, names);
        return fail({.kind = ErrorKind::configuration,
                     .code = "unknown_timezone",
                     .message = fmt::format("there is no time zone '{}'{}", name,
                                            nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)),
                     .hint = "a name of the IANA list, such as Europe/Vienna or America/New_York"});
    }
}

Zone::Period Zone::at(Instant time) const {
    if (zone_ == nullptr) return {Instant::min(), Instant::max(), std::chrono::seconds(0)};
    auto info = zone_->get_info(date::sys_seconds(time.time_since_epoch()));
    return {Instant(info.begin.time_since_epoch()), Instant(info.end.time_since_epoch()), info.offset};
}

Zone::Instant Zone::instant(Local local) const {
    if (zone_ == nullptr) return Instant(local.time_since_epoch());
    auto info = zone_->get_info(date::local_seconds(local.time_since_epoch()));
    if (info.result == date::local_info::nonexistent) return Instant(info.first.end.time_since_epoch());
    return Instant((local.time_since_epoch() - info.first.offset));
}

}  // namespace penstock
