#include "connect/postgres/pg_type.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace penstock::postgres {
namespace {

std::string oid_array(std::span<const Oid> oids) { return fmt::format("{{{}}}", fmt::join(oids, ",")); }

Oid oid_at(const Rows& rows, int row, int column) { return static_cast<Oid>(rows.integer(row, column)); }

PgType type_at(const Rows& rows, int row) {
    return {.oid = oid_at(rows, row, 0),
            .name = rows.text(row, 1),
            .shown = rows.text(row, 2),
            .kind = rows.text(row, 3)[0],
            .element = oid_at(rows, row, 4),
            .base = oid_at(rows, row, 5),
            .base_modifier = static_cast<int32_t>(rows.integer(row, 6)),
            .base_dimensions = static_cast<int32_t>(rows.integer(row, 7)),
            .subtype = oid_at(rows, row, 8),
            .core = rows.truth(row, 9),
            .binary = rows.truth(row, 10),
            .delimiter = rows.text(row, 11)[0],
            .attributes = {}};
}

}  // namespace

Status TypeCatalog::load(std::span<const Oid> oids) {
    std::vector<Oid> wanted;
    for (Oid oid : oids)
        if (!types_.contains(oid)) wanted.push_back(oid);
    while (!wanted.empty()) {
        // Fixed-length types such as name and point have typelem too; true arrays are those whose element names them back.
        // Multiranges came with PostgreSQL 14.
        std::string multirange = session_.server_version() >= 140000
                                     ? "(SELECT rngtypid FROM pg_catalog.pg_range WHERE rngmultitypid = t.oid)"
                                     : "NULL";
        PN_TRY(
            auto rows,
            session_.query(
                fmt::format(
                    "SELECT t.oid, t.typname, pg_catalog.format_type(t.oid, NULL), t.typtype, "
                    "CASE WHEN e.typarray = t.oid THEN t.typelem ELSE 0 END, t.typbasetype, t.typtypmod, t.typndims, "
                    "coalesce(r.rngsubtype, {}, 0), n.nspname = 'pg_catalog', t.typsend <> 0, t.typdelim "
                    "FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace "
                    "LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem "
                    "LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid WHERE t.oid = ANY ($1::oid[])",
                    multirange),
                {oid_array(wanted)}));
        wanted.clear();
        std::vector<Oid> composites;
        for (int row = 0; row < rows.count(); ++row) {
            PgType type = type_at(rows, row);
            for (Oid part : {type.element, type.base, type.subtype})
                if (part != 0 && !types_.contains(part)) wanted.push_back(part);
            if (type.kind == 'c') composites.push_back(type.oid);
            types_[type.oid] = std::move(type);
        }
        if (composites.empty()) continue;
        PN_CHECK(load_attributes(composites));
        for (Oid composite : composites)
            for (const auto& attribute : types_[composite].attributes)
                if (!types_.contains(attribute.type)) wanted.push_back(attribute.type);
    }
    return {};
}

Status TypeCatalog::load_attributes(const std::vector<Oid>& composites) {
    PN_TRY(
        auto rows,
        session_.query("SELECT t.oid, a.attname, a.atttypid, a.atttypmod, a.attndims FROM pg_catalog.pg_type t "
                       "JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid "
                       "WHERE t.oid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY t.oid, a.attnum",
                       {oid_array(composites)}));
    for (int row = 0; row < rows.count(); ++row)
        types_[oid_at(rows, row, 0)].attributes.push_back({rows.text(row, 1), oid_at(rows, row, 2),
                                                           static_cast<int32_t>(rows.integer(row, 3)),
                                                           static_cast<int32_t>(rows.integer(row, 4))});
    return {};
}

}  // namespace penstock::postgres
