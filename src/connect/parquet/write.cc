#include "connect/parquet/write.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "data/block.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::parquet {
namespace {

using data::Kind;
using engine::quote_identifier;
using engine::quote_literal;

std::string_view trim(std::string_view text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
    return text;
}

/// Splits at commas that stand in no parentheses and no quotes.
std::vector<std::string_view> split_expressions(std::string_view text) {
    std::vector<std::string_view> parts;
    int depth = 0;
    char quote = 0;
    size_t start = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (quote != 0) {
            if (c == quote) quote = 0;
        } else if (c == '\'' || c == '"') quote = c;
        else if (c == '(' || c == '[') ++depth;
        else if (c == ')' || c == ']') --depth;
        else if (c == ',' && depth == 0) {
            parts.push_back(trim(text.substr(start, i - start)));
            start = i + 1;
        }
    }
    if (!trim(text.substr(start)).empty()) parts.push_back(trim(text.substr(start)));
    return parts;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

/// date(event_timestamp) is date_event_timestamp.
std::string name_of(std::string_view expression) {
    std::string name;
    for (char c : expression) {
        if (std::isalnum(static_cast<unsigned char>(c)) || c == '_') name += c;
        else if (!name.empty() && name.back() != '_') name += '_';
    }
    while (!name.empty() && name.back() == '_') name.pop_back();
    return name.empty() ? "partition" : name;
}

Partition parse_partition(std::string_view text, const data::Schema& shape) {
    std::string folded = lower(text);
    if (auto as = folded.rfind(" as "); as != folded.npos) {
        std::string_view name = trim(text.substr(as + 4));
        if (!name.empty() && name.find_first_of("()'\" ") == name.npos)
            return {.name = std::string(name), .expression = std::string(trim(text.substr(0, as)))};
    }
    std::string plain(text.size() > 1 && text.front() == '"' && text.back() == '"' ? text.substr(1, text.size() - 2)
                                                                                   : text);
    if (shape.find(plain) >= 0) return {.name = plain, .expression = quote_identifier(plain), .is_column = true};
    return {.name = name_of(text), .expression = std::string(text)};
}

bool survives_folder_name(Kind kind) {
    switch (kind) {
        case Kind::boolean:
        case Kind::int16:
        case Kind::int32:
        case Kind::int64:
        case Kind::uint32:
        case Kind::uint64:
        case Kind::decimal:
        case Kind::text:
        case Kind::uuid:
        case Kind::date:
        case Kind::timestamp:
        case Kind::timestamptz: return true;
        case Kind::float32:
        case Kind::float64:
        case Kind::json:
        case Kind::bytes:
        case Kind::time:
        case Kind::timetz:
        case Kind::interval:
        case Kind::list:
        case Kind::structure:
        case Kind::map: return false;
    }
    std::unreachable();
}

/// Kinds whose smallest and largest values Parquet's statistics hold exactly.
bool has_exact_range(Kind kind) {
    switch (kind) {
        case Kind::int16:
        case Kind::int32:
        case Kind::int64:
        case Kind::uint32:
        case Kind::uint64:
        case Kind::decimal:
        case Kind::date:
        case Kind::timestamp:
        case Kind::timestamptz: return true;
        default: return false;
    }
}

std::string_view codec_name(Compression compression) {
    switch (compression) {
        case Compression::zstd: return "zstd";
        case Compression::snappy: return "snappy";
        case Compression::gzip: return "gzip";
        case Compression::uncompressed: return "uncompressed";
    }
    std::unreachable();
}

std::string file_list(const Path& root, const std::vector<DataFile>& files) {
    std::string list;
    for (const auto& file : files) list += (list.empty() ? "" : ", ") + quote_literal((root / file.path).string());
    return "[" + list + "]";
}

Result<std::vector<DataFile>> list_files(const Path& folder) {
    std::vector<DataFile> files;
    std::error_code failed;
    std::filesystem::recursive_directory_iterator entries(folder, failed);
    for (; !failed && entries != std::filesystem::recursive_directory_iterator(); entries.increment(failed))
        if (entries->is_regular_file(failed))
            files.push_back({.path = entries->path().lexically_relative(folder).string()});
    if (failed) return fail(storage_error("list", folder, failed.value()));
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return files;
}

DataFile& file_of(std::vector<DataFile>& files, const Path& folder, const std::string& name) {
    std::string relative = Path(name).lexically_relative(folder).string();
    return *std::find_if(files.begin(), files.end(), [&](const DataFile& file) { return file.path == relative; });
}

Status add_sizes(engine::Connection& connection, const Path& folder, std::vector<DataFile>& files) {
    PN_TRY(auto rows,
           connection.query(fmt::format("SELECT file_name, num_rows, file_size_bytes FROM parquet_file_metadata({})",
                                        file_list(folder, files))));
    for (size_t i = 0; i < rows.rows.size(); ++i) {
        DataFile& file = file_of(files, folder, rows.text(i, 0));
        file.rows = rows.number(i, 1);
        file.bytes = rows.number(i, 2);
    }
    return {};
}

/// From the files' footers: no data is read.
Status add_ranges(engine::Connection& connection, const Path& folder, const std::vector<const data::Field*>& fields,
                  std::vector<DataFile>& files) {
    std::string columns;
    for (const auto* field : fields) {
        std::string of_column = fmt::format("FILTER (WHERE path_in_schema = {})", quote_literal(field->name));
        std::string type = engine::sql_type(field->type);
        columns += fmt::format(
            ", min(TRY_CAST(stats_min_value AS {0})) {1}::VARCHAR, max(TRY_CAST(stats_max_value AS {0})) {1}::VARCHAR, "
            "bool_and(TRY_CAST(stats_min_value AS {0}) IS NOT NULL OR stats_null_count = num_values) {1}, "
            "(sum(stats_null_count) {1})::BIGINT",
            type, of_column);
    }
    std::string sql = fmt::format("SELECT file_name{} FROM parquet_metadata({}) GROUP BY file_name", columns,
                                  file_list(folder, files));
    PN_TRY(auto rows, connection.query(sql));
    for (size_t i = 0; i < rows.rows.size(); ++i) {
        DataFile& file = file_of(files, folder, rows.text(i, 0));
        for (size_t f = 0; f < fields.size(); ++f) {
            const auto& row = rows.rows[i];
            if (row[1 + 4 * f] && row[2 + 4 * f] && rows.text(i, 3 + 4 * f) == "true")
                file.ranges[fields[f]->name] = {*row[1 + 4 * f], *row[2 + 4 * f]};
        }
    }
    return {};
}

/// By reading the column: for kinds whose statistics are not exact, and to know of NULLs for sure.
Status add_cursor(engine::Connection& connection, const Path& folder, const std::string& cursor,
                  const std::vector<std::string>& partitions, const data::Schema& shape, std::vector<DataFile>& files) {
    PN_TRY(auto rows, connection.query(fmt::format(
                          "SELECT _penstock_file, min({0})::VARCHAR, max({0})::VARCHAR, count(*) > count({0}) FROM {1} "
                          "GROUP BY _penstock_file",
                          quote_identifier(cursor), read_sql(folder, files, partitions, shape))));
    for (size_t i = 0; i < rows.rows.size(); ++i) {
        DataFile& file = file_of(files, folder, rows.text(i, 0));
        file.cursor_min = rows.text(i, 1);
        file.cursor_max = rows.text(i, 2);
        file.cursor_nulls = rows.text(i, 3) == "true";
    }
    return {};
}

Status check_type(const std::string& place, const data::Type& type) {
    if (type.kind == Kind::timetz || type.kind == Kind::interval)
        return fail(
            {.kind = ErrorKind::internal,
             .code = "type_not_held",
             .message = fmt::format("{} is {}, which Parquet cannot hold: the source should have delivered text", place,
                                    data::to_string(type))});
    if (type.kind == Kind::structure && type.children.empty())
        return fail({.kind = ErrorKind::schema,
                     .code = "empty_structure",
                     .message = fmt::format("{} is a composite without fields, which Parquet cannot hold", place),
                     .hint = "leave the column out, or read it as text through a query"});
    for (const auto& child : type.children) PN_CHECK(check_type(place, child.type));
    return {};
}

}  // namespace

