#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::engine {

/// "na""me": always quoted, so that no name is ever a keyword or folded.
std::string quote_identifier(std::string_view name);
/// 'it''s'
std::string quote_literal(std::string_view text);

/// A table's name in a database: "shop.orders" is table orders of schema shop, "orders" is in main. Only the first dot
/// separates.
struct TableName {
    std::string schema = "main";
    std::string table;

    static TableName parse(std::string_view dotted);
    std::string quoted() const { return quote_identifier(schema) + "." + quote_identifier(table); }
};

/// What a reject's columns are read as (flow::reject_of): names quoted, times as microseconds; the payload, or NULL.
std::string reject_columns(bool payload);

/// "a", "b", "c"; each with `prefix` in front ("S." for example).
std::string quote_list(const std::vector<std::string>& names, std::string_view prefix = {});

}  // namespace penstock::engine
