#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "connect/parquet/table_load.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::parquet {
namespace {

using engine::quote_identifier;
using engine::quote_literal;

/// The smallest and largest of texts, compared as values of a type, over files that have any.
Result<std::pair<std::string, std::string>> bounds(engine::Connection& connection, const std::vector<DataFile>& files,
                                                   const std::string& type) {
    std::string values;
    for (const auto& file : files)
        if (!file.cursor_max.empty())
            values += fmt::format("{}({}, {})", values.empty() ? "" : ", ", quote_literal(file.cursor_min),
                                  quote_literal(file.cursor_max));
    if (values.empty()) return std::pair<std::string, std::string>{};
    PN_TRY(auto rows,
           connection.query(fmt::format("SELECT min(CAST(low AS {0}))::VARCHAR, max(CAST(high AS {0}))::VARCHAR "
                                        "FROM (VALUES {1}) AS t(low, high)",
                                        type, values)));
    return std::pair{rows.text(0, 0), rows.text(0, 1)};
}

bool any_nulls(const std::vector<DataFile>& files) {
    return std::ranges::any_of(files, [](const DataFile& file) { return file.cursor_nulls; });
}

}  // namespace

Status TableLoad::take_raw() {
    if (!partitions_.empty() || !target_.cluster_by.empty())
        return write_final("SELECT * EXCLUDE (_penstock_file) FROM " + read_sql(raw_folder(), raw_, {}, schema_));
    PN_CHECK(move_path(raw_folder(), data_folder()));
    files_ = std::exchange(raw_, {});
    return {};
}

/// A source reads again from the lower bound of its cursor on, because rows may have been committed late below its upper
/// end. Of the staged rows, those that were published in an earlier batch, value for value and as often, are left out.
/// What is compared: published rows not below the lowest staged cursor value with staged rows not above the highest
/// published one; and rows without cursor value, where there are any on both sides.
Status TableLoad::leave_out_published() {
    if (counts_.rows_read == 0) return {};
    PN_TRY(auto live, live_manifests(context_.unit.root(), context_.pipeline, target_.name));
    PN_TRY(auto reach, batches_in_reach(live));
    if (reach.empty()) return take_raw();

    std::string cursor = quote_identifier(cursor_);
    std::string type = engine::sql_type(schema_.fields[static_cast<size_t>(schema_.find(cursor_))].type);
    PN_TRY(auto staged_bounds, bounds(connection_, raw_, type));
    bool nulls = any_nulls(raw_);

    std::vector<engine::ComparedColumn> compared;
    for (const auto& column : shape_.columns) {
        bool everywhere = column.source >= 0;
        for (const auto& [manifest, files] : reach) everywhere = everywhere && manifest->shape.find(column.before) >= 0;
        if (everywhere) compared.push_back({.name = column.field.name, .type = column.field.type});
    }
    std::string published;
    std::vector<DataFile> all;
    for (const auto& [manifest, files] : reach) {
        published += (published.empty() ? "" : " UNION ALL ") + select_published(*manifest, files);
        all.insert(all.end(), files.begin(), files.end());
    }
    PN_TRY(auto published_bounds, bounds(connection_, all, type));

    auto within = [&](std::string_view comparison, const std::string& bound) {
        std::string condition =
            bound.empty() ? "false"
                          : fmt::format("{} {} CAST({} AS {})", cursor, comparison, quote_literal(bound), type);
        return nulls ? fmt::format("({} OR {} IS NULL)", condition, cursor) : condition;
    };
    // The sign of a zero does not tell rows apart here: a dictionary in the file may have lost it, and a row must not be added
    // again for that.
    std::string columns;
    for (const auto& column : compared) columns += (columns.empty() ? "" : ", ") + quote_identifier(column.name);
    std::string values = engine::value_list_but_for_zero_sign(compared);
    std::string same = engine::same_but_for_zero_sign(compared, "s", "p");
    std::string raw = "SELECT * EXCLUDE (_penstock_file) FROM " + read_sql(raw_folder(), raw_, {}, schema_);
    return write_final(fmt::format(
        "WITH raw AS ({raw}), "
        "p AS (SELECT {columns}, count(*) AS _penstock_times FROM ({published}) WHERE {lower} GROUP BY {values}), "
        "s AS (SELECT *, row_number() OVER (PARTITION BY {values}) AS _penstock_time FROM raw WHERE {upper}) "
        "SELECT s.* EXCLUDE (_penstock_time) FROM s LEFT JOIN p ON {same} WHERE s._penstock_time > "
        "coalesce(p._penstock_times, 0) "
        "UNION ALL SELECT * FROM raw WHERE ({upper}) IS NOT TRUE",
        fmt::arg("raw", raw), fmt::arg("columns", columns), fmt::arg("published", published),
        fmt::arg("lower", within(">=", staged_bounds.first)), fmt::arg("upper", within("<=", published_bounds.second)),
        fmt::arg("same", same), fmt::arg("values", values)));
}

/// Batches, each with those of its files that may hold a row of the staged range of cursor values.
Result<std::vector<std::pair<const Manifest*, std::vector<DataFile>>>> TableLoad::batches_in_reach(
    const std::vector<Manifest>& live) const {
    std::vector<std::pair<const Manifest*, std::vector<DataFile>>> reach;
    int position = schema_.find(cursor_);
    if (position < 0) return reach;
    std::string type = engine::sql_type(schema_.fields[static_cast<size_t>(position)].type);
    PN_TRY(auto staged, bounds(connection_, raw_, type));
    std::string values;
    for (size_t m = 0; m < live.size(); ++m)
        for (size_t f = 0; f < live[m].files.size(); ++f)
            values +=
                fmt::format("{}({}, {}, {}, {})", values.empty() ? "" : ", ", m, f,
                            live[m].files[f].cursor_max.empty() ? "NULL" : quote_literal(live[m].files[f].cursor_max),
                            live[m].files[f].cursor_nulls);
    if (values.empty()) return reach;
    std::string low = staged.first.empty() ? "NULL" : quote_literal(staged.first);
    PN_TRY(auto rows,
           connection_.query(fmt::format(
               "SELECT m, f FROM (VALUES {}) AS t(m, f, high, nulls) WHERE CAST(high AS {}) >= CAST({} AS {}) "
               "OR (nulls AND {}) ORDER BY m, f",
               values, type, low, type, any_nulls(raw_))));
    for (size_t i = 0; i < rows.rows.size(); ++i) {
        const Manifest& manifest = live[static_cast<size_t>(rows.number(i, 0))];
        const DataFile& file = manifest.files[static_cast<size_t>(rows.number(i, 1))];
        if (!is_there(context_.unit.root() / file.path)) {
            log::warning("{} is gone: rows that were in it and are read again count as new", file.path);
            continue;
        }
        if (reach.empty() || reach.back().first != &manifest) reach.push_back({&manifest, {}});
        reach.back().second.push_back(file);
    }
    return reach;
}

}  // namespace penstock::parquet
