"""GoogleSQL to DuckDB's SQL: sqlglot translates most; here are tables, types, names of columns and what it translates wrongly."""

import logging
import re

import duckdb
import sqlglot
from sqlglot import exp

from .errors import ApiError, bad_query, invalid
from .schema import RANGE_START, Field, quoted
from .store import Table, Version
from .translation import RawSql, generate, translate

logging.getLogger("sqlglot").setLevel(logging.ERROR)

SQL_LIMIT = 1024 * 1024  # Quotas page, query jobs: maximum unresolved standard SQL query length: 1 MB


def parse(sql: str) -> list[exp.Expression]:
    if len(sql.encode()) > SQL_LIMIT:
        raise invalid("The query is too large. The maximum standard SQL query length is 1024.00K characters, including comments and white space characters.")
    try:
        return [statement for statement in sqlglot.parse(sql, read="bigquery") if statement is not None]
    except sqlglot.errors.SqlglotError as error:
        first = (getattr(error, "errors", None) or [{}])[0]
        where = f" at [{first.get('line', 1)}:{first.get('col', 1)}]"
        raise bad_query(f"Syntax error: {first.get('description', str(error))}{where}") from None


class Names:
    """Finds tables: default project and dataset, temporary tables of the script, INFORMATION_SCHEMA."""

    def __init__(self, store, project: str, default: dict | None, location: str | None, allow=lambda table, write: None):
        self.store, self.project, self.default, self.location, self.allow = store, project, default or {}, location, allow
        self.temporary: dict[str, Table] = {}

    def path(self, table: exp.Table) -> tuple[str, str, str]:
        parts = [part for name in (table.catalog, table.db, table.name) if name for part in name.split(".")]
        if len(parts) == 1:
            if not self.default.get("datasetId"):
                raise invalid(f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).')
            parts.insert(0, self.default["datasetId"])
        if len(parts) == 2:
            parts.insert(0, self.default.get("projectId") or self.project)
        if len(parts) > 3:
            parts = [".".join(parts[:-2]), *parts[-2:]]
        return parts[0], parts[1], parts[2]

    def find(self, table: exp.Table, write=False) -> Table:
        if not table.db and table.name in self.temporary:
            return self.temporary[table.name]
        found = self.store.table(*self.path(table), self.location)
        self.allow(found, write)
        return found


class Prepared:
    """A statement ready to run: DuckDB's SQL, and the tables it reads with the versions it reads."""

    def __init__(self):
        self.tables: list[tuple[Table, Version, exp.Table]] = []


def literal_of(parameter: dict) -> exp.Expression:
    """QueryParameter reference: parameterType and parameterValue as an expression."""
    kind, value = parameter["parameterType"], parameter.get("parameterValue") or {}
    return _literal(kind, value)


def _literal(kind: dict, value: dict) -> exp.Expression:
    name = kind["type"].upper()
    if name == "ARRAY":
        items = [_literal(kind["arrayType"], item) for item in value.get("arrayValues") or []]
        return exp.cast(exp.Array(expressions=items), exp.DataType.build(f"ARRAY<{type_name(kind['arrayType'])}>", dialect="bigquery"))
    if name == "STRUCT":
        fields = [exp.PropertyEQ(this=exp.to_identifier(item["name"]), expression=_literal(item["type"], value["structValues"][item["name"]]))
                  for item in kind["structTypes"]]
        return exp.Struct(expressions=fields)
    if value.get("value") is None:
        return exp.cast(exp.null(), exp.DataType.build(name, dialect="bigquery"))
    if name == "BYTES":
        return exp.func("FROM_BASE64", exp.Literal.string(value["value"]))
    return exp.cast(exp.Literal.string(value["value"]), exp.DataType.build(name, dialect="bigquery"))


def type_name(kind: dict) -> str:
    if kind["type"] == "STRUCT":
        return "STRUCT<" + ", ".join(f"{item['name']} {type_name(item['type'])}" for item in kind["structTypes"]) + ">"
    return kind["type"]


