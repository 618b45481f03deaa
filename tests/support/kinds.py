"""The type contract as the oracle sees it: how a value that PostgreSQL rendered and a value that was read back become
comparable, and which values a target cannot hold. Kinds nest: array(range(date())) is a kind.

`parse` takes PostgreSQL's text; `duck` gives SQL that makes a DuckDB value fit for the trip through Arrow, `google` GoogleSQL
that makes a value fit for Google's Python client; `value` takes what `plain` made of the Arrow value, or the client's;
`problem` says why a value must be in the rejects (a pattern for code and reason), or MAY where the contract leaves both ways
open; `held` is what the target makes of a value that it takes; `bigquery` is the type that a column has there."""

import datetime
import json
import math
import struct
import uuid as uuids
from decimal import Decimal

import pyarrow as pa

from . import text_forms as forms

MAY = "may be rejected"
DUCKDB, PARQUET, BIGQUERY = "duckdb", "parquet", "bigquery"
# DuckDB and Parquet count microseconds from 1970, PostgreSQL from 2000: its last 29 years fit neither.
LAST_TIMESTAMP = 9223372036854775806
INFINITIES = {2**31 - 1: "infinity", -(2**31 - 1): "-infinity", 2**63 - 1: "infinity", -(2**63 - 1): "-infinity"}
# BigQuery's data types page: DATE, DATETIME and TIMESTAMP reach from year 1 to 9999, INTERVAL 10,000 years, 3,660,000 days and 87,840,000 hours.
FIRST_DAY, LAST_DAY, DAY = -719162, 2932896, 86_400_000_000
LONGEST = (120_000, 3_660_000, 87_840_000 * 3_600_000_000)
UNHELD_DATE = "(?i)out_of_range|infinit|special"


class Kind:
    bigquery = "STRING"

    def parse(self, text: str):
        return text

    def duck(self, expression: str) -> str:
        return expression

    def google(self, expression: str) -> str:
        return expression

    def value(self, plain, target: str):
        return plain

    def problem(self, canonical, target: str):
        return None

    def held(self, canonical, target: str):
        return canonical


class Text(Kind):
    pass


class Json(Kind):
    """DuckDB and Parquet keep the text; BigQuery keeps what it says: members in any order, numbers by value."""

    bigquery = "JSON"

    def google(self, expression):
        return f"TO_JSON_STRING({expression})"

    def value(self, plain, target):
        return json_value(plain) if target == BIGQUERY else plain

    def held(self, canonical, target):
        return json_value(canonical) if target == BIGQUERY and canonical is not None else canonical

    def problem(self, canonical, target):
        return None if target != BIGQUERY else _worst([*map(unheld_number, numbers_of(json_value(canonical))), repeated_member(canonical)])


def json_value(text):
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


def numbers_of(value):
    if isinstance(value, Decimal):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from numbers_of(item)


def unheld_number(number: Decimal):
    """PARSE_JSON, wide_number_mode: what a 64-bit integer or a double does not hold is refused."""
    if number == number.to_integral_value() and -2**63 <= number < 2**64:
        return None
    near = float(number)
    if math.isinf(near) or Decimal(repr(near)) != number:
        return "wide_json_number"
    return MAY if len(number.as_tuple().digits) > 15 else None


def repeated_member(text: str):
    """BigQuery keeps one of them: its own rule, as with NULL arrays."""
    found = []
    json.loads(text, object_pairs_hook=lambda pairs: found.append(len(pairs) > len(dict(pairs))))
    return MAY if any(found) else None


class Bool(Kind):
    bigquery = "BOOL"

    def parse(self, text):
        return text == "t"


class Int(Kind):
    bigquery = "INT64"

    def parse(self, text):
        return int(text)

    def problem(self, canonical, target):
        return "number_out_of_range" if target == BIGQUERY and canonical >= 2**63 else None


class Float(Kind):
    """Compared bit by bit, so -0 is not 0; every NaN is NaN."""

    bigquery = "FLOAT64"

    def __init__(self, code: str):
        self.code = code

    def parse(self, text):
        return self.value(float(text), None)

    def value(self, plain, target):
        return "NaN" if math.isnan(plain) else struct.pack(self.code, plain).hex()


class Numeric(Kind):
    def __init__(self, precision: int, scale: int):
        self.precision, self.scale = precision, scale
        self.bigquery = "NUMERIC" if precision - scale <= 29 and scale <= 9 else "BIGNUMERIC"

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


class FreeNumeric(Numeric):
    """Without bounds: decimal(38,9) by default, but a column that may be asked for more one day."""

    def __init__(self):
        super().__init__(38, 9)
        self.bigquery = "BIGNUMERIC"


