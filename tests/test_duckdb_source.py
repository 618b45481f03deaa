"""A DuckDB file as a source: models inside the warehouse, tables into other targets, every type, increments, kills."""

import random
import shutil
import signal
import time

import duckdb
import pytest

from support.program import ROOT

CONNECTIONS = {"warehouse": {"type": "duckdb", "path": "warehouse.duckdb"}, "other": {"type": "duckdb", "path": "other.duckdb"},
               "lake": {"type": "files", "url": "file:lake"}}
MODEL = """
    SELECT o.order_id, c.name AS customer, sum(o.amount) AS total, count(*) AS lines, max(o.updated_at) AS updated_at
    FROM shop.lines o JOIN shop.customers c USING (customer_id) GROUP BY ALL -- the fact table
"""


def fill(project, sql: str, file: str = "warehouse.duckdb") -> None:
    with duckdb.connect(str(project.folder / file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(sql)


def make_shop(project, lines: int = 5000) -> None:
    fill(project, f"""
        CREATE SCHEMA shop;
        CREATE TABLE shop.customers AS SELECT i::INT AS customer_id, 'customer ' || i AS name FROM range(10) t(i);
        CREATE TABLE shop.lines AS SELECT (i // 3)::BIGINT AS order_id, (i % 10)::INT AS customer_id, (i * 7 % 1000)::BIGINT AS amount,
            TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_seconds(i) AS updated_at FROM range({lines}) t(i)""")


def pipelines(project, **made) -> None:
    for pipeline in made.values():
        for side in ("source", "target"):
            pipeline[side].setdefault("connection", "warehouse")
    used = {pipeline[side]["connection"] for pipeline in made.values() for side in ("source", "target")}
    project.config(connections={name: CONNECTIONS[name] for name in CONNECTIONS if name in used}, pipelines=made)


# -- models inside the warehouse -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["merge", "replace", "history"])
def test_a_model_reads_and_writes_one_file(mode, project):
    make_shop(project)
    project.write(MODEL, "models/fct_orders.sql")
    target = {"table": "marts.fct_orders", "mode": mode, **({} if mode == "replace" else {"key": ["order_id", "customer"]})}
    pipelines(project, fct={"source": {"query": "models/fct_orders.sql"}, "target": target})
    expected = len(project.duck(MODEL))
    assert project.load().counts() == (expected, expected, 0, 0)
    columns = "order_id, customer, total, lines, updated_at"
    current = " WHERE _penstock_valid_to IS NULL" if mode == "history" else ""
    difference = f"SELECT count(*) FROM ((SELECT {columns} FROM marts.fct_orders{current} EXCEPT ALL ({MODEL}\n)) UNION ALL " \
                 f"(({MODEL}\n) EXCEPT ALL SELECT {columns} FROM marts.fct_orders{current}))"
    assert project.duck_value(difference) == 0
    assert dict(project.duck("SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'marts'"))["total"] == "DECIMAL(38,0)"
    fill(project, "UPDATE shop.lines SET amount = amount + 1 WHERE order_id = 7; DELETE FROM shop.lines WHERE order_id = 9")
    project.load()
    if mode == "replace":
        assert project.duck_value(difference) == 0
    assert project.duck_value(f"SELECT count(*) FROM (SELECT * FROM marts.fct_orders{current}) WHERE order_id = 7") == \
        project.duck_value(f"SELECT count(*) FROM ({MODEL}\n) WHERE order_id = 7")


def test_an_increment_reads_what_is_new_and_lags_as_told(project):
    make_shop(project)
    pipelines(project, lines={"source": {"table": "shop.lines", "cursor": "updated_at", "cursor_lag": "10s"},
                              "target": {"table": "marts.lines", "mode": "append"}})
    first = project.load().run()
    assert first["rows_written"] == 5000 and first["cursor"]["to"].startswith("2026-01-01 01:23:19")
    fill(project, """INSERT INTO shop.lines SELECT order_id, customer_id, amount, updated_at + INTERVAL '2 hours' FROM shop.lines LIMIT 100;
                     INSERT INTO shop.lines SELECT 1, 1, 1, max(updated_at) - INTERVAL '5 seconds' FROM shop.lines
                     WHERE updated_at < TIMESTAMPTZ '2026-01-01 01:30:00+00';
                     INSERT INTO shop.lines VALUES (2, 2, 2, NULL)""")
    second = project.load().run()
    assert second["rows_written"] == 102, second
    assert project.duck_value("SELECT count(*) FROM (SELECT * FROM shop.lines EXCEPT ALL SELECT * FROM marts.lines)") == 0
    assert project.load().run()["rows_written"] == 0
    assert project.duck_value("SELECT count(*) FROM marts.lines") == 5102


@pytest.mark.parametrize("kind, values, lag", [
    ("BIGINT", "(1), (9223372036854775806)", "9000000000000000"), ("SMALLINT", "(-32768), (5)", "100"), ("DECIMAL(12,3)", "(1.5), (2.25)", "3"),
    ("DATE", "(DATE '2026-01-01'), (DATE 'infinity')", "36h"), ("TIMESTAMP", "(TIMESTAMP '2026-01-01 10:00:00')", "1d"),
    ("HUGEINT", "(1), (170141183460469231)", "5")])
def test_cursors_of_every_kind(kind, values, lag, project):
    fill(project, f"CREATE TABLE t (c {kind}); INSERT INTO t VALUES {values}")
    pipelines(project, p={"source": {"table": "t", "cursor": "c", "cursor_lag": lag}, "target": {"table": "made.t", "mode": "append"}})
    project.load()
    assert project.load().run()["rows_written"] == 0
    fill(project, "INSERT INTO t SELECT c FROM t ORDER BY c LIMIT 1")
    project.load()
    assert project.duck_value("SELECT count(*) FROM (SELECT c FROM t EXCEPT SELECT c FROM made.t)") == 0


def test_bounds_narrow_one_run_and_leave_the_checkpoint(project):
    make_shop(project)
    pipelines(project, lines={"source": {"table": "shop.lines", "cursor": "updated_at", "where": "customer_id <> 3 -- not these"},
                              "target": {"table": "marts.lines", "mode": "merge", "key": ["order_id", "customer_id", "updated_at"]}})
    assert project.load("--from", "2026-01-01 00:00:10+00", "--to", "2026-01-01 00:00:29+00").run()["rows_written"] == 18
    assert project.load("--limit", "7").run()["rows_read"] == 7
    assert project.load().run()["rows_read"] == 4500


def test_several_tables_as_of_one_moment(project):
    make_shop(project)
    fill(project, "CREATE TABLE shop.audit_log AS SELECT 1 AS a; CREATE VIEW shop.seen AS SELECT 1 AS a")
    pipelines(project, copy={"source": {"tables": ["shop.*", "shop.seen"], "exclude": ["*.audit_*"]},
                             "target": {"connection": "other", "dataset": "copied", "mode": "replace"}})
    assert {table["table"] for table in project.load().run()["tables"]} == {"shop.customers", "shop.lines", "shop.seen"}
    with duckdb.connect(str(project.folder / "other.duckdb"), read_only=True) as other:
        assert other.execute("SELECT count(*) FROM copied.lines").fetchone() == (5000,)
        assert other.execute("SELECT count(*) FROM copied.customers").fetchone() == (10,)


# -- values --------------------------------------------------------------------------------------------------------------------
def test_values_of_every_type_arrive_whole(project):
    fill(project, """
        CREATE TYPE mood AS ENUM ('sad', 'happy');
        CREATE TABLE kinds (id INT PRIMARY KEY, b BOOLEAN, t1 TINYINT, u1 UTINYINT, u2 USMALLINT, u4 UINTEGER, u8 UBIGINT, h HUGEINT,
            f FLOAT, d DOUBLE, n DECIMAL(38,10), n2 DECIMAL(4,1), v VARCHAR, bl BLOB, da DATE, ti TIME, tz TIMESTAMPTZ, ts TIMESTAMP, tns TIMESTAMP_NS,
            tms TIMESTAMP_MS, i INTERVAL, u UUID, m mood, bi BIT, l INT[], ll VARCHAR[][], fixed INT[3], s STRUCT(a INT, b STRUCT(c VARCHAR, d HUGEINT)),
            mp MAP(VARCHAR, INT), lh HUGEINT[], ls STRUCT(m mood, n DECIMAL(9,3))[], j JSON);
        INSERT INTO kinds SELECT i, i % 2 = 0, i % 100, i % 200, i, i, 18446744073709551615 - i::UBIGINT, 10::HUGEINT ** 30 + i, i / 3, i / 7,
            i * 1.0000000001::DECIMAL(38,10), (i % 999) / 10, 'text ' || repeat('x', i % 40), ('\\x00\\xFF' || '')::BLOB, DATE '2026-01-01' + i::INT,
            TIME '12:34:56.789', TIMESTAMPTZ '2026-01-01 00:00:00.000001+02' + to_seconds(i), TIMESTAMP '0001-01-01 00:00:00' + to_days(i::INT),
            '2026-01-01 00:00:00.123456789', '2026-01-01 00:00:00.123', to_months(i::INT) + to_days(3) + to_microseconds(i),
            uuid(), (['sad', 'happy'])[1 + i % 2], '0101', CASE WHEN i % 5 = 0 THEN NULL ELSE [i, NULL, i + 1] END, [['a', NULL], NULL, ['b' || i]],
            array_value(i::INT, 2, NULL), {'a': i, 'b': {'c': CASE WHEN i % 3 = 0 THEN NULL ELSE 'deep ' || i END, 'd': i}}, MAP {'k' || i: i, 'z': NULL},
            [i, 10::HUGEINT ** 20], [{'m': 'sad', 'n': i / 1000}, NULL], '{"a": [1, ' || i || ']}' FROM range(1, 3001) t(i);
        INSERT INTO kinds (id) VALUES (0)""")
    pipelines(project, p={"source": {"table": "kinds"}, "target": {"table": "made.kinds", "mode": "replace"}})
    assert project.load().counts() == (3001, 3001, 0, 0)
    types = dict(project.duck("SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'made'"))
    assert {name: types[name] for name in ("h", "t1", "tns", "m", "fixed", "ls", "mp")} == {
        "h": "DECIMAL(38,0)", "t1": "SMALLINT", "tns": "VARCHAR", "m": "VARCHAR", "fixed": "INTEGER[]",
        "ls": "STRUCT(m VARCHAR, n DECIMAL(9,3))[]", "mp": "MAP(VARCHAR, INTEGER)"}
    for name, type in types.items():
        assert project.duck(f"SELECT count(*) FROM main.kinds a JOIN made.kinds b USING (id) "
                            f"WHERE CAST(a.{name} AS {type}) IS DISTINCT FROM b.{name}") == [(0,)], name


def test_dictionaries_and_constants_inside_nested_values(project):
    """What DuckDB computes has vectors of other forms than what it stores."""
    query = """SELECT i AS id, struct_pack(a := c.name, b := 'constant', l := [c.name, NULL, 'k']) AS s, [{'x': c.name}, {'x': 'y'}] AS l,
        list_filter([i, i + 1, NULL], lambda v: v % 2 = 0) AS f, CASE WHEN i % 2 = 0 THEN NULL ELSE [c.name] END AS n
        FROM range(10000) t(i) JOIN (SELECT k, 'name ' || k AS name FROM range(7) u(k)) c ON c.k = i % 7 ORDER BY i % 13, i"""
    fill(project, "SELECT 1")
    pipelines(project, p={"source": {"query": query}, "target": {"table": "made.t", "mode": "replace"}})
    assert project.load().counts() == (10000, 10000, 0, 0)
    assert project.duck_value(f"SELECT count(*) FROM ((SELECT * FROM made.t EXCEPT ALL ({query})) UNION ALL (({query}) EXCEPT ALL SELECT * FROM made.t))") == 0


def test_what_the_target_cannot_hold_is_rejected_by_name(project):
    fill(project, """CREATE TABLE t (id INT PRIMARY KEY, d DATE, ts TIMESTAMPTZ, ti TIME, l DATE[], s STRUCT(a STRUCT(b TIMESTAMP)[]));
        INSERT INTO t VALUES (1, '2026-01-01', '2026-01-01 00:00:00+00', '10:00:00', ['2026-01-01'], {'a': [{'b': '2026-01-01'}]}),
            (2, 'infinity', NULL, NULL, NULL, NULL), (3, NULL, '-infinity', NULL, NULL, NULL), (4, NULL, NULL, '24:00:00', NULL, NULL),
            (5, NULL, NULL, NULL, ['2026-01-01', NULL, 'infinity'], NULL), (6, NULL, NULL, NULL, NULL, {'a': [NULL, {'b': '-infinity'}]}),
            (7, NULL, NULL, NULL, NULL, NULL)""")
    pipelines(project, p={"source": {"table": "t"}, "target": {"connection": "lake", "format": "parquet", "path": "t/", "mode": "replace"},
                          "on_reject": "continue"})
    assert project.load().counts() == (7, 2, 5, 0)
    assert sorted(row[0] for row in project.parquet("t")) == [1, 7]
    assert {(row["key"], row["column"]) for row in project.rejects()} == {
        ('{"id":"2"}', "d"), ('{"id":"3"}', "ts"), ('{"id":"4"}', "ti"), ('{"id":"5"}', "l"), ('{"id":"6"}', "s")}


def test_a_sum_beyond_38_digits_ends_the_run(project):
    fill(project, "SELECT 1")
    pipelines(project, p={"source": {"query": "SELECT 170141183460469231731687303715884105727::HUGEINT AS h"},
                          "target": {"table": "made.t", "mode": "replace"}})
    report = project.load(expect=1)
    assert "170141183460469231731687303715884105727" in report.error["message"] and report.error["hint"]


# -- what goes wrong -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("source, code", [
    ({"table": "shop.line"}, "no_such_table"), ({"tables": ["nothing.*"]}, "no_tables"),
    ({"query": "SELECT * FROM missing"}, "bad_query"), ({"table": "shop.lines", "cursor": "upd"}, "no_such_column"),
    ({"table": "shop.customers", "cursor": "name"}, "cursor_type"), ({"query": "SELECT union_value(a := 1) AS u"}, "unsupported_type"),
    ({"table": "shop.lines", "cursor": "amount", "cursor_lag": "5m"}, "cursor_lag")])
