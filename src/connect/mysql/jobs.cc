#include "connect/mysql/jobs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/secret.h"

namespace penstock::mysql {
namespace {

/// TEXT holds 65,535 bytes.
constexpr size_t most_error_bytes = 16'000;

std::string cut(std::string text) {
    if (text.size() <= most_error_bytes) return text;
    text.resize(most_error_bytes);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.pop_back();
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.pop_back();
    return text + "…";
}

std::string error_text(const flow::RunResult& result) {
    if (!result.error) return "";
    std::string text = result.error->message;
    if (!result.error->where.empty()) text += fmt::format(" ({})", result.error->where);
    if (result.error->cause) text += fmt::format(": {}", result.error->cause->message);
    return cut(redact(std::move(text)));
}

/// One step a table: that it is committed, and its counts.
std::string steps_text(const flow::RunResult& result) {
    auto steps = nlohmann::ordered_json::array();
    for (const auto& table : result.tables)
        steps.push_back({{"step", table.source},
                         {"target", table.target},
                         {"status", "SUCCESS"},
                         {"rows_read", table.counts.rows_read},
                         {"rows_written", table.counts.rows_written},
                         {"rows_rejected", table.counts.rows_rejected},
                         {"seconds", table.duration.count()}});
    if (result.error)
        steps.push_back({{"step", result.error->where}, {"status", "FAILED"}, {"error", result.error->code}});
    return steps.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

Result<std::unique_ptr<Jobs>> Jobs::open(const state::Place& place, const std::string& table) {
    PN_TRY(auto tables, Tables::open(place));
    PN_TRY(auto columns, tables->columns(table));
    if (columns.empty()) {
        PN_CHECK(tables->execute(
            fmt::format("CREATE TABLE IF NOT EXISTS {} (id INT AUTO_INCREMENT PRIMARY KEY, organization_id "
                        "VARCHAR(255), job_id VARCHAR(255), status ENUM('IN_PROGRESS', 'SUCCESS', 'FAILED'), "
                        "created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT "
                        "CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, error_message TEXT, steps LONGTEXT, "
                        "KEY job (job_id)) DEFAULT CHARSET = utf8mb4",
                        quote_table(table)),
            {}));
        PN_TRY(columns, tables->columns(table));
    }
    std::vector<std::string> missing;
    for (std::string name : {"organization_id", "job_id", "status", "error_message"})
        if (std::ranges::find(columns, name) == columns.end()) missing.push_back(name);
    if (!missing.empty())
        return fail({.kind = ErrorKind::refused,
                     .code = "not_a_job_table",
                     .message = fmt::format("{} has no column {}", table, fmt::join(missing, ", ")),
                     .where = place.shown,
                     .hint = "name another table in `jobs:`; one that is not there is made"});
    bool has_steps = std::ranges::find(columns, "steps") != columns.end();
    return std::unique_ptr<Jobs>(new Jobs(std::move(tables), quote_table(table), has_steps));
}

/// Once, however often it is asked for.
Status Jobs::insert(const std::string& organization, const std::string& job) {
    return tables_->execute(
        fmt::format("INSERT INTO {0} (organization_id, job_id, status) SELECT :v0, :v1, 'IN_PROGRESS' FROM "
                    "(SELECT 1) AS one WHERE NOT EXISTS (SELECT 1 FROM {0} WHERE job_id = :v2)",
                    table_),
        {organization, job, job});
}

Status Jobs::begin(const std::string& organization, const std::string& job) {
    PN_CHECK(
        tables_->execute(fmt::format("UPDATE {} SET status = 'FAILED', error_message = 'interrupted by a crash' WHERE "
                                     "organization_id = :v0 AND status = 'IN_PROGRESS' AND job_id <> :v1",
                                     table_),
                         {organization, job}));
    return insert(organization, job);
}

Status Jobs::end(const std::string& organization, const flow::RunResult& result) {
    const auto& job = result.identity.run_id;
    PN_CHECK(insert(organization, job));
    std::string status = result.status == flow::RunStatus::success ? "SUCCESS" : "FAILED";
    std::vector<std::string> values = {status, error_text(result)};
    if (has_steps_) values.push_back(steps_text(result));
    values.push_back(job);
    return tables_->execute(
        fmt::format("UPDATE {} SET status = :v0, error_message = nullif(:v1, ''){} WHERE job_id = :id", table_,
                    has_steps_ ? ", steps = :v2" : ""),
        values);
}

}  // namespace penstock::mysql
