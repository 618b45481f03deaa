"""Rows of the Storage Write API as Arrow record batches (page "Storage Write API", "Arrow data types" table)."""

import pyarrow as pa

from .ndjson import BadValue
from .parquet import File, converted, readable
from .proto_rows import CHANGE, SEQUENCE, SchemaMismatch
from .schema import Field, find, quoted

TEXTUAL = {"JSON", "GEOGRAPHY", "INTERVAL", "NUMERIC", "BIGNUMERIC", "DATE", "DATETIME", "TIME", "TIMESTAMP"}


class Mapping(File):
    """The conversions of Parquet files, for a schema that comes over the wire."""

    def __init__(self, schema: pa.Schema):
        self.schema, self.lists, self.decimals, self.json, self.ignore_unknown = schema, True, ["NUMERIC", "BIGNUMERIC"], set(), False


class Reader:
    def __init__(self, serialized: bytes, fields, changes=False):
        try:
            self.schema = pa.ipc.read_schema(pa.py_buffer(serialized))
        except Exception as error:
            raise SchemaMismatch(f"Invalid Arrow schema: {error}") from None
        self.fields = fields
        self.specials = [item.name for item in self.schema if changes and item.name.upper() in (CHANGE, SEQUENCE)]
        self.mapping = Mapping(self.schema)
        for item in self.schema:
            if item.name in self.specials:
                continue
            field = find(fields, item.name)
            if field is None:
                raise SchemaMismatch(f"The source object has fields unknown to BigQuery: root.{item.name}.", extra=True)
            check(self.mapping.field(item, field), field, f"root.{field.name}")
        for field in fields:
            if field.mode == "REQUIRED" and find_item(self.schema, field.name) is None:
                raise SchemaMismatch(f"The required field root.{field.name} is missing in the Arrow schema")

    def batch(self, serialized: bytes) -> pa.RecordBatch:
        try:
            batch = pa.ipc.read_record_batch(pa.py_buffer(serialized), self.schema)
            batch.validate()
        except Exception as error:
            raise BadValue(f"Invalid Arrow record batch: {error}") from None
        return batch

    def write(self, store, cursor, batches):
        """A segment with all columns of the table."""
        parts = []
        for field in self.fields:
            item = find_item(self.schema, field.name)
            if item is None:
                parts.append(f"CAST({'[]' if field.repeated else 'NULL'} AS {field.duck()}) AS {quoted(field.name)}")
                continue
            given = self.mapping.field(item, field)
            parts.append(f"{self.mapping.value(quoted(item.name), item.type, given, field)} AS {quoted(field.name)}")
        source = pa.Table.from_batches([converted(batch) for batch in batches], readable(self.schema))
        cursor.register("incoming", source)
        try:
            return store.write_rows(cursor, self.fields, f"SELECT {', '.join(parts)} FROM incoming")
        finally:
            cursor.unregister("incoming")


def find_item(schema: pa.Schema, name: str):
    return next((item for item in schema if item.name.lower() == name.lower()), None)


def check(given: Field, field: Field, path: str) -> None:
    same = given.type == field.type or (given.type == "STRING" and field.type in TEXTUAL) or (given.type == "NUMERIC" and field.type == "BIGNUMERIC")
    if not same or given.repeated != field.repeated:
        raise SchemaMismatch(f"The Arrow field mismatched with BigQuery field at {path}, the Arrow field is {given.sql()}, BigQuery field is {field.sql()}")
    for child in given.fields:
        other = find(field.fields, child.name)
        if other is None:
            raise SchemaMismatch(f"The source object has fields unknown to BigQuery: {path}.{child.name}.", extra=True)
        check(child, other, f"{path}.{child.name}")
