#include "state/run_logs.h"

#include <algorithm>

#include "state/connection.h"

namespace penstock::state {
namespace {

constexpr size_t lines_at_once = 50;

}  // namespace

RunLogs::RunLogs(Place place) : place_(std::move(place)) {}
RunLogs::~RunLogs() = default;
RunLogs::RunLogs(RunLogs&&) noexcept = default;

Result<std::optional<RunLogs>> RunLogs::open_existing(const std::string& url, const std::filesystem::path& directory) {
    PN_TRY(auto place, place_of(url, directory));
    RunLogs logs(place);
    PN_TRY(logs.connection_, Connection::open(place, Connection::Create::no));
    if (logs.connection_ == nullptr) return std::optional<RunLogs>();
    return std::optional<RunLogs>(std::move(logs));
}

Status RunLogs::add(const std::string& run_id, std::span<const RunLogLine> lines, int64_t head, int64_t tail) {
    if (lines.empty()) return {};
    if (connection_ == nullptr) {
        PN_TRY(connection_, Connection::open(place_, Connection::Create::no));
        if (connection_ == nullptr) return {};  // the state has gone, and the run's record with it
    }
    // Everybody who writes waits for the others: a little at a time.
    for (size_t from = 0; from < lines.size(); from += lines_at_once)
        PN_CHECK(add_some(run_id, lines.subspan(from, std::min(lines_at_once, lines.size() - from)), head, tail));
    return {};
}

Status RunLogs::add_some(const std::string& run_id, std::span<const RunLogLine> lines, int64_t head, int64_t tail) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        long long known = 0, from = lines.front().number, above = head, below = tail;
        sql << "SELECT count(*) FROM penstock.runs WHERE run_id = :run_id", soci::use(run_id), soci::into(known);
        if (known == 0) return {};
        sql << "DELETE FROM penstock.run_logs WHERE run_id = :run_id AND (line_number >= :from OR (line_number > "
               ":above AND line_number < :below))",
            soci::use(run_id), soci::use(from), soci::use(above), soci::use(below);
        for (const auto& line : lines) {
            long long number = line.number;
            sql << "INSERT INTO penstock.run_logs (run_id, line_number, line) VALUES (:run_id, :number, :line)",
                soci::use(run_id), soci::use(number), soci::use(line.json);
        }
        return {};
    });
}

Result<std::vector<RunLogLine>> RunLogs::lines(const std::string& run_id, int64_t after, int most) {
    std::vector<RunLogLine> found;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        RunLogLine line;
        long long number = 0, above = after;
        found.clear();
        soci::statement select =
            (sql.prepare << "SELECT line_number, line FROM penstock.run_logs WHERE run_id = :run_id "
                            "AND line_number > :above ORDER BY line_number LIMIT :most",
             soci::into(number), soci::into(line.json), soci::use(run_id), soci::use(above), soci::use(most));
        for (select.execute(); select.fetch(); found.push_back(line)) line.number = number;
        return {};
    }));
    return found;
}

}  // namespace penstock::state
