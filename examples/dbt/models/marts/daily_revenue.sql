select o.day, c.country, count(*) as orders, sum(o.amount) as revenue
from {{ ref('stg_orders') }} as o
join {{ source('shop', 'customers') }} as c using (customer_id)
group by o.day, c.country
