"""Rows that the target already has, when the source's columns change under them: what the source's own rows hold then, the
target must hold too, or the run says why not. Read back with DuckDB for Python, which the program has no part in."""

import uuid

import pyarrow.dataset
import pytest

from support.shop import HISTORY, LAKE_APPEND, LAKE_HISTORY, LAKE_MERGE, MERGE, APPEND

TARGETS = {"merge": MERGE, "history": HISTORY, "lake merge": LAKE_MERGE, "lake history": LAKE_HISTORY}
# The lag keeps an increment from looking at older rows, whatever wrote them.
SOURCE = {"table": "public.orders", "cursor": "u", "cursor_lag": "1h"}


@pytest.fixture(params=TARGETS, ids=lambda name: name.replace(" ", "-"))
def target(request):
    return dict(TARGETS[request.param])


def crossed(cases, for_history) -> list[tuple]:
    """Every case with the targets that merge; with those that keep history the cases that they might treat otherwise."""
    return [(name, case) for name, target in TARGETS.items() for case in cases if target["mode"] == "merge" or case in for_history]


def make_table(database, columns: str = "a text, b text", more: str = "") -> None:
    """Rows so old that no increment looks at them again by itself."""
    database.execute(f"CREATE TABLE orders (id int, {columns}, u timestamptz{more})")
    names = [column.split()[0] for column in columns.split(", ")]
    values = ", ".join(f"'{name}' || i" for name in names)
    database.execute(f"INSERT INTO orders (id, {', '.join(names)}, u) SELECT i, {values}, now() - i * interval '10 days' FROM generate_series(1, 20) i")


KEY = ", PRIMARY KEY (id)"


def touch(database) -> None:
    database.execute("UPDATE orders SET u = now() WHERE id = 3")


def stored(project, target: dict, columns: str) -> list[tuple]:
    where = "WHERE _penstock_valid_to IS NULL" if target["mode"] == "history" else ""
    sql = f"SELECT id, {columns} FROM %s {where} ORDER BY id"
    return project.parquet("orders", sql % "data") if "format" in target else project.duck(sql % "shop.orders")


ADDED = {  # the change, and the new column as text on both sides
    "constant": ("ADD n int NOT NULL DEFAULT 7", "n::text", "n::VARCHAR"),
    "nothing": ("ADD n int", "n::text", "n::VARCHAR"),
    "a default later": ("ADD n int, ALTER n SET DEFAULT 4", "n::text", "n::VARCHAR"),
    "text": ("ADD n text DEFAULT 'it''s {ä},\\ \"x\"'", "n", "n"),
    "padded": ("ADD n char(4) DEFAULT 'ab'", "rpad(n, 4)", "n"),
    "numeric": ("ADD n numeric(8,3) DEFAULT 1.25", "n::text", "n::VARCHAR"),
    "boolean": ("ADD n bool DEFAULT true", "n::text", "n::VARCHAR"),
    "time": ("ADD n timestamptz DEFAULT '2020-02-29 12:00:00.5+05:30'", "(extract(epoch FROM n) * 1000000)::bigint", "epoch_us(n)"),
    "json": ("ADD n jsonb DEFAULT '{\"a\": [1,\"ä\"]}'", "n::text", "n::VARCHAR"),
    "bytea": ("ADD n bytea DEFAULT '\\xdeadbeef00'", "encode(n, 'hex')", "lower(hex(n))"),
    "array": ("ADD n int[] DEFAULT '{1,NULL,3}'", "array_to_string(n, ',', '-')", "array_to_string(list_transform(n, lambda x: coalesce(x::VARCHAR, '-')), ',')"),
    "range": ("ADD n int4range DEFAULT '[1,5)'", "lower(n) || '-' || upper(n)", "n.lower || '-' || n.upper"),
    "interval": ("ADD n interval DEFAULT '1 mon -2 days'", "n::text", None),
    "random": ("ADD n float8 NOT NULL DEFAULT random()", "n", "n"),
    "uuid": ("ADD n uuid DEFAULT gen_random_uuid()", "n::text", "n::VARCHAR"),
    "sequence": ("ADD n bigserial", "n", "n"),
    "identity": ("ADD n int GENERATED ALWAYS AS IDENTITY", "n", "n"),
    "generated": ("ADD n int GENERATED ALWAYS AS (id * 2) STORED", "n", "n"),
    "dropped default": ("ADD n int DEFAULT 9, ALTER n DROP DEFAULT", "n", "n"),
}


