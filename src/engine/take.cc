#include "engine/take.h"

#include <cstring>

namespace penstock::engine {
namespace {

void take_column(duckdb_vector vector, data::Column& column, size_t rows) {
    size_t width = data::width_of(column.layout());
    if (width != 0 && rows != 0) std::memcpy(column.values<std::byte>(), duckdb_vector_get_data(vector), rows * width);
    auto& children = column.children();
    if (column.layout() == data::Layout::list) {
        size_t elements = duckdb_list_vector_get_size(vector);
        children.front().grow(elements);
        take_column(duckdb_list_vector_get_child(vector), children.front(), elements);
    }
    if (column.layout() == data::Layout::structure)
        for (size_t i = 0; i < children.size(); ++i)
            take_column(duckdb_struct_vector_get_child(vector, i), children[i], rows);
    uint64_t* validity = duckdb_vector_get_validity(vector);
    for (size_t row = 0; validity != nullptr && row < rows; ++row)
        if (!duckdb_validity_row_is_valid(validity, row)) column.set_null(row);
}

}  // namespace

void take(duckdb_data_chunk chunk, data::Block& block) {
    block.rows = duckdb_data_chunk_get_size(chunk);
    for (size_t i = 0; i < block.columns.size(); ++i)
        take_column(duckdb_data_chunk_get_vector(chunk, i), block.columns[i], block.rows);
}

}  // namespace penstock::engine
