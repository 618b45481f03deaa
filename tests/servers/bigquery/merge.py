"""MERGE (DML syntax page), as queries over the target and the source: which rows meet, what each clause makes of them, and what stays.

DuckDB's own MERGE INTO … RETURNING is not used: with several kinds of clauses it read memory that was not its own.
"""

import re

from sqlglot import exp

from .assignment import assignable, default_of, is_literal, positional
from .errors import bad_query
from .schema import find, quoted
from .sql import resolve
from .translation import generate, translate

# DML syntax page, MERGE: "If a row in the table to be updated joins with more than one row from the FROM clause, then a runtime error".
TOO_MANY = "UPDATE/MERGE must match at most one source row for each target row"
KINDS = {exp.Update: "updatedRowCount", exp.Insert: "insertedRowCount"}


class Merge:
    def __init__(self, dml, statement: exp.Merge):
        self.dml, self.run, self.cursor, self.store = dml, dml.run, dml.cursor, dml.store
        self.statement = statement
        self.whens = statement.args["whens"].expressions

    def work(self, copy: str, fields, alias: str):
        """(counts, rows touched, the table's new content as a query)."""
        self.copy, self.fields, self.target = copy, fields, f"{copy} AS {quoted(alias)}"
        self.target_alias = quoted(alias)
        source = self.statement.args["using"]
        self.source_alias = quoted(source.alias or re.split(r"\.", source.name)[-1] or "source")
        holder = exp.select("*").from_(source.copy())
        resolve(holder, self.dml.names, self.dml.view, self.run.prepared, self.cursor)
        # The source is computed once: what the check counts is what is merged.
        self.rows = self.keep(generate(translate(holder)))
        self.source = f"{self.rows} AS {self.source_alias}"
        self.pairs = self.keep(self.meetings())
        if self.cursor.execute(f"SELECT 1 FROM {self.pairs} WHERE __act IS NOT NULL AND __t IS NOT NULL GROUP BY __t HAVING count(*) > 1 LIMIT 1").fetchone():
            raise bad_query(TOO_MANY)
        changed = self.counts()
        made = [part for part in (self.clause(index, when) for index, when in enumerate(self.whens)) if part]
        columns = ", ".join(quoted(field.name) for field in fields)
        acted = f"SELECT __t FROM {self.pairs} WHERE __act IS NOT NULL AND __t IS NOT NULL"
        touched = " UNION ALL ".join([f"SELECT {columns} FROM {copy} WHERE rowid IN ({acted})", *made])
        content = " UNION ALL ".join([f"SELECT {columns} FROM {copy} WHERE rowid NOT IN ({acted})", *made])
        return changed, touched, content

    def keep(self, select: str) -> str:
        name = self.store.fresh()
        self.cursor.execute(f"CREATE TEMP TABLE {name} AS {select}")
        return name

    def meetings(self) -> str:
        """Each pair that meets, each row of the target and of the source that met none, and the first clause that takes it."""
        target, source = f"{self.target_alias}.rowid", f"{self.source_alias}.rowid"
        met = self.keep(f"SELECT {target} AS __t, {source} AS __s, {self.choice('matched')} AS __act FROM {self.target} JOIN {self.source}"
                        f" ON {self.dml.sql(self.condition())}")
        parts = [f"SELECT * FROM {met}"]
        if any(kind_of(when) == "source" for when in self.whens):
            parts.append(f"SELECT {target}, NULL, {self.choice('source')} FROM {self.target} WHERE {target} NOT IN (SELECT __t FROM {met})")
        if any(kind_of(when) == "target" for when in self.whens):
            parts.append(f"SELECT NULL, {source}, {self.choice('target')} FROM {self.source} WHERE {source} NOT IN (SELECT __s FROM {met})")
        return " UNION ALL ".join(parts)

    def condition(self):
        """Operators page, comparison: any comparison with NaN is FALSE; for DuckDB NaN is NaN."""
        floats = {field.name.lower() for field in self.fields if field.type == "FLOAT"}

        def changed(item):
            sides = [side for side in (item.this, item.expression) if isinstance(side, exp.Column) and side.name.lower() in floats
                     and quoted(side.table) == self.target_alias] if isinstance(item, exp.EQ) and "strict" not in item.meta else []
            if not sides:
                return item
            same = item.copy()
            same.meta["strict"] = True
            return exp.and_(same, *[exp.not_(exp.Anonymous(this="isnan", expressions=[side.copy()])) for side in sides])

        return self.statement.args["on"].transform(changed)

    def choice(self, kind: str) -> str:
        cases = [f"WHEN {self.dml.sql(when.args['condition']) if when.args.get('condition') else 'TRUE'} THEN {index}"
                 for index, when in enumerate(self.whens) if kind_of(when) == kind]
        return f"CASE {' '.join(cases)} END" if cases else "CAST(NULL AS INTEGER)"

    def counts(self) -> dict:
        changed = {"insertedRowCount": 0, "updatedRowCount": 0, "deletedRowCount": 0}
        for index, count in self.cursor.execute(f"SELECT __act, count(*) FROM {self.pairs} WHERE __act IS NOT NULL GROUP BY __act").fetchall():
            changed[KINDS.get(type(self.whens[index].args["then"]), "deletedRowCount")] += count
        return changed

    def clause(self, index: int, when: exp.When) -> str | None:
        """The rows a clause writes; None where it deletes."""
        then = when.args["then"]
        rows = f"(SELECT * FROM {self.pairs} WHERE __act = {index}) AS __p"
        if isinstance(then, exp.Insert):
            return self.shaped(self.inserted(then), f"{rows} JOIN {self.source} ON __p.__s = {self.source_alias}.rowid")
        if not isinstance(then, exp.Update):
            return None
        origin = f"{rows} JOIN {self.target} ON __p.__t = {self.target_alias}.rowid"
        if kind_of(when) == "matched":
            origin += f" JOIN {self.source} ON __p.__s = {self.source_alias}.rowid"
        given = {}
        for item in then.expressions:
            field = find(self.fields, item.this.name)
            if field is None:
                raise bad_query(f"Unrecognized name: {item.this.name}")
            given[field.name] = item.expression
        return self.shaped(given, origin, keep=True)

    def inserted(self, then: exp.Insert) -> dict:
        columns = [name for (name, *_) in self.cursor.execute(f"DESCRIBE {self.rows}").fetchall()]
        if then.expression is None or (isinstance(then.this, exp.Var) and then.this.name.upper() == "ROW"):
            # Same page: INSERT ROW takes all columns of the source in their order.
            listed = [field.name for field in self.fields]
            given = [exp.column(name, self.source_alias.strip('"'), quoted=True) for name in columns]
        else:
            listed = [item.name for item in then.this.expressions] if then.this is not None else [field.name for field in self.fields]
            given = then.expression.expressions
        if len(given) != len(listed):
            raise bad_query(f"Inserted row has wrong column count; Has {len(given)}, expected {len(listed)}")
        for name in listed:
            if find(self.fields, name) is None:
                raise bad_query(f"Column {name} is not present in target table")
        return {find(self.fields, name).name: value for name, value in zip(listed, given)}

    def shaped(self, given: dict, origin: str, keep=False) -> str:
        """All columns of the table: what is given, checked and coerced, else the old value or the default."""
        given = {name: value for name, value in given.items() if not is_default(value)} | {name: None for name, value in given.items() if is_default(value)}
        computed = [name for name, value in given.items() if value is not None]
        raw = "SELECT " + ", ".join([self.dml.sql(given[name]) for name in computed] + [f"{self.target_alias}.{quoted(field.name)}" for field in self.fields
                                                                                   if keep and field.name not in given] or ["1"]) + f" FROM {origin}"
        kept = [field.name for field in self.fields if keep and field.name not in given]
        names = [f"c{index}" for index in range(max(1, len(computed) + len(kept)))]
        kinds = positional(self.cursor, raw)
        place = {name: index for index, name in enumerate([*computed, *kept])}
        parts = []
        for field in self.fields:
            if field.name not in place:
                parts.append(f"{default_of(field)} AS {quoted(field.name)}")
                continue
            index = place[field.name]
            value = names[index]
            if field.name in computed:
                value = assignable(field, value, kinds[index], is_literal(given[field.name], field), "Value")
                value = f"coalesce({value}, [])" if field.repeated else value
            parts.append(f"{value} AS {quoted(field.name)}")
        return f"SELECT {', '.join(parts)} FROM ({raw}) q({', '.join(names)})"


def is_default(value) -> bool:
    return isinstance(value, (exp.Column, exp.Var)) and value.name.upper() == "DEFAULT"


def kind_of(when: exp.When) -> str:
    return "matched" if when.args["matched"] else "source" if when.args.get("source") else "target"
