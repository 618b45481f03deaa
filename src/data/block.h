#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "data/type.h"

namespace penstock::data {

/// Rows a block holds at most.
inline constexpr size_t block_rows = 2048;

__extension__ using Int128 = __int128;

/// A reference to bytes: up to 12 inline, longer ones behind a pointer with the first four repeated. The same 16 bytes
/// as DuckDB's string_t, so that a column of these is handed over as it is.
struct StringRef {
    union {
        struct {
            uint32_t length;
            char prefix[4];
            const char* data;
        } pointer;
        struct {
            uint32_t length;
            char bytes[12];
        } inlined;
    };

    StringRef() : inlined{} {}
    StringRef(const char* bytes, size_t size) {
        if (size <= sizeof inlined.bytes) {
            inlined = {.length = static_cast<uint32_t>(size), .bytes = {}};
            copy_short(bytes, size);
        } else {
            pointer.length = static_cast<uint32_t>(size);
            std::memcpy(pointer.prefix, bytes, sizeof pointer.prefix);
            pointer.data = bytes;
        }
    }
    explicit StringRef(std::string_view text) : StringRef(text.data(), text.size()) {}

    size_t size() const { return inlined.length; }
    /// Fixed-size moves that overlap: a call to memcpy costs more than the bytes.
    void copy_short(const char* from, size_t size) {
        if (size >= 8) {
            std::memcpy(inlined.bytes, from, 8);
            std::memcpy(inlined.bytes + size - 4, from + size - 4, 4);
        } else if (size >= 4) {
            std::memcpy(inlined.bytes, from, 4);
            std::memcpy(inlined.bytes + size - 4, from + size - 4, 4);
        } else if (size != 0) {
            inlined.bytes[0] = from[0];
            inlined.bytes[size / 2] = from[size / 2];
            inlined.bytes[size - 1] = from[size - 1];
        }
    }
    std::string_view view() const { return {size() <= sizeof inlined.bytes ? inlined.bytes : pointer.data, size()}; }
};
static_assert(sizeof(StringRef) == 16);

struct Interval {
    int32_t months;
    int32_t days;
    int64_t micros;
};

/// Elements [offset, offset + length) of the child column.
struct ListEntry {
    uint64_t offset;
    uint64_t length;
};

/// How a value lies in memory. They are DuckDB's physical types: decimals take the smallest integer that holds their
/// precision (4, 9, 18, 38 digits), uuid is a 128-bit integer with its top bit flipped, timetz is
/// micros << 24 | (57599 - offset seconds).
enum class Layout : uint8_t {
    int8,  // boolean as 0 or 1
    int16,
    int32,
    int64,
    int128,
    float32,
    float64,
    string,
    interval,
    list,       // ListEntry and one child
    structure,  // no memory of its own, children row by row
};

Layout layout_of(const Type& type);
size_t width_of(Layout layout);

/// One column of a block, or a child of a nested one. A top-level column writes into memory its consumer lends; list
/// elements live in memory of the column's own, which grows.
class Column {
  public:
    /// `rows` is fixed for top-level columns and structure children; list elements start with none and grow.
    Column(const Type& type, size_t rows);

    Layout layout() const { return layout_; }
    const Type& type() const { return *type_; }

    /// Uses the consumer's memory of `block_rows` values until the next lend; null goes back to own memory.
    void lend(void* values) { values_ = values != nullptr ? static_cast<std::byte*>(values) : own_.get(); }

    template <class T>
    T* values() {
        return reinterpret_cast<T*>(values_);
    }
    template <class T>
    const T* values() const {
        return reinterpret_cast<const T*>(values_);
    }

    bool valid(size_t row) const { return (validity_[row / 64] >> (row % 64) & 1) != 0; }
    /// Makes a structure's fields null with it, and a list's entry empty, so that no consumer meets stray memory.
    void set_null(size_t row) {
        validity_[row / 64] &= ~(uint64_t{1} << (row % 64));
        has_nulls_ = true;
        if (layout_ == Layout::list) values<ListEntry>()[row] = {0, 0};
        if (layout_ == Layout::structure)
            for (auto& child : children_) child.set_null(row);
    }
    void set_valid(size_t row) { validity_[row / 64] |= uint64_t{1} << (row % 64); }
    /// False means that no row is null and the validity bits need not be looked at.
    bool has_nulls() const { return has_nulls_; }
    /// One bit a row, set where valid, 64 rows a word.
    const std::vector<uint64_t>& validity() const { return validity_; }

    std::vector<Column>& children() { return children_; }
    const std::vector<Column>& children() const { return children_; }

    /// Rows in use of a list's child.
    size_t size() const { return size_; }
    /// Makes room for `count` more elements, all valid, and returns the first one's row.
    size_t grow(size_t count);
    /// Every row valid, no list elements.
    void clear();

  private:
    void reserve(size_t rows);

    const Type* type_;
    Layout layout_;
    bool has_nulls_ = false;
    std::byte* values_ = nullptr;
    size_t size_ = 0;
    size_t capacity_ = 0;
    std::unique_ptr<std::byte[]> own_;
    std::vector<uint64_t> validity_;
    std::vector<Column> children_;
};

/// Up to `block_rows` rows of one schema on their way from a producer to a consumer. Strings point into memory of the
/// producer (or of the block's `arena`) that stays until the producer's next fill. Belongs to one thread.
class Block {
  public:
    /// The schema must outlive the block.
    explicit Block(const Schema& schema);

    std::vector<Column> columns;
    size_t rows = 0;

    void clear();
    /// The same, but memory from allocate() stays.
    void clear_columns();

    /// Memory for bytes that do not exist in the producer's buffers (rendered text, NULs replaced); freed by clear().
    char* allocate(size_t bytes);

  private:
    std::vector<std::unique_ptr<char[]>> arena_;
    size_t arena_used_ = 0;
    size_t arena_size_ = 0;
};

}  // namespace penstock::data
