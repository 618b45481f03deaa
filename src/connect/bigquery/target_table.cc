#include "connect/bigquery/target_table.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "connect/bigquery/answer.h"
#include "io/url.h"

namespace penstock::bigquery {
namespace {

Error not_a_table(const TableId& id, const std::string& kind) {
    return {.kind = ErrorKind::refused,
            .code = "target_is_no_table",
            .message = fmt::format("target {} is a {}, and rows can only be written to a table", id.dotted(), kind),
            .hint = "name another table under `target:`"};
}

Json reference(const TableId& id) {
    return {{"projectId", id.project}, {"datasetId", id.dataset}, {"tableId", id.table}};
}

int64_t millis(TimePoint at) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

}  // namespace

const Column* TargetTable::find(std::string_view name) const {
    for (const auto& column : columns)
        if (same_name(column.name, name)) return &column;
    return nullptr;
}

Result<TargetTable> look_at(Client& client, const TableId& id) {
    TargetTable table{.id = id};
    PN_TRY(auto json, client.call("GET", id.path(), nullptr, "look at table " + id.dotted(), {404}));
    if (!json) return table;
    if (auto kind = text_of(*json, "type"); !kind.empty() && kind != "TABLE") return fail(not_a_table(id, kind));
    table.exists = true;
    // Rows that are still in the streaming buffer are not in numRows.
    table.empty = text_of(*json, "numRows") == "0" && !json->contains("streamingBuffer");
    const auto& schema = part_of(*json, "schema");
    if (auto fields = schema.find("fields"); fields != schema.end() && fields->is_array())
        for (const auto& field : *fields) table.columns.push_back(column_from_json(field));
    table.partitioning = partitioning_of(*json);
    const auto& clustering = part_of(*json, "clustering");
    if (auto fields = clustering.find("fields"); fields != clustering.end() && fields->is_array())
        for (const auto& field : *fields)
            if (field.is_string()) table.clustering.push_back(field.get<std::string>());
    return table;
}

std::string NewTable::sql() const {
    std::string body;
    for (const auto& column : columns) {
        body += fmt::format("{}{} {}", body.empty() ? "" : ", ", quote_identifier(column.name), sql_type(column));
        if (column.required) body += " NOT NULL";
        if (!column.description.empty())
            body += fmt::format(" OPTIONS (description = {})", quote_literal(column.description));
    }
    if (!primary_key.empty()) body += fmt::format(", PRIMARY KEY ({}) NOT ENFORCED", quote_list(primary_key));
    std::string statement = fmt::format("CREATE TABLE {} ({})", id.quoted(), body);
    if (!partitioning.none()) statement += " PARTITION BY " + partitioning.sql(columns);
    if (!clustering.empty()) statement += " CLUSTER BY " + quote_list(clustering);
    if (!description.empty()) statement += fmt::format(" OPTIONS (description = {})", quote_literal(description));
    return statement;
}

Result<bool> make_table(Client& client, const NewTable& table) {
    Json json = {{"tableReference", reference(table.id)}, {"schema", {{"fields", Json::array()}}}};
    for (const auto& column : table.columns) json["schema"]["fields"].push_back(to_json(column));
    put_partitioning(table.partitioning, json);
    if (!table.clustering.empty()) json["clustering"] = {{"fields", table.clustering}};
    if (!table.primary_key.empty()) json["tableConstraints"] = {{"primaryKey", {{"columns", table.primary_key}}}};
    if (!table.description.empty()) json["description"] = table.description;
    if (!table.labels.empty()) json["labels"] = table.labels;
    if (table.expires) json["expirationTime"] = std::to_string(millis(*table.expires));
    PN_TRY(auto made, client.call("POST", fmt::format("/datasets/{}/tables", io::escape_url(table.id.dataset)), &json,
                                  "create table " + table.id.dotted(), {409}));
    return made.has_value();
}

Result<bool> has_dataset(Client& client, const std::string& dataset) {
    PN_TRY(auto there,
           client.call("GET", "/datasets/" + io::escape_url(dataset), nullptr, "look at dataset " + dataset, {404}));
    if (!there) return false;
    auto location = text_of(*there, "location");
    if (location.empty() || same_name(location, client.location())) return true;
    return fail({.kind = ErrorKind::configuration,
                 .code = "dataset_elsewhere",
                 .message = fmt::format("dataset {} is in {}, and the connection's jobs run in {}", dataset, location,
                                        client.location()),
                 .where = client.options().location.place.text(),
                 .hint = fmt::format("write `location: {}`; `bookkeeping` must name a dataset there too", location)});
}

Status make_dataset(Client& client, const std::string& dataset) {
    PN_TRY(bool there, has_dataset(client, dataset));
    if (there) return {};
    Json json = {{"datasetReference", {{"projectId", client.project()}, {"datasetId", dataset}}},
                 {"location", client.location()}};
    PN_TRY(auto made, client.call("POST", "/datasets", &json, "create dataset " + dataset, {409}));
    if (made) log::info("created dataset {} in {}", dataset, client.location());
    return {};
}

Status drop_table(Client& client, const TableId& id) {
    PN_CHECK(client.call("DELETE", id.path(), nullptr, "drop table " + id.dotted(), {404}));
    return {};
}

Result<std::vector<TableId>> tables_labelled(Client& client, const std::string& dataset, const std::string& label,
                                             const std::string& value) {
    std::vector<TableId> found;
    std::string page;
    do {
        std::string path = fmt::format("/datasets/{}/tables?maxResults=1000{}", io::escape_url(dataset),
                                       page.empty() ? "" : "&pageToken=" + io::escape_url(page));
        PN_TRY(auto answer, client.call("GET", path, nullptr, "list the tables of " + dataset, {404}));
        if (!answer) return found;
        if (auto tables = answer->find("tables"); tables != answer->end() && tables->is_array())
            for (const auto& table : *tables)
                if (text_of(part_of(table, "labels"), label.c_str()) == value)
                    found.push_back({client.project(), dataset, text_of(part_of(table, "tableReference"), "tableId")});
        page = text_of(*answer, "nextPageToken");
    } while (!page.empty());
    return found;
}

}  // namespace penstock::bigquery
