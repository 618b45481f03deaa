#include "engine/database.h"
#include "engine/error.h"

namespace penstock::engine {

Result<Appender> Appender::open(Connection& connection, const std::string& schema, const std::string& table) {
    duckdb_appender raw = nullptr;
    auto state = duckdb_appender_create(connection.native(), schema.c_str(), table.c_str(), &raw);
    Appender appender(raw);
    if (state == DuckDBError) return fail(appender.last_error());
    return appender;
}

Appender::~Appender() { duckdb_appender_destroy(&appender_); }

Status Appender::append(std::span<const Value> row) {
    bool good = duckdb_appender_begin_row(appender_) == DuckDBSuccess;
    for (const auto& value : row)
        good = good && (value ? duckdb_append_varchar_length(appender_, value->data(), value->size())
                              : duckdb_append_null(appender_)) == DuckDBSuccess;
    if (!good || duckdb_appender_end_row(appender_) == DuckDBError) return fail(last_error());
    return {};
}

Status Appender::close() {
    if (duckdb_appender_close(appender_) == DuckDBError) return fail(last_error());
    return {};
}

Error Appender::last_error() const {
    duckdb_error_data data = duckdb_appender_error_data(appender_);
    Error error = error_from(duckdb_error_data_error_type(data), duckdb_error_data_message(data));
    duckdb_destroy_error_data(&data);
    return error;
}

}  // namespace penstock::engine
