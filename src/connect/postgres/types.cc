#include "connect/postgres/types.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace penstock::postgres {
namespace {

using data::Kind;

class Mapper {
  public:
    Mapper(const MappingContext& context, const MappingRequest& request) : context_(context), request_(request) {}

    Result<Mapping> map(Oid oid, int32_t modifier, int32_t dimensions, const std::string& expression, int depth) {
        if (depth > deepest_type) return fail(unmapped("is nested too deeply"));
        const PgType& type = context_.catalog.at(oid);
        if (type.element != 0) return array(type, modifier, dimensions, expression, depth);
        switch (type.kind) {
            case 'd': return domain(type, dimensions, expression, depth);
            case 'c': return composite(type, expression, depth);
            case 'r': return range(type, expression, depth);
            case 'm': return multirange(type, expression, depth);
            case 'e': return Mapping{data::scalar(Kind::text), expression, text_reader(context_.validate_utf8)};
            case 'b': return base(type, modifier, expression);
            default: return fail(unmapped(fmt::format("has the pseudo-type {}", type.shown)));
        }
    }

  private:
    Error unmapped(std::string why) const {
        return {.kind = ErrorKind::schema,
                .code = "unmapped_type",
                .message = fmt::format("column {} of {} {}", request_.column, request_.table, why),
                .where = fmt::format("{}.{}", request_.table, request_.column),
                .hint = "read it through a query: that casts the column to a type Penstock knows, ::text for instance"};
    }

    /// PostgreSQL's own text form, rendered by the server.
    Mapping as_text(const std::string& expression, std::string note = {}) const {
        return {data::scalar(Kind::text), fmt::format("({})::text", expression), text_reader(context_.validate_utf8),
                std::move(note), true};
    }

    /// inet has a cast to text of its own, which adds a mask to hosts; its output function does not.
    Mapping inet(const std::string& expression) const {
        Mapping out = as_text(expression);
        out.expression = fmt::format("pg_catalog.inet_out({})::text", expression);
        return out;
    }

    Mapping plain(Kind kind, const std::string& expression, ReaderPtr reader) const {
        return {data::scalar(kind), expression, std::move(reader)};
    }

    TimeLimits limits() const {
        return {context_.holds.infinite_dates, context_.holds.end_of_day, context_.policies.special_dates};
    }

    Result<Mapping> base(const PgType& type, int32_t modifier, const std::string& expression) {
        if (!type.core) return extension(type, expression);
        bool utf8 = context_.validate_utf8;
        const std::string& name = type.name;
        if (name == "bool") return plain(Kind::boolean, expression, boolean_reader());
        if (name == "int2") return plain(Kind::int16, expression, int16_reader());
        if (name == "int4") return plain(Kind::int32, expression, int32_reader());
        if (name == "int8") return plain(Kind::int64, expression, int64_reader());
        if (name == "oid" || name == "xid") return plain(Kind::uint32, expression, uint32_reader());
        if (name == "xid8") return plain(Kind::uint64, expression, uint64_reader());
        if (name == "float4") return plain(Kind::float32, expression, float32_reader());
        if (name == "float8") return plain(Kind::float64, expression, float64_reader());
        if (name == "numeric") return numeric(modifier, expression);
        if (name == "text" || name == "varchar" || name == "bpchar" || name == "name" || name == "xml")
            return plain(Kind::text, expression, text_reader(utf8));
        if (name == "bytea") return plain(Kind::bytes, expression, bytes_reader());
        if (name == "uuid") return plain(Kind::uuid, expression, uuid_reader());
        if (name == "json") return plain(Kind::json, expression, json_reader(utf8));
        if (name == "jsonb") return plain(Kind::json, expression, jsonb_reader(utf8));
        if (name == "date") return noted(plain(Kind::date, expression, date_reader(limits())));
        if (name == "timestamp") return noted(plain(Kind::timestamp, expression, timestamp_reader(limits())));
        if (name == "timestamptz") return noted(plain(Kind::timestamptz, expression, timestamptz_reader(limits())));
        if (name == "time") return plain(Kind::time, expression, time_reader(limits()));
        if (name == "timetz")
            return context_.holds.timetz ? plain(Kind::timetz, expression, timetz_reader())
                                         : as_text(expression, "stored as PostgreSQL's text");
        if (name == "interval")
            return context_.holds.interval ? plain(Kind::interval, expression, interval_reader())
                                           : as_text(expression, "stored as PostgreSQL's text");
        if (name == "inet") return inet(expression);
        if (name == "money") return as_text(expression, "depends on the server's lc_monetary");
        static constexpr std::string_view by_text[] = {
            "cidr",          "macaddr",      "macaddr8",     "bit",           "varbit",
            "tsvector",      "tsquery",      "pg_lsn",       "point",         "line",
            "lseg",          "box",          "path",         "polygon",       "circle",
            "char",          "cid",          "tid",          "jsonpath",      "pg_snapshot",
            "txid_snapshot", "regclass",     "regtype",      "regproc",       "regprocedure",
            "regoper",       "regoperator",  "regconfig",    "regdictionary", "regnamespace",
            "regrole",       "regcollation", "aclitem",      "gtsvector",     "refcursor",
            "int2vector",    "oidvector",    "pg_node_tree", "pg_ndistinct",  "pg_dependencies",
            "pg_mcv_list"};
        if (std::ranges::find(by_text, name) != std::end(by_text)) return as_text(expression);
        return fail(unmapped(fmt::format("has type {}, which has no place in the type table", type.shown)));
    }

