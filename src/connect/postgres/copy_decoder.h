#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "connect/postgres/reader.h"
#include "data/block.h"

namespace penstock::postgres {

/// Rows of a block of so many columns: keeps the index of a table with hundreds of them within a few MiB.
size_t rows_of_block(size_t columns);

/// Splits binary COPY data into rows and decodes them column by column, a few rows at a time, while their bytes are in the
/// nearest cache. No I/O; belongs to one thread. Malformed framing is
/// an error of kind `data`; a value that cannot be held refuses its row only.
/// Source: PostgreSQL documentation, COPY, "Binary Format".
class CopyDecoder {
  public:
    /// `readers` one a column, in the order of the COPY's columns.
    explicit CopyDecoder(std::vector<ReaderPtr> readers);

    /// Before a new COPY: expects the file header again.
    void restart();
    /// Forgets the rows of the last block; memory handed to `split` before may go away now. The block must be clear.
    void begin_block();
    /// Takes the payload of one CopyData message, which must stay in place until the next begin_block().
    Status split(std::string_view payload, data::Block& block);
    size_t rows() const { return rows_; }
    /// Bytes of earlier messages wait for the next split(); PostgreSQL itself sends one row a message and leaves none.
    bool carries() const { return !carried_.empty(); }
    bool full() const { return rows_ == capacity_; }
    /// The trailer was seen: nothing more comes in this COPY.
    bool ended() const { return ended_; }

    /// Decodes the split rows into the block and sets block.rows. When values were refused the block is not usable yet:
    /// `refused` names each refused row once, by its first refusal; record them with raw(), then call decode_rest.
    void decode(data::Block& block, std::vector<RefusedRow>& refused);
    /// Decodes anew without the refused rows. Refusals are rare; this way no reader ever has to undo.
    void decode_rest(data::Block& block, const std::vector<RefusedRow>& refused);

    /// A field as split, for keys and payloads of refused rows.
    FieldRef raw(size_t row, size_t column) const { return fields_[column * stride_ + row]; }
    size_t columns() const { return readers_.size(); }

  private:
    /// One whole row at the front of `bytes`: its size; 0 when bytes are missing.
    Result<size_t> split_row(std::string_view bytes);
    Result<size_t> split_header(std::string_view bytes);
    void decode_to(size_t end, data::Block& block);
    void drop_rows(const std::vector<RefusedRow>& refused);

    std::vector<ReaderPtr> readers_;
    size_t capacity_;               // rows a block takes; fewer than block_rows for very wide tables
    size_t stride_;                 // distance of columns in fields_
    std::vector<FieldRef> fields_;  // column-major
    std::vector<RefusedRow> refused_;
    size_t decoded_ = 0;  // rows before this are in the block
    size_t rows_ = 0;
    bool header_seen_ = false;
    bool ended_ = false;
    std::string carried_;  // rows beyond a full block, or the start of one whose rest comes with the next message
};

}  // namespace penstock::postgres
