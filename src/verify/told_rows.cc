// What is said of rows that differ: their values on both sides, and by which condition they are found again.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "verify/comparison.h"

namespace penstock::verify {

std::span<Difference> Comparison::told() {
    auto many = std::min(out_.differences.size(), static_cast<size_t>(request_.most_told));
    return std::span(out_.differences).first(many);
}

Status Comparison::tell_values(const Side& side, std::map<std::string, std::vector<std::optional<std::string>>>& into) {
    std::set<int64_t> buckets;
    std::vector<std::string> keys, texts;
    for (const auto& one : told()) {
        buckets.insert(one.bucket);
        keys.push_back(side.sql.literal(one.framed));
    }
    for (const auto* column : side.columns) texts.push_back(column->text);
    PN_TRY(auto rows, side.ask(fmt::format(
                          "SELECT {}, {} {}", side.framed_key, fmt::join(texts, ", "),
                          side.from(fmt::format("{} IN ({}) AND {} IN ({})", side.bucket, fmt::join(buckets, ", "),
                                                side.framed_key, fmt::join(keys, ", "))))));
    for (auto& row : rows) {
        std::string key = row[0].value_or("");
        row.erase(row.begin());
        into[key] = std::move(row);
    }
    return {};
}

Status Comparison::tell_values() {
    if (out_.differences.empty()) return {};
    std::map<std::string, std::vector<std::optional<std::string>>> here, there;
    PN_CHECK(tell_values(source_, here));
    PN_CHECK(tell_values(target_, there));
    for (auto& one : told()) {
        auto source = here.find(one.framed), target = there.find(one.framed);
        const auto& any = source != here.end() ? source : target;
        if (source == here.end() && target == there.end()) continue;  // it has gone since
        for (size_t i = 0; i < target_.columns.size(); ++i) {
            const auto& column = *target_.columns[i];
            auto said = [&](const auto& value) { return value ? std::optional(shown(*value, column.type)) : value; };
            bool of_key = source_.key.empty() || std::ranges::find(target_.key, &column) != target_.key.end();
            if (of_key) one.key.emplace_back(source_.columns[i]->name, said(any->second[i]));
            bool differs = source != here.end() && target != there.end() && source->second[i] != target->second[i];
            if (one.kind == DifferenceKind::changed && differs)
                one.columns.push_back({.column = source_.columns[i]->name,
                                       .source = said(source->second[i]),
                                       .target = said(target->second[i])});
        }
    }
    return {};
}

std::string Comparison::extra_rows(const std::vector<Difference>& rows) const {
    std::string keys, hashes;
    for (const auto& one : rows) {
        if (one.kind != DifferenceKind::extra) continue;
        keys += (keys.empty() ? "" : ", ") + target_.sql.literal(one.framed);
        for (int64_t hash : one.target) hashes += fmt::format("{}{}", hashes.empty() ? "" : ", ", hash);
    }
    if (keys.empty()) return "";
    return target_.where(fmt::format("{} IN ({}) AND {} IN ({})", target_.framed_key, keys, target_.hash, hashes));
}

}  // namespace penstock::verify
