"""CREATE, ALTER, DROP (page "Data definition language (DDL) statements"), with everything they say visible in REST."""

import time
from dataclasses import replace

from sqlglot import exp

from . import partitions
from .errors import ApiError, bad_query, duplicate, not_found
from .schema import Field, check_name, find

TYPES = {"BIGINT": "INTEGER", "INT": "INTEGER", "SMALLINT": "INTEGER", "TINYINT": "INTEGER", "DOUBLE": "FLOAT", "FLOAT": "FLOAT", "TEXT": "STRING",
         "VARCHAR": "STRING", "BOOLEAN": "BOOLEAN", "BINARY": "BYTES", "VARBINARY": "BYTES", "TIMESTAMPTZ": "TIMESTAMP", "TIMESTAMP": "DATETIME",
         "DATETIME": "DATETIME", "DATE": "DATE", "TIME": "TIME", "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC", "JSON": "JSON",
         "GEOGRAPHY": "GEOGRAPHY", "INTERVAL": "INTERVAL"}


def kind_of(kind: exp.DataType) -> dict:
    """A type as members of Field."""
    name = kind.this.value if hasattr(kind.this, "value") else str(kind.this)
    if name == "ARRAY":
        inner = kind_of(kind.expressions[0])
        if inner.get("mode") == "REPEATED":
            raise bad_query("Cannot construct array with element type ARRAY because nested arrays are not supported")
        return {**inner, "mode": "REPEATED"}
    if name == "STRUCT":
        return {"type": "RECORD", "fields": tuple(field_of(item) for item in kind.expressions)}
    if name == "RANGE":
        return {"type": "RANGE", "element": kind_of(kind.expressions[0])["type"]}
    if name not in TYPES:
        raise bad_query(f"Type not found: {kind.sql('bigquery')}")
    made = {"type": TYPES[name]}
    given = [item.name for item in kind.expressions]
    if given and made["type"] in ("STRING", "BYTES"):
        made["extras"] = (("maxLength", given[0]),)
    elif given:
        made["extras"] = tuple(zip(("precision", "scale"), given))
    return made


def field_of(column: exp.ColumnDef) -> Field:
    check_name(column.name)
    made = {"name": column.name, **kind_of(column.args["kind"])}
    extras = dict(made.pop("extras", ()))
    for constraint in column.args.get("constraints") or ():
        kind = constraint.args.get("kind")
        if isinstance(kind, exp.NotNullColumnConstraint):
            if made.get("mode") == "REPEATED":
                raise bad_query("NOT NULL cannot be applied to ARRAY column")
            made["mode"] = "REQUIRED"
        elif isinstance(kind, exp.DefaultColumnConstraint):
            extras["defaultValueExpression"] = kind.this.sql("bigquery")
        elif isinstance(kind, exp.Properties):
            for name, value in options(kind.expressions).items():
                if name == "description":
                    made["description"] = value
                else:
                    raise bad_query(f"Unknown option: {name}")
    return Field(extras=tuple(extras.items()), **made)


def options(properties) -> dict:
    flat = [item for one in properties for item in (one.expressions if isinstance(one, exp.Properties) else [one])]
    return {item.this.name.lower(): value_of(item.args["value"]) for item in flat if type(item) is exp.Property}


def value_of(node):
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else float(node.this) if "." in node.this else int(node.this)
    if isinstance(node, exp.Boolean):
        return node.this
    if isinstance(node, exp.Null):
        return None
    if isinstance(node, (exp.Array, exp.Tuple)):
        return [value_of(item) for item in node.expressions]
    return node


def apply_options(meta: dict, given: dict, cursor, fields=()) -> dict:
    """DDL page, table_option_list."""
    meta = dict(meta)
    for name, value in given.items():
        if name in ("description", "friendly_name"):
            meta = put(meta, {"description": "description", "friendly_name": "friendlyName"}[name], value)
        elif name == "labels":
            meta["labels"] = {pair[0]: pair[1] for pair in value or ()}
        elif name == "expiration_timestamp":
            meta = put(meta, "expirationTime", None if value is None else str(constant_ms(cursor, value)))
        elif name in ("partition_expiration_days", "require_partition_filter"):
            if not meta.get("timePartitioning") and not meta.get("rangePartitioning"):
                raise bad_query(f"{name} is only supported on partitioned tables")
            if name == "require_partition_filter":
                meta["requirePartitionFilter"] = bool(value)
            else:
                meta["timePartitioning"] = put(meta["timePartitioning"], "expirationMs", None if value is None else str(int(value * 86_400_000)))
        elif name == "max_staleness":
            meta["maxStaleness"] = value if isinstance(value, str) else value.sql("bigquery")
        elif name in ("default_rounding_mode", "kms_key_name", "enable_change_history", "enable_fine_grained_mutations"):
            meta[name] = value
        else:
            raise bad_query(f"Unknown option: {name}")
    return meta


