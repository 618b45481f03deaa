"""BigQuery as a source (the strict stand-in of servers/bigquery): data made with Google's client, read back from DuckDB and from
BigQuery."""

import datetime
import json
import signal
import time

import pytest
from google.cloud.bigquery import LoadJobConfig, QueryJobConfig

from support.mariadb import MariaServer

QUICK = {"retries": {"max": 3, "delay": "100ms"}}
FAR = 10**12

COLUMNS = """id INT64 NOT NULL, f FLOAT64, n NUMERIC, np NUMERIC(10,2), b BIGNUMERIC, bp BIGNUMERIC(20,15), wide BIGNUMERIC(60,30), t BOOL,
 s STRING, y BYTES, d DATE, ti TIME, dt DATETIME, ts TIMESTAMP, j JSON, g GEOGRAPHY, i INTERVAL, r RANGE<DATE>, rt RANGE<TIMESTAMP>,
 a ARRAY<INT64>, an ARRAY<NUMERIC>, ar ARRAY<STRUCT<z STRING, n BIGNUMERIC(20,15)>>, st STRUCT<x INT64, y ARRAY<STRUCT<z STRING>>>"""
WIDE = "123456789012345678901234567890.123456789012345678901234567891"
ROWS = [
    {"id": 1, "f": 0.1, "n": "99999999999999999999999999999.999999999", "np": "12345678.91", "b": "1.5", "bp": "12345.123456789012345",
     "wide": WIDE, "t": True, "s": "ä\0 'x'", "y": "AP8=", "d": "0001-01-01", "ti": "23:59:59.999999", "dt": "9999-12-31T23:59:59.999999",
     "ts": "0001-01-01T00:00:00Z", "j": '{"a":[1,2.5],"b":null}', "g": "POINT(1 2)", "i": "1-2 3 4:5:6.789", "r": "[2020-01-01, UNBOUNDED)",
     "rt": "[2020-01-01 00:00:00+00, 2021-01-01 00:00:00.5+00)", "a": [1, -9223372036854775808], "an": ["1.5", "-0.000000001"],
     "ar": [{"z": "q", "n": "-1.123456789012345"}, {"z": None, "n": None}], "st": {"x": 5, "y": [{"z": "deep"}]}},
    {"id": 2},
    {"id": -9223372036854775808, "f": "NaN", "n": "-99999999999999999999999999999.999999999", "b": "-0.000000001", "wide": "-0.000000000000000000000000000001",
     "t": False, "s": "", "y": "", "d": "9999-12-31", "ti": "00:00:00", "dt": "0001-01-01T00:00:00", "ts": "9999-12-31T23:59:59.999999Z", "j": "null",
     "i": "-10000-0 -3660000 -2000000:0:0", "a": [], "st": {"x": None, "y": []}},
    {"id": 9223372036854775807, "f": "-Infinity", "i": "0-0 0 -0:0:0.000001", "np": "-0.01", "wide": "0"},
]


class Source:
    """BigQuery as whoever fills it sees it, and the projects of the tests."""

    def __init__(self, server):
        self.server = server
        self.client = server.client(default_query_job_config=QueryJobConfig(maximum_bytes_billed=FAR))
        self.client.create_dataset("ds")

    def sql(self, sql: str) -> list[tuple]:
        return [tuple(row.values()) for row in self.client.query(sql).result()]

    def load(self, table: str, rows: list[dict]) -> None:
        self.client.load_table_from_json(rows, table, job_config=LoadJobConfig(schema=self.client.get_table(table).schema)).result()

    def configure(self, project, source: dict, target: dict | None = None, connection: dict | None = None, connections: dict | None = None, **rest):
        target = target or {"connection": "warehouse", "table": "main.t"}
        bq = {"type": "bigquery", "project": self.client.project, "endpoint": self.server.endpoint,
              "storage_endpoint": f"http://{self.server.grpc_address}", **(connection or {})}
        project.config(connections={"bq": {key: value for key, value in bq.items() if value is not None},
                                    "warehouse": {"type": "duckdb", "path": "warehouse.duckdb"}, **(connections or {})},
                       pipelines={"p": {"source": {"connection": "bq", **source}, "target": target, **rest}})

    def methods(self) -> dict:
        return self.server.stats()["methods"]