Result<std::vector<Partition>> parse_partitions(const std::string& partition_by, const data::Schema& shape) {
    std::vector<Partition> partitions;
    for (auto text : split_expressions(partition_by)) {
        Partition partition = parse_partition(text, shape);
        int column = shape.find(partition.name);
        auto bad = [&](std::string why, std::string hint) {
            return fail({.kind = ErrorKind::configuration,
                         .code = "bad_partition",
                         .message = fmt::format("partition_by: {} {}", text, why),
                         .hint = std::move(hint)});
        };
        if (partition.is_column && !survives_folder_name(shape.fields[static_cast<size_t>(column)].type.kind))
            return bad(fmt::format("is {}, which a folder's name cannot hold",
                                   data::to_string(shape.fields[static_cast<size_t>(column)].type)),
                       "partition by an expression over it, such as date(x), or by another column");
        if (!partition.is_column && column >= 0)
            return bad(fmt::format("would be called {}, as a column is", partition.name),
                       "name it: `<expression> AS <name>`");
        for (const auto& other : partitions)
            if (lower(other.name) == lower(partition.name))
                return bad("is there twice", "name each expression: `… AS <name>`");
        partitions.push_back(std::move(partition));
    }
    size_t columns = static_cast<size_t>(
        std::count_if(partitions.begin(), partitions.end(), [](const auto& p) { return p.is_column; }));
    if (columns != 0 && columns == shape.fields.size())
        return fail({.kind = ErrorKind::configuration,
                     .code = "bad_partition",
                     .message = "partition_by names every column of the table: the files would hold none",
                     .hint = "leave at least one column out"});
    return partitions;
}

std::vector<std::string> partition_names(const std::vector<Partition>& partitions) {
    std::vector<std::string> names;
    for (const auto& partition : partitions) names.push_back(partition.name);
    return names;
}

