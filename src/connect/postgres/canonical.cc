#include "connect/postgres/canonical.h"

#include <fmt/format.h>

#include "connect/postgres/session.h"

namespace penstock::postgres {
namespace {

using data::Kind;
using data::Type;

/// By the structure of the two types at once: the source's says how to get at the parts, the target's what their texts are.
class Writer {
  public:
    Writer(const CanonicalRequest& request, const TypeCatalog& types) : request_(request), types_(types) {}

    std::string text(Oid oid, const std::string& value, const Type& target, int depth) const {
        const PgType& type = base_of(oid);
        switch (target.kind) {
            case Kind::text: return plain_text(type, value);
            case Kind::json: return is(type, {"json", "jsonb"}) ? cast(value, "text") : "";
            case Kind::boolean: return is(type, {"bool"}) ? cast(value, "text") : "";
            case Kind::int16:
            case Kind::int32:
            case Kind::int64:
            case Kind::uint32:
            case Kind::uint64:
                return is(type, {"int2", "int4", "int8", "oid", "xid", "xid8"}) ? cast(value, "text") : "";
            case Kind::float32:
            case Kind::float64: return floating(type, value);
            case Kind::decimal: return decimal(type, value, target.scale);
            case Kind::bytes: return bytes(type, value);
            case Kind::uuid: return is(type, {"uuid"}) ? cast(value, "text") : "";
            case Kind::date: return is(type, {"date"}) ? cast(value, "text") : "";
            case Kind::time: return is(type, {"time"}) ? cast(value, "text") : "";
            case Kind::timetz: return is(type, {"timetz"}) ? cast(value, "text") : "";
            case Kind::timestamp: return is(type, {"timestamp"}) ? cast(value, "text") : "";
            case Kind::timestamptz: return is(type, {"timestamptz"}) ? cast(value, "text") : "";
            case Kind::interval: return is(type, {"interval"}) ? interval(value) : "";
            case Kind::list: return list(type, value, target, depth);
            case Kind::structure: return structure(type, value, target, depth);
            case Kind::map: return hstore(type, value);
        }
        return "";
    }

  private:
    const PgType& base_of(Oid oid) const {
        const PgType* type = &types_.at(oid);
        while (type->kind == 'd') type = &types_.at(type->base);
        return *type;
    }

    static bool is(const PgType& type, std::initializer_list<std::string_view> names) {
        if (!type.core) return false;
        for (auto name : names)
            if (type.name == name) return true;
        return false;
    }

    static std::string cast(const std::string& value, std::string_view to) {
        return fmt::format("({})::{}", value, to);
    }

    /// Types whose cast to text is not what they look like have their output function asked, by concat().
    static std::string plain_text(const PgType& type, const std::string& value) {
        bool faithful = type.kind == 'e' || is(type, {"text", "varchar", "name", "uuid", "numeric", "int2", "int4",
                                                      "int8", "interval", "timetz", "json", "jsonb"});
        if (faithful) return cast(value, "text");
        if (is(type, {"bpchar"})) return fmt::format("pg_catalog.bpcharout({})::text", value);
        if (is(type, {"inet"})) return fmt::format("pg_catalog.inet_out({})::text", value);
        return fmt::format("CASE WHEN ({0}) IS DISTINCT FROM NULL THEN pg_catalog.concat({0}) END", value);
    }

    /// As it stands beside others; never NULL.
    std::string framed(Oid oid, const std::string& value, const Type& target, int depth) const {
        std::string made = text(oid, value, target, depth);
        if (made.empty()) return "";
        if (target.kind == Kind::text) made = fmt::format("{} || ':' || {}", bytes_of(made), made);
        return fmt::format("coalesce({}, 'n') || E'\\x1f'", made);
    }

    std::string bytes_of(const std::string& text) const {
        return request_.utf8 ? fmt::format("pg_catalog.octet_length({})", text)
                             : fmt::format("pg_catalog.octet_length(pg_catalog.convert_to({}, 'UTF8'))", text);
    }

    /// to_char has C's printf write it, with as many digits as the format has.
    std::string floating(const PgType& type, const std::string& value) const {
        if (!is(type, {"float4", "float8", "numeric"})) return "";
        std::string number = cast(value, "float8");
        return fmt::format(
            "CASE WHEN {0} IN ('NaN', 'Infinity', '-Infinity') THEN {0}::text WHEN {0} = 0 THEN "
            "'0.0000000000000000e+00' ELSE pg_catalog.ltrim(pg_catalog.to_char({0}, '9.9999999999999999EEEE')) END",
            number);
    }

    /// With the target's digits behind the point, unless that would round: then it is not the target's value, and must not read
    /// like it.
    std::string decimal(const PgType& type, const std::string& value, int scale) const {
        if (is(type, {"int2", "int4", "int8"})) return cast(value, "text");
        if (!is(type, {"numeric"})) return "";
        std::string number = request_.nan_is_null
                                 ? fmt::format(
                                       "(CASE WHEN ({0})::text NOT IN ('NaN', 'Infinity', '-Infinity') THEN {0} "
                                       "END)",
                                       value)
                                 : fmt::format("({})", value);
        std::string digits = fmt::format("pg_catalog.round({}, {})", number, scale);
        std::string text = digits + "::text";
        if (scale > 0) text = fmt::format("pg_catalog.rtrim(pg_catalog.rtrim({}, '0'), '.')", text);
        return fmt::format("CASE WHEN {0} = {1} THEN {2} ELSE {1}::text END", digits, number, text);
    }

