"""The type contract as the oracle sees it: how a value that PostgreSQL rendered and a value that was read back become
comparable, and which values a target cannot hold. Kinds nest: array(range(date())) is a kind.

`parse` takes PostgreSQL's text; `duck` gives SQL that makes a DuckDB value fit for the trip through Arrow; `value` takes
what `plain` made of the Arrow value; `problem` says why a value must be in the rejects (a pattern for code and reason),
or MAY where the contract leaves both ways open."""

import math
import struct
import uuid as uuids
from decimal import Decimal

import pyarrow as pa

from . import text_forms as forms

MAY = "may be rejected"
DUCKDB, PARQUET = "duckdb", "parquet"
# DuckDB and Parquet count microseconds from 1970, PostgreSQL from 2000: its last 29 years fit neither.
LAST_TIMESTAMP = 9223372036854775806
INFINITIES = {2**31 - 1: "infinity", -(2**31 - 1): "-infinity", 2**63 - 1: "infinity", -(2**63 - 1): "-infinity"}


class Kind:
    def parse(self, text: str):
        return text

    def duck(self, expression: str) -> str:
        return expression

    def value(self, plain, target: str):
        return plain

    def problem(self, canonical, target: str):
        return None


class Text(Kind):
    pass


class Bool(Kind):
    def parse(self, text):
        return text == "t"


class Int(Kind):
    def parse(self, text):
        return int(text)


class Float(Kind):
    """Compared bit by bit, so -0 is not 0; every NaN is NaN."""

    def __init__(self, code: str):
        self.code = code

    def parse(self, text):
        return self.value(float(text), None)

    def value(self, plain, target):
        return "NaN" if math.isnan(plain) else struct.pack(self.code, plain).hex()


class Numeric(Kind):
    def __init__(self, precision: int, scale: int):
        self.precision, self.scale = precision, scale

    def parse(self, text):
        return text if text in ("NaN", "Infinity", "-Infinity") else Decimal(text)

    def problem(self, canonical, target):
        if isinstance(canonical, str):
            return "(?i)nan|infinit|special"
        _, digits, exponent = canonical.as_tuple()
        while exponent < 0 and digits[-1] == 0 and len(digits) > 1:  # zeros after the last digit lose nothing
            digits, exponent = digits[:-1], exponent + 1
        if not any(digits):
            return None
        scale = max(0, -exponent)
        integral = max(0, len(digits) + exponent)
        if scale > self.scale or integral > self.precision - self.scale:
            # the value's own precision (of 0.001 that may be 1 or 3) and scale
            return rf"\b({integral + scale}|{len(digits) + max(0, exponent)})\b.*\b{scale}\b"
        return None


class Bytes(Kind):
    def parse(self, text):
        return bytes.fromhex(text.removeprefix("\\x"))


class Uuid(Kind):
    def value(self, plain, target):
        return str(uuids.UUID(bytes=plain)) if isinstance(plain, bytes) else str(plain)


class Date(Kind):
    def parse(self, text):
        return forms.parse_date(text)

    def value(self, plain, target):
        return INFINITIES.get(plain, plain) if target == DUCKDB else plain

    def problem(self, canonical, target):
        return "(?i)infinit|special" if target == PARQUET and isinstance(canonical, str) else None


class Time(Kind):
    def parse(self, text):
        return forms.parse_time(text)

    def problem(self, canonical, target):
        if canonical != 86_400_000_000:
            return None
        return MAY if target == DUCKDB else "24:00|special"


class TimeTz(Kind):
    def parse(self, text):
        return forms.parse_timetz(text)

    def duck(self, expression):
        return f"CAST({expression} AS VARCHAR)"

    def value(self, plain, target):
        return forms.parse_timetz(plain)

    def problem(self, canonical, target):
        return MAY if canonical[0] == 86_400_000_000 else None


class Timestamp(Kind):
    def parse(self, text):
        return forms.parse_timestamp(text)

    def value(self, plain, target):
        return INFINITIES.get(plain, plain) if target == DUCKDB else plain

    def problem(self, canonical, target):
        if isinstance(canonical, str):
            return "(?i)infinit|special" if target == PARQUET else None
        return "(?i)294247|range|special" if canonical > LAST_TIMESTAMP else None


class Interval(Kind):
    def parse(self, text):
        return forms.parse_interval(text)

    def duck(self, expression):
        return (f"CASE WHEN {expression} IS NOT NULL THEN struct_pack("
                f"m := datepart('year', {expression}) * 12 + datepart('month', {expression}),"
                f"d := datepart('day', {expression}),"
                f"u := datepart('hour', {expression}) * 3600000000 + datepart('minute', {expression}) * 60000000"
                f" + datepart('microsecond', {expression})) END")

    def value(self, plain, target):
        return (plain["m"], plain["d"], plain["u"]) if target == DUCKDB else forms.parse_interval(plain)


