#include "connect/postgres/catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/humane.h"

namespace penstock::postgres {
namespace {

constexpr const char* relation_columns =
    "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relhassubclass, c.reltuples "
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ";
constexpr const char* user_schemas = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ";

std::vector<Relation> relations_of(const Rows& rows) {
    std::vector<Relation> out;
    for (int row = 0; row < rows.count(); ++row) {
        Relation relation;
        relation.oid = static_cast<Oid>(rows.integer(row, 0));
        relation.schema = rows.text(row, 1);
        relation.name = rows.text(row, 2);
        relation.kind = rows.text(row, 3)[0];
        relation.has_children = rows.truth(row, 4);
        relation.rows = rows.number(row, 5);
        out.push_back(std::move(relation));
    }
    return out;
}

/// Our wildcards as a LIKE pattern.
std::string like_pattern(std::string_view pattern) {
    std::string out;
    for (char c : pattern) {
        if (c == '*') out += '%';
        else if (c == '?') out += '_';
        else if (c == '%' || c == '_' || c == '\\') (out += '\\') += c;
        else out += c;
    }
    return out;
}

bool has_wildcard(std::string_view name) { return name.find_first_of("*?") != name.npos; }

bool matches(std::string_view text, std::string_view pattern) {
    if (pattern.empty()) return text.empty();
    if (pattern[0] == '*')
        return matches(text, pattern.substr(1)) || (!text.empty() && matches(text.substr(1), pattern));
    return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) && matches(text.substr(1), pattern.substr(1));
}

struct Name {
    std::string schema;  ///< "" when not given
    std::string table;
};

/// schema.table; double quotes keep dots and case as in SQL, without them names are taken as they stand.
Name split_name(std::string_view text) {
    std::vector<std::string> parts(1);
    bool quoted = false;
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        bool doubled = quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"';
        if (doubled) parts.back() += text[i++];
        else if (c == '"') quoted = !quoted;
        else if (c == '.' && !quoted && parts.size() == 1) parts.emplace_back();
        else parts.back() += c;
    }
    if (parts.size() == 1) return {"", parts[0]};
    return {parts[0], parts[1]};
}

Error not_found(Session& session, const config::Text& wanted) {
    std::vector<std::string> names;
    if (auto all = session.query(std::string(relation_columns) + "WHERE c.relkind IN ('r','p','v','m','f') AND " +
                                 user_schemas))
        for (const auto& relation : relations_of(*all)) names.push_back(relation.full_name());
    auto name = split_name(wanted.value);
    std::string nearest = nearest_name(name.schema.empty() ? "public." + name.table : wanted.value, names);
    return {
        .kind = ErrorKind::refused,
        .code = "no_such_table",
        .message = fmt::format("{} has no table {}", session.place().text(), wanted.value),
        .where = wanted.place.text(),
        .hint = nearest.empty()
                    ? "`penstock init --from` lists what is there; a name without schema is looked up in search_path"
                    : fmt::format("did you mean {}?", nearest)};
}

Result<std::vector<Relation>> named(Session& session, const config::Text& wanted) {
    auto name = split_name(wanted.value);
    std::string regclass = name.schema.empty() ? quote_identifier(name.table)
                                               : quote_identifier(name.schema) + "." + quote_identifier(name.table);
    PN_TRY(auto rows,
           session.query(std::string(relation_columns) + "WHERE c.oid = pg_catalog.to_regclass($1)", {regclass}));
    auto found = relations_of(rows);
    if (found.empty()) return fail(not_found(session, wanted));
    if (std::string("rpvmf").find(found[0].kind) == std::string::npos)
        return fail({.kind = ErrorKind::refused,
                     .code = "not_a_table",
                     .message = fmt::format("{} is neither a table nor a view", wanted.value),
                     .where = wanted.place.text()});
    return found;
}

/// Tables a pattern stands for. Partitions are left to their parents, views are read only when named.
Result<std::vector<Relation>> matching(Session& session, const config::Text& pattern) {
    auto name = split_name(pattern.value);
    PN_TRY(auto rows,
           session.query(std::string(relation_columns) +
                             "WHERE c.relkind IN ('r','p','m','f') AND NOT c.relispartition AND n.nspname LIKE $1 AND "
                             "c.relname LIKE $2 AND " +
                             user_schemas + "ORDER BY 2, 3",
                         {like_pattern(name.schema.empty() ? "public" : name.schema), like_pattern(name.table)}));
    if (rows.count() == 0) return fail(not_found(session, pattern));
    return relations_of(rows);
}