@pytest.fixture
def source(bigquery):
    made = Source(bigquery)
    yield made
    stats = bigquery.stats()
    assert stats["unlimited"] == [], "a query job had no maximumBytesBilled"
    assert stats["failures"] == []
    made.client.close()


def orders(source, rows: int = 3000) -> None:
    source.sql(f"""CREATE TABLE ds.orders AS SELECT x AS id, CONCAT('name ', CAST(x AS STRING)) AS name, CAST(x AS NUMERIC) * NUMERIC '0.01' AS amount,
        TIMESTAMP_ADD(TIMESTAMP '2026-01-01 00:00:00+00', INTERVAL x SECOND) AS at FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS x""")


BY_CURSOR = {"table": "ds.orders", "cursor": "at"}
MERGE = {"connection": "warehouse", "table": "main.t", "mode": "merge", "key": ["id"]}
SUM = "SELECT count(*), count(DISTINCT id), sum(id), sum(amount) FROM t"


def expected_sum(source) -> list[tuple]:
    return source.sql("SELECT COUNT(*), COUNT(DISTINCT id), SUM(id), SUM(amount) FROM ds.orders")


# -- types ------------------------------------------------------------------------------------------------------------
EXPECTED = [
    ("f", "CAST(f AS VARCHAR)", ["0.1", None, "nan", "-inf"]),
    ("n", "CAST(n AS VARCHAR)", ["99999999999999999999999999999.999999999", None, "-99999999999999999999999999999.999999999", None]),
    ("np", "CAST(np AS VARCHAR)", ["12345678.91", None, None, "-0.01"]),
    ("b", "CAST(b AS VARCHAR)", ["1.500000000", None, "-0.000000001", None]),
    ("bp", "CAST(bp AS VARCHAR)", ["12345.123456789012345", None, None, None]),
    ("wide", "wide", [WIDE, None, "-0.000000000000000000000000000001", "0"]),
    ("t", "t", [True, None, False, None]),
    ("s", "s", ["ä\0 'x'", None, "", None]),
    ("y", "hex(y)", ["00FF", None, "", None]),
    ("d", "CAST(d AS VARCHAR)", ["0001-01-01", None, "9999-12-31", None]),
    ("ti", "CAST(ti AS VARCHAR)", ["23:59:59.999999", None, "00:00:00", None]),
    ("dt", "CAST(dt AS VARCHAR)", ["9999-12-31 23:59:59.999999", None, "0001-01-01 00:00:00", None]),
    ("ts", "epoch_us(ts)", [-62135596800000000, None, 253402300799999999, None]),
    ("j", "CAST(j AS VARCHAR)", ['{"a":[1,2.5],"b":null}', None, "null", None]),
    ("g", "g", ["POINT(1 2)", None, None, None]),
    ("i", "[datepart('year', i) * 12 + datepart('month', i), datepart('day', i), datepart('hour', i) * 3600000000"
          " + datepart('minute', i) * 60000000 + datepart('microsecond', i)]",
     [[14, 3, 14706789000], [None] * 3, [-120000, -3660000, -7200000000000000], [0, 0, -1]]),
    ("r", "CAST(r AS VARCHAR)", ["{'lower': 2020-01-01, 'upper': NULL, 'lower_inclusive': true, 'upper_inclusive': false, 'empty': false}",
                                None, None, None]),
    ("rt", "epoch_us(rt.upper) - epoch_us(rt.lower)", [366 * 86400 * 1000000 + 500000, None, None, None]),
    ("a", "a", [[1, -9223372036854775808], [], [], []]),
    ("an", "CAST(an AS VARCHAR)", ["[1.500000000, -0.000000001]", "[]", "[]", "[]"]),
    ("ar", "CAST(ar AS VARCHAR)", ["[{'z': q, 'n': -1.123456789012345}, {'z': NULL, 'n': NULL}]", "[]", "[]", "[]"]),
    ("st", "CAST(st AS VARCHAR)", ["{'x': 5, 'y': [{'z': deep}]}", None, "{'x': NULL, 'y': []}", None]),
]
TYPES = {"n": "DECIMAL(38,9)", "np": "DECIMAL(10,2)", "b": "DECIMAL(38,9)", "bp": "DECIMAL(20,15)", "wide": "VARCHAR", "j": "JSON",
         "ts": "TIMESTAMP WITH TIME ZONE", "dt": "TIMESTAMP", "i": "INTERVAL", "y": "BLOB", "id": "BIGINT", "a": "BIGINT[]"}