def put(meta: dict, name: str, value) -> dict:
    left = {key: old for key, old in meta.items() if key != name}
    return left if value is None else {**left, name: value}


def constant_ms(cursor, expression) -> int:
    from .sql import generate, translate

    shown = generate(translate(expression.copy())) if isinstance(expression, exp.Expression) else f"'{expression}'"
    return cursor.execute(f"SELECT epoch_ms(CAST({shown} AS TIMESTAMPTZ))").fetchone()[0]


def partitioning(node) -> dict:
    """DDL page, partition_expression."""
    if isinstance(node, (exp.Column, exp.Identifier)):
        return {"timePartitioning": {"type": "DAY", "field": node.name}}
    if isinstance(node, (exp.TimestampTrunc, exp.DatetimeTrunc, exp.DateTrunc)):
        return {"timePartitioning": {"type": node.args["unit"].name.upper(), "field": node.this.name}}
    if isinstance(node, (exp.Date, exp.TsOrDsToDate)) or (isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.DATE):
        return {"timePartitioning": {"type": "DAY", "field": node.this.name}}
    if node.name.upper() == "RANGE_BUCKET" or type(node).__name__ == "RangeBucket":
        column, array = (node.expressions if node.expressions else (node.this, node.expression))
        start, end, step = (array.args.get("start"), array.args.get("end"), array.args.get("step"))
        shown = {"start": start.sql(), "end": end.sql(), "interval": step.sql() if step else "1"}
        return {"rangePartitioning": {"field": column.name, "range": shown}}
    raise bad_query(f"Unsupported partitioning expression: {node.sql('bigquery')}")


def read_properties(statement: exp.Create, cursor) -> dict:
    meta, given = {}, {}
    for item in (statement.args.get("properties") or exp.Properties()).expressions:
        if isinstance(item, exp.PartitionedByProperty):
            node = item.this
            node = node.expressions[0] if isinstance(node, (exp.Schema, exp.Tuple)) and node.expressions else node
            meta |= partitioning(node)
        elif type(item).__name__ in ("ClusterProperty", "Cluster", "ClusteredByProperty"):
            meta["clustering"] = {"fields": [column.name for column in item.expressions]}
        elif type(item) is exp.Property:
            given |= options([item])
    return apply_options(meta, given, cursor)


