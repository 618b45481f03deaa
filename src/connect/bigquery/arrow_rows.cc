#include "connect/bigquery/arrow_rows.h"

#include <arrow/api.h>
#include <arrow/c/bridge.h>
#include <arrow/ipc/api.h>
#include <arrow/util/byte_size.h>
#include <arrow/util/decimal.h>
#include <fmt/format.h>

#include "engine/error.h"
#include "engine/sql.h"

namespace penstock::bigquery {
namespace {

using Batch = std::shared_ptr<arrow::RecordBatch>;
using Array = std::shared_ptr<arrow::Array>;
using Type = std::shared_ptr<arrow::DataType>;

/// Requests large enough that calls do not count, small enough that a broken connection costs little.
constexpr int64_t usual_message_bytes = 3 << 20;
constexpr int64_t most_rows = 65'536;

Error unwritable(const arrow::Status& status) {
    bool memory = status.IsOutOfMemory();
    return {.kind = memory ? ErrorKind::capacity : ErrorKind::internal,
            .code = memory ? "out_of_memory" : "arrow_rows",
            .message = fmt::format("staged rows cannot be written as Arrow: {}", status.message())};
}

Error engine_error(duckdb_error_data error) {
    Error made = engine::error_from(duckdb_error_data_error_type(error), duckdb_error_data_message(error));
    duckdb_destroy_error_data(&error);
    return made;
}

/// "Supported Apache Arrow data types": NUMERIC is a decimal of 128 bits with 9 digits behind the point, BIGNUMERIC one of 256
/// bits with 38; everything else comes from the engine as it is wanted.
Type wanted_type(const Type& given, const Column& column);

std::vector<std::shared_ptr<arrow::Field>> wanted_fields(const arrow::FieldVector& given,
                                                         const std::vector<Column>& columns) {
    std::vector<std::shared_ptr<arrow::Field>> fields;
    for (size_t i = 0; i < given.size(); ++i)
        fields.push_back(arrow::field(columns[i].name, wanted_type(given[i]->type(), columns[i])));
    return fields;
}

Type wanted_type(const Type& given, const Column& column) {
    if (given->id() == arrow::Type::LIST) {
        Column element = column;
        element.repeated = false;
        return arrow::list(arrow::field("item", wanted_type(given->field(0)->type(), element)));
    }
    if (given->id() == arrow::Type::STRUCT) return arrow::struct_(wanted_fields(given->fields(), column.fields));
    if (column.type == "NUMERIC") return arrow::decimal128(38, 9);
    if (column.type == "BIGNUMERIC") return arrow::decimal256(76, 38);
    return given;
}

arrow::Result<Array> decimals(const arrow::Array& given, const Type& type) {
    int32_t scale = static_cast<const arrow::DecimalType&>(*given.type()).scale();
    int32_t more = static_cast<const arrow::DecimalType&>(*type).scale() - scale;
    const auto& values = static_cast<const arrow::Decimal128Array&>(given);
    bool narrow = type->id() == arrow::Type::DECIMAL128;
    std::unique_ptr<arrow::ArrayBuilder> builder;
    ARROW_RETURN_NOT_OK(arrow::MakeBuilder(arrow::default_memory_pool(), type, &builder));
    ARROW_RETURN_NOT_OK(builder->Reserve(given.length()));
    for (int64_t i = 0; i < given.length(); ++i) {
        if (given.IsNull(i)) {
            ARROW_RETURN_NOT_OK(builder->AppendNull());
            continue;
        }
        arrow::Decimal128 value(values.GetValue(i));
        if (narrow) {
            ARROW_ASSIGN_OR_RAISE(auto moved, value.Rescale(scale, scale + more));
            ARROW_RETURN_NOT_OK(static_cast<arrow::Decimal128Builder&>(*builder).Append(moved));
        } else {
            ARROW_ASSIGN_OR_RAISE(auto moved, arrow::Decimal256(value).Rescale(scale, scale + more));
            ARROW_RETURN_NOT_OK(static_cast<arrow::Decimal256Builder&>(*builder).Append(moved));
        }
    }
    return builder->Finish();
}

arrow::Result<Array> as_wanted(const Array& given, const Type& type) {
    if (given->type_id() == arrow::Type::LIST) {
        const auto& list = static_cast<const arrow::ListArray&>(*given);
        ARROW_ASSIGN_OR_RAISE(auto values, as_wanted(list.values(), type->field(0)->type()));
        // NULL and an empty array are one for BigQuery: the engine leaves no elements below a NULL.
        return std::make_shared<arrow::ListArray>(type, list.length(), list.value_offsets(), values, nullptr, 0,
                                                  list.offset());
    }
    if (given->type_id() == arrow::Type::STRUCT) {
        const auto& structure = static_cast<const arrow::StructArray&>(*given);
        std::vector<Array> fields;
        for (int i = 0; i < structure.num_fields(); ++i) {
            ARROW_ASSIGN_OR_RAISE(auto field, as_wanted(structure.field(i), type->field(i)->type()));
            fields.push_back(std::move(field));
        }
        // Its fields have been cut to its rows, and so must be what says which rows are NULL.
        std::shared_ptr<arrow::Buffer> valid;
        if (structure.null_bitmap() != nullptr) {
            ARROW_ASSIGN_OR_RAISE(
                valid, arrow::internal::CopyBitmap(arrow::default_memory_pool(), structure.null_bitmap_data(),
                                                   structure.offset(), structure.length()));
        }
        return std::make_shared<arrow::StructArray>(type, structure.length(), fields, valid);
    }
    if (given->type()->Equals(*type)) return given;
    if (given->type_id() == arrow::Type::DECIMAL128) return decimals(*given, type);
    return arrow::Status::TypeError(given->type()->ToString(), " is staged where ", type->ToString(), " is wanted");
}

std::string select_of(const std::filesystem::path& file, const std::vector<Column>& columns, const std::string& mark) {
    std::string list;
    for (const auto& column : columns) list += (list.empty() ? "" : ", ") + engine::quote_identifier(column.name);
    return fmt::format("SELECT {} FROM read_parquet([{}]){}", list, engine::quote_literal(file.string()),
                       mark.empty() ? "" : fmt::format(" WHERE {} IS NULL", engine::quote_identifier(mark)));
}

}  // namespace

struct ArrowRows::State {
    explicit State(engine::Connection& session) : connection(session) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        if (options != nullptr) duckdb_destroy_arrow_options(&options);
        duckdb_destroy_result(&result);
        duckdb_destroy_prepare(&statement);
    }

