#pragma once

#include <string>
#include <vector>

#include "engine/types.h"
#include "transform/events/event_table.h"

namespace penstock::parquet {

/// How a column of a Parquet file is read.
struct ParquetColumn {
    std::string name;
    data::Type type;
    std::string value;  ///< SQL
    std::string fault;  ///< SQL that is true where the type cannot hold the value, or ""
};

/// As DuckDB has found them; an error names the column that no type of ours is.
Result<std::vector<ParquetColumn>> parquet_columns(engine::Connection& connection, const std::string& path,
                                                   const std::string& url);

/// What a file's columns are to a table: the values of each of its columns in order, and what keeps rows out. Columns may be missing
/// where they can be NULL, and narrower; an error where there is another or a type that does not fit.
struct ParquetSelect {
    std::vector<std::string> values;
    std::vector<std::pair<std::string, std::string>> faults;  ///< column, condition
};
Result<ParquetSelect> parquet_select(const std::vector<ParquetColumn>& file, const events::EventTable& table,
                                     const std::string& url);

/// FROM what: rows with file_row_number.
std::string parquet_rows_of(const std::string& path);

}  // namespace penstock::parquet
