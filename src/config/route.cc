#include "config/route.h"

#include <algorithm>

#include "config/pipeline.h"
#include "config/spec.h"

namespace penstock::config {
namespace {

constexpr std::string_view reserved = "unrouted";  // what rejects without a route are counted under

/// The entries that `route_spec` knows, or all others.
Node entries_of(const Node& node, bool known) {
    Node out = node;
    std::erase_if(out.entries, [&](const auto& entry) { return (route_spec().find(entry.key) != nullptr) != known; });
    return out;
}

bool check_routes(const Node& node, const Route& route, const Reading& reading) {
    if (route.to.empty())
        return reading.refuse(node, "no_routes", "there is no route",
                              "order: {schema: ddl/order_events.sql, table: data.order_events}");
    if (route.by.empty() && route.to.size() > 1)
        return reading.refuse(node, "no_routing_field",
                              "there are several routes, and nothing says which event goes where",
                              "name the field: `by: event_type`");
    bool good = true;
    for (auto to = route.to.begin(); to != route.to.end(); ++to) {
        if (to->name == reserved || to->name.find('/') != to->name.npos || to->name.empty())
            good = reading.refuse(*node.find(to->name), "bad_route_name", "no route can have this name",
                                  "give the route another name and `match:` the value");
        auto same =
            std::find_if(route.to.begin(), to, [&](const auto& other) { return other.table.value == to->table.value; });
        if (same != to)
            good = reading.refuse(*node.find(to->name), "same_table", "route " + same->name + " goes to the same table",
                                  "make it one route: `match: [" + same->name + ", " + to->name + "]`");
    }
    return good;
}

}  // namespace

const Spec<RouteTo>& route_to_spec() {
    using R = RouteTo;
    static const auto made =
        Spec<R>("route", "The events of a kind, and their table.")
            .required("schema", &R::schema,
                      "The columns: a file with a CREATE TABLE statement (.sql) as BigQuery has it.",
                      {.example = "ddl/order_events.sql"})
            .required("table", &R::table, "The table, schema-qualified.",
                      {.example = "backend_events_data.order_events"})
            .field("match", &R::match, "The values of the routing field that come here.",
                   {.example = "[order, order_v2]", .default_note = "the route's name"})
            .choice("unknown_fields", &R::unknown_fields,
                    {{"reject", UnknownFields::reject, "The event is rejected: nothing of it is lost."},
                     {"ignore", UnknownFields::ignore, "They are left out."},
                     {"keep", UnknownFields::keep, "They are kept as JSON in the column `unknown_fields`."}},
                    "What becomes of fields that the table has no column for; inside structs `keep` is `reject`.")
            .field("required", &R::required, "Columns an event must have a value for, besides those that are NOT NULL.",
                   {.example = "[order_id]"})
            .field("accepted_values", &R::accepted_values, "For columns of text, the values they may have.",
                   {.example = "{status: [pending, shipped, delivered]}"})
            .field("max_bytes", &R::max_bytes, "Larger events are rejected.")
            .choice("mode", &R::mode,
                    {{"append", WriteMode::append, "Add the events."},
                     {"merge", WriteMode::merge, "The last event of a key stands."}},
                    "How events meet those already there.", {.default_note = "the target's"})
            .field("key", &R::key, "Columns that identify an event, for merge.", {.default_note = "the target's"})
            .field("partition_by", &R::partition_by, "Column or expression that divides the table.",
                   {.default_note = "PARTITION BY of the schema"})
            .field("cluster_by", &R::cluster_by, "Columns by which rows are kept together.",
                   {.default_note = "CLUSTER BY of the schema"});
    return made;
}

const Spec<Route>& route_spec() {
    static const auto made =
        Spec<Route>("routes", "Which events go into which table. Each other key is a route of that name.")
            .field("by", &Route::by, "The field that tells; `a.b` is field b of a.", {.example = "event_type"})
            .choice("unmatched", &Route::unmatched,
                    {{"reject", Unmatched::reject, "It is rejected."},
                     {"ignore", Unmatched::ignore, "It is counted as filtered."}},
                    "What becomes of an event whose field names no route.");
    return made;
}

Codec<Route> route_codec() {
    Shape shape{.kind = Kind::object, .noun = "map", .object = &route_spec()};
    shape.element = std::make_shared<Shape>(Shape{.kind = Kind::object, .noun = "map", .object = &route_to_spec()});
    return {shape,
            [](const Node& node, Route& into, const Reading& reading) {
                if (!node.is_map()) return reading.refuse(node, "wrong_type", "expected a map of routes");
                bool good = route_spec().read(entries_of(node, true), into, reading.diagnostics);
                for (const auto& entry : entries_of(node, false).entries) {
                    RouteTo to{.name = entry.key, .place = entry.place};
                    good = route_to_spec().read(entry.value, to, reading.diagnostics) && good;
                    into.to.push_back(std::move(to));
                }
                return good && check_routes(node, into, reading);
            },
            [](const Route&) { return Node{}; }};
}

}  // namespace penstock::config