    Status start(const std::string& sql);
    Status learn_types(const std::vector<Column>& columns);
    Result<Batch> fetch();
    arrow::Status write(const Batch& batch, std::deque<ArrowMessage>& out) const;

    engine::Connection& connection;
    duckdb_prepared_statement statement = nullptr;
    duckdb_result result = {};
    duckdb_arrow_options options = nullptr;
    bool ended = false;
    std::shared_ptr<arrow::Schema> given, wanted;
    std::string schema;
};

Status ArrowRows::State::start(const std::string& sql) {
    if (connection.stop().stop_requested())
        return fail({.kind = ErrorKind::interrupted, .code = "interrupted", .message = "the run was stopped"});
    if (duckdb_prepare(connection.native(), sql.c_str(), &statement) == DuckDBError)
        return fail(engine::error_from(DUCKDB_ERROR_INVALID, duckdb_prepare_error(statement)));
    // A stream: the rows of a file may not have room in memory.
    if (duckdb_execute_prepared_streaming(statement, &result) == DuckDBError)
        return fail(engine::error_from(duckdb_result_error_type(&result), duckdb_result_error(&result)));
    options = duckdb_result_get_arrow_options(&result);
    return {};
}

Status ArrowRows::State::learn_types(const std::vector<Column>& columns) {
    std::vector<duckdb_logical_type> types;
    std::vector<const char*> names;
    for (idx_t i = 0; i < duckdb_column_count(&result); ++i) {
        types.push_back(duckdb_column_logical_type(&result, i));
        names.push_back(duckdb_column_name(&result, i));
    }
    ArrowSchema raw = {};
    duckdb_error_data failed = duckdb_to_arrow_schema(options, types.data(), names.data(), types.size(), &raw);
    for (auto& type : types) duckdb_destroy_logical_type(&type);
    if (failed != nullptr) return fail(engine_error(failed));
    auto schema_given = arrow::ImportSchema(&raw);
    if (!schema_given.ok()) return fail(unwritable(schema_given.status()));
    given = *schema_given;
    wanted = arrow::schema(wanted_fields(given->fields(), columns));
    auto bytes = arrow::ipc::SerializeSchema(*wanted);
    if (!bytes.ok()) return fail(unwritable(bytes.status()));
    schema = (*bytes)->ToString();
    return {};
}

