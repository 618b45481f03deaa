"""Rows as tabledata.list and jobs.getQueryResults send them."""

import base64
import math
from datetime import datetime, timezone

from .functions import bignumeric, plain
from .schema import RANGE_END, RANGE_START, Field

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def row(values, fields, int64_timestamps: bool) -> dict:
    return {"f": [{"v": cell(value, field, int64_timestamps)} for value, field in zip(values, fields)]}


def cell(value, field: Field, int64_timestamps: bool):
    if field.repeated:
        return [{"v": one(item, field, int64_timestamps)} for item in value or ()]
    return one(value, field, int64_timestamps)


def micros(value: datetime) -> int:
    delta = value - EPOCH
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


def one(value, field: Field, int64_timestamps: bool):
    if value is None:
        return None
    kind = field.type
    if kind == "RECORD":
        return row([value[item.name] for item in field.fields], field.fields, int64_timestamps)
    if kind == "BOOLEAN":
        return "true" if value else "false"
    if kind == "BYTES":
        return base64.b64encode(value).decode()
    if kind == "FLOAT":
        return number(value)
    if kind == "NUMERIC":
        return plain(value)
    if kind == "BIGNUMERIC":
        return plain(bignumeric(value))
    if kind == "TIMESTAMP":
        return timestamp(value, int64_timestamps)
    if kind == "DATETIME":
        return moment(value)
    if kind == "TIME":
        return value.isoformat()
    if kind == "INTERVAL":
        return interval(value)
    if kind == "RANGE":
        sides = [bound(value[side], field.element, int64_timestamps) for side in (RANGE_START, RANGE_END)]
        return f"[{sides[0]}, {sides[1]})"
    return value if isinstance(value, str) else str(value)


def bound(value, kind, int64_timestamps):
    return "UNBOUNDED" if value is None else one(value, Field("", kind), int64_timestamps)


def moment(value: datetime) -> str:
    return value.isoformat()


def timestamp(value: datetime, int64_timestamps: bool) -> str:
    """DataFormatOptions reference, useInt64Timestamp: microseconds; else a number of seconds."""
    count = micros(value)
    if int64_timestamps:
        return str(count)
    sign = "-" if count < 0 else ""
    return f"{sign}{abs(count) // 1_000_000}.{abs(count) % 1_000_000:06d}"


def number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def interval(value) -> str:
    """Canonical format (data types page): Y-M D H:M:S[.F]. DuckDB's Python gives no months, so intervals arrive as (months, days, micros)."""
    months, days, count = value if isinstance(value, tuple) else (0, value.days, value.seconds * 1_000_000 + value.microseconds)
    sign = "-" if months < 0 else ""
    part = "-" if count < 0 else ""
    count = abs(count)
    fraction = f".{count % 1_000_000:06d}".rstrip("0") if count % 1_000_000 else ""
    seconds = count // 1_000_000
    return f"{sign}{abs(months) // 12}-{abs(months) % 12} {days} {part}{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}{fraction}"


def fetched(field: Field) -> str:
    """The expression that fetches a column so that Python gets all of it."""
    name = '"' + field.name.replace('"', '""') + '"'
    if field.type == "INTERVAL" and not field.repeated:
        return (f"CASE WHEN {name} IS NULL THEN NULL ELSE [datepart('year', {name}) * 12 + datepart('month', {name}), datepart('day', {name}),"
                f" datepart('hour', {name}) * 3600000000 + datepart('minute', {name}) * 60000000 + datepart('microsecond', {name})] END AS {name}")
    return name


def fixed(values, fields):
    return [tuple(value) if field.type == "INTERVAL" and isinstance(value, list) and not field.repeated else value
            for value, field in zip(values, fields)]
