"""Columns: REST's TableFieldSchema, GoogleSQL's type names, and how DuckDB stores each.

BIGNUMERIC has 76 digits, DuckDB's decimals 38: it is stored as the integer value * 10^38 of type BIGNUM, which compares right.
RANGE<T> is stored as a struct of its bounds.
"""

import re
from dataclasses import dataclass, replace

from .errors import invalid

# TableFieldSchema reference: type; the standard names are aliases there, and answers carry these.
LEGACY = {"INT64": "INTEGER", "INT": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD", "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC"}
STANDARD = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
DUCK = {"STRING": "VARCHAR", "BYTES": "BLOB", "INTEGER": "BIGINT", "FLOAT": "DOUBLE", "BOOLEAN": "BOOLEAN", "TIMESTAMP": "TIMESTAMPTZ", "DATE": "DATE",
        "TIME": "TIME", "DATETIME": "TIMESTAMP", "NUMERIC": "DECIMAL(38,9)", "BIGNUMERIC": "BIGNUM", "JSON": "JSON", "GEOGRAPHY": "VARCHAR",
        "INTERVAL": "INTERVAL"}
EXTRAS = ("maxLength", "precision", "scale", "defaultValueExpression", "policyTags", "collation", "roundingMode")
RANGE_START, RANGE_END = "_range_start", "_range_end"


@dataclass(frozen=True)
class Field:
    name: str
    type: str
    mode: str = "NULLABLE"
    fields: tuple = ()
    description: str | None = None
    element: str | None = None  # of a RANGE
    extras: tuple = ()  # (name, value) of EXTRAS

    @property
    def repeated(self) -> bool:
        return self.mode == "REPEATED"

    def extra(self, name):
        return dict(self.extras).get(name)

    def with_extra(self, name, value) -> "Field":
        left = {**dict(self.extras), name: value}
        return replace(self, extras=tuple((k, v) for k, v in left.items() if v is not None))

    def rest(self) -> dict:
        out = {"name": self.name, "type": self.type, "mode": self.mode}
        if self.description is not None:
            out["description"] = self.description
        if self.fields:
            out["fields"] = [field.rest() for field in self.fields]
        if self.element:
            out["rangeElementType"] = {"type": self.element}
        return {**out, **dict(self.extras)}

    def element_duck(self) -> str:
        if self.type == "RECORD":
            return "STRUCT(" + ", ".join(f"{quoted(field.name)} {field.duck()}" for field in self.fields) + ")"
        if self.type == "RANGE":
            return f"STRUCT({RANGE_START} {DUCK[self.element]}, {RANGE_END} {DUCK[self.element]})"
        return DUCK[self.type]

    def duck(self) -> str:
        return self.element_duck() + ("[]" if self.repeated else "")

    def sql(self) -> str:
        """The type as GoogleSQL writes it."""
        kind = STANDARD.get(self.type, self.type)
        if self.type == "RECORD":
            kind = "STRUCT<" + ", ".join(f"{field.name} {field.sql()}" for field in self.fields) + ">"
        if self.type == "RANGE":
            kind = f"RANGE<{self.element}>"
        if self.extra("maxLength"):
            kind += f"({self.extra('maxLength')})"
        elif self.extra("precision"):
            kind += f"({self.extra('precision')}" + (f", {self.extra('scale')})" if self.extra("scale") else ")")
        return f"ARRAY<{kind}>" if self.repeated else kind


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# Quotas page, tables: 10,000 columns, nested ones counted; nested up to 15 deep.
MOST_COLUMNS, DEEPEST = 10_000, 15


def leaves(fields) -> int:
    return sum(leaves(field.fields) if field.fields else 1 for field in fields)


def depth(fields) -> int:
    return max((1 + depth(field.fields) for field in fields if field.fields), default=0)


def check_size(fields) -> None:
    if leaves(fields) > MOST_COLUMNS:
        raise invalid(f"Too many total leaf fields: {leaves(fields)}")
    if depth(fields) > DEEPEST:
        raise invalid(f"Schema is too deeply nested: {depth(fields)} levels, {DEEPEST} are allowed")


def parse_fields(rest: list, table: str = "") -> tuple[Field, ...]:
    fields, seen = [], set()
    for given in rest or []:
        field = parse_field(given)
        # Schemas page, "Column names": names are compared without regard to case; duplicates are not allowed.
        if field.name.lower() in seen:
            raise invalid(f"Duplicate field name: {field.name}" if not table else f"Field {field.name} already exists in schema")
        seen.add(field.name.lower())
        fields.append(field)
    check_size(fields)
    return tuple(fields)


def parse_field(given: dict) -> Field:
    name = given.get("name", "")
    check_name(name)
    kind = LEGACY.get(given.get("type", "").upper(), given.get("type", "").upper())
    if kind not in DUCK and kind not in ("RECORD", "RANGE"):
        raise invalid(f"Invalid value for type: {given.get('type')} is not a valid value")
    mode = (given.get("mode") or "NULLABLE").upper()
    if mode not in ("NULLABLE", "REQUIRED", "REPEATED"):
        raise invalid(f"Invalid value for mode: {mode} is not a valid value")
    if kind == "RECORD" and not given.get("fields"):
        raise invalid(f"Field {name} is type RECORD but has no schema")
    element = (given.get("rangeElementType") or {}).get("type")
    # TableFieldSchema reference, rangeElementType: required for RANGE; DATE, DATETIME or TIMESTAMP.
    if kind == "RANGE" and element not in ("DATE", "DATETIME", "TIMESTAMP"):
        raise invalid(f"Field {name} is type RANGE but has no valid range element type")
    # Schemas page, "Column descriptions": at most 1,024 characters.
    if len(given.get("description") or "") > 1024:
        raise invalid(f"Field {name} has a description longer than 1024 characters")
    extras = tuple((key, given[key]) for key in EXTRAS if given.get(key) is not None)
    return Field(name, kind, mode, parse_fields(given.get("fields"), name), given.get("description"), element, extras)


def check_name(name: str) -> None:
    """Schemas page, "Column names": letters, digits, underscores, starting with a letter or underscore; flexible names aside; 300 at most."""
    if not re.fullmatch(r"[^\W\d][\w &%=+:'<>#|\-]*", name) or len(name) > 300:
        raise invalid(f'Invalid field name "{name}". Fields must contain only letters, numbers, and underscores, start with a letter or underscore, '
                      "and be at most 300 characters long.")
    # Schemas page: prefixes a column name can't have.
    for prefix in ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier", "_change_type", "_change_sequence_number"):
        if name.lower().startswith(prefix):
            raise invalid(f'Invalid field name "{name}". Field names are not allowed to start with the (case-insensitive) prefixes '
                          "_PARTITION, _TABLE_, _FILE_, _ROW_TIMESTAMP, __ROOT__ and _COLIDENTIFIER")


def find(fields, name: str) -> Field | None:
    return next((field for field in fields if field.name.lower() == name.lower()), None)


# Managing table schemas, "Change a column's data type" and ALTER COLUMN SET DATA TYPE: what may widen to what.
WIDER = {"INTEGER": ("NUMERIC", "BIGNUMERIC", "FLOAT"), "NUMERIC": ("BIGNUMERIC", "FLOAT"), "BIGNUMERIC": ("FLOAT",)}


def check_update(old: tuple, new: tuple, path: str = "", additions=True, relaxation=True) -> None:
    """What tables.update and load jobs' schemaUpdateOptions allow (Managing table schemas page): new columns that are not REQUIRED,
    REQUIRED relaxed to NULLABLE; nothing dropped, no type changed."""
    for field in old:
        name = path + field.name
        now = find(new, field.name)
        if now is None:
            raise invalid(f"Provided Schema does not match Table. Field {name} is missing in new schema")
        if now.type != field.type or now.element != field.element:
            raise invalid(f"Provided Schema does not match Table. Field {name} has changed type from {field.type} to {now.type}")
        if now.mode != field.mode and not (relaxation and field.mode == "REQUIRED" and now.mode == "NULLABLE"):
            raise invalid(f"Provided Schema does not match Table. Field {name} has changed mode from {field.mode} to {now.mode}")
        check_update(field.fields, now.fields, name + ".", additions, relaxation)
    for field in new:
        if find(old, field.name) is None:
            if not additions:
                raise invalid(f"Provided Schema does not match Table. Cannot add fields (field: {path}{field.name})")
            if field.mode == "REQUIRED":
                raise invalid(f"Provided Schema does not match Table. Cannot add required fields to an existing schema. (field: {path}{field.name})")
