#include "connect/bigquery/jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "base/humane.h"
#include "base/log.h"
#include "connect/bigquery/answer.h"
#include "connect/bigquery/fingerprint.h"
#include "io/url.h"

namespace penstock::bigquery {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int most_attempts = 8;
constexpr milliseconds first_look(50), longest_pause(5000);
constexpr seconds fresh_for(120);         // how long a new table or column may be unknown
constexpr seconds may_be_on_its_way(60);  // a request whose sender is gone
constexpr int64_t room_for_estimates = int64_t{1} << 30;

/// A job's own error: its status says the reason, there is no HTTP status.
std::optional<io::GoogleError> failure_of(const Json& job) {
    const auto& error = part_of(part_of(job, "status"), "errorResult");
    if (error.empty()) return std::nullopt;
    std::string message = text_of(error, "message");
    message.erase(std::min(message.find('\n'), message.size()));
    return io::GoogleError{.status = 200, .reason = text_of(error, "reason"), .message = std::move(message)};
}

/// "Transactions" and "DML": another's change of the same table aborts ours; it can be repeated as a whole.
bool is_update_conflict(const std::string& message) {
    return message.find("concurrent update") != message.npos || message.find("Transaction is aborted") != message.npos;
}

/// What is said while a new table or column is not known everywhere.
bool may_be_stale(const Error& error, const std::vector<std::string>& fresh) {
    bool named =
        std::ranges::any_of(fresh, [&](const auto& name) { return error.message.find(name) != error.message.npos; });
    if (!named) return false;
    if (error.code == "bigquery_not_found") return true;
    for (const char* sign : {"Unrecognized name", "not found", "Not found", "no such field", "is not present"})
        if (error.message.find(sign) != error.message.npos) return true;
    return false;
}

/// "Pricing": at least 10 MB for each table that a query refers to, and whole megabytes; nothing for nothing.
int64_t billed_for(const Json& dry_run) {
    constexpr int64_t mebibyte = int64_t{1} << 20;
    int64_t bytes = number_of(dry_run, "totalBytesProcessed");
    if (bytes == 0) return 0;
    const auto& query = part_of(dry_run, "query");
    auto tables = query.find("referencedTables");
    int64_t count = tables != query.end() && tables->is_array() ? static_cast<int64_t>(tables->size()) : 1;
    return std::max((bytes + mebibyte - 1) / mebibyte * mebibyte, 10 * mebibyte * std::max<int64_t>(count, 1));
}

milliseconds jitter(milliseconds most) {
    thread_local std::mt19937_64 engine{std::random_device{}()};
    return milliseconds(std::uniform_int_distribution<int64_t>(0, most.count())(engine));
}

std::string random_name() {
    std::random_device device;
    return fmt::format("{:08x}{:08x}{:08x}", device(), device(), device());
}

/// {"rows": [{"f": [{"v": "1"}, {"v": null}]}]}
void add_rows(const Json& answer, Rows& result) {
    auto rows = answer.find("rows");
    if (rows == answer.end() || !rows->is_array()) return;
    for (const auto& row : *rows) {
        auto& values = result.rows.emplace_back();
        auto cells = row.find("f");
        if (cells == row.end() || !cells->is_array()) continue;
        for (const auto& cell : *cells) {
            auto value = cell.find("v");
            bool given = value != cell.end() && value->is_string();
            values.push_back(given ? std::optional(value->get<std::string>()) : std::nullopt);
        }
    }
}

flow::Charge charged_for(const Json& job, double usd_per_byte) {
    const auto& statistics = part_of(job, "statistics");
    const auto& of_query = part_of(statistics, "query");
    int64_t bytes = number_of(of_query, "totalBytesBilled");
    return {.bytes_billed = bytes,
            .slot_millis = std::max(number_of(statistics, "totalSlotMs"), number_of(of_query, "totalSlotMs")),
            .usd = static_cast<double>(bytes) * usd_per_byte};
}

/// After an error of its insertion: an answer that was lost leaves it open whether the job was begun.
bool may_have_begun(const Error& error) {
    return error.kind == ErrorKind::unavailable || error.kind == ErrorKind::interrupted;
}

Error stopped_in_job() {
    return {.kind = ErrorKind::interrupted,
            .code = "interrupted",
            .message = "the run was stopped while a job was running"};
}

}  // namespace

