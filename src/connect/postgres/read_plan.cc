#include "connect/postgres/read_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/humane.h"

namespace penstock::postgres {
namespace {

int64_t distinct_values(const CatalogColumn& column, double rows) {
    if (column.distinct >= 0) return static_cast<int64_t>(column.distinct);
    return rows > 0 ? static_cast<int64_t>(-column.distinct * rows) : 0;
}

class Planner {
  public:
    Planner(Session& session, const SourceOptions& options, const config::TypePolicies& policies,
            const data::Holds& holds)
        : options_(options),
          types_(session),
          context_{.catalog = types_,
                   .policies = policies,
                   .holds = holds,
                   .validate_utf8 = session.parameter("server_encoding") == "SQL_ASCII"} {}

    Result<TableRead> table(const Relation& relation) {
        TableRead read;
        read.info.name = relation.full_name();
        read.schema = relation.schema;
        read.oid = relation.oid;
        read.identity = relation.identity;
        read.relation = relation.name;
        read.leaves = relation.leaves;
        read.lockable = relation.kind == 'r' || relation.kind == 'p';
        read.inherits = relation.kind == 'r' && relation.has_children;
        read.where = options_.where.value;
        read.info.key = relation.primary_key;
        // Uniqueness does not hold across children by inheritance.
        read.info.key_is_unique = !relation.primary_key.empty() && !read.inherits;
        PN_CHECK(add_columns(read, relation.columns, relation.rows));
        PN_CHECK(set_cursor(read, relation.columns));
        bool heap = std::ranges::all_of(read.leaves, [](const Leaf& leaf) { return leaf.heap; }) && !read.inherits;
        if (read.cursor >= 0 && !heap && read.cursor_lag.empty()) read.info.notes.push_back(late_note("this relation"));
        return read;
    }

    Result<TableRead> query(const std::vector<CatalogColumn>& columns) {
        TableRead read;
        read.info.name = "query";
        read.relation = "q";
        read.query = options_.query.value;
        read.where = options_.where.value;
        while (!read.query.empty() &&
               (std::isspace(static_cast<unsigned char>(read.query.back())) || read.query.back() == ';'))
            read.query.pop_back();
        PN_CHECK(add_columns(read, columns, -1));
        PN_CHECK(set_cursor(read, columns));
        if (read.cursor >= 0 && read.cursor_lag.empty()) read.info.notes.push_back(late_note("a query"));
        return read;
    }

    TypeCatalog& types() { return types_; }

  private:
    static std::string late_note(std::string_view what) {
        return fmt::format(
            "rows of {} that are committed late, below the cursor, are found only as far back as the oldest open "
            "transaction; "
            "set cursor_lag for clocks other than the server's",
            what);
    }

    Status add_columns(TableRead& read, const std::vector<CatalogColumn>& columns, double rows) {
        std::vector<Oid> oids;
        for (const auto& column : columns) oids.push_back(column.type);
        PN_CHECK(types_.load(oids));
        for (const auto& column : columns) {
            if (read.info.schema.find(column.name) >= 0)
                return fail({.kind = ErrorKind::configuration,
                             .code = "duplicate_column",
                             .message = fmt::format("two columns are named {}", column.name),
                             .where = options_.query.place.text(),
                             .hint = "give one of them another name with AS"});
            PN_TRY(auto field, field_of(read, column, rows));
            read.info.schema.fields.push_back(field.field);
            read.columns.push_back(std::move(field));
        }
        if (read.columns.empty())
            return fail({.kind = ErrorKind::schema,
                         .code = "no_columns",
                         .message = fmt::format("{} has no columns", read.info.name)});
        return {};
    }

    Result<ReadColumn> field_of(const TableRead& read, const CatalogColumn& column, double rows) {
        int32_t dimensions = column.dimensions;
        if (auto said = options_.array_dimensions.find(column.name); said != options_.array_dimensions.end())
            dimensions = static_cast<int32_t>(said->second);
        PN_TRY(auto mapping, map_type({.table = read.info.name,
                                       .column = column.name,
                                       .expression = quote_identifier(column.name),
                                       .type = column.type,
                                       .modifier = column.modifier,
                                       .dimensions = dimensions},
                                      context_));
        data::Field field{.name = column.name,
                          .type = std::move(mapping.type),
                          .nullable = !column.not_null,
                          .source_type = column.shown_type,
                          .note = std::move(mapping.note),
                          .source_id = read.query.empty() ? column.number : 0};
        field.statistics = {.distinct = distinct_values(column, rows), .average_bytes = column.average_bytes};
        field.source_relation = read.identity;
        field.initial = column.initial;
        // Nobody knows how bytes in no known encoding would have been read.
        bool odd = context_.validate_utf8 && column.initial &&
                   std::ranges::any_of(*column.initial, [](char c) { return c < 0; });
        field.initial_unknown = column.initial_unknown || odd;
        return ReadColumn{.field = std::move(field),
                          .expression = std::move(mapping.expression),
                          .reader = std::move(mapping.reader),
                          .type = column.type,
                          .modifier = column.modifier,
                          .generated = column.generated,
                          .by_text = mapping.by_text};
    }

