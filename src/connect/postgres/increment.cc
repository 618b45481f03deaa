#include "connect/postgres/increment.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/calendar.h"
#include "base/humane.h"

namespace penstock::postgres {
namespace {

/// Half the xid space, with a margin: beyond it age() of a 32-bit xid means something else.
constexpr uint64_t comparable_xids = 2'000'000'000;

bool is_time(CursorKind kind) {
    return kind == CursorKind::date || kind == CursorKind::timestamp || kind == CursorKind::timestamptz;
}

std::string micros_interval(int64_t micros) { return fmt::format("interval '{} microseconds'", micros); }

/// A cursor below which no late row is expected, as SQL; "" when late rows may have any. Where xmin tells what is new (`exact`)
/// a low bound costs a longer look and no rows, so it leaves a day for clocks and zones that are not the server's; numbers may
/// come from blocks that were handed out long before, so they get none. Without xmin the bound decides what is read.
std::string lower_bound(const IncrementRequest& request, const Increment& last, bool exact) {
    std::string literal = fmt::format("{}::{}", quote_literal(last.cursor), request.type);
    if (!is_time(request.kind)) {
        if (!request.lag.empty()) return fmt::format("({} - {})", literal, request.lag);
        return "";
    }
    if (!last.around.all_visible && request.lag.empty()) return "";
    int64_t late = last.around.all_visible ? last.around.oldest_micros : 0;
    int64_t lag = exact ? micros_per_day : 0;
    if (!request.lag.empty()) lag = parse_duration(request.lag).value_or(std::chrono::microseconds(0)).count();
    // now() of a late row is not before its transaction's start; a value ahead of the server's clock bounds nothing.
    std::string clock = quote_literal(last.around.clock) + "::timestamptz";
    if (request.kind == CursorKind::timestamptz)
        return fmt::format("(least({}, {} - {}) - {})", literal, clock, micros_interval(late), micros_interval(lag));
    std::string moved = fmt::format("(least({}::timestamp, {}::timestamp) - {} - {})", literal, clock,
                                    micros_interval(late), micros_interval(lag));
    return request.kind == CursorKind::date ? moved + "::date" : moved;
}

bool comparable(const Increment& last, const Surroundings& now) {
    return last.around.system == now.system && last.around.timeline == now.timeline &&
           now.snapshot_xmax >= last.around.snapshot_xmin &&
           now.snapshot_xmax - last.around.snapshot_xmin < comparable_xids;
}

}  // namespace

Result<CursorKind> cursor_kind(const std::string& type, const std::string& table, const config::Text& cursor) {
    if (type == "int2" || type == "int4" || type == "int8" || type == "oid" || type == "xid8") return CursorKind::whole;
    if (type == "numeric") return CursorKind::decimal;
    if (type == "date") return CursorKind::date;
    if (type == "timestamp") return CursorKind::timestamp;
    if (type == "timestamptz") return CursorKind::timestamptz;
    return fail({.kind = ErrorKind::configuration,
                 .code = "cursor_type",
                 .message = fmt::format(
                     "column {} of {} has type {}, which cannot be a cursor: its order is not that of insertion",
                     cursor.value, table, type),
                 .where = cursor.place.text(),
                 .hint = "choose a timestamp, date, integer or numeric column that grows with each insert and update"});
}

Status check_lag(CursorKind kind, const config::Text& lag) {
    if (lag.empty()) return {};
    if (is_time(kind)) {
        auto parsed = parse_duration(lag.value);
        if (!parsed) return fail(std::move(parsed.error()).at(lag.place.text()));
        return {};
    }
    int64_t number = 0;
    const char* end = lag.value.data() + lag.value.size();
    auto [stop, status] = std::from_chars(lag.value.data(), end, number);
    if (status == std::errc{} && stop == end && number >= 0) return {};
    return fail({.kind = ErrorKind::configuration,
                 .code = "cursor_lag",
                 .message = fmt::format("cursor_lag '{}' is not a number, as the cursor is", lag.value),
                 .where = lag.place.text(),
                 .hint = "write how many values to read again, such as 10000"});
}

Result<Surroundings> read_surroundings(Session& session) {
    // clock_timestamp() stands first: the list of transactions is read after it, so none of them is younger than it says.
    // Of other roles' sessions a role without pg_read_all_stats sees neither start nor state nor backend_type (PostgreSQL
    // documentation, pg_stat_activity): such rows are hidden, not idle.
    PN_TRY(
        auto rows,
        session.query("WITH at AS MATERIALIZED (SELECT pg_catalog.clock_timestamp() AS t), open AS (SELECT "
                      "min(xact_start) AS oldest, "
                      "count(*) FILTER (WHERE (state IS NULL OR state = 'disabled') AND datid IS NOT NULL AND "
                      "coalesce(backend_type, 'client backend') = 'client backend') AS hidden "
                      "FROM pg_catalog.pg_stat_activity "
                      "WHERE pid <> pg_catalog.pg_backend_pid()), prepared AS (SELECT count(*) AS n FROM "
                      "pg_catalog.pg_prepared_xacts) "
                      "SELECT at.t::text, greatest(0, (extract(epoch FROM at.t - open.oldest) * 1000000)::bigint), "
                      // A subscriber replays transactions of another server, whose start nobody here sees.
                      "open.hidden = 0 AND prepared.n = 0 AND NOT pg_catalog.pg_is_in_recovery() AND NOT EXISTS "
                      "(SELECT s.oid FROM pg_catalog.pg_subscription s), (extract(epoch FROM at.t) * 1000000)::bigint, "
                      "pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text, "
                      "pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text "
                      "FROM at, open, prepared"));
    Surroundings out;
    out.clock = rows.text(0, 0);
    out.oldest_micros = rows.is_null(0, 1) ? 0 : rows.integer(0, 1);
    out.all_visible = rows.truth(0, 2);
    out.clock_micros = rows.integer(0, 3);
    out.snapshot_xmin = std::stoull(rows.text(0, 4));
    out.snapshot_xmax = std::stoull(rows.text(0, 5));
    // Managed servers may not let us ask; then the position only holds by the cursor.
    if (auto control = session.query("SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), "
                                     "(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())")) {
        out.system = control->text(0, 0);
        out.timeline = control->integer(0, 1);
    }
    return out;
}

std::string Increment::to_json() const {
    nlohmann::ordered_json json = {{"cursor", cursor},
                                   {"raw", raw},
                                   {"system", around.system},
                                   {"timeline", around.timeline},
                                   {"clock", around.clock},
                                   {"oldest_us", around.oldest_micros},
                                   {"all_visible", around.all_visible},
                                   {"xmin", around.snapshot_xmin},
                                   {"xmax", around.snapshot_xmax},
                                   {"of", of}};
    if (!relation.empty()) json["relation"] = relation, json["columns"] = columns, json["files"] = files;
    return json.dump();
}

Result<Increment> Increment::from_json(const std::string& text) {
    try {
        auto json = nlohmann::json::parse(text);
        Increment out;
        out.cursor = json.at("cursor");
        out.raw = json.at("raw");
        out.of = json.at("of");
        if (json.contains("relation")) {
            out.relation = json.at("relation");
            out.columns = json.at("columns").get<std::vector<int32_t>>();
            out.files = json.at("files").get<std::map<Oid, int64_t>>();
        }
        out.around.system = json.at("system");
        out.around.timeline = json.at("timeline");
        out.around.clock = json.at("clock");
        out.around.oldest_micros = json.at("oldest_us");
        out.around.all_visible = json.at("all_visible");
        out.around.snapshot_xmin = json.at("xmin");
        out.around.snapshot_xmax = json.at("xmax");
        return out;
    } catch (const nlohmann::json::exception& error) {
        return fail({.kind = ErrorKind::data,
                     .code = "bad_position",
                     .message = fmt::format("the checkpoint's position cannot be read: {}", error.what()),
                     .hint = "run with --full-refresh to start over"});
    }
}

bool leaves_out_older(const IncrementRequest& request, const Increment& last, const Surroundings& now) {
    return !last.cursor.empty() && request.heap && !last.around.system.empty() && comparable(last, now);
}

std::string increment_condition(const IncrementRequest& request, const Increment& last, const Surroundings& now) {
    if (last.cursor.empty()) return "";
    const std::string& column = request.column;
    std::string above = fmt::format("{} > {}::{}", column, quote_literal(last.cursor), request.type);
    bool exact = leaves_out_older(request, last, now);
    std::string lower = lower_bound(request, last, exact);
    std::string from = lower.empty() ? "" : fmt::format("{} >= {}", column, lower);
    if (!from.empty() && request.nullable) from = fmt::format("({} OR {} IS NULL)", from, column);
    if (!exact) {
        if (!from.empty()) return from;
        // Nothing bounds what may come late: all that can be said is "from the largest value on".
        std::string tie = fmt::format("{} >= {}::{}", column, quote_literal(last.cursor), request.type);
        return request.nullable ? fmt::format("({} OR {} IS NULL)", tie, column) : tie;
    }
    std::string recent = fmt::format("pg_catalog.age(xmin) <= pg_catalog.age('{}'::xid)",
                                     static_cast<uint32_t>(last.around.snapshot_xmin));
    std::string unseen = fmt::format("({} OR {})", above, recent);
    return from.empty() ? unseen : fmt::format("{} AND {}", from, unseen);
}

}  // namespace penstock::postgres