namespace {

bool has_32_bits(const data::Type& type) {
    using data::Kind;
    if (type.kind == Kind::int32 || type.kind == Kind::uint32 || type.kind == Kind::date) return true;
    bool narrow_decimal = type.kind == Kind::decimal && data::layout_of(type) == data::Layout::int32;
    return narrow_decimal ||
           std::ranges::any_of(type.children, [](const auto& child) { return has_32_bits(child.type); });
}

}  // namespace

WriteOptions readable(WriteOptions options, const data::Schema& shape) {
    if (std::ranges::any_of(shape.fields, [](const auto& field) { return has_32_bits(field.type); }))
        options.version = FileVersion::v1;
    return options;
}

std::string copy_sql(const std::string& select, const Path& folder, const WriteOptions& options,
                     const std::vector<Partition>& partitions, const std::vector<std::string>& cluster_by) {
    std::string from = select;
    std::string extra;
    for (const auto& partition : partitions)
        if (!partition.is_column)
            extra += fmt::format(", ({}) AS {}", partition.expression, quote_identifier(partition.name));
    if (!extra.empty() || !cluster_by.empty()) from = fmt::format("SELECT *{} FROM ({})", extra, from);
    if (!cluster_by.empty()) from += " ORDER BY " + engine::quote_list(cluster_by);

    std::string copy = fmt::format(
        "COPY ({}) TO {} (FORMAT parquet, COMPRESSION {}, PARQUET_VERSION {}, WRITE_BLOOM_FILTER {}, ROW_GROUP_SIZE {}",
        from, quote_literal(folder.string()), codec_name(options.compression),
        options.version == FileVersion::v2 ? "v2" : "v1", options.bloom_filters, options.row_group_rows);
    if (options.compression == Compression::zstd)
        copy += fmt::format(", COMPRESSION_LEVEL {}", options.compression_level.value_or(1));
    if (!options.dictionaries) copy += ", DICTIONARY_SIZE_LIMIT 0";
    if (options.row_group_bytes) copy += fmt::format(", ROW_GROUP_SIZE_BYTES {}", *options.row_group_bytes);
    // Any FILE_SIZE_BYTES makes a folder of numbered files; without a bound it is one that is never reached.
    if (partitions.empty()) copy += fmt::format(", FILE_SIZE_BYTES {}", options.file_bytes.value_or(uint64_t{1} << 50));
    else copy += fmt::format(", PARTITION_BY ({})", engine::quote_list(partition_names(partitions)));
    return copy + ")";
}

std::string read_sql(const Path& root, const std::vector<DataFile>& files, const std::vector<std::string>& partitions,
                     const data::Schema& shape) {
    std::string types;
    for (const auto& name : partitions)
        if (int column = shape.find(name); column >= 0)
            types += fmt::format("{}{}: {}", types.empty() ? "" : ", ", quote_identifier(name),
                                 quote_literal(engine::sql_type(shape.fields[static_cast<size_t>(column)].type)));
    return fmt::format("read_parquet({}, union_by_name = true, filename = '_penstock_file', hive_partitioning = {}{})",
                       file_list(root, files), types.empty() ? "false" : "true",
                       types.empty() ? "" : fmt::format(", hive_types = {{{}}}", types));
}

Result<std::vector<DataFile>> written_files(engine::Connection& connection, const Path& folder,
                                            const data::Schema& shape, const std::string& cursor,
                                            const std::vector<std::string>& partitions) {
    if (!is_there(folder)) return std::vector<DataFile>{};
    PN_TRY(auto files, list_files(folder));
    if (files.empty()) return files;
    PN_CHECK(add_sizes(connection, folder, files));
    std::vector<const data::Field*> fields;
    for (const auto& field : shape.fields)
        if (has_exact_range(field.type.kind)) fields.push_back(&field);
    if (!fields.empty()) PN_CHECK(add_ranges(connection, folder, fields, files));
    if (!cursor.empty() && shape.find(cursor) >= 0)
        PN_CHECK(add_cursor(connection, folder, cursor, partitions, shape, files));
    return files;
}

int64_t rows_in(const std::vector<DataFile>& files) {
    int64_t rows = 0;
    for (const auto& file : files) rows += file.rows;
    return rows;
}

int64_t bytes_in(const std::vector<DataFile>& files) {
    int64_t bytes = 0;
    for (const auto& file : files) bytes += file.bytes;
    return bytes;
}

Status check_shape(const std::string& table, const data::Schema& shape) {
    std::set<std::string> seen;
    for (const auto& field : shape.fields) {
        if (!seen.insert(lower(field.name)).second)
            return fail({.kind = ErrorKind::schema,
                         .code = "ambiguous_columns",
                         .message = fmt::format(
                             "{} has several columns that are {} but for case, which Parquet readers cannot tell apart",
                             table, field.name),
                         .hint = "rename one through a query"});
        PN_CHECK(check_type(fmt::format("{}.{}", table, field.name), field.type));
    }
    return {};
}

}  // namespace penstock::parquet
