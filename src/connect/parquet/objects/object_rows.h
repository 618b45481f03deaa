#pragma once

#include <memory>
#include <string>

#include "connect/parquet/objects/source_options.h"
#include "engine/database.h"
#include "flow/scan.h"
#include "io/object_store.h"
#include "transform/events/event_table.h"

namespace penstock::parquet {

/// The rows of one object. One thread.
class ObjectRows {
  public:
    virtual ~ObjectRows() = default;
    /// The next rows into a clear block; none may come before the end. What the table cannot hold is told to the rejects.
    virtual Status fill(data::Block& block) = 0;
    virtual bool done() const = 0;
};

inline constexpr uint64_t most_block_bytes = uint64_t{8} << 20;
/// Rows refused before a block is handed over though it may be empty.
inline constexpr int64_t most_refused = 4096;
/// Of a row that is too large, in its reject.
inline constexpr size_t shown_bytes = 4096;

/// What rows of an object are read with.
struct RowsContext {
    io::ObjectStore& store;
    const SourceOptions& options;
    const events::EventTable& table;
    flow::ScanContext scan;
};

Result<std::unique_ptr<ObjectRows>> json_rows(const RowsContext& context, const io::ObjectInfo& object);
Result<std::unique_ptr<ObjectRows>> csv_rows(const RowsContext& context, const io::ObjectInfo& object);

/// `database` outlives the rows.
Result<std::unique_ptr<ObjectRows>> parquet_rows(const RowsContext& context, const io::ObjectInfo& object,
                                                 engine::Database& database);

/// The table's columns, as an object has them: of CSV with a header, each a text.
Result<events::TableDefinition> csv_definition(io::ObjectStore& store, const SourceOptions& options,
                                               const io::ObjectInfo& object);
Result<events::TableDefinition> parquet_definition(io::ObjectStore& store, const io::ObjectInfo& object,
                                                   engine::Database& database);

}  // namespace penstock::parquet
