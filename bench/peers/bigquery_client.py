"""Google's Python clients: a table of PostgreSQL into BigQuery, read by ADBC as record batches.

usage: bigquery_client.py URL TABLE load|write REST GRPC PROJECT DATASET OUT_FOLDER
load   one Parquet file (zstd), load_table_from_file
write  a PENDING stream of the Storage Write API, Arrow record batches, AppendRowsStream
"""

import sys

import adbc_driver_postgresql.dbapi
import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

url, table, how, rest, grpc_address, project, dataset, out = sys.argv[1:]
KINDS = {"bigint": "INT64", "integer": "INT64", "timestamp with time zone": "TIMESTAMP", "text": "STRING", "jsonb": "STRING", "uuid": "STRING",
         "boolean": "BOOL"}
MESSAGE_BYTES = 4_000_000


def rows(cursor):
    """Its batches, with decimals as such: the driver gives numeric as text."""
    reader = cursor.fetch_record_batch()
    for batch in reader:
        columns = [column.cast(pa.decimal128(38, 9)) if field.name in decimals else column.cast(pa.timestamp("us", "UTC"))
                   if pa.types.is_timestamp(field.type) else column for field, column in zip(batch.schema, batch.columns)]
        yield pa.RecordBatch.from_arrays(columns, batch.schema.names)


def load(client, target, batches):
    path, writer = f"{out}/rows.parquet", None
    for batch in batches:
        writer = writer or pq.ParquetWriter(path, batch.schema, compression="zstd")
        writer.write_batch(batch)
    writer.close()
    with open(path, "rb") as file:
        client.load_table_from_file(file, target, job_config=bigquery.LoadJobConfig(
            source_format="PARQUET", write_disposition="WRITE_APPEND")).result()


def write(target, batches):
    import grpc
    from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types, writer
    from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

    channel = grpc.insecure_channel(grpc_address, options=[("grpc.max_send_message_length", -1)])
    client = BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))
    parent = client.table_path(project, dataset, table)
    made = client.create_write_stream(parent=parent, write_stream=types.WriteStream(type_=types.WriteStream.Type.PENDING))
    template = types.AppendRowsRequest(write_stream=made.name)
    stream, offset, waiting = None, 0, []
    for batch in batches:
        if stream is None:
            template.arrow_rows = types.AppendRowsRequest.ArrowData(writer_schema=types.ArrowSchema(serialized_schema=batch.schema.serialize().to_pybytes()))
            stream = writer.AppendRowsStream(client, template)
        step = max(1, batch.num_rows * MESSAGE_BYTES // max(batch.nbytes, 1))
        for first in range(0, batch.num_rows, step):
            part = batch.slice(first, step)
            request = types.AppendRowsRequest(offset=offset)
            request.arrow_rows = types.AppendRowsRequest.ArrowData(rows=types.ArrowRecordBatch(serialized_record_batch=part.serialize().to_pybytes()))
            waiting.append(stream.send(request))
            offset += part.num_rows
            if len(waiting) > 6:  # what Penstock keeps waiting, about
                waiting.pop(0).result()
    for answer in waiting:
        answer.result()
    stream.close()
    client.finalize_write_stream(name=made.name)
    answer = client.batch_commit_write_streams(types.BatchCommitWriteStreamsRequest(parent=parent, write_streams=[made.name]))
    assert not answer.stream_errors, answer.stream_errors


client = bigquery.Client(project, AnonymousCredentials(), client_options=ClientOptions(api_endpoint=rest))
with adbc_driver_postgresql.dbapi.connect(url) as source, source.cursor() as cursor:
    cursor.execute("SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a WHERE a.attrelid = '" + table +
                   "'::regclass AND a.attnum > 0 ORDER BY a.attnum")
    kinds = cursor.fetchall()
    decimals = {name for name, kind in kinds if kind == "numeric"}
    client.create_dataset(dataset, exists_ok=True)
    client.create_table(bigquery.Table(f"{project}.{dataset}.{table}", [bigquery.SchemaField(name, KINDS.get(kind, "NUMERIC")) for name, kind in kinds]))
    cursor.execute("SELECT " + ", ".join(f"{name}::text" if kind in ("jsonb", "uuid") else name for name, kind in kinds) + f" FROM {table}")
    if how == "load":
        load(client, f"{project}.{dataset}.{table}", rows(cursor))
    else:
        write(f"{project}.{dataset}.{table}", rows(cursor))
