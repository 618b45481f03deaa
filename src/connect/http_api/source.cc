#include "connect/http_api/source.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "connect/http_api/pager.h"
#include "connect/http_api/scan.h"
#include "io/url.h"

namespace penstock::http_api {
namespace {

/// Of a pipeline's budget one answer may hold this part: its text, twice while it comes, and the places of its values.
constexpr uint64_t share_of_answer = 8;
constexpr uint64_t least_answer = uint64_t{1} << 20;

Error usage(std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::usage, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

}  // namespace

Status Source::check(const SourceOptions& options) {
    PN_TRY(auto table, table_of(options));
    PN_TRY(auto cursor, Cursor::make(options, table));
    (void)cursor;
    return {};
}

Status Source::check_bounds() const {
    bool window = !settings_.bounds.from.empty() || !settings_.bounds.to.empty();
    if (!window || !settings_.source.cursor.empty()) return {};
    return fail(usage("no_cursor", "--from and --to need a cursor, and the source has none",
                      "add cursor: and cursor_param: to the source, or leave them out"));
}

Result<std::vector<flow::TableInfo>> Source::discover(std::stop_token stop) {
    PN_CHECK(check_bounds());
    PN_FAILPOINT(source_connect_before);
    PN_TRY(table_, table_of(settings_.source));
    PN_TRY(cursor_, Cursor::make(settings_.source, *table_));
    auto most = std::max(settings_.memory_bytes / share_of_answer, least_answer);
    PN_TRY(client_, Client::make(settings_.connection, most, std::move(stop)));
    auto info = table_->info;
    info.cursor = settings_.source.cursor.value;
    return std::vector<flow::TableInfo>{std::move(info)};
}

Status Source::open(std::vector<flow::TableRead> tables) {
    wanted_ = std::move(tables);
    opened_ = now();
    PN_FAILPOINT(source_snapshot_after);
    return {};
}

Result<std::optional<flow::Segment>> Source::next() {
    if (wanted_.empty()) return std::optional<flow::Segment>();
    auto wanted = std::move(wanted_.back());
    wanted_.pop_back();
    PN_TRY(auto segment, segment_of(wanted));
    return std::optional<flow::Segment>(std::move(segment));
}

/// Another request makes another sequence of records: positions of the one say nothing about the other. Digested, for a parameter
/// that should have been in `auth` is not to be found in a target.
std::string Source::sequence() const {
    const auto& source = settings_.source;
    return sha256_hex(fmt::format("{} | {} | {}", url(""), source.cursor.value, source.cursor_param.value))
        .substr(0, 16);
}

std::string Source::url(const std::string& since) const {
    const auto& source = settings_.source;
    std::string out = settings_.connection.url.value;
    while (out.ends_with('/')) out.pop_back();
    if (!source.path.value.starts_with('/') && !source.path.empty()) out += '/';
    for (char c : source.path.value) out += c == ' ' ? std::string("%20") : std::string(1, c);
    for (const auto& [name, value] : source.params) out = with_param(std::move(out), name, value);
    return since.empty() ? out : with_param(std::move(out), source.cursor_param.value, since);
}

Result<std::string> Source::cursor_of(const flow::TableRead& wanted) const {
    if (!wanted.from || wanted.whole || !cursor_.any() || wanted.from->position.empty()) return std::string();
    PN_TRY(auto position, Position::from_json(wanted.from->position));
    if (position.of == sequence()) return position.cursor;
    log::warning("{}: url, path, params or cursor have changed since the last run; everything is read again",
                 table_->info.name);
    return std::string();
}

Result<std::optional<data::Int128>> Source::bound(const std::string& text) const {
    if (text.empty()) return std::optional<data::Int128>();
    auto raw = cursor_.raw(text);
    if (raw) return raw;
    return fail(usage("bad_bound",
                      fmt::format("'{}' is no value of {}, the cursor", text, settings_.source.cursor.value),
                      "write it as the cursor's values are written"));
}

Result<flow::Segment> Source::segment_of(const flow::TableRead& wanted) {
    const auto& bounds = settings_.bounds;
    PN_TRY(auto last, cursor_of(wanted));
    RecordPlan plan{.table = *table_, .cursor = cursor_, .context = wanted.context, .key = settings_.key};
    plan.limit = bounds.limit;
    PN_TRY(plan.least, bound(bounds.from));
    PN_TRY(plan.most, bound(bounds.to));
    auto before = last.empty() ? std::nullopt : cursor_.raw(last);
    std::string since = settings_.source.cursor_start.value;
    if (before) since = cursor_.parameter(cursor_.from(*before));
    if (plan.least) since = cursor_.parameter(*plan.least);
    // What a format leaves out of a time was not asked for.
    bool exact = settings_.source.cursor_format == CursorFormat::iso && !plan.least;
    if (before && exact) plan.asked = cursor_.from(*before);
    auto finish = [this, last, before, from = wanted.from](const std::optional<data::Int128>& largest) {
        // A run that was narrowed by hand leaves the checkpoint where it was.
        if (settings_.bounds.any()) return from.value_or(flow::Checkpoint{});
        flow::Checkpoint out;
        out.read_at = opened_;
        if (!cursor_.any()) return out;
        Position reached{.cursor = last, .of = sequence()};
        if (largest && (!before || *largest > *before)) reached.cursor = cursor_.text(*largest);
        out.cursor_from = last;
        out.cursor_to = reached.cursor;
        out.position = reached.to_json();
        return out;
    };
    auto feed = std::make_unique<Feed>(*client_, settings_.source, url(since));
    flow::Segment segment;
    segment.parts.push_back(
        {wanted.table, std::make_unique<RecordScan>(std::move(plan), std::move(feed), std::move(finish))});
    return segment;
}

Result<std::vector<flow::Finding>> Source::examine(std::stop_token stop) {
    using Severity = flow::Finding::Severity;
    settings_.connection.retry_for =
        std::min<std::chrono::microseconds>(settings_.connection.retry_for, std::chrono::seconds(15));
    std::string what = "reads " + settings_.source.path.value;
    auto problem = [&](const Error& error) {
        return std::vector<flow::Finding>{
            {.severity = Severity::problem, .what = what, .detail = error.message, .fix = error.hint}};
    };
    auto found = discover(std::move(stop));
    if (!found) return problem(found.error());
    Feed feed(*client_, settings_.source, url(settings_.source.cursor_start.value));
    auto page = feed.next();
    if (!page) return problem(page.error());
    auto records = *page == nullptr ? 0 : (*page)->records;
    std::string end = feed.ended() ? "and no other follows" : "and another follows";
    return std::vector<flow::Finding>{
        {.what = what, .detail = fmt::format("the first page has {} records, {}", records, end), .fix = ""}};
}

}  // namespace penstock::http_api
