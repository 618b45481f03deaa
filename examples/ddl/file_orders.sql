CREATE TABLE shop.orders (
  order_id INT64 NOT NULL,
  customer_id STRING,
  placed_at TIMESTAMP,
  total NUMERIC(12, 2)
)
