"""Rows into BigQuery by the Storage Write API: PENDING streams of Arrow, faults within them, and the same tables as by load jobs."""

import signal

import pytest

from support.shop import INCREMENT, WHOLE, add_orders, assert_equal_rows, make_orders
from test_bigquery import APPEND, MERGE, QUICK, Warehouse, orders_of

WRITE = {"publish": "storage_write"}
# Wide rows in many requests: those of a load are not one message.
WIDE = "UPDATE orders SET note = to_jsonb(repeat(md5(id::text), 1500))"


class Writing(Warehouse):
    def connection(self, **more) -> dict:
        return super().connection(storage_endpoint=f"http://{self.server.grpc_address}", **more)

    def calls(self) -> dict:
        return self.server.stats()["methods"]


@pytest.fixture
def warehouse(bigquery):
    made = Writing(bigquery)
    yield made
    assert bigquery.stats()["failures"] == []
    made.client.close()


def configure(project, database, warehouse, source, target, **rest):
    project.pipeline(database, dict(source), {**target, **WRITE}, connections=warehouse.connection(), **rest)


def test_rows_come_by_streams_and_no_job_loads_them(database, project, warehouse):
    make_orders(database, 5000)
    configure(project, database, warehouse, INCREMENT, MERGE)
    run = project.load().run()
    assert (run["rows_read"], run["rows_written"]) == (5000, 5000)
    assert_equal_rows(orders_of(database), warehouse.orders())
    database.execute("UPDATE orders SET status = 'changed', updated_at = clock_timestamp() WHERE id <= 10")
    add_orders(database, 20)
    assert project.load().counts()[1] == 30
    assert_equal_rows(orders_of(database), warehouse.orders())
    assert not [job for job in warehouse.client.list_jobs() if job.job_type == "load"]
    calls = warehouse.calls()
    assert calls["CreateWriteStream"] == calls["FinalizeWriteStream"] == calls["BatchCommitWriteStreams"] == 2
    assert not warehouse.staging()
    assert run["bytes_written"] > 5000 * 20


def test_the_same_values_as_by_load_jobs(database, project, warehouse):
    database.execute("""
        CREATE TYPE pair AS (a int, n numeric(12,3), w numeric(38,20), b text);
        CREATE TABLE kinds (id int PRIMARY KEY, b bool, s smallint, i int, l bigint, r real, d double precision, n numeric(38,9), m numeric(5,2),
          w numeric(38,20), v numeric(38,0), t text, y bytea, u uuid, j jsonb, dt date, tm time, tz time with time zone, ts timestamp, at timestamptz,
          iv interval, ints int[], texts text[], sums numeric(10,2)[], wide numeric(38,20)[], deep int[][], p pair, ps pair[], js jsonb[], x xid8);
        INSERT INTO kinds VALUES (1, true, -32768, 2147483647, 9223372036854775807, 'NaN', '-Infinity',
          99999999999999999999999999999.999999999, -999.99, 999999999999999999.99999999999999999999, 99999999999999999999999999999999999999,
          E'ä\\n''"\\\\', '\\x00ff', gen_random_uuid(), '{"a": [1, 2.5, "x"]}', '0001-01-01', '23:59:59.999999', '23:59:59.999999+02',
          '9999-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999+00', '-1 year -2 mons +3 days -04:05:06.000007', '{1,2,3}', '{a,"b c"}',
          '{1.50,-2.25}', '{-0.00000000000000000001}', '{{1,2},{3,4}}', '(1,-1.125,0.00000000000000000001,x)',
          '{"(1,2.5,-3.25,x)","(2,,,)"}', ARRAY['{"k": 1}'::jsonb], '9223372036854775807');
        INSERT INTO kinds (id) VALUES (2);
        INSERT INTO kinds (id, ints, texts, t, y, w, sums) VALUES (3, '{}', '{""}', '', '', -0.5, '{}');
        INSERT INTO kinds (id, t, n, w) SELECT i, repeat('é', i % 50), i * 1.25, -i * 0.0001 FROM generate_series(4, 5000) i""")
    written = {}
    for publish in ("load_job", "storage_write"):
        project.pipeline(database, {"table": "public.kinds"}, {"connection": "bq", "table": f"shop.{publish}", "mode": "replace", "publish": publish},
                         connections=warehouse.connection())
        assert project.load().counts() == (5000, 5000, 0, 0)
        written[publish] = (warehouse.rows(f"SELECT TO_JSON_STRING(t), b, r, n, w, v, y, iv, at, p, ps FROM shop.{publish} t ORDER BY id"),
                            [field.to_api_repr() for field in warehouse.client.get_table(f"shop.{publish}").schema])
    assert repr(written["storage_write"]) == repr(written["load_job"])
    assert len([job for job in warehouse.client.list_jobs() if job.job_type == "load"]) == 1


