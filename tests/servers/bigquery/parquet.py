"""Parquet files of load jobs (page "Loading Parquet data from Cloud Storage")."""

import pyarrow as pa
import pyarrow.parquet as pq

from .arrow import decimal_texts
from .errors import invalid
from .schema import RANGE_END, RANGE_START, Field, find, quoted, text


class File:
    self_describing = True

    def __init__(self, path: str, config: dict):
        self.path = path
        options = config.get("parquetOptions") or {}
        self.lists = bool(options.get("enableListInference"))
        self.decimals = config.get("decimalTargetTypes") or ["NUMERIC"]
        self.ignore_unknown = bool(config.get("ignoreUnknownValues"))
        try:
            self.file = pq.ParquetFile(path)
        except Exception as error:
            raise invalid(f"Error while reading data, error message: Input file is not in Parquet format. {error}") from None
        self.schema = self.file.schema_arrow
        self.json = {column.path.split(".")[0] for column in (self.file.schema.column(i) for i in range(len(self.file.schema)))
                     if "JSON" in str(column.logical_type).upper()}

    def inferred(self, autodetect=None, like=()) -> tuple[Field, ...]:
        return tuple(self.field(item, find(like, item.name)) for item in self.schema)

    def field(self, item: pa.Field, like: Field | None = None) -> Field:
        """Page, "Parquet conversions"."""
        kind, mode = item.type, "NULLABLE" if item.nullable else "REQUIRED"
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            inner = self.field(kind.value_field, like)
            if self.lists:
                return Field(item.name, inner.type, "REPEATED", inner.fields, element=inner.element)
            # Page, "enable_list_inference": without it a LIST stays the group of groups the file has.
            element = Field("element", inner.type, inner.mode, inner.fields)
            return Field(item.name, "RECORD", mode, (Field("list", "RECORD", "REPEATED", (element,)),))
        if pa.types.is_map(kind):
            pair = (self.field(pa.field("key", kind.key_type, False)), self.field(pa.field("value", kind.item_type)))
            return Field(item.name, "RECORD", mode, (Field("key_value", "RECORD", "REPEATED", pair),))
        if pa.types.is_struct(kind):
            children = [kind.field(i) for i in range(kind.num_fields)]
            # RANGE: a struct of start and end (Parquet conversions, RANGE) where the table says so.
            if like is not None and like.type == "RANGE" and [child.name for child in children] == ["start", "end"]:
                return Field(item.name, "RANGE", mode, element=like.element)
            return Field(item.name, "RECORD", mode, tuple(self.field(child, find(like.fields, child.name) if like else None) for child in children))
        return Field(item.name, self.scalar(item, like), mode)

    def scalar(self, item: pa.Field, like: Field | None) -> str:
        kind = item.type
        if isinstance(kind, pa.ExtensionType):
            return "JSON" if "json" in kind.extension_name else "BYTES" if "uuid" in kind.extension_name else "STRING"
        if pa.types.is_boolean(kind):
            return "BOOLEAN"
        if pa.types.is_integer(kind):
            return "INTEGER"
        if pa.types.is_floating(kind):
            return "FLOAT"
        if pa.types.is_decimal(kind):
            return self.decimal(kind)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
            if item.name in self.json:
                return "JSON"
            # Page: GEOGRAPHY and JSON are written as text; the table's schema decides.
            return like.type if like is not None and like.type in ("GEOGRAPHY", "JSON") else "STRING"
        if pa.types.is_date(kind):
            return "DATE"
        if pa.types.is_time(kind):
            return "TIME"
        if pa.types.is_timestamp(kind):
            return "TIMESTAMP" if kind.tz else "DATETIME"
        return "BYTES"

    def decimal(self, kind) -> str:
        """JobConfigurationLoad reference, decimalTargetTypes: the first of NUMERIC, BIGNUMERIC, STRING that is listed and holds it, else the widest."""
        whole, scale = kind.precision - kind.scale, kind.scale
        fits = {"NUMERIC": whole <= 29 and scale <= 9, "BIGNUMERIC": whole <= 38 and scale <= 38, "STRING": True}
        listed = [name for name in ("NUMERIC", "BIGNUMERIC", "STRING") if name in self.decimals]
        return next((name for name in listed if fits[name]), listed[-1])

    def write(self, store, cursor, fields):
        have = {item.name.lower(): item for item in self.schema}
        parts = []
        for field in fields:
            item = have.pop(field.name.lower(), None)
            if item is None:
                parts.append(f"CAST({'[]' if field.repeated else 'NULL'} AS {field.duck()}) AS {quoted(field.name)}")
                continue
            given = self.field(item, field)
            compare(field, given, field.name)
            parts.append(f"{self.value(quoted(item.name), item.type, given, field)} AS {quoted(field.name)}")
        if have and not self.ignore_unknown:
            name = next(iter(have.values())).name
            raise invalid(f"Provided Schema does not match Table. Cannot add fields (field: {name})")
        source = pa.RecordBatchReader.from_batches(readable(self.schema), (converted(batch) for batch in self.file.iter_batches(65536)))
        cursor.register("incoming", source)
        try:
            return store.write_rows(cursor, fields, f"SELECT {', '.join(parts)} FROM incoming")
        finally:
            cursor.unregister("incoming")

    def value(self, name: str, kind, given: Field, field: Field) -> str:
        if given.repeated:
            nulls = text(f"Array cannot have a null element; error in writing field {field.name}")
            one = Field(field.name, field.type, fields=field.fields, element=field.element)
            item = self.value("e", kind.value_type, Field(given.name, given.type, fields=given.fields, element=given.element), one)
            return (f"coalesce(CAST(list_transform({name}, lambda e: CASE WHEN e IS NULL THEN error({nulls}) ELSE {item} END) AS {field.duck()}), [])")
        if given.type == "RECORD" and pa.types.is_list(kind):
            inner = f"list_transform({name}, lambda e: struct_pack(element := e))"
            return f"CASE WHEN {name} IS NULL THEN NULL ELSE CAST(struct_pack(list := {inner}) AS {field.duck()}) END"
        if given.type == "RECORD" and pa.types.is_map(kind):
            pairs = f"list_transform(map_entries({name}), lambda e: struct_pack(key := e.key, value := e.value))"
            return f"CASE WHEN {name} IS NULL THEN NULL ELSE CAST(struct_pack(key_value := {pairs}) AS {field.duck()}) END"
        if given.type == "RECORD":
            return self.record(name, kind, given, field)
        if given.type == "RANGE":
            return (f"CASE WHEN {name} IS NULL THEN NULL ELSE CAST(struct_pack({RANGE_START} := {name}.\"start\", {RANGE_END} := {name}.\"end\")"
                    f" AS {field.duck()}) END")
        if field.type == "BIGNUMERIC":
            return f"bignumeric({name})"
        if field.type == "JSON":
            return f"CAST(json({name}) AS JSON)"
        return f"CAST({name} AS {field.duck()})"

    def record(self, name: str, kind, given: Field, field: Field) -> str:
        have = {kind.field(i).name.lower(): kind.field(i) for i in range(kind.num_fields)}
        parts = []
        for child in field.fields:
            item = have.get(child.name.lower())
            if item is None:
                parts.append(f"{quoted(child.name)} := CAST({'[]' if child.repeated else 'NULL'} AS {child.duck()})")
            else:
                parts.append(f"{quoted(child.name)} := " + self.value(f"{name}.{quoted(item.name)}", item.type, find(given.fields, item.name), child))
        return f"CASE WHEN {name} IS NULL THEN NULL ELSE struct_pack({', '.join(parts)}) END"


