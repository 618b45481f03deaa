#include "connect/bigquery/read_batch.h"

#include <arrow/api.h>
#include <arrow/util/decimal.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "connect/bigquery/read_text.h"
#include "connect/bigquery/sql.h"
#include "data/arrow.h"

namespace penstock::bigquery {
namespace {

using ArrayPtr = std::shared_ptr<arrow::Array>;
using data::Kind;
using data::Type;

Error other_type(const std::string& path, const std::string& got, const std::string& wanted) {
    return {.kind = ErrorKind::unavailable,
            .code = "table_changed",
            .message = fmt::format("column {} came as {} and was announced as {}", path, got, wanted),
            .hint = "the table was altered while the run began; a retry sees the new shape"};
}

template <class T>
Result<T> taken(arrow::Result<T> result) {
    if (result.ok()) return std::move(result).ValueUnsafe();
    return fail({.kind = ErrorKind::internal, .code = "arrow", .message = result.status().ToString()});
}

Status taken(const arrow::Status& status) {
    if (status.ok()) return {};
    return fail({.kind = ErrorKind::internal, .code = "arrow", .message = status.ToString()});
}

/// One column on its way; which row an element of a nested array belongs to is told by `owners`, empty at the top.
class ColumnConformer {
  public:
    ColumnConformer(size_t column, std::vector<RefusedRow>& refused) : column_(column), refused_(refused) {}

    Result<ArrayPtr> conform(const ArrayPtr& array, const Type& type, const std::string& path,
                             const std::vector<int64_t>& owners) {
        PN_TRY(bool fits, fits_already(*array->type(), type));
        if (fits) return array;
        auto id = array->type_id();
        if (type.kind == Kind::list && id == arrow::Type::LIST) return list(array, type, path, owners);
        if (type.kind == Kind::structure && id == arrow::Type::STRUCT) return structure(array, type, path, owners);
        if (id == arrow::Type::DECIMAL128 || id == arrow::Type::DECIMAL256) return number(array, type, path, owners);
        if (type.kind == Kind::text && id == arrow::Type::INTERVAL_MONTH_DAY_NANO) return intervals(array);
        return fail(other_type(path, array->type()->ToString(), data::to_string(type)));
    }

  private:
    static Result<std::shared_ptr<arrow::DataType>> arrow_type(const Type& type) {
        PN_TRY(auto schema, data::to_arrow(data::Schema{{{.name = "value", .type = type}}}));
        return schema->field(0)->type();
    }

    /// Names of list elements and what may be NULL do not matter to whoever takes the values.
    static Result<bool> fits_already(const arrow::DataType& given, const Type& type) {
        if (type.kind == Kind::list && given.id() == arrow::Type::LIST)
            return fits_already(*given.field(0)->type(), type.children[0].type);
        if (type.kind == Kind::structure && given.id() == arrow::Type::STRUCT) {
            if (given.num_fields() != static_cast<int>(type.children.size())) return false;
            for (size_t i = 0; i < type.children.size(); ++i) {
                const auto& field = *given.field(static_cast<int>(i));
                if (field.name() != type.children[i].name) return false;
                PN_TRY(bool fits, fits_already(*field.type(), type.children[i].type));
                if (!fits) return false;
            }
            return true;
        }
        PN_TRY(auto wanted, arrow_type(type));
        return given.Equals(*wanted);
    }

    Result<ArrayPtr> list(const ArrayPtr& array, const Type& type, const std::string& path,
                          const std::vector<int64_t>& owners) {
        const auto& given = static_cast<const arrow::ListArray&>(*array);
        std::vector<int64_t> inner(static_cast<size_t>(given.values()->length()), 0);
        for (int64_t i = 0; i < given.length(); ++i)
            for (int64_t k = given.value_offset(i); k < given.value_offset(i + 1); ++k)
                inner[static_cast<size_t>(k)] = owner(owners, i);
        PN_TRY(auto values, conform(given.values(), type.children[0].type, path, inner));
        return ArrayPtr(std::make_shared<arrow::ListArray>(arrow::list(values->type()), given.length(),
                                                           given.data()->buffers[1], values, given.null_bitmap(),
                                                           given.data()->null_count, given.offset()));
    }

