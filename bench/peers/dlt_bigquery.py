"""dlt's sql_database source into its bigquery destination, Parquet by load jobs.

usage: dlt_bigquery.py URL TABLE REST KEY_FILE PROJECT DATASET OUT_FOLDER
"""

import json
import os
import sys

url, table, rest, key_file, project, dataset, out = sys.argv[1:]
os.environ["DLT_DATA_DIR"] = f"{out}/dlt"
os.environ["BIGQUERY_EMULATOR_HOST"] = rest

import dlt
import sqlalchemy
from dlt.destinations import bigquery
from dlt.sources.sql_database import sql_table

plain_url = url.split("?")[0]
rows = sql_table(credentials=plain_url.replace("postgres://", "postgresql+psycopg2://"), table=table, schema="public", backend="connectorx",
                 reflection_level="full_with_precision", backend_kwargs={"conn": url, "return_type": "arrow", "protocol": "binary"},
                 write_disposition="replace",
                 # Its Parquet load jobs do not take columns of type JSON.
                 type_adapter_callback=lambda kind: sqlalchemy.Text() if isinstance(kind, sqlalchemy.JSON) else kind)
destination = bigquery(credentials=json.load(open(key_file)) | {"project_id": project}, location="US")
pipeline = dlt.pipeline(f"{table}_bigquery", destination=destination, dataset_name=dataset, pipelines_dir=f"{out}/dlt")
load = pipeline.run(rows, loader_file_format="parquet")
load.raise_on_failed_jobs()
