"""ALTER TABLE (DDL page), and the statements sqlglot has no tree for."""

import re
from dataclasses import replace

from sqlglot import exp

from . import partitions
from .ddl import apply_options, check_key, field_of, kind_of, options
from .errors import ApiError, bad_query, duplicate
from .schema import WIDER, Field, check_name, find


class Alter:
    def __init__(self, run):
        self.run, self.cursor, self.names, self.store = run, run.cursor, run.names, run.store

    def command(self, statement: exp.Command) -> dict | None:
        """ALTER … ALTER COLUMN … SET OPTIONS / SET DEFAULT and the like, which come as text."""
        full = f"{statement.this} {statement.expression}"
        found = re.fullmatch(r"(?is)\s*ALTER\s+TABLE\s+(IF\s+EXISTS\s+)?(?P<table>[`\w.\-]+)\s+ALTER\s+COLUMN\s+(IF\s+EXISTS\s+)?(?P<column>[`\w]+)\s+"
                             r"SET\s+OPTIONS\s*\((?P<options>.*)\)\s*", full)
        if not found:
            return None
        from .sql import parse

        made = parse(f"CREATE TABLE x (y INT64 OPTIONS({found['options']}))")[0]
        given = options(made.this.expressions[0].args["constraints"][0].args["kind"].expressions)
        table = self.names.find(exp.to_table(found["table"], dialect="bigquery"), write=True)
        return self.done(table, self.on_column(table, found["column"].strip("`"), lambda field: replace(field, description=given.get("description"))))

    def done(self, table, fields=None) -> dict:
        if fields is not None:
            self.store.set_fields(table, fields)
        with self.store.lock:
            import time

            table.modified = max(time.time(), table.modified + 1e-6)
        self.run.touched = table
        return {"ddlOperationPerformed": "ALTER", "ddlTargetTable": {"projectId": table.project, "datasetId": table.dataset, "tableId": table.name}}

    def on_column(self, table, name: str, change) -> tuple[Field, ...]:
        field = find(table.latest.fields, name)
        if field is None:
            raise bad_query(f"Column not found: {name}")
        return tuple(change(one) if one is field else one for one in table.latest.fields)

    def alter(self, statement: exp.Alter) -> dict:
        if statement.args["kind"] == "SCHEMA":
            return self.schema(statement)
        try:
            table = self.names.find(statement.this, write=True)
        except ApiError as error:
            if error.reason == "notFound" and statement.args.get("exists"):
                return {"ddlOperationPerformed": "SKIP"}
            raise
        if self.run.transaction is not None:
            # Transactions page, limitations: DDL that affects permanent entities is not allowed.
            raise bad_query("ALTER TABLE is not supported in a multi-statement transaction")
        fields = table.latest.fields
        for action in statement.args["actions"]:
            fields = self.action(table, fields, action, statement)
        return self.done(table, fields)

    def action(self, table, fields, action, statement):
        if isinstance(action, exp.ColumnDef):
            return self.add(fields, action)
        if isinstance(action, exp.AlterColumn):
            return tuple(self.column(one, action) if one.name.lower() == action.this.name.lower() else one for one in self.known(fields, action.this.name))
        if isinstance(action, exp.AlterSet):
            table.meta = apply_options(table.meta, options(action.expressions), self.cursor)
            return fields
        if isinstance(action, exp.AlterRename):
            return self.rename(table, fields, action.this.name)
        if isinstance(action, exp.RenameColumn):
            return self.rename_column(table, fields, action)
        if isinstance(action, exp.Drop) and action.args["kind"] == "COLUMN":
            return self.drop_column(table, fields, action)
        if isinstance(action, exp.AddConstraint) or isinstance(action, exp.PrimaryKey):
            key = action if isinstance(action, exp.PrimaryKey) else action.find(exp.PrimaryKey)
            names = [column.name for column in key.expressions]
            if (table.meta.get("tableConstraints") or {}).get("primaryKey"):
                raise bad_query("Table already has a primary key")
            check_key(fields, names)
            table.meta = {**table.meta, "tableConstraints": {"primaryKey": {"columns": names}}}
            return fields
        if isinstance(action, exp.Drop) and action.args["kind"] in ("PRIMARY", "CONSTRAINT"):
            table.meta = {name: value for name, value in table.meta.items() if name != "tableConstraints"}
            return fields
        raise bad_query(f"Unsupported ALTER TABLE action: {action.sql('bigquery')}")

    @staticmethod
    def known(fields, name):
        if find(fields, name) is None:
            raise bad_query(f"Column not found: {name}")
        return fields

    @staticmethod
    def add(fields, action):
        if find(fields, action.name) is not None:
            if action.args.get("exists"):
                return fields
            raise bad_query(f"Column already exists: {action.name}")
        made = field_of(action)
        # DDL page, ALTER TABLE ADD COLUMN: "You cannot add a REQUIRED column to an existing table".
        if made.mode == "REQUIRED":
            raise bad_query(f"Cannot add required column {made.name} to an existing table")
        if made.extra("defaultValueExpression"):
            # The same page: add the column first, then SET DEFAULT.
            raise bad_query("ADD COLUMN with a default value is not supported; add the column, then ALTER COLUMN SET DEFAULT")
        return (*fields, made)

    @staticmethod
    def column(field: Field, action: exp.AlterColumn) -> Field:
        if action.args.get("dtype"):
            wanted = kind_of(action.args["dtype"])
            kind = wanted["type"]
            # DDL page, SET DATA TYPE: INT64 to NUMERIC, BIGNUMERIC, FLOAT64; NUMERIC to BIGNUMERIC, FLOAT64; parameters only widened.
            if kind != field.type and kind not in WIDER.get(field.type, ()):
                raise bad_query(f"ALTER TABLE ALTER COLUMN SET DATA TYPE requires that the existing column type ({field.sql()}) is assignable to the new "
                                f"type ({action.args['dtype'].sql('bigquery')})")
            for name, value in wanted.get("extras", ()):
                if field.type == kind and (field.extra(name) is None or int(field.extra(name)) > int(value)):
                    raise bad_query(f"ALTER TABLE ALTER COLUMN SET DATA TYPE cannot narrow {name} of column {field.name}")
            kept = {"defaultValueExpression": field.extra("defaultValueExpression")} if field.extra("defaultValueExpression") else {}
            return replace(field, type=kind, extras=tuple({**dict(wanted.get("extras", ())), **kept}.items()))
        if action.args.get("allow_null"):
            if field.mode != "REQUIRED":
                raise bad_query(f"ALTER TABLE ALTER COLUMN DROP NOT NULL requires that the column is REQUIRED: {field.name}")
            return replace(field, mode="NULLABLE")
        if action.args.get("default") is not None:
            return field.with_extra("defaultValueExpression", action.args["default"].sql("bigquery"))
        if action.args.get("drop"):
            return field.with_extra("defaultValueExpression", None)
        raise bad_query(f"Unsupported ALTER COLUMN action on {field.name}")

    def rename(self, table, fields, name: str):
        home = self.store.datasets[table.project, table.dataset]
        with self.store.lock:
            if name in home.tables:
                raise duplicate("Table", f"{table.project}:{table.dataset}.{name}")
            home.tables[name] = home.tables.pop(table.name)
            table.name = name
        return fields

    @staticmethod
    def rename_column(table, fields, action):
        old, new = action.this.name, action.args["to"].name
        if find(fields, old) is None or find(fields, new) is not None:
            raise bad_query(f"Column not found, or the new name is taken: {old}, {new}")
        used = [(table.meta.get("timePartitioning") or table.meta.get("rangePartitioning") or {}).get("field"),
                *((table.meta.get("clustering") or {}).get("fields") or ())]
        if old in used:
            raise bad_query(f"Column {old} is used for partitioning or clustering and cannot be renamed")
        check_name(new)
        table_renames(table, old, new)
        return tuple(replace(one, name=new) if one.name.lower() == old.lower() else one for one in fields)

    @staticmethod
    def drop_column(table, fields, action):
        name = action.this.name
        if find(fields, name) is None:
            if action.args.get("exists"):
                return fields
            raise bad_query(f"Column not found: {name}")
        spec = partitions.column(table.meta, fields)
        if (spec is not None and spec.name.lower() == name.lower()) or name in ((table.meta.get("clustering") or {}).get("fields") or ()):
            raise bad_query(f"Cannot drop column {name}: it is used for partitioning or clustering")
        table_renames(table, name, f"{name} dropped {len(table.versions)}")
        return tuple(one for one in fields if one.name.lower() != name.lower())

    def schema(self, statement) -> dict:
        home = self.store.dataset(statement.this.db or self.names.project, statement.this.name)
        for action in statement.args["actions"]:
            given = options(action.expressions)
            home.meta.update({key: value for key, value in given.items() if key == "description"})
            if "default_table_expiration_days" in given:
                home.meta["defaultTableExpirationMs"] = str(int(given["default_table_expiration_days"] * 86_400_000))
        return {"ddlOperationPerformed": "ALTER"}


def table_renames(table, old: str, new: str) -> None:
    """Rows already written know the column by its old name: their segments are told the new one."""
    latest = table.latest
    segments = tuple(replace(segment, aliases=tuple({**dict(segment.aliases), new.lower(): dict(segment.aliases).get(old.lower(), old)}.items()),
                             hidden=segment.hidden | {old.lower()}) for segment in latest.segments)
    table.versions[-1] = replace(latest, segments=segments)
