#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/postgres/capture/relation_columns.h"
#include "connect/postgres/capture/table_shape.h"
#include "connect/postgres/replication/lsn.h"

namespace penstock::postgres {

/// How far a captured table is; the position of its checkpoint, as JSON.
struct ChangePosition {
    Lsn streamed;  ///< the pipeline's stream: what committed before is in the target, in every table whose `from` lies before it
    Lsn from;  ///< the table's snapshot holds what committed before; its changes count from here on
    std::string system;
    int64_t timeline = 0;
    Lsn born;                         ///< where the slot began, or was taken up anew: tables of one stream share it
    uint32_t oid = 0;                 ///< of the table
    std::vector<uint32_t> tables;     ///< all that the stream captured then: others may have changed meanwhile
    std::optional<TableShape> shape;  ///< the table's then; checkpoints of former versions have none
    /// The columns that changes from `streamed` on may have: the first as of a moment before, others that were seen since. Nothing
    /// in checkpoints of former versions.
    std::vector<KnownColumns> known;

    std::string to_json() const;
    static Result<ChangePosition> from_json(const std::string& text);
};

/// Where the stream of a slot goes on; the position of the stream's own checkpoint, as JSON. Tables are named as in
/// TableInfo::name.
struct StreamPosition {
    Lsn streamed;  ///< all that committed before is in the target
    std::string system;
    int64_t timeline = 0;
    Lsn born;                                ///< as in ChangePosition
    std::map<std::string, uint32_t> tables;  ///< captured, with their oids: others may have changed meanwhile
    std::map<std::string, Trouble> unread;   ///< captured, but to be read anew before anything of them counts
    std::map<std::string, Trouble> aside;    ///< not captured until somebody asks for them
    std::map<std::string, Trouble> unfit;    ///< not captured as long as they are as they are

    std::string to_json() const;
    static Result<StreamPosition> from_json(const std::string& text);
    /// What is wrong, a sentence a table.
    std::vector<std::string> troubles() const;
};

}  // namespace penstock::postgres
