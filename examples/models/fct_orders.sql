-- A row for each order, with the version of its customer that was current when it was last changed. '-' is the key of a customer that
-- has not come yet: a later run that reads the order again finds it.
SELECT
    o.order_id,
    coalesce(c.customer_key, '-') AS customer_key,
    o.amount,
    o.updated_at
FROM shop.orders o
LEFT JOIN marts.dim_customers c
    ON c.customer_id = o.customer_id
    AND (c.valid_from IS NULL OR o.updated_at >= c.valid_from)
    AND (c.valid_to IS NULL OR o.updated_at < c.valid_to)
