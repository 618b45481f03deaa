"""What a column takes: coercion, literals, defaults."""

import duckdb
from sqlglot import exp

from .errors import bad_query
from .schema import Field, quoted
from .sql import field_of, query_error
from .store import Segment
from .translation import generate, translate

# Conversion rules page, "Coercion": what an expression of one type may be assigned to without a cast.
COERCES = {"INTEGER": {"NUMERIC", "BIGNUMERIC", "FLOAT"}, "NUMERIC": {"BIGNUMERIC", "FLOAT"}, "BIGNUMERIC": {"FLOAT"},
           "STRING": set(), "DATE": {"DATETIME"}, "DATETIME": set(), "TIMESTAMP": set()}
LITERALS = {"DATE", "DATETIME", "TIME", "TIMESTAMP"}  # a string literal becomes one of these


def default_of(field: Field) -> str:
    from .sql import parse

    expression = field.extra("defaultValueExpression")
    if expression is None:
        return f"CAST({'[]' if field.repeated else 'NULL'} AS {field.duck()})"
    return f"CAST({generate(translate(parse('SELECT ' + expression)[0].expressions[0]))} AS {field.duck()})"


def assignable(field: Field, value: str, given: Field, literal: bool, where: str) -> str:
    if given.type == field.type and given.repeated == field.repeated:
        return f"CAST({by_position(value, field, given, where)} AS {field.duck()})"
    if literal or (given.type in COERCES and field.type in COERCES[given.type] and given.repeated == field.repeated):
        return f"cast_bignumeric({value})" if field.type == "BIGNUMERIC" else f"CAST({value} AS {field.duck()})"
    raise bad_query(f"{where} has type {given.sql()} which cannot be inserted into column {field.name}, which has type {field.sql()}")


def by_position(value: str, field: Field, given: Field, where: str, depth: int = 0) -> str:
    """Conversion rules page: the fields of a STRUCT are coerced in their order, whatever their names."""
    if field.type != "RECORD" or [child.name.lower() for child in given.fields] == [child.name.lower() for child in field.fields]:
        return value
    if len(given.fields) != len(field.fields):
        raise bad_query(f"{where} has type {given.sql()} which cannot be inserted into column {field.name}, which has type {field.sql()}")
    item = f"e{depth}" if field.repeated else value
    parts = ", ".join(f"{quoted(want.name)} := {by_position(f'{item}.{quoted(have.name)}', want, have, where, depth + 1)}"
                      for want, have in zip(field.fields, given.fields))
    made = f"CASE WHEN {item} IS NULL THEN NULL ELSE struct_pack({parts}) END"
    return f"list_transform({value}, lambda {item}: {made})" if field.repeated else made


def is_literal(expression, field: Field) -> bool:
    """A literal, NULL or parameter that may become the column's type."""
    if isinstance(expression, exp.Alias):
        expression = expression.this
    if isinstance(expression, exp.Null):
        return True
    if isinstance(expression, exp.Neg):
        expression = expression.this
    if isinstance(expression, exp.Literal):
        return field.type in LITERALS or field.type == "STRING" if expression.is_string else field.type in ("INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC")
    if isinstance(expression, (exp.Array, exp.Struct)):
        return all(is_literal(child, field) or True for child in expression.expressions)
    return False


def rows_of(values: exp.Values) -> exp.Expression:
    """VALUES as a query, row by row, so that each value's own type is seen."""
    selects = [exp.Select(expressions=[exp.alias_(item.copy(), f"c{index}") for index, item in enumerate(row.expressions)])
               for row in values.expressions]
    query = selects[0]
    for one in selects[1:]:
        query = exp.union(query, one, distinct=False, copy=False)
    return query


def positional(cursor, query: str):
    try:
        relation = cursor.sql(query)
    except duckdb.Error as error:
        raise query_error(error) from None
    return [field_of(f"c{index}", kind) for index, kind in enumerate(relation.types)]


def check_no_null_elements(cursor, segment: Segment, fields) -> None:
    """Data types page, "Array type": an error where a result has an array with a NULL element."""
    for field in fields:
        if field.repeated and cursor.execute(f"SELECT 1 FROM {segment.name} WHERE list_aggregate(list_transform({quoted(field.name)},"
                                             " lambda e: e IS NULL), 'bool_or') LIMIT 1").fetchone():
            raise bad_query(f"Array cannot have a null element; error in writing field {field.name}")
