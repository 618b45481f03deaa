#include "transform/archive/path.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace penstock::archive {
namespace {

constexpr std::array<std::string_view, 8> time_parts = {"{yyyy}", "{MM}", "{dd}",       "{HH}",
                                                        "{mm}",   "{ss}", "{yyyyMMdd}", "{yyyyMMddHHmmss}"};
constexpr int most_days = 366;   // of a range whose days are looked at one by one
constexpr int most_hours = 744;  // likewise

bool has(std::string_view path, std::string_view part) { return path.find(part) != path.npos; }

std::unexpected<Error> bad_path(std::string_view path, std::string why, std::string hint) {
    return fail({.kind = ErrorKind::configuration,
                 .code = "bad_path",
                 .message = fmt::format("archive path \"{}\" {}", path, why),
                 .hint = std::move(hint)});
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
}

std::string expand(std::string path, std::string_view pipeline, std::string_view route, TimePoint time) {
    path = expand_time(std::move(path), time);  // first: what a route is called is nobody's template
    replace_all(path, "{pipeline}", encode_part(pipeline));
    replace_all(path, "{route}", encode_part(route));
    return path;
}

std::string_view extension(ArchiveCompression compression) {
    switch (compression) {
        case ArchiveCompression::none: return "";
        case ArchiveCompression::gzip: return ".gz";
        case ArchiveCompression::zstd: return ".zst";
    }
    std::unreachable();
}

/// The template's folders as far as they hold no placeholder that is finer than `span`, nor a route that is not known.
std::string coarse(std::string_view path, std::chrono::hours span, bool routes_known) {
    std::string folders;
    for (auto slash = path.find('/'); slash != path.npos; slash = path.find('/')) {
        std::string_view part = path.substr(0, slash + 1);
        bool fine = has(part, "{mm}") || has(part, "{ss}") || has(part, "{yyyyMMddHHmmss}") ||
                    (span > std::chrono::hours(1) && has(part, "{HH}")) || (!routes_known && has(part, "{route}"));
        if (fine) break;
        folders += part;
        path.remove_prefix(slash + 1);
    }
    return folders;
}

/// As far as it is the same for all times.
std::string timeless(std::string_view folders) {
    auto first = folders.size();
    for (auto part : time_parts) first = std::min(first, folders.find(part));
    auto slash = folders.substr(0, first).rfind('/');
    return slash == folders.npos ? std::string() : std::string(folders.substr(0, slash + 1));
}

}  // namespace

Status check_archive_path(std::string_view path) {
    constexpr auto known = "{route} {pipeline} {yyyy} {MM} {dd} {HH} {mm} {ss} {yyyyMMdd} {yyyyMMddHHmmss}";
    for (auto open = path.find_first_of("{}"); open != path.npos; open = path.find_first_of("{}", open)) {
        auto close = path.find('}', open);
        auto name = path.substr(open, close == path.npos ? close : close - open + 1);
        if (name != "{route}" && name != "{pipeline}" && std::ranges::find(time_parts, name) == time_parts.end())
            return bad_path(path, fmt::format("has an unknown placeholder {}", name),
                            fmt::format("known are {}", known));
        open += name.size();
    }
    bool whole = has(path, "{yyyyMMddHHmmss}") || has(path, "{yyyyMMdd}");
    if (!whole && !(has(path, "{yyyy}") && has(path, "{MM}") && has(path, "{dd}")))
        return bad_path(path, "does not name the day",
                        "put {yyyy}/{MM}/{dd}/ into it, so that a replay finds objects by time");
    if (!has(path, "{route}"))
        return bad_path(path, "does not name the route", "put {route} into it: each route has objects of its own");
    if (path.ends_with('/')) return bad_path(path, "names a folder", "name objects: …/{route}_{yyyyMMddHHmmss}.json");
    if (path.find_first_of("*?[]\\#@") != path.npos)
        return bad_path(path, "has a character that is not for names", "leave out * ? [ ] \\ # and @");
    for (std::string_view rest = path; !rest.empty();) {
        auto slash = rest.find('/');
        auto part = rest.substr(0, slash);
        if (part.empty() || part.front() == '.' || part.front() == '_')
            return bad_path(path, "has a part that is empty or begins with _ or .",
                            "such names are for bookkeeping: choose another");
        rest = slash == rest.npos ? std::string_view{} : rest.substr(slash + 1);
    }
    return {};
}

std::chrono::hours object_span(std::string_view path) {
    return std::chrono::hours(has(path, "{HH}") || has(path, "{yyyyMMddHHmmss}") ? 1 : 24);
}

TimePoint span_start(TimePoint time, std::chrono::hours span) {
    auto since = time.time_since_epoch();
    auto rest = since % std::chrono::microseconds(span);
    if (rest.count() < 0) rest += span;
    return TimePoint(since - rest);
}

std::string encode_part(std::string_view text) {
    std::string out;
    for (char letter : text) {
        auto c = static_cast<unsigned char>(letter);
        bool plain = std::isalnum(c) || c == '-' || c >= 0x80 || ((c == '_' || c == '.') && !out.empty());
        if (plain) out += letter;
        else out += fmt::format("%{:02X}", c);
    }
    return out.empty() ? "%" : out;
}

std::string object_name(const ArchiveOptions& options, std::string_view pipeline, std::string_view route,
                        TimePoint first_time, std::string_view mark) {
    std::string name = expand(options.path, pipeline, route, first_time);
    std::string_view ending(options.path);
    auto slash = ending.rfind('/');
    if (slash != ending.npos) ending.remove_prefix(slash + 1);
    auto dot = ending.rfind('.');
    // The extension is the template's own, whatever dots a route has.
    size_t after = dot == ending.npos || ending.find('}', dot) != ending.npos ? 0 : ending.size() - dot;
    name.insert(name.size() - after, mark);
    name += extension(options.compression);
    return name;
}

std::vector<std::string> folders_of(const ArchiveOptions& options, std::string_view pipeline,
                                    const std::vector<std::string>& routes, TimePoint from, TimePoint to) {
    bool routes_known = !routes.empty();
    auto span = object_span(options.path);
    auto steps = [&] { return (to - from) / std::chrono::microseconds(span); };
    if (span == std::chrono::hours(1) && steps() > most_hours) span = std::chrono::hours(24);
    auto folders = coarse(options.path, span, routes_known);
    bool one_by_one = steps() <= (span == std::chrono::hours(1) ? most_hours : most_days);
    if (!one_by_one) folders = timeless(folders);
    std::set<std::string> found;
    for (const auto& route : routes_known ? routes : std::vector<std::string>{""}) {
        if (!one_by_one) found.insert(expand(folders, pipeline, route, from));
        else
            for (auto at = span_start(from, span); at < to; at += span)
                found.insert(expand(folders, pipeline, route, at));
    }
    return {found.begin(), found.end()};
}

}  // namespace penstock::archive