struct Jobs::Outcome {
    Done done;
    std::optional<io::GoogleError> failure;
    std::string sql;
};

const std::string& Rows::text(size_t row, size_t column) const {
    static const std::string nothing;
    const auto& value = rows[row][column];
    return value ? *value : nothing;
}

int64_t Rows::number(size_t row, size_t column) const {
    const auto& value = text(row, column);
    int64_t number = 0;
    std::from_chars(value.data(), value.data() + value.size(), number);
    return number;
}

Json Jobs::reference(const std::string& id) const {
    return {{"projectId", client_.project()}, {"jobId", id}, {"location", client_.location()}};
}

std::string Jobs::path_of(const std::string& id, const std::string& rest) const {
    return fmt::format("/jobs/{}{}?location={}", id, rest, io::escape_url(client_.location()));
}

/// Names are hashed: an id holds letters, digits, - and _ only.
std::string Jobs::id_of(const std::string& name, int attempt) {
    std::string hash = fingerprint({name.empty() ? random_name() : name});
    return fmt::format("penstock_{}_{}", hash, attempt);
}

Json Jobs::configuration_of(const Query& query) const {
    Json parameters = Json::array();
    for (const auto& [name, type, value] : query.parameters)
        parameters.push_back({{"name", name},
                              {"parameterType", {{"type", type}}},
                              {"parameterValue", {{"value", value ? Json(*value) : Json(nullptr)}}}});
    Json settings = {{"query", query.sql}, {"useLegacySql", false}, {"useQueryCache", false}};
    if (!parameters.empty()) {
        settings["parameterMode"] = "NAMED";
        settings["queryParameters"] = std::move(parameters);
    }
    return {{"query", std::move(settings)}, {"labels", labels_}};
}

Result<Json> Jobs::dry_run(const Query& query) {
    Json job = {{"configuration", configuration_of(query)},
                {"jobReference", {{"projectId", client_.project()}, {"location", client_.location()}}}};
    job["configuration"]["dryRun"] = true;
    auto until = std::chrono::steady_clock::now() + fresh_for;
    for (milliseconds pause(200);; pause = std::min(pause * 2, longest_pause)) {
        auto answer = client_.call("POST", "/jobs", &job, query.what);
        bool again = !answer && may_be_stale(answer.error(), query.fresh) && std::chrono::steady_clock::now() < until;
        if (!answer && !again) return fail(std::move(answer.error()));
        if (answer) return part_of(**answer, "statistics");
        log::debug("{}: not known yet, trying again ({})", query.what, answer.error().message);
        if (!client_.wait(pause)) return fail(stopped_in_job());
    }
}

Result<int64_t> Jobs::estimate(const Query& query) {
    PN_TRY(auto statistics, dry_run(query));
    return billed_for(statistics);
}

Result<Described> Jobs::describe(const Query& query) {
    PN_TRY(auto statistics, dry_run(query));
    return Described{.bytes = billed_for(statistics),
                     .columns = wire_columns(part_of(part_of(statistics, "query"), "schema"))};
}

double Jobs::usd_per_byte() const { return client_.options().usd_per_tib / static_cast<double>(int64_t{1} << 40); }

/// Whose jobs are asked for where.
std::string Jobs::account() const { return fmt::format("{}/{}", client_.project(), client_.location()); }

/// What became of jobs that were begun and not seen to their end. One that is not there, though it was to be begun a
/// while ago, never was; one that is still running goes on counting at its most.
void Jobs::settle_open_bills() {
    if (std::exchange(looked_, true)) return;
    for (const auto& bill : purse_->open_bills()) {
        if (bill.account != account()) continue;
        auto job = client_.call("GET", path_of(bill.job), nullptr, "look at job " + bill.job);
        bool never_begun = !job && job.error().code == "bigquery_not_found" && bill.opened < now() - may_be_on_its_way;
        if (never_begun) purse_->settle(bill.job, {}, true);
        if (!job || text_of(part_of(**job, "status"), "state") != "DONE") continue;
        settle(bill.job, **job, charged_for(**job, usd_per_byte()), true);
    }
}