@pytest.mark.parametrize("target, change", crossed(ADDED, ("constant", "bytea", "array", "random")), indirect=["target"])
def test_older_rows_get_what_the_source_has_in_an_added_column(change, target, database, project):
    sql, there, here = ADDED[change]
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, target)
    project.load()
    for part in sql.split(", "):
        database.execute("ALTER TABLE orders " + part)
    touch(database)
    project.load()
    if here is None:
        here = "n::VARCHAR" if "format" in target else "to_months(datepart('month', n))::VARCHAR || ' ' || datepart('day', n) || ' days'"
        there = "n::text" if "format" in target else "'1 month -2 days'"
    assert stored(project, target, here) == database.rows(f"SELECT id, {there} FROM orders ORDER BY id")
    rows = project.load().counts()[0]
    assert rows <= 1, "what was read again once is not read again by the next run"


@pytest.mark.parametrize("rewrite", ["VACUUM FULL orders", "CLUSTER orders USING orders_pkey", "ALTER TABLE orders ALTER b TYPE varchar(40)"])
def test_a_rewritten_table_no_longer_says_what_a_default_was(rewrite, target, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, target)
    project.load()
    database.execute("ALTER TABLE orders ADD n int DEFAULT 7")
    database.execute("UPDATE orders SET n = 8 WHERE id = 5")
    database.execute(rewrite)
    touch(database)
    project.load()
    assert stored(project, target, "n") == database.rows("SELECT id, n FROM orders ORDER BY id")


def test_a_default_of_which_no_trace_is_left_ends_the_run(target, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, target)
    project.load()
    database.execute("ALTER TABLE orders ADD n int DEFAULT 7")
    database.execute("VACUUM FULL orders")
    database.execute("ALTER TABLE orders ALTER n DROP DEFAULT")
    touch(database)
    report = project.load(expect=1)
    assert report.error["code"] == "older_rows_unseen" and "--full-refresh" in report.output.err and " n " in report.output.err
    project.load("--full-refresh")
    assert stored(project, target, "n") == database.rows("SELECT id, n FROM orders ORDER BY id")


def test_a_rewritten_table_with_an_empty_new_column_goes_on(database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, dict(MERGE))
    project.load()
    database.execute("ALTER TABLE orders ADD n int")
    database.execute("VACUUM FULL orders")
    touch(database)
    assert project.load().counts()[0] <= 2
    assert stored(project, MERGE, "n") == [(i, None) for i in range(1, 21)]


def test_a_column_that_was_left_out_for_a_while_is_read(target, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, {**target, "schema_change": "freeze"})
    project.load()
    database.execute("ALTER TABLE orders ADD n int")
    touch(database)
    project.load()
    database.execute("UPDATE orders SET n = id, u = now() WHERE id < 9")
    project.load()
    database.execute("UPDATE orders SET u = now() + interval '3 hours' WHERE id = 20")
    project.load()
    project.pipeline(database, SOURCE, target)
    project.load()
    assert stored(project, target, "n") == database.rows("SELECT id, n FROM orders ORDER BY id")


PARTITIONED = ", PRIMARY KEY (id)) PARTITION BY RANGE (id"


def make_partitions(database) -> None:
    database.execute(f"CREATE TABLE orders (id int, a text, u timestamptz{PARTITIONED})")
    database.execute("CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (11); CREATE TABLE high PARTITION OF orders FOR VALUES FROM (11) TO (100)")
    database.execute("INSERT INTO orders SELECT i, 'a' || i, now() - i * interval '10 days' FROM generate_series(1, 20) i")


@pytest.mark.parametrize("after", ["", "VACUUM FULL low", "VACUUM FULL orders"])
@pytest.mark.parametrize("default", ["7", "(random() * 1000)::int"])
def test_partitions_say_what_their_parent_does_not(default, after, target, database, project):
    make_partitions(database)
    project.pipeline(database, SOURCE, target)
    project.load()
    database.execute(f"ALTER TABLE orders ADD n int DEFAULT {default}")
    if after:
        database.execute(after)
    touch(database)
    report = project.load()
    assert stored(project, target, "n") == database.rows("SELECT id, n FROM orders ORDER BY id")
    assert (report.counts()[0] == 20) == (default != "7" or after != "")


def test_partitions_that_do_not_agree_are_read(target, database, project):
    make_partitions(database)
    database.execute("CREATE TABLE other (id int NOT NULL, a text, u timestamptz); INSERT INTO other SELECT i, 'o', now() - i * interval '10 days' FROM generate_series(100, 105) i")
    database.execute("ALTER TABLE orders ATTACH PARTITION other FOR VALUES FROM (100) TO (200)")
    project.pipeline(database, SOURCE, target)
    project.load()
    database.execute("ALTER TABLE orders DETACH PARTITION other; ALTER TABLE orders ADD n int DEFAULT 1; ALTER TABLE other ADD n int DEFAULT 2")
    database.execute("ALTER TABLE orders ATTACH PARTITION other FOR VALUES FROM (100) TO (200)")
    touch(database)
    project.load()
    assert stored(project, target, "n") == database.rows("SELECT id, n FROM orders ORDER BY id")


