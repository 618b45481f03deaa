-- A row for each version of a customer. The surrogate key names the version and stays the same however often this is made. The
-- first version is taken as valid since ever: orders that came before we knew their customer have one as well.
SELECT
    md5(customer_id || '@' || epoch_us(_penstock_valid_from)) AS customer_key,
    * EXCLUDE (_penstock_valid_from, _penstock_valid_to),
    CASE
        WHEN _penstock_valid_from = min(_penstock_valid_from) OVER (PARTITION BY customer_id) THEN NULL
        ELSE _penstock_valid_from
    END AS valid_from,
    _penstock_valid_to AS valid_to,
    _penstock_valid_to IS NULL AS is_current
FROM shop.customers
