#include "connect/bigquery/reject_view.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "connect/bigquery/answer.h"
#include "connect/bigquery/target_table.h"
#include "io/url.h"

namespace penstock::bigquery {
namespace {

Status replace(Client& client, const TableId& id, const flow::RejectView& view, const Json& found, const Json& json) {
    auto mark = text_of(found, "description");
    if (text_of(found, "type") != "VIEW" || !mark.starts_with(flow::reject_view_mark)) return fail(view.name_taken());
    auto there = text_of(part_of(found, "view"), "query");
    if (mark == view.comment && there == text_of(part_of(json, "view"), "query")) return {};
    PN_CHECK(client.call("PUT", id.path(), &json, "replace view " + id.dotted()));
    return {};
}

}  // namespace

Status make_view(Client& client, const flow::RejectView& view) {
    TableId id = client.table(view.table);
    PN_CHECK(make_dataset(client, id.dataset));
    Json json = {
        {"tableReference", {{"projectId", id.project}, {"datasetId", id.dataset}, {"tableId", id.table}}},
        {"description", view.comment},
        {"view",
         {{"query", fmt::format("SELECT * FROM {} WHERE {}", client.bookkeeping("rejects").quoted(), view.condition)},
          {"useLegacySql", false}}}};
    // Looked for first: who may only read it needs no more where somebody has made it.
    PN_TRY(auto found, client.call("GET", id.path(), nullptr, "look at view " + id.dotted(), {404}));
    if (found) return replace(client, id, view, *found, json);
    PN_CHECK(client.call("POST", fmt::format("/datasets/{}/tables", io::escape_url(id.dataset)), &json,
                         "create view " + id.dotted(), {409}));
    return {};
}

}  // namespace penstock::bigquery
