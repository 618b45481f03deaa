#include "app/sample_shop.h"

#include <fmt/format.h>

namespace penstock::app::sample_shop {

std::string_view create() {
    return R"(
CREATE TABLE customers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    email      text,
    profile    jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    amount      numeric(12,2) NOT NULL,
    status      text NOT NULL,
    items       jsonb NOT NULL,
    tags        text[] NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO customers (name, email, profile, updated_at)
SELECT 'Customer ' || i, 'c' || i || '@example.com', jsonb_build_object('country', (ARRAY['CH', 'DE', 'FR'])[1 + i % 3], 'points', i % 500),
       now() - (2001 - i) * interval '1 minute'
FROM generate_series(1, 2000) AS i;
INSERT INTO orders (customer_id, amount, status, items, tags, updated_at)
SELECT 1 + i % 2000, round((i % 9973) * 1.07 + 0.01, 2), (ARRAY['open', 'paid', 'sent'])[1 + i % 3],
       jsonb_build_array(jsonb_build_object('sku', 'A-' || i % 97, 'count', 1 + i % 4)), ARRAY['web', 'no ' || i % 7],
       now() - (20001 - i) * interval '1 second'
FROM generate_series(1, 20000) AS i;
ANALYZE;
)";
}

std::string_view next_day() {
    return R"(
INSERT INTO customers (name, email, profile, updated_at)
SELECT 'New customer ' || i, NULL, '{"country": "IT"}', clock_timestamp() FROM generate_series(1, 50) AS i;
INSERT INTO orders (customer_id, amount, status, items, tags, updated_at)
SELECT 2000 + i % 50, i * 3.50, 'open', '[]', '{}', clock_timestamp() FROM generate_series(1, 300) AS i;
UPDATE orders SET status = 'paid', updated_at = clock_timestamp() WHERE status = 'open' AND id <= 600;
)";
}

std::string_view bad_order() {
    return R"(
INSERT INTO orders (customer_id, amount, status, items, tags, updated_at)
VALUES (1, 'NaN', 'open', '[]', '{}', clock_timestamp());
)";
}

std::string_view capture() {
    return R"(
  customers_live:
    source: {connection: shop, changes: {tables: [public.customers], publication: demo, slot: demo, create: true}}
    target: {connection: warehouse, dataset: live, mode: merge}
)";
}

std::string_view visitors() {
    return R"(
INSERT INTO customers (name, email, profile) SELECT 'Visitor ' || i, NULL, '{}' FROM generate_series(1, 30) AS i;
UPDATE customers SET name = upper(name) WHERE id <= 100;
DELETE FROM customers WHERE name LIKE 'Visitor 1%';
)";
}

std::string_view clicks_table() {
    return "CREATE TABLE clicks (kind STRING, visitor INT64 NOT NULL, page STRING, at TIMESTAMP NOT NULL)\n";
}

std::string_view sales_table() {
    return "CREATE TABLE sales (kind STRING, visitor INT64 NOT NULL, items ARRAY<STRUCT<name STRING, price NUMERIC(10, "
           "2)>>, at TIMESTAMP NOT NULL)\n";
}

std::string event_lines() {
    std::string lines;
    for (int i = 0; i < 1000; ++i) {
        auto at = fmt::format("2026-01-01T{:02}:{:02}:00Z", i / 60 % 24, i % 60);
        if (i == 17) lines += R"({"kind": "click", "visitor": 4.5, "page": "/", "at": "2026-01-01T00:00:00Z"})";
        else if (i == 117) lines += R"({"kind": "click", "visitor": 4, "page": "/", "at": "soon"})";
        else if (i == 217) lines += R"({"kind": "click", "visitor": )";
        else if (i == 316)
            lines += R"({"kind": "sale", "visitor": 4, "items": [{"name": "pen", "price": 1.005}], "at": null})";
        else if (i == 416) lines += R"({"kind": "refund", "visitor": 4})";
        else if (i % 4 == 0)
            lines += fmt::format(
                R"({{"kind": "sale", "visitor": {}, "items": [{{"name": "pen", "price": {}.{:02}}}], "at": "{}"}})", i,
                i % 90, i % 100, at);
        else lines += fmt::format(R"({{"kind": "click", "visitor": {}, "page": "/{}", "at": "{}"}})", i, i % 7, at);
        lines += '\n';
    }
    return lines;
}

std::string_view events() {
    return R"(
  events:
    source: {connection: lines, files: "in/*.ndjson", settle: 0s}
    route:
      by: kind
      click: {schema: clicks.sql, table: web.clicks}
      sale:  {schema: sales.sql, table: web.sales}
    archive: {connection: lake, every: 0s}
    target: {connection: warehouse, mode: append}
)";
}

std::string_view backups() {
    return R"(
backups:
  shop:
    connection: shop
    store: {connection: lake, path: backups, encrypt: "${file:backup.key}"}
    keep: {full: 4}
    rto: 10min
    drill:
      queries: ["SELECT count(*) FROM orders", "SELECT max(updated_at) FROM customers"]
      verify: [customers_live]
)";
}

std::string fingerprint_customers(std::string_view table) {
    return fmt::format(
        "SELECT CAST(count(*) AS varchar), md5(string_agg(CAST(id AS varchar) || '|' || name || '|' || coalesce(email, "
        "'-'), ',' ORDER BY id)) FROM {}",
        table);
}

std::string fingerprint_orders(std::string_view table) {
    return fmt::format(
        "SELECT CAST(count(*) AS varchar), md5(string_agg(CAST(id AS varchar) || '|' || CAST(amount AS varchar) || '|' "
        "|| status || '|' || "
        "CAST(customer_id AS varchar), ',' ORDER BY id)) FROM {}",
        table);
}

std::string configuration(std::string_view connection_string) {
    return fmt::format(R"(version: 1

connections:
  shop:      {{type: postgres, url: "{}"}}
  warehouse: {{type: duckdb, path: warehouse.duckdb}}
  lines:     {{type: files, url: "file:lines"}}
  lake:      {{type: files, url: "file:lake"}}

pipelines:
  customers:
    source: {{connection: shop, table: public.customers, cursor: updated_at}}
    target: {{connection: warehouse, table: shop.customers, mode: merge, key: [id]}}

  orders:
    source: {{connection: shop, table: public.orders, cursor: updated_at}}
    target: {{connection: warehouse, table: shop.orders, mode: merge, key: [id]}}
    after: [customers]
    on_reject: continue      # a row that cannot be held is set aside with its reason; the others go on
)",
                       connection_string);
}

}  // namespace penstock::app::sample_shop