/// A job that another run has begun is that run's to pay.
void Jobs::settle(const std::string& id, const Json& job, const flow::Charge& charged, bool adopted) {
    const auto& labels = part_of(part_of(job, "configuration"), "labels");
    auto own = labels_.find("penstock_run");
    bool ours = !adopted || (own != labels_.end() && text_of(labels, "penstock_run") == own->second);
    if (ours) spent_ += {.bytes_billed = charged.bytes_billed, .slot_millis = charged.slot_millis};
    if (purse_ == nullptr) return;
    if (!part_of(part_of(job, "configuration"), "load").empty()) purse_->add({.slot_millis = charged.slot_millis});
    else purse_->settle(id, charged, ours);
}

/// What the query may bill; an error where it would be more than is allowed.
Result<int64_t> Jobs::bound(const Query& query) {
    int64_t needed = 0;
    if (query.parts.empty()) {
        PN_TRY(needed, estimate(query));
    }
    for (const auto& part : query.parts) {
        PN_TRY(int64_t bytes, estimate({.sql = part, .what = query.what, .fresh = query.fresh}));
        needed += bytes;
    }
    int64_t most = 2 * needed + room_for_estimates;
    auto refused = [&](int64_t left, const char* bound) {
        return fail(
            {.kind = ErrorKind::budget,
             .code = "budget_exceeded",
             .message = fmt::format("to {} would bill {}, and {} leaves {}", query.what,
                                    humane_bytes(static_cast<uint64_t>(needed)), bound,
                                    humane_bytes(static_cast<uint64_t>(std::max<int64_t>(left, 0)))),
             .hint = "it was not begun and bills nothing; raise the bound, or have it read less: partition the target "
                     "by a column of the key, cluster it by the key"});
    };
    if (const auto& allowed = client_.options().max_bytes_billed) {
        auto left = static_cast<int64_t>(allowed->count);
        if (needed > left) return refused(left, "the connection's max_bytes_billed");
        most = left;
    }
    if (purse_ != nullptr) {
        settle_open_bills();
        PN_TRY(most, purse_->allow(
                         {.what = query.what, .bytes = needed, .most_bytes = most, .usd_per_byte = usd_per_byte()}));
    }
    // Zero would be no bound at all.
    return std::max<int64_t>(most, 1);
}

Result<Json> Jobs::get(const std::string& id) {
    PN_TRY(auto job, client_.call("GET", path_of(id), nullptr, "look at job " + id));
    return std::move(*job);
}

/// Waits for the job's end. One that waits no longer is cancelled.
Result<Jobs::Outcome> Jobs::finish(const std::string& id, Json job, bool adopted) {
    for (milliseconds pause = first_look; text_of(part_of(job, "status"), "state") != "DONE";
         pause = std::min(pause * 3 / 2, longest_pause)) {
        if (!client_.wait(pause)) {
            client_.begin_last_calls();
            auto ignored = client_.call("POST", path_of(id, "/cancel"), nullptr, "cancel job " + id);
            return fail(stopped_in_job());
        }
        PN_TRY(job, get(id));
    }
    const auto& statistics = part_of(job, "statistics");
    const auto& of_query = part_of(statistics, "query");
    Outcome outcome;
    auto charged = charged_for(job, usd_per_byte());
    outcome.done = {.id = id,
                    .adopted = adopted,
                    .bytes_billed = charged.bytes_billed,
                    .slot_millis = charged.slot_millis,
                    .affected_rows = number_of(of_query, "numDmlAffectedRows"),
                    .output_rows = number_of(part_of(statistics, "load"), "outputRows")};
    outcome.failure = failure_of(job);
    outcome.sql = text_of(part_of(part_of(job, "configuration"), "query"), "query");
    const auto& result = part_of(part_of(part_of(job, "configuration"), "query"), "destinationTable");
    outcome.done.result = {text_of(result, "projectId"), text_of(result, "datasetId"), text_of(result, "tableId")};
    settle(id, job, charged, adopted);
    return outcome;
}

Result<Jobs::Outcome> Jobs::insert_query(const Query& query, const std::string& id, int64_t most_bytes) {
    Json job = {{"configuration", configuration_of(query)}, {"jobReference", reference(id)}};
    job["configuration"]["query"]["maximumBytesBilled"] = std::to_string(most_bytes);
    if (purse_ != nullptr)
        PN_CHECK(purse_->open(
            {.job = id,
             .account = account(),
             .most = {.bytes_billed = most_bytes, .usd = static_cast<double>(most_bytes) * usd_per_byte()}}));
    auto begun = client_.call("POST", "/jobs", &job, query.what, {409});
    if (!begun && purse_ != nullptr && !may_have_begun(begun.error())) purse_->settle(id, {}, true);
    if (!begun) return fail(std::move(begun.error()));
    bool adopted = !*begun;
    if (!adopted) return finish(id, std::move(**begun), false);
    log::debug("job {} is there already", id);
    PN_TRY(auto known, get(id));
    return finish(id, std::move(known), true);
}

