#include "data/block.h"

#include <algorithm>
#include <utility>

namespace penstock::data {

Layout layout_of(const Type& type) {
    switch (type.kind) {
        case Kind::boolean: return Layout::int8;
        case Kind::int16: return Layout::int16;
        case Kind::int32:
        case Kind::uint32:
        case Kind::date: return Layout::int32;
        case Kind::int64:
        case Kind::uint64:
        case Kind::time:
        case Kind::timetz:
        case Kind::timestamp:
        case Kind::timestamptz: return Layout::int64;
        case Kind::float32: return Layout::float32;
        case Kind::float64: return Layout::float64;
        case Kind::decimal:
            if (type.precision <= 4) return Layout::int16;
            if (type.precision <= 9) return Layout::int32;
            if (type.precision <= 18) return Layout::int64;
            return Layout::int128;
        case Kind::text:
        case Kind::json:
        case Kind::bytes: return Layout::string;
        case Kind::uuid: return Layout::int128;
        case Kind::interval: return Layout::interval;
        case Kind::list:
        case Kind::map: return Layout::list;
        case Kind::structure: return Layout::structure;
    }
    std::unreachable();
}

size_t width_of(Layout layout) {
    switch (layout) {
        case Layout::int8: return 1;
        case Layout::int16: return 2;
        case Layout::int32:
        case Layout::float32: return 4;
        case Layout::int64:
        case Layout::float64: return 8;
        case Layout::int128:
        case Layout::string:
        case Layout::interval:
        case Layout::list: return 16;
        case Layout::structure: return 0;
    }
    std::unreachable();
}

Column::Column(const Type& type, size_t rows) : type_(&type), layout_(layout_of(type)) {
    if (layout_ == Layout::list) children_.emplace_back(type.children.front().type, 0);
    if (layout_ == Layout::structure)
        for (const auto& field : type.children) children_.emplace_back(field.type, rows);
    reserve(rows);
}

void Column::reserve(size_t rows) {
    if (rows <= capacity_) return;
    size_t capacity = std::max({rows, capacity_ * 2, size_t{64}});
    size_t width = width_of(layout_);
    if (width != 0) {
        // Only list elements grow, and those are never lent.
        auto bigger = std::make_unique_for_overwrite<std::byte[]>(capacity * width);
        if (size_ != 0) std::memcpy(bigger.get(), own_.get(), size_ * width);
        own_ = std::move(bigger);
        values_ = own_.get();
    }
    validity_.resize((capacity + 63) / 64, ~uint64_t{0});
    capacity_ = capacity;
}

size_t Column::grow(size_t count) {
    size_t first = size_;
    reserve(size_ + count);
    size_ += count;
    if (layout_ == Layout::structure)
        for (auto& child : children_) child.grow(count);
    return first;
}

void Column::clear() {
    if (has_nulls_) std::fill(validity_.begin(), validity_.end(), ~uint64_t{0});
    has_nulls_ = false;
    size_ = 0;
    for (auto& child : children_) child.clear();
}

Block::Block(const Schema& schema) {
    columns.reserve(schema.fields.size());
    for (const auto& field : schema.fields) columns.emplace_back(field.type, block_rows);
}

void Block::clear() {
    arena_.clear();
    arena_used_ = arena_size_ = 0;
    clear_columns();
}

void Block::clear_columns() {
    rows = 0;
    for (auto& column : columns) column.clear();
}

char* Block::allocate(size_t bytes) {
    if (arena_.empty() || arena_used_ + bytes > arena_size_) {
        arena_size_ = std::max(bytes, size_t{64} * 1024);
        arena_.push_back(std::make_unique_for_overwrite<char[]>(arena_size_));
        arena_used_ = 0;
    }
    char* memory = arena_.back().get() + arena_used_;
    arena_used_ += bytes;
    return memory;
}

}  // namespace penstock::data
