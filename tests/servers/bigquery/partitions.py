"""Partitions: their specification, ids, limits, and which of them a constant predicate leaves (pruning)."""

from sqlglot import exp

from .errors import ApiError, invalid
from .schema import Field, find, quoted

# Quotas page, partitioned tables: "Number of partitions modified by a single job: 4,000"; "Number of partitions per partitioned table: 10,000".
JOB_LIMIT, TABLE_LIMIT = 4_000, 10_000
UNITS = {"HOUR": "hour", "DAY": "day", "MONTH": "month", "YEAR": "year"}
FORMATS = {"HOUR": "%Y%m%d%H", "DAY": "%Y%m%d", "MONTH": "%Y%m", "YEAR": "%Y"}


def check_spec(meta: dict, fields) -> None:
    """TimePartitioning, RangePartitioning and Clustering references."""
    time, by_range = meta.get("timePartitioning"), meta.get("rangePartitioning")
    if time and by_range:
        raise invalid("Only one of timePartitioning and rangePartitioning should be specified")
    if time:
        if time.get("type") not in UNITS:
            raise invalid(f"Invalid time partitioning type: {time.get('type')}")
        if time.get("field"):
            found = find(fields, time["field"])
            if found is None:
                raise invalid(f"The field specified for partitioning cannot be found in the schema: {time['field']}")
            if found.type not in ("TIMESTAMP", "DATE", "DATETIME") or found.repeated or (found.type == "DATE" and time["type"] == "HOUR"):
                raise invalid(f"The field specified for time partitioning can only be of type TIMESTAMP, DATE or DATETIME. The type found is: {found.type}.")
    if by_range:
        found = find(fields, by_range.get("field", ""))
        if found is None or found.type != "INTEGER" or found.repeated:
            raise invalid("The field specified for range partitioning has to be a top-level INTEGER column")
        bounds = by_range.get("range") or {}
        if not all(key in bounds for key in ("start", "end", "interval")) or int(bounds["interval"]) <= 0 or int(bounds["start"]) >= int(bounds["end"]):
            raise invalid("Invalid range partitioning: start, end and a positive interval are required")
    names = (meta.get("clustering") or {}).get("fields") or []
    # Clustered tables page: up to four columns, top-level, not repeated, of certain types.
    if len(names) > 4:
        raise invalid("Too many clustering columns: at most 4 are supported")
    for name in names:
        found = find(fields, name)
        if found is None:
            raise invalid(f"The field specified for clustering cannot be found in the schema: {name}")
        if found.repeated or found.type in ("RECORD", "FLOAT", "BYTES", "TIME", "JSON", "INTERVAL"):
            raise invalid(f"Field {name} has type {found.type}, which is not supported for clustering")


def column(meta: dict, fields) -> Field | None:
    spec = meta.get("timePartitioning") or meta.get("rangePartitioning") or {}
    return find(fields, spec["field"]) if spec.get("field") else None


def low(meta: dict, field: Field) -> str:
    """Where a row's partition starts: microseconds of 1970, or the number."""
    name = quoted(field.name)
    if meta.get("rangePartitioning"):
        bounds = meta["rangePartitioning"]["range"]
        start, end, step = int(bounds["start"]), int(bounds["end"]), int(bounds["interval"])
        return f"CASE WHEN {name} >= {start} AND {name} < {end} THEN {start} + (({name} - {start}) // {step}) * {step} END"
    return f"epoch_us(CAST(date_trunc('{UNITS[meta['timePartitioning']['type']]}', {name}) AS TIMESTAMP))"


def high(meta: dict, low_name: str) -> str:
    if meta.get("rangePartitioning"):
        return f"{low_name} + {int(meta['rangePartitioning']['range']['interval'])}"
    return f"epoch_us(make_timestamp({low_name}) + INTERVAL 1 {UNITS[meta['timePartitioning']['type']]})"


def identifier(meta: dict, low_name: str) -> str:
    """INFORMATION_SCHEMA.PARTITIONS reference, partition_id."""
    if meta.get("rangePartitioning"):
        return f"coalesce(CAST({low_name} AS VARCHAR), '__UNPARTITIONED__')"
    return f"coalesce(strftime(make_timestamp({low_name}), '{FORMATS[meta['timePartitioning']['type']]}'), '__NULL__')"


def count(cursor, table, select: str, fields) -> int:
    field = column(table.meta, fields)
    if field is None:
        return 1
    return cursor.execute(f"SELECT count(DISTINCT coalesce({low(table.meta, field)}, -1)) FROM ({select})").fetchone()[0]