def test_children_by_inheritance_and_views_are_read(target, database, project):
    make_table(database, more=KEY)
    database.execute("CREATE TABLE child () INHERITS (orders); INSERT INTO child SELECT 100 + i, 'c', 'c', now() - i * interval '10 days' FROM generate_series(1, 9) i")
    database.execute("CREATE VIEW seen AS SELECT id, a, u FROM orders")
    for source, change in (("orders", "ALTER TABLE orders ADD n int DEFAULT 3; "), ("seen", "CREATE OR REPLACE VIEW seen AS SELECT id, a, u, n FROM orders")):
        place = {**target, **({"path": f"{source}/"} if "format" in target else {"table": f"shop.{source}"})}
        project.pipeline(database, {"table": f"public.{source}", "cursor": "u", "cursor_lag": "1h"}, place, name=source)
        project.load()
        database.execute(change)
        if source == "orders":
            database.execute("VACUUM FULL child")
        touch(database)
        project.load()
        where = " WHERE _penstock_valid_to IS NULL" if target["mode"] == "history" else ""
        rows = project.parquet(source, f"SELECT id, n FROM data{where} ORDER BY id") if "format" in target else project.duck(f"SELECT id, n FROM shop.{source}{where} ORDER BY id")
        assert rows == database.rows(f"SELECT id, n FROM {source} ORDER BY id")


def test_the_plan_says_that_the_whole_table_is_read(target, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, target)
    project.load()
    database.execute("ALTER TABLE orders ADD n float8 DEFAULT random()")
    touch(database)
    text = project.run("plan").out
    assert "everything" in text and "every row is read again" in text
    table = project.run("plan", "--output", "json").json["pipelines"][0]["tables"][0]
    assert table["reads_everything"] is True and table["checkpoint"] is None
    report = project.load()
    assert report.counts()[0] == 20 and "every row is read again" in report.output.err
    assert project.run("plan", "--output", "json").json["pipelines"][0]["tables"][0]["reads_everything"] is False


def test_a_run_that_is_narrowed_by_hand_does_not_backfill(target, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, target)
    project.load()
    database.execute("ALTER TABLE orders ADD n float8 DEFAULT random()")
    for bounds in (("--limit", "5"), ("--from", "2020-01-01")):
        error = project.load(*bounds, expect=None)
        assert error.code != 0 and error.error["code"] == "older_rows_need_all", error.output
    project.load()
    assert stored(project, target, "n") == database.rows("SELECT id, n FROM orders ORDER BY id")


@pytest.mark.parametrize("where", [{}, {"update_when": "S.u > T.u"}])
def test_what_cannot_be_backfilled_ends_the_run(where, database, project):
    make_table(database, more=KEY)
    place = {**MERGE, **where} if where else dict(APPEND)
    project.pipeline(database, SOURCE, place)
    project.load()
    database.execute("ALTER TABLE orders ADD n float8 DEFAULT random()")
    touch(database)
    report = project.load(expect=1)
    assert "--full-refresh" in report.output.err and " n " in report.output.err
    project.load("--full-refresh")
    assert stored(project, place, "n") == database.rows("SELECT id, n FROM orders ORDER BY id")


def test_appended_files_are_not_given_values_they_cannot_have(database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, dict(LAKE_APPEND))
    project.load()
    database.execute("ALTER TABLE orders ADD n float8 DEFAULT random()")
    touch(database)
    assert "--full-refresh" in project.load(expect=1).output.err


# -- a name that another column took over ---------------------------------------------------------------------------------
REPLACED = {
    "taken over": "ALTER TABLE orders DROP a; ALTER TABLE orders RENAME b TO a",
    "swapped": "ALTER TABLE orders RENAME a TO c; ALTER TABLE orders RENAME b TO a; ALTER TABLE orders RENAME c TO b",
    "added again, empty": "ALTER TABLE orders DROP a; ALTER TABLE orders ADD a text",
    "added again, constant": "ALTER TABLE orders DROP a; ALTER TABLE orders ADD a text DEFAULT 'x'",
    "added again, volatile": "ALTER TABLE orders DROP a; ALTER TABLE orders ADD a text DEFAULT gen_random_uuid()::text",
    "renamed away and added": "ALTER TABLE orders RENAME a TO c; ALTER TABLE orders ADD a text DEFAULT 'y'",
    "another type": "ALTER TABLE orders DROP a; ALTER TABLE orders ADD a int DEFAULT 5",
    "moved on": "ALTER TABLE orders RENAME b TO c; ALTER TABLE orders RENAME a TO b",
    "dropped and moved on": "ALTER TABLE orders DROP b; ALTER TABLE orders RENAME a TO b; ALTER TABLE orders ADD a text",
}


