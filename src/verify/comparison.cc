#include "verify/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>

namespace penstock::verify {
namespace {

/// A partition is looked into as a whole: small ones cost little then, and their sums are few enough for one answer.
constexpr int64_t rows_a_partition = 1000;
constexpr int64_t most_partitions = 16384;
/// Of a sample, whose partitions are what is chosen.
constexpr int64_t least_sampled = 4096;
/// Keys and hashes in memory at once, a side.
constexpr int64_t rows_a_look = 100'000;
/// Keys and hashes that are looked at when there are more differences than are shown; then they are not counted any more.
constexpr int64_t most_rows_looked_at = 2'000'000;

int64_t number(const std::optional<std::string>& text) {
    int64_t value = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), value);
    return value;
}

bool divides_by_value(const std::vector<const flow::ComparedColumn*>& key) {
    using data::Kind;
    if (key.size() != 1) return false;
    auto kind = key.front()->type.kind;
    return kind == Kind::int16 || kind == Kind::int32 || kind == Kind::int64;
}

}  // namespace

std::string_view to_string(DifferenceKind kind) {
    switch (kind) {
        case DifferenceKind::missing: return "missing";
        case DifferenceKind::extra: return "extra";
        case DifferenceKind::changed: return "changed";
    }
    std::unreachable();
}

int64_t Outcome::total() const {
    int64_t all = 0;
    for (const auto& [kind, count] : counts) all += count;
    return all;
}

std::string Comparison::Side::where(const std::string& condition) const {
    if (table.where.empty() || condition.empty()) return table.where + condition;
    return fmt::format("({}) AND ({})", table.where, condition);
}

std::string Comparison::Side::from(const std::string& condition) const {
    std::string rows = where(condition);
    return fmt::format("FROM {}{}{}", table.from, rows.empty() ? "" : " WHERE ", rows);
}

Result<flow::TextRows> Comparison::Side::ask(const std::string& question) const {
    auto began = std::chrono::steady_clock::now();
    PN_TRY(auto rows, table.ask(question));
    ++effort.queries;
    effort.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    for (const auto& row : rows)
        for (const auto& value : row) effort.answer_bytes += value ? static_cast<int64_t>(value->size()) : 0;
    return rows;
}

Comparison::Comparison(const flow::ComparedTable& source, const flow::ComparedTable& target, Request request)
    : request_(std::move(request)),
      source_{.table = source, .sql = dialect_named(source.dialect), .effort = out_.source, .is_source = true},
      target_{.table = target, .sql = dialect_named(target.dialect), .effort = out_.target, .is_source = false} {
    for (size_t i = 0; i < source.columns.size(); ++i) {
        if (!source.columns[i].not_compared.empty() || !target.columns[i].not_compared.empty()) continue;
        source_.columns.push_back(&source.columns[i]);
        target_.columns.push_back(&target.columns[i]);
        out_.columns.push_back(source.columns[i].name);
    }
    for (const auto& name : request_.key)
        for (size_t i = 0; i < source_.columns.size(); ++i)
            if (source_.columns[i]->name == name) {
                source_.key.push_back(source_.columns[i]);
                target_.key.push_back(target_.columns[i]);
            }
    prepare(source_);
    prepare(target_);
}

/// What the frame of a value is depends on the target's type.
void Comparison::prepare(Side& side) const {
    bool utf8 = side.table.utf8;
    side.hash = side.sql.hash(side.sql.framed(side.columns, utf8), utf8);
    side.framed_key = side.key.empty() ? side.sql.text(side.hash) : side.sql.framed(side.key, utf8);
}

void Comparison::divide(Side& side) const {
    if (side.key.empty()) side.bucket = side.sql.remainder(side.hash, partitions_);
    else if (divides_by_value(target_.key) && sampled_.empty())
        // PostgreSQL has no remainder of an oid.
        side.bucket = fmt::format(
            "coalesce({}, 0)",
            side.sql.remainder(fmt::format("CAST({} AS BIGINT)", side.sql.identifier(side.key.front()->name)),
                               partitions_));
    else side.bucket = side.sql.remainder(side.sql.hash(side.framed_key, side.table.utf8), partitions_);
}