class Ddl:
    def __init__(self, run):
        self.run, self.cursor, self.names, self.store = run, run.cursor, run.names, run.store

    def create(self, statement: exp.Create) -> dict:
        kind = statement.args["kind"]
        if kind == "SCHEMA":
            return self.create_schema(statement)
        if kind not in ("TABLE", "VIEW"):
            raise ApiError("notImplemented", f"CREATE {kind} is not implemented")
        target = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
        temporary = any(isinstance(item, exp.TemporaryProperty) for item in (statement.args.get("properties") or exp.Properties()).expressions)
        project, dataset, name = ("_temp", "_temp", target.name) if temporary else self.names.path(target)
        home = None if temporary else self.store.dataset(project, dataset, self.names.location)
        existing = self.names.temporary.get(name) if temporary else home.tables.get(name)
        done = {"ddlTargetTable": {"projectId": project, "datasetId": dataset, "tableId": name}, "ddlOperationPerformed": "CREATE"}
        if existing is not None:
            if statement.args.get("exists"):
                return {**done, "ddlOperationPerformed": "SKIP"}
            if not statement.args.get("replace"):
                raise duplicate("Table", f"{project}:{dataset}.{name}")
        if not temporary:
            self.run.allow_dataset(home, True)
        if kind == "VIEW":
            return self.create_view(statement, project, dataset, name, existing, done)
        fields, meta, segments = self.definition(statement)
        partitions.check_spec(meta, fields)
        made = self.place(project, dataset, name, fields, meta, segments, existing, temporary)
        self.run.touched = made
        return {**done, "ddlOperationPerformed": "REPLACE" if existing is not None else "CREATE"}

    def place(self, project, dataset, name, fields, meta, segments, existing, temporary):
        if existing is not None:
            # DDL page: CREATE OR REPLACE: a new table of that name; the old one stays for time travel.
            with self.store.lock:
                latest = existing.latest
                existing.meta, existing.kind, existing.view, existing.captured, existing.sequences = meta, "TABLE", None, False, {}
                self.store.publish(existing, replace(latest, fields=tuple(fields), segments=tuple(s for s in segments if s.high), mutation=latest.mutation + 1))
            return existing
        if temporary:
            from .store import Table, Version

            made = Table(project, dataset, name, meta, [Version(time.time(), tuple(fields), tuple(s for s in segments if s.high))])
            self.names.temporary[name] = made
            return made
        return self.store.add_table(project, dataset, name, fields, meta, [s for s in segments if s.high])

    def definition(self, statement: exp.Create):
        """Columns, metadata and rows of CREATE TABLE with columns, AS SELECT, LIKE, COPY or CLONE."""
        meta = read_properties(statement, self.cursor)
        fields, key, segments = [], None, []
        if isinstance(statement.this, exp.Schema):
            for item in statement.this.expressions:
                if isinstance(item, exp.ColumnDef):
                    fields.append(field_of(item))
                    if any(isinstance(c.args.get("kind"), exp.PrimaryKeyColumnConstraint) for c in item.args.get("constraints") or ()):
                        key = [item.name]
                elif isinstance(item, exp.PrimaryKey):
                    key = [column.name for column in item.expressions]
        properties = (statement.args.get("properties") or exp.Properties()).expressions
        like = next((item for item in properties if isinstance(item, exp.LikeProperty)), None)
        clone = statement.args.get("clone")
        if like is not None or clone is not None:
            source = self.names.find(like.this if like is not None else clone.this)
            version = self.run.view.version(source)
            segments = [] if like is not None else version.segments
            return version.fields, {**{k: v for k, v in source.meta.items() if k != "expirationTime"}, **meta}, segments
        if statement.expression is not None:
            fields, segments = self.run.create_as(statement.expression, fields, meta)
        elif not fields:
            raise bad_query("CREATE TABLE requires a column list or AS SELECT")
        names = [field.name.lower() for field in fields]
        if len(set(names)) != len(names):
            raise bad_query("Duplicate column name in CREATE TABLE")
        if key:
            check_key(fields, key)
            meta["tableConstraints"] = {"primaryKey": {"columns": key}}
        return tuple(fields), meta, segments

    def create_view(self, statement, project, dataset, name, existing, done):
        if existing is not None:
            self.store.drop(existing)
        estimate = self.run.describe(statement.expression.copy())
        self.store.add_table(project, dataset, name, estimate, {}, kind="VIEW", view=statement.expression.sql("bigquery"))
        return {**done, "ddlOperationPerformed": "REPLACE" if existing is not None else "CREATE"}

    def create_schema(self, statement) -> dict:
        target = statement.this
        name = target.name or target.db
        project = (target.catalog or target.db if target.name else target.catalog) or self.names.project
        if (project, name) in self.store.datasets:
            if statement.args.get("exists"):
                return {"ddlOperationPerformed": "SKIP"}
            raise duplicate("Dataset", f"{project}:{name}")
        given = options((statement.args.get("properties") or exp.Properties()).expressions)
        self.run.allow_project(project)
        self.store.add_dataset(project, name, {"location": given.get("location", self.names.location or "US"),
                                               **({"description": given["description"]} if given.get("description") else {})})
        return {"ddlOperationPerformed": "CREATE"}

    def drop(self, statement: exp.Drop) -> dict:
        if statement.args["kind"] == "SCHEMA":
            return self.drop_schema(statement)
        target = statement.this
        if not target.db and target.name in self.names.temporary:
            self.names.temporary.pop(target.name)
            return {"ddlOperationPerformed": "DROP"}
        project, dataset, name = self.names.path(target)
        done = {"ddlTargetTable": {"projectId": project, "datasetId": dataset, "tableId": name}, "ddlOperationPerformed": "DROP"}
        try:
            table = self.names.find(target, write=True)
        except ApiError as error:
            if error.reason == "notFound" and statement.args.get("exists"):
                return {**done, "ddlOperationPerformed": "SKIP"}
            raise
        self.store.drop(table)
        return done

    def drop_schema(self, statement) -> dict:
        target = statement.this
        key = (target.db or target.catalog or self.names.project, target.name)
        if key not in self.store.datasets:
            if statement.args.get("exists"):
                return {"ddlOperationPerformed": "SKIP"}
            raise not_found("Dataset", ":".join(key))
        if self.store.datasets[key].tables and not statement.args.get("cascade"):
            raise ApiError("resourceInUse", f"Dataset {':'.join(key)} is still in use")
        del self.store.datasets[key]
        return {"ddlOperationPerformed": "DROP"}


def check_key(fields, key) -> None:
    for name in key:
        found = find(fields, name)
        if found is None:
            raise bad_query(f"Primary key column {name} is not found in the table")
        # Primary and foreign keys page: top-level columns, at most 16, of types that can be compared.
        if found.repeated or found.type in ("RECORD", "JSON", "FLOAT", "GEOGRAPHY", "INTERVAL", "RANGE", "TIME"):
            raise bad_query(f"Column {name} of type {found.sql()} cannot be part of a primary key")
    if len(key) > 16:
        raise bad_query("A primary key can have at most 16 columns")