def bind(statement: exp.Expression, parameters: list, variables: dict) -> exp.Expression:
    """Query parameters and script variables become literals."""
    named = {parameter["name"].lower(): parameter for parameter in parameters if parameter.get("name")}
    positional = iter([parameter for parameter in parameters if not parameter.get("name")])

    def replaced(node):
        system = system_variable(node)
        if system is not None:
            return variables.get(system, exp.null())
        if isinstance(node, exp.Parameter):
            if node.name.lower() not in named:
                raise bad_query(f"Query parameter '{node.name}' not found")
            return literal_of(named[node.name.lower()])
        if isinstance(node, exp.Placeholder):
            found = next(positional, None)
            if found is None:
                raise bad_query("Positional parameters are not enough")
            return literal_of(found)
        if isinstance(node, exp.Column) and not node.table and node.name.lower() in variables:
            return variables[node.name.lower()].copy()
        return node

    return statement.transform(replaced)


def system_variable(node) -> str | None:
    """@@name and @@name.field."""
    if isinstance(node, exp.Dot) and (inner := system_variable(node.this)) is not None:
        return f"{inner}.{node.expression.name.lower()}"
    if isinstance(node, exp.Parameter) and isinstance(node.this, exp.Parameter):
        return "@@" + node.this.this.name.lower()
    return None


def resolve(statement: exp.Expression, names: Names, view, prepared: Prepared, cursor) -> exp.Expression:
    """Puts a subquery of the right version in the place of each table."""
    ctes = {cte.alias_or_name for cte in statement.find_all(exp.CTE)}
    for table in list(statement.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier) or (not table.db and table.name in ctes and table.name not in names.temporary):
            continue
        if table.find_ancestor(exp.Table) or isinstance(table.parent, (exp.Insert, exp.Schema)) and table.arg_key == "this":
            continue
        alias = table.alias or table.name.split(".")[-1]
        if array_of_alias(statement, table, names):
            continue
        from . import information_schema

        virtual = information_schema.select(table, names)
        sql = virtual if virtual is not None else source(table, names, view, prepared, cursor)
        table.replace(exp.Table(this=RawSql(this=sql), alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)), joins=table.args.get("joins"),
                                sample=table.args.get("sample"), pivots=table.args.get("pivots")))
    return statement


def source(table: exp.Table, names: Names, view, prepared: Prepared, cursor) -> str:
    found = names.find(table)
    version = view.version(found)
    at = table.args.get("version")
    if at is not None:
        version = found.at(system_time(at.expression, cursor))
    elif found.view is not None:
        inner = parse(found.view)[0]
        return "(" + generate(translate(resolve(inner, names, view, prepared, cursor))) + ")"
    # Querying partitioned tables page, "Require a partition filter".
    if found.meta.get("requirePartitionFilter") or (found.meta.get("timePartitioning") or {}).get("requirePartitionFilter"):
        column = (found.meta.get("timePartitioning") or found.meta.get("rangePartitioning") or {}).get("field", "_PARTITIONTIME")
        select = table.find_ancestor(exp.Select, exp.Merge, exp.Update, exp.Delete)
        if select is None or not any(node.name.lower() == column.lower() for node in select.find_all(exp.Column)):
            raise bad_query(f"Cannot query over table '{found.project}.{found.dataset}.{found.name}' without a filter over column(s) '{column}' "
                            "that can be used for partition elimination")
    prepared.tables.append((found, version, table))
    return "(" + version.select() + ")"


def system_time(expression: exp.Expression, cursor) -> float:
    """FOR SYSTEM_TIME AS OF (query syntax page): a constant expression."""
    (value,) = cursor.execute("SELECT epoch_us(CAST(" + generate(translate(expression.copy())) + " AS TIMESTAMPTZ))").fetchone()
    now = cursor.execute("SELECT epoch_us(now())").fetchone()[0]
    if value > now + 1_000_000:
        raise bad_query("TIMESTAMP value used in FOR SYSTEM_TIME AS OF clause cannot be in the future")
    # Time travel page: seven days at most by default.
    if value < now - 7 * 86400 * 1_000_000:
        raise bad_query("Invalid snapshot time: FOR SYSTEM_TIME AS OF can be at most 7 days in the past")
    return value / 1e6