Result<Done> Jobs::run(const Query& query) {
    PN_TRY(int64_t most_bytes, bound(query));
    std::string fresh = query.name.empty() ? random_name() : query.name;
    auto until = std::chrono::steady_clock::now() + fresh_for;
    milliseconds pause(500);
    for (int attempt = 0, tries = 1;; ++attempt) {
        PN_TRY(auto outcome, insert_query(query, id_of(fresh, attempt), most_bytes));
        outcome.done.same = !outcome.done.adopted || outcome.sql == query.sql;
        if (!outcome.failure) return std::move(outcome.done);
        auto error = api_error(*outcome.failure, query.what);
        if (outcome.done.adopted) continue;  // an earlier run's failure: this one is begun under the next id
        bool passing = error.kind == ErrorKind::unavailable || is_update_conflict(outcome.failure->message);
        bool stale = may_be_stale(error, query.fresh) && std::chrono::steady_clock::now() < until;
        if (passing && ++tries > most_attempts) passing = false;
        if (error.kind == ErrorKind::budget && purse_ != nullptr) return fail(purse_->refused(std::move(error)));
        if (!passing && !stale) return fail(std::move(error));
        log::debug("{} failed and is tried again: {}", query.what, error.message);
        if (!client_.wait(jitter(pause))) return fail(stopped_in_job());
        pause = std::min(pause * 2, milliseconds(30000));
    }
}

Result<Rows> Jobs::select(const Query& query) {
    PN_TRY(auto done, run(query));
    Rows result;
    std::string page;
    do {
        std::string path =
            fmt::format("/queries/{}?location={}&maxResults=10000&formatOptions.useInt64Timestamp=true{}", done.id,
                        io::escape_url(client_.location()), page.empty() ? "" : "&pageToken=" + io::escape_url(page));
        PN_TRY(auto answer, client_.call("GET", path, nullptr, query.what));
        add_rows(*answer, result);
        page = text_of(*answer, "pageToken");
    } while (!page.empty());
    return result;
}

Result<Done> Jobs::load(const TableId& into, const io::FileBody& file, const std::string& name) {
    std::string what = "load rows into " + into.dotted();
    Json settings = {
        {"destinationTable", {{"projectId", into.project}, {"datasetId", into.dataset}, {"tableId", into.table}}},
        {"sourceFormat", "PARQUET"},
        {"parquetOptions", {{"enableListInference", true}}},
        {"decimalTargetTypes", {"NUMERIC", "BIGNUMERIC"}},
        {"createDisposition", "CREATE_NEVER"},
        {"writeDisposition", "WRITE_APPEND"}};
    auto until = std::chrono::steady_clock::now() + fresh_for;
    milliseconds pause(500);
    for (int attempt = 0, tries = 1;; ++attempt) {
        std::string id = id_of(name, attempt);
        Json job = {{"configuration", {{"load", settings}, {"labels", labels_}}}, {"jobReference", reference(id)}};
        auto begun = client_.upload_job(job, file, what);
        bool unknown = !begun && may_be_stale(begun.error(), {into.table}) && std::chrono::steady_clock::now() < until;
        if (!begun && !unknown) return fail(std::move(begun.error()));
        if (begun) {
            // The answer to an upload may lack what a job is; 409 has none.
            PN_TRY(auto known, get(id));
            PN_TRY(auto outcome, finish(id, std::move(known), !*begun));
            if (!outcome.failure) return std::move(outcome.done);
            auto error = api_error(*outcome.failure, what);
            bool stale = may_be_stale(error, {into.table}) && std::chrono::steady_clock::now() < until;
            bool passing = error.kind == ErrorKind::unavailable && ++tries <= most_attempts;
            if (!passing && !stale) return fail(std::move(error));
            log::debug("{} failed and is tried again: {}", what, error.message);
        }
        if (!client_.wait(jitter(pause))) return fail(stopped_in_job());
        pause = std::min(pause * 2, milliseconds(30000));
    }
}

}  // namespace penstock::bigquery
