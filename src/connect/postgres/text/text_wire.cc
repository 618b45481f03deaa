#include "connect/postgres/text/text_wire.h"

#include <fmt/format.h>

#include <algorithm>

#include "connect/postgres/text/text_parser.h"
#include "connect/postgres/types.h"

namespace penstock::postgres {
namespace {

// Types of the wire forms that a rewritten expression gives.
constexpr Oid text_oid = 25;
constexpr Oid record_oid = 2249;
constexpr Oid text_array_oid = 1009;

/// How a type's text becomes what map_type() asks the server for. No parser: as it stands.
struct Form {
    TextParserPtr parser;
    Oid oid;                 ///< of the expression's type
    bool rewritten = false;  ///< the expression is not the value itself

    TextPart part() const { return {parser != nullptr ? parser : parser_of<parse_verbatim>(), oid}; }
};

struct Plain {
    std::string_view type;
    TextParserPtr (*parser)();
};

constexpr Plain plain_types[] = {
    {"bool", parser_of<parse_bool>},
    {"int2", parser_of<parse_int2>},
    {"int4", parser_of<parse_int4>},
    {"int8", parser_of<parse_int8>},
    {"oid", parser_of<parse_uint4>},
    {"xid", parser_of<parse_uint4>},
    {"xid8", parser_of<parse_uint8>},
    {"float4", parser_of<parse_float4>},
    {"float8", parser_of<parse_float8>},
    {"numeric", parser_of<parse_numeric>},
    {"bytea", parser_of<parse_bytea>},
    {"uuid", parser_of<parse_uuid>},
    {"jsonb", parser_of<parse_jsonb>},
    {"date", parser_of<parse_date>},
    {"time", parser_of<parse_time>},
    {"timestamp", parser_of<parse_timestamp>},
    {"timestamptz", parser_of<parse_timestamptz>},
};

constexpr std::string_view text_types[] = {"text", "varchar", "bpchar", "name", "xml", "json"};

/// Follows map_type() type by type; that they agree is tested against a server, for every type there is.
class Builder {
  public:
    Builder(const TextToWire::Lookup& lookup, const data::Holds& holds) : lookup_(lookup), holds_(holds) {}

    Result<Form> build(Oid oid, int depth) const {
        const PgType& type = lookup_(oid);
        if (depth > deepest_type) return fail(unmapped("is nested too deeply"));
        if (type.element != 0) return array(type, depth);
        switch (type.kind) {
            case 'd': return domain(type, depth);
            case 'c': return composite(type, depth);
            case 'r': return range(type, depth);
            case 'm': return multirange(type, depth);
            case 'e': return Form{nullptr, type.oid};
            case 'b': return type.core ? core(type) : extension(type);
            default: return fail(unmapped(fmt::format("is the pseudo-type {}", type.shown)));
        }
    }

  private:
    static Error unmapped(const std::string& why) {
        return {.kind = ErrorKind::schema, .code = "unmapped_type", .message = "a captured type " + why};
    }

    static Form by_text() { return {nullptr, text_oid, true}; }

    Form core(const PgType& type) const {
        if (const auto* plain = std::ranges::find(plain_types, type.name, &Plain::type); plain != std::end(plain_types))
            return {plain->parser(), type.oid};
        if (std::ranges::find(text_types, type.name) != std::end(text_types)) return {nullptr, type.oid};
        if (type.name == "timetz" && holds_.timetz) return {parser_of<parse_timetz>(), type.oid};
        if (type.name == "interval" && holds_.interval) return {parser_of<parse_interval>(), type.oid};
        return by_text();
    }

    static Form extension(const PgType& type) {
        if (type.name == "citext") return {nullptr, type.oid};
        if (type.name == "hstore" && type.binary) return {parser_of<parse_hstore>(), type.oid};
        // PostGIS writes EWKB in hexadecimal digits; the cast to bytea gives the same bytes.
        if (type.name == "geometry" || type.name == "geography") return {parser_of<parse_hex>(), bytea_oid, true};
        return by_text();
    }

    Result<Form> domain(const PgType& type, int depth) const {
        PN_TRY(auto form, build(type.base, depth + 1));
        if (!form.rewritten) form.oid = type.oid;
        return form;
    }

    Result<Form> array(const PgType& type, int depth) const {
        PN_TRY(auto element, build(type.element, depth + 1));
        Oid oid = element.rewritten ? text_array_oid : type.oid;
        return Form{array_parser(element.part(), lookup_(type.element).delimiter), oid, element.rewritten};
    }

    Result<Form> composite(const PgType& type, int depth) const {
        std::vector<TextPart> attributes;
        bool rewritten = false;
        for (const auto& attribute : type.attributes) {
            PN_TRY(auto form, build(attribute.type, depth + 1));
            rewritten |= form.rewritten;
            attributes.push_back(form.part());
        }
        if (attributes.empty())
            return fail(unmapped(fmt::format("is the composite {} without attributes", type.shown)));
        return Form{composite_parser(std::move(attributes)), rewritten ? record_oid : type.oid, rewritten};
    }

    Result<Form> range(const PgType& type, int depth) const {
        if (holds_.range_text) return by_text();
        PN_TRY(auto bound, build(type.subtype, depth + 1));
        if (bound.rewritten) return Form{range_record_parser(bound.part()), record_oid, true};
        return Form{range_parser(bound.part().parser), type.oid};
    }

    Result<Form> multirange(const PgType& type, int depth) const {
        PN_TRY(auto range, build(type.subtype, depth + 1));
        if (range.rewritten) return by_text();
        PN_TRY(auto bound, build(lookup_(type.subtype).subtype, depth + 2));
        return Form{multirange_parser(bound.part().parser), type.oid};
    }

    const TextToWire::Lookup& lookup_;
    const data::Holds& holds_;
};

}  // namespace

Result<TextToWire> TextToWire::make(Oid type, const TypeCatalog& catalog, const data::Holds& holds) {
    return make(type, [&catalog](Oid oid) -> const PgType& { return catalog.at(oid); }, holds);
}

Result<TextToWire> TextToWire::make(Oid type, const Lookup& lookup, const data::Holds& holds) {
    PN_TRY(auto form, Builder(lookup, holds).build(type, 0));
    return TextToWire(std::move(form.parser), lookup(type).shown);
}

Status TextToWire::convert(std::string_view text, std::string& wire) const {
    if (verbatim()) {
        wire += text;
        return {};
    }
    size_t start = wire.size();
    Malformed malformed;
    if (parser_->parse(text, wire, malformed)) [[likely]]
        return {};
    wire.resize(start);
    return fail({.kind = ErrorKind::data,
                 .code = "malformed",
                 .message = fmt::format("the server sent a text of {} bytes that is no {}: {} was expected",
                                        text.size(), shown_, malformed.expected)});
}

}  // namespace penstock::postgres
