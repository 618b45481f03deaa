#pragma once

#include <string>
#include <string_view>

namespace penstock::debezium {

/// The Connect schema of a table's envelope: {"type":"struct",…}. `row` is the inside of the "fields" of before and after,
/// `name` "shop.public.orders".
std::string envelope_schema(std::string_view name, std::string_view row);
/// Of its key.
std::string key_schema(std::string_view name, std::string_view fields);

}  // namespace penstock::debezium
