"""Query jobs: estimate, limits, statements one by one."""

import time
import uuid

import duckdb
from sqlglot import exp

from . import cost, script
from .alter import Alter
from .assignment import assignable, check_no_null_elements
from .ddl import Ddl
from .dml import Dml
from .errors import ApiError, bad_query, invalid
from .estimates import estimate
from .outcome import Outcome, kind_of
from .schema import Field
from .sql import (SQL_LIMIT, Names, Prepared, bind, fields_of, generate, name_columns, parse, query_error, resolve, shaped, translate)
from .store import Segment, Table
from .transaction import Latest, Transaction


class Run:
    """The execution of one query job."""

    def __init__(self, engine, project: str, config: dict, location: str | None, caller, job=None):
        self.job = job
        self.engine, self.store, self.sizes, self.caller = engine, engine.store, engine.sizes, caller
        self.config, self.project = config, project
        self.cursor = engine.store.cursor()
        self.names = Names(engine.store, project, config.get("defaultDataset"), location, caller.check_table)
        self.transaction: Transaction | None = None
        self.outcomes: list[Outcome] = []
        self.variables: dict[str, exp.Expression] = {}
        self.prepared = Prepared()
        self.touched: Table | None = None
        self.limit = int(config["maximumBytesBilled"]) if config.get("maximumBytesBilled") else None
        self.temporary_segments: list[Segment] = []

    @property
    def view(self):
        return self.transaction or Latest(self.store)

    def allow_dataset(self, dataset, write: bool) -> None:
        self.caller.check_dataset(dataset, write)

    def allow_project(self, project: str) -> None:
        self.caller.check_project(project)

    # -- estimates -----------------------------------------------------------------------------------------------
    def dry(self, sql: str) -> Outcome:
        """Dry run: what the statements would read by the state of now."""
        statements = self.parsed(sql)
        total = Outcome(kind_of(statements[0]) if len(statements) == 1 else "SCRIPT")
        for statement in statements:
            if isinstance(statement, (exp.Declare, exp.Set)):
                self.execute(statement)
                continue
            statement = bind(statement, self.config.get("queryParameters") or [], self.variables)
            try:
                made = estimate(self, statement)
            except ApiError as error:
                if len(statements) > 1 and error.reason == "notFound":
                    continue  # made by an earlier statement of the script
                raise
            total.processed += made.processed
            total.billed += cost.billed(made.by_table)
            total.tables += made.tables.values()
            if len(statements) == 1 and isinstance(statement, exp.Query):
                total.fields = self.describe(statement)
        return total

    def parsed(self, sql: str) -> list:
        if len(sql.encode()) > SQL_LIMIT:
            return parse(sql)  # says so
        out = []

        def walk(items):
            for item in items:
                if isinstance(item, script.Plain):
                    out.extend(parse(item.sql))
                elif isinstance(item, script.Assertion):
                    out.extend(parse(f"SELECT {item.condition}"))
                elif isinstance(item, script.Block):
                    walk(item.body)
                else:
                    for _, body in item.branches:
                        walk(body)

        walk(script.split(sql))
        if not out:
            raise invalid("Required parameter is missing: query")
        return out

    # -- execution -----------------------------------------------------------------------------------------------
    def run(self, sql: str) -> Outcome:
        self.parsed(sql)
        items = script.split(sql)
        try:
            self.block(items)
        finally:
            if self.transaction is not None:
                self.transaction.release()  # Transactions page: rolled back where the query ends before COMMIT
                self.transaction = None
        if len(self.outcomes) == 1 and len(items) == 1:
            return self.outcomes[0]
        last = next((one for one in reversed(self.outcomes) if one.kind == "SELECT"), Outcome("SCRIPT"))
        return Outcome("SCRIPT", sum(one.processed for one in self.outcomes), sum(one.billed for one in self.outcomes),
                       [table for one in self.outcomes for table in one.tables], last.fields, last.result)

    def block(self, items) -> None:
        for item in items:
            if isinstance(item, script.Plain):
                for statement in parse(item.sql):
                    self.one(statement, item.sql)
            elif isinstance(item, script.Assertion):
                self.check(item)
            elif isinstance(item, script.If):
                for condition, body in item.branches:
                    if condition is None or self.constant(parse(f"SELECT {condition}")[0]):
                        self.block(body)
                        break
            else:
                self.handled(item)

    def check(self, item: script.Assertion) -> None:
        """Debugging statements page: an expression that is FALSE or NULL ends the script with the description."""
        query = parse(f"SELECT {item.condition}")[0]
        self.one(query, f"ASSERT {item.condition}")
        self.outcomes[-1].kind = "ASSERT"
        if not self.constant(query):
            raise bad_query(item.description)

    def handled(self, item: script.Block) -> None:
        try:
            self.block(item.body)
        except ApiError as error:
            if item.handler is None:
                raise
            self.variables["@@error.message"] = exp.Literal.string(error.message)
            self.block(item.handler)

    def constant(self, query):
        query = bind(query, self.config.get("queryParameters") or [], self.variables)
        resolved = resolve(query, self.names, self.view, self.prepared, self.cursor)
        try:
            return self.cursor.execute(generate(translate(resolved))).fetchone()[0]
        except duckdb.Error as error:
            raise query_error(error) from None

    def one(self, statement, sql: str) -> None:
        if not isinstance(statement, exp.Set):
            statement = bind(statement, self.config.get("queryParameters") or [], self.variables)
        made = estimate(self, statement)
        billed = cost.billed(made.by_table)
        spent = sum(one.billed for one in self.outcomes)
        # Query job reference, maximumBytesBilled: "Queries that will have bytes billed beyond this limit will fail (without incurring a charge)".
        if self.limit is not None and spent + billed > self.limit:
            raise ApiError("bytesBilledLimitExceeded", f"Query exceeded limit for bytes billed: {self.limit}. {spent + billed} or higher required.")
        outcome = Outcome(kind_of(statement), made.processed, billed, list(made.tables.values()), sql=sql)
        self.prepared = Prepared()
        self.engine.pause(self, outcome.kind)
        if self.job is not None and self.job.cancelled:
            raise ApiError("stopped", "Job execution was cancelled: User requested cancellation")
        result = self.execute(statement)
        if isinstance(result, tuple):
            outcome.fields, outcome.result = result
        elif isinstance(result, dict) and "insertedRowCount" in result:
            outcome.dml = result
            self.variables["@@row_count"] = exp.Literal.number(sum(result.values()))
        elif isinstance(result, dict):
            outcome.ddl = result
        self.outcomes.append(outcome)

    def execute(self, statement):
        if isinstance(statement, exp.Query):
            return self.select(statement)
        if isinstance(statement, (exp.Transaction, exp.Commit, exp.Rollback)):
            return self.transact(statement)
        if isinstance(statement, exp.Declare):
            return self.declare(statement)
        if isinstance(statement, exp.Set):
            return self.assign(statement)
        dml = {exp.Insert: "insert", exp.Update: "update", exp.Delete: "delete", exp.Merge: "merge", exp.TruncateTable: "truncate"}
        if type(statement) in dml:
            return getattr(Dml(self), dml[type(statement)])(statement)
        if isinstance(statement, (exp.Create, exp.Drop)):
            self.refuse_in_transaction(statement)
            return getattr(Ddl(self), "create" if isinstance(statement, exp.Create) else "drop")(statement)
        if isinstance(statement, exp.Alter):
            return Alter(self).alter(statement)
        if isinstance(statement, exp.Command):
            done = Alter(self).command(statement)
            if done is not None:
                return done
        raise ApiError("notImplemented", f"Statement is not implemented: {statement.sql('bigquery')[:100]}")

    def refuse_in_transaction(self, statement) -> None:
        """Transactions page, limitations: only temporary tables may be created or dropped within one."""
        if self.transaction is None:
            return
        temporary = any(isinstance(item, exp.TemporaryProperty) for item in (statement.args.get("properties") or exp.Properties()).expressions)
        if not temporary and not (isinstance(statement, exp.Drop) and statement.this.name in self.names.temporary):
            raise bad_query(f"{kind_of(statement).replace('_', ' ')} is not supported in a multi-statement transaction unless it is for a temporary table")

    def transact(self, statement) -> None:
        if isinstance(statement, exp.Transaction):
            if self.transaction is not None:
                raise bad_query("Transaction is already in progress: nested transactions are not supported")
            self.transaction = Transaction(self.store)
        elif self.transaction is None:
            raise bad_query("There is no transaction in progress")
        else:
            transaction, self.transaction = self.transaction, None
            try:
                if isinstance(statement, exp.Commit):
                    transaction.commit()
            finally:
                transaction.release()

    def declare(self, statement) -> None:
        for item in statement.expressions:
            value = item.args.get("default")
            kind = item.args.get("kind")
            for name in item.this if isinstance(item.this, list) else [item.this]:
                self.set_variable(name.name, value, kind)

    def assign(self, statement) -> None:
        for item in statement.expressions:
            equal = item.this
            self.set_variable(equal.this.name, equal.expression, None)

    def set_variable(self, name: str, value, kind) -> None:
        literal = exp.null()
        if value not in (None, False):
            inner = value.this if isinstance(value, exp.Subquery) else None
            query = inner if isinstance(inner, exp.Query) else exp.Select(expressions=[value.copy()])
            resolved = resolve(bind(query, self.config.get("queryParameters") or [], self.variables), self.names, self.view, self.prepared, self.cursor)
            found, kind_text = self.cursor.execute(f"SELECT v::VARCHAR, typeof(v) FROM ({generate(translate(resolved))}) q(v)").fetchone() or (None, "VARCHAR")
            literal = exp.null() if found is None else exp.cast(exp.Literal.string(found), exp.DataType.build(kind_text, dialect="duckdb", udt=True))
        self.variables[name.lower()] = literal

    def describe(self, statement) -> tuple[Field, ...]:
        statement = statement.copy()
        name_columns(statement)
        return fields_of(self.cursor, generate(translate(resolve(statement, self.names, self.view, Prepared(), self.cursor))))

    def select(self, statement) -> tuple:
        statement = statement.copy()
        name_columns(statement)
        sql = generate(translate(resolve(statement, self.names, self.view, self.prepared, self.cursor)))
        fields = fields_of(self.cursor, sql)
        try:
            segment = self.store.write_rows(self.cursor, fields, shaped(sql, fields))
        except duckdb.Error as error:
            raise query_error(error) from None
        check_no_null_elements(self.cursor, segment, fields)
        return fields, segment

    def create_as(self, statement, listed, meta) -> tuple:
        fields, segment = self.select(statement)
        if listed:
            if len(listed) != len(fields):
                raise bad_query("The number of columns in the column definition list does not match the number of columns produced by the query")

            parts = [assignable(want, f"c{i}", have, False, f"Query column {i + 1}") + f' AS "{want.name}"' for i, (want, have) in enumerate(zip(listed, fields))]
            names = ", ".join(f"c{i}" for i in range(len(fields)))
            segment = self.store.write_rows(self.cursor, listed, f"SELECT {', '.join(parts)} FROM (SELECT * FROM {segment.name}) q({names})")
            fields = tuple(listed)
        from . import partitions
        from .store import Version

        partitions.check_spec(meta, fields)
        probe = Table("", "", "", meta, [Version(time.time(), tuple(fields))])
        partitions.check_job(self.cursor, probe, f"SELECT * FROM {segment.name}", fields)
        return fields, [segment]


def anonymous_name() -> str:
    """Cached query results page: results go to a table of a hidden dataset."""
    return "anon" + uuid.uuid4().hex