Status Comparison::count() {
    PN_TRY(auto rows, target_.ask(fmt::format("SELECT {} {}", target_.sql.text("count(*)"), target_.from(""))));
    int64_t known = number(rows[0][0]);
    partitions_ = std::clamp<int64_t>(known / rows_a_partition, 1, most_partitions);
    if (request_.fraction < 1) {
        partitions_ = std::max(partitions_, least_sampled);
        auto chosen = static_cast<int64_t>(std::ceil(request_.fraction * static_cast<double>(partitions_)));
        sampled_ = fmt::format("pn_bucket < {}", std::clamp<int64_t>(chosen, 1, partitions_));
    }
    if (const auto& part = request_.part; !part.all()) {
        partitions_ = (partitions_ + part.of - 1) / part.of * part.of;  // so that a part is made of whole ones
        if (!sampled_.empty()) sampled_ += " AND ";
        sampled_ += fmt::format("{} = {}", target_.sql.remainder("pn_bucket", part.of), part.number - 1);
    }
    divide(source_);
    divide(target_);
    return {};
}

Result<std::map<int64_t, std::pair<int64_t, std::string>>> Comparison::sums(const Side& side) const {
    const auto& sql = side.sql;
    std::string read = side.table.newer.empty() ? "" : fmt::format("({}) IS NOT TRUE", side.table.newer);
    std::string inner =
        fmt::format("SELECT {} AS pn_bucket, {} AS pn_hash {}", side.bucket, side.hash, side.from(read));
    ++side.effort.scans;
    PN_TRY(auto rows, side.ask(fmt::format("SELECT {}, {}, {} FROM ({}) AS pn_rows{}{} GROUP BY pn_bucket",
                                           sql.text("pn_bucket"), sql.text("count(*)"), sql.sum("pn_hash"), inner,
                                           sampled_.empty() ? "" : " WHERE ", sampled_)));
    std::map<int64_t, std::pair<int64_t, std::string>> sums;
    for (auto& row : rows) {
        int64_t count = number(row[1]);
        side.effort.rows += count;
        sums[number(row[0])] = {count, row[2].value_or("")};
    }
    return sums;
}

Result<std::vector<int64_t>> Comparison::differing_buckets() {
    PN_TRY(auto there, sums(target_));
    PN_TRY(auto here, sums(source_));
    std::set<int64_t> all;
    for (const auto& [bucket, sum] : here) all.insert(bucket);
    for (const auto& [bucket, sum] : there) all.insert(bucket);
    out_.partitions = static_cast<int64_t>(all.size());
    std::vector<int64_t> differing;
    for (int64_t bucket : all) {
        if (here[bucket] == there[bucket]) continue;
        differing.push_back(bucket);
        rows_in_[bucket] = std::max(here[bucket].first, there[bucket].first);
    }
    out_.differing_partitions = static_cast<int64_t>(differing.size());
    return differing;
}

Status Comparison::read_rows(const Side& side, const std::vector<int64_t>& buckets, const std::set<std::string>& keys,
                             Rows& into, std::map<std::string, int64_t>& bucket_of) const {
    const auto& sql = side.sql;
    std::string newer =
        side.table.newer.empty() ? "0" : fmt::format("CASE WHEN {} THEN 1 ELSE 0 END", side.table.newer);
    std::vector<std::string> literals;
    for (const auto& key : keys) literals.push_back(sql.literal(key));
    std::string condition = keys.empty() ? fmt::format("{} IN ({})", side.bucket, fmt::join(buckets, ", "))
                                         : fmt::format("{} IN ({})", side.framed_key, fmt::join(literals, ", "));
    ++side.effort.scans;
    PN_TRY(auto rows, side.ask(fmt::format("SELECT {}, {}, {}, {} {}", sql.text(side.bucket), side.framed_key,
                                           sql.text(side.hash), sql.text(newer), side.from(condition))));
    for (auto& row : rows) {
        std::string key = row[1].value_or("");
        bucket_of[key] = number(row[0]);
        auto& seen = side.is_source ? into[key].first : into[key].second;
        seen.hashes.insert(number(row[2]));
        seen.newer = seen.newer || number(row[3]) != 0;
    }
    return {};
}

