"""INSERT, UPDATE, DELETE, MERGE, TRUNCATE. A mutation runs on a private copy of the table, which becomes its next version."""

import duckdb
from sqlglot import exp

from . import partitions
from .assignment import assignable, check_no_null_elements, default_of, is_literal, positional, rows_of
from .errors import bad_query
from .merge import TOO_MANY, Merge
from .schema import Field, find, quoted
from .sql import name_columns, query_error, resolve
from .store import Segment
from .translation import generate, translate
from .values import check as check_values


def no_rows_changed() -> dict:
    return {"insertedRowCount": 0, "updatedRowCount": 0, "deletedRowCount": 0}


class Dml:
    def __init__(self, run):
        self.run, self.cursor, self.names, self.view, self.store = run, run.cursor, run.names, run.view, run.store

    # -- INSERT --------------------------------------------------------------------------------------------------
    def insert(self, statement: exp.Insert) -> dict:
        target = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
        table = self.names.find(target, write=True)
        fields = self.view.version(table).fields
        listed = [item.name for item in statement.this.expressions] if isinstance(statement.this, exp.Schema) else [field.name for field in fields]
        columns = []
        for name in listed:
            if find(fields, name) is None:
                raise bad_query(f"Column {name} is not present in table {table.project}.{table.dataset}.{table.name}")
            columns.append(find(fields, name))
        source = statement.expression
        if isinstance(source, exp.Values):
            source = rows_of(source)
        first = source
        while isinstance(first, (exp.SetOperation, exp.Subquery)):
            first = first.this
        outputs = list(first.expressions) if isinstance(first, exp.Select) else []
        name_columns(source)
        prepared = resolve(source.copy(), self.names, self.view, self.run.prepared, self.cursor)
        if isinstance(statement.args.get("with_") or statement.args.get("with"), exp.With):
            raise bad_query("WITH before INSERT is not supported")
        query = generate(translate(prepared))
        given = positional(self.cursor, query)
        if len(given) != len(columns):
            raise bad_query(f"Inserted row has wrong column count; Has {len(given)}, expected {len(columns)}")
        parts = {}
        for index, (field, one) in enumerate(zip(columns, given)):
            literal = index < len(outputs) and len(outputs) == len(columns) and is_literal(outputs[index], field)
            parts[field.name] = assignable(field, f"c{index}", one, literal, f"Query column {index + 1}") + f" AS {quoted(field.name)}"
        for field in fields:
            parts.setdefault(field.name, f"{default_of(field)} AS {quoted(field.name)}")
        names = ", ".join(f"c{index}" for index in range(len(given)))
        segment = self.write(table, fields, f"SELECT {', '.join(parts[field.name] for field in fields)} FROM ({query}) q({names})")
        partitions.check_table(self.cursor, table, self.view.version(table), f"SELECT * FROM {segment.name}")
        self.view.append(table, segment)
        return {**no_rows_changed(), "insertedRowCount": segment.high}

    def write(self, table, fields, select: str) -> Segment:
        try:
            segment = self.store.write_rows(self.cursor, fields, select)
        except duckdb.Error as error:
            raise query_error(error) from None
        check_values(self.cursor, segment, fields, "invalidQuery")
        check_no_null_elements(self.cursor, segment, fields)
        partitions.check_job(self.cursor, table, f"SELECT * FROM {segment.name}", fields)
        return segment

    # -- UPDATE, DELETE, MERGE, TRUNCATE ---------------------------------------------------------------------------
    def whole(self, version) -> str | None:
        """The one table that holds exactly this version, where there is one."""
        if len(version.segments) != 1:
            return None
        (segment,) = version.segments
        if segment.low or segment.aliases or segment.hidden or segment.fields != version.fields:
            return None
        self.store.seal(segment)
        (count,) = self.cursor.execute(f"SELECT count(*) FROM {segment.name}").fetchone()
        return segment.name if count == segment.high else None

    def change(self, statement, target: exp.Table, make, reads_only=False) -> dict:
        """`make(copy, fields, alias)` changes the copy, or says what is to be written instead: counts, rows touched[, new content]."""
        table = self.names.find(target, write=True)
        alias = target.alias or target.name.split(".")[-1]
        if table.captured:
            # Page "Stream table updates with change data capture", limitations: no mutating DML on such a table.
            raise bad_query(f"Mutating DML statements are not supported on table {table.full()}, which takes change data capture")

        def work(version):
            fields = version.fields
            copy = self.whole(version) if reads_only else None
            borrowed, kept = copy is not None, False
            if not borrowed:
                copy = self.store.fresh()
                self.cursor.execute(f"CREATE TABLE {copy} AS {version.select()}")
            try:
                changed, touched, *content = make(copy, fields, alias)
                if not any(changed.values()):
                    return None, changed
                found = find_partitions(self.cursor, table, touched, fields)
                if found > partitions.JOB_LIMIT:
                    raise bad_query(f"Too many partitions modified by query, allowed {partitions.JOB_LIMIT}, query modifies at least {found} partitions")
                segment = self.dense(copy, fields, *content)
                check_values(self.cursor, segment, fields, "invalidQuery")
                check_no_null_elements(self.cursor, segment, fields)
                kept = segment.name == copy
                return segment, changed
            except duckdb.Error as error:
                raise query_error(error) from None
            finally:
                if not borrowed and not kept:
                    self.cursor.execute(f"DROP TABLE IF EXISTS {copy}")

        return self.view.mutate(self.cursor, table, work)

    def dense(self, copy: str, fields, content: str | None = None) -> Segment:
        """The copy itself where its rows are numbered without gaps, else another, or what `content` gives."""
        if content is not None:
            return self.store.write_rows(self.cursor, fields, content)
        count, last = self.cursor.execute(f"SELECT count(*), coalesce(max(rowid), -1) FROM {copy}").fetchone()
        if last + 1 == count:
            return Segment(copy, fields, 0, count)
        return self.store.write_rows(self.cursor, fields, f"SELECT * FROM {copy}")

    def truncate(self, statement) -> dict:
        def make(copy, fields, alias):
            (count,) = self.cursor.execute(f"SELECT count(*) FROM {copy}").fetchone()
            self.cursor.execute(f"DELETE FROM {copy}")
            return {**no_rows_changed(), "deletedRowCount": count}, None

        return self.change(statement, statement.expressions[0], make)

    def delete(self, statement: exp.Delete) -> dict:
        where = statement.args.get("where")
        if where is None:
            raise bad_query("DELETE must have a WHERE clause")  # DML syntax page: "DELETE … WHERE condition" is required

        def make(copy, fields, alias):
            condition = self.sql(where.this)
            touched = f"SELECT * FROM {copy} AS {quoted(alias)} WHERE {condition}"
            touched = self.keep(touched)
            rows = self.cursor.execute(f"DELETE FROM {copy} AS {quoted(alias)} WHERE {condition}").fetchone()[0]
            return {**no_rows_changed(), "deletedRowCount": rows}, touched

        return self.change(statement, statement.this, make)

    def update(self, statement: exp.Update) -> dict:
        where = statement.args.get("where")
        if where is None:
            raise bad_query("UPDATE must have a WHERE clause")  # DML syntax page
        source = statement.args.get("from_") or statement.args.get("from")

        def make(copy, fields, alias):
            condition = self.sql(where.this)
            sets = self.assignments(statement.expressions, fields, alias)
            from_sql = generate(translate(resolve(source.copy(), self.names, self.view, self.run.prepared, self.cursor))) if source else ""
            matched = f"{copy} AS {quoted(alias)}" + (", " + from_sql.strip()[5:] if source else "")
            if source:
                self.single(f"SELECT {quoted(alias)}.rowid FROM {matched} WHERE {condition}")
            touched = self.keep(f"SELECT {quoted(alias)}.* FROM {matched} WHERE {condition}")
            rows = self.cursor.execute(f"UPDATE {copy} AS {quoted(alias)} SET {sets} {from_sql} WHERE {condition}").fetchone()[0]
            return {**no_rows_changed(), "updatedRowCount": rows}, touched

        return self.change(statement, statement.this, make)

    def merge(self, statement: exp.Merge) -> dict:
        merge = Merge(self, statement)
        return self.change(statement, statement.this, merge.work, reads_only=True)

    def assignments(self, sets, fields, alias: str) -> str:
        out = []
        for item in sets:
            field = find(fields, item.this.name)
            if field is None:
                raise bad_query(f"Unrecognized name: {item.this.name}")
            value = default_of(field) if isinstance(item.expression, exp.Column) and item.expression.name.upper() == "DEFAULT" else self.value(field, item.expression)
            out.append(f"{quoted(field.name)} = {value}")
        return ", ".join(out)

    def value(self, field: Field | None, expression) -> str:
        shown = self.sql(expression)
        if field is None:
            return shown
        if field.type == "BIGNUMERIC" and not field.repeated:
            return f"cast_bignumeric({shown})"
        return f"coalesce({shown}, [])" if field.repeated else shown

    # -- parts ---------------------------------------------------------------------------------------------------
    def sql(self, expression) -> str:
        return generate(translate(resolve(exp.Paren(this=expression.copy()), self.names, self.view, self.run.prepared, self.cursor)))

    def single(self, matches: str) -> None:
        found = self.cursor.execute(f"SELECT 1 FROM (SELECT r, count(*) AS n FROM ({matches}) m(r) GROUP BY r HAVING n > 1) LIMIT 1").fetchone()
        if found:
            raise bad_query(TOO_MANY)

    def keep(self, select: str) -> str:
        name = self.store.fresh()
        self.cursor.execute(f"CREATE TEMP TABLE {name} AS {select}")
        return f"SELECT * FROM {name}"


def find_partitions(cursor, table, touched, fields) -> int:
    return partitions.count(cursor, table, touched, fields) if touched else 0
