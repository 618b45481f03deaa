"""The Storage Read API (BigQueryRead, google.cloud.bigquery.storage.v1), Arrow format."""

import re
import threading
import time
import uuid
from dataclasses import replace
from decimal import Decimal

import duckdb
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types
from google.rpc import code_pb2

from .arrow import arrow_field
from .errors import ApiError
from .functions import bignumeric
from .schema import RANGE_END, RANGE_START, Field, quoted
from .sql import generate, parse, translate
from .storage_errors import Refused

ROWS_PER_STREAM, MOST_STREAMS, DEFAULT_STREAMS = 1000, 1000, 4
BATCH_ROWS = 10_000


def selected(fields, names) -> tuple[Field, ...]:
    """TableReadOptions reference, selected_fields: the order is the table's; a nested name selects within its record."""
    if not names:
        return tuple(fields)
    wanted: dict[str, list[str]] = {}
    for name in names:
        head, _, rest = name.partition(".")
        wanted.setdefault(head.lower(), []).append(rest)
    known = {field.name.lower() for field in fields}
    for head in wanted:
        if head not in known:
            raise Refused(code_pb2.INVALID_ARGUMENT, f"request failed: The following selected fields do not exist in the table schema: {head}")
    out = []
    for field in fields:
        inner = wanted.get(field.name.lower())
        if inner is None:
            continue
        out.append(field if "" in inner or field.type != "RECORD" else replace(field, fields=selected(field.fields, inner)))
    return tuple(out)


