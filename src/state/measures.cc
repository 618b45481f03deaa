#include "state/measures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "state/connection.h"
#include "state/measure_rows.h"
#include "state/moment.h"

namespace penstock::state {
namespace {

using Kind = Measure::Kind;

constexpr std::array<int64_t, 12> bounds = {1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400};
constexpr std::array kinds = {Kind::runs,         Kind::duration,     Kind::duration_sum, Kind::rows,
                              Kind::bytes_billed, Kind::loaded_until, Kind::open_rejects, Kind::slot_bytes,
                              Kind::backup_at,    Kind::drill_at,     Kind::drill_passed, Kind::drill_rto,
                              Kind::drill_rpo,    Kind::compared_at,  Kind::differences};

/// A name that is too long for a key loses its end: metrics are no place where rows are told apart.
std::string as_key(const std::string& text) {
    constexpr size_t most_bytes = 250;
    if (text.size() <= most_bytes) return text;
    size_t end = most_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(0, end);
}

bool is_there(soci::session& sql, const Measure& one, const std::string& kind, const std::string& subject) {
    long long rows = 0;
    sql << "SELECT count(*) FROM penstock.measures WHERE owner = :owner AND measure = :kind AND subject = :subject AND "
           "outcome = :outcome",
        soci::use(one.owner), soci::use(kind), soci::use(subject), soci::use(one.outcome), soci::into(rows);
    return rows != 0;
}

/// The row as it then is: what was there and `amount`, or `amount` alone.
void put(soci::session& sql, const Measure& one, bool adds) {
    std::string kind(to_string(one.kind)), subject = as_key(one.subject);
    long long amount = one.amount, at = micros(one.measured_at);
    if (!is_there(sql, one, kind, subject)) {
        amount = std::max(amount, 0LL);
        sql << "INSERT INTO penstock.measures (owner, measure, subject, outcome, amount, measured_at) VALUES (:owner, "
               ":kind, "
               ":subject, :outcome, :amount, :at)",
            soci::use(one.owner), soci::use(kind), soci::use(subject), soci::use(one.outcome), soci::use(amount),
            soci::use(at);
        return;
    }
    long long before = 0;
    if (adds)
        sql << "SELECT amount FROM penstock.measures WHERE owner = :owner AND measure = :kind AND subject = :subject "
               "AND "
               "outcome = :outcome",
            soci::use(one.owner), soci::use(kind), soci::use(subject), soci::use(one.outcome), soci::into(before);
    amount = std::max(before + amount, 0LL);
    sql << "UPDATE penstock.measures SET amount = :amount, measured_at = :at WHERE owner = :owner AND measure = :kind "
           "AND "
           "subject = :subject AND outcome = :outcome",
        soci::use(amount), soci::use(at), soci::use(one.owner), soci::use(kind), soci::use(subject),
        soci::use(one.outcome);
}

std::string bucket_of(std::chrono::duration<double> duration) {
    auto bound =
        std::ranges::find_if(bounds, [&](int64_t most) { return duration.count() <= static_cast<double>(most); });
    return bound == bounds.end() ? "+Inf" : fmt::format("{}", *bound);
}

}  // namespace

std::string_view to_string(Kind kind) {
    switch (kind) {
        case Kind::runs: return "runs";
        case Kind::duration: return "duration";
        case Kind::duration_sum: return "duration_sum";
        case Kind::rows: return "rows";
        case Kind::bytes_billed: return "bytes_billed";
        case Kind::loaded_until: return "loaded_until";
        case Kind::open_rejects: return "open_rejects";
        case Kind::slot_bytes: return "slot_bytes";
        case Kind::backup_at: return "backup_at";
        case Kind::drill_at: return "drill_at";
        case Kind::drill_passed: return "drill_passed";
        case Kind::drill_rto: return "drill_rto";
        case Kind::drill_rpo: return "drill_rpo";
        case Kind::compared_at: return "compared_at";
        case Kind::differences: return "differences";
    }
    std::unreachable();
}

std::span<const int64_t> duration_bounds() { return bounds; }

void count_run(soci::session& sql, const flow::RunResult& result) {
    auto at = now();
    auto add = [&](Kind kind, std::string subject, std::string outcome, int64_t amount) {
        if (amount > 0)
            put(sql, {result.identity.pipeline, kind, std::move(subject), std::move(outcome), amount, at}, true);
    };
    add(Kind::runs, "", std::string(flow::to_string(result.status)), 1);
    add(Kind::duration, bucket_of(result.duration), "", 1);
    add(Kind::duration_sum, "", "", std::chrono::duration_cast<std::chrono::microseconds>(result.duration).count());
    for (const auto& table : result.tables) {
        add(Kind::rows, table.source, "written", table.counts.rows_written);
        add(Kind::rows, table.source, "rejected", table.counts.rows_rejected);
        add(Kind::rows, table.source, "filtered", table.counts.rows_filtered);
    }
    add(Kind::bytes_billed, "", "", result.spent.bytes_billed);
    if (result.status != flow::RunStatus::success) return;
    add(Kind::open_rejects, "", "", result.counts().rows_rejected);
    put(sql, {result.identity.pipeline, Kind::loaded_until, "", "", micros(result.started_at), at}, false);
}

void count_crashes(soci::session& sql, const std::string& pipeline, long long crashes) {
    if (crashes > 0) put(sql, {pipeline, Kind::runs, "", "failed", crashes, now()}, true);
}

Measures::Measures(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Measures::~Measures() = default;
Measures::Measures(Measures&&) noexcept = default;

Result<std::optional<Measures>> Measures::open_existing(const std::string& url,
                                                        const std::filesystem::path& directory) {
    PN_TRY(auto place, place_of(url, directory));
    PN_TRY(auto connection, Connection::open(place, Connection::Create::no));
    if (connection == nullptr) return std::optional<Measures>();
    return std::optional<Measures>(Measures(std::move(connection)));
}

Result<std::vector<Measure>> Measures::all() {
    std::vector<Measure> measures;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        Measure one;
        std::string kind;
        long long amount = 0, at = 0;
        soci::statement select =
            (sql.prepare << "SELECT owner, measure, subject, outcome, amount, measured_at FROM penstock.measures ORDER "
                            "BY owner, measure, subject, outcome LIMIT 100000",
             soci::into(one.owner), soci::into(kind), soci::into(one.subject), soci::into(one.outcome),
             soci::into(amount), soci::into(at));
        measures.clear();
        for (select.execute(); select.fetch();) {
            auto known = std::ranges::find(kinds, kind, [](Kind each) { return to_string(each); });
            if (known == kinds.end()) continue;  // of a newer version
            one.kind = *known, one.amount = amount, one.measured_at = from_micros(at);
            measures.push_back(one);
        }
        return {};
    }));
    return measures;
}

Status Measures::set(const Measure& measure) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        put(sql, measure, false);
        return {};
    });
}

Status Measures::replace(const std::string& owner, Kind kind, std::span<const Measure> measures) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        std::string name(to_string(kind));
        sql << "DELETE FROM penstock.measures WHERE owner = :owner AND measure = :kind", soci::use(owner),
            soci::use(name);
        for (const auto& one : measures) put(sql, one, false);
        return {};
    });
}

Status Measures::take_away(const Measure& measure) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        auto less = measure;
        less.amount = -measure.amount;
        put(sql, less, true);
        return {};
    });
}

}  // namespace penstock::state
