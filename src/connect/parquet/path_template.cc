#include "connect/parquet/path_template.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <vector>

namespace penstock::parquet {
namespace {

constexpr std::array<std::string_view, 8> time_parts = {"{yyyy}", "{MM}", "{dd}",       "{HH}",
                                                        "{mm}",   "{ss}", "{yyyyMMdd}", "{yyyyMMddHHmmss}"};

std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        auto slash = path.find('/');
        if (slash != 0) parts.push_back(path.substr(0, slash));
        path = slash == path.npos ? std::string_view{} : path.substr(slash + 1);
    }
    return parts;
}

std::unexpected<Error> bad_path(std::string_view pattern, std::string why, std::string hint) {
    return fail({.kind = ErrorKind::configuration,
                 .code = "bad_path",
                 .message = fmt::format("path \"{}\" {}", pattern, why),
                 .hint = std::move(hint)});
}

Status check_placeholders(std::string_view pattern) {
    for (auto open = pattern.find_first_of("{}"); open != pattern.npos; open = pattern.find_first_of("{}", open)) {
        auto close = pattern.find('}', open);
        std::string_view name = pattern.substr(open, close == pattern.npos ? close : close - open + 1);
        bool known = name == "{table}" || name == "{schema}" ||
                     std::find(time_parts.begin(), time_parts.end(), name) != time_parts.end();
        if (!known)
            return bad_path(pattern, fmt::format("has an unknown placeholder {}", name),
                            "known are {table} {schema} {yyyy} {MM} {dd} {HH} {mm} {ss} {yyyyMMdd} {yyyyMMddHHmmss}");
        open += name.size();
    }
    return {};
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
}

}  // namespace

std::string encode_name(std::string_view name) {
    std::string out;
    for (size_t i = 0; i < name.size(); ++i) {
        auto c = static_cast<unsigned char>(name[i]);
        bool plain = std::isalnum(c) || c == '-' || c == ' ' || c >= 0x80 || ((c == '_' || c == '.') && i != 0);
        if (plain) out += name[i];
        else out += fmt::format("%{:02X}", c);
    }
    return out;
}

Status check_template(std::string_view pattern) {
    auto parts = split(pattern);
    if (parts.empty())
        return bad_path(pattern, "names no folder", "give each table a folder of its own, for example \"{table}/\"");
    if (pattern.front() == '/')
        return bad_path(pattern, "begins with a slash",
                        "paths start at the connection's `url:`: leave out the first slash");
    if (pattern.find_first_of("*?[]\\") != pattern.npos)
        return bad_path(pattern, "has a character that readers take for a pattern", "leave out * ? [ ] and \\");
    for (auto part : parts) {
        if (part == ".." || part == ".")
            return bad_path(pattern, "leaves its folder",
                            "`.` and `..` are not allowed; name folders below the connection's `url:`");
        if (part.front() == '_' || part.front() == '.')
            return bad_path(pattern, fmt::format("has a part \"{}\" that readers skip", part),
                            "folders that begin with _ or . are hidden from Parquet readers: choose another name");
        if (part.size() > 200) return bad_path(pattern, "has a part longer than 200 bytes", "shorten it");
    }
    return check_placeholders(pattern);
}

std::string with_table(std::string_view pattern, std::string_view source_table) {
    auto dot = source_table.find('.');
    std::string schema(dot == source_table.npos ? std::string_view{} : source_table.substr(0, dot));
    std::string table(dot == source_table.npos ? source_table : source_table.substr(dot + 1));
    std::string out(pattern);
    replace_all(out, "{schema}", encode_name(schema.empty() ? "query" : schema));
    replace_all(out, "{table}", encode_name(table));
    while (!out.empty() && out.back() == '/') out.pop_back();
    return out;
}

bool has_time(std::string_view pattern) {
    for (auto part : time_parts)
        if (pattern.find(part) != pattern.npos) return true;
    return false;
}

std::string fixed_part(std::string_view pattern) {
    std::string fixed;
    for (auto part : split(pattern)) {
        if (has_time(part)) break;
        if (!fixed.empty()) fixed += '/';
        fixed += part;
    }
    return fixed;
}

TimePoint start_of_run(std::string_view run_id, TimePoint otherwise) {
    // 20261121t063333_…, as base/ids.h makes them.
    std::array<int, 6> parts{};
    constexpr std::array<std::pair<size_t, size_t>, 6> places = {{{0, 4}, {4, 2}, {6, 2}, {9, 2}, {11, 2}, {13, 2}}};
    if (run_id.size() < 15 || run_id[8] != 't') return otherwise;
    for (size_t i = 0; i < parts.size(); ++i) {
        const char* from = run_id.data() + places[i].first;
        auto end = std::from_chars(from, from + places[i].second, parts[i]);
        if (end.ec != std::errc{} || end.ptr != from + places[i].second) return otherwise;
    }
    using namespace std::chrono;
    year_month_day day{year(parts[0]), month(static_cast<unsigned>(parts[1])),
                       std::chrono::day(static_cast<unsigned>(parts[2]))};
    if (!day.ok()) return otherwise;
    return sys_days(day) + hours(parts[3]) + minutes(parts[4]) + seconds(parts[5]);
}

}  // namespace penstock::parquet
