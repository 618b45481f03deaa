#include "engine/batch_session.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "data/copy_rows.h"
#include "engine/error.h"
#include "engine/scan_function.h"
#include "engine/take.h"

namespace penstock::engine {
namespace {

/// A value was at fault, not the query: DuckDB's own words for it.
bool is_of_values(std::string_view message) {
    for (std::string_view prefix : {"Invalid Input Error", "Conversion Error", "Out of Range Error"})
        if (message.starts_with(prefix)) return true;
    return false;
}

Error error_of_query(std::string_view message) {
    Error error = error_from(DUCKDB_ERROR_INVALID, message);
    if (is_of_values(message)) error.kind = ErrorKind::data, error.code = "step_failed";
    return error;
}

}  // namespace

/// The block under way, as a scan that can be read again and again.
class BatchSession::Rows : public flow::Scan {
  public:
    explicit Rows(const data::Schema& schema) : schema_(schema) {}

    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override { return 1; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override { return std::make_unique<Reader>(*this); }
    Result<flow::Checkpoint> finish() override { return flow::Checkpoint{}; }

    const data::Block* block = nullptr;
    std::span<const Range> ranges = {};

  private:
    struct Reader : flow::ScanReader {
        explicit Reader(Rows& rows) : from(rows) {}
        Status fill(data::Block& out) override {
            while (out.rows == 0 && next < from.ranges.size()) {
                const auto& range = from.ranges[next++];
                data::copy_rows(*from.block, range.first, range.rows, out);
            }
            return {};
        }
        Rows& from;
        size_t next = 0;
    };

    const data::Schema& schema_;
};

struct BatchSession::Statements {
    std::map<std::string, duckdb_prepared_statement> by_sql;
    ~Statements() {
        for (auto& [sql, statement] : by_sql) duckdb_destroy_prepare(&statement);
    }
};

BatchSession::BatchSession(Database& database, Connection connection, const data::Schema& schema)
    : connection_(std::move(connection)),
      rows_(std::make_unique<Rows>(schema)),
      lent_(std::make_unique<LentScan>(database, *rows_)),
      statements_(std::make_unique<Statements>()) {}

BatchSession::~BatchSession() = default;

Result<std::unique_ptr<BatchSession>> BatchSession::open(Database& database, const data::Schema& schema,
                                                         std::stop_token stop) {
    PN_TRY(auto connection, database.connect(std::move(stop)));
    std::unique_ptr<BatchSession> session(new BatchSession(database, std::move(connection), schema));
    PN_CHECK(session->connection_.execute(
        fmt::format("CREATE TEMP VIEW {} AS SELECT * FROM {}", batch_rows, session->lent_->sql())));
    return session;
}

Result<std::vector<TargetColumn>> BatchSession::describe(const std::string& sql) {
    return columns_of(connection_, sql);
}

Result<duckdb_prepared_statement> BatchSession::prepared(const std::string& sql) {
    if (auto known = statements_->by_sql.find(sql); known != statements_->by_sql.end()) return known->second;
    duckdb_prepared_statement statement = nullptr;
    if (duckdb_prepare(connection_.native(), sql.c_str(), &statement) == DuckDBError) {
        Error error = error_from(DUCKDB_ERROR_INVALID, duckdb_prepare_error(statement));
        duckdb_destroy_prepare(&statement);
        return fail(std::move(error));
    }
    statements_->by_sql.emplace(sql, statement);
    return statement;
}

Result<BatchResult> BatchSession::run(const std::string& sql, const data::Block& block, std::span<const Range> ranges) {
    if (connection_.stop().stop_requested()) return fail(error_from(DUCKDB_ERROR_INTERRUPT, ""));
    PN_TRY(auto statement, prepared(sql));
    rows_->block = &block;
    rows_->ranges = ranges;
    // A database of one thread runs it on this one.
    duckdb_result result{};
    auto state = duckdb_execute_prepared(statement, &result);
    rows_->ranges = {};
    if (state == DuckDBSuccess) return BatchResult(result);
    const char* message = duckdb_result_error(&result);
    Error error = error_of_query(message != nullptr ? message : "unknown failure");
    duckdb_destroy_result(&result);
    return fail(lent_->original(std::move(error)));
}

BatchResult::BatchResult(duckdb_result result)
    : result_(result), rows_(static_cast<int64_t>(duckdb_row_count(&result_))), open_(true) {}

BatchResult::BatchResult(BatchResult&& other) noexcept
    : result_(other.result_),
      chunk_(std::exchange(other.chunk_, nullptr)),
      rows_(other.rows_),
      open_(std::exchange(other.open_, false)) {}

BatchResult& BatchResult::operator=(BatchResult&& other) noexcept {
    close();
    result_ = other.result_;
    chunk_ = std::exchange(other.chunk_, nullptr);
    rows_ = other.rows_;
    open_ = std::exchange(other.open_, false);
    return *this;
}

BatchResult::~BatchResult() { close(); }

void BatchResult::close() {
    duckdb_destroy_data_chunk(&chunk_);
    if (open_) duckdb_destroy_result(&result_);
    open_ = false;
}

void BatchResult::next(data::Block& block) {
    block.rows = 0;
    duckdb_destroy_data_chunk(&chunk_);
    if (!open_) return;
    chunk_ = duckdb_fetch_chunk(result_);
    if (chunk_ != nullptr) take(chunk_, block);
}

std::pair<std::string, std::string> BatchResult::two_texts() {
    duckdb_data_chunk chunk = open_ ? duckdb_fetch_chunk(result_) : nullptr;
    if (chunk == nullptr) return {};
    auto text = [&](idx_t column) -> std::string {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, column);
        uint64_t* validity = duckdb_vector_get_validity(vector);
        bool valid = validity == nullptr || duckdb_validity_row_is_valid(validity, 0);
        if (!valid || duckdb_data_chunk_get_size(chunk) == 0) return "";
        auto value = static_cast<duckdb_string_t*>(duckdb_vector_get_data(vector))[0];
        return {duckdb_string_t_data(&value), duckdb_string_t_length(value)};
    };
    std::pair<std::string, std::string> texts{text(0), text(1)};
    duckdb_destroy_data_chunk(&chunk);
    return texts;
}

}  // namespace penstock::engine