def make_kinds(source):
    source.sql(f"CREATE TABLE ds.kinds ({COLUMNS})")
    source.load("ds.kinds", ROWS)


@pytest.mark.parametrize("read", ["storage", "rest"])
def test_values_of_every_type_in_duckdb(read, source, project):
    make_kinds(source)
    source.configure(project, {"table": "ds.kinds", "read": read})
    assert project.load().counts() == (4, 4, 0, 0)
    order = "ORDER BY CASE id WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN -9223372036854775808 THEN 3 ELSE 4 END"
    rows = project.duck(f"SELECT {', '.join(sql for _, sql, _ in EXPECTED)} FROM t {order}")
    for index, (name, _, values) in enumerate(EXPECTED):
        assert [row[index] for row in rows] == values, name
    types = dict(project.duck("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't'"))
    assert {name: types[name] for name in TYPES} == TYPES
    used = source.methods()
    assert ("ReadRows" in used) == (read == "storage") and ("tabledata.list" in used) == (read == "rest")


def test_from_bigquery_to_bigquery_nothing_changes(source, project):
    make_kinds(source)
    source.configure(project, {"table": "ds.kinds"}, {"connection": "bq", "table": "ds.copy", "mode": "replace"})
    assert project.load().counts() == (4, 4, 0, 0)
    plain = "id, f, n, np, CAST(b AS NUMERIC) AS b, bp, t, s, y, d, ti, dt, ts, TO_JSON_STRING(j) AS j, i, a, an, ar, st"
    assert repr(source.sql(f"SELECT {plain} FROM ds.copy ORDER BY id")) == repr(source.sql(f"SELECT {plain} FROM ds.kinds ORDER BY id"))
    assert source.sql("SELECT wide FROM ds.copy WHERE id = 1") == [(WIDE,)]
    kinds = {field.name: field.field_type for field in source.client.get_table("ds.copy").schema}
    assert (kinds["bp"], kinds["ts"], kinds["j"], kinds["st"]) == ("BIGNUMERIC", "TIMESTAMP", "JSON", "RECORD")


def test_what_does_not_fit_is_rejected_with_its_measure(source, project):
    source.sql("CREATE TABLE ds.big (id INT64, b BIGNUMERIC)")
    source.load("ds.big", [{"id": 1, "b": "1.5"}, {"id": 2, "b": WIDE}, {"id": 3, "b": "0.0000000001"}, {"id": 4, "b": None}])
    source.configure(project, {"table": "ds.big"}, on_reject="continue")
    assert project.load().counts() == (4, 2, 2, 0)
    assert project.duck("SELECT id, CAST(b AS VARCHAR) FROM t ORDER BY id") == [(1, "1.500000000"), (4, None)]
    found = sorted(project.rejects(), key=lambda reject: reject["reason"])
    assert [reject["column"] for reject in found] == ["b", "b"]
    assert "precision 60 and scale 30 does not fit decimal(38,9)" in found[1]["reason"]
    assert json.loads(found[1]["payload"]) == {"id": "2", "b": WIDE}
    source.configure(project, {"table": "ds.big"}, {"connection": "warehouse", "table": "main.texts"}, numeric="text")
    assert project.load().counts() == (4, 4, 0, 0)
    assert project.duck("SELECT b FROM texts ORDER BY id") == [("1.5",), (WIDE,), ("0.0000000001",), (None,)]


def test_into_parquet(source, project):
    make_kinds(source)
    source.configure(project, {"table": "ds.kinds", "columns": ["id", "n", "i", "st", "ts"]}, {"connection": "lake", "format": "parquet", "path": "k/"},
                     connections={"lake": {"type": "files", "url": "file:lake"}})
    assert project.load().counts() == (4, 4, 0, 0)
    assert project.parquet("k", "SELECT CAST(n AS VARCHAR), i, st.x, epoch_us(ts) FROM data WHERE id = 1") == [
        ("99999999999999999999999999999.999999999", "1-2 3 4:5:6.789", 5, -62135596800000000)]


