#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "connect/postgres/capture/table_shape.h"
#include "connect/postgres/replication/lsn.h"
#include "connect/postgres/replication/pgoutput.h"

namespace penstock::postgres {

/// A table's captured columns as the catalog had them when the server's log was at `at`: by name.
struct KnownColumns {
    Lsn at;
    std::map<std::string, TableShape::Column> columns;
    std::string file =
        {};  ///< of its rows: another one later, they may have been rewritten for a column's type; "" not known
};

/// The newest of `known` (oldest first) that changes made at `lsn` cannot be older than.
const KnownColumns* known_at(std::span<const KnownColumns> known, Lsn lsn);

/// A column as the catalog has it now, also one that was dropped.
struct NumberedColumn {
    int32_t number = 0;
    std::string name;
    uint32_t type = 0;  ///< 0 of one that was dropped
    bool dropped = false;
    std::vector<uint32_t> may_have_been =
        {};  ///< types of the message that one that was dropped can have had, by their layout
};

/// All there are and were, by number.
struct CatalogNow {
    std::vector<NumberedColumn> columns;
    std::string file = {};  ///< as in KnownColumns
};

/// Which columns a relation message speaks of, by their numbers in pg_attribute, in the message's order. Names tell nothing where
/// columns are renamed; but the server sends all columns there were, in the order of their numbers, which never change hands,
/// and a later column has a higher one. `before` is what the table had at some time before the message, `now` what it has or
/// had at some time after it. Nothing where more than one answer fits.
std::optional<std::vector<int32_t>> numbers_of(std::span<const RelationColumn> message, const KnownColumns& before,
                                               const CatalogNow& now);

}  // namespace penstock::postgres
