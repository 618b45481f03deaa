#include "connect/parquet/reject_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/sql.h"

namespace penstock::parquet {

using engine::quote_literal;

std::string bookkeeping_files(const Path& root, const std::string& kind) {
    std::vector<std::string> found;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(root / "_penstock" / kind, none))
        if (entry.path().extension() == ".parquet") found.push_back(quote_literal(entry.path().string()));
    std::sort(found.begin(), found.end());
    return found.empty() ? ""
                         : fmt::format("read_parquet([{}], union_by_name = true, filename = '_penstock_file')",
                                       fmt::join(found, ", "));
}

std::string condition(const flow::RejectFilter& filter) {
    std::string where = "true";
    if (!filter.pipeline.empty()) where += fmt::format(" AND pipeline = {}", quote_literal(filter.pipeline));
    if (!filter.table.empty()) where += fmt::format(" AND \"table\" = {}", quote_literal(filter.table));
    std::string ids;
    for (const auto& id : filter.ids) ids += (ids.empty() ? "" : ", ") + quote_literal(id);
    if (!ids.empty()) where += fmt::format(" AND id IN ({})", ids);
    if (filter.open_only) where += " AND replayed_at IS NULL AND discarded_at IS NULL";
    return where;
}

Result<std::vector<MarkedFile>> mark_rejects(engine::Connection& connection, const Path& root,
                                             const flow::RejectFilter& filter, flow::Resolution resolution,
                                             TimePoint at, const std::function<Path(const Path& file)>& copy_of) {
    std::vector<MarkedFile> marked;
    std::string from = bookkeeping_files(root, "rejects");
    if (from.empty()) return marked;
    flow::RejectFilter open_ones = filter;
    open_ones.open_only = true;
    std::string where = condition(open_ones);
    PN_TRY(auto touched, connection.query(fmt::format(
                             "SELECT _penstock_file, count(*) FROM {} WHERE {} GROUP BY 1 ORDER BY 1", from, where)));
    const char* column = resolution == flow::Resolution::replayed ? "replayed_at" : "discarded_at";
    for (size_t i = 0; i < touched.rows.size(); ++i) {
        Path file = touched.text(i, 0);
        Path copy = copy_of(file);
        PN_CHECK(connection.execute(fmt::format(
            "COPY (SELECT * EXCLUDE (_penstock_file) REPLACE (CASE WHEN {0} THEN TIMESTAMPTZ {1} ELSE {2} END AS {2}) "
            "FROM read_parquet({3}, filename = '_penstock_file')) TO {4} (FORMAT parquet, COMPRESSION zstd)",
            where, quote_literal(iso_time(at)), column, quote_literal(file.string()), quote_literal(copy.string()))));
        marked.push_back({.file = std::move(file), .copy = std::move(copy), .marked = touched.number(i, 1)});
    }
    return marked;
}

}  // namespace penstock::parquet