# -- what is read -----------------------------------------------------------------------------------------------------
def test_columns_where_and_streams(source, project):
    orders(source, 6000)
    source.configure(project, {"table": "ds.orders", "columns": ["id", "amount"], "where": "id > 1000 -- late\n AND MOD(id, 2) = 0"}, parallel=3)
    assert project.load().counts() == (2500, 2500, 0, 0)
    assert project.duck("SELECT count(*), min(id), max(id) FROM t") == [(2500, 1002, 6000)]
    assert project.duck("SELECT column_name FROM information_schema.columns WHERE table_name = 't'") == [("id",), ("amount",)]
    assert source.methods()["ReadRows"] == 3


def test_query_and_view(source, project):
    orders(source)
    source.sql("CREATE VIEW ds.recent AS SELECT id, amount FROM ds.orders WHERE id > 2900")
    source.configure(project, {"table": "ds.recent"})
    assert project.load().counts() == (100, 100, 0, 0)
    source.configure(project, {"query": "WITH big AS (SELECT * FROM ds.orders WHERE id > 10)\nSELECT id, SUM(amount) AS amount FROM big GROUP BY id -- all\n;"},
                     {"connection": "warehouse", "table": "main.q"})
    report = project.load()
    assert report.counts() == (2990, 2990, 0, 0)
    assert report.run()["bytes_billed"] >= 10 << 20
    assert project.duck("SELECT sum(id), sum(amount) FROM q") == source.sql("SELECT SUM(id), SUM(amount) FROM ds.orders WHERE id > 10")
    jobs = [job for job in source.client.list_jobs() if job.job_type == "query" and "GROUP BY" in job.query and "penstock" in job.job_id]
    assert jobs and jobs[0].labels["penstock_pipeline"] == "p" and jobs[0].labels["penstock_run"]


def test_patterns_and_another_project(source, project, bigquery):
    other = bigquery.client("elsewhere", default_query_job_config=QueryJobConfig(maximum_bytes_billed=FAR))
    other.create_dataset("far")
    for name in ("a", "b", "skipped"):
        other.query(f"CREATE TABLE far.{name} AS SELECT 1 AS id, '{name}' AS name").result()
    other.query("CREATE VIEW far.view AS SELECT 1 AS id").result()
    source.configure(project, {"tables": ["elsewhere.far.*"], "exclude": ["far.s*"]}, {"connection": "warehouse", "table": "main.{table}"})
    assert project.load().counts() == (2, 2, 0, 0)
    assert project.duck("SELECT name FROM a UNION ALL SELECT name FROM b") == [("a",), ("b",)]
    source.configure(project, {"table": "elsewhere.far.a", "read": "rest"}, {"connection": "warehouse", "table": "main.c"})
    assert project.load().counts() == (1, 1, 0, 0)
    assert {job.project for job in source.client.list_jobs()} == {source.client.project}
    assert not [job for job in other.list_jobs() if job.job_id.startswith("penstock")]


def test_empty_tables_and_missing_ones(source, project):
    source.sql("CREATE TABLE ds.empty (id INT64, at TIMESTAMP)")
    source.configure(project, {"table": "ds.empty", "cursor": "at"}, MERGE)
    assert project.load().counts() == (0, 0, 0, 0)
    assert project.load().counts() == (0, 0, 0, 0)
    source.configure(project, {"table": "ds.nothing"})
    assert project.load(expect=1).error["code"] == "bigquery_not_found"
    source.configure(project, {"table": "ds.empty", "cursor": "att"})
    error = project.load(expect=2).error
    assert error["code"] == "no_such_column" and error["hint"] == "did you mean at?"