    Result<ArrayPtr> structure(const ArrayPtr& array, const Type& type, const std::string& path,
                               const std::vector<int64_t>& owners) {
        const auto& given = static_cast<const arrow::StructArray&>(*array);
        if (given.offset() != 0)
            return fail({.kind = ErrorKind::internal, .code = "arrow", .message = "a sliced structure in a batch"});
        if (is_range(given, type)) return range(given, type, path, owners);
        arrow::ArrayVector children;
        arrow::FieldVector fields;
        if (given.num_fields() != static_cast<int>(type.children.size()))
            return fail(other_type(path, array->type()->ToString(), data::to_string(type)));
        for (const auto& child : type.children) {
            int index = given.struct_type()->GetFieldIndex(child.name);
            if (index < 0) return fail(other_type(path, array->type()->ToString(), data::to_string(type)));
            PN_TRY(auto values, conform(given.field(index), child.type, path + "." + child.name, owners));
            fields.push_back(arrow::field(child.name, values->type()));
            children.push_back(std::move(values));
        }
        return ArrayPtr(std::make_shared<arrow::StructArray>(arrow::struct_(fields), given.length(), children,
                                                             given.null_bitmap(), given.data()->null_count));
    }

    static bool is_range(const arrow::StructArray& given, const Type& type) {
        return given.num_fields() == 2 && type.children.size() == 5 &&
               given.struct_type()->field(0)->name() == "start" && type.children[4].name == "empty";
    }

    Result<ArrayPtr> range(const arrow::StructArray& given, const Type& type, const std::string& path,
                           const std::vector<int64_t>& owners) {
        PN_TRY(auto lower, conform(given.field(0), type.children[0].type, path + ".start", owners));
        PN_TRY(auto upper, conform(given.field(1), type.children[1].type, path + ".end", owners));
        arrow::BooleanBuilder starts, never;
        for (int64_t i = 0; i < given.length(); ++i) {
            PN_CHECK(taken(starts.Append(lower->IsValid(i))));
            PN_CHECK(taken(never.Append(false)));
        }
        PN_TRY(auto inclusive, taken(starts.Finish()));
        PN_TRY(auto no, taken(never.Finish()));
        PN_TRY(auto wanted, arrow_type(type));
        return ArrayPtr(std::make_shared<arrow::StructArray>(wanted, given.length(),
                                                             arrow::ArrayVector{lower, upper, inclusive, no, no},
                                                             given.null_bitmap(), given.data()->null_count));
    }

    Result<ArrayPtr> number(const ArrayPtr& array, const Type& type, const std::string& path,
                            const std::vector<int64_t>& owners) {
        int scale = static_cast<const arrow::DecimalType&>(*array->type()).scale();
        auto value_at = [&](int64_t i) {
            if (array->type_id() == arrow::Type::DECIMAL128)
                return arrow::Decimal256(
                    arrow::Decimal128(static_cast<const arrow::Decimal128Array&>(*array).GetValue(i)));
            return arrow::Decimal256(static_cast<const arrow::Decimal256Array&>(*array).GetValue(i));
        };
        if (type.kind == Kind::decimal) return decimals(*array, type, scale, value_at, owners);
        if (type.kind == Kind::text) {
            arrow::StringBuilder builder;
            for (int64_t i = 0; i < array->length(); ++i)
                PN_CHECK(taken(array->IsNull(i) ? builder.AppendNull()
                                                : builder.Append(decimal_text(value_at(i).ToIntegerString(), scale))));
            return taken(builder.Finish());
        }
        if (type.kind == Kind::float64) {
            arrow::DoubleBuilder builder;
            for (int64_t i = 0; i < array->length(); ++i) {
                double number = 0;
                std::string text = array->IsNull(i) ? "0" : decimal_text(value_at(i).ToIntegerString(), scale);
                std::from_chars(text.data(), text.data() + text.size(), number);
                PN_CHECK(taken(array->IsNull(i) ? builder.AppendNull() : builder.Append(number)));
            }
            return taken(builder.Finish());
        }
        return fail(other_type(path, array->type()->ToString(), data::to_string(type)));
    }

    template <class ValueAt>
    Result<ArrayPtr> decimals(const arrow::Array& array, const Type& type, int scale, ValueAt value_at,
                              const std::vector<int64_t>& owners) {
        arrow::Decimal128Builder builder(arrow::decimal128(type.precision, type.scale));
        for (int64_t i = 0; i < array.length(); ++i) {
            if (array.IsNull(i)) {
                PN_CHECK(taken(builder.AppendNull()));
                continue;
            }
            auto value = value_at(i);
            auto moved = value.Rescale(scale, type.scale);
            if (!moved.ok() || !moved->FitsInPrecision(type.precision)) {
                refuse(owner(owners, i), decimal_text(value.ToIntegerString(), scale), type);
                PN_CHECK(taken(builder.AppendNull()));
                continue;
            }
            const auto& words = moved->little_endian_array();
            PN_CHECK(taken(builder.Append(arrow::Decimal128(static_cast<int64_t>(words[1]), words[0]))));
        }
        return taken(builder.Finish());
    }