def check_job(cursor, table, select: str, fields, job: str = "query") -> None:
    found = count(cursor, table, select, fields)
    if found > JOB_LIMIT:
        raise ApiError("invalidQuery" if job == "query" else "invalid",
                       f"Too many partitions produced by {job}, allowed {JOB_LIMIT}, {job} produces at least {found} partitions")


def check_table(cursor, table, version, more: str) -> None:
    """`more`: the rows about to be added to a version."""
    field = column(table.meta, version.fields)
    if field is not None and count(cursor, table, f"{version.select([field])} UNION ALL SELECT {quoted(field.name)} FROM ({more})", version.fields) > TABLE_LIMIT:
        raise ApiError("quotaExceeded", f"Quota exceeded: Your table exceeded quota for Number of partitions per partitioned table: {table.full()}")


# -- pruning -----------------------------------------------------------------------------------------------------
def conjuncts(condition):
    if isinstance(condition, exp.Paren):
        yield from conjuncts(condition.this)
    elif isinstance(condition, exp.And):
        yield from conjuncts(condition.left)
        yield from conjuncts(condition.right)
    elif condition is not None:
        yield condition


FLIPPED = {exp.LT: exp.GT, exp.LTE: exp.GTE, exp.GT: exp.LT, exp.GTE: exp.LTE, exp.EQ: exp.EQ}


class Pruning:
    """Constant predicates on the partition column, as conditions on a partition's `p_low` and `p_high`."""

    def __init__(self, cursor, table, fields, alias: str):
        self.cursor, self.meta, self.alias = cursor, table.meta, alias
        self.field = column(table.meta, fields)
        self.kept: list[str] = []

    def add(self, condition) -> None:
        if self.field is None:
            return
        for part in conjuncts(condition):
            kept = self.condition(part)
            if kept:
                self.kept.append(kept)

    def condition(self, part) -> str | None:
        if isinstance(part, exp.Paren):
            return self.condition(part.this)
        if isinstance(part, exp.Or):
            sides = [" AND ".join(filter(None, (self.condition(one) for one in conjuncts(side)))) for side in (part.left, part.right)]
            return f"(({sides[0]}) OR ({sides[1]}))" if all(sides) else None
        if isinstance(part, exp.Between):
            return self.both(self.compare(exp.GTE, part.this, part.args["low"]), self.compare(exp.LTE, part.this, part.args["high"]))
        if isinstance(part, exp.In) and part.expressions:
            found = [self.compare(exp.EQ, part.this, item) for item in part.expressions]
            return "(" + " OR ".join(found) + ")" if all(found) else None
        if type(part) in FLIPPED:
            return self.compare(type(part), part.left, part.right) or self.compare(FLIPPED[type(part)], part.right, part.left)
        return None

    @staticmethod
    def both(one, other):
        return f"({one} AND {other})" if one and other else one or other

    def compare(self, kind, side, constant) -> str | None:
        day = isinstance(side, (exp.Date, exp.TsOrDsToDate, exp.TimestampTrunc, exp.DateTrunc, exp.DatetimeTrunc)) or (
            isinstance(side, exp.Cast) and side.to.this == exp.DataType.Type.DATE)
        inner = side.this if day else side
        if not isinstance(inner, exp.Column) or inner.name.lower() != self.field.name.lower() or (inner.table and inner.table != self.alias):
            return None
        value = self.constant(constant)
        if value is None:
            return None
        # A day compared as a whole reaches to its end.
        end = value + 86_400_000_000 - 1 if day and not self.meta.get("rangePartitioning") else value
        if kind is exp.EQ:
            return f"(p_low <= {end} AND p_high > {value})"
        if kind in (exp.GT, exp.GTE):
            # The largest value of a partition lies one day, microsecond or number below its end.
            step = 86_400_000_000 if self.field.type == "DATE" or day else 1
            return f"(p_high > {value + step if kind is exp.GT else value})"
        return f"(p_low {'<' if kind is exp.LT else '<='} {value if kind is exp.LT else end})"

    def constant(self, expression) -> int | None:
        if expression.find(exp.Column, exp.Select, exp.Table):
            return None
        from .sql import generate, translate

        shown = generate(translate(expression.copy()))
        if not self.meta.get("rangePartitioning"):
            shown = f"epoch_us(CAST({shown} AS {'TIMESTAMPTZ' if self.field.type == 'TIMESTAMP' else 'TIMESTAMP'}))"
        try:
            return self.cursor.execute(f"SELECT {shown}").fetchone()[0]
        except Exception:  # not a constant DuckDB can fold: nothing is pruned by it
            return None

    def where(self) -> str:
        return " AND ".join(self.kept) or "TRUE"
