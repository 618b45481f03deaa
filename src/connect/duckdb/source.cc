#include "connect/duckdb/source.h"

#include <fmt/format.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "flow/read_position.h"

namespace penstock::duckdb {
namespace {

Error usage_error(std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::usage, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

}  // namespace

Status Source::connect(std::stop_token stop) {
    PN_FAILPOINT(source_connect_before);
    std::error_code ignored;
    if (!std::filesystem::exists(settings_.file, ignored))
        return fail({.kind = ErrorKind::configuration,
                     .code = "no_database",
                     .message = fmt::format("there is no DuckDB file {}", settings_.file.string()),
                     .where = settings_.source.connection.place.text(),
                     .hint = "what fills it must run first: name that pipeline under `after:`"});
    PN_TRY(database_, engine::Database::open(settings_.file, settings_.engine));
    PN_TRY(auto connection, database_->connect(std::move(stop)));
    connection_.emplace(std::move(connection));
    return {};
}

Result<std::vector<flow::TableInfo>> Source::discover(std::stop_token stop) {
    bool window = !settings_.bounds.from.empty() || !settings_.bounds.to.empty();
    if (window && settings_.source.cursor.empty())
        return fail(usage_error("no_cursor", "--from and --to need a cursor, and the source has none",
                                "add cursor: to the source, or leave them out"));
    PN_CHECK(connect(std::move(stop)));
    PN_TRY(reads_, plan_reads(*connection_, settings_.source, settings_.holds));
    std::vector<flow::TableInfo> tables;
    for (auto& read : reads_) {
        read.key = settings_.key.empty() ? read.info.key : settings_.key;
        tables.push_back(read.info);
    }
    return tables;
}

Status Source::open(std::vector<flow::TableRead> tables) {
    wanted_ = std::move(tables);
    next_ = 0;
    connection_->rollback();
    PN_TRY([[maybe_unused]] auto begun, connection_->execute("BEGIN TRANSACTION"));
    moment_ = now();
    // DuckDB fixes what a transaction sees when it first looks.
    if (!wanted_.empty()) {
        const auto& first = reads_[wanted_.front().table];
        PN_TRY([[maybe_unused]] auto looked, connection_->execute(fmt::format("SELECT 1 FROM {} LIMIT 0", first.from)));
    }
    PN_FAILPOINT(source_snapshot_after);
    return {};
}

Result<std::string> Source::condition(const TableRead& read, const std::string& last) const {
    const auto& bounds = settings_.bounds;
    if (bounds.from.empty() && bounds.to.empty()) return read.cursor.newer_than(last);
    std::string out;
    for (const auto& [text, sign] : {std::pair(bounds.from, ">="), std::pair(bounds.to, "<=")})
        if (!text.empty())
            out += fmt::format("{}{} {} {}", out.empty() ? "" : " AND ", read.cursor.column, sign,
                               read.cursor.literal(text));
    return out;
}

/// The largest cursor of the last run; "" where this one begins anew.
Result<std::string> Source::last_of(const flow::TableRead& wanted) const {
    const auto& read = reads_[wanted.table];
    if (!wanted.from || wanted.whole || !read.cursor.any() || wanted.from->position.empty()) return "";
    PN_TRY(auto position, flow::ReadPosition::from_json(wanted.from->position));
    if (position.of == read.sequence()) return position.cursor;
    log::warning("{}: table, cursor, where or query has changed since the last run; everything is read again",
                 read.info.name);
    return "";
}

Result<std::optional<flow::Segment>> Source::next() {
    if (next_ == wanted_.size()) {
        // What is not needed any more does not keep the file's old versions.
        connection_->rollback();
        return std::optional<flow::Segment>();
    }
    PN_TRY(auto segment, segment_of(wanted_[next_++]));
    return std::optional<flow::Segment>(std::move(segment));
}

Result<flow::Segment> Source::segment_of(const flow::TableRead& wanted) {
    const auto& read = reads_[wanted.table];
    if (wanted.whole && settings_.bounds.any())
        return fail(
            usage_error("older_rows_need_all",
                        fmt::format("{} has a new column whose values in rows already loaded only a whole read can "
                                    "tell, and this run would read a part",
                                    read.info.name),
                        "run once without --from, --to and --limit"));
    PN_TRY(auto last, last_of(wanted));
    PN_TRY(auto condition, condition(read, last));
    flow::Checkpoint reached{.cursor_from = "", .cursor_to = "", .position = "", .read_at = moment_};
    if (settings_.bounds.any()) {
        // A run that was narrowed by hand leaves the checkpoint where it was.
        reached = wanted.from.value_or(flow::Checkpoint{});
    } else if (read.cursor.any()) {
        PN_TRY(auto rows, connection_->query(read.largest(condition, last)));
        reached.cursor_from = last;
        reached.cursor_to = rows.text(0, 0);
        reached.position = flow::ReadPosition{.cursor = reached.cursor_to, .of = read.sequence()}.to_json();
    }
    flow::Segment segment;
    segment.parts.push_back(
        {wanted.table, std::make_unique<TableScan>(*connection_, read, std::move(condition), settings_.bounds.limit,
                                                   std::move(reached), wanted.context)});
    return segment;
}

}  // namespace penstock::duckdb