Status load_columns(Session& session, std::vector<Relation>& relations, const std::string& oids) {
    PN_TRY(
        auto rows,
        session.query(
            "SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, pg_catalog.format_type(a.atttypid, a.atttypmod), "
            "a.attnotnull, "
            "a.attgenerated <> '', a.attnum, a.attndims, coalesce(s.n_distinct, 0), coalesce(s.avg_width, 0) "
            "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN "
            "pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "LEFT JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = "
            "a.attname AND s.inherited = (c.relkind = 'p') "
            "WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum",
            {oids}));
    std::map<Oid, Relation*> by_oid;
    for (auto& relation : relations) by_oid[relation.oid] = &relation;
    for (int row = 0; row < rows.count(); ++row) {
        auto int_at = [&](int column) { return static_cast<int32_t>(rows.integer(row, column)); };
        by_oid[static_cast<Oid>(rows.integer(row, 0))]->columns.push_back(
            {.name = rows.text(row, 1),
             .type = static_cast<Oid>(rows.integer(row, 2)),
             .modifier = int_at(3),
             .shown_type = rows.text(row, 4),
             .not_null = rows.truth(row, 5),
             .generated = rows.truth(row, 6),
             .number = int_at(7),
             .dimensions = int_at(8),
             .distinct = rows.number(row, 9),
             .average_bytes = int_at(10)});
    }
    return {};
}

/// What rows older than a column hold in it. A constant DEFAULT that a column was added with stands in pg_attribute until the
/// table is rewritten (PostgreSQL documentation, pg_attribute.attmissingval), and there with the relations that have rows: the
/// leaves of a partitioned table, the children of an inherited one. They may disagree; a leaf that was made later has none.
/// Without it rows hold NULL, unless the column has or had a DEFAULT whose values were written into them: one that is still
/// there, or NOT NULL, makes that possible. A DEFAULT since dropped is found by TableSource::check_older_rows().
Status load_initial_values(Session& session, std::vector<Relation>& relations, const std::string& oids) {
    PN_TRY(
        auto rows,
        session.query("WITH RECURSIVE tree AS (SELECT oid AS root, oid AS rel FROM unnest($1::oid[]) AS t(oid) UNION "
                      "SELECT t.root, i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.rel), "
                      "told AS (SELECT t.root, a.attname, a.atthasmissing AS told, (a.attmissingval::text::text[])[1] "
                      "COLLATE \"C\" AS value, "
                      "c.relkind <> 'r' OR a.attnotnull OR a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '' "
                      "AS may_hold "
                      "FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.rel AND c.relkind <> 'p' "
                      "JOIN pg_catalog.pg_attribute a ON a.attrelid = t.rel AND a.attnum > 0 AND NOT a.attisdropped) "
                      "SELECT root, attname, bool_and(told) AND min(value) = max(value), min(value), NOT bool_or(told) "
                      "AND NOT bool_or(may_hold) "
                      "FROM told GROUP BY root, attname",
                      {oids}));
    std::map<std::pair<Oid, std::string>, CatalogColumn*> by_name;
    for (auto& relation : relations)
        for (auto& column : relation.columns) by_name[{relation.oid, column.name}] = &column;
    for (int row = 0; row < rows.count(); ++row) {
        auto found = by_name.find({static_cast<Oid>(rows.integer(row, 0)), rows.text(row, 1)});
        if (found == by_name.end()) continue;  // of a child alone
        bool constant = !rows.is_null(row, 2) && rows.truth(row, 2), none = rows.truth(row, 4);
        found->second->initial_unknown = !constant && !none;
        if (constant) found->second->initial = rows.text(row, 3);
    }
    return {};
}

Status load_identities(Session& session, std::vector<Relation>& relations) {
    PN_TRY(auto database,
           session.query("SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"));
    std::string system;
    // Managed servers may not let us ask; then one whose numbers happen to be the same would pass for it.
    if (auto control = session.query("SELECT system_identifier::text FROM pg_catalog.pg_control_system()"))
        system = control->text(0, 0);
    for (auto& relation : relations)
        relation.identity = fmt::format("{}/{}/{}", system, database.text(0, 0), relation.oid);
    return {};
}

