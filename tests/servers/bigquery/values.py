"""What values a column may hold, checked once they are written aside and before anybody sees them."""

from .errors import ApiError
from .schema import Field, quoted
from .store import Segment

# Data types page: DATE, DATETIME and TIMESTAMP are of the years 1 to 9999.
RANGES = {"DATE": "NOT BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'",
          "DATETIME": "NOT BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'",
          "TIMESTAMP": "NOT BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"}


def check(cursor, segment: Segment, fields, reason: str = "invalid", required: bool = True) -> None:
    checks = [found for field in fields for found in faults(quoted(field.name), field, field.name, 0) if required or "cannot be null" not in found[0]]
    if not checks:
        return
    counts = cursor.execute(f"SELECT {', '.join(f'count(*) FILTER ({condition})' for _, condition in checks)} FROM {segment.name}").fetchone()
    for (message, _), count in zip(checks, counts):
        if count:
            raise ApiError(reason, message)


def faults(expression: str, field: Field, path: str, depth: int):
    """(message, condition of a row that is refused) of a column and of those within."""
    # Schemas page, "Modes": REQUIRED: NULL values are not allowed; in a record, where there is one.
    if field.mode == "REQUIRED":
        yield f"Required field {path} cannot be null", f"{expression} IS NULL"
    item = f"e{depth}" if field.repeated else expression
    inner = [*own(item, field, path), *(found for child in field.fields for found in faults(f"{item}.{quoted(child.name)}", child, f"{path}.{child.name}", depth + 1))]
    for message, condition in inner:
        if field.repeated:
            yield message, f"coalesce(len(list_filter({expression}, lambda {item}: {condition})) > 0, FALSE)"
        elif field.type == "RECORD":
            yield message, f"{expression} IS NOT NULL AND ({condition})"
        else:
            yield message, condition


def own(item: str, field: Field, path: str):
    if field.type in RANGES:
        yield f"Invalid {field.type.lower()} value of field {path}: out of range", f"{item} {RANGES[field.type]}"
    # Data types page, "Parameterized data types".
    if field.extra("maxLength"):
        yield (f"Field {path}: maximum length {field.extra('maxLength')} exceeded",
               f"{'octet_length' if field.type == 'BYTES' else 'length'}({item}) > {int(field.extra('maxLength'))}")
    if field.extra("precision") and field.type == "NUMERIC":
        whole = int(field.extra("precision")) - int(field.extra("scale") or 0)
        yield f"Field {path}: value is out of range of {field.sql()}", f"abs({item}) >= CAST('1{'0' * whole}' AS DECIMAL(38, 9))"
