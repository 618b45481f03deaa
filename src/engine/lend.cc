#include "engine/lend.h"

#include <cstring>
#include <vector>

namespace penstock::engine {
namespace {

static_assert(sizeof(data::StringRef) == sizeof(duckdb_string_t));
static_assert(sizeof(data::ListEntry) == sizeof(duckdb_list_entry));
static_assert(sizeof(data::Interval) == sizeof(duckdb_interval));

size_t words(size_t rows) { return (rows + 63) / 64; }

void lend_column(data::Column& column, duckdb_vector vector) {
    if (column.layout() != data::Layout::structure) return column.lend(duckdb_vector_get_data(vector));
    for (size_t i = 0; i < column.children().size(); ++i)
        lend_column(column.children()[i], duckdb_struct_vector_get_child(vector, i));
}

/// Writes which rows are valid. A row whose structure is NULL is NULL in every field too, as DuckDB assumes; `parent` has
/// the bits of the structures above, or is null when all are valid. Returns the bits for the fields below.
const uint64_t* hand_over_validity(const data::Column& column, duckdb_vector vector, size_t rows,
                                   const uint64_t* parent) {
    if (!column.has_nulls() && parent == nullptr) return nullptr;
    duckdb_vector_ensure_validity_writable(vector);
    uint64_t* validity = duckdb_vector_get_validity(vector);
    std::memcpy(validity, column.validity().data(), words(rows) * sizeof *validity);
    for (size_t word = 0; parent != nullptr && word < words(rows); ++word) validity[word] &= parent[word];
    return validity;
}

void hand_over_column(data::Column& column, duckdb_vector vector, size_t rows, bool copy, const uint64_t* parent);

void hand_over_elements(data::Column& column, duckdb_vector vector, size_t rows, const uint64_t* validity) {
    auto* entries = static_cast<data::ListEntry*>(duckdb_vector_get_data(vector));
    for (size_t row = 0; validity != nullptr && row < rows; ++row)
        if ((validity[row / 64] >> (row % 64) & 1) == 0) entries[row] = {.offset = 0, .length = 0};
    data::Column& elements = column.children().front();
    duckdb_list_vector_reserve(vector, elements.size());
    duckdb_list_vector_set_size(vector, elements.size());
    hand_over_column(elements, duckdb_list_vector_get_child(vector), elements.size(), true, nullptr);
}

void hand_over_column(data::Column& column, duckdb_vector vector, size_t rows, bool copy, const uint64_t* parent) {
    size_t width = data::width_of(column.layout());
    if (copy && width != 0 && rows != 0)
        std::memcpy(duckdb_vector_get_data(vector), column.values<std::byte>(), rows * width);
    const uint64_t* validity = hand_over_validity(column, vector, rows, parent);
    if (column.layout() == data::Layout::list) hand_over_elements(column, vector, rows, validity);
    if (column.layout() != data::Layout::structure) return;
    for (size_t i = 0; i < column.children().size(); ++i)
        hand_over_column(column.children()[i], duckdb_struct_vector_get_child(vector, i), rows, copy, validity);
}

}  // namespace

void lend(data::Block& block, duckdb_data_chunk chunk) {
    for (size_t i = 0; i < block.columns.size(); ++i)
        lend_column(block.columns[i], duckdb_data_chunk_get_vector(chunk, i));
}

void hand_over(data::Block& block, duckdb_data_chunk chunk) {
    for (size_t i = 0; i < block.columns.size(); ++i)
        hand_over_column(block.columns[i], duckdb_data_chunk_get_vector(chunk, i), block.rows, false, nullptr);
    duckdb_data_chunk_set_size(chunk, block.rows);
}

}  // namespace penstock::engine
