#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/values.h"

namespace penstock::config {

template <class T>
class Spec;
template <class X>
struct Codec;
enum class WriteMode;

/// What becomes of fields of an event that its table has no column for.
enum class UnknownFields { reject, ignore, keep };
/// What becomes of an event that no route takes.
enum class Unmatched { reject, ignore };

/// The column of `unknown_fields: keep`.
inline constexpr const char* kept_fields_column = "unknown_fields";

/// One entry of `route`: the events of a kind, and their table.
struct RouteTo {
    std::string name;
    Place place;  ///< of the name
    FilePath schema;
    Text table;
    std::vector<Text> match;
    UnknownFields unknown_fields = UnknownFields::reject;
    std::vector<Text> required;
    std::map<std::string, std::vector<std::string>> accepted_values;
    Bytes max_bytes{uint64_t{1} << 20};
    std::optional<WriteMode> mode;
    std::vector<Text> key;
    Text partition_by;
    std::vector<Text> cluster_by;
};

/// `route: {by: event_type, order: {schema: …, table: …}, …}`
struct Route {
    Text by;
    Unmatched unmatched = Unmatched::reject;
    std::vector<RouteTo> to;  ///< in the order of the file
};

/// The options of `route` that are no names of routes.
const Spec<Route>& route_spec();
const Spec<RouteTo>& route_to_spec();
Codec<Route> route_codec();

}  // namespace penstock::config
