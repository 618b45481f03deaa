#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/route.h"
#include "flow/source.h"
#include "transform/events/ddl.h"

namespace penstock::events {

/// Columns of every table of events, after those of its schema.
inline constexpr const char* ingestion_time = "ingestion_time";  ///< when we received it, where the event does not say
inline constexpr const char* position = "_penstock_position";    ///< flow::Message::position
inline constexpr const char* schema_version = "_penstock_schema_version";  ///< EventTable::version

/// How the values of one column, field of a struct or element of a list are read.
struct FieldPlan {
    std::string name;
    data::Type type;
    bool required = false;  ///< must be there, and not null
    std::vector<std::string> accepted = {};
    std::vector<FieldPlan> children = {};  ///< of a struct its fields, of a list the element

    /// The child with this name, -1 none.
    int find(std::string_view child) const;
};

/// Where the events of one route go, compiled from its schema.
struct EventTable {
    std::string route;
    flow::TableInfo info;
    FieldPlan fields;  ///< a struct of the schema's columns, as they stand first in info.schema
    config::UnknownFields unknown_fields = config::UnknownFields::reject;
    uint64_t max_bytes = 0;
    int kept = -1;  ///< column of unknown fields
    int ingestion = -1, position = -1, version_column = -1;
    std::string version;  ///< twelve hexadecimal digits of the schema's SHA-256: the same for the same columns

    /// Reads the schema's file.
    static Result<EventTable> make(const config::RouteTo& route);
    /// Of a schema that is known; that of the route is not read.
    static Result<EventTable> make(const config::RouteTo& route, TableDefinition definition);
    /// Reads the schema's file, for records that are no events: they have no columns of ours, for what they are is all in the
    /// record.
    static Result<EventTable> make_for_records(const config::RouteTo& route);
};

}  // namespace penstock::events
