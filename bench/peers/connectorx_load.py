"""ConnectorX with two partitions into Arrow, then DuckDB.

usage: connectorx_load.py URL TABLE SPLIT_COLUMN duckdb|parquet OUT_FOLDER
"""

import sys

import connectorx
import duckdb

url, table, split, to, out = sys.argv[1:]
rows = connectorx.read_sql(url, f"SELECT * FROM {table}", return_type="arrow", protocol="binary",
                           partition_on=split, partition_num=2)
con = duckdb.connect(f"{out}/out.duckdb" if to == "duckdb" else ":memory:")
con.execute("SET preserve_insertion_order=false")
if to == "duckdb":
    con.execute(f"CREATE TABLE {table} AS FROM rows")
else:
    con.execute(f"COPY (FROM rows) TO '{out}/out.parquet' (FORMAT parquet, COMPRESSION zstd)")
con.close()
