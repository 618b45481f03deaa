#include "connect/bigquery/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/bigquery/rest_pages.h"
#include "flow/read_position.h"

namespace penstock::bigquery {
namespace {

/// How far back BigQuery keeps tables unless a dataset says less ("Time travel").
constexpr auto window = std::chrono::hours(7 * 24);

Error as_of_error(std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::usage, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

/// BigQuery's words for a moment that it no longer has, with what to do.
Error explain_moment(Error error, const std::optional<TimePoint>& as_of) {
    bool moment = error.message.find("nvalid snapshot time") != std::string::npos ||
                  error.message.find("SYSTEM_TIME AS OF") != std::string::npos ||
                  error.message.find("time travel") != std::string::npos;
    if (!as_of || !moment) return error;
    error.code = "as_of_out_of_reach";
    error.hint =
        "BigQuery keeps seven days of a table, or as few as the dataset's max_time_travel_hours says, and nothing from "
        "before it was made; name a later moment, or read a table snapshot or an archive of that time";
    return error;
}

}  // namespace

Status Source::connect(std::stop_token stop) {
    stop_ = stop;
    PN_FAILPOINT(source_connect_before);
    PN_TRY(client_, Client::make(settings_.connection, stop));
    auto labels = settings_.connection.labels;
    labels["penstock_pipeline"] = label_value(settings_.pipeline);
    if (!settings_.run_id.empty()) labels["penstock_run"] = label_value(settings_.run_id);
    jobs_ = std::make_unique<Jobs>(*client_, std::move(labels), settings_.purse);
    std::optional<int64_t> moment;
    if (settings_.as_of) {
        moment = settings_.as_of->time_since_epoch().count();
    } else if (names_moment(settings_.source)) {
        PN_TRY(moment, ask_the_time());
    }
    auto planned = plan_reads(*client_, *jobs_, settings_.source, settings_.policies, settings_.holds, moment);
    if (!planned) return fail(explain_moment(std::move(planned.error()), settings_.as_of));
    reads_ = std::move(*planned);
    if (settings_.purse != nullptr)
        for (const auto& read : reads_) settings_.purse->expect({read.info.name, read.charge});
    return {};
}

/// BigQuery's own clock: what was committed before its answer is read, on a machine whose clock is slow, too.
Result<int64_t> Source::ask_the_time() {
    PN_TRY(auto rows, jobs_->select({.sql = "SELECT CAST(UNIX_MICROS(CURRENT_TIMESTAMP()) AS STRING)",
                                     .what = "ask for the time"}));
    if (rows.rows.size() == 1) return rows.number(0, 0);
    return fail({.kind = ErrorKind::unavailable, .code = "bad_answer", .message = "BigQuery does not tell the time"});
}

Result<std::vector<flow::TableInfo>> Source::discover(std::stop_token stop) {
    PN_CHECK(check_bounds());
    PN_CHECK(connect(std::move(stop)));
    PN_CHECK(check_travel());
    std::vector<flow::TableInfo> tables;
    for (const auto& read : reads_) tables.push_back(read.info);
    return tables;
}

Status Source::check_bounds() const {
    bool window_given = !settings_.bounds.from.empty() || !settings_.bounds.to.empty();
    if (window_given && settings_.source.cursor.empty())
        return fail(as_of_error("no_cursor", "--from and --to need a cursor, and the source has none",
                                "add cursor: to the source, or leave them out"));
    if (!settings_.as_of) return {};
    auto clock = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
    if (*settings_.as_of > clock)
        return fail(as_of_error("as_of_in_future",
                                fmt::format("--as-of {} is still to come", iso_time(*settings_.as_of)),
                                "name a moment that has passed"));
    if (*settings_.as_of < clock - window)
        return fail(
            explain_moment(as_of_error("as_of_out_of_reach",
                                       fmt::format("--as-of {} is an invalid snapshot time: more than seven days ago",
                                                   iso_time(*settings_.as_of)),
                                       ""),
                           settings_.as_of));
    return {};
}

Status Source::check_travel() const {
    if (!settings_.as_of) return {};
    for (const auto& read : reads_) {
        if (read.time_travels) continue;
        return fail(
            as_of_error("as_of_not_taken",
                        read.query.empty()
                            ? fmt::format("{} is no table, and BigQuery has only tables as they were", read.info.name)
                            : std::string("the source's query does not say where --as-of belongs"),
                        "read by `query:` from the tables themselves, each followed by FOR SYSTEM_TIME AS OF @as_of"));
    }
    return {};
}

Status Source::open(std::vector<flow::TableRead> tables) {
    wanted_ = std::move(tables);
    next_ = 0;
    ordered_.reset();
    for (const auto& wanted : wanted_) PN_CHECK(check_as_of(wanted, reads_[wanted.table]));
    if (settings_.as_of) {
        moment_micros_ = settings_.as_of->time_since_epoch().count();
    } else {
        PN_TRY(moment_micros_, ask_the_time());
    }
    PN_FAILPOINT(source_snapshot_after);
    return {};
}

/// The target never goes back in time by halves: rows of a later moment are replaced as a whole or not at all.
Status Source::check_as_of(const flow::TableRead& wanted, const TableRead& read) const {
    if (!settings_.as_of || !wanted.from || wanted.from->read_at <= *settings_.as_of) return {};
    return fail({.kind = ErrorKind::refused,
                 .code = "as_of_before_checkpoint",
                 .message = fmt::format("the target has {} as it was at {}, and --as-of {} is before that",
                                        read.info.name, iso_time(wanted.from->read_at), iso_time(*settings_.as_of)),
                 .where = "table " + read.info.name,
                 .hint = "add --full-refresh to replace the target's rows by those of that moment, or write them into "
                         "another table by a pipeline of its own"});
}

/// Another table, cursor, condition or query makes another sequence of rows: positions of the one say nothing about the other.
std::string Source::sequence(const TableRead& read) const {
    return fmt::format("{} {} | {} | {} | {}", read.info.cursor,
                       read.cursor.any() ? read.columns[static_cast<size_t>(read.cursor.column)].type : "",
                       read.query.empty() ? read.id.project + "." + read.id.dotted() : "", read.where, read.query);
}

Result<std::string> Source::condition(const TableRead& read, const std::string& last) const {
    if (!read.cursor.any()) return "";
    const auto& bounds = settings_.bounds;
    std::string out;
    for (const auto& [text, sign] : {std::pair(bounds.from, ">="), std::pair(bounds.to, "<=")}) {
        if (text.empty()) continue;
        auto raw = read.cursor.raw(text);
        if (!raw)
            return fail(as_of_error("bad_bound",
                                    fmt::format("'{}' is no value of {}, the cursor", text, read.cursor.name),
                                    "write it as the cursor's values are written"));
        out += fmt::format("{}{} {} {}", out.empty() ? "" : " AND ", quote_identifier(read.cursor.name), sign,
                           read.cursor.literal(*raw));
    }
    if (!out.empty() || last.empty()) return out;
    return increment_condition(read.cursor, last);
}

Result<Source::Reading> Source::reading_of(const flow::TableRead& wanted) const {
    const auto& read = reads_[wanted.table];
    Reading reading{.table = wanted.table, .last = "", .condition = "", .from = wanted.from, .whole = wanted.whole};
    if (wanted.whole && settings_.bounds.any())
        return fail(as_of_error("older_rows_need_all",
                                fmt::format("{} has a new column whose values in rows already loaded only a whole read "
                                            "can tell, and this run would read a part",
                                            read.info.name),
                                "run once without --from, --to and --limit"));
    if (wanted.from && !wanted.whole && read.cursor.any() && !wanted.from->position.empty()) {
        PN_TRY(auto parsed, flow::ReadPosition::from_json(wanted.from->position));
        if (parsed.of == sequence(read)) reading.last = parsed.cursor;
        else
            log::warning("{}: table, cursor, where or query has changed since the last run; everything is read again",
                         read.info.name);
    }
    PN_TRY(reading.condition, condition(read, reading.last));
    return reading;
}

RowsPlan Source::rows_plan(const TableRead& read, const flow::ScanContext& context) const {
    return {.table = read.info.name,
            .schema = read.info.schema,
            .columns = read.columns,
            .cursor = read.cursor,
            .context = context,
            .key = settings_.key.empty() ? read.info.key : settings_.key};
}

Result<std::optional<flow::Segment>> Source::next() {
    if (ordered_ != nullptr) {
        PN_TRY(bool more, ordered_->more());
        if (more) {
            PN_TRY(auto segment, batch_segment());
            return std::optional<flow::Segment>(std::move(segment));
        }
        ordered_.reset();
    }
    if (next_ == wanted_.size()) return std::optional<flow::Segment>();
    PN_TRY(auto segment, segment_of(wanted_[next_++]));
    return std::optional<flow::Segment>(std::move(segment));
}

Result<flow::Segment> Source::segment_of(const flow::TableRead& wanted) {
    const auto& read = reads_[wanted.table];
    PN_TRY(auto reading, reading_of(wanted));
    // A table that is rebuilt is not to be seen in parts.
    bool batches = settings_.source.batch_rows && !wanted.whole && !wanted.anew && !settings_.bounds.any();
    auto found = feeds_of(read, reading.condition, batches);
    if (!found) return fail(explain_moment(std::move(found.error()), settings_.as_of));
    auto& feeds = *found;
    if (batches) {
        std::unique_ptr<BatchFeed> feed;
        if (feeds.count > 0) {
            PN_TRY(feed, feeds.open(0));
        }
        ordered_ = std::make_shared<OrderedRows>(rows_plan(read, wanted.context), std::move(feed),
                                                 *settings_.source.batch_rows);
        in_batches_ = std::move(reading);
        batch_ = 0;
        return batch_segment();
    }
    bool bounded = settings_.bounds.any();
    auto finish = [this, reading, bounded](const std::optional<data::Int128>& largest) -> Result<flow::Checkpoint> {
        // A run that was narrowed by hand leaves the checkpoint where it was.
        if (bounded) return reading.from.value_or(flow::Checkpoint{});
        return checkpoint(reading, largest, 0);
    };
    flow::Segment segment;
    segment.parts.push_back(
        {wanted.table, std::make_unique<ReadScan>(rows_plan(read, wanted.context), feeds.count, std::move(feeds.open),
                                                  settings_.bounds.limit, std::move(finish))});
    return segment;
}

Result<flow::Segment> Source::batch_segment() {
    auto finish = [this, reading = in_batches_,
                   batch = ++batch_](const std::optional<data::Int128>& largest) -> Result<flow::Checkpoint> {
        return checkpoint(reading, largest, batch);
    };
    flow::Segment segment;
    segment.parts.push_back({in_batches_.table, std::make_unique<BatchScan>(ordered_, std::move(finish)), false});
    return segment;
}

flow::Checkpoint Source::checkpoint(const Reading& reading, const std::optional<data::Int128>& largest,
                                    int64_t batch) const {
    const auto& read = reads_[reading.table];
    flow::Checkpoint out;
    out.read_at = TimePoint(std::chrono::microseconds(moment_micros_));
    if (!read.cursor.any()) return out;
    flow::ReadPosition reached{.cursor = reading.last, .of = sequence(read), .batch = batch};
    auto before = reading.last.empty() ? std::nullopt : read.cursor.raw(reading.last);
    if (largest && (!before || *largest > *before)) reached.cursor = read.cursor.text(*largest);
    out.cursor_from = reading.last;
    out.cursor_to = reached.cursor;
    out.position = reached.to_json();
    return out;
}

Status Source::confirm(size_t, const flow::Checkpoint&) { return {}; }

}  // namespace penstock::bigquery