    static std::string bytes(const PgType& type, const std::string& value) {
        bool binary = is(type, {"bytea"});
        bool spatial = !type.core && (type.name == "geometry" || type.name == "geography");
        if (!binary && !spatial) return "";
        return fmt::format("pg_catalog.encode(({})::bytea, 'hex')", value);
    }

    static std::string interval(const std::string& value) {
        return fmt::format(
            "(extract(year FROM {0}) * 12 + extract(month FROM {0}))::bigint::text || ',' || extract(day FROM "
            "{0})::bigint::text || ',' || (extract(hour FROM {0})::bigint * 3600000000 + extract(minute FROM "
            "{0})::bigint * 60000000 + extract(microseconds FROM {0})::bigint)::text",
            "(" + value + ")");
    }

    /// Elements in their order, between brackets. Several dimensions are an array of arrays each.
    std::string list(const PgType& type, const std::string& value, const Type& target, int depth) const {
        std::string item = fmt::format("pv{}", depth);
        const Type& inner = target.children.at(0).type;
        if (type.kind == 'm') {
            std::string one = framed(type.subtype, item, inner, depth + 1);
            return one.empty() ? "" : collected(value, fmt::format("pg_catalog.unnest({})", value), item, one, depth);
        }
        if (type.element == 0) return "";
        int levels = 1;
        const Type* element = &inner;
        for (; element->kind == Kind::list && base_of(type.element).element == 0 && base_of(type.element).kind != 'm';
             ++levels)
            element = &element->children.at(0).type;
        std::string one = framed(type.element, item, *element, depth + 1);
        if (one.empty()) return "";
        // unnest() would give a composite's attributes as columns.
        if (levels == 1 && base_of(type.element).kind != 'c')
            return collected(value, fmt::format("pg_catalog.unnest({})", value), item, one, depth);
        return fmt::format(
            "CASE WHEN {} IS NOT NULL THEN {} END", value,
            dimension({.value = value, .item = item, .one = one, .levels = levels, .depth = depth}, 1, ""));
    }

    static std::string collected(const std::string& value, const std::string& rows, const std::string& item,
                                 const std::string& one, int depth) {
        return fmt::format(
            "CASE WHEN ({0}) IS NOT NULL THEN '[' || coalesce((SELECT pg_catalog.string_agg({1}, '' ORDER BY po{4}) "
            "FROM {2} WITH ORDINALITY AS pu{4}({3}, po{4})), '') || ']' END",
            value, one, rows, item, depth);
    }

    struct Array {
        const std::string& value;
        const std::string& item;
        const std::string& one;
        int levels;
        int depth;
    };

    /// The array's part at these subscripts: "[pi0_1][pi0_2]".
    static std::string dimension(const Array& array, int level, const std::string& subscripts) {
        std::string index = fmt::format("pi{}_{}", array.depth, level);
        std::string below = fmt::format("{}[{}]", subscripts, index);
        std::string part = level == array.levels
                               ? fmt::format("(SELECT {} FROM (SELECT ({}){} AS {} OFFSET 0) AS ps{}_{})", array.one,
                                             array.value, below, array.item, array.depth, level)
                               : fmt::format("{} || E'\\x1f'", dimension(array, level + 1, below));
        return fmt::format(
            "('[' || coalesce((SELECT pg_catalog.string_agg({0}, '' ORDER BY {1}) FROM "
            "pg_catalog.generate_subscripts({2}, {3}) AS {1}), '') || ']')",
            part, index, array.value, level);
    }

    std::string structure(const PgType& type, const std::string& value, const Type& target, int depth) const {
        std::string parts;
        auto add = [&](Oid oid, const std::string& part, const Type& as) {
            std::string one = framed(oid, part, as, depth);
            if (one.empty()) return false;
            parts += one + " || ";
            return true;
        };
        const auto& fields = target.children;
        if (type.kind == 'r') {
            if (fields.size() != 5) return "";
            for (size_t i : {0U, 1U})
                if (!add(type.subtype, fmt::format("pg_catalog.{}({})", i == 0 ? "lower" : "upper", value),
                         fields[i].type))
                    return "";
            for (const char* flag : {"lower_inc", "upper_inc", "isempty"})
                parts += fmt::format("pg_catalog.{}({})::text || E'\\x1f' || ", flag, value);
        } else if (type.kind == 'c') {
            if (fields.size() != type.attributes.size()) return "";
            for (size_t i = 0; i < fields.size(); ++i)
                if (!add(type.attributes[i].type,
                         fmt::format("({}).{}", value, quote_identifier(type.attributes[i].name)), fields[i].type))
                    return "";
        } else {
            return "";
        }
        // IS NULL is true of a row of NULLs as well.
        return fmt::format("CASE WHEN ({}) IS DISTINCT FROM NULL THEN '(' || {}')' END", value, parts);
    }

    std::string hstore(const PgType& type, const std::string& value) const {
        if (type.name != "hstore") return "";
        auto part = [&](const char* name) {
            return fmt::format("coalesce({} || ':' || {}, 'n') || E'\\x1f'", bytes_of(name), name);
        };
        return fmt::format(
            "CASE WHEN ({0}) IS NOT NULL THEN '{{' || coalesce((SELECT pg_catalog.string_agg({1} || {2}, '' ORDER BY "
            "pk COLLATE \"C\") FROM each({0}) AS pe(pk, pw)), '') || '}}' END",
            value, part("pk"), part("pw"));
    }

    const CanonicalRequest& request_;
    const TypeCatalog& types_;
};

}  // namespace

std::string canonical_text(const CanonicalRequest& request, const TypeCatalog& types) {
    return Writer(request, types).text(request.type, request.value, request.target, 0);
}

}  // namespace penstock::postgres