Status load_keys(Session& session, std::vector<Relation>& relations, const std::string& oids) {
    PN_TRY(auto rows, session.query("SELECT i.indrelid, a.attname FROM pg_catalog.pg_index i CROSS JOIN LATERAL "
                                    "unnest(i.indkey) WITH ORDINALITY AS k(attnum, position) "
                                    "JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
                                    "WHERE i.indisprimary AND i.indrelid = ANY ($1::oid[]) AND k.position <= "
                                    "i.indnkeyatts ORDER BY i.indrelid, k.position",
                                    {oids}));
    for (int row = 0; row < rows.count(); ++row)
        for (auto& relation : relations)
            if (relation.oid == static_cast<Oid>(rows.integer(row, 0)))
                relation.primary_key.push_back(rows.text(row, 1));
    return {};
}

/// A failure with the relation it is about.
Status about(const Relation& relation, Status status) {
    if (!status) status.error().where += ", table " + relation.full_name();
    return status;
}

/// What to read a relation by: itself, or the leaves of a partitioned one as far as we may read them directly.
Status load_leaves(Session& session, Relation& relation) {
    bool partitioned = relation.kind == 'p';
    // pg_partition_tree answers nothing for anything but partitioned tables and partitions.
    std::string from =
        partitioned
            ? fmt::format("(SELECT relid AS oid FROM pg_catalog.pg_partition_tree({}::oid) WHERE isleaf)", relation.oid)
            : fmt::format("(SELECT {}::oid AS oid)", relation.oid);
    PN_TRY(auto rows,
           session.query(fmt::format(
               "SELECT c.oid, n.nspname, c.relname, c.relkind, CASE WHEN c.relkind IN ('r','m') THEN "
               "pg_catalog.pg_relation_size(c.oid) / "
               "pg_catalog.current_setting('block_size')::bigint ELSE 0 END, coalesce(m.amname = 'heap', false), "
               "pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'), "
               "c.relfilenode "
               "FROM {} l JOIN pg_catalog.pg_class c ON c.oid = l.oid JOIN pg_catalog.pg_namespace n ON n.oid = "
               "c.relnamespace "
               "LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam ORDER BY c.oid",
               from)));
    bool readable = true;
    for (int row = 0; row < rows.count(); ++row) {
        relation.leaves.push_back({.oid = static_cast<Oid>(rows.integer(row, 0)),
                                   .schema = rows.text(row, 1),
                                   .name = rows.text(row, 2),
                                   .kind = rows.text(row, 3)[0],
                                   .pages = rows.integer(row, 4),
                                   .heap = rows.truth(row, 5),
                                   .file = rows.integer(row, 7)});
        readable &= rows.truth(row, 6);
    }
    // Rights on the parent are enough to read it; then it is read as one piece.
    if (partitioned && !readable)
        relation.leaves = {{.oid = relation.oid,
                            .schema = relation.schema,
                            .name = relation.name,
                            .kind = 'p',
                            .pages = 0,
                            .heap = false}};
    return {};
}

Status load_details(Session& session, std::vector<Relation>& relations) {
    std::vector<Oid> oids;
    for (const auto& relation : relations) oids.push_back(relation.oid);
    std::string list = fmt::format("{{{}}}", fmt::join(oids, ","));
    PN_CHECK(load_columns(session, relations, list));
    PN_CHECK(load_initial_values(session, relations, list));
    PN_CHECK(load_identities(session, relations));
    PN_CHECK(load_keys(session, relations, list));
    for (auto& relation : relations) PN_CHECK(about(relation, load_leaves(session, relation)));
    return {};
}

