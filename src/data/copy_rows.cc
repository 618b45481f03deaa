#include "data/copy_rows.h"

#include <cstring>

namespace penstock::data {
namespace {

void copy_column(const Column& from, size_t first, size_t rows, Column& to) {
    size_t width = width_of(from.layout());
    if (width != 0 && rows != 0)
        std::memcpy(to.values<std::byte>(), from.values<std::byte>() + first * width, rows * width);
    if (from.layout() == Layout::list) {
        // All elements: the entries that are copied say where theirs are.
        const auto& elements = from.children().front();
        to.children().front().grow(elements.size());
        copy_column(elements, 0, elements.size(), to.children().front());
    }
    if (from.layout() == Layout::structure)
        for (size_t i = 0; i < from.children().size(); ++i)
            copy_column(from.children()[i], first, rows, to.children()[i]);
    if (!from.has_nulls()) return;
    for (size_t row = 0; row < rows; ++row)
        if (!from.valid(first + row)) to.set_null(row);
}

void keep_column(Column& column, const std::vector<size_t>& rows) {
    // Fields first: setting a structure to NULL writes theirs.
    if (column.layout() == Layout::structure)
        for (auto& child : column.children()) keep_column(child, rows);
    size_t width = width_of(column.layout());
    auto* values = column.values<std::byte>();
    for (size_t to = 0; width != 0 && to < rows.size(); ++to)
        if (rows[to] != to) std::memcpy(values + to * width, values + rows[to] * width, width);
    if (!column.has_nulls()) return;
    for (size_t to = 0; to < rows.size(); ++to) {
        if (column.valid(rows[to])) column.set_valid(to);
        else column.set_null(to);
    }
}

}  // namespace

void keep_rows(Block& block, const std::vector<size_t>& rows) {
    for (auto& column : block.columns) keep_column(column, rows);
    block.rows = rows.size();
}

void copy_rows(const Block& from, size_t first, size_t rows, Block& to) {
    for (size_t i = 0; i < from.columns.size(); ++i) copy_column(from.columns[i], first, rows, to.columns[i]);
    to.rows = rows;
}

}  // namespace penstock::data
