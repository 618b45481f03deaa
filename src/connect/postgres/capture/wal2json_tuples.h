#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "connect/postgres/capture/change_intake.h"
#include "connect/postgres/capture/change_log.h"
#include "connect/postgres/replication/pgoutput.h"
#include "connect/postgres/replication/wal2json.h"

namespace penstock::postgres {

/// What the catalog knows of a captured table and wal2json does not tell.
struct Wal2jsonCatalog {
    std::vector<bool> may_be_unsent;     ///< one a column of the table: long values lie out of line
    std::vector<std::string> generated;  ///< written by wal2json, but not captured
};

struct Wal2jsonTable {
    IntakeTable table;
    Wal2jsonCatalog catalog;
    /// NaN and the infinities come as text, not as null.
    bool special_numbers = false;
    ColumnsNow columns_now;  ///< asked when a change has columns that the table as it was planned has not
};

/// Rows of one table as wal2json writes them, columns with names, laid out as pgoutput's tuples, values in order, so that
/// nothing behind the log knows the difference.
///
/// There are no relation messages: the shape of the table is learned from the first change and from each that does not fit
/// what was learned. A column that an update leaves out was not sent (TOAST) where its type can be stored out of line, else
/// the table did not have it then; an insert has all columns.
class Wal2jsonTuples {
  public:
    explicit Wal2jsonTuples(Wal2jsonTable table);

    /// 'I', 'U' or 'D' as a change for the log; without table. Its tuples are good until the next call.
    Result<Change> take(const Wal2jsonChange& change);

  private:
    /// A column that changes have at present.
    struct Column {
        std::string name;
        std::string type;
        uint32_t type_oid = 0;
        int column = ChangeShape::not_captured;  ///< of the table
        bool generated = false;                  ///< is in no tuple
    };
    /// The values of a row, one a column of the layout.
    struct Row {
        std::vector<Tuple::Value> values;
        size_t placed = 0;  ///< that were sent, without generated ones
    };
    enum class Sent {
        all,   ///< what is not there the table does not have
        some,  ///< of what is not there, long values may just not have been sent
        key,   ///< nothing is known of what is not there
    };

    Result<Change> insert(const Wal2jsonChange& change);
    Result<Change> update(const Wal2jsonChange& change);
    Result<Change> remove(const Wal2jsonChange& change);
    bool place(std::span<const Wal2jsonColumn> columns, Row& row) const;
    bool only_long_ones_missing(const Row& row) const;
    Status learn(std::span<const Wal2jsonColumn> columns, Sent sent);
    Status check_nulls(const Row& row) const;
    Status check_identity(const Row& old) const;
    bool same_key(const Row& old, const Row& row) const;
    void write(const Row& row, bool key_only, std::string& tuple) const;
    int column_named(std::string_view name) const;
    Error identity_changed() const;

    Wal2jsonTable about_;
    std::vector<bool> null_is_special_;  ///< one a column of the table
    std::vector<bool> is_key_;
    std::vector<Column> layout_;
    size_t in_tuple_ = 0;  ///< columns of the layout that are not generated
    uint32_t shape_ = 0;
    Row row_, old_row_;
    std::string new_tuple_, old_tuple_;
};

/// The modifier (pg_attribute.atttypmod) that a type's name by format_type() shows, for the types where it changes values;
/// `otherwise` for all others.
int32_t modifier_of(uint32_t type, std::string_view shown, int32_t otherwise);

}  // namespace penstock::postgres
