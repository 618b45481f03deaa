#include "engine/compared.h"

#include <fmt/format.h>

#include "engine/canonical.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::engine {

Result<flow::ComparedTable> compared_table(std::shared_ptr<Connection> connection, const std::string& from) {
    flow::ComparedTable table{.dialect = "duckdb", .from = from, .ask = {}};
    PN_TRY(auto columns, columns_of(*connection, "SELECT * FROM " + from));
    for (auto& column : columns) {
        flow::ComparedColumn made{.name = column.name};
        if (column.type) {
            made.type = *column.type;
            made.text = canonical_text(made.type, quote_identifier(column.name));
        } else {
            made.not_compared = fmt::format("{} is no type that Penstock writes", column.sql_type);
        }
        table.columns.push_back(std::move(made));
    }
    table.ask = [connection = std::move(connection)](const std::string& sql) -> Result<flow::TextRows> {
        PN_TRY(auto answer, connection->query(sql));
        return std::move(answer.rows);
    };
    return table;
}

}  // namespace penstock::engine