    Result<ArrayPtr> intervals(const ArrayPtr& array) {
        const auto& given = static_cast<const arrow::MonthDayNanoIntervalArray&>(*array);
        arrow::StringBuilder builder;
        for (int64_t i = 0; i < given.length(); ++i) {
            auto value = given.IsNull(i) ? arrow::MonthDayNanoIntervalType::MonthDayNanos{} : given.Value(i);
            PN_CHECK(taken(given.IsNull(i)
                               ? builder.AppendNull()
                               : builder.Append(interval_text(value.months, value.days, value.nanoseconds / 1000))));
        }
        return taken(builder.Finish());
    }

    static int64_t owner(const std::vector<int64_t>& owners, int64_t index) {
        return owners.empty() ? index : owners[static_cast<size_t>(index)];
    }

    void refuse(int64_t row, const std::string& text, const Type& type) {
        auto point = text.find('.');
        auto scale = point == text.npos ? 0 : text.size() - point - 1;
        auto digits = static_cast<size_t>(std::ranges::count_if(text, [](char c) { return c >= '0' && c <= '9'; }));
        if (text.starts_with("0.") || text.starts_with("-0.")) --digits;
        refused_.push_back({row, column_, "numeric_overflow",
                            fmt::format("a number with precision {} and scale {} does not fit decimal({},{})", digits,
                                        scale, type.precision, type.scale)});
    }

    size_t column_;
    std::vector<RefusedRow>& refused_;
};

nlohmann::json scalar_json(const arrow::Array& array, int64_t row) {
    if (array.IsNull(row)) return nullptr;
    if (array.type_id() == arrow::Type::BINARY)
        return to_base64(static_cast<const arrow::BinaryArray&>(array).GetView(row));
    if (array.type_id() == arrow::Type::STRING)
        return std::string(static_cast<const arrow::StringArray&>(array).GetView(row));
    if (array.type_id() == arrow::Type::DECIMAL256) {
        const auto& type = static_cast<const arrow::DecimalType&>(*array.type());
        arrow::Decimal256 value(static_cast<const arrow::Decimal256Array&>(array).GetValue(row));
        return decimal_text(value.ToIntegerString(), type.scale());
    }
    if (array.type_id() == arrow::Type::LIST) {
        const auto& list = static_cast<const arrow::ListArray&>(array);
        auto out = nlohmann::json::array();
        for (int64_t k = list.value_offset(row); k < list.value_offset(row + 1); ++k)
            out.push_back(scalar_json(*list.values(), k));
        return out;
    }
    if (array.type_id() == arrow::Type::STRUCT) {
        const auto& given = static_cast<const arrow::StructArray&>(array);
        auto out = nlohmann::json::object();
        for (int i = 0; i < given.num_fields(); ++i)
            out[given.struct_type()->field(i)->name()] = scalar_json(*given.field(i), row);
        return out;
    }
    auto scalar = array.GetScalar(row);
    return scalar.ok() ? (*scalar)->ToString() : std::string();
}

}  // namespace

Result<ConformedBatch> conform(const arrow::RecordBatch& batch, const std::vector<WireColumn>& columns,
                               const data::Schema& schema) {
    ConformedBatch out;
    arrow::ArrayVector arrays;
    arrow::FieldVector fields;
    for (size_t i = 0; i < columns.size(); ++i) {
        const auto& name = columns[i].name;
        auto array = batch.GetColumnByName(name);
        if (array == nullptr) return fail(other_type(name, "nothing", columns[i].type));
        ColumnConformer conformer(i, out.refused);
        PN_TRY(auto made, conformer.conform(array, schema.fields[i].type, name, {}));
        fields.push_back(arrow::field(name, made->type()));
        arrays.push_back(std::move(made));
    }
    out.batch = arrow::RecordBatch::Make(arrow::schema(fields), batch.num_rows(), std::move(arrays));
    std::ranges::stable_sort(out.refused, {}, &RefusedRow::row);
    auto again = std::ranges::unique(out.refused, {}, &RefusedRow::row);
    out.refused.erase(again.begin(), again.end());
    return out;
}

std::string row_json(const arrow::RecordBatch& batch, int64_t row, const std::vector<std::string>& names) {
    auto out = nlohmann::ordered_json::object();
    for (int i = 0; i < batch.num_columns(); ++i) {
        const auto& name = batch.column_name(i);
        bool wanted = names.empty() || std::ranges::any_of(names, [&](const auto& n) { return same_name(n, name); });
        if (wanted) out[name] = scalar_json(*batch.column(i), row);
    }
    return out.empty() ? "" : out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace penstock::bigquery