    Status set_cursor(TableRead& read, const std::vector<CatalogColumn>& columns) {
        const auto& cursor = options_.cursor;
        if (cursor.empty()) return {};
        read.cursor = read.info.schema.find(cursor.value);
        if (read.cursor < 0) {
            std::vector<std::string> names;
            for (const auto& column : columns) names.push_back(column.name);
            std::string nearest = nearest_name(cursor.value, names);
            return fail({.kind = ErrorKind::configuration,
                         .code = "no_such_column",
                         .message = fmt::format("{} has no column {} for the cursor", read.info.name, cursor.value),
                         .where = cursor.place.text(),
                         .hint = nearest.empty() ? fmt::format("its columns are {}", fmt::join(names, ", "))
                                                 : fmt::format("did you mean {}?", nearest)});
        }
        const auto& column = columns[static_cast<size_t>(read.cursor)];
        Oid type = column.type;
        while (types_.at(type).kind == 'd') type = types_.at(type).base;
        PN_TRY(read.cursor_kind,
               cursor_kind(types_.at(type).element != 0 ? types_.at(type).shown : types_.at(type).name, read.info.name,
                           cursor));
        PN_CHECK(check_lag(read.cursor_kind, options_.cursor_lag));
        read.cursor_lag = options_.cursor_lag.value;
        read.cursor_type = types_.at(type).shown;
        read.cursor_nullable = !column.not_null;
        read.info.cursor = cursor.value;
        return {};
    }

    const SourceOptions& options_;
    TypeCatalog types_;
    MappingContext context_;
};

}  // namespace

std::vector<ReaderPtr> TableRead::readers() const {
    std::vector<ReaderPtr> out;
    for (const auto& column : columns) out.push_back(column.reader);
    return out;
}

std::string TableRead::select_list() const {
    std::string out;
    for (const auto& column : columns) out += (out.empty() ? "" : ", ") + column.expression;
    return out;
}

std::string TableRead::from(const Leaf* leaf) const {
    if (!query.empty()) return fmt::format("(\n{}\n) AS {}", query, quote_identifier(relation));
    if (leaf == nullptr)
        return fmt::format("{}.{} AS {}", quote_identifier(schema), quote_identifier(relation),
                           quote_identifier(relation));
    bool only = leaf->kind == 'r' && !inherits;
    return fmt::format("{}{}.{} AS {}", only ? "ONLY " : "", quote_identifier(leaf->schema),
                       quote_identifier(leaf->name), quote_identifier(relation));
}

std::string TableRead::where_clause(std::initializer_list<std::string> conditions) const {
    std::string out;
    auto add = [&](const std::string& condition) {
        if (!condition.empty()) out += fmt::format("{}({})", out.empty() ? " WHERE " : " AND ", condition);
    };
    // A line comment at the end of the user's condition must not swallow the bracket.
    add(where.empty() ? where : where + "\n");
    for (const auto& condition : conditions) add(condition);
    return out;
}

Result<std::vector<TableRead>> plan_reads(Session& session, const SourceOptions& options,
                                          const config::TypePolicies& policies, const data::Holds& holds) {
    Planner planner(session, options, policies, holds);
    std::vector<TableRead> reads;
    if (!options.query.empty()) {
        auto columns = describe_query(session, options.query.value);
        if (!columns) return fail(std::move(columns.error()).at(options.query.place.text()));
        PN_TRY(auto read, planner.query(*columns));
        reads.push_back(std::move(read));
        return reads;
    }
    PN_TRY(auto relations, find_relations(session, options));
    for (const auto& relation : relations) {
        PN_TRY(auto read, planner.table(relation));
        reads.push_back(std::move(read));
    }
    return reads;
}

}  // namespace penstock::postgres