/// A few thousand rows, or null at the end.
Result<Batch> ArrowRows::State::fetch() {
    if (ended) return Batch();  // a stream that has ended is not to be asked again
    duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
    if (chunk == nullptr) {
        ended = true;
        const char* failed = duckdb_result_error(&result);
        if (failed != nullptr && *failed != '\0')
            return fail(engine::error_from(duckdb_result_error_type(&result), failed));
        return Batch();
    }
    ArrowArray raw = {};
    duckdb_error_data failed = duckdb_data_chunk_to_arrow(options, chunk, &raw);
    duckdb_destroy_data_chunk(&chunk);
    if (failed != nullptr) return fail(engine_error(failed));
    auto batch = arrow::ImportRecordBatch(&raw, given);
    if (!batch.ok()) return fail(unwritable(batch.status()));
    return *batch;
}

/// In halves where it is too large for a request.
arrow::Status ArrowRows::State::write(const Batch& batch, std::deque<ArrowMessage>& out) const {
    std::vector<Array> columns;
    for (int i = 0; i < batch->num_columns(); ++i) {
        ARROW_ASSIGN_OR_RAISE(auto column, as_wanted(batch->column(i), wanted->field(i)->type()));
        columns.push_back(std::move(column));
    }
    auto whole = arrow::RecordBatch::Make(wanted, batch->num_rows(), std::move(columns));
    int64_t size = 0;
    ARROW_RETURN_NOT_OK(arrow::ipc::GetRecordBatchSize(*whole, &size));
    if (size > most_message_bytes && batch->num_rows() > 1) {
        int64_t half = batch->num_rows() / 2;
        ARROW_RETURN_NOT_OK(write(batch->Slice(0, half), out));
        return write(batch->Slice(half), out);
    }
    if (size > most_message_bytes)
        return arrow::Status::CapacityError(
            fmt::format("one row has {} bytes, and a request {} at most", size, most_message_bytes));
    ARROW_ASSIGN_OR_RAISE(auto bytes,
                          arrow::ipc::SerializeRecordBatch(*whole, arrow::ipc::IpcWriteOptions::Defaults()));
    out.push_back({bytes->ToString(), whole->num_rows()});
    return arrow::Status::OK();
}

ArrowRows::ArrowRows(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArrowRows::ArrowRows(ArrowRows&& other) noexcept = default;
ArrowRows::~ArrowRows() = default;

Result<ArrowRows> ArrowRows::open(engine::Connection& connection, const std::filesystem::path& file,
                                  std::vector<Column> columns, const std::string& mark) {
    std::erase_if(columns, [&](const Column& column) { return column.name == mark; });
    auto state = std::make_unique<State>(connection);
    PN_CHECK(state->start(select_of(file, columns, mark)));
    PN_CHECK(state->learn_types(columns));
    return ArrowRows(std::move(state));
}

const std::string& ArrowRows::schema() const { return state_->schema; }

Status ArrowRows::gather() {
    arrow::RecordBatchVector parts;
    int64_t bytes = 0, rows = 0;
    while (bytes < usual_message_bytes && rows < most_rows) {
        PN_TRY(auto part, state_->fetch());
        if (part == nullptr) break;
        bytes += arrow::util::TotalBufferSize(*part);
        rows += part->num_rows();
        parts.push_back(std::move(part));
    }
    if (parts.empty()) return {};
    auto written = [&]() -> arrow::Status {
        if (bytes > most_message_bytes) {  // wide rows: not copied together only to be taken apart
            for (const auto& part : parts) ARROW_RETURN_NOT_OK(state_->write(part, ready_));
            return arrow::Status::OK();
        }
        ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::FromRecordBatches(state_->given, parts));
        ARROW_ASSIGN_OR_RAISE(auto whole, table->CombineChunksToBatch());
        return state_->write(whole, ready_);
    }();
    if (written.ok()) return {};
    if (!written.IsCapacityError()) return fail(unwritable(written));
    return fail({.kind = ErrorKind::data,
                 .code = "row_too_large",
                 .message = fmt::format("a row is too large for the Storage Write API: {}", written.message()),
                 .hint = "set `publish: load_job` in the target: a load job takes rows of up to 50 MB"});
}

Result<std::optional<ArrowMessage>> ArrowRows::next() {
    if (ready_.empty()) PN_CHECK(gather());
    if (ready_.empty()) return std::optional<ArrowMessage>();
    std::optional<ArrowMessage> message(std::move(ready_.front()));
    ready_.pop_front();
    return message;
}

}  // namespace penstock::bigquery
