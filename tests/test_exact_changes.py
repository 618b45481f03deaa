"""Changes between values that SQL holds for equal: each was lost by an earlier version."""

import duckdb
import pytest

TABLE = ("CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), i interval, f float8, g float4, "
         "il interval[], fl float8[], pad float8 DEFAULT random())")
MANY = ("INSERT INTO t SELECT n, now(), '1 month'::interval, 0.0, 0.0, '{1 month}'::interval[], '{0,1,NULL}'::float8[] FROM generate_series(1, 7) n "
        "UNION ALL SELECT 8, now(), '1 day', 'NaN', 2, NULL, '{NaN}'")
FIRST = "INSERT INTO t VALUES (1, now(), '1 month', 0.0, 0.0, '{1 month}', '{0,1,NULL}'), (2, now(), '1 day', 'NaN', 2, NULL, '{NaN}')"
CHANGES = ["pad = 1", "i = '30 days'", "i = '720 hours'", "f = '-0'", "g = '-0'", "il = '{30 days}'", "fl = '{-0,1,NULL}'"]


def lake(project, folder="t"):
    return f"read_parquet('{project.lake}/{folder}/**/*.parquet')"


def read(sql):
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("cursor", [True, False])
@pytest.mark.parametrize("place", ["duckdb", "parquet"])
def test_history_records_a_change_of_the_bits(database, project, place, cursor):
    database.execute(TABLE)
    database.execute(MANY)
    target = {"table": "shop.t", "mode": "history"} if place == "duckdb" else {"path": "t", "format": "parquet", "mode": "history"}
    project.pipeline(database, {"table": "public.t", **({"cursor": "at"} if cursor else {})}, target)
    assert project.load().counts()[1] == 8
    assert project.load().counts()[1] == 0, "NaN is NaN, a value is itself"
    for number, change in enumerate(CHANGES, 1):
        database.execute(f"UPDATE t SET {change} WHERE id = {number}")
        report = project.load()
        assert report.counts()[1] == 1, f"{change}\n{report.output}"
        assert project.load().counts()[1] == 0, f"again after {change}"
    table = "shop.t" if place == "duckdb" else lake(project)
    counted = f"SELECT id, count(*), count(*) FILTER (_penstock_valid_to IS NULL) FROM {table} GROUP BY id ORDER BY id"
    assert (project.duck(counted) if place == "duckdb" else read(counted)) == [*((n, 2, 1) for n in range(1, 8)), (8, 1, 1)]


@pytest.mark.parametrize("place", ["duckdb", "parquet"])
def test_merge_takes_a_change_of_the_bits(database, project, place):
    database.execute(TABLE)
    database.execute("INSERT INTO t SELECT 10 + n, now(), '1 day', n, n FROM generate_series(1, 5) n")
    database.execute(FIRST)
    target = {"table": "shop.t", "mode": "merge"} if place == "duckdb" else {"path": "t", "format": "parquet", "mode": "merge"}
    project.pipeline(database, {"table": "public.t"}, {**target, "key": ["id"]})
    columns = "CAST(i AS VARCHAR), CAST(f AS VARCHAR), CAST(g AS VARCHAR), CAST(il AS VARCHAR), CAST(fl AS VARCHAR)"
    for change in [None, "f = '-0', g = '-0', fl = '{-0,1,NULL}'", "i = '30 days', il = '{30 days}'", "f = 0"]:
        if change:
            database.execute(f"UPDATE t SET {change} WHERE id = 1")
        project.load()
        sql = f"SELECT {columns} FROM {'shop.t' if place == 'duckdb' else lake(project)} WHERE id = 1"
        row = (project.duck(sql) if place == "duckdb" else read(sql))[0]
        source = database.rows("SELECT f::text, g::text, fl::text, i::text, il::text FROM t WHERE id = 1")[0]
        negative = [source[0] == "-0", source[1] == "-0", source[2].startswith("{-0")]
        assert [row[1].startswith("-0"), row[2].startswith("-0"), row[4].startswith("[-0")] == negative, (change, row, source)
        days = "30 days" in source[3]
        assert (("30 days" in row[0]), ("30 days" in row[3])) == (days, days), (change, row, source)


@pytest.mark.parametrize("place", ["duckdb", "parquet"])
def test_zeros_whose_sign_is_lost_in_storage_do_not_grow_a_history(database, project, place):
    """DuckDB stores a stretch of zeros of either sign as one of them."""
    database.execute("CREATE TABLE z (id int PRIMARY KEY, f float8)")
    database.execute("INSERT INTO z SELECT n, CASE n % 2 WHEN 0 THEN 0::float8 ELSE '-0' END FROM generate_series(1, 10) n")
    target = {"table": "shop.z", "mode": "history"} if place == "duckdb" else {"path": "z", "format": "parquet", "mode": "history"}
    project.pipeline(database, {"table": "public.z"}, target)
    written = [project.load().counts()[1] for _ in range(6)]
    assert written[0] == 10 and sum(written[1:]) <= 10 and written[-2:] == [0, 0], written
    database.execute("UPDATE z SET f = -f")
    project.load()
    assert [project.load().counts()[1] for _ in range(4)][-2:] == [0, 0]


@pytest.mark.parametrize("place", ["duckdb", "parquet"])
def test_append_tells_intervals_apart_and_adds_no_zero_twice(database, project, place):
    database.execute("CREATE TABLE a (at timestamptz, i interval, f float8)")
    database.execute("INSERT INTO a VALUES ('2026-01-01', '1 month', '-0'), ('2026-01-01', '1 month', 0)")
    target = {"table": "shop.a", "mode": "append"} if place == "duckdb" else {"path": "a", "format": "parquet", "mode": "append"}
    project.pipeline(database, {"table": "public.a", "cursor": "at"}, target)
    assert project.load().counts()[1] == 2
    assert project.load().counts()[1] == 0
    database.execute("INSERT INTO a VALUES ('2026-01-01', '30 days', 0)")
    assert project.load().counts()[1] == 1
    assert project.load().counts()[1] == 0
    sql = f"SELECT CAST(i AS VARCHAR) FROM {'shop.a' if place == 'duckdb' else lake(project, 'a')} ORDER BY 1"
    found = [row[0] for row in (project.duck(sql) if place == "duckdb" else read(sql))]
    assert sum("30 days" in text for text in found) == 1 and len(found) == 3, found


@pytest.mark.parametrize("place", ["duckdb", "parquet"])
def test_rows_that_differ_by_an_interval_alone_do_not_collapse(database, project, place):
    database.execute("CREATE TABLE d (k int, i interval)")
    database.execute("INSERT INTO d VALUES (1, '1 month'), (1, '30 days'), (2, '1 day'), (2, '1 day')")
    target = {"table": "shop.d"} if place == "duckdb" else {"path": "d", "format": "parquet"}
    project.pipeline(database, {"table": "public.d"}, {**target, "mode": "merge", "key": ["k"]}, on_reject="continue")
    assert project.load().counts() == (4, 1, 2, 1)