/// Widths and distinct values of text columns of a table that was never analyzed, from its first rows: the target chooses
/// encodings by them, and without them it has to try each, which costs time and memory.
Status sample_statistics(Session& session, Relation& relation) {
    constexpr int64_t sampled_rows = 10'000;
    std::string measures, columns;
    std::vector<CatalogColumn*> unknown;
    for (auto& column : relation.columns) {
        bool text = column.shown_type == "text" || column.shown_type.starts_with("character varying") ||
                    column.shown_type.starts_with("json");
        if (!text || column.average_bytes != 0) continue;
        std::string name = quote_identifier(column.name);
        columns += fmt::format("{0}{1}::text AS {1}", columns.empty() ? "" : ", ", name);
        measures += fmt::format(", count(DISTINCT {0}), coalesce(avg(octet_length({0})), 0)::int", name);
        unknown.push_back(&column);
    }
    if (unknown.empty() || (relation.kind != 'r' && relation.kind != 'p' && relation.kind != 'm')) return {};
    PN_TRY(auto rows, session.query(fmt::format("SELECT count(*){} FROM (SELECT {} FROM {}.{} LIMIT {}) AS s", measures,
                                                columns, quote_identifier(relation.schema),
                                                quote_identifier(relation.name), sampled_rows)));
    int64_t count = rows.integer(0, 0);
    for (size_t i = 0; i < unknown.size() && count > 0; ++i) {
        auto distinct = static_cast<double>(rows.integer(0, static_cast<int>(1 + 2 * i)));
        // More than a tenth distinct says that more rows will show more values.
        unknown[i]->distinct = distinct * 10 <= static_cast<double>(count) ? distinct : 1e9;
        unknown[i]->average_bytes =
            static_cast<int32_t>(std::max<int64_t>(1, rows.integer(0, static_cast<int>(2 + 2 * i))));
    }
    return {};
}

}  // namespace

Result<std::vector<Relation>> list_relations(Session& session, const SourceOptions& options) {
    std::vector<Relation> found;
    auto add = [&](std::vector<Relation> more) {
        for (auto& relation : more) {
            auto excluded = [&](const config::Text& pattern) {
                auto name = split_name(pattern.value);
                return matches(relation.schema, name.schema.empty() ? "public" : name.schema) &&
                       matches(relation.name, name.table);
            };
            bool known = std::ranges::any_of(found, [&](const auto& other) { return other.oid == relation.oid; });
            if (!known && std::ranges::none_of(options.exclude, excluded)) found.push_back(std::move(relation));
        }
    };
    if (!options.table.empty()) {
        PN_TRY(auto one, named(session, options.table));
        add(std::move(one));
    }
    for (const auto& pattern : options.tables) {
        PN_TRY(auto some, has_wildcard(pattern.value) ? matching(session, pattern) : named(session, pattern));
        add(std::move(some));
    }
    if (found.empty())
        return fail({.kind = ErrorKind::configuration,
                     .code = "no_tables",
                     .message = "exclude: leaves none of the tables that tables: names",
                     .where = options.exclude.empty() ? "" : options.exclude[0].place.text()});
    return found;
}

Result<std::vector<Relation>> find_relations(Session& session, const SourceOptions& options) {
    PN_TRY(auto found, list_relations(session, options));
    PN_CHECK(load_details(session, found));
    for (auto& relation : found) PN_CHECK(about(relation, sample_statistics(session, relation)));
    return found;
}

Result<std::vector<Relation>> all_relations(Session& session) {
    PN_TRY(auto rows, session.query(std::string(relation_columns) +
                                    "WHERE c.relkind IN ('r','p','m') AND NOT c.relispartition AND " + user_schemas +
                                    "ORDER BY 2, 3"));
    auto found = relations_of(rows);
    PN_CHECK(load_details(session, found));
    return found;
}

Result<std::vector<CatalogColumn>> describe_query(Session& session, const std::string& query) {
    PN_TRY(auto described, session.describe(query));
    std::vector<CatalogColumn> columns;
    const PGresult* raw = described.raw();
    for (int i = 0; i < PQnfields(raw); ++i) {
        CatalogColumn column{
            .name = PQfname(raw, i), .type = PQftype(raw, i), .modifier = PQfmod(raw, i), .shown_type = {}};
        column.number = i + 1;
        PN_TRY(auto shown, session.query("SELECT pg_catalog.format_type($1::oid, $2::int)",
                                         {std::to_string(column.type), std::to_string(column.modifier)}));
        column.shown_type = shown.text(0, 0);
        columns.push_back(std::move(column));
    }
    return columns;
}

}  // namespace penstock::postgres
