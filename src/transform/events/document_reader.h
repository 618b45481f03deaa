#pragma once

#include <string>

#include "data/block.h"
#include "flow/messages.h"
#include "transform/events/value_reader.h"

namespace penstock::events {

/// Reads the events of one route into rows. One thread.
class DocumentReader {
  public:
    /// `table` outlives the reader.
    explicit DocumentReader(const EventTable& table) : table_(table) {}

    /// The event as one more row of the block, of the columns of EventTable::info; false with the reason, and no row. Values point
    /// into the message and into memory of the block. The index is that of its JSON.
    bool read(const flow::Message& message, const JsonIndex& index, data::Block& block, Refusal& refusal);
    /// The same of the object that comes next in a larger text, of a table without columns of ours. Refused, the cursor is
    /// anywhere in it.
    bool read_next(JsonCursor& cursor, data::Block& block, Refusal& refusal);
    /// The row that was read last is none.
    static void take_back(data::Block& block);

  private:
    bool fill(const flow::Message& message, const JsonIndex& index, data::Block& block, Refusal& refusal);
    bool fields(JsonCursor& cursor, ValueReader& values, data::Block& block, SeenFields& seen);
    bool refused(data::Block& block, Refusal& refusal) const;
    bool unknown(JsonCursor& cursor, ValueReader& values, std::string_view name);
    void own_columns(const flow::Message& message, data::Block& block, const SeenFields& seen);
    void keep_unknown(data::Block& block);

    const EventTable& table_;
    std::string kept_;
};

/// What column a refusal is of: the first name of its path.
std::string column_of(std::string_view path);

}  // namespace penstock::events