class WideNumeric(Numeric):
    """More digits than decimals of DuckDB have: text there, and BIGNUMERIC where that has room."""

    def __init__(self, precision: int, scale: int):
        super().__init__(precision, scale)
        self.bigquery = "BIGNUMERIC" if precision - scale <= 38 and scale <= 38 else "STRING"

    def parse(self, text):
        return text

    def held(self, canonical, target):
        return canonical if canonical is None or not self._fits(target) else super().parse(canonical)

    def problem(self, canonical, target):
        return super().problem(super().parse(canonical), target) if self._fits(target) else None

    def _fits(self, target):
        return target == BIGQUERY and self.bigquery == "BIGNUMERIC"


class Bytes(Kind):
    bigquery = "BYTES"

    def parse(self, text):
        return bytes.fromhex(text.removeprefix("\\x"))


class Uuid(Kind):
    def value(self, plain, target):
        return str(uuids.UUID(bytes=plain)) if isinstance(plain, bytes) else str(plain)


class Date(Kind):
    bigquery = "DATE"

    def parse(self, text):
        return forms.parse_date(text)

    def value(self, plain, target):
        if target == BIGQUERY:
            return (plain - datetime.date(1970, 1, 1)).days
        return INFINITIES.get(plain, plain) if target == DUCKDB else plain

    def problem(self, canonical, target):
        if target == BIGQUERY:
            return UNHELD_DATE if isinstance(canonical, str) or not FIRST_DAY <= canonical <= LAST_DAY else None
        return "(?i)infinit|special" if target == PARQUET and isinstance(canonical, str) else None


class Time(Kind):
    bigquery = "TIME"

    def parse(self, text):
        return forms.parse_time(text)

    def value(self, plain, target):
        return forms.parse_time(str(plain)) if target == BIGQUERY else plain

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
    def __init__(self, bigquery: str = "DATETIME"):
        self.bigquery = bigquery

    def parse(self, text):
        return forms.parse_timestamp(text)

    def value(self, plain, target):
        if target == BIGQUERY:
            return (plain - datetime.datetime(1970, 1, 1, tzinfo=plain.tzinfo)) // datetime.timedelta(microseconds=1)
        return INFINITIES.get(plain, plain) if target == DUCKDB else plain

    def problem(self, canonical, target):
        if target == BIGQUERY:
            return UNHELD_DATE if isinstance(canonical, str) or not FIRST_DAY * DAY <= canonical < (LAST_DAY + 1) * DAY else None
        if isinstance(canonical, str):
            return "(?i)infinit|special" if target == PARQUET else None
        return "(?i)294247|range|special" if canonical > LAST_TIMESTAMP else None


class Interval(Kind):
    bigquery = "INTERVAL"

    def parse(self, text):
        return forms.parse_interval(text)

    def google(self, expression):
        return f"CAST({expression} AS STRING)"  # the client's own type carries hours into days

    def duck(self, expression):
        return (f"CASE WHEN {expression} IS NOT NULL THEN struct_pack("
                f"m := datepart('year', {expression}) * 12 + datepart('month', {expression}),"
                f"d := datepart('day', {expression}),"
                f"u := datepart('hour', {expression}) * 3600000000 + datepart('minute', {expression}) * 60000000"
                f" + datepart('microsecond', {expression})) END")

    def value(self, plain, target):
        if target == BIGQUERY:
            return forms.parse_google_interval(plain)
        return (plain["m"], plain["d"], plain["u"]) if target == DUCKDB else forms.parse_interval(plain)

    def problem(self, canonical, target):
        beyond = any(abs(part) > most for part, most in zip(canonical, LONGEST))
        return "interval_out_of_range" if target == BIGQUERY and beyond else None


class Array(Kind):
    def __init__(self, element: Kind, dimensions: int = 1, delimiter: str = ","):
        self.element, self.dimensions, self.delimiter = element, dimensions, delimiter
        self.bigquery = f"ARRAY<{element.bigquery}>" if dimensions == 1 else "JSON"

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

    def google(self, expression):
        return f"TO_JSON_STRING({expression})" if self.dimensions > 1 else google_list(self.element, expression)

    def value(self, plain, target):
        if target == BIGQUERY and self.dimensions > 1:
            plain = json.loads(plain)
        if not plain:
            return ("array", 0, [])
        return ("array", self.dimensions, _map(plain, self.dimensions, lambda item: self.element.value(item, target)))

    def problem(self, canonical, target):
        _, dimensions, items = canonical
        if dimensions not in (0, self.dimensions):
            return "(?i)dimension"
        if target == BIGQUERY and dimensions > 1:
            return None  # JSON
        if target == BIGQUERY and None in items:
            return "array_null|element"
        return _worst(map(_within, (self.element.problem(item, target) for item in _leaves(items, dimensions))))

    def held(self, canonical, target):
        if target == BIGQUERY and canonical is None and self.dimensions == 1:
            return ("array", 0, [])  # data types page, "NULLs and the ARRAY type": a NULL array is written as an empty one
        if canonical is None or self.dimensions > 1:
            return canonical
        return ("array", canonical[1], [None if item is None else self.element.held(item, target) for item in canonical[2]])


