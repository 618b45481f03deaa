#include <fmt/format.h>

#include "engine/database.h"
#include "engine/error.h"
#include "engine/stream.h"

namespace penstock::engine {
namespace {

template <class T>
Value integer(const void* data, idx_t row) {
    return std::to_string(static_cast<const T*>(data)[row]);
}

Value text_of(duckdb_type type, const void* data, idx_t row) {
    switch (type) {
        case DUCKDB_TYPE_BOOLEAN: return static_cast<const bool*>(data)[row] ? "true" : "false";
        case DUCKDB_TYPE_TINYINT: return integer<int8_t>(data, row);
        case DUCKDB_TYPE_SMALLINT: return integer<int16_t>(data, row);
        case DUCKDB_TYPE_INTEGER: return integer<int32_t>(data, row);
        case DUCKDB_TYPE_BIGINT: return integer<int64_t>(data, row);
        case DUCKDB_TYPE_UINTEGER: return integer<uint32_t>(data, row);
        case DUCKDB_TYPE_UBIGINT: return integer<uint64_t>(data, row);
        default: {
            auto string = static_cast<const duckdb_string_t*>(data)[row];
            return std::string(duckdb_string_t_data(&string), duckdb_string_t_length(string));
        }
    }
}

bool readable(duckdb_type type) {
    switch (type) {
        case DUCKDB_TYPE_BOOLEAN:
        case DUCKDB_TYPE_TINYINT:
        case DUCKDB_TYPE_SMALLINT:
        case DUCKDB_TYPE_INTEGER:
        case DUCKDB_TYPE_BIGINT:
        case DUCKDB_TYPE_UINTEGER:
        case DUCKDB_TYPE_UBIGINT:
        case DUCKDB_TYPE_VARCHAR:
        case DUCKDB_TYPE_BLOB: return true;
        default: return false;
    }
}

void add_chunk(duckdb_data_chunk chunk, const std::vector<duckdb_type>& types, Rows& rows) {
    idx_t count = duckdb_data_chunk_get_size(chunk);
    size_t first = rows.rows.size();
    rows.rows.resize(first + count, std::vector<Value>(types.size()));
    for (size_t column = 0; column < types.size(); ++column) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, column);
        const void* data = duckdb_vector_get_data(vector);
        uint64_t* validity = duckdb_vector_get_validity(vector);
        for (idx_t row = 0; row < count; ++row)
            if (validity == nullptr || duckdb_validity_row_is_valid(validity, row))
                rows.rows[first + row][column] = text_of(types[column], data, row);
    }
}

Status read(duckdb_result& result, Rows& rows) {
    std::vector<duckdb_type> types;
    rows = {};
    for (idx_t i = 0; i < duckdb_column_count(&result); ++i) {
        rows.columns.emplace_back(duckdb_column_name(&result, i));
        types.push_back(duckdb_column_type(&result, i));
        if (!readable(types.back()))
            return fail(
                {.kind = ErrorKind::internal,
                 .code = "unreadable_column",
                 .message = fmt::format("column {} of a small query must be cast to text", rows.columns.back())});
    }
    while (Chunk chunk{duckdb_fetch_chunk(result)}) add_chunk(chunk.get(), types, rows);
    return {};
}

}  // namespace

Result<Rows> Connection::query(const std::string& sql, std::span<const Value> parameters) {
    Rows rows;
    PN_CHECK(with_result(sql, parameters, [&](duckdb_result& result) { return read(result, rows); }));
    return rows;
}

}  // namespace penstock::engine