@pytest.mark.parametrize("method, kind, status", [
    ("AppendRows", "reset", 14), ("AppendRows", "lost", 14), ("AppendRows", "error", 13), ("AppendRows", "error", 8), ("AppendRows", "error", 10),
    ("CreateWriteStream", "lost", 14), ("CreateWriteStream", "error", 14), ("FinalizeWriteStream", "lost", 14),
    ("BatchCommitWriteStreams", "lost", 14), ("BatchCommitWriteStreams", "error", 14),
])
def test_failures_that_pass_lose_and_double_nothing(method, kind, status, database, project, warehouse, bigquery):
    """`lost` appends the rows, or commits, and says it failed: sent again, they are found to be there."""
    make_orders(database, 400)
    database.execute(WIDE)
    configure(project, database, warehouse, WHOLE, APPEND)
    bigquery.fault(method, kind, calls=[1, 3], status=status, message="try again")
    assert project.load().counts() == (400, 400, 0, 0)
    assert_equal_rows(orders_of(database), warehouse.orders())
    assert warehouse.calls()[method] >= (3 if method == "AppendRows" else 2)
    assert not warehouse.staging()


def test_a_stream_that_breaks_at_every_request(database, project, warehouse, bigquery):
    make_orders(database, 1500)
    database.execute(WIDE)
    configure(project, database, warehouse, WHOLE, APPEND)
    bigquery.fault("AppendRows", "lost", calls=list(range(1, 60, 2)), status=14)
    run = project.load().run()
    assert run["rows_written"] == 1500 and run["attempts"] == 1
    assert_equal_rows(orders_of(database), warehouse.orders())
    assert warehouse.calls()["AppendRows"] > 12


def test_what_does_not_pass_is_said_at_once(database, project, warehouse, bigquery):
    make_orders(database, 50)
    configure(project, database, warehouse, WHOLE, APPEND, **QUICK)
    bigquery.fault("AppendRows", "error", status=7, message="Permission bigquery.tables.updateData denied")
    refused = project.load(expect=1)
    assert refused.error["code"] == "bigquery_storage_permission_denied" and "dataEditor" in refused.error["hint"], refused.output
    assert warehouse.calls()["AppendRows"] == 1
    bigquery.clear_faults()
    assert project.load().counts() == (50, 50, 0, 0)
    assert_equal_rows(orders_of(database), warehouse.orders())


def test_metadata_that_lags_is_waited_out(database, project, warehouse, bigquery):
    make_orders(database, 30)
    configure(project, database, warehouse, INCREMENT, APPEND)
    bigquery.lag(create=1, get=2, load=1, write=2)
    project.load()
    database.execute("ALTER TABLE orders ADD COLUMN extra text")
    add_orders(database, 5)
    database.execute("UPDATE orders SET extra = 'e' WHERE id > 30")
    project.load()
    bigquery.lag()
    assert_equal_rows(orders_of(database), warehouse.orders())
    assert warehouse.value("SELECT COUNT(*) FROM shop.orders WHERE extra = 'e'") == 5


POINTS = ["target_stage_before", "target_publish_during", "target_publish_during@2", "target_publish_during@3", "target_publish_during@5",
          "target_stage_after", "target_commit_before", "target_commit_after"]


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_and_run_again(point, database, project, warehouse):
    """Streams of a killed run are never committed, or into a staging table that nobody reads."""
    make_orders(database, 400)
    database.execute(WIDE)
    configure(project, database, warehouse, INCREMENT, APPEND)
    killed = project.run("run", "--all", env={"PENSTOCK_FAILPOINT": f"{point}=kill"}, expect=None)
    assert killed.code == -signal.SIGKILL, killed
    project.load()
    assert_equal_rows(orders_of(database), warehouse.orders())
    assert not warehouse.staging()


def test_rows_that_are_too_large_for_a_request_are_rejected(database, project, warehouse):
    make_orders(database, 20)
    database.execute("CREATE TABLE large (id int PRIMARY KEY, a text, b bytea, list text[]);"
                     "INSERT INTO large SELECT i, repeat('x', i * 1000000), NULL, NULL FROM generate_series(1, 9) i;"
                     "INSERT INTO large VALUES (10, repeat('x', 10000000), NULL, NULL), (11, repeat('x', 5000000), convert_to(repeat('y', 5000000), 'utf8'), NULL),"
                     " (12, '', '', array_fill(repeat('z', 1000), ARRAY[9500])), (13, 'small', '', '{a}')")
    configure(project, database, warehouse, {"table": "public.large"}, {"connection": "bq", "table": "shop.large", "mode": "replace"}, on_reject="continue", memory="3GiB")
    assert project.load().counts() == (13, 10, 3, 0)
    assert warehouse.rows("SELECT id, LENGTH(a) FROM shop.large ORDER BY id") == [*((i, i * 1000000) for i in range(1, 10)), (13, 5)]
    rejected = warehouse.rows("SELECT `key`, code, reason FROM penstock.rejects ORDER BY `key`")
    assert [row[:2] for row in rejected] == [(f'{{"id":{i}}}', "row_too_large") for i in (10, 11, 12)]
    assert all("load_job" in row[2] for row in rejected)


def test_plan_prices_what_is_written_and_check_wants_an_endpoint(database, project, warehouse):
    make_orders(database, 300)
    configure(project, database, warehouse, WHOLE, MERGE)
    assert "USD a GiB" in project.run("plan").out
    project.pipeline(database, dict(WHOLE), {**MERGE, **WRITE}, connections=Warehouse.connection(warehouse))
    refused = project.run("check", expect=2)
    assert "add `storage_endpoint`" in refused.both
