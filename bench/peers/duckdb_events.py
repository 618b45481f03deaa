"""Lines of events with DuckDB: one typed read of the file for each type, written to Parquet. Lines that are no JSON or of another type are left out.

    duckdb_events.py EVENTS.ndjson DIR
"""

import sys

import duckdb

TYPES = {
    "order": "event_type: 'VARCHAR', order_id: 'VARCHAR', customer_id: 'VARCHAR', order_date: 'TIMESTAMPTZ', status: 'VARCHAR', "
             "items: 'STRUCT(product_id VARCHAR, product_name VARCHAR, quantity BIGINT, price DOUBLE)[]', "
             "shipping_address: 'STRUCT(street VARCHAR, city VARCHAR, country VARCHAR)', total_amount: 'DOUBLE'",
    "inventory": "event_type: 'VARCHAR', inventory_id: 'VARCHAR', product_id: 'VARCHAR', warehouse_id: 'VARCHAR', quantity_change: 'BIGINT', reason: 'VARCHAR', "
                 "timestamp: 'TIMESTAMPTZ'",
    "user_activity": "event_type: 'VARCHAR', user_id: 'VARCHAR', activity_type: 'VARCHAR', ip_address: 'VARCHAR', user_agent: 'VARCHAR', timestamp: 'TIMESTAMPTZ', "
                     "metadata: 'STRUCT(session_id VARCHAR, platform VARCHAR)'",
}
events, folder = sys.argv[1:]
connection = duckdb.connect()
connection.execute("SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
good = 0
for name, columns in TYPES.items():
    connection.execute(f"COPY (SELECT * FROM read_json('{events}', format = 'newline_delimited', ignore_errors = true, columns = {{{columns}}}) "
                       f"WHERE event_type = '{name}') TO '{folder}/{name}.parquet' (FORMAT parquet, COMPRESSION zstd)")
    good += connection.execute(f"SELECT count(*) FROM '{folder}/{name}.parquet'").fetchone()[0]
print(good)
