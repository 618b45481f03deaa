#include "connect/bigquery/read_types.h"

#include <arrow/type.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "connect/bigquery/answer.h"
#include "connect/bigquery/sql.h"

namespace penstock::bigquery {
namespace {

using data::Kind;
using Json = nlohmann::json;

/// REST's older names.
constexpr std::pair<const char*, const char*> older_names[] = {
    {"INTEGER", "INT64"}, {"FLOAT", "FLOAT64"},   {"BOOLEAN", "BOOL"},
    {"RECORD", "STRUCT"}, {"DECIMAL", "NUMERIC"}, {"BIGDECIMAL", "BIGNUMERIC"},
};

std::string current_name(std::string type) {
    for (const auto& [old, name] : older_names)
        if (type == old) return name;
    return type;
}

/// What stands for a type without parameters, on the wire and as it is handed over.
struct Plain {
    const char* name;
    std::shared_ptr<arrow::DataType> (*wire)();
    Kind kind;
    const char* note;
};

const Plain plain_types[] = {
    {"BOOL", [] { return arrow::boolean(); }, Kind::boolean, ""},
    {"INT64", [] { return arrow::int64(); }, Kind::int64, ""},
    {"FLOAT64", [] { return arrow::float64(); }, Kind::float64, ""},
    {"STRING", [] { return arrow::utf8(); }, Kind::text, ""},
    {"BYTES", [] { return arrow::binary(); }, Kind::bytes, ""},
    {"DATE", [] { return arrow::date32(); }, Kind::date, ""},
    {"TIME", [] { return arrow::time64(arrow::TimeUnit::MICRO); }, Kind::time, ""},
    {"DATETIME", [] { return arrow::timestamp(arrow::TimeUnit::MICRO); }, Kind::timestamp, ""},
    {"TIMESTAMP", [] { return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"); }, Kind::timestamptz, ""},
    {"JSON", [] { return arrow::utf8(); }, Kind::json, ""},
    {"GEOGRAPHY", [] { return arrow::utf8(); }, Kind::text, "a GEOGRAPHY is its text (WKT)"},
    {"INTERVAL", [] { return arrow::month_day_nano_interval(); }, Kind::interval, ""},
};

const Plain* plain_type(const std::string& name) {
    for (const auto& type : plain_types)
        if (name == type.name) return &type;
    return nullptr;
}

bool is_decimal(const WireColumn& column) { return column.type == "NUMERIC" || column.type == "BIGNUMERIC"; }

std::shared_ptr<arrow::DataType> element_type(const WireColumn& column) {
    if (column.type == "NUMERIC")
        return column.precision > 0 ? arrow::decimal128(column.precision, column.scale) : arrow::decimal128(38, 9);
    if (column.type == "BIGNUMERIC")
        return column.precision > 0 ? arrow::decimal256(column.precision, column.scale) : arrow::decimal256(76, 38);
    if (column.type == "RANGE") {
        auto bound = wire_type({.name = "", .type = column.element});
        return arrow::struct_({arrow::field("start", bound), arrow::field("end", bound)});
    }
    if (column.type == "STRUCT") {
        arrow::FieldVector fields;
        for (const auto& field : column.fields) fields.push_back(arrow::field(field.name, wire_type(field)));
        return arrow::struct_(fields);
    }
    const auto* plain = plain_type(column.type);
    return plain != nullptr ? plain->wire() : arrow::utf8();
}

/// The type of one column, nested ones by their parts; collects what cannot be kept.
class Mapper {
  public:
    Mapper(const ReadMapping& mapping, std::string column) : mapping_(mapping), column_(std::move(column)) {}

    Result<data::Type> map(const WireColumn& column, const std::string& path) {
        if (!column.repeated) return element(column, path);
        PN_TRY(auto inner, element(column, path));
        return data::list_of(std::move(inner));
    }

    std::string note;

  private:
    Result<data::Type> element(const WireColumn& column, const std::string& path) {
        if (is_decimal(column)) return number(column);
        if (column.type == "STRUCT") return structure(column, path);
        if (column.type == "RANGE") return range(column, path);
        if (column.type == "INTERVAL" && !mapping_.holds.interval) {
            note = "an INTERVAL is its text: Y-M D H:M:S";
            return data::scalar(Kind::text);
        }
        const auto* plain = plain_type(column.type);
        if (plain == nullptr)
            return fail({.kind = ErrorKind::schema,
                         .code = "type_not_known",
                         .message = fmt::format("column {} has type {}, which has no place here", path, column.type),
                         .hint = "leave it out by `columns:`, or CAST it in a `query:`"});
        if (*plain->note != 0) note = plain->note;
        return data::scalar(plain->kind);
    }

    /// Exact where 38 digits are enough; a BIGNUMERIC without bounds goes by `numeric`, as numbers without bounds do.
    Result<data::Type> number(const WireColumn& column) {
        if (column.type == "NUMERIC")
            return column.precision > 0 ? data::decimal(column.precision, column.scale) : data::decimal(38, 9);
        if (column.precision > 38) {
            note = "more than 38 digits: stored as text";
            return data::scalar(Kind::text);
        }
        if (column.precision > 0) return data::decimal(column.precision, column.scale);
        if (mapping_.holds.free_decimals) return data::scalar(Kind::text);
        const auto& policy = mapping_.policies.numeric.of(mapping_.table, column_);
        switch (policy.form) {
            case config::NumericForm::text: return data::scalar(Kind::text);
            case config::NumericForm::floating:
                note = "a BIGNUMERIC as a double, rounded to 15 to 17 digits, as `numeric` says";
                return data::scalar(Kind::float64);
            case config::NumericForm::decimal: break;
        }
        note = fmt::format("a BIGNUMERIC that does not fit decimal({},{}) is rejected; see `numeric`", policy.precision,
                           policy.scale);
        return data::decimal(policy.precision, policy.scale);
    }

    Result<data::Type> structure(const WireColumn& column, const std::string& path) {
        std::vector<data::Field> fields;
        for (const auto& field : column.fields) {
            PN_TRY(auto type, map(field, path + "." + field.name));
            fields.push_back({.name = field.name, .type = std::move(type), .nullable = !field.required});
        }
        return data::structure_of(std::move(fields));
    }

    /// As ranges of every source: a side without bound is NULL. BigQuery's are [start, end) and never empty.
    Result<data::Type> range(const WireColumn& column, const std::string& path) {
        PN_TRY(auto bound, element({.name = "", .type = column.element}, path));
        data::Type flag = data::scalar(Kind::boolean);
        return data::structure_of({{.name = "lower", .type = bound},
                                   {.name = "upper", .type = bound},
                                   {.name = "lower_inclusive", .type = flag, .nullable = false},
                                   {.name = "upper_inclusive", .type = flag, .nullable = false},
                                   {.name = "empty", .type = flag, .nullable = false}});
    }

    const ReadMapping& mapping_;
    std::string column_;
};

}  // namespace

WireColumn wire_column(const Json& field) {
    WireColumn column{.name = text_of(field, "name"), .type = current_name(text_of(field, "type"))};
    std::string mode = text_of(field, "mode");
    column.repeated = mode == "REPEATED";
    column.required = mode == "REQUIRED";
    if (is_decimal(column)) {
        column.precision = static_cast<int>(number_of(field, "precision"));
        column.scale = static_cast<int>(number_of(field, "scale"));
    }
    if (auto found = field.find("rangeElementType"); found != field.end() && found->is_object())
        column.element = current_name(text_of(*found, "type"));
    if (auto found = field.find("fields"); found != field.end() && found->is_array())
        for (const auto& child : *found) column.fields.push_back(wire_column(child));
    return column;
}

std::vector<WireColumn> wire_columns(const Json& schema) {
    std::vector<WireColumn> columns;
    if (auto fields = schema.find("fields"); fields != schema.end() && fields->is_array())
        for (const auto& field : *fields) columns.push_back(wire_column(field));
    return columns;
}

std::string type_text(const WireColumn& column) {
    std::string type = column.type;
    if (column.type == "STRUCT") {
        std::string fields;
        for (const auto& field : column.fields)
            fields +=
                fmt::format("{}{} {}", fields.empty() ? "" : ", ", quote_identifier(field.name), type_text(field));
        type = fmt::format("STRUCT<{}>", fields);
    }
    if (column.type == "RANGE") type = fmt::format("RANGE<{}>", column.element);
    if (column.precision > 0)
        type += column.scale > 0 ? fmt::format("({}, {})", column.precision, column.scale)
                                 : fmt::format("({})", column.precision);
    return column.repeated ? fmt::format("ARRAY<{}>", type) : type;
}

std::shared_ptr<arrow::DataType> wire_type(const WireColumn& column) {
    auto element = element_type(column);
    return column.repeated ? arrow::list(arrow::field("item", element)) : element;
}

Result<data::Field> read_field(const WireColumn& column, const ReadMapping& mapping) {
    Mapper mapper(mapping, column.name);
    PN_TRY(auto type, mapper.map(column, column.name));
    return data::Field{.name = column.name,
                       .type = std::move(type),
                       .nullable = !column.required,
                       .source_type = type_text(column),
                       .note = std::move(mapper.note)};
}

}  // namespace penstock::bigquery
