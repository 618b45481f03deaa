select order_id, customer_id, amount, cast(updated_at at time zone 'UTC' as date) as day
from {{ source('shop', 'orders') }}
where amount >= {{ var('least_amount') }}