# -- increments -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("read", ["storage", "rest"])
def test_increments_ties_and_rows_without_cursor(read, source, project):
    source.sql("CREATE TABLE ds.orders (id INT64, amount NUMERIC, at TIMESTAMP)")
    source.sql("INSERT INTO ds.orders SELECT x, 1, TIMESTAMP_ADD(TIMESTAMP '2026-01-01 00:00:00+00', INTERVAL DIV(x, 2) SECOND)"
               " FROM UNNEST(GENERATE_ARRAY(1, 100)) AS x")
    source.configure(project, {**BY_CURSOR, "read": read}, MERGE)
    report = project.load()
    assert report.counts() == (100, 100, 0, 0)
    assert report.run()["cursor"]["to"] == "2026-01-01 00:00:50+00"
    source.sql("INSERT INTO ds.orders VALUES (101, 7, TIMESTAMP '2026-01-01 00:00:50+00'), (102, 8, TIMESTAMP '2026-01-01 00:00:50.000001+00'), (103, 9, NULL)")
    source.sql("UPDATE ds.orders SET amount = 5, at = TIMESTAMP '2026-01-01 00:01:00+00' WHERE id = 1")
    report = project.load()
    assert report.run()["rows_read"] == 5  # the tie, its neighbour of the same moment, two new ones and the one without
    assert report.run()["cursor"] == {"from": "2026-01-01 00:00:50+00", "to": "2026-01-01 00:01:00+00"}
    assert project.duck(SUM) == expected_sum(source)
    assert project.load().run()["rows_read"] == 2
    assert project.duck(SUM) == expected_sum(source)


def test_lag_append_and_other_cursors(source, project):
    source.sql("CREATE TABLE ds.orders AS SELECT x AS id, x * 10 AS number, CAST(x AS NUMERIC) * NUMERIC '0.1' AS amount, DATE_ADD(DATE '2026-01-01', INTERVAL x DAY) AS day,"
               " DATETIME_ADD(DATETIME '2026-01-01 00:00:00', INTERVAL x HOUR) AS local FROM UNNEST(GENERATE_ARRAY(1, 20)) AS x")
    for cursor, lag, again in (("number", 35, 4), ("amount", "0.3", 4), ("day", "2d", 3), ("local", "90m", 2), ("number", None, 1)):
        table = f"by_{cursor}_{again}"
        source.configure(project, {"table": "ds.orders", "cursor": cursor, **({"cursor_lag": lag} if lag else {})},
                         {"connection": "warehouse", "table": f"main.{table}", "mode": "append"})
        assert project.load().counts() == (20, 20, 0, 0)
        assert project.load().counts() == (again, 0, 0, again), cursor
        assert project.duck_value(f"SELECT count(*) FROM {table}") == 20


def test_bounds_by_hand_move_no_checkpoint(source, project):
    orders(source, 100)
    source.configure(project, BY_CURSOR, MERGE)
    assert project.load("--limit", 7).counts() == (7, 7, 0, 0)
    report = project.load("--from", "2026-01-01 00:00:10Z", "--to", "2026-01-01T00:00:19Z")
    assert report.counts() == (10, 10, 0, 0)
    assert project.load().counts()[0] == 100
    assert project.duck(SUM) == expected_sum(source)


# -- what goes wrong --------------------------------------------------------------------------------------------------
def test_streams_that_break_are_taken_up(source, project, bigquery):
    orders(source, 45000)
    source.configure(project, {"table": "ds.orders"}, parallel=2)
    bigquery.fault("ReadRows", "lost", calls=[1, 2, 3])
    bigquery.fault("ReadRows", "error", calls=[4], status=13, message="RST_STREAM closed stream. HTTP/2 error code: INTERNAL_ERROR")
    bigquery.fault("CreateReadSession", "error", calls=[1], status=14)
    bigquery.fault("CreateReadSession", "lost", calls=[1])
    report = project.load()
    assert report.counts() == (45000, 45000, 0, 0) and report.run()["attempts"] == 1
    assert project.duck(SUM) == expected_sum(source)
    assert source.methods()["ReadRows"] > 4 and source.methods()["CreateReadSession"] == 3


def test_rest_pages_survive_errors(source, project, bigquery):
    orders(source, 12000)
    source.configure(project, {"table": "ds.orders", "read": "rest"})
    bigquery.fault("tabledata.list", "error", calls=[1], status=503)
    bigquery.fault("tabledata.list", "reset", calls=[2])
    bigquery.fault("jobs.insert", "lost", calls=[2])
    report = project.load()
    assert report.counts() == (12000, 12000, 0, 0) and report.run()["attempts"] == 1
    assert project.duck(SUM) == expected_sum(source)


