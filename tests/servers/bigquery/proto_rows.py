"""Rows of the Storage Write API as protocol buffers (page "Storage Write API", "Data type conversions" and "Work with Protocol Buffers")."""

from datetime import date
from decimal import Decimal, InvalidOperation

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor as F

from .ndjson import BadValue, value_of
from .schema import RANGE_END, RANGE_START, Field, find

INTEGERS = {F.TYPE_INT32, F.TYPE_INT64, F.TYPE_UINT32, F.TYPE_SINT32, F.TYPE_SINT64, F.TYPE_SFIXED32, F.TYPE_SFIXED64, F.TYPE_FIXED32}
WIDE = {F.TYPE_UINT64, F.TYPE_FIXED64}
REALS = {F.TYPE_DOUBLE, F.TYPE_FLOAT}
TEXT, RAW, ENUM = {F.TYPE_STRING}, {F.TYPE_BYTES}, {F.TYPE_ENUM}

# The page's table: which protocol buffer types each BigQuery type takes.
TAKES = {"BOOLEAN": {F.TYPE_BOOL} | INTEGERS | WIDE, "BYTES": RAW | TEXT, "DATE": INTEGERS | TEXT, "DATETIME": TEXT | {F.TYPE_INT64}, "TIME": TEXT | {F.TYPE_INT64},
         "FLOAT": REALS, "GEOGRAPHY": TEXT, "INTEGER": INTEGERS | ENUM, "JSON": TEXT, "NUMERIC": INTEGERS | REALS | TEXT | RAW,
         "BIGNUMERIC": INTEGERS | REALS | TEXT | RAW, "STRING": TEXT | ENUM, "TIMESTAMP": {F.TYPE_INT64, F.TYPE_INT32, F.TYPE_UINT32} | TEXT,
         "INTERVAL": TEXT}
CHANGE, SEQUENCE = "_CHANGE_TYPE", "_CHANGE_SEQUENCE_NUMBER"


class SchemaMismatch(Exception):
    def __init__(self, message: str, extra=False):
        super().__init__(message)
        self.extra = extra


def message_class(descriptor: descriptor_pb2.DescriptorProto):
    """Page: the descriptor must be self-contained: nested types within it."""
    file = descriptor_pb2.FileDescriptorProto(name="rows.proto", package="rows", syntax="proto2")
    file.message_type.add().CopyFrom(descriptor)
    wrappers = descriptor_pb2.FileDescriptorProto(name="google/protobuf/timestamp.proto", package="google.protobuf", syntax="proto3")
    stamp = wrappers.message_type.add(name="Timestamp")
    stamp.field.add(name="seconds", number=1, type=F.TYPE_INT64, label=1)
    stamp.field.add(name="nanos", number=2, type=F.TYPE_INT32, label=1)
    file.dependency.append(wrappers.name)
    pool = descriptor_pool.DescriptorPool()
    try:
        pool.Add(wrappers)
        pool.Add(file)
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"rows.{descriptor.name}"))
    except Exception as error:
        raise SchemaMismatch(f"Invalid proto schema: {error}") from None


def repeated(item) -> bool:
    return item.is_repeated if hasattr(item, "is_repeated") else item.label == F.LABEL_REPEATED


class Reader:
    """Reads messages of one descriptor into rows for columns of one table."""

    def __init__(self, descriptor, fields, changes=False):
        self.type = message_class(descriptor)
        self.columns, self.specials = plan(self.type.DESCRIPTOR, fields, "root", changes)

    def row(self, data: bytes) -> dict:
        try:
            message = self.type.FromString(data)
        except Exception as error:
            raise BadValue(f"Failed to parse proto: {error}") from None
        row = read(message, self.columns)
        for name, item in self.specials.items():
            row[name] = getattr(message, item.name) if message.HasField(item.name) else None
        return row


def plan(descriptor, fields, path: str, changes=False):
    columns, specials = [], {}
    for item in descriptor.fields:
        if changes and item.name.upper() in (CHANGE, SEQUENCE):
            specials[item.name.upper()] = item
            continue
        field = find(fields, item.name)
        if field is None:
            # Page, "Error handling": fields unknown to the table.
            raise SchemaMismatch(f"The source object has fields unknown to BigQuery: {path}.{item.name}.", extra=True)
        if repeated(item) != field.repeated:
            raise SchemaMismatch(f"The proto field mismatched with BigQuery field at {path}.{field.name}, the proto field is "
                                 f"{'repeated' if repeated(item) else 'not repeated'}, BigQuery field is {'REPEATED' if field.repeated else field.mode}")
        columns.append((item, field, *converter(item, field, f"{path}.{field.name}")))
    have = {column[1].name for column in columns}
    for field in fields:
        if field.mode == "REQUIRED" and field.name not in have:
            raise SchemaMismatch(f"The required field {path}.{field.name} is missing in the proto message")
    return columns, specials


