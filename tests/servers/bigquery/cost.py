"""Bytes processed and billed.

Pricing page, "Data size calculation": INT64, FLOAT64, DATE, DATETIME, TIME, TIMESTAMP 8 bytes; NUMERIC, INTERVAL, RANGE 16; BIGNUMERIC 32;
BOOL 1; STRING 2 + UTF-8; BYTES 2 + length; JSON the UTF-8 of its text; STRUCT its fields; ARRAY its elements; NULL 0.
"On-demand query pricing": the columns selected, in the partitions that remain; "charges are rounded up to the nearest MB, with a minimum 10 MB
data processed per table referenced by the query, and with a minimum 10 MB data processed per query".
"DML pricing": INSERT, and MERGE that only inserts: the columns read; UPDATE, DELETE and other MERGEs: these and all columns of the target.
"""

from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from . import partitions
from .schema import Field, find, quoted

MB = 1024 * 1024
TABLE_MINIMUM = 10 * MB
FIXED = {"INTEGER": 8, "FLOAT": 8, "DATE": 8, "DATETIME": 8, "TIME": 8, "TIMESTAMP": 8, "NUMERIC": 16, "INTERVAL": 16, "RANGE": 16, "BIGNUMERIC": 32,
         "BOOLEAN": 1, "GEOGRAPHY": 40}


def size(expression: str, field: Field, depth: int = 0) -> str:
    if field.repeated:
        item = f"e{depth}"
        one = Field(field.name, field.type, fields=field.fields, element=field.element)
        return f"coalesce(list_sum(list_transform({expression}, lambda {item}: {size(item, one, depth + 1)})), 0)"
    if field.type == "RECORD":
        return "(" + " + ".join(size(f"{expression}.{quoted(child.name)}", child, depth) for child in field.fields) + ")"
    if field.type in FIXED:
        return f"CASE WHEN {expression} IS NULL THEN 0 ELSE {FIXED[field.type]} END"
    length = f"octet_length({expression})" if field.type == "BYTES" else f"strlen(CAST({expression} AS VARCHAR))"
    return f"coalesce({'' if field.type == 'JSON' else '2 + '}{length}, 0)"


class Sizes:
    """Bytes of columns, counted once per segment, column and partition."""

    def __init__(self):
        self._known: dict[tuple, list[tuple]] = {}

    def of(self, cursor, table, version, names, pruning=None) -> int:
        where = pruning.where() if pruning and pruning.field else "TRUE"
        wanted = [field for field in version.fields if names is None or field.name.lower() in names]
        return sum(self.segment(cursor, table, version, segment, wanted, where) for segment in version.segments) if wanted else 0

    def segment(self, cursor, table, version, segment, wanted, where) -> int:
        by = partitions.column(table.meta, version.fields)
        by = segment.written(by.name) if by else None
        names = {own.name for field in wanted if (own := segment.written(field.name)) is not None}
        found = self._counted(cursor, table, segment, by)
        counts = [(start, sum(sizes[name] for name in names)) for start, sizes in found]
        if where == "TRUE" or by is None or not counts:
            return sum(count for _, count in counts)
        values = ", ".join(f"({'NULL' if start is None else start}::BIGINT, {count})" for start, count in counts)
        return int(cursor.execute(f"SELECT coalesce(sum(n), 0) FROM (SELECT n, p_low, {partitions.high(table.meta, 'p_low')} AS p_high"
                                  f" FROM (VALUES {values}) v(p_low, n)) WHERE {where}").fetchone()[0])

    def _counted(self, cursor, table, segment, by) -> list:
        """(start of a partition, column -> bytes) of a segment."""
        spec = str(table.meta.get("timePartitioning") or table.meta.get("rangePartitioning")) if by else ""
        key = segment.name, segment.low, segment.high, spec
        if key not in self._known:
            start = partitions.low(table.meta, by) if by else "NULL"
            sums = ", ".join(f"CAST(coalesce(sum({size(quoted(field.name), field)}), 0) AS BIGINT)" for field in segment.fields)
            rows = cursor.execute(f"SELECT {start} AS p, {sums} FROM {segment.name} WHERE rowid >= {segment.low} AND rowid < {segment.high}"
                                  " GROUP BY p").fetchall()
            self._known[key] = [(row[0], dict(zip((field.name for field in segment.fields), row[1:]))) for row in rows]
        return self._known[key]