void Comparison::judge(const std::string& key, int64_t bucket, const Seen& source, const Seen& target) {
    if (source.hashes == target.hashes) return;
    if (source.newer) return;
    bool contained = std::ranges::includes(target.hashes, source.hashes);
    if (request_.earlier_versions && contained) {
        out_.earlier += static_cast<int64_t>(target.hashes.size() - source.hashes.size());
        return;
    }
    DifferenceKind kind = source.hashes.empty()   ? DifferenceKind::extra
                          : target.hashes.empty() ? DifferenceKind::missing
                                                  : DifferenceKind::changed;
    if (source_.key.empty())
        kind = source.hashes.size() > target.hashes.size() ? DifferenceKind::missing : DifferenceKind::extra;
    if (kind != DifferenceKind::extra && request_.set_aside.contains(key)) {
        ++out_.set_aside;
        return;
    }
    size_t rows = std::max(source.hashes.size(), target.hashes.size()) -
                  (kind == DifferenceKind::changed ? 0 : std::min(source.hashes.size(), target.hashes.size()));
    if (kind == DifferenceKind::changed) rows = 1;
    out_.counts[kind] += static_cast<int64_t>(rows);
    if (static_cast<int64_t>(out_.differences.size()) >= request_.most_kept) return;
    out_.differences.push_back({.kind = kind,
                                .framed = key,
                                .bucket = bucket,
                                .source = {source.hashes.begin(), source.hashes.end()},
                                .target = {target.hashes.begin(), target.hashes.end()}});
}

Status Comparison::look_into(const std::vector<int64_t>& buckets, const std::set<std::string>& keys) {
    Rows rows;
    std::map<std::string, int64_t> bucket_of;
    PN_CHECK(read_rows(target_, buckets, keys, rows, bucket_of));
    PN_CHECK(read_rows(source_, buckets, keys, rows, bucket_of));
    for (const auto& [key, pair] : rows) judge(key, bucket_of[key], pair.first, pair.second);
    return {};
}

Status Comparison::count_newer() {
    if (source_.table.newer.empty()) return {};
    PN_TRY(auto rows,
           source_.ask(fmt::format("SELECT {} {}", source_.sql.text("count(*)"), source_.from(source_.table.newer))));
    out_.newer = number(rows[0][0]);
    return {};
}

Result<Outcome> Comparison::run() {
    PN_CHECK(count());
    PN_CHECK(count_newer());
    PN_TRY(auto differing, differing_buckets());
    std::vector<int64_t> some;
    int64_t rows = 0, looked_at = 0;
    for (size_t i = 0; i < differing.size(); ++i) {
        some.push_back(differing[i]);
        rows += rows_in_[differing[i]];
        if (i + 1 < differing.size() && rows < rows_a_look) continue;
        PN_CHECK(look_into(some, {}));
        looked_at += rows;
        some.clear();
        rows = 0;
        bool enough = out_.total() >= request_.most_kept && looked_at >= most_rows_looked_at;
        if (!enough || i + 1 == differing.size()) continue;
        out_.counted_all = false;
        break;
    }
    PN_CHECK(tell_values());
    return out_;
}

Result<Outcome> Comparison::again(const std::vector<Difference>& differences) {
    PN_CHECK(count());
    std::set<std::string> keys;
    for (const auto& one : differences) keys.insert(one.framed);
    if (!keys.empty()) PN_CHECK(look_into({}, keys));
    PN_CHECK(tell_values());
    return out_;
}

}  // namespace penstock::verify
