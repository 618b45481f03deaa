#include <duckdb.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "connect/parquet/objects/content.h"
#include "connect/parquet/objects/local_file.h"
#include "connect/parquet/objects/object_rows.h"
#include "connect/parquet/objects/parquet_columns.h"
#include "engine/error.h"
#include "engine/sql.h"
#include "engine/take.h"
#include "transform/events/scan.h"

namespace penstock::parquet {
namespace {

using engine::quote_identifier;
using engine::quote_literal;

class ParquetRows : public ObjectRows {
  public:
    ParquetRows(const RowsContext& context, const io::ObjectInfo& object, LocalFile file, engine::Connection connection)
        : context_(context),
          object_(object),
          url_(context.store.url(object.name)),
          file_(std::move(file)),
          connection_(std::move(connection)) {}

    ~ParquetRows() override {
        if (chunk_ != nullptr) duckdb_destroy_data_chunk(&chunk_);
        duckdb_destroy_result(&result_);
        duckdb_destroy_prepare(&statement_);
    }

    bool done() const override { return done_; }

    Status begin() {
        received_ = now().time_since_epoch().count();
        PN_TRY(auto columns, parquet_columns(connection_, file_.path(), url_));
        PN_TRY(auto select, parquet_select(columns, context_.table, url_));
        PN_CHECK(tell_rejects(select));
        auto values = select.values;
        own_values(values);
        std::string sql = fmt::format("SELECT {} FROM {}", fmt::join(values, ", "), parquet_rows_of(file_.path()));
        for (size_t i = 0; i < select.faults.size(); ++i)
            sql += fmt::format("{} NOT coalesce({}, false)", i == 0 ? " WHERE" : " AND", select.faults[i].second);
        if (duckdb_prepare(connection_.native(), sql.c_str(), &statement_) == DuckDBError)
            return fail(object_damaged(url_, duckdb_prepare_error(statement_)));
        if (duckdb_execute_prepared_streaming(statement_, &result_) == DuckDBError) return fail(failure());
        context_.scan.progress.bytes_read += static_cast<int64_t>(object_.size);
        return {};
    }

    Status fill(data::Block& block) override {
        if (chunk_ != nullptr) duckdb_destroy_data_chunk(&chunk_);
        chunk_ = duckdb_fetch_chunk(result_);
        if (chunk_ == nullptr || duckdb_data_chunk_get_size(chunk_) == 0) {
            if (duckdb_result_error(&result_) != nullptr && *duckdb_result_error(&result_) != '\0')
                return fail(failure());
            done_ = true;
            return {};
        }
        engine::take(chunk_, block);
        context_.scan.progress.rows_read += static_cast<int64_t>(block.rows);
        return {};
    }

  private:
    Error failure() {
        const char* said = duckdb_result_error(&result_);
        std::string message = said != nullptr ? said : "it cannot be read";
        if (connection_.stop().stop_requested()) return engine::error_from(DUCKDB_ERROR_INTERRUPT, message);
        auto error = engine::error_from(duckdb_result_error_type(&result_), message);
        if (error.kind == ErrorKind::capacity) return error;
        return object_damaged(url_, message);
    }

    std::string position() const {
        return fmt::format("{} || CAST(file_row_number + 1 AS VARCHAR)", quote_literal(object_.name + ":"));
    }

    /// The columns behind those of the file, in the table's order.
    void own_values(std::vector<std::string>& values) const {
        const auto& table = context_.table;
        auto ingestion = static_cast<size_t>(table.ingestion);
        auto moment = fmt::format("CAST(make_timestamp({}) AS TIMESTAMP WITH TIME ZONE)", received_);
        if (ingestion < values.size()) values[ingestion] = fmt::format("coalesce({}, {})", values[ingestion], moment);
        else values.push_back(moment);
        values.push_back(position());
        values.push_back(quote_literal(table.version));
    }

    /// Rows with a value that its column cannot hold.
    Status tell_rejects(const ParquetSelect& select) {
        if (select.faults.empty()) return {};
        std::string column = "CASE", any;
        for (const auto& [name, fault] : select.faults) {
            column += fmt::format(" WHEN {} THEN {}", fault, quote_literal(name));
            any += fmt::format("{}{}", any.empty() ? "" : " OR ", fault);
        }
        auto rows =
            connection_.query(fmt::format("SELECT {} END, {}, CAST(to_json(penstock_row) AS VARCHAR) FROM {} AS "
                                          "penstock_row WHERE {}",
                                          column, position(), parquet_rows_of(file_.path()), any));
        if (!rows) return fail(std::move(rows.error()));
        for (size_t i = 0; i < rows->rows.size(); ++i) {
            flow::Message message{
                .payload = rows->text(i, 2), .position = rows->text(i, 1), .received_micros = received_};
            events::Refusal refusal{.column = rows->text(i, 0),
                                    .path = rows->text(i, 0),
                                    .code = "nanoseconds",
                                    .reason = "the time has nanoseconds, and columns hold microseconds"};
            context_.scan.progress.rows_read += 1;
            context_.scan.progress.rows_rejected += 1;
            PN_CHECK(context_.scan.rejects.add(
                events::reject_of(message, context_.table.info.name, "", std::move(refusal))));
        }
        return {};
    }

    RowsContext context_;
    io::ObjectInfo object_;
    std::string url_;
    LocalFile file_;
    engine::Connection connection_;
    duckdb_prepared_statement statement_ = nullptr;
    duckdb_result result_{};
    duckdb_data_chunk chunk_ = nullptr;
    int64_t received_ = 0;
    bool done_ = false;
};

}  // namespace

Result<std::unique_ptr<ObjectRows>> parquet_rows(const RowsContext& context, const io::ObjectInfo& object,
                                                 engine::Database& database) {
    PN_TRY(auto file, LocalFile::of(context.store, object));
    PN_TRY(auto connection, database.connect(context.scan.stop));
    auto rows = std::make_unique<ParquetRows>(context, object, std::move(file), std::move(connection));
    PN_CHECK(rows->begin());
    return rows;
}

Result<events::TableDefinition> parquet_definition(io::ObjectStore& store, const io::ObjectInfo& object,
                                                   engine::Database& database) {
    PN_TRY(auto file, LocalFile::of(store, object));
    PN_TRY(auto connection, database.connect());
    PN_TRY(auto columns, parquet_columns(connection, file.path(), store.url(object.name)));
    events::TableDefinition made;
    for (auto& column : columns)
        made.schema.fields.push_back({.name = std::move(column.name), .type = std::move(column.type)});
    return made;
}

}  // namespace penstock::parquet
