#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>
#include <fmt/format.h>

#include <utility>

#include "data/arrow.h"

namespace penstock::data {
namespace {

constexpr const char* extension_key = "ARROW:extension:name";
constexpr const char* kind_key = "penstock.kind";

std::shared_ptr<arrow::Field> to_arrow_field(const Field& field);

arrow::FieldVector to_arrow_fields(const std::vector<Field>& fields) {
    arrow::FieldVector out;
    for (const auto& field : fields) out.push_back(to_arrow_field(field));
    return out;
}

std::shared_ptr<arrow::DataType> to_arrow_type(const Type& type) {
    switch (type.kind) {
        case Kind::boolean: return arrow::boolean();
        case Kind::int16: return arrow::int16();
        case Kind::int32: return arrow::int32();
        case Kind::int64: return arrow::int64();
        case Kind::uint32: return arrow::uint32();
        case Kind::uint64: return arrow::uint64();
        case Kind::float32: return arrow::float32();
        case Kind::float64: return arrow::float64();
        case Kind::decimal: return arrow::decimal128(type.precision, type.scale);
        case Kind::text:
        case Kind::json:
        case Kind::timetz: return arrow::utf8();
        case Kind::bytes: return arrow::binary();
        case Kind::uuid: return arrow::fixed_size_binary(16);
        case Kind::date: return arrow::date32();
        case Kind::time: return arrow::time64(arrow::TimeUnit::MICRO);
        case Kind::timestamp: return arrow::timestamp(arrow::TimeUnit::MICRO);
        case Kind::timestamptz: return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
        case Kind::interval: return arrow::month_day_nano_interval();
        case Kind::list: return arrow::list(to_arrow_field(type.children[0]));
        case Kind::structure: return arrow::struct_(to_arrow_fields(type.children));
        case Kind::map: {
            auto entry = to_arrow_fields(type.children[0].type.children);
            return std::make_shared<arrow::MapType>(entry[0]->WithNullable(false), entry[1]);
        }
    }
    std::unreachable();
}

std::shared_ptr<arrow::Field> to_arrow_field(const Field& field) {
    std::shared_ptr<const arrow::KeyValueMetadata> told;
    if (field.type.kind == Kind::json) told = arrow::key_value_metadata({extension_key}, {"arrow.json"});
    if (field.type.kind == Kind::uuid) told = arrow::key_value_metadata({extension_key}, {"arrow.uuid"});
    if (field.type.kind == Kind::timetz) told = arrow::key_value_metadata({kind_key}, {"timetz"});
    return arrow::field(field.name, to_arrow_type(field.type), field.nullable, told);
}

Error no_kind(const arrow::Field& field) {
    return {.kind = ErrorKind::schema,
            .code = "arrow_type",
            .message = fmt::format("column {} has the Arrow type {}, which has no place here", field.name(),
                                   field.type()->ToString())};
}

Result<Field> from_arrow_field(const arrow::Field& field);

Result<std::vector<Field>> from_arrow_fields(const arrow::FieldVector& fields) {
    std::vector<Field> out;
    for (const auto& field : fields) {
        PN_TRY(auto converted, from_arrow_field(*field));
        out.push_back(std::move(converted));
    }
    return out;
}

Kind text_kind(const arrow::Field& field) {
    if (field.metadata() == nullptr) return Kind::text;
    if (field.metadata()->Get(extension_key).ValueOr("") == "arrow.json") return Kind::json;
    if (field.metadata()->Get(kind_key).ValueOr("") == "timetz") return Kind::timetz;
    return Kind::text;
}

Result<Type> time_type(const arrow::Field& field) {
    if (field.type()->id() == arrow::Type::TIME64) {
        if (static_cast<const arrow::Time64Type&>(*field.type()).unit() == arrow::TimeUnit::MICRO)
            return scalar(Kind::time);
        return fail(no_kind(field));
    }
    const auto& type = static_cast<const arrow::TimestampType&>(*field.type());
    if (type.unit() != arrow::TimeUnit::MICRO) return fail(no_kind(field));
    return scalar(type.timezone().empty() ? Kind::timestamp : Kind::timestamptz);
}

Result<Type> nested_type(const arrow::Field& field) {
    PN_TRY(auto children, from_arrow_fields(field.type()->fields()));
    switch (field.type()->id()) {
        case arrow::Type::STRUCT: return structure_of(std::move(children));
        case arrow::Type::LIST: return Type{.kind = Kind::list, .children = std::move(children)};
        default: return Type{.kind = Kind::map, .children = std::move(children)};
    }
}

Result<Type> type_of(const arrow::Field& field) {
    switch (field.type()->id()) {
        case arrow::Type::BOOL: return scalar(Kind::boolean);
        case arrow::Type::INT16: return scalar(Kind::int16);
        case arrow::Type::INT32: return scalar(Kind::int32);
        case arrow::Type::INT64: return scalar(Kind::int64);
        case arrow::Type::UINT32: return scalar(Kind::uint32);
        case arrow::Type::UINT64: return scalar(Kind::uint64);
        case arrow::Type::FLOAT: return scalar(Kind::float32);
        case arrow::Type::DOUBLE: return scalar(Kind::float64);
        case arrow::Type::STRING: return scalar(text_kind(field));
        case arrow::Type::BINARY: return scalar(Kind::bytes);
        case arrow::Type::DATE32: return scalar(Kind::date);
        case arrow::Type::INTERVAL_MONTH_DAY_NANO: return scalar(Kind::interval);
        case arrow::Type::TIME64:
        case arrow::Type::TIMESTAMP: return time_type(field);
        case arrow::Type::DECIMAL128: {
            const auto& type = static_cast<const arrow::Decimal128Type&>(*field.type());
            if (type.scale() < 0 || type.scale() > type.precision()) return fail(no_kind(field));
            return decimal(type.precision(), type.scale());
        }
        case arrow::Type::FIXED_SIZE_BINARY:
            if (static_cast<const arrow::FixedSizeBinaryType&>(*field.type()).byte_width() != 16)
                return fail(no_kind(field));
            return scalar(Kind::uuid);
        case arrow::Type::LIST:
        case arrow::Type::MAP:
        case arrow::Type::STRUCT: return nested_type(field);
        default: return fail(no_kind(field));
    }
}

Result<Field> from_arrow_field(const arrow::Field& field) {
    PN_TRY(auto type, type_of(field));
    return Field{.name = field.name(), .type = std::move(type), .nullable = field.nullable()};
}

}  // namespace

Result<std::shared_ptr<arrow::Schema>> to_arrow(const Schema& schema) {
    return arrow::schema(to_arrow_fields(schema.fields));
}

Result<Schema> from_arrow(const arrow::Schema& schema) {
    PN_TRY(auto fields, from_arrow_fields(schema.fields()));
    return Schema{std::move(fields)};
}

}  // namespace penstock::data
