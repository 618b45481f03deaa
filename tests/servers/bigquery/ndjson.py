"""Newline-delimited JSON of load jobs (page "Loading JSON data"), and JSON rows of insertAll: values to Arrow columns."""

import base64
import json
import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation

import pyarrow as pa

from .arrow import arrow_type, decimal_texts
from .errors import ApiError
from .schema import RANGE_END, RANGE_START, Field, quoted

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class BadValue(Exception):
    pass


class File:
    self_describing = False

    def __init__(self, path: str, config: dict):
        self.path, self.bad, self.warnings = path, 0, []
        self.allowed = int(config.get("maxBadRecords") or 0)
        self.ignore_unknown = bool(config.get("ignoreUnknownValues"))
        with open(path, encoding="utf-8", newline="\n") as lines:
            self.rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]

    def inferred(self, autodetect=None, like=()) -> tuple[Field, ...]:
        if not autodetect:
            return ()
        found: dict[str, Field] = {}
        for _, line in self.rows[:500]:
            for name, value in json.loads(line).items():
                guess = infer(name, value)
                if guess is not None and (name not in found or WIDTH.get(guess.type, 9) > WIDTH.get(found[name].type, 9)):
                    found[name] = guess
        return tuple(found.values())

    def write(self, store, cursor, fields):
        rows = []
        for number, line in self.rows:
            try:
                rows.append(row_of(json.loads(line), fields, self.ignore_unknown))
            except (BadValue, json.JSONDecodeError) as error:
                self.fail(number, error)
        return write_rows(store, cursor, fields, rows)

    def fail(self, number: int, error) -> None:
        """JobConfigurationLoad reference, maxBadRecords."""
        self.bad += 1
        what = ApiError("invalid", f"Error while reading data, error message: JSON processing encountered too many errors, giving up. Rows: {number}; "
                        f"errors: {self.bad}; max bad: {self.allowed}; error percent: 0")
        detail = ApiError("invalid", f"Error while reading data, error message: JSON parsing error in row starting at position {number}: {error}")
        self.warnings.append(detail)
        if self.bad > self.allowed:
            raise what


WIDTH = {"BOOLEAN": 1, "INTEGER": 2, "FLOAT": 3, "STRING": 4}


def infer(name: str, value) -> Field | None:
    if value is None or value == []:
        return None
    if isinstance(value, list):
        inner = infer(name, value[0])
        return Field(name, inner.type, "REPEATED", inner.fields) if inner else None
    if isinstance(value, dict):
        return Field(name, "RECORD", fields=tuple(filter(None, (infer(key, item) for key, item in value.items()))))
    kind = "BOOLEAN" if isinstance(value, bool) else "INTEGER" if isinstance(value, int) else "FLOAT" if isinstance(value, float) else "STRING"
    return Field(name, kind)


def write_rows(store, cursor, fields, rows: list):
    """Python rows (name -> value in the forms `value_of` makes) as a segment."""
    schema = pa.schema([pa.field(field.name, plain_type(field)) for field in fields])
    columns = [pa.array([row.get(field.name) for row in rows], schema.field(index).type) for index, field in enumerate(fields)]
    table = pa.Table.from_arrays(columns, schema=schema)
    cursor.register("incoming", table)
    try:
        return store.write_rows(cursor, fields, "SELECT " + ", ".join(f"{stored(quoted(field.name), field)} AS {quoted(field.name)}" for field in fields)
                                + " FROM incoming")
    finally:
        cursor.unregister("incoming")


def plain_type(field: Field) -> pa.DataType:
    """The Arrow type with bounds of ranges named as they are stored."""
    if field.type == "RANGE":
        inner = plain_type(Field("", field.element))
        kind = pa.struct([pa.field(RANGE_START, inner), pa.field(RANGE_END, inner)])
    elif field.type == "RECORD":
        kind = pa.struct([pa.field(child.name, plain_type(child)) for child in field.fields])
    elif field.type == "INTERVAL":
        kind = pa.month_day_nano_interval()
    else:
        kind = decimal_texts(arrow_type(Field(field.name, field.type)))
    return pa.list_(kind) if field.repeated else kind


def stored(expression: str, field: Field, depth: int = 0) -> str:
    """From plain_type to the storage type."""
    if not has_bignumeric(field):
        cast = f"CAST({expression} AS {field.duck()})"
        return f"coalesce({cast}, [])" if field.repeated else cast
    if field.repeated:
        item = f"e{depth}"
        one = Field(field.name, field.type, fields=field.fields)
        return f"coalesce(list_transform({expression}, lambda {item}: {stored(item, one, depth + 1)}), [])"
    if field.type == "RECORD":
        parts = ", ".join(f"{quoted(child.name)} := {stored(f'{expression}.{quoted(child.name)}', child, depth)}" for child in field.fields)
        return f"CASE WHEN {expression} IS NULL THEN NULL ELSE struct_pack({parts}) END"
    return f"bignumeric({expression})"


def has_bignumeric(field: Field) -> bool:
    return field.type == "BIGNUMERIC" or any(has_bignumeric(child) for child in field.fields)


def row_of(row, fields, ignore_unknown=False) -> dict:
    if not isinstance(row, dict):
        raise BadValue("Start of object expected")
    names = {field.name.lower(): field for field in fields}
    out = {}
    for name, value in row.items():
        field = names.get(name.lower())
        if field is None:
            if ignore_unknown:
                continue
            raise BadValue(f"No such field: {name}.")
        out[field.name] = value_of(value, field, ignore_unknown)
    for field in fields:
        if field.mode == "REQUIRED" and out.get(field.name) is None:
            raise BadValue(f"Missing required field: {field.name}.")
    return out


