#include "connect/bigquery/rest_pages.h"

#include <arrow/api.h>
#include <arrow/util/decimal.h>
#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "connect/bigquery/read_text.h"
#include "io/url.h"

namespace penstock::bigquery {
namespace {

/// BigQuery ends a page at 10 MB or so ("tabledata.list"); as parsed JSON that is many times as much.
constexpr int page_rows = 5000;

/// An Arrow column out of JSON values. A value that is not what its type says is an error, never a guess.
class CellBuilder {
  public:
    CellBuilder(const WireColumn& column, std::string path) : column_(column), path_(std::move(path)) {}

    Status append(arrow::ArrayBuilder& builder, const Json& value, bool repeated) const {
        if (repeated) return append_list(static_cast<arrow::ListBuilder&>(builder), value);
        if (value.is_null()) return done(builder.AppendNull());
        if (column_.type == "STRUCT") return append_fields(static_cast<arrow::StructBuilder&>(builder), value);
        if (!value.is_string()) return bad(value.dump());
        const auto& text = value.get_ref<const std::string&>();
        if (column_.type == "RANGE") return append_range(static_cast<arrow::StructBuilder&>(builder), text);
        return append_text(builder, text);
    }

  private:
    Status append_list(arrow::ListBuilder& builder, const Json& value) const {
        if (!value.is_array() && !value.is_null()) return bad(value.dump());
        PN_CHECK(done(builder.Append()));
        for (const auto& item : value) PN_CHECK(append(*builder.value_builder(), item.value("v", Json()), false));
        return {};
    }

    Status append_fields(arrow::StructBuilder& builder, const Json& value) const {
        auto cells = value.find("f");
        if (cells == value.end() || cells->size() != column_.fields.size()) return bad(value.dump());
        PN_CHECK(done(builder.Append()));
        for (size_t i = 0; i < column_.fields.size(); ++i) {
            const auto& field = column_.fields[i];
            PN_CHECK(CellBuilder(field, path_ + "." + field.name)
                         .append(*builder.field_builder(static_cast<int>(i)), (*cells)[i].value("v", Json()),
                                 field.repeated));
        }
        return {};
    }

    /// "[2020-01-01, UNBOUNDED)"
    Status append_range(arrow::StructBuilder& builder, const std::string& text) const {
        auto comma = text.find(',');
        if (!text.starts_with('[') || !text.ends_with(')') || comma == text.npos) return bad(text);
        std::string sides[] = {text.substr(1, comma - 1), text.substr(comma + 1, text.size() - comma - 2)};
        WireColumn bound{.name = column_.name, .type = column_.element};
        CellBuilder bounds(bound, path_);
        PN_CHECK(done(builder.Append()));
        for (int side = 0; side < 2; ++side) {
            std::string one = sides[side].substr(std::min(sides[side].find_first_not_of(' '), sides[side].size()));
            bool open = one == "UNBOUNDED" || one == "NULL";
            PN_CHECK(bounds.append(*builder.field_builder(side), open ? Json() : Json(one), false));
        }
        return {};
    }

    Status append_text(arrow::ArrayBuilder& builder, const std::string& text) const {
        switch (builder.type()->id()) {
            case arrow::Type::STRING: return done(static_cast<arrow::StringBuilder&>(builder).Append(text));
            case arrow::Type::BINARY: return put<arrow::BinaryBuilder>(builder, text, from_base64(text));
            case arrow::Type::BOOL:
                if (text != "true" && text != "false") return bad(text);
                return done(static_cast<arrow::BooleanBuilder&>(builder).Append(text == "true"));
            case arrow::Type::INT64: return put<arrow::Int64Builder>(builder, text, whole_number(text));
            case arrow::Type::DOUBLE: return put<arrow::DoubleBuilder>(builder, text, floating(text));
            case arrow::Type::DATE32: return put<arrow::Date32Builder>(builder, text, parse_date(text));
            case arrow::Type::TIME64: return put<arrow::Time64Builder>(builder, text, parse_time(text));
            case arrow::Type::TIMESTAMP:
                return put<arrow::TimestampBuilder>(
                    builder, text, column_.type == "TIMESTAMP" ? whole_number(text) : parse_datetime(text));
            case arrow::Type::DECIMAL128:
            case arrow::Type::DECIMAL256: return append_decimal(builder, text);
            case arrow::Type::INTERVAL_MONTH_DAY_NANO: return append_interval(builder, text);
            default: return bad(text);
        }
    }

    template <class Builder, class Value>
    Status put(arrow::ArrayBuilder& builder, const std::string& text, const std::optional<Value>& value) const {
        if (!value) return bad(text);
        return done(static_cast<Builder&>(builder).Append(*value));
    }

    static std::optional<int64_t> whole_number(const std::string& text) {
        int64_t value = 0;
        const char* end = text.data() + text.size();
        auto [stop, status] = std::from_chars(text.data(), end, value);
        return status == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
    }

