#include "engine/stream.h"

#include "engine/error.h"

namespace penstock::engine {

struct Stream::Running {
    duckdb_prepared_statement statement = nullptr;
    duckdb_pending_result pending = nullptr;
    duckdb_result result{};
    std::optional<std::stop_callback<std::function<void()>>> interrupt;

    Running() = default;
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() {
        interrupt.reset();
        duckdb_destroy_result(&result);
        duckdb_destroy_pending(&pending);
        duckdb_destroy_prepare(&statement);
    }
};

Stream::Stream(std::unique_ptr<Running> running) : running_(std::move(running)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream::~Stream() = default;

Result<Stream> Stream::open(Connection& connection, const std::string& sql) {
    auto running = std::make_unique<Running>();
    if (duckdb_prepare(connection.native(), sql.c_str(), &running->statement) == DuckDBError)
        return fail(error_from(DUCKDB_ERROR_INVALID, duckdb_prepare_error(running->statement)));
    if (duckdb_pending_prepared_streaming(running->statement, &running->pending) == DuckDBError)
        return fail(error_from(DUCKDB_ERROR_INVALID, duckdb_pending_error(running->pending)));
    running->interrupt.emplace(connection.stop(), [native = connection.native()] { duckdb_interrupt(native); });
    if (duckdb_execute_pending(running->pending, &running->result) == DuckDBError) {
        const char* message = duckdb_result_error(&running->result);
        return fail(
            error_from(duckdb_result_error_type(&running->result), message != nullptr ? message : "unknown failure"));
    }
    return Stream(std::move(running));
}

Result<Chunk> Stream::next() {
    Chunk chunk(duckdb_fetch_chunk(running_->result));
    if (chunk != nullptr && duckdb_data_chunk_get_size(chunk.get()) > 0) return chunk;
    if (const char* message = duckdb_result_error(&running_->result); message != nullptr && *message != '\0')
        return fail(error_from(duckdb_result_error_type(&running_->result), message));
    return Chunk();
}

}  // namespace penstock::engine
