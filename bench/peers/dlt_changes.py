"""dlt's verified source pg_replication into its duckdb destination.

usage: dlt_changes.py URL TABLE PUBLICATION SLOT OUT_FOLDER SOURCES_FOLDER [first]
`first` makes the slot and loads the table as it is; without it a run takes what has changed since.
"""

import os
import sys

url, table, publication, slot, out, sources, *first = sys.argv[1:]
os.environ["DLT_DATA_DIR"] = f"{out}/dlt"
sys.path.insert(0, sources)

import dlt
from dlt.destinations import duckdb
from pg_replication import replication_resource
from pg_replication.helpers import init_replication

credentials = dlt.sources.credentials.ConnectionStringCredentials(url.split("?")[0].replace("postgres://", "postgresql://"))
# Its types for jsonb, uuid and timestamptz come from the stream; the snapshot's are given the same.
pipeline = dlt.pipeline(f"{table}_changes", destination=duckdb(f"{out}/out.duckdb"), dataset_name="bench", pipelines_dir=f"{out}/dlt")
if first:
    rows = init_replication(slot_name=slot, pub_name=publication, schema_name="public", table_names=table, credentials=credentials,
                            persist_snapshots=True)
else:
    rows = replication_resource(slot, publication, credentials=credentials, target_batch_size=50_000)
pipeline.run(rows).raise_on_failed_jobs()
