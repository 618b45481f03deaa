"""What a plan says about the size of a table that PostgreSQL has no statistics of."""

import pytest


def estimated(project, table: str) -> int | None:
    tables = project.run("plan", "p", "--output", "json").json["pipelines"][0]["tables"]
    return next(entry["estimated_rows"] for entry in tables if entry["table"] == table)


@pytest.mark.parametrize("rows", [0, 5, 400])
@pytest.mark.parametrize("partitioned", [False, True])
def test_a_small_table_that_was_never_analyzed_is_counted(rows, partitioned, database, project):
    database.execute("CREATE TABLE t (id int, note text) " + ("PARTITION BY HASH (id)" if partitioned else "") +
                     " WITH (autovacuum_enabled = off)" * (not partitioned))
    if partitioned:
        for part in range(2):
            database.execute(f"CREATE TABLE t{part} PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER {part})"
                             " WITH (autovacuum_enabled = off)")
    database.execute(f"INSERT INTO t SELECT i, 'x' FROM generate_series(1, {rows}) i")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "replace"})
    assert estimated(project, "public.t") == rows


def test_a_condition_is_counted_too(database, project):
    database.execute("CREATE TABLE t (id int) WITH (autovacuum_enabled = off); INSERT INTO t SELECT generate_series(1, 100)")
    project.pipeline(database, {"table": "public.t", "where": "id <= 7"}, {"table": "shop.t", "mode": "replace"})
    assert estimated(project, "public.t") == 7
