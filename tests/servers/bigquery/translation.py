"""GoogleSQL's expressions in DuckDB's SQL: sqlglot translates most; here is what it leaves different in meaning."""

import sqlglot
from sqlglot import exp


class RawSql(exp.Expression, exp.Func):
    """Text of DuckDB's SQL within a translated statement."""

    arg_types = {"this": True}
    is_var_len_args = False


def translate(node: exp.Expression) -> exp.Expression:
    """What sqlglot leaves different in meaning."""

    def changed(item):
        if isinstance(item, (exp.Cast, exp.TryCast)):
            return cast_of(item)
        if isinstance(item, exp.Anonymous) and item.name.upper() in RENAMED:
            return exp.Anonymous(this=RENAMED[item.name.upper()], expressions=item.expressions)
        if isinstance(item, exp.ParseJSON):
            mode = item.args.get("expression")
            if mode is not None and mode.expression.name == "round":
                return item
            return exp.Anonymous(this="parse_json_exact", expressions=[item.this])  # PARSE_JSON: wide_number_mode is exact by default
        if isinstance(item, exp.ByteString):
            data = item.this.encode("utf-8").decode("unicode_escape").encode("latin-1")
            return exp.Anonymous(this="unhex", expressions=[exp.Literal.string(data.hex())])
        if isinstance(item, exp.SafeFunc):
            return exp.Anonymous(this="try", expressions=[item.this])
        if isinstance(item, exp.JSONFormat) and item.args.get("to_json"):
            return exp.Anonymous(this="to_json", expressions=[item.this])
        if isinstance(item, exp.DataType):
            return decimal_of(item)
        if isinstance(item, exp.UnixToTime):
            power = 10 ** (6 - int(item.args["scale"].name if item.args.get("scale") else 0))
            return exp.Anonymous(this="make_timestamptz", expressions=[exp.Mul(this=exp.Paren(this=item.this), expression=exp.Literal.number(power))])
        if isinstance(item, exp.TimeToStr) and item.args["format"].name in WHOLE:
            return exp.Anonymous(this=WHOLE[item.args["format"].name], expressions=[translate(item.this.this)])
        if isinstance(item, exp.ByteLength):
            return exp.Anonymous(this="strlen", expressions=[translate(item.this)])
        if isinstance(item, exp.Format) and item.this.name == "%.16e":
            return exp.Anonymous(this="printf", expressions=[item.this, *map(translate, item.expressions)])
        for kind, to in KEEPS.items():
            if isinstance(item, kind) and "kept" not in item.meta:
                inner = item.copy()
                inner.meta["kept"] = True
                return exp.Cast(this=inner, to=exp.DataType.build(to))
        return item

    return node.transform(changed)


# Format elements page: %E4Y has four digits, %E*S all of the fraction and no more, which is how DuckDB writes these.
WHOLE = {"%E4Y-%m-%d": "whole_text", "%H:%M:%E*S": "whole_text", "%E4Y-%m-%d %H:%M:%E*S": "whole_text", "%E4Y-%m-%d %H:%M:%E*S+00": "whole_text"}

# Functions whose DuckDB form gives another type than GoogleSQL's.
KEEPS = {exp.DateAdd: "DATE", exp.DateSub: "DATE", exp.DateTrunc: "DATE", exp.DateFromUnixDate: "DATE", exp.StrToTime: "TIMESTAMPTZ"}
RENAMED = {"TIMESTAMP_MICROS": "make_timestamptz", "TO_HEX": "hex", "BYTE_LENGTH": "strlen", "ARRAY_LENGTH": "len", "RANGE": "make_range"}


def decimal_of(kind: exp.DataType) -> exp.DataType:
    if kind.this == exp.DataType.Type.DECIMAL and not kind.expressions:
        return exp.DataType(this=exp.DataType.Type.DECIMAL, expressions=[exp.DataTypeParam(this=exp.Literal.number(38)),
                                                                         exp.DataTypeParam(this=exp.Literal.number(9))])
    return kind


def cast_of(item):
    to, value = item.to, translate(item.this)  # what stands in its place is not looked into any more
    if to.this == exp.DataType.Type.BIGDECIMAL:
        return exp.Anonymous(this="cast_bignumeric", expressions=[value])
    if to.this == exp.DataType.Type.INTERVAL or isinstance(to.this, exp.Interval):
        return exp.Anonymous(this="cast_interval", expressions=[value])  # conversion rules page: the canonical format
    if to.this in (exp.DataType.Type.TEXT, exp.DataType.Type.VARCHAR) and not (isinstance(value, exp.Literal) and value.is_string):
        return exp.Anonymous(this="cast_string", expressions=[value])
    if to.this == exp.DataType.Type.DECIMAL and not isinstance(value, (exp.Literal, exp.Null)):
        return type(item)(this=exp.Anonymous(this="decimal_text", expressions=[value]), to=decimal_of(to))
    return item


def generate(node: exp.Expression) -> str:
    return node.sql(dialect=Dialect, identify=True)


class Dialect(sqlglot.dialects.DuckDB):
    class Generator(sqlglot.dialects.DuckDB.Generator):
        TRANSFORMS = {**sqlglot.dialects.DuckDB.Generator.TRANSFORMS, RawSql: lambda self, e: e.args["this"]}