def array_of_alias(statement, table: exp.Table, names: Names) -> bool:
    """FROM t, t.items: an implicit UNNEST of an array of an earlier item."""
    if not table.db or table.catalog:
        return False
    select = table.find_ancestor(exp.Select)
    for other in select.find_all(exp.Table) if select else ():
        if other is not table and (other.alias or other.name) == table.db:
            column = exp.column(table.name, table.db)
            unnest = exp.Unnest(expressions=[column], alias=exp.TableAlias(columns=[exp.to_identifier(table.alias or table.name)]))
            table.replace(unnest)
            return True
    return False


def name_columns(statement: exp.Expression) -> None:
    """Query syntax page, "Implicit aliases": f0_, f1_ … where a column has no name of its own."""
    select = statement
    while isinstance(select, (exp.SetOperation, exp.Subquery)):
        select = select.this
    if not isinstance(select, exp.Select):
        return
    anonymous = 0
    for index, item in enumerate(select.expressions):
        if isinstance(item, (exp.Alias, exp.Star)) or item.is_star:
            continue
        if isinstance(item, exp.Column):
            continue
        if isinstance(item, exp.Dot):
            item.replace(exp.alias_(item.copy(), item.name, quoted=True))
            continue
        item.replace(exp.alias_(item.copy(), f"f{anonymous}_"))
        anonymous += 1


def fields_of(cursor, sql: str) -> tuple[Field, ...]:
    try:
        relation = cursor.sql(sql)
    except duckdb.Error as error:
        raise query_error(error) from None
    fields = tuple(field_of(name, kind) for name, kind in zip(relation.columns, relation.types))
    seen = set()
    for field in fields:
        base = re.sub(r"(_\d+)$", "", field.name)
        if field.name.lower() in seen or (base != field.name and base.lower() in seen and False):
            raise bad_query(f"Duplicate column names in the result are not supported. Found duplicate(s): {field.name}")
        seen.add(field.name.lower())
    return fields


SIMPLE = {"VARCHAR": "STRING", "BLOB": "BYTES", "DOUBLE": "FLOAT", "FLOAT": "FLOAT", "BOOLEAN": "BOOLEAN", "DATE": "DATE", "TIME": "TIME",
          "TIMESTAMP": "DATETIME", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "JSON": "JSON", "BIGNUM": "BIGNUMERIC", "INTERVAL": "INTERVAL",
          "UUID": "STRING", '"NULL"': "INTEGER", "NULL": "INTEGER"}


def field_of(name: str, kind) -> Field:
    if kind.id == "list":
        return Field(**{**field_of(name, kind.children[0][1]).__dict__, "mode": "REPEATED"})
    if kind.id == "struct":
        children = [field_of(child, inner) for child, inner in kind.children]
        if children and children[0].name == RANGE_START:
            return Field(name, "RANGE", element=children[0].type)
        return Field(name, "RECORD", fields=tuple(children))
    shown = str(kind)
    if shown.startswith("DECIMAL"):
        return Field(name, "NUMERIC")
    return Field(name, SIMPLE.get(shown, "INTEGER"))


def shaped(sql: str, fields) -> str:
    """The result in the storage types of its columns."""
    return "SELECT " + ", ".join(stored(quoted(field.name), field) for field in fields) + f" FROM ({sql})"


def stored(expression: str, field: Field) -> str:
    # Data types page, "Null arrays": BigQuery translates a NULL array into an empty array in a result.
    value = f"CAST({expression} AS {field.duck()})"
    return (f"coalesce({value}, [])" if field.repeated else value) + f" AS {quoted(field.name)}"


def query_error(error: Exception) -> ApiError:
    """DuckDB's errors in BigQuery's words where these matter."""
    message = str(error).split("\n")[0]
    if isinstance(error, duckdb.BinderException):
        found = re.search(r'Referenced column "([^"]+)" not found', message)
        if found:
            return bad_query(f"Unrecognized name: {found.group(1)} at [1:1]")
    if isinstance(error, duckdb.InvalidInputException) and "Invalid Input Error: " in message:
        message = message.replace("Invalid Input Error: ", "")
    return bad_query(message)