class Array(Kind):
    def __init__(self, element: Kind, dimensions: int = 1, delimiter: str = ","):
        self.element, self.dimensions, self.delimiter = element, dimensions, delimiter

    def parse(self, text):
        items, dimensions = forms.parse_array(text, self.delimiter)
        return ("array", dimensions, _map(items, dimensions, self.element.parse))

    def duck(self, expression):
        if type(self.element).duck is Kind.duck:
            return expression
        for depth in range(self.dimensions):
            expression = (f"list_transform({expression}, e{depth} -> " if depth == 0 else
                          expression + f"list_transform(e{depth - 1}, e{depth} -> ")
        return expression + self.element.duck(f"e{self.dimensions - 1}") + ")" * self.dimensions

    def value(self, plain, target):
        if not plain:
            return ("array", 0, [])
        return ("array", self.dimensions, _map(plain, self.dimensions, lambda item: self.element.value(item, target)))

    def problem(self, canonical, target):
        _, dimensions, items = canonical
        if dimensions not in (0, self.dimensions):
            return "(?i)dimension"
        return _worst(self.element.problem(item, target) for item in _leaves(items, dimensions))


def _map(items, dimensions, convert):
    if dimensions <= 1:
        return [None if item is None else convert(item) for item in items]
    return [_map(item, dimensions - 1, convert) for item in items]


def _leaves(items, dimensions):
    for item in items:
        if dimensions > 1:
            yield from _leaves(item, dimensions - 1)
        elif item is not None:
            yield item


def _worst(problems):
    found = [problem for problem in problems if problem]
    return next((problem for problem in found if problem != MAY), MAY if found else None)


class Struct(Kind):
    def __init__(self, **fields):
        self.fields = fields

    def parse(self, text):
        return {name: None if item is None else kind.parse(item)
                for (name, kind), item in zip(self.fields.items(), forms.parse_record(text), strict=True)}

    def duck(self, expression):
        inner = ", ".join(f'"{name}" := ' + kind.duck(f'({expression})."{name}"') for name, kind in self.fields.items())
        return f"CASE WHEN {expression} IS NOT NULL THEN struct_pack({inner}) END"

    def value(self, plain, target):
        assert list(plain) == list(self.fields), f"fields {list(plain)} instead of {list(self.fields)}"
        return {name: None if plain[name] is None else kind.value(plain[name], target)
                for name, kind in self.fields.items()}

    def problem(self, canonical, target):
        return _worst(self.fields[name].problem(item, target) for name, item in canonical.items() if item is not None)


class Range(Kind):
    """An unbounded end is NULL; of an empty range only `empty` says something."""

    def __init__(self, bound: Kind):
        self.bound = bound

    def parse(self, text):
        ends = forms.parse_range(text)
        if ends is None:
            return "empty"
        convert = lambda end: None if end is None else self.bound.parse(end)
        return (convert(ends[0]), convert(ends[1]), ends[2], ends[3])

    def value(self, plain, target):
        assert list(plain) == ["lower", "upper", "lower_inclusive", "upper_inclusive", "empty"], list(plain)
        if plain["empty"]:
            assert plain["lower"] is None and plain["upper"] is None
            return "empty"
        convert = lambda end: None if end is None else self.bound.value(end, target)
        return (convert(plain["lower"]), convert(plain["upper"]), plain["lower_inclusive"], plain["upper_inclusive"])

    def problem(self, canonical, target):
        ends = () if canonical == "empty" else canonical[:2]
        return _worst(self.bound.problem(end, target) for end in ends if end is not None)


class Multirange(Kind):
    def __init__(self, bound: Kind):
        self.range = Range(bound)

    def parse(self, text):
        return [self.range.parse(part) for part in forms.split_multirange(text)]

    def value(self, plain, target):
        return [self.range.value(part, target) for part in plain]

    def problem(self, canonical, target):
        return _worst(self.range.problem(part, target) for part in canonical)


class Hstore(Kind):
    def parse(self, text):
        return forms.parse_hstore(text)

    def value(self, plain, target):
        return dict(plain)


def plain(array) -> list:
    """Python values of an Arrow array. Dates and times stay integers: Python's own end at the year 9999."""
    if isinstance(array, pa.ChunkedArray):
        return [item for chunk in array.chunks for item in plain(chunk)]
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain(array.storage)
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return array.view(pa.int32()).to_pylist()
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind):
        assert kind.unit == "us", kind
        return array.view(pa.int64()).to_pylist()
    if pa.types.is_map(kind):
        return _lists(array, list(zip(plain(array.keys), plain(array.items))))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(array, plain(array.values))
    if pa.types.is_struct(kind):
        columns = [plain(array.field(i)) for i in range(kind.num_fields)]
        names = [field.name for field in kind]
        valid = array.is_valid().to_pylist()
        return [dict(zip(names, row)) if there else None
                for there, row in zip(valid, zip(*columns) if columns else [()] * len(array))]
    return array.to_pylist()


def _lists(array, values) -> list:
    offsets = array.offsets.to_pylist()
    valid = array.is_valid().to_pylist()
    return [values[offsets[i]:offsets[i + 1]] if valid[i] else None for i in range(len(array))]


# The words of the case files.
WORDS = {
    "text": Text, "bool": Bool, "int": Int, "float4": lambda: Float("<f"), "float8": lambda: Float("<d"),
    "numeric": Numeric, "bytes": Bytes, "uuid": Uuid, "json": Text, "date": Date, "time": Time, "timetz": TimeTz,
    "timestamp": Timestamp, "interval": Interval, "array": Array, "struct": Struct, "range": Range,
    "multirange": Multirange, "hstore": Hstore,
}


def kind_of(words: str) -> Kind:
    return eval(words, {"__builtins__": {}}, WORDS)  # the case files are our own