def test_denied_storage_read_falls_back_and_says_so(source, project, bigquery):
    orders(source, 100)
    bigquery.fault("CreateReadSession", "error", status=7, message="Permission bigquery.readsessions.create denied")
    source.configure(project, {"table": "ds.orders"})
    report = project.load()
    assert report.counts() == (100, 100, 0, 0)
    assert "reading by queries, which are billed, and pages of REST" in report.output.err
    source.configure(project, {"table": "ds.orders", "read": "storage"})
    error = project.load(expect=1).error
    assert error["code"] == "bigquery_storage_permission_denied" and "readSessionUser" in error["hint"]
    bigquery.clear_faults()
    source.configure(project, {"table": "ds.orders"}, connection={"storage_endpoint": None})
    report = project.load()
    assert report.counts() == (100, 100, 0, 0) and "no storage_endpoint is given" in report.output.err


def test_tokens_are_sent_and_renewed(source, project, bigquery):
    orders(source, 100)
    key = bigquery.account("reader@stand-in.iam.gserviceaccount.com", projects=["stand-in"], datasets={"stand-in.ds": "READER"})
    project.write(json.dumps(key), "key.json")
    bigquery.auth(required=True)
    try:
        source.configure(project, {"table": "ds.orders"}, connection={"credentials": "key.json"})
        assert project.load().counts() == (100, 100, 0, 0)
        assert source.methods()["ReadRows"] == 1
        bigquery.fault("ReadRows", "error", calls=[1], status=16)
        assert project.load().counts() == (100, 100, 0, 0)
    finally:
        bigquery.auth(required=False)


def test_a_budget_stops_the_sources_query(source, project):
    orders(source, 100)
    source.configure(project, {"query": "SELECT * FROM ds.orders"}, budget={"max_bytes_billed": "1MiB"})
    report = project.load(expect=4)
    assert report.error["code"] == "budget_exceeded" and report.run()["bytes_billed"] == 0
    source.configure(project, {"query": "SELECT * FROM ds.orders"}, connection={"max_bytes_billed": "1MiB"})
    assert project.load(expect=4).error["code"] == "budget_exceeded"
    assert project.run("plan", expect=0).out.count("a query that reads everything bills about 10") == 1
    # One budget for source and target.
    source.configure(project, {"query": "SELECT * FROM ds.orders"}, {"connection": "bq", "table": "ds.copy"}, budget={"max_bytes_billed": "15MiB"})
    report = project.load(expect=4)
    assert report.error["code"] == "budget_exceeded" and 10 << 20 <= report.run()["bytes_billed"] <= 15 << 20


@pytest.mark.parametrize("point", ["source_snapshot_after", "source_read_during", "target_commit_before", "target_commit_after"])
def test_killed_anywhere_and_run_again(point, source, project):
    orders(source, 500)
    source.configure(project, BY_CURSOR, MERGE)
    project.load()
    source.sql("UPDATE ds.orders SET amount = amount + 1, at = TIMESTAMP '2026-02-01 00:00:00+00' WHERE id <= 50")
    killed = project.run("run", "--all", env={"PENSTOCK_FAILPOINT": f"{point}=kill"}, expect=None)
    assert killed.code == -signal.SIGKILL
    project.load()
    assert project.duck(SUM) == expected_sum(source)
    assert project.staging_left() == []


# -- batches ----------------------------------------------------------------------------------------------------------
BATCHES = "SELECT batch, rows_written, cursor_to FROM penstock.pipeline_metadata ORDER BY batch"


@pytest.mark.parametrize("read", ["storage", "rest"])
def test_batches_are_committed_one_by_one(read, source, project):
    source.sql("CREATE TABLE ds.orders AS SELECT x AS id, CAST(x AS NUMERIC) AS amount, DIV(x, 30) AS at FROM UNNEST(GENERATE_ARRAY(1, 3500)) AS x ORDER BY RAND()")
    source.configure(project, {**BY_CURSOR, "batch_rows": 1000, "read": read}, MERGE)
    assert project.load().counts() == (3500, 3500, 0, 0)
    assert [row[1:] for row in project.duck(BATCHES)] == [(1019, "33"), (1020, "67"), (1020, "101"), (441, "116")]
    source.sql("INSERT INTO ds.orders VALUES (4000, 1, 500), (4001, 1, NULL)")
    assert project.load().run()["rows_read"] == 21 + 2
    assert project.duck(SUM) == expected_sum(source)