def test_mistakes_say_where_they_are(source, code, project):
    make_shop(project, 3)
    pipelines(project, p={"source": source, "target": {"table": "made.t", "mode": "replace"}})
    error = project.load(expect=None).error
    assert error["code"] == code, error
    assert "penstock.yaml:" in error["where"] and error["hint"], error


def test_a_file_that_is_not_there_is_not_made(project):
    pipelines(project, p={"source": {"connection": "other", "table": "t"}, "target": {"table": "made.t", "mode": "replace"}})
    error = project.load(expect=None).error
    assert error["code"] == "no_database" and "after" in error["hint"]
    assert not (project.folder / "other.duckdb").exists()


def test_more_rows_than_memory(project):
    """A sort of more than the budget, streamed into another file."""
    fill(project, "SELECT 1")
    query = "SELECT i, repeat(md5(i::VARCHAR), 8) AS text FROM range(1500000) t(i) ORDER BY md5(i::VARCHAR)"
    pipelines(project, p={"source": {"connection": "warehouse", "query": query}, "memory": "1GiB",
                          "target": {"connection": "other", "table": "made.t", "mode": "replace"}})
    run = project.load(timeout=120).run()
    assert run["rows_written"] == 1_500_000
    assert run["peak_memory_bytes"] < 1 << 30
    with duckdb.connect(str(project.folder / "other.duckdb"), read_only=True) as other:
        assert other.execute("SELECT count(*), count(DISTINCT i), sum(i) FROM made.t").fetchone() == (1_500_000, 1_500_000, 1_499_999 * 750_000)


