"""Apache Arrow ADBC's PostgreSQL driver, its record batches read by DuckDB.

usage: adbc_load.py URL TABLE duckdb|parquet OUT_FOLDER
"""

import sys

import adbc_driver_postgresql.dbapi
import duckdb

url, table, to, out = sys.argv[1:]
with adbc_driver_postgresql.dbapi.connect(url) as source, source.cursor() as cursor:
    cursor.execute(f"SELECT * FROM {table}")
    rows = cursor.fetch_record_batch()
    con = duckdb.connect(f"{out}/out.duckdb" if to == "duckdb" else ":memory:")
    con.execute("SET preserve_insertion_order=false")
    if to == "duckdb":
        con.execute(f"CREATE TABLE {table} AS FROM rows")
    else:
        con.execute(f"COPY (FROM rows) TO '{out}/out.parquet' (FORMAT parquet, COMPRESSION zstd)")
    con.close()