def total(cursor, sizes: Sizes, table, version) -> int:
    return sizes.of(cursor, table, version, None)


def billed(by_table: dict) -> int:
    charged = sum(max(TABLE_MINIMUM, count) for count in by_table.values() if count)
    return -(-charged // MB) * MB


class Estimate:
    """What one statement reads: table -> bytes."""

    def __init__(self, cursor, sizes: Sizes, names, view):
        self.cursor, self.sizes, self.names, self.view = cursor, sizes, names, view
        self.by_table: dict[tuple, int] = {}
        self.tables: dict[tuple, object] = {}

    @property
    def processed(self) -> int:
        return sum(self.by_table.values())

    def add(self, table, count: int) -> None:
        self.by_table[table.key] = self.by_table.get(table.key, 0) + count
        self.tables[table.key] = table

    def query(self, statement: exp.Expression) -> None:
        """Each table of each scope: its columns that the scope, or the scopes around it, use."""
        statement = narrowed(statement.copy())
        for scope in traverse_scope(statement):
            for alias, item in scope.sources.items():
                if isinstance(item, exp.Table):
                    self.scan(scope, alias, item)

    def scan(self, scope, alias: str, item: exp.Table) -> None:
        from . import information_schema

        if item.args.get("db") is None and item.name not in self.names.temporary and not self.names.default.get("datasetId"):
            return
        if information_schema.is_virtual(item):
            return
        try:
            table = self.names.find(item)
        except Exception:
            if any((other.alias or other.name) == item.db for other in scope.sources.values() if isinstance(other, exp.Table)):
                return  # an array of another item
            raise
        if table.view is not None:
            from .sql import parse

            self.tables[table.key] = table
            return self.query(parse(table.view)[0])
        version = self.view.version(table)
        names = used(scope, alias, version.fields)
        pruning = partitions.Pruning(self.cursor, table, version.fields, alias)
        where = scope.expression.args.get("where")
        pruning.add(where.this if where else None)
        for join in scope.expression.args.get("joins") or ():
            pruning.add(join.args.get("on"))
        self.add(table, self.sizes.of(self.cursor, table, version, names, pruning))

    def mutation(self, statement, target: exp.Table, condition, whole: bool) -> None:
        """`whole`: the statement rewrites rows of the target, all of whose columns count then."""
        table = self.names.find(target, write=True)
        version = self.view.version(table)
        alias = target.alias or target.name
        pruning = partitions.Pruning(self.cursor, table, version.fields, alias)
        pruning.add(condition)
        names = None
        if not whole:
            named = [node for node in statement.find_all(exp.Column) if node.table in (alias, "")]
            names = {node.name.lower() for node in named}
        self.add(table, self.sizes.of(self.cursor, table, version, names, pruning))


def narrowed(statement):
    return statement


def used(scope, alias: str, fields) -> set | None:
    """Names of the columns of one source; None: all."""
    names = set()
    for star in scope.find_all(exp.Star):
        if isinstance(star.parent, exp.Count):
            continue
        if isinstance(star.parent, exp.Column) and star.parent.table and star.parent.table != alias:
            continue
        left_out = {item.name.lower() for item in star.args.get("except_") or star.args.get("except") or ()}
        return {field.name.lower() for field in fields} - left_out
    for node in scope.columns:
        if node.table == alias or not node.table:
            names.add(node.name.lower())
        elif find(fields, node.table) is not None:
            names.add(node.table.lower())  # a field of a STRUCT column
        if node.name == alias:
            return None  # the row as a value
    return names
