#include "connect/postgres/capture/change_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "connect/postgres/replication/pgoutput.h"

namespace penstock::postgres {

SourceOptions whole_tables(const SourceOptions& options) {
    SourceOptions whole;
    whole.connection = options.connection;
    whole.tables = options.changes->tables;
    whole.exclude = options.changes->exclude;
    whole.array_dimensions = options.array_dimensions;
    return whole;
}

namespace {

void leave_out_generated(TableRead& read) {
    std::vector<ReadColumn> kept;
    data::Schema schema;
    for (auto& column : read.columns) {
        if (column.generated) {
            read.info.notes.push_back(
                fmt::format("generated column {} is not captured: changes do not carry it", column.field.name));
            continue;
        }
        schema.fields.push_back(column.field);
        kept.push_back(std::move(column));
    }
    read.columns = std::move(kept);
    read.info.schema = std::move(schema);
}

Error no_identity(const TableRead& read, char kind) {
    std::string table = quote_identifier(read.schema) + "." + quote_identifier(read.relation);
    return {.kind = ErrorKind::refused,
            .code = "no_replica_identity",
            .message = fmt::format("table {} has no {}: its updates and deletes cannot say which row they mean",
                                   read.info.name, kind == 'n' ? "replica identity" : "primary key"),
            .where = "table " + read.info.name,
            .hint = fmt::format("ALTER TABLE {0} REPLICA IDENTITY FULL; or give it a primary key, or ALTER TABLE {0} "
                                "REPLICA IDENTITY USING INDEX … "
                                "of a unique index over NOT NULL columns",
                                table)};
}

Status set_key(ChangeTable& table, const ReplicaIdentity& identity, bool deferrable) {
    auto& info = table.read.info;
    if (!identity.identifies()) return fail(no_identity(table.read, identity.kind));
    // With FULL the whole old row comes; a primary key still tells rows apart with less.
    if (identity.kind != 'f') info.key = identity.key;
    // Two rows may have a deferrable key between two statements: only their values tell them apart.
    else if (deferrable) info.key.clear();
    info.key_is_unique = !info.key.empty();
    for (const auto& name : info.key) {
        int column = info.schema.find(name);
        if (column < 0)
            return fail(
                {.kind = ErrorKind::refused,
                 .code = "generated_key",
                 .message = fmt::format("key column {} of {} is generated, and no change carries it", name, info.name),
                 .where = "table " + info.name,
                 .hint = "give the table another replica identity"});
        table.key.push_back(static_cast<size_t>(column));
    }
    return {};
}

}  // namespace

Result<ChangePlan> plan_changes(Session& session, const SourceOptions& options, const config::TypePolicies& policies,
                                const data::Holds& holds) {
    PN_TRY(auto reads, plan_reads(session, whole_tables(options), policies, holds));
    std::vector<TableName> names;
    std::vector<Oid> types;
    for (auto& read : reads) {
        if (!read.lockable || read.inherits)
            return fail({.kind = ErrorKind::refused,
                         .code = "not_capturable",
                         .message = fmt::format("{} is no table whose changes the server streams{}", read.info.name,
                                                read.inherits ? ": it has children by inheritance" : ""),
                         .where = "table " + read.info.name,
                         .hint = "name tables and partitioned tables; leave others out with exclude:"});
        leave_out_generated(read);
        if (read.leaves.size() > 1)
            read.info.notes.push_back(
                "PostgreSQL streams no TRUNCATE of a single partition: empty partitions with DELETE, or run once with "
                "--full-refresh after it");
        names.push_back({read.schema, read.relation});
        for (const auto& column : read.columns) types.push_back(column.type);
    }
    PN_TRY(auto identities, replica_identities(session, names));
    PN_TRY(auto here, session.query("SELECT pg_catalog.current_database()"));
    PN_TRY(auto late,
           session.query("SELECT indrelid FROM pg_catalog.pg_index WHERE indisprimary AND NOT indimmediate"));
    std::set<Oid> deferrable;
    for (int row = 0; row < late.count(); ++row) deferrable.insert(static_cast<Oid>(late.integer(row, 0)));
    TypeCatalog catalog(session);
    PN_CHECK(catalog.load(types));
    ChangePlan plan{.binary = true};
    for (size_t i = 0; i < reads.size(); ++i) {
        ChangeTable table{.read = std::move(reads[i])};
        table.read.info.changes = true;
        table.read.info.database = here.text(0, 0);
        table.read.info.old_rows = holds.old_rows;
        table.read.info.full_old_rows = holds.old_rows && identities[i].kind == 'f';
        PN_CHECK(set_key(table, identities[i], deferrable.contains(table.read.oid)));
        for (const auto& column : table.read.columns) {
            PN_TRY(auto text, TextToWire::make(column.type, catalog, holds));
            table.text.push_back(std::move(text));
            plan.binary = plan.binary && !column.by_text;
        }
        plan.tables.push_back(std::move(table));
    }
    return plan;
}

/// Oids of pg_type.dat; a modifier of -1 is no bound.
bool changes_values(Oid type, int32_t from, int32_t to) {
    if (from == to) return false;
    auto scale = [](int32_t modifier) { return (modifier - 4) & 0x7ff; };
    switch (type) {
        case 1700: return to >= 0 && (from < 0 || scale(from) != scale(to));  // numeric
        case 1083:                                                            // time
        case 1266:                                                            // timetz
        case 1114:                                                            // timestamp
        case 1184: return to >= 0 && to < (from < 0 ? 6 : from);              // timestamptz
        case 1042:                                                            // char
        case 1560:                                                            // bit
        case 1186: return true;                                               // interval
        default: return false;
    }
}

namespace {

/// Where the table has what the message's column `at` is; -1 nowhere.
int place_of(const ChangeTable& table, const RelationMessage& message, std::span<const int32_t> numbers, size_t at) {
    const auto& columns = table.read.columns;
    auto is_it = [&](const ReadColumn& column) {
        return numbers.empty() ? std::string_view(column.field.name) == message.columns[at].name
                               : column.field.source_id == numbers[at];
    };
    auto found = std::ranges::find_if(columns, is_it);
    return found == columns.end() ? -1 : static_cast<int>(found - columns.begin());
}

Error read_anew(const ChangeTable& table, std::string code, std::string why) {
    return {.kind = ErrorKind::schema,
            .code = std::move(code),
            .message = std::move(why),
            .where = "table " + table.read.info.name,
            .hint = "run once with --full-refresh, which reads the tables anew and goes on from there"};
}

Status same_identity(const ChangeTable& table, const RelationMessage& message, const std::vector<int>& places) {
    const auto& name = table.read.info.name;
    if (message.replica_identity == 'f') return {};
    if (table.key.empty())
        return fail(read_anew(table, "identity_changed",
                              fmt::format("changes of {} were made before it had REPLICA IDENTITY FULL", name)));
    for (size_t column : table.key) {
        auto sent = std::ranges::find(places, static_cast<int>(column));
        if (sent != places.end() && message.columns[static_cast<size_t>(sent - places.begin())].key) continue;
        return fail(
            read_anew(table, "identity_changed",
                      fmt::format("the replica identity of {} is not what it was when these changes were made", name)));
    }
    return {};
}

Status same_type(const ChangeTable& table, const RelationColumn& sent, const ReadColumn& column) {
    if (sent.type == column.type && !changes_values(sent.type, sent.type_modifier, column.modifier)) return {};
    return fail(read_anew(
        table, "type_changed",
        fmt::format("the type of column {} of {} was changed: the server rewrote its rows and streams nothing of it",
                    sent.name, table.read.info.name)));
}

}  // namespace

Error columns_renamed(const ChangeTable& table) {
    return read_anew(table, "columns_renamed",
                     fmt::format("columns of {} were renamed, or dropped and added, after these changes were made",
                                 table.read.info.name));
}

Result<ChangeShape> match_shape(const ChangeTable& table, const RelationMessage& message,
                                std::span<const int32_t> numbers) {
    ChangeShape shape;
    const auto& columns = table.read.columns;
    std::vector<int> places;
    for (size_t i = 0; i < message.columns.size(); ++i) places.push_back(place_of(table, message, numbers, i));
    PN_CHECK(same_identity(table, message, places));
    for (size_t i = 0; i < places.size(); ++i) {
        shape.columns.push_back(places[i] < 0 ? ChangeShape::not_captured : places[i]);
        if (places[i] < 0) shape.complete = shape.complete && !numbers.empty();
        else PN_CHECK(same_type(table, message.columns[i], columns[static_cast<size_t>(places[i])]));
    }
    for (size_t i = 0; i < columns.size(); ++i) {
        if (std::ranges::find(places, static_cast<int>(i)) != places.end()) continue;
        const auto& field = columns[i].field;
        if (field.initial_unknown)
            return fail(read_anew(table, "older_rows_unseen",
                                  fmt::format("column {} of {} is new, and what rows changed before hold in it was not "
                                              "streamed",
                                              field.name, table.read.info.name)));
        ChangeShape::Missing missing{.column = i};
        if (field.initial) PN_CHECK(table.text[i].convert(*field.initial, missing.initial.emplace()));
        shape.missing.push_back(std::move(missing));
    }
    // One of the names may be the other's later one.
    if (!shape.complete && !shape.missing.empty()) return fail(columns_renamed(table));
    return shape;
}

}  // namespace penstock::postgres