def test_a_kill_between_batches_goes_on_behind_the_last_one(source, project):
    orders(source, 3000)
    source.configure(project, {**BY_CURSOR, "batch_rows": 500}, MERGE)
    killed = project.run("run", "--all", env={"PENSTOCK_FAILPOINT": "target_commit_before@4=kill"}, expect=None)
    assert killed.code == -signal.SIGKILL
    assert [row[1] for row in project.duck(BATCHES)] == [500, 500, 500]
    report = project.load()
    assert report.run()["rows_read"] == 1501
    assert project.duck(SUM) == expected_sum(source)


def test_a_batch_that_fails_is_tried_again_alone(source, project):
    orders(source, 2000)
    source.configure(project, {**BY_CURSOR, "batch_rows": 500}, MERGE, **QUICK)
    report = project.load(env={"PENSTOCK_FAILPOINT": "target_commit_before@3=error"}, expect=None)
    assert project.duck_value("SELECT count(*) FROM t") >= 1000
    source.configure(project, {**BY_CURSOR, "batch_rows": 500}, MERGE)
    project.load()
    assert project.duck(SUM) == expected_sum(source)
    assert project.load("--full-refresh").counts() == (2000, 2000, 0, 0)
    assert project.duck(SUM) == expected_sum(source)
    source.configure(project, {**BY_CURSOR, "batch_rows": 500}, {"connection": "warehouse", "table": "main.t", "mode": "replace"})
    assert "swapped in as a whole" in project.run("check", expect=2).both


# -- time travel ------------------------------------------------------------------------------------------------------
def moment() -> str:
    time.sleep(0.02)
    now = datetime.datetime.now(datetime.timezone.utc)
    time.sleep(0.02)
    return now.isoformat()


@pytest.mark.parametrize("read", ["storage", "rest"])
def test_as_of_reads_what_was_there(read, source, project):
    orders(source, 10)
    then = moment()
    source.sql("DELETE FROM ds.orders WHERE id > 5")
    source.configure(project, {"table": "ds.orders", "read": read}, {"connection": "warehouse", "table": "main.t", "mode": "replace"})
    assert project.load().counts() == (5, 5, 0, 0)
    assert project.load("--as-of", then).counts() == (10, 10, 0, 0)
    assert project.duck_value("SELECT count(*) FROM t") == 10
    source.configure(project, {"query": "SELECT id FROM ds.orders FOR SYSTEM_TIME AS OF @as_of", "read": read},
                     {"connection": "warehouse", "table": "main.q"})
    assert project.load("--as-of", then).counts() == (10, 10, 0, 0)
    assert project.load().counts() == (5, 5, 0, 0)


def test_as_of_never_takes_a_target_back_by_halves(source, project):
    orders(source, 10)
    then = moment()
    source.sql("UPDATE ds.orders SET amount = 99, at = TIMESTAMP '2027-01-01 00:00:00+00' WHERE id = 1")
    source.configure(project, BY_CURSOR, MERGE)
    project.load()
    before = project.duck("SELECT * FROM t ORDER BY id")
    error = project.load("--as-of", then, expect=1).error
    assert error["code"] == "as_of_before_checkpoint" and "--full-refresh" in error["hint"]
    assert project.duck("SELECT * FROM t ORDER BY id") == before
    project.load("--as-of", then, "--full-refresh")
    assert project.duck("SELECT max(amount) < 99, count(*) FROM t") == [(True, 10)]
    project.load()
    assert project.duck("SELECT * FROM t ORDER BY id") == before


def test_as_of_that_cannot_be(source, project):
    orders(source, 10)
    source.sql("CREATE VIEW ds.v AS SELECT 1 AS id")
    source.configure(project, {"table": "ds.orders"})
    for when, code in (("2020-01-01", "as_of_out_of_reach"), ("2999-01-01T00:00:00Z", "as_of_in_future")):
        assert project.load("--as-of", when, expect=2).error["code"] == code
    assert "'yesterday' is no time" in project.run("run", "--all", "--as-of", "yesterday", expect=2).err
    source.configure(project, {"table": "ds.orders"})
    long_ago = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=3)).isoformat()
    report = project.load("--as-of", long_ago, expect=None)
    assert report.error["code"] == "as_of_out_of_reach" and "max_time_travel_hours" in report.error["hint"]
    for wanted in ({"table": "ds.v"}, {"query": "SELECT 1 AS id"}):
        source.configure(project, wanted)
        assert project.load("--as-of", moment(), expect=2).error["code"] == "as_of_not_taken"