def value_of(value, field: Field, ignore_unknown=False):
    if field.repeated:
        if value is None:
            return []
        if not isinstance(value, list):
            raise BadValue(f"Array specified for non-repeated field or the reverse: {field.name}.")
        if any(item is None for item in value):
            raise BadValue(f"Only optional fields can be set to NULL. Field: {field.name}; Value: NULL")
        one = Field(field.name, field.type, fields=field.fields, element=field.element)
        return [value_of(item, one, ignore_unknown) for item in value]
    if value is None:
        return None
    if isinstance(value, list):
        raise BadValue(f"Array specified for non-repeated field: {field.name}.")
    try:
        return CONVERT[field.type](value, field, ignore_unknown)
    except (ValueError, TypeError, InvalidOperation, OverflowError, KeyError):
        raise BadValue(f"Could not convert value '{value}' to {field.type.lower()}. Field: {field.name}; Value: {value}") from None


def integer(value, field, _):
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError
    number = int(value)
    if not -2**63 <= number < 2**63:
        raise ValueError
    return number


def floating(value, field, _):
    if isinstance(value, bool):
        raise ValueError
    return float(value)


def string(value, field, _):
    if isinstance(value, (dict, list)):
        raise ValueError
    shown = json.dumps(value) if isinstance(value, bool) else str(value)
    limit = field.extra("maxLength")
    if limit and len(shown) > int(limit):
        raise ValueError
    return shown


def boolean(value, field, _):
    return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]


def decimal(value, field, _):
    number = Decimal(str(value))
    digits, scale = (29, 9) if field.type == "NUMERIC" else (39, 38)
    if field.extra("precision"):
        scale = int(field.extra("scale") or 0)
        digits = int(field.extra("precision")) - scale
    if not number.is_finite() or -number.as_tuple().exponent > scale and number != round(number, scale) or abs(number) >= Decimal(10) ** digits:
        raise ValueError
    return number if field.type == "NUMERIC" else format(number, "f")


def timestamp(value, field, _):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return EPOCH + timedelta(microseconds=round(Decimal(str(value)) * 1_000_000))
    found = re.fullmatch(r"(\d{1,4}-\d{1,2}-\d{1,2})(?:[T ](\d{1,2}:\d{1,2}(?::\d{1,2})?(?:\.\d{1,6})?))?\s*(Z|UTC|[+-]\d{1,2}(?::?\d{2})?)?", str(value).strip())
    if not found:
        if re.fullmatch(r"-?\d+(\.\d+)?", str(value)):
            return EPOCH + timedelta(microseconds=round(Decimal(str(value)) * 1_000_000))
        raise ValueError
    zone = found[3] if found[3] not in (None, "Z", "UTC") else "+00:00"
    if ":" not in zone:
        zone = zone[0] + (zone[1:].zfill(2) + ":00" if len(zone) <= 3 else f"{zone[1:3]}:{zone[3:]}")
    day, clock = "-".join(part.zfill(size) for part, size in zip(found[1].split("-"), (4, 2, 2))), found[2] or "00:00:00"
    return datetime.fromisoformat(f"{day}T{fraction(clock)}{zone}").astimezone(timezone.utc)


def fraction(clock: str) -> str:
    whole, _, part = clock.partition(".")
    pieces = [piece.zfill(2) for piece in whole.split(":")]
    return ":".join(pieces + ["00"] * (3 - len(pieces))) + (f".{part:0<6}" if part else "")


def civil(value, field, _):
    day, _, clock = str(value).replace(" ", "T").partition("T")
    return datetime.fromisoformat(f"{day}T{fraction(clock or '00:00:00')}")


def interval(value, field, _):
    found = re.fullmatch(r"(-?)(\d+)-(\d+) (-?\d+) (-?)(\d+):(\d+):(\d+)(?:\.(\d{1,6}))?", str(value))
    if not found:
        raise ValueError
    months = (int(found[2]) * 12 + int(found[3])) * (-1 if found[1] else 1)
    nanos = ((int(found[6]) * 60 + int(found[7])) * 60 + int(found[8])) * 10**9 + int((found[9] or "").ljust(9, "0") or 0)
    return pa.scalar((months, int(found[4]), -nanos if found[5] else nanos), pa.month_day_nano_interval()).as_py()


def ranged(value, field, _):
    if isinstance(value, dict):
        low, high = value.get("start"), value.get("end")
    else:
        found = re.fullmatch(r"\[(.*),\s*(.*)\)", str(value))
        low, high = (None if side.strip().upper() in ("UNBOUNDED", "NULL", "") else side.strip() for side in found.groups())
    one = Field(field.name, field.element)
    return {RANGE_START: value_of(low, one), RANGE_END: value_of(high, one)}


def json_text(value, field, _):
    return json.dumps(json.loads(value) if isinstance(value, str) and value[:1] in "{[\"0123456789-tfn" and _is_json(value) else value,
                      ensure_ascii=False, separators=(",", ":"))


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
        return True
    except ValueError:
        return False


CONVERT = {"INTEGER": integer, "FLOAT": floating, "STRING": string, "BOOLEAN": boolean, "NUMERIC": decimal, "BIGNUMERIC": decimal,
           "BYTES": lambda value, *_: base64.b64decode(value, validate=True), "DATE": lambda value, *_: date.fromisoformat(value),
           "TIME": lambda value, *_: time.fromisoformat(fraction(value)), "TIMESTAMP": timestamp, "DATETIME": civil, "GEOGRAPHY": string,
           "JSON": json_text, "INTERVAL": interval, "RANGE": ranged,
           "RECORD": lambda value, field, ignore: row_of(value, field.fields, ignore)}

