#include "connect/postgres/table_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/postgres/replay.h"
#include "connect/postgres/table_scan.h"
#include "connect/postgres/text_form.h"

namespace penstock::postgres {
namespace {

std::string raw_text(CursorKind kind, int64_t raw) {
    switch (kind) {
        case CursorKind::date: return date_text(static_cast<int32_t>(raw));
        case CursorKind::timestamp: return timestamp_text(raw, false);
        case CursorKind::timestamptz: return timestamp_text(raw, true);
        default: return std::to_string(raw);
    }
}

}  // namespace

IncrementRequest increment_request(const TableRead& read) {
    bool heap = !read.leaves.empty() && !read.inherits &&
                std::ranges::all_of(read.leaves, [](const Leaf& leaf) { return leaf.heap; });
    return {.column = quote_identifier(read.info.cursor),
            .type = read.cursor_type,
            .kind = read.cursor_kind,
            .nullable = read.cursor_nullable,
            .heap = heap,
            .lag = read.cursor_lag};
}

std::string sequence_of(const TableRead& read) {
    return fmt::format("{} {} | {} | {}", read.info.cursor, read.cursor_type, read.where, read.query);
}

Result<std::vector<flow::TableInfo>> TableSource::discover(std::stop_token stop) {
    stop_ = stop;
    PN_FAILPOINT(source_connect_before);
    PN_TRY(catalog_, Session::connect(options_.connection, options_.purpose, stop));
    PN_TRY(reads_, plan_reads(*catalog_, options_.source, options_.policies, options_.holds));
    PN_CHECK(check_bounds());
    const auto& replay = options_.replay;
    if (!replay.empty())
        std::erase_if(reads_, [&](const TableRead& read) {
            return std::ranges::none_of(replay,
                                        [&](const auto& record) { return record.reject.table == read.info.name; });
        });
    std::vector<flow::TableInfo> tables;
    for (auto& read : reads_) {
        auto expected = estimate(read, "", *catalog_);
        if (!expected) {
            expected.error().where += ", table " + read.info.name;
            return fail(std::move(expected.error()));
        }
        read.info.estimated_rows = expected->rows;
        read.info.estimated_bytes = expected->bytes;
        tables.push_back(read.info);
    }
    return tables;
}

Status TableSource::check_bounds() const {
    bool window = !options_.bounds.from.empty() || !options_.bounds.to.empty();
    if (!window || !options_.source.cursor.empty()) return {};
    return fail({.kind = ErrorKind::usage,
                 .code = "no_cursor",
                 .message = "--from and --to need a cursor, and the source has none",
                 .where = options_.source.connection.place.text(),
                 .hint = "add cursor: to the source, or leave them out"});
}

Status TableSource::open(std::vector<flow::TableRead> tables) {
    wanted_ = std::move(tables);
    next_ = 0;
    PN_TRY(around_, read_surroundings(*catalog_));
    std::vector<std::string> lockable;
    for (const auto& read : reads_)
        if (read.lockable)
            lockable.push_back(fmt::format("{}.{}", quote_identifier(read.schema), quote_identifier(read.relation)));
    PN_TRY(snapshot_, Snapshot::take(options_.connection, options_.purpose, lockable, stop_));
    // The tables can no longer change their shape; they must still have the one that the readers were chosen for.
    PN_TRY(auto reads, plan_reads(*catalog_, options_.source, options_.policies, options_.holds));
    for (const auto& read : reads_) {
        auto same = [&](const TableRead& other) {
            auto same_column = [](const data::Field& a, const data::Field& b) {
                return a == b && a.source_id == b.source_id;
            };
            return other.info.name == read.info.name && other.identity == read.identity &&
                   other.leaves.size() == read.leaves.size() &&
                   std::ranges::equal(other.info.schema.fields, read.info.schema.fields, same_column);
        };
        if (std::ranges::any_of(reads, same)) continue;
        return fail({.kind = ErrorKind::unavailable,
                     .code = "table_changed",
                     .message = fmt::format("table {} was altered while the run began", read.info.name),
                     .where = "table " + read.info.name,
                     .hint = "nothing was read; a retry sees the new shape"});
    }
    return {};
}

Result<std::string> TableSource::condition(const TableRead& read, const std::optional<Increment>& last) const {
    if (read.cursor < 0) return "";
    std::string column = quote_identifier(read.info.cursor);
    const auto& bounds = options_.bounds;
    if (!bounds.from.empty() || !bounds.to.empty()) {
        std::string window;
        if (!bounds.from.empty())
            window = fmt::format("{} >= {}::{}", column, quote_literal(bounds.from), read.cursor_type);
        if (!bounds.to.empty())
            window += fmt::format("{}{} <= {}::{}", window.empty() ? "" : " AND ", column, quote_literal(bounds.to),
                                  read.cursor_type);
        return window;
    }
    if (!last) return "";
    return increment_condition(increment_request(read), *last, around_);
}

/// Rows without key may be equal, and whoever appends tells those that came before only by their number: then an increment that
/// brings a row from among those read before (it cannot see which were) brings all from that cursor's value on.
Result<std::string> TableSource::with_equal_rows(const TableRead& read, const Increment& last,
                                                 const std::string& condition) {
    if (!read.info.key.empty() || condition.empty() || options_.bounds.any()) return condition;
    if (!leaves_out_older(increment_request(read), last, around_)) return condition;
    std::string column = quote_identifier(read.info.cursor);
    auto literal = [&](const std::string& text) {
        return fmt::format("{}::{}", quote_literal(text), read.cursor_type);
    };
    std::string older = fmt::format("({0} IS NULL OR {0} <= {1})", column, literal(last.cursor));
    PN_TRY(auto rows, snapshot_->holder().query(
                          fmt::format("SELECT min({0})::text, coalesce(bool_or({0} IS NULL), false) FROM {1}{2}",
                                      column, read.from(nullptr), read.where_clause({condition, older}))));
    std::string out = fmt::format("({})", condition);
    if (!rows.is_null(0, 0)) out += fmt::format(" OR {} >= {}", column, literal(rows.text(0, 0)));
    if (rows.truth(0, 1)) out += fmt::format(" OR {} IS NULL", column);
    return out;
}

/// Rows that the target has need values of a new column; bounds given by hand would leave some without, for good.
Status TableSource::check_whole(const TableRead& read) const {
    if (!options_.bounds.any() && options_.replay.empty()) return {};
    return fail({.kind = ErrorKind::usage,
                 .code = "older_rows_need_all",
                 .message = fmt::format("{} has a new column whose values in rows already loaded only a whole read can "
                                        "tell, and this run would read a part",
                                        read.info.name),
                 .where = "table " + read.info.name,
                 .hint = "run once without --from, --to and --limit; replay rejects after that"});
}

/// The catalog says NULL of rows older than a column without DEFAULT. It cannot know of a DEFAULT that was dropped after a rewrite
/// of the table (VACUUM FULL, CLUSTER, another ALTER TABLE) had written its values into the rows: where both may have been, the
/// rows themselves are asked.
Status TableSource::check_older_rows(const TableRead& read, const Increment& last, const std::string& condition) {
    bool rewritten = std::ranges::any_of(read.leaves, [&](const Leaf& leaf) {
        auto before = last.files.find(leaf.oid);
        return before != last.files.end() && before->second != leaf.file;
    });
    if (!rewritten || last.relation != read.identity || condition.empty()) return {};
    for (const auto& column : read.columns) {
        const auto& field = column.field;
        bool fresh = std::ranges::find(last.columns, field.source_id) == last.columns.end();
        if (!fresh || field.initial || field.initial_unknown) continue;
        PN_TRY(auto rows,
               snapshot_->holder().query(fmt::format("SELECT EXISTS (SELECT FROM {}{})", read.from(nullptr),
                                                     read.where_clause({quote_identifier(field.name) + " IS NOT NULL",
                                                                        fmt::format("({}) IS NOT TRUE", condition)}))));
        if (!rows.truth(0, 0)) continue;
        return fail({.kind = ErrorKind::schema,
                     .code = "older_rows_unseen",
                     .message = fmt::format("column {} of {} is new, and rows loaded before hold values in it that "
                                            "this increment would not read: the table "
                                            "was rewritten, and a DEFAULT of the column dropped",
                                            field.name, read.info.name),
                     .where = "table " + read.info.name,
                     .hint = "run once with --full-refresh"});
    }
    return {};
}

Result<std::vector<Range>> TableSource::ranges_of(const TableRead& read, const std::string& condition) {
    if (!options_.replay.empty()) return replay_ranges(read, options_.replay);
    return divide({.read = read, .condition = condition, .parallel = options_.parallel, .limit = options_.bounds.limit},
                  snapshot_->holder());
}

Result<std::optional<flow::Segment>> TableSource::next() {
    if (next_ == wanted_.size()) return std::nullopt;
    auto& wanted = wanted_[next_++];
    const TableRead& read = reads_[wanted.table];
    std::optional<Increment> last;
    if (wanted.whole) PN_CHECK(check_whole(read));
    if (wanted.from && !wanted.whole && read.cursor >= 0 && !wanted.from->position.empty()) {
        PN_TRY(auto parsed, Increment::from_json(wanted.from->position));
        if (parsed.of == sequence_of(read)) last = std::move(parsed);
        else
            log::warning("{}: cursor, where or query has changed since the last run; everything is read again",
                         read.info.name);
    }
    PN_TRY(std::string extra, condition(read, last));
    if (last) {
        PN_TRY(extra, with_equal_rows(read, *last, extra));
    }
    if (last) PN_CHECK(check_older_rows(read, *last, extra));
    PN_TRY(auto ranges, ranges_of(read, extra));
    bool bounded = options_.bounds.any() || !options_.replay.empty();
    auto finish = [this, index = wanted.table, extra, last, bounded,
                   before = wanted.from](int64_t maximum) -> Result<flow::Checkpoint> {
        // A run that was narrowed by hand leaves the checkpoint where it was.
        if (bounded && before) return *before;
        if (bounded) return flow::Checkpoint{};
        return checkpoint(index, extra, last, maximum);
    };
    flow::Segment segment;
    segment.parts.push_back(
        {wanted.table, std::make_unique<TableScan>(
                           ScanPlan{.read = read,
                                    .snapshot = *snapshot_,
                                    .context = wanted.context,
                                    .ranges = std::move(ranges),
                                    .parallel = options_.parallel,
                                    .key = options_.key.empty() ? read.info.key : options_.key,
                                    .cursor_from = last && !last->cursor.empty() ? last->raw : CursorMaximum::none,
                                    .checkpoint = std::move(finish)})});
    return segment;
}

Result<std::string> TableSource::cursor_text(const TableRead& read, const std::string& condition,
                                             const std::optional<Increment>& last, int64_t maximum) {
    if (read.cursor_kind != CursorKind::decimal)
        return maximum == CursorMaximum::none ? std::string() : raw_text(read.cursor_kind, maximum);
    // Infinity and NaN sort above every number; counted as the maximum they would hide all that comes later.
    std::string infinite = snapshot_->holder().server_version() >= 140000 ? "Infinity" : "NaN";
    std::string column = quote_identifier(read.info.cursor);
    PN_TRY(auto rows,
           snapshot_->holder().query(fmt::format(
               "SELECT greatest(max({0}), {1})::text FROM {2}{3}", column,
               last && !last->cursor.empty() ? quote_literal(last->cursor) + "::numeric" : "NULL", read.from(nullptr),
               read.where_clause({condition, fmt::format("{} < '{}'::numeric", column, infinite)}))));
    return rows.is_null(0, 0) ? std::string() : rows.text(0, 0);
}

Result<flow::Checkpoint> TableSource::checkpoint(size_t table, const std::string& condition,
                                                 const std::optional<Increment>& last, int64_t maximum) {
    const TableRead& read = reads_[table];
    flow::Checkpoint out;
    out.read_at = TimePoint(std::chrono::microseconds(around_.clock_micros));
    if (read.cursor < 0) return out;
    Increment reached{.around = around_, .of = sequence_of(read), .relation = read.identity};
    for (const auto& column : read.columns) reached.columns.push_back(column.field.source_id);
    for (const auto& leaf : read.leaves) reached.files[leaf.oid] = leaf.file;
    PN_TRY(reached.cursor, cursor_text(read, condition, last, maximum));
    reached.raw = maximum == CursorMaximum::none ? 0 : maximum;
    out.cursor_from = last ? last->cursor : "";
    out.cursor_to = reached.cursor;
    out.position = reached.to_json();
    return out;
}

Status TableSource::confirm(size_t, const flow::Checkpoint&) { return {}; }

}  // namespace penstock::postgres