class ReadService:
    def __init__(self, engine):
        self.engine, self.store = engine, engine.store
        self.lock = threading.Lock()
        self.streams: dict[str, tuple] = {}  # name -> (segment, fields, schema, low, high)

    def reset(self) -> None:
        with self.lock:
            self.streams.clear()

    def create(self, request, caller):
        wanted = request.read_session
        found = re.fullmatch(r"projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)", wanted.table)
        if not found:
            raise Refused(code_pb2.INVALID_ARGUMENT, f"Invalid table name: {wanted.table}")
        if wanted.data_format != int(types.DataFormat.ARROW):
            raise Refused(code_pb2.UNIMPLEMENTED, "Only the ARROW data format is implemented")
        try:
            table = self.store.table(*found.groups())
            caller.check_table(table, False)
            caller.check_project(request.parent.removeprefix("projects/"))
        except ApiError as error:
            raise Refused(code_pb2.NOT_FOUND if error.reason == "notFound" else code_pb2.PERMISSION_DENIED, error.message) from None
        if table.view:
            raise Refused(code_pb2.INVALID_ARGUMENT, "request failed: table type VIEW is not supported by the Storage Read API")
        version = table.latest
        if wanted.table_modifiers.HasField("snapshot_time"):
            version = table.at(wanted.table_modifiers.snapshot_time.ToMicroseconds() / 1e6)
        fields = selected(version.fields, list(wanted.read_options.selected_fields))
        cursor = self.store.cursor()
        segment = self.snapshot(cursor, version, fields, wanted.read_options.row_restriction)
        schema = pa.schema([arrow_field(field) for field in fields])
        session = types.ReadSession.pb()()
        session.CopyFrom(wanted)
        place = self.store.datasets[table.project, table.dataset].location.lower()
        session.name = f"{request.parent}/locations/{place}/sessions/{uuid.uuid4().hex}"
        session.expire_time.FromSeconds(int(time.time()) + 6 * 3600)
        session.arrow_schema.serialized_schema = schema.serialize().to_pybytes()
        session.estimated_row_count = segment.high
        names = {field.name.lower() for field in fields}
        session.estimated_total_bytes_scanned = self.engine.sizes.of(cursor, table, version, names)
        for low, high in self.split(segment.high, request):
            name = f"{session.name}/streams/{uuid.uuid4().hex}"
            session.streams.add(name=name)
            with self.lock:
                self.streams[name] = (segment, fields, schema, low, high)
        return session

    @staticmethod
    def split(rows: int, request) -> list[tuple[int, int]]:
        """CreateReadSessionRequest reference: at most max_stream_count, fewer where the table is small; none of an empty table."""
        most = min(request.max_stream_count or max(DEFAULT_STREAMS, request.preferred_min_stream_count), MOST_STREAMS)
        count = min(most, -(-rows // ROWS_PER_STREAM))
        edges = [rows * index // count for index in range(count + 1)] if count else [0]
        return list(zip(edges, edges[1:]))

    def snapshot(self, cursor, version, fields, restriction: str):
        where = ""
        if restriction:
            where = " WHERE " + generate(translate(parse(f"SELECT 1 FROM x WHERE {restriction}")[0].args["where"].this))
        try:
            return self.store.write_rows(cursor, fields, f"SELECT {', '.join(exported(quoted(field.name), field) + ' AS ' + quoted(field.name) for field in fields)}"
                                         f" FROM ({version.select()}) x{where}")
        except duckdb.Error as error:
            raise Refused(code_pb2.INVALID_ARGUMENT, f"request failed: Query error: {str(error).splitlines()[0]}") from None

    def read(self, request, fault):
        with self.lock:
            found = self.streams.get(request.read_stream)
        if found is None:
            raise Refused(code_pb2.NOT_FOUND, f"Requested entity was not found. Entity: {request.read_stream}")
        segment, fields, schema, low, high = found
        if request.offset > high - low:
            raise Refused(code_pb2.OUT_OF_RANGE, f"Offset {request.offset} is beyond the end of the stream, which has {high - low} rows")
        cursor = self.store.cursor()
        first = True
        for start in range(low + request.offset, high, BATCH_ROWS):
            if not first and fault():
                raise Refused(code_pb2.UNAVAILABLE, "Connection reset by peer")
            end = min(high, start + BATCH_ROWS)
            got = cursor.execute(f"SELECT * FROM {segment.name} WHERE rowid >= {start} AND rowid < {end}").to_arrow_table()
            batch = finished(got, fields, schema)
            answer = types.ReadRowsResponse.pb()(row_count=end - start)
            answer.arrow_record_batch.serialized_record_batch = batch.serialize().to_pybytes()
            answer.arrow_record_batch.row_count = end - start
            answer.stats.progress.at_response_start = (start - low) / (high - low)
            answer.stats.progress.at_response_end = (end - low) / (high - low)
            if first:
                answer.arrow_schema.serialized_schema = schema.serialize().to_pybytes()
                first = False
            yield answer


def exported(expression: str, field: Field, depth: int = 0) -> str:
    """The value with what Arrow cannot take from DuckDB as text."""
    if field.repeated:
        item = f"e{depth}"
        one = Field(field.name, field.type, fields=field.fields, element=field.element)
        return f"list_transform({expression}, lambda {item}: {exported(item, one, depth + 1)})"
    if field.type == "RECORD":
        parts = ", ".join(f"{quoted(child.name)} := {exported(f'{expression}.{quoted(child.name)}', child, depth)}" for child in field.fields)
        return f"CASE WHEN {expression} IS NULL THEN NULL ELSE struct_pack({parts}) END"
    if field.type == "RANGE":
        return (f"CASE WHEN {expression} IS NULL THEN NULL ELSE struct_pack(\"start\" := {expression}.{RANGE_START},"
                f" \"end\" := {expression}.{RANGE_END}) END")
    if field.type in ("BIGNUMERIC", "JSON"):
        return f"CAST({expression} AS VARCHAR)"
    return expression


def finished(table: pa.Table, fields, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for column, field, item in zip(table.columns, fields, schema):
        chunk = column.combine_chunks()
        chunk = pa.concat_arrays(chunk.chunks) if isinstance(chunk, pa.ChunkedArray) else chunk
        columns.append(pa.array([decimals(value, field) for value in chunk.to_pylist()], item.type) if holds_bignumeric(field) else chunk.cast(item.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def holds_bignumeric(field: Field) -> bool:
    return field.type == "BIGNUMERIC" or any(holds_bignumeric(child) for child in field.fields)


def decimals(value, field: Field):
    if value is None:
        return None
    if isinstance(value, list):
        return [decimals(item, field) for item in value]
    if isinstance(value, dict):
        return {child.name: decimals(value[child.name], child) for child in field.fields}
    return Decimal(bignumeric(value)) if field.type == "BIGNUMERIC" else value