def test_killed_at_any_moment_the_next_run_ends_the_same(project):
    make_shop(project, 60_000)
    pipelines(project, lines={"source": {"table": "shop.lines", "cursor": "updated_at"}, "target": {"table": "marts.lines", "mode": "append"}})
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    for turn in range(6):
        running = project.start("run", "--all")
        time.sleep(chance.uniform(0.02, 0.4))
        running.signal(signal.SIGKILL)
        running.wait()
        fill(project, f"INSERT INTO shop.lines SELECT {turn}, {turn}, {turn}, max(updated_at) + INTERVAL '1 second' FROM shop.lines")
    project.load()
    assert project.duck_value("SELECT count(*) FROM ((SELECT * FROM shop.lines EXCEPT ALL SELECT * FROM marts.lines) UNION ALL "
                              "(SELECT * FROM marts.lines EXCEPT ALL SELECT * FROM shop.lines))") == 0, f"seed {seed}"


# -- the star schema of examples/ ----------------------------------------------------------------------------------------------
def test_the_star_schema_row_by_row(database, project):
    """Facts keep the version of the customer that was current; customers that come late are found again."""
    shutil.copytree(ROOT / "examples" / "models", project.folder / "models")
    shutil.copy(ROOT / "examples" / "star-schema.yaml", project.folder / "penstock.yaml")
    project.environment["SHOP_URL"] = database.url
    database.execute("""
        CREATE TABLE customers (customer_id int PRIMARY KEY, name text, city text);
        CREATE TABLE orders (order_id int PRIMARY KEY, customer_id int, amount numeric(12,2), updated_at timestamptz NOT NULL);
        INSERT INTO customers SELECT i, 'customer ' || i, 'Graz' FROM generate_series(1, 5) i;
        INSERT INTO orders SELECT i, 1 + i % 6, i, now() - interval '2 hours' + i * interval '1 second' FROM generate_series(1, 60) i""")
    project.run("run", "--all")
    assert project.duck("SELECT count(*), count(*) FILTER (WHERE customer_key = '-') FROM marts.fct_orders") == [(60, 10)]
    first = dict(project.duck("SELECT order_id, customer_key FROM marts.fct_orders"))

    database.execute("""
        UPDATE customers SET city = 'Wien' WHERE customer_id = 2;
        INSERT INTO customers VALUES (6, 'late', 'Linz')""")
    project.run("run", "customers")
    database.execute("""
        INSERT INTO orders VALUES (100, 2, 1, clock_timestamp()), (101, 6, 1, clock_timestamp());
        UPDATE orders SET updated_at = now() WHERE order_id = 5""")
    project.run("run", "--all")
    facts = project.duck("SELECT order_id, city, name FROM marts.fct_orders LEFT JOIN marts.dim_customers USING (customer_key)")
    found = {order: (city, name) for order, city, name in facts}
    assert len(facts) == len(found) == 62
    assert found[100] == ("Wien", "customer 2") and found[101] == ("Linz", "late") and found[5] == ("Linz", "late")
    assert found[1] == ("Graz", "customer 2")
    again = dict(project.duck("SELECT order_id, customer_key FROM marts.fct_orders"))
    assert all(again[order] == key for order, key in first.items() if key != "-")
    assert project.duck("SELECT city, is_current, valid_to IS NULL FROM marts.dim_customers WHERE customer_id = 2 ORDER BY valid_to") == [
        ("Graz", False, False), ("Wien", True, True)]
    project.run("run", "fct_orders", "--full-refresh")
    assert project.duck_value("SELECT count(*) FROM marts.fct_orders WHERE customer_key = '-'") == 0
    assert project.duck_value("SELECT count(*) FROM marts.fct_orders f JOIN marts.dim_customers c USING (customer_key) "
                              "JOIN shop.orders o USING (order_id) WHERE o.customer_id = c.customer_id") == 62
