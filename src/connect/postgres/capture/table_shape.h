#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/postgres/capture/change_plan.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {

/// Why a table's changes cannot be taken as they come.
struct Trouble {
    std::string code;
    std::string message;
    /// The changes up to the moment when the table is read are as good as ever, and are taken first: a history has them all.
    bool streams = false;
};

/// What a table was like at a checkpoint, as far as rows can change with it and nothing of that is streamed.
struct TableShape {
    struct Column {
        int32_t number = 0;
        uint32_t type = 0;
        int32_t modifier = -1;
        bool operator==(const Column&) const = default;
    };
    /// The table itself, or a partition of it.
    struct Piece {
        std::string joined;  ///< the transaction that made it a partition; "" of the table
        std::string file;    ///< another one: its rows were written anew, or it was emptied
        bool born = true;    ///< it has been a partition since it was made: it brought no rows
    };
    std::map<std::string, Column> columns;
    std::map<uint32_t, Piece> pieces;
    /// The publication's catalog rows that speak of the table, and the transactions that wrote them: others mean that it may
    /// have published less for a while. "" not published, or not known.
    std::string published;

    std::string to_json() const;
    static std::optional<TableShape> from_json(const std::string& text);
};

/// In the order of the tables.
Result<std::vector<TableShape>> table_shapes(Session& session, const std::vector<ChangeTable>& tables);

/// TableShape::published, in the order of the tables.
Result<std::vector<std::string>> published_as(Session& session, const std::string& publication,
                                              const std::vector<ChangeTable>& tables);

/// How changes tell what their columns are.
enum class ColumnsBy {
    name,    ///< older ones mean the column that had the name then
    number,  ///< names are none of their business
};

/// What the server has changed in rows of `table` since `before` without streaming it. A column whose name another one bears
/// now counts where changes name columns, or the other one is new.
std::optional<Trouble> unstreamed(const std::string& table, const TableShape& before, const TableShape& now,
                                  ColumnsBy columns);

}  // namespace penstock::postgres
