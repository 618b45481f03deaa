"""Estimates of statements of every kind."""

from sqlglot import exp

from . import cost


def estimate(run, statement) -> cost.Estimate:
    """What a statement would read (pricing page, as cost.py says)."""
    made = cost.Estimate(run.cursor, run.sizes, run.names, run.view)
    if isinstance(statement, exp.Query):
        made.query(statement)
    elif isinstance(statement, exp.Create) and statement.args["kind"] == "TABLE" and statement.expression is not None:
        made.query(statement.expression)
    elif isinstance(statement, exp.Insert):
        target = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
        table = run.names.find(target, write=True)
        made.tables[table.key] = table
        if isinstance(statement.expression, exp.Query):
            made.query(statement.expression)
    elif isinstance(statement, exp.Merge):
        whens = statement.args["whens"].expressions
        whole = any(not isinstance(when.args["then"], exp.Insert) for when in whens)
        made.query(exp.select("*").from_(statement.args["using"].copy()))
        made.mutation(statement, statement.this, statement.args["on"], whole)
    elif isinstance(statement, (exp.Update, exp.Delete)):
        where = statement.args.get("where")
        source = statement.args.get("from_") or statement.args.get("from")
        if source is not None:
            made.query(exp.select("*").from_(source.this.copy()))
        made.mutation(statement, statement.this, where.this if where else None, True)
        for query in where.find_all(exp.Subquery, exp.Exists, exp.In) if where else ():
            inner = query if isinstance(query, exp.Query) else query.args.get("query") or query.this
            if isinstance(inner, exp.Query):
                made.query(inner)
    return made