    static std::optional<double> floating(const std::string& text) {
        if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
        if (text == "Infinity" || text == "+Infinity" || text == "INF") return std::numeric_limits<double>::infinity();
        if (text == "-Infinity" || text == "-INF") return -std::numeric_limits<double>::infinity();
        double value = 0;
        const char* end = text.data() + text.size();
        auto [stop, status] = std::from_chars(text.data(), end, value);
        return status == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
    }

    Status append_decimal(arrow::ArrayBuilder& builder, const std::string& text) const {
        const auto& type = static_cast<const arrow::DecimalType&>(*builder.type());
        auto digits = unscaled_text(text, type.scale());
        auto value = digits ? arrow::Decimal256::FromString(*digits) : arrow::Status::Invalid("no number");
        if (!value.ok() || !value->FitsInPrecision(type.precision())) return bad(text);
        if (type.id() == arrow::Type::DECIMAL256)
            return done(static_cast<arrow::Decimal256Builder&>(builder).Append(*value));
        const auto& words = value->little_endian_array();
        return done(static_cast<arrow::Decimal128Builder&>(builder).Append(
            arrow::Decimal128(static_cast<int64_t>(words[1]), words[0])));
    }

    Status append_interval(arrow::ArrayBuilder& builder, const std::string& text) const {
        auto parts = parse_interval(text);
        constexpr int64_t most_micros = std::numeric_limits<int64_t>::max() / 1000;
        if (!parts) return bad(text);
        if (std::abs(parts->micros) > most_micros) return bad(text);
        return done(static_cast<arrow::MonthDayNanoIntervalBuilder&>(builder).Append(
            {static_cast<int32_t>(parts->months), static_cast<int32_t>(parts->days), parts->micros * 1000}));
    }

    Status bad(const std::string& text) const {
        return fail({.kind = ErrorKind::data,
                     .code = "value_not_read",
                     .message = fmt::format("column {}: '{}' cannot be read as {}", path_, text.substr(0, 60),
                                            type_text(column_))});
    }

    static Status done(const arrow::Status& status) {
        if (status.ok()) return {};
        return fail({.kind = ErrorKind::internal, .code = "arrow", .message = status.ToString()});
    }

    const WireColumn& column_;
    std::string path_;
};

Error bad_page(const TableId& table) {
    return {.kind = ErrorKind::unavailable,
            .code = "bad_answer",
            .message = fmt::format("a page of {} is not as the API describes it", table.dotted())};
}

}  // namespace

RestPages::RestPages(Client& client, TableId table, std::vector<WireColumn> columns)
    : client_(client), table_(std::move(table)), columns_(std::move(columns)) {
    arrow::FieldVector fields;
    for (const auto& column : columns_) fields.push_back(arrow::field(column.name, wire_type(column)));
    schema_ = arrow::schema(fields);
}

Result<std::shared_ptr<arrow::RecordBatch>> RestPages::next() {
    if (ended_) return nullptr;
    std::string path = fmt::format("/datasets/{}/tables/{}/data?maxResults={}&formatOptions.useInt64Timestamp=true{}",
                                   io::escape_url(table_.dataset), io::escape_url(table_.table), page_rows,
                                   page_.empty() ? "" : "&pageToken=" + io::escape_url(page_));
    PN_TRY(auto page, client_.call_in(table_.project, "GET", path, nullptr, "read rows of " + table_.dotted()));
    auto token = page->find("pageToken");
    page_ = token != page->end() && token->is_string() ? token->get<std::string>() : "";
    ended_ = page_.empty();
    Result<std::shared_ptr<arrow::RecordBatch>> made;
    try {
        made = batch_of(*page);
    } catch (const nlohmann::json::exception&) {
        return fail(bad_page(table_));
    }
    PN_TRY(auto batch, std::move(made));
    if (batch->num_rows() == 0 && !ended_) return next();
    return batch;
}

Result<std::shared_ptr<arrow::RecordBatch>> RestPages::batch_of(const Json& page) const {
    auto made = arrow::RecordBatchBuilder::Make(schema_, arrow::default_memory_pool());
    if (!made.ok()) return fail({.kind = ErrorKind::internal, .code = "arrow", .message = made.status().ToString()});
    auto rows = page.find("rows");
    if (rows != page.end()) {
        for (const auto& row : *rows) {
            auto cells = row.find("f");
            if (cells == row.end() || cells->size() != columns_.size()) return fail(bad_page(table_));
            for (size_t i = 0; i < columns_.size(); ++i)
                PN_CHECK(CellBuilder(columns_[i], columns_[i].name)
                             .append(*(*made)->GetField(static_cast<int>(i)), (*cells)[i].value("v", Json()),
                                     columns_[i].repeated));
        }
    }
    auto batch = (*made)->Flush();
    if (!batch.ok()) return fail({.kind = ErrorKind::internal, .code = "arrow", .message = batch.status().ToString()});
    return *batch;
}

}  // namespace penstock::bigquery
