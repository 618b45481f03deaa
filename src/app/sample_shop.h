#pragma once

#include <string>
#include <string_view>

namespace penstock::app::sample_shop {

/// SQL that makes the tables customers and orders and fills them, for PostgreSQL.
std::string_view create();
/// What a day brings: new customers and orders, orders that are paid.
std::string_view next_day();
/// An order whose amount no decimal type can hold.
std::string_view bad_order();

/// One more pipeline for the configuration: the customers' changes from the server's log.
std::string_view capture();
/// 30 customers come, 100 change, 11 go.
std::string_view visitors();

/// CREATE TABLE statements of the events' two tables.
std::string_view clicks_table();
std::string_view sales_table();
/// 1,000 events as lines of JSON: 747 clicks, 248 sales, five that are neither, or wrong.
std::string event_lines();
/// One more pipeline: the events, by their kind into two tables, and as they came into an archive.
std::string_view events();

/// Backups of the server, and what a drill asks of them.
std::string_view backups();

/// Rows, and a fingerprint of their values, as text. The same SQL means the same in PostgreSQL and DuckDB.
std::string fingerprint_customers(std::string_view table);
std::string fingerprint_orders(std::string_view table);

/// The configuration that loads it.
std::string configuration(std::string_view connection_string);

}  // namespace penstock::app::sample_shop
