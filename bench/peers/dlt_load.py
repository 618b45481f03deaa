"""dlt's sql_database source into its duckdb or filesystem destination, by one of its Arrow backends.

usage: dlt_load.py URL TABLE pyarrow|connectorx duckdb|parquet OUT_FOLDER [CURSOR KEY]
With a cursor and a key the load is an incremental merge: the first run takes all, later ones what changed.
"""

import os
import sys

url, table, backend, to, out, *incremental = sys.argv[1:]
os.environ["DLT_DATA_DIR"] = f"{out}/dlt"
os.environ["DATA_WRITER__COMPRESSION"] = "zstd" if to == "parquet" else "snappy"

import dlt
from dlt.destinations import duckdb, filesystem
from dlt.sources.sql_database import sql_table

plain_url = url.split("?")[0]
options = {}
if backend == "connectorx":
    # ConnectorX wants the URL in its own words; SQLAlchemy's dialect prefix is dlt's.
    options = {"backend_kwargs": {"conn": url, "return_type": "arrow", "protocol": "binary"}}
else:
    options = {"chunk_size": 100_000}
if incremental:
    cursor, key = incremental
    options |= {"incremental": dlt.sources.incremental(cursor), "primary_key": key, "write_disposition": "merge"}
else:
    options |= {"write_disposition": "replace"}

rows = sql_table(credentials=plain_url.replace("postgres://", "postgresql+psycopg2://"), table=table, schema="public",
                 backend=backend, reflection_level="full_with_precision", **options)
destination = duckdb(f"{out}/out.duckdb") if to == "duckdb" else filesystem(f"file://{out}/files")
pipeline = dlt.pipeline(f"{table}_{to}", destination=destination, dataset_name="bench", pipelines_dir=f"{out}/dlt")
load = pipeline.run(rows, loader_file_format="parquet")
load.raise_on_failed_jobs()