KEPT = "SELECT id, a__dropped FROM %s WHERE id = 7 AND a__dropped IS NOT NULL"


def source_columns(database) -> str:
    return ", ".join(name for name, in database.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'u') ORDER BY 1"))


@pytest.mark.parametrize("target, change", crossed(REPLACED, ("taken over", "swapped", "added again, volatile")), indirect=["target"])
def test_a_name_that_another_column_took_over(change, target, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, target)
    project.load()
    before = database.rows("SELECT id, a FROM orders WHERE id = 7")
    for sql in REPLACED[change].split("; "):
        database.execute(sql)
    touch(database)
    project.load()
    columns = source_columns(database)
    assert stored(project, target, columns) == database.rows(f"SELECT id, {columns} FROM orders ORDER BY id")
    if "DROP a" in REPLACED[change]:
        kept = project.parquet("orders", KEPT % "data") if "format" in target else project.duck(KEPT % "shop.orders")
        assert kept == before, "what was loaded is not lost; in a history it may be an earlier version that has it"
    touch(database)
    project.load()
    assert stored(project, target, columns) == database.rows(f"SELECT id, {columns} FROM orders ORDER BY id")


@pytest.mark.parametrize("policy", ["freeze", "reject"])
def test_a_replaced_column_ends_the_run_where_the_target_keeps_its_shape(policy, target, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, {**target, "schema_change": policy})
    project.load()
    before = stored(project, target, "a, b")
    database.execute("ALTER TABLE orders DROP a; ALTER TABLE orders RENAME b TO a")
    touch(database)
    assert "column_replaced" in project.load(expect=1).output.err
    assert stored(project, target, "a, b") == before


@pytest.mark.parametrize("column", ["id", "u"])
def test_a_replaced_key_or_cursor_asks_for_a_full_refresh(column, target, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, target)
    project.load()
    database.execute("ALTER TABLE orders DROP id; ALTER TABLE orders ADD id serial PRIMARY KEY" if column == "id"
                     else "ALTER TABLE orders DROP u; ALTER TABLE orders ADD u timestamptz DEFAULT now()")
    report = project.load(expect=1)
    assert "--full-refresh" in report.output.err and column in report.error["message"]
    project.load("--full-refresh")
    assert stored(project, target, "a") == database.rows("SELECT id, a FROM orders ORDER BY id")
    touch(database)
    project.load()
    assert stored(project, target, "a") == database.rows("SELECT id, a FROM orders ORDER BY id")


def test_a_replaced_column_of_appended_files_asks_for_a_full_refresh(database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, dict(LAKE_APPEND))
    project.load()
    database.execute("ALTER TABLE orders DROP a; ALTER TABLE orders RENAME b TO a")
    touch(database)
    assert "--full-refresh" in project.load(expect=1).output.err


def test_numbers_of_a_table_that_was_made_anew_mean_nothing(target, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, target)
    project.load()
    database.execute("DROP TABLE orders")
    make_table(database, "b text, a text", KEY)
    touch(database)
    project.load()
    assert stored(project, target, "a, b") == database.rows("SELECT id, a, b FROM orders ORDER BY id")
    touch(database)
    project.load()
    # From here on they mean something again.
    database.execute("ALTER TABLE orders DROP b; ALTER TABLE orders RENAME a TO b")
    touch(database)
    project.load()
    assert stored(project, target, "b") == database.rows("SELECT id, b FROM orders ORDER BY id")


def test_a_column_that_came_with_a_table_made_anew_is_read(target, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, target)
    project.load()
    database.execute("CREATE TABLE next AS SELECT *, id * 3 AS n FROM orders; DROP TABLE orders; ALTER TABLE next RENAME TO orders; ALTER TABLE orders ADD PRIMARY KEY (id)")
    touch(database)
    project.load()
    assert stored(project, target, "n") == database.rows("SELECT id, n FROM orders ORDER BY id")


@pytest.mark.parametrize("change", ["constant", "bytea", "array", "uuid"])
def test_another_reader_of_the_files_sees_the_same(change, database, project):
    make_table(database, more=KEY)
    project.pipeline(database, SOURCE, dict(LAKE_MERGE))
    project.load()
    database.execute("ALTER TABLE orders " + ADDED[change][0])
    touch(database)
    project.load()
    rows = pyarrow.dataset.dataset([str(file) for file in project.data_files("orders")]).to_table(columns=["id", "n"]).to_pylist()
    read = {row["id"]: uuid.UUID(bytes=row["n"]) if change == "uuid" and isinstance(row["n"], bytes) else row["n"] for row in rows}
    assert read == dict(database.rows("SELECT id, n FROM orders"))