def _within(problem):
    """Of an element the reason names the code only."""
    return problem if problem in (None, MAY) else f"{problem}|element"


def google_list(element: Kind, expression: str) -> str:
    if element.google("e") == "e":
        return expression
    return f"ARRAY(SELECT {element.google('e')} FROM UNNEST({expression}) AS e WITH OFFSET AS o ORDER BY o)"


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
        self.bigquery = f"STRUCT<{', '.join(f'{name} {kind.bigquery}' for name, kind in fields.items())}>"

    def parse(self, text):
        return {name: None if item is None else kind.parse(item)
                for (name, kind), item in zip(self.fields.items(), forms.parse_record(text), strict=True)}

    def duck(self, expression):
        inner = ", ".join(f'"{name}" := ' + kind.duck(f'({expression})."{name}"') for name, kind in self.fields.items())
        return f"CASE WHEN {expression} IS NOT NULL THEN struct_pack({inner}) END"

    def google(self, expression):
        parts = {name: (f"{expression}.{name}", kind.google(f"{expression}.{name}")) for name, kind in self.fields.items()}
        if all(plain == read for plain, read in parts.values()):
            return expression
        inner = ", ".join(f"{read} AS {name}" for name, (_, read) in parts.items())
        return f"IF({expression} IS NULL, NULL, STRUCT({inner}))"

    def held(self, canonical, target):
        return canonical if canonical is None else {name: kind.held(canonical[name], target) for name, kind in self.fields.items()}

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
        self.native = bound.bigquery in ("DATE", "DATETIME", "TIMESTAMP")
        sides = f"lower {bound.bigquery}, upper {bound.bigquery}"
        self.bigquery = f"RANGE<{bound.bigquery}>" if self.native else f"STRUCT<{sides}, lower_inclusive BOOL, upper_inclusive BOOL, empty BOOL>"

    def parse(self, text):
        ends = forms.parse_range(text)
        if ends is None:
            return "empty"
        convert = lambda end: None if end is None else self.bound.parse(end)
        return (convert(ends[0]), convert(ends[1]), ends[2], ends[3])

    def value(self, plain, target):
        if target == BIGQUERY and self.native:
            lower, upper = (None if plain[end] is None else self.bound.value(plain[end], target) for end in ("start", "end"))
            return (lower, upper, lower is not None, False)
        assert list(plain) == ["lower", "upper", "lower_inclusive", "upper_inclusive", "empty"], list(plain)
        if plain["empty"]:
            assert plain["lower"] is None and plain["upper"] is None
            return "empty"
        convert = lambda end: None if end is None else self.bound.value(end, target)
        return (convert(plain["lower"]), convert(plain["upper"]), plain["lower_inclusive"], plain["upper_inclusive"])

    def problem(self, canonical, target):
        ends = () if canonical == "empty" else canonical[:2]
        if target == BIGQUERY and self.native and (canonical == "empty" or canonical[2] != (ends[0] is not None) or canonical[3]):
            return f"{UNHELD_DATE}|range_not_canonical|element"
        return _worst(self.bound.problem(end, target) for end in ends if end is not None)


class Multirange(Kind):
    def __init__(self, bound: Kind):
        self.range = Range(bound)
        self.bigquery = f"ARRAY<{self.range.bigquery}>"

    def parse(self, text):
        return [self.range.parse(part) for part in forms.split_multirange(text)]

    def value(self, plain, target):
        return [self.range.value(part, target) for part in plain]

    def problem(self, canonical, target):
        return _worst(_within(self.range.problem(part, target)) for part in canonical)

    def held(self, canonical, target):
        return [] if target == BIGQUERY and canonical is None else canonical


class Hstore(Kind):
    bigquery = "JSON"

    def parse(self, text):
        return forms.parse_hstore(text)

    def google(self, expression):
        return f"TO_JSON_STRING({expression})"

    def value(self, plain, target):
        return json.loads(plain) if target == BIGQUERY else dict(plain)


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
    "numeric": Numeric, "free_numeric": FreeNumeric, "wide_numeric": WideNumeric, "bytes": Bytes, "uuid": Uuid, "json": Json, "date": Date, "time": Time, "timetz": TimeTz,
    "timestamp": Timestamp, "timestamptz": lambda: Timestamp("TIMESTAMP"), "interval": Interval, "array": Array, "struct": Struct, "range": Range,
    "multirange": Multirange, "hstore": Hstore,
}


def kind_of(words: str) -> Kind:
    return eval(words, {"__builtins__": {}}, WORDS)  # the case files are our own