def converter(item, field: Field, path: str):
    """(how to convert one value, whether it is as it stands)."""
    if item.type == F.TYPE_MESSAGE:
        if field.type == "TIMESTAMP" and item.message_type.full_name == "google.protobuf.Timestamp":
            return (lambda value: value.seconds * 1_000_000 + value.nanos // 1000), False
        if field.type == "RANGE":
            bound = Field(field.name, field.element)
            inner, _ = plan(item.message_type, (Field("start", bound.type), Field("end", bound.type)), path)
            return (lambda value: {{"start": RANGE_START, "end": RANGE_END}[name]: side for name, side in read(value, inner).items()}), False
        if field.type != "RECORD":
            raise mismatch(item, field, path)
        inner, _ = plan(item.message_type, field.fields, path)
        return (lambda value: read(value, inner)), False
    if field.type not in TAKES or item.type not in TAKES[field.type]:
        raise mismatch(item, field, path)
    if item.type in ENUM:
        names = {value.number: value.name for value in item.enum_type.values}
        return ((lambda value: names[value]), False) if field.type == "STRING" else (None, True)
    return scalar(item, field)


def mismatch(item, field, path):
    return SchemaMismatch(f"The proto field mismatched with BigQuery field at {path}, the proto field type {item.type}, BigQuery field type {field.type}")


def scalar(item, field: Field):
    one = Field(field.name, field.type, extras=field.extras)
    if field.type in ("NUMERIC", "BIGNUMERIC"):
        scale = 9 if field.type == "NUMERIC" else 38
        if item.type in RAW:
            # BigDecimalByteStringEncoder: two's complement, little endian, of the value scaled.
            return (lambda value: value_of(exact(int.from_bytes(value, "little", signed=True), scale), one)), False
        return (lambda value: value_of(value, one)), False
    if item.type in TEXT and field.type not in ("STRING", "BYTES", "GEOGRAPHY"):
        return (lambda value: value_of(value, one)), False
    if field.type == "BYTES" and item.type in TEXT:
        return (lambda value: value.encode()), False
    if field.type == "DATE":
        return day, False
    if field.type == "BOOLEAN":
        return bool, False
    if field.type in ("TIME", "DATETIME"):
        return (time_of if field.type == "TIME" else datetime_of), False
    if field.type == "TIMESTAMP":
        return instant, False
    return (lambda value: value_of(value, one), False) if field.extras else (None, True)


def exact(unscaled: int, scale: int) -> Decimal:
    return Decimal((unscaled < 0, tuple(int(digit) for digit in str(abs(unscaled))), -scale))


def day(value: int) -> int:
    # Data types page: DATE is 0001-01-01 to 9999-12-31.
    if not -719162 <= value <= 2932896:
        raise BadValue(f"Invalid date value: {value}")
    return value


def instant(value: int) -> int:
    if not -62135596800_000_000 <= value <= 253402300799_999_999:
        raise BadValue(f"Timestamp out of range: {value}")
    return value


def time_of(packed: int) -> int:
    """CivilTimeEncoder, packed microseconds: hour 5 bits, minute 6, second 6, microsecond 20."""
    hour, minute, second, micro = packed >> 32, packed >> 26 & 63, packed >> 20 & 63, packed & 0xFFFFF
    if not (0 <= hour < 24 and minute < 60 and second < 60 and micro < 1_000_000):
        raise BadValue(f"Invalid time value: {packed}")
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + micro


def datetime_of(packed: int) -> int:
    """CivilTimeEncoder: year 14 bits, month 4, day 5, then the time."""
    year, month, of_month = packed >> 46, packed >> 42 & 15, packed >> 37 & 31
    try:
        days = date(year, month, of_month).toordinal() - 719163
    except ValueError:
        raise BadValue(f"Invalid datetime value: {packed}") from None
    return days * 86_400_000_000 + time_of(packed & ((1 << 37) - 1))


def read(message, columns) -> dict:
    row = {}
    for item, field, convert, plain in columns:
        try:
            row[field.name] = value_in(message, item, field, convert, plain)
        except (InvalidOperation, ValueError, OverflowError) as error:
            raise BadValue(f"Field {field.name}: {error}") from None
        if row[field.name] is None and field.mode == "REQUIRED":
            raise BadValue(f"Field {field.name}: Missing required field")
    return row


def value_in(message, item, field, convert, plain):
    if field.repeated:
        values = getattr(message, item.name)
        return list(values) if plain else [convert(value) for value in values]
    if item.has_presence and not message.HasField(item.name):
        return None
    value = getattr(message, item.name)
    return value if plain else convert(value)