    Mapping noted(Mapping mapping) const {
        if (!context_.holds.infinite_dates) mapping.note = "infinity has no place in the target: special_dates decides";
        return mapping;
    }

    Result<Mapping> extension(const PgType& type, const std::string& expression) const {
        if (type.name == "citext") return plain(Kind::text, expression, text_reader(context_.validate_utf8));
        if (type.name == "hstore" && type.binary)
            return Mapping{data::map_of(data::scalar(Kind::text), data::scalar(Kind::text)), expression,
                           hstore_reader()};
        if (type.name == "geometry" || type.name == "geography")
            return Mapping{data::scalar(Kind::bytes), fmt::format("({})::bytea", expression), bytes_reader(), "EWKB"};
        return as_text(expression, "stored as the extension's text output");
    }

    Result<Mapping> numeric(int32_t modifier, const std::string& expression) const {
        bool to_text = context_.policies.special_numbers == config::SpecialNumbers::text;
        Mapping text{data::scalar(Kind::text), expression, numeric_text_reader()};
        if (modifier >= 4) {
            // numeric's typmod: precision in the upper half, an 11-bit signed scale below (numeric.c, make_numeric_typmod).
            int precision = (modifier - 4) >> 16 & 0xffff;
            int scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
            int held_scale = std::max(scale, 0);
            int held_precision = std::max(scale < 0 ? precision - scale : precision, held_scale);
            if (held_precision > 38) {
                text.note = fmt::format("{} digits do not fit a decimal: stored as text", held_precision);
                return text;
            }
            if (to_text) return text;
            return decimal(held_precision, held_scale, expression, "");
        }
        const auto& policy = context_.policies.numeric.of(request_.table, request_.column);
        if (context_.holds.free_decimals && policy == config::NumericPolicy{}) return text;
        switch (policy.form) {
            case config::NumericForm::text: return text;
            case config::NumericForm::floating:
                return Mapping{data::scalar(Kind::float64), expression, numeric_float64_reader(),
                               "rounded to the nearest double, as numeric: double asks"};
            case config::NumericForm::decimal: break;
        }
        if (to_text) return text;
        return decimal(policy.precision, policy.scale, expression,
                       fmt::format("numeric without bounds: values that do not fit decimal({},{}) are rejected; "
                                   "numeric: chooses another form",
                                   policy.precision, policy.scale));
    }

    Mapping decimal(int precision, int scale, const std::string& expression, std::string note) const {
        if (note.empty())
            note = context_.policies.special_numbers == config::SpecialNumbers::null
                       ? "NaN becomes NULL"
                       : "NaN is rejected: special_numbers decides";
        return {data::decimal(precision, scale), expression,
                decimal_reader(precision, scale, context_.policies.special_numbers), std::move(note)};
    }

    Result<Mapping> domain(const PgType& type, int32_t dimensions, const std::string& expression, int depth) {
        int32_t inner = std::max(dimensions, type.base_dimensions);
        PN_TRY(auto mapping, map(type.base, type.base_modifier, inner, expression, depth + 1));
        return mapping;
    }

