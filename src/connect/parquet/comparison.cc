#include "connect/parquet/comparison.h"

#include <fmt/format.h>

#include "connect/parquet/manifest.h"
#include "connect/parquet/write.h"
#include "engine/compared.h"
#include "engine/constant.h"
#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::parquet {
namespace {

class ComparedTables : public flow::ComparedTarget {
  public:
    ComparedTables(Path root, std::string pipeline, engine::Connection connection)
        : root_(std::move(root)),
          pipeline_(std::move(pipeline)),
          connection_(std::make_shared<engine::Connection>(std::move(connection))) {}

    Result<std::optional<flow::ComparedTable>> table(const std::string& name) override {
        PN_TRY(auto live, live_manifests(root_, pipeline_, name));
        if (live.empty()) return std::optional<flow::ComparedTable>();
        std::string rows;
        int64_t bytes = 0;
        for (const auto& manifest : live) {
            if (manifest.files.empty()) continue;
            rows += (rows.empty() ? "" : " UNION ALL ") + select(manifest, live.front().shape);
            for (const auto& file : manifest.files) bytes += file.bytes;
        }
        if (rows.empty()) rows = nothing(live.front().shape);
        PN_TRY(auto compared, engine::compared_table(connection_, fmt::format("({}) AS penstock_files", rows)));
        compared.bytes = bytes;
        return std::optional(std::move(compared));
    }

  private:
    /// A batch's rows in the table's shape of today.
    std::string select(const Manifest& manifest, const data::Schema& now) const {
        std::string columns;
        for (const auto& field : now.fields) {
            std::string value = manifest.shape.find(field.name) >= 0 ? engine::quote_identifier(field.name)
                                                                     : engine::older_rows_sql(field).value_or("NULL");
            columns += fmt::format("{}CAST({} AS {}) AS {}", columns.empty() ? "" : ", ", value,
                                   engine::sql_type(field.type), engine::quote_identifier(field.name));
        }
        return fmt::format("SELECT {} FROM {}", columns,
                           read_sql(root_, manifest.files, manifest.partitions, manifest.shape));
    }

    static std::string nothing(const data::Schema& shape) {
        std::string columns;
        for (const auto& field : shape.fields)
            columns += fmt::format("{}CAST(NULL AS {}) AS {}", columns.empty() ? "" : ", ",
                                   engine::sql_type(field.type), engine::quote_identifier(field.name));
        return fmt::format("SELECT {} WHERE false", columns);
    }

    Path root_;
    std::string pipeline_;
    std::shared_ptr<engine::Connection> connection_;
};

}  // namespace

Result<std::unique_ptr<flow::ComparedTarget>> compare(Path root, std::string pipeline, engine::Settings settings,
                                                      std::stop_token stop) {
    PN_TRY(auto database, engine::Database::in_memory(settings));
    PN_TRY(auto connection, database.connect(std::move(stop)));
    return std::make_unique<ComparedTables>(std::move(root), std::move(pipeline), std::move(connection));
}

}  // namespace penstock::parquet
