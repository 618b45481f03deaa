"""What a statement is and did."""

from dataclasses import dataclass, field

from sqlglot import exp

from .schema import Field
from .store import Segment, Table


@dataclass
class Outcome:
    """What one statement did, as statistics.query shows it."""

    kind: str
    processed: int = 0
    billed: int = 0
    tables: list[Table] = field(default_factory=list)
    fields: tuple[Field, ...] = ()
    result: Segment | None = None
    dml: dict | None = None
    ddl: dict | None = None
    sql: str = ""


KINDS = {exp.Insert: "INSERT", exp.Update: "UPDATE", exp.Delete: "DELETE", exp.Merge: "MERGE", exp.TruncateTable: "TRUNCATE_TABLE",
         exp.Transaction: "BEGIN_TRANSACTION", exp.Commit: "COMMIT_TRANSACTION", exp.Rollback: "ROLLBACK_TRANSACTION", exp.Declare: "SCRIPT",
         exp.Set: "SCRIPT", exp.Alter: "ALTER_TABLE"}


def kind_of(statement) -> str:
    if isinstance(statement, exp.Create):
        if statement.args["kind"] == "TABLE" and statement.expression is not None:
            return "CREATE_TABLE_AS_SELECT"
        return f"CREATE_{statement.args['kind']}"
    if isinstance(statement, exp.Drop):
        return f"DROP_{statement.args['kind']}"
    if isinstance(statement, exp.Command):
        return "ALTER_TABLE" if statement.this.upper() == "ALTER" else "SCRIPT"
    return KINDS.get(type(statement), "SELECT")
