#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/parquet/evolution.h"
#include "connect/parquet/manifest.h"
#include "connect/parquet/storage.h"
#include "engine/database.h"

namespace penstock::parquet {

enum class Compression { zstd, snappy, gzip, uncompressed };
enum class FileVersion {
    v1,  ///< plain and dictionary encodings only, for old readers
    v2,  ///< delta, length and byte-stream encodings too: smaller files for less work
};

struct WriteOptions {
    Compression compression = Compression::zstd;
    std::optional<int64_t> compression_level = {};  ///< zstd only; 1 where nothing is said
    int64_t row_group_rows = 122880;
    std::optional<uint64_t> row_group_bytes = {};
    std::optional<uint64_t> file_bytes = {};  ///< a file that has grown past it is closed and another begun
    FileVersion version = FileVersion::v2;
    bool dictionaries = true;  ///< DuckDB's hold one zero for 0.0 and -0.0
    bool bloom_filters = false;
};

/// The same options with what readers of this shape can read. DuckDB's delta encoding of 32-bit columns uses up to 33 bits a
/// difference, which Arrow (and the format's reference) refuse: such tables are written in version 1.
WriteOptions readable(WriteOptions options, const data::Schema& shape);

/// One level of Hive folders, `name=value/`.
struct Partition {
    std::string name;
    std::string expression;  ///< SQL over the table's columns
    bool is_column =
        false;  ///< the column itself: it stands in the folder's name and not in the files, as is the custom
};

/// "region, date(created_at) AS day": each expression is a column or has a name, given or made of its letters. Columns of
/// kinds whose text in a folder's name does not give the value back are refused.
Result<std::vector<Partition>> parse_partitions(const std::string& partition_by, const data::Schema& shape);

/// Names only, where the shape is not at hand.
std::vector<std::string> partition_names(const std::vector<Partition>& partitions);

/// COPY (…) TO the folder, which must not exist. `select` gives the columns of the shape.
std::string copy_sql(const std::string& select, const Path& folder, const WriteOptions& options,
                     const std::vector<Partition>& partitions, const std::vector<std::string>& cluster_by);

/// A FROM item that reads these files with the columns they have, partition columns in their own type.
std::string read_sql(const Path& root, const std::vector<DataFile>& files, const std::vector<std::string>& partitions,
                     const data::Schema& shape);

/// What was written below a folder, with paths relative to it, row counts, sizes and ranges of values.
Result<std::vector<DataFile>> written_files(engine::Connection& connection, const Path& folder,
                                            const data::Schema& shape, const std::string& cursor,
                                            const std::vector<std::string>& partitions);

/// Sums over files.
int64_t rows_in(const std::vector<DataFile>& files);
int64_t bytes_in(const std::vector<DataFile>& files);

/// Parquet writers and readers know no columns that differ only by case, nor structs without fields: said before a row is read.
Status check_shape(const std::string& table, const data::Schema& shape);

}  // namespace penstock::parquet