# -- doctor -----------------------------------------------------------------------------------------------------------
def test_doctor_and_plan_say_what_is_missing(source, project, bigquery):
    orders(source, 100)
    source.configure(project, BY_CURSOR, MERGE)
    assert "by Storage Read as" in project.run("doctor", expect=None).both
    bigquery.fault("CreateReadSession", "error", status=7, message="Permission bigquery.readsessions.create denied")
    said = project.run("doctor", expect=None).both
    assert "readsessions.create denied" in said and "readSessionUser" in said
    planned = project.run("plan", "--output", "json").json["pipelines"][0]["tables"][0]
    assert planned["estimated_rows"] == 100 and planned["estimated_bytes"] > 0
    assert any("Storage Read of the whole table: at most" in note for note in planned["notes"])
    assert any("set cursor_lag" in note for note in planned["notes"])


# -- one pipeline for many organizations --------------------------------------------------------------------------------
@pytest.fixture
def ops():
    server = MariaServer()
    server.make_database("ops")
    server.execute("ops", "CREATE TABLE client_billing_config (organization_id VARCHAR(255), source_dataset VARCHAR(255), destination_dataset VARCHAR(255),"
                          " destination_table VARCHAR(255), key_file VARCHAR(255), least INT)")
    yield server
    server.destroy()


def test_billing_of_each_organization_by_its_own_account(source, project, bigquery, ops):
    for name, rows in (("acme", 25), ("betas", 12), ("denied", 5)):
        source.client.create_dataset(f"s_{name}")
        source.sql(f"CREATE TABLE s_{name}.usage AS SELECT x AS id, CAST(x AS NUMERIC) AS cost, TIMESTAMP_ADD(TIMESTAMP '2026-01-01 00:00:00+00', INTERVAL x SECOND)"
                   f" AS usage_end_time FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS x")
        rights = {} if name == "denied" else {f"stand-in.s_{name}": "READER"}
        key = bigquery.account(f"{name}@stand-in.iam.gserviceaccount.com", projects=["stand-in"], datasets=rights)
        project.write(json.dumps(key), f"{name}.json")
        ops.execute("ops", "INSERT INTO client_billing_config VALUES (%s, %s, 'billing', %s, %s, 3)", [name, f"s_{name}", f"usage_{name}", f"{name}.json"])
    project.environment["OPS_URL"] = ops.url("ops")
    endpoints = {"type": "bigquery", "project": "stand-in", "endpoint": bigquery.endpoint, "storage_endpoint": f"http://{bigquery.grpc_address}"}
    project.config(
        connections={"bq_client": {**endpoints, "credentials": "{client.key_file}"}, "bq": endpoints, "ops": {"type": "mysql", "url": "${OPS_URL}"}},
        pipelines={"billing": {
            "for_each": {"connection": "ops", "table": "client_billing_config", "as": "client"},
            "source": {"connection": "bq_client", "table": "{client.source_dataset}.usage", "cursor": "usage_end_time", "batch_rows": 10, "where": "id > {client.least}"},
            "target": {"connection": "bq", "table": "{client.destination_dataset}.{client.destination_table}", "mode": "merge", "key": ["id"]}, "retries": {"max": 0}}})
    project.run("check")
    report = project.load(expect=1, timeout=120)
    assert {run["pipeline"]: (run["status"], run["rows_written"]) for run in report.runs} == {
        "billing--acme": ("success", 22), "billing--betas": ("success", 9), "billing--denied": ("failed", 0)}
    assert source.sql("SELECT COUNT(*), SUM(cost) FROM billing.usage_acme") == [(22, 319)]
    assert source.sql("SELECT COUNT(*) FROM penstock.pipeline_metadata WHERE pipeline = 'billing--acme'") == [(3,)]
