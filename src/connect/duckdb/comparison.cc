#include "connect/duckdb/comparison.h"

#include <system_error>

#include "engine/compared.h"
#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

class ComparedTables : public flow::ComparedTarget {
  public:
    explicit ComparedTables(std::shared_ptr<engine::Connection> connection) : connection_(std::move(connection)) {}

    Result<std::optional<flow::ComparedTable>> table(const std::string& name) override {
        if (connection_ == nullptr) return std::optional<flow::ComparedTable>();
        auto table = engine::TableName::parse(name);
        std::vector<engine::Value> which = {table.schema, table.table};
        PN_TRY(auto there, connection_->query("SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() "
                                              "AND lower(schema_name) = lower($1) AND lower(table_name) = lower($2)",
                                              which));
        if (there.empty()) return std::optional<flow::ComparedTable>();
        PN_TRY(auto compared, engine::compared_table(connection_, table.quoted()));
        compared.gives_up_rows = true;
        return std::optional(std::move(compared));
    }

  private:
    std::shared_ptr<engine::Connection> connection_;
};

}  // namespace

Result<std::unique_ptr<flow::ComparedTarget>> compare(const std::filesystem::path& file, engine::Settings settings,
                                                      std::stop_token stop) {
    std::shared_ptr<engine::Connection> connection;
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) {
        settings.read_only = true;
        PN_TRY(auto database, engine::Database::open(file, settings));
        PN_TRY(auto opened, database.connect(std::move(stop)));
        connection = std::make_shared<engine::Connection>(std::move(opened));
    }
    return std::make_unique<ComparedTables>(std::move(connection));
}

}  // namespace penstock::duckdb