    Result<Mapping> array(const PgType& type, int32_t modifier, int32_t dimensions, const std::string& expression,
                          int depth) {
        int levels = std::clamp(dimensions, 1, 6);
        std::string item = fmt::format("pn{}", depth);
        PN_TRY(auto element, map(type.element, modifier, 0, item, depth + 1));
        Mapping out;
        out.type = element.type;
        for (int i = 0; i < levels; ++i) out.type = data::list_of(std::move(out.type));
        out.reader = array_reader(element.reader, levels);
        out.note = element.note.empty() ? "lower bounds other than 1 are not kept" : element.note;
        if (element.expression == item) {
            out.expression = expression;
        } else if (element.expression == fmt::format("({})::text", item)) {
            out.expression = fmt::format("({})::text[]", expression);
        } else if (element.by_text) {
            // By the array's own text, so that dimensions stay and elements come from their output function.
            out.expression = fmt::format("({})::text::text[]", expression);
        } else {
            // Elements that need rewriting: possible element by element, in one dimension.
            if (levels > 1)
                return fail(unmapped(fmt::format(
                    "is an array of {} dimensions whose elements ({}) cannot be read in binary", levels, type.shown)));
            out.expression = fmt::format(
                "CASE WHEN {0} IS NOT NULL THEN ARRAY(SELECT {1} FROM (SELECT ({0})[i] AS {2} FROM "
                "pg_catalog.generate_subscripts({0}, 1) AS i ORDER BY i) AS s) END",
                expression, element.expression, item);
        }
        return out;
    }

    Result<Mapping> composite(const PgType& type, const std::string& expression, int depth) {
        Mapping out;
        std::vector<data::Field> fields;
        std::vector<std::string> names;
        std::vector<ReaderPtr> readers;
        std::string row;
        bool rewritten = false;
        for (const auto& attribute : type.attributes) {
            std::string part = fmt::format("({}).{}", expression, quote_identifier(attribute.name));
            PN_TRY(auto field, map(attribute.type, attribute.modifier, attribute.dimensions, part, depth + 1));
            rewritten |= field.expression != part;
            row += (row.empty() ? "" : ", ") + field.expression;
            fields.push_back({.name = attribute.name, .type = std::move(field.type)});
            names.push_back(attribute.name);
            readers.push_back(std::move(field.reader));
            if (out.note.empty()) out.note = field.note;
        }
        if (fields.empty())
            return fail(unmapped(fmt::format("has the composite type {} without attributes", type.shown)));
        out.type = data::structure_of(std::move(fields));
        out.reader = composite_reader(std::move(names), std::move(readers));
        // IS NULL is true of a row of NULLs as well; only IS NOT DISTINCT FROM NULL tells the two apart.
        out.expression = rewritten
                             ? fmt::format("CASE WHEN ({0}) IS DISTINCT FROM NULL THEN ROW({1}) END", expression, row)
                             : expression;
        return out;
    }

    Result<Mapping> range(const PgType& type, const std::string& expression, int depth) {
        if (context_.holds.range_text) return as_text(expression);
        std::string lower = fmt::format("pg_catalog.lower({})", expression);
        PN_TRY(auto bound, map(type.subtype, -1, 0, lower, depth + 1));
        Mapping out;
        out.note = bound.note;
        data::Type flag = data::scalar(Kind::boolean);
        out.type = data::structure_of({{.name = "lower", .type = bound.type},
                                       {.name = "upper", .type = bound.type},
                                       {.name = "lower_inclusive", .type = flag, .nullable = false},
                                       {.name = "upper_inclusive", .type = flag, .nullable = false},
                                       {.name = "empty", .type = flag, .nullable = false}});
        if (bound.expression == lower) {
            out.expression = expression;
            out.reader = range_reader(bound.reader);
            return out;
        }
        PN_TRY(auto upper, map(type.subtype, -1, 0, fmt::format("pg_catalog.upper({})", expression), depth + 1));
        out.expression = fmt::format(
            "CASE WHEN {0} IS NOT NULL THEN ROW({1}, {2}, pg_catalog.lower_inc({0}), pg_catalog.upper_inc({0}), "
            "pg_catalog.isempty({0})) END",
            expression, bound.expression, upper.expression);
        out.reader =
            composite_reader({"lower", "upper", "lower_inclusive", "upper_inclusive", "empty"},
                             {bound.reader, upper.reader, boolean_reader(), boolean_reader(), boolean_reader()});
        return out;
    }

    Result<Mapping> multirange(const PgType& type, const std::string& expression, int depth) {
        std::string item = fmt::format("pn{}", depth);
        PN_TRY(auto part, map(type.subtype, -1, 0, item, depth + 1));
        if (context_.holds.range_text) return as_text(expression);
        if (part.expression != item)
            return as_text(expression, "ranges over this type are stored as PostgreSQL's text");
        return Mapping{data::list_of(std::move(part.type)), expression, multirange_reader(part.reader), part.note};
    }

    const MappingContext& context_;
    const MappingRequest& request_;
};

}  // namespace

Result<Mapping> map_type(const MappingRequest& request, const MappingContext& context) {
    return Mapper(context, request).map(request.type, request.modifier, request.dimensions, request.expression, 0);
}

}  // namespace penstock::postgres