def compare(want: Field, have: Field, path: str) -> None:
    """Columns meet by name; a different type is an error, nothing is cast."""
    if want.type != have.type or want.repeated != have.repeated or want.element != have.element:
        shown = have.type if not have.repeated else f"ARRAY of {have.type}"
        raise invalid(f"Provided Schema does not match Table. Field {path} has changed type from {want.type}"
                      f"{' (REPEATED)' if want.repeated else ''} to {shown}")
    for child in have.fields:
        other = find(want.fields, child.name)
        if other is None:
            raise invalid(f"Provided Schema does not match Table. Cannot add fields (field: {path}.{child.name})")
        compare(other, child, f"{path}.{child.name}")


def readable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(item.name, decimal_texts(storage(item.type))) for item in schema])


def storage(kind):
    return kind.storage_type if isinstance(kind, pa.ExtensionType) else kind


def converted(batch: pa.RecordBatch) -> pa.RecordBatch:
    """DuckDB takes no decimals of more than 38 digits: as text."""
    columns, schema = [], readable(batch.schema)
    for column, item in zip(batch.columns, schema):
        column = column.storage if isinstance(column, pa.ExtensionArray) else column
        columns.append(column if column.type == item.type else texts(column, item.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def texts(column, kind):
    return pa.array([as_text(value, kind) for value in column.to_pylist()], kind)


def as_text(value, kind):
    """Decimals where text is wanted; others stay."""
    from decimal import Decimal

    if isinstance(value, list):
        return [as_text(item, kind.value_type) for item in value]
    if isinstance(value, dict):
        return {name: as_text(item, kind.field(name).type) for name, item in value.items()}
    return format(value, "f") if isinstance(value, Decimal) and pa.types.is_string(kind) else value
