"""Columns as Arrow types (Storage Read and Write API pages, "Arrow schema details")."""

import pyarrow as pa

from .schema import Field

ARROW = {"STRING": pa.string(), "BYTES": pa.binary(), "INTEGER": pa.int64(), "FLOAT": pa.float64(), "BOOLEAN": pa.bool_(), "DATE": pa.date32(),
         "TIMESTAMP": pa.timestamp("us", "UTC"), "DATETIME": pa.timestamp("us"), "TIME": pa.time64("us"), "NUMERIC": pa.decimal128(38, 9),
         "BIGNUMERIC": pa.decimal256(76, 38), "JSON": pa.string(), "GEOGRAPHY": pa.string(), "INTERVAL": pa.month_day_nano_interval()}
METADATA = {"DATETIME": b"google:sqlType:datetime", "JSON": b"google:sqlType:json", "GEOGRAPHY": b"google:sqlType:geography"}


def arrow_type(field: Field) -> pa.DataType:
    if field.type == "RECORD":
        kind = pa.struct([arrow_field(child) for child in field.fields])
    elif field.type == "RANGE":
        kind = pa.struct([pa.field("start", ARROW[field.element]), pa.field("end", ARROW[field.element])])
    elif field.type in ("NUMERIC", "BIGNUMERIC") and field.extra("precision"):
        made = pa.decimal128 if field.type == "NUMERIC" else pa.decimal256
        kind = made(int(field.extra("precision")), int(field.extra("scale") or 0))
    else:
        kind = ARROW[field.type]
    return pa.list_(pa.field("item", kind)) if field.repeated else kind


def arrow_field(field: Field) -> pa.Field:
    metadata = {b"ARROW:extension:name": METADATA[field.type]} if field.type in METADATA else None
    return pa.field(field.name, arrow_type(field), field.mode != "REQUIRED", metadata)


def decimal_texts(kind: pa.DataType) -> pa.DataType:
    """The type with every decimal of more than 38 digits as text."""
    if pa.types.is_decimal256(kind):
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field(kind.value_field.name, decimal_texts(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(kind.field(i).name, decimal_texts(kind.field(i).type)) for i in range(kind.num_fields)])
    return kind
