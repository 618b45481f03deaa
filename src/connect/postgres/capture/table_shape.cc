#include "connect/postgres/capture/table_shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

namespace penstock::postgres {
namespace {

using Json = nlohmann::json;

/// Every piece of every table. CREATE TABLE … PARTITION OF writes all of a partition's attributes with one command; ATTACH
/// updates those of its columns (inhcount, islocal) and leaves those of the system, whose numbers are negative, as they were.
constexpr const char* pieces_query =
    "SELECT t.oid, p.relid, coalesce(i.xmin::text, ''), coalesce(pg_catalog.pg_relation_filenode(p.relid), 0), "
    "i.inhrelid IS NULL OR NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attribute s ON "
    "s.attrelid = a.attrelid AND s.attnum = -1 WHERE a.attrelid = p.relid AND a.attnum > 0 AND (a.xmin, a.cmin::text) "
    "IS "
    "DISTINCT FROM (s.xmin, s.cmin::text)) "
    "FROM pg_catalog.unnest($1::oid[]) t (oid) CROSS JOIN LATERAL (SELECT t.oid UNION SELECT relid FROM "
    "pg_catalog.pg_partition_tree(t.oid)) p (relid) LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = p.relid AND "
    "p.relid <> t.oid";

/// text and varchar: rows stay as they are when a column goes from one to the other, unless the table was rewritten.
bool both_text(Oid from, Oid to) {
    auto text = [](Oid type) { return type == 25 || type == 1043; };
    return text(from) && text(to);
}

bool rewritten(const TableShape& before, const TableShape& now) {
    for (const auto& [oid, piece] : now.pieces) {
        auto known = before.pieces.find(oid);
        if (known != before.pieces.end() && known->second.file != piece.file) return true;
    }
    return false;
}

std::optional<Trouble> unstreamed_columns(const std::string& table, const TableShape& before, const TableShape& now,
                                          ColumnsBy columns) {
    auto number_of = [](const TableShape& shape, int32_t number) -> const TableShape::Column* {
        for (const auto& [name, column] : shape.columns)
            if (column.number == number) return &column;
        return nullptr;
    };
    for (const auto& [name, column] : now.columns) {
        auto namesake = before.columns.find(name);
        const auto* was = number_of(before, column.number);
        bool taken = namesake != before.columns.end() && namesake->second.number != column.number;
        if (taken && (columns == ColumnsBy::name || was == nullptr))
            return Trouble{"columns_renamed",
                           fmt::format("column {} of {} is not the one that had this name before", name, table)};
        if (was == nullptr) continue;
        bool same = was->type == column.type ? !changes_values(column.type, was->modifier, column.modifier)
                                             : both_text(was->type, column.type) && !rewritten(before, now);
        if (!same)
            return Trouble{"type_changed",
                           fmt::format("the type of column {} of {} was changed: the server rewrote its "
                                       "rows and streams nothing of it",
                                       name, table)};
    }
    return std::nullopt;
}

/// Rows that come and go with a partition are not streamed, nor is the TRUNCATE of one.
std::optional<Trouble> unstreamed_pieces(const std::string& table, const TableShape& before, const TableShape& now) {
    if (before.pieces.size() < 2 && now.pieces.size() < 2) return std::nullopt;
    // Changes of rows that came unseen may leave out values that nobody knows; those of all others can be taken.
    enum Came : bool { seen, unseen };
    auto trouble = [&](const char* what, Came came) {
        return Trouble{"partitions_changed",
                       fmt::format("a partition of {} was {}: the server streams nothing of its rows", table, what),
                       came == seen};
    };
    std::optional<Trouble> found;
    for (const auto& [oid, piece] : before.pieces)
        if (!now.pieces.contains(oid)) found = trouble("dropped or detached", seen);
    for (const auto& [oid, piece] : now.pieces) {
        auto known = before.pieces.find(oid);
        if (known == before.pieces.end()) {
            if (!piece.born) return trouble("attached", unseen);
            continue;
        }
        if (known->second.joined != piece.joined) return trouble("detached and attached again", unseen);
        if (known->second.file != piece.file) found = trouble("emptied or rewritten", seen);
    }
    return found;
}

}  // namespace

std::string TableShape::to_json() const {
    Json json = {{"columns", Json::object()}, {"pieces", Json::object()}};
    for (const auto& [name, column] : columns) json["columns"][name] = {column.number, column.type, column.modifier};
    for (const auto& [oid, piece] : pieces) json["pieces"][std::to_string(oid)] = {piece.joined, piece.file};
    json["published"] = published;
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<TableShape> TableShape::from_json(const std::string& text) {
    auto json = Json::parse(text, nullptr, false);
    try {
        TableShape shape;
        for (const auto& [name, column] : json.at("columns").items())
            shape.columns[name] = {.number = column.at(0), .type = column.at(1), .modifier = column.at(2)};
        for (const auto& [oid, piece] : json.at("pieces").items())
            shape.pieces[static_cast<uint32_t>(std::stoul(oid))] = {.joined = piece.at(0), .file = piece.at(1)};
        shape.published = json.value("published", "");
        return shape;
    } catch (const std::exception&) {  // of a version that knew less
        return std::nullopt;
    }
}

Result<std::vector<std::string>> published_as(Session& session, const std::string& publication,
                                              const std::vector<ChangeTable>& tables) {
    bool by_schema = session.server_version() >= 150000;
    std::vector<Oid> oids;
    for (const auto& table : tables) oids.push_back(table.read.oid);
    PN_TRY(
        auto rows,
        session.query(
            fmt::format("SELECT t.at, pg_catalog.concat_ws(' ', p.oid, p.xmin::text, r.oid, r.xmin::text{0}) FROM "
                        "pg_catalog.unnest($1::oid[]) WITH ORDINALITY t (oid, at) JOIN pg_catalog.pg_publication p ON "
                        "p.pubname = $2 LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid "
                        "= t.oid{1} WHERE p.puballtables OR r.oid IS NOT NULL{2}",
                        by_schema ? ", s.oid, s.xmin::text" : "",
                        by_schema ? " LEFT JOIN pg_catalog.pg_class c ON c.oid = t.oid LEFT JOIN "
                                    "pg_catalog.pg_publication_namespace s ON s.pnpubid = p.oid AND s.pnnspid = "
                                    "c.relnamespace"
                                  : "",
                        by_schema ? " OR s.oid IS NOT NULL" : ""),
            {fmt::format("{{{}}}", fmt::join(oids, ",")), publication}));
    std::vector<std::string> published(tables.size());
    for (int row = 0; row < rows.count(); ++row)
        published[static_cast<size_t>(rows.integer(row, 0) - 1)] = rows.text(row, 1);
    return published;
}

Result<std::vector<TableShape>> table_shapes(Session& session, const std::vector<ChangeTable>& tables) {
    std::vector<TableShape> shapes(tables.size());
    std::vector<Oid> oids;
    std::map<Oid, size_t> places;
    for (size_t i = 0; i < tables.size(); ++i) {
        const auto& read = tables[i].read;
        oids.push_back(read.oid);
        places[read.oid] = i;
        for (const auto& column : read.columns)
            shapes[i].columns[column.field.name] = {column.field.source_id, column.type, column.modifier};
    }
    PN_TRY(auto rows, session.query(pieces_query, {fmt::format("{{{}}}", fmt::join(oids, ","))}));
    for (int row = 0; row < rows.count(); ++row) {
        auto place = places.find(static_cast<Oid>(rows.integer(row, 0)));
        shapes[place->second].pieces[static_cast<uint32_t>(rows.integer(row, 1))] = {
            .joined = rows.text(row, 2), .file = rows.text(row, 3), .born = rows.truth(row, 4)};
    }
    return shapes;
}

std::optional<Trouble> unstreamed(const std::string& table, const TableShape& before, const TableShape& now,
                                  ColumnsBy columns) {
    if (!before.published.empty() && !now.published.empty() && before.published != now.published)
        return Trouble{"publication_changed",
                       fmt::format("the publication of {} was altered, and what changed before that may not have been "
                                   "published",
                                   table)};
    if (auto trouble = unstreamed_columns(table, before, now, columns)) return trouble;
    return unstreamed_pieces(table, before, now);
}

}  // namespace penstock::postgres
