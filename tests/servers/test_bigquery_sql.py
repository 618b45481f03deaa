"""The stand-in's SQL, judged with Google's client. Pages: "DML syntax", "DDL statements", "Multi-statement transactions", "Procedural language"."""

import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import bigquery as bq

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT / "tests/fixtures/seed-ddl"


@pytest.fixture
def run(client):
    def run(sql, *parameters, **options):
        config = bq.QueryJobConfig(query_parameters=list(parameters), default_dataset=f"{client.project}.ds", **options)
        return [tuple(row) for row in client.query(sql, config, job_retry=None).result()]

    return run


def refused(run, sql, message, reason="invalidQuery"):
    with pytest.raises(exceptions.GoogleAPICallError, match=message) as error:
        run(sql)
    assert error.value.errors[0]["reason"] == reason


def test_tables_of_the_seeds_as_written(client, run):
    client.create_dataset("re-case.backend_events_data")
    client.create_dataset("ecommerce")
    for name in ("inventory_events", "order_events", "user_activity_events"):
        run((ROOT / "examples/ddl" / f"{name}.sql").read_text())
    statement = next(part for part in (SEEDS / "other.sql").read_text().split(";") if "fct_events" in part)
    run(statement)
    orders = client.get_table("re-case.backend_events_data.order_events")
    assert orders.time_partitioning.type_ == "DAY" and orders.time_partitioning.field == "order_date"
    assert orders.clustering_fields == ["status", "customer_id"] and orders.description is None
    items = next(field for field in orders.schema if field.name == "items")
    assert items.mode == "REPEATED" and items.field_type == "RECORD"
    assert [(field.name, field.field_type, field.description) for field in items.fields] == [
        ("product_id", "STRING", "Unique identifier for the product"), ("product_name", "STRING", "Name of the product"),
        ("quantity", "INTEGER", "Number of units of the product in the order"), ("price", "FLOAT", "Unit price of the product at the time of purchase")]
    assert client.get_table("re-case.backend_events_data.inventory_events").description == "Stores inventory-related events for tracking stock levels"
    fct = client.get_table("ecommerce.fct_events")
    assert [field.field_type for field in fct.schema] == ["STRING", "TIMESTAMP", "STRING", "STRING", "JSON", "BOOLEAN"]
    run("INSERT INTO `re-case.backend_events_data.order_events` (order_id, order_date, items, shipping_address) VALUES"
        " ('o', TIMESTAMP '2024-01-02', [STRUCT('p' AS product_id, 'n' AS product_name, 2 AS quantity, 1.5 AS price)],"
        " STRUCT('s' AS street, 'c' AS city, 'k' AS country))")
    assert run("SELECT i.product_id, i.quantity, shipping_address.city FROM `re-case.backend_events_data.order_events`, UNNEST(items) AS i") == [("p", 2, "c")]


def test_ddl_with_everything_is_seen_in_rest(client, run):
    run("""CREATE TABLE everything (id INT64 NOT NULL OPTIONS(description='the key'), name STRING(10) DEFAULT 'x', n NUMERIC(10, 2), at DATETIME,
             PRIMARY KEY (id) NOT ENFORCED)
           PARTITION BY DATETIME_TRUNC(at, MONTH) CLUSTER BY name, id
           OPTIONS(description='d', labels=[('team', 'a')], partition_expiration_days=3650, require_partition_filter=TRUE)""")
    table = client.get_table("ds.everything")
    assert table.schema[0].mode == "REQUIRED" and table.schema[0].description == "the key"
    assert table.schema[1].max_length == 10 and table.schema[1].default_value_expression == "'x'"
    assert (table.schema[2].precision, table.schema[2].scale) == (10, 2)
    assert table.time_partitioning.type_ == "MONTH" and table.time_partitioning.expiration_ms == 3650 * 86400000
    assert table.description == "d" and table.labels == {"team": "a"} and table.table_constraints.primary_key.columns == ["id"]
    refused(run, "SELECT * FROM everything", "without a filter over column")
    assert run("SELECT * FROM everything WHERE at > '2024-01-01'") == []
    run("CREATE TABLE numbered (n INT64) PARTITION BY RANGE_BUCKET(n, GENERATE_ARRAY(0, 100, 10))")
    assert client.get_table("ds.numbered").range_partitioning.range_.interval == 10
    run("INSERT INTO numbered SELECT * FROM UNNEST([5, 15, 17, 500, NULL])")
    assert run("SELECT partition_id, total_rows FROM ds.INFORMATION_SCHEMA.PARTITIONS WHERE table_name = 'numbered' ORDER BY 1") == [
        ("0", 1), ("10", 2), ("__UNPARTITIONED__", 2)]
    with pytest.raises(exceptions.Conflict):
        run("CREATE TABLE numbered (n INT64)")
    run("CREATE TABLE IF NOT EXISTS numbered (m INT64)")
    run("DROP TABLE numbered")
    with pytest.raises(exceptions.NotFound):
        client.get_table("ds.numbered")
    refused(run, "DROP TABLE numbered", "Not found: Table stand-in:ds.numbered", "notFound")
    run("DROP TABLE IF EXISTS numbered")


def test_alter_table(client, run):
    run("CREATE TABLE a (id INT64 NOT NULL, n INT64, s STRING)")
    run("INSERT INTO a VALUES (1, 2, 'x')")
    run("ALTER TABLE a ADD COLUMN IF NOT EXISTS s STRING, ADD COLUMN l ARRAY<STRUCT<k STRING>> OPTIONS(description='list')")
    run("ALTER TABLE a ALTER COLUMN id DROP NOT NULL")
    run("ALTER TABLE a ALTER COLUMN n SET DATA TYPE BIGNUMERIC")
    run("ALTER TABLE a ALTER COLUMN s SET OPTIONS(description='text')")
    run("ALTER TABLE a SET OPTIONS(description='table', labels=[('k', 'v')])")
    run("ALTER TABLE a ADD PRIMARY KEY (id) NOT ENFORCED")
    table = client.get_table("ds.a")
    assert [(field.name, field.field_type, field.mode, field.description) for field in table.schema] == [
        ("id", "INTEGER", "NULLABLE", None), ("n", "BIGNUMERIC", "NULLABLE", None), ("s", "STRING", "NULLABLE", "text"), ("l", "RECORD", "REPEATED", "list")]
    assert table.description == "table" and table.labels == {"k": "v"} and table.table_constraints.primary_key.columns == ["id"]
    assert run("SELECT * FROM a") == [(1, Decimal(2), "x", [])]
    refused(run, "ALTER TABLE a ADD COLUMN must STRING NOT NULL", "required column")
    refused(run, "ALTER TABLE a ALTER COLUMN s SET DATA TYPE INT64", "is assignable to the new type")
    run("ALTER TABLE a RENAME COLUMN s TO t")
    run("ALTER TABLE a DROP COLUMN n")
    assert run("SELECT * FROM a") == [(1, "x", [])]
    run("ALTER TABLE a ADD COLUMN n STRING")
    assert run("SELECT * FROM a") == [(1, "x", [], None)]
    run("ALTER TABLE a ALTER COLUMN t SET DEFAULT 'new'")
    run("INSERT INTO a (id) VALUES (2)")
    assert run("SELECT t FROM a WHERE id = 2") == [("new",)]
    run("ALTER TABLE a RENAME TO b")
    assert run("SELECT id FROM b ORDER BY id") == [(1,), (2,)]


def test_insert_checks_types_counts_and_required_columns(run):
    run("CREATE TABLE t (id INT64 NOT NULL, n NUMERIC, at TIMESTAMP, f FLOAT64, tags ARRAY<STRING>)")
    run("INSERT INTO t (id, n, at, f) VALUES (1, 1, '2024-01-01 00:00:00+00', 1), (2, 1.5, NULL, 2.5)")
    assert run("SELECT id, n, f, tags FROM t ORDER BY id") == [(1, Decimal(1), 1.0, []), (2, Decimal("1.5"), 2.5, [])]
    refused(run, "INSERT INTO t (id) VALUES ('a')", "cannot be inserted into column id, which has type INT64")
    refused(run, "INSERT INTO t (id, n) SELECT 1, CAST(1.5 AS FLOAT64)", "cannot be inserted into column n, which has type NUMERIC")
    refused(run, "INSERT INTO t (id, n) VALUES (1)", "wrong column count; Has 1, expected 2")
    refused(run, "INSERT INTO t (nothing) VALUES (1)", "Column nothing is not present")
    refused(run, "INSERT INTO t (n) VALUES (1)", "Required field id cannot be null")
    refused(run, "INSERT INTO t (id, tags) SELECT 1, ['a', NULL]", "null element")
    refused(run, "SELECT nothing FROM t", "Unrecognized name: nothing")
    refused(run, "SELEKT 1", "Syntax error")
    assert run("SELECT COUNT(*) FROM t") == [(2,)]
    refused(run, "SELECT [1, NULL]", "Array cannot have a null element; error in writing field f0_")
    run("CREATE TABLE nested (s STRUCT<a INT64 NOT NULL>, l ARRAY<STRUCT<b STRING NOT NULL>>)")
    run("INSERT INTO nested VALUES (NULL, []), (STRUCT(1), [STRUCT('x')])")
    refused(run, "INSERT INTO nested (s) VALUES (STRUCT(CAST(NULL AS INT64) AS a))", "Required field s.a cannot be null")
    run("CREATE TABLE narrow (s STRING(3), n NUMERIC(4, 2))")
    run("INSERT INTO narrow VALUES ('äöü', 99.99)")
    refused(run, "INSERT INTO narrow (s) VALUES ('abcd')", "maximum length 3")
    refused(run, "INSERT INTO narrow (n) VALUES (100)", "out of range of NUMERIC")
    refused(run, "INSERT INTO nested (l) VALUES ([STRUCT('x' AS b), STRUCT(NULL AS b)])", "Required field l.b cannot be null")


def test_merge(client, run):
    run("CREATE TABLE t (id INT64, v STRING, n INT64); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 1)")
    job = client.query("""MERGE ds.t T USING (SELECT 1 AS id, 'A' AS v UNION ALL SELECT 2, 'B' UNION ALL SELECT 4, 'D') S ON T.id = S.id
                          WHEN MATCHED AND T.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = S.v, n = T.n + 1
                          WHEN NOT MATCHED THEN INSERT (id, v) VALUES (id, v) WHEN NOT MATCHED BY SOURCE THEN UPDATE SET n = 0""")
    job.result()
    assert run("SELECT * FROM t ORDER BY id") == [(2, "B", 2), (3, "c", 0), (4, "D", None)]
    assert (job.dml_stats.inserted_row_count, job.dml_stats.updated_row_count, job.dml_stats.deleted_row_count) == (1, 2, 1)
    assert job.statement_type == "MERGE" and job.num_dml_affected_rows == 4
    double = "MERGE t T USING (SELECT 2 AS id, 'x' AS v UNION ALL SELECT 2, 'y') S ON T.id = S.id WHEN MATCHED {} THEN UPDATE SET v = S.v"
    refused(run, double.format(""), "UPDATE/MERGE must match at most one source row for each target row")
    run(double.format("AND S.v = 'y'"))
    refused(run, "UPDATE t SET v = S.v FROM (SELECT 2 AS id, 'x' AS v UNION ALL SELECT 2, 'y') S WHERE t.id = S.id", "at most one source row")
    assert run("SELECT v FROM t WHERE id = 2") == [("y",)]
    run("MERGE t USING (SELECT 9 AS a, 'n' AS b, 3 AS c) S ON FALSE WHEN NOT MATCHED THEN INSERT ROW")
    assert run("SELECT * FROM t WHERE id = 9") == [(9, "n", 3)]
    run("MERGE t T USING t S ON FALSE WHEN NOT MATCHED BY SOURCE AND T.id = 9 THEN DELETE")
    assert run("SELECT COUNT(*) FROM t") == [(3,)]
    refused(run, "DELETE FROM t", "must have a WHERE clause")
    assert client.query("DELETE FROM ds.t WHERE id IN (SELECT id FROM ds.t WHERE id < 4)").result().num_dml_affected_rows == 2


def test_transactions_commit_roll_back_and_isolate(client, run):
    run("CREATE TABLE t (id INT64); INSERT INTO t VALUES (1)")
    assert run("BEGIN TRANSACTION; INSERT INTO t VALUES (2); DELETE FROM t WHERE id = 1; SELECT id FROM t; ROLLBACK TRANSACTION") == [(2,)]
    assert run("SELECT id FROM t") == [(1,)]
    refused(run, "BEGIN TRANSACTION; DELETE FROM t WHERE TRUE; SELECT ERROR('no'); COMMIT TRANSACTION", "no")
    assert run("SELECT id FROM t") == [(1,)]
    run("BEGIN TRANSACTION; INSERT INTO t VALUES (2); UPDATE t SET id = 3 WHERE id = 1; COMMIT TRANSACTION")
    assert run("SELECT id FROM t ORDER BY id") == [(2,), (3,)]
    refused(run, "COMMIT TRANSACTION", "no transaction in progress")
    refused(run, "BEGIN TRANSACTION; CREATE TABLE u (x INT64); COMMIT", "not supported in a multi-statement transaction")
    assert run("""BEGIN BEGIN TRANSACTION; INSERT INTO t VALUES (7); SELECT ERROR('inner'); COMMIT TRANSACTION;
                  EXCEPTION WHEN ERROR THEN ROLLBACK TRANSACTION; SELECT @@error.message AS m; END""")[0][0].find("inner") >= 0
    assert run("SELECT COUNT(*) FROM t") == [(2,)]


def test_concurrent_updates_abort_a_transaction_but_appends_do_not(bigquery, client, run):
    run("CREATE TABLE t (id INT64); INSERT INTO t VALUES (1)")
    bigquery.fault("COMMIT_TRANSACTION", "statement", seconds=0.8)
    slow = client.query("BEGIN TRANSACTION; UPDATE ds.t SET id = id + 1 WHERE TRUE; COMMIT TRANSACTION")
    time.sleep(0.3)
    run("INSERT INTO t VALUES (10)")
    refused(run, "BEGIN TRANSACTION; DELETE FROM t WHERE id = 10; COMMIT TRANSACTION",
            r"Transaction is aborted due to concurrent update against table stand-in:ds.t. Transaction ID: \w+")
    assert run("SELECT id FROM t ORDER BY id") == [(1,), (10,)], "nothing is visible before the commit"
    slow.result()
    assert run("SELECT id FROM t ORDER BY id") == [(2,), (10,)]
    # Statements outside of transactions queue up.
    threads = [threading.Thread(target=lambda: client.query("UPDATE ds.t SET id = id + 1 WHERE TRUE").result()) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run("SELECT id FROM t ORDER BY id") == [(6,), (14,)]


def test_a_transaction_reads_one_snapshot(bigquery, client, run):
    run("CREATE TABLE t (id INT64); INSERT INTO t VALUES (1)")
    bigquery.fault("SELECT", "statement", seconds=0.6, calls=[1])
    reading = client.query("BEGIN TRANSACTION; SELECT COUNT(*) FROM ds.t; SELECT COUNT(*) AS n FROM ds.t; COMMIT TRANSACTION")
    time.sleep(0.3)
    run("TRUNCATE TABLE t")
    assert [row.n for row in reading.result()] == [1]
    assert run("SELECT COUNT(*) FROM t") == [(0,)]


def test_scripts(client, run):
    assert run("DECLARE x INT64 DEFAULT 2; DECLARE y STRING; SET y = 'a'; IF x > 1 THEN SET x = x * 10; ELSE SET x = 0; END IF; SELECT x, y") == [(20, "a")]
    assert run("CREATE TEMP TABLE q AS SELECT 1 AS a UNION ALL SELECT 2; DELETE FROM q WHERE a = 1; INSERT INTO q VALUES (7); SELECT SUM(a) FROM q") == [(9,)]
    assert run("CREATE TEMP TABLE q (a INT64); BEGIN TRANSACTION; INSERT INTO q VALUES (7); DELETE FROM q WHERE a = 1; COMMIT TRANSACTION; SELECT a FROM q") == [(7,)]
    job = client.query("CREATE TABLE ds.s (a INT64); INSERT INTO ds.s VALUES (1), (2); SELECT * FROM ds.s")
    assert job.result().total_rows == 2 and job.statement_type == "SCRIPT" and job.num_child_jobs == 3
    children = sorted(client.list_jobs(parent_job=job), key=lambda child: child.job_id)
    assert [child.statement_type for child in children] == ["CREATE_TABLE", "INSERT", "SELECT"]
    assert children[1].num_dml_affected_rows == 2


def test_parameters(run):
    scalar, array = bq.ScalarQueryParameter, bq.ArrayQueryParameter
    assert run("SELECT @a + 1, @b, @c", scalar("a", "INT64", 1), scalar("b", "NUMERIC", Decimal("1.25")), scalar("c", "STRING", None)) == [
        (2, Decimal("1.25"), None)]
    assert run("SELECT x FROM UNNEST(@l) AS x WHERE x > ?" .replace("?", "@m"), array("l", "INT64", [1, 2, 3]), scalar("m", "INT64", 1)) == [(2,), (3,)]
    assert run("SELECT ?, ?", scalar(None, "STRING", "it's"), scalar(None, "BOOL", True)) == [("it's", True)]


def test_time_travel(client, run):
    run("CREATE TABLE t AS SELECT 1 AS id")
    time.sleep(0.05)
    moment = run("SELECT CURRENT_TIMESTAMP()")[0][0]
    run("UPDATE t SET id = 2 WHERE TRUE")
    assert run("SELECT id FROM t FOR SYSTEM_TIME AS OF @m", bq.ScalarQueryParameter("m", "TIMESTAMP", moment)) == [(1,)]
    assert run("SELECT a.id FROM t AS a FOR SYSTEM_TIME AS OF @m", bq.ScalarQueryParameter("m", "TIMESTAMP", moment)) == [(1,)]
    assert run("SELECT id FROM t") == [(2,)]
    refused(run, "SELECT id FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '2020-01-01'", "at most 7 days")
    refused(run, "SELECT id FROM t FOR SYSTEM_TIME AS OF TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)", "in the future")
    refused(run, "SELECT id FROM t FOR SYSTEM_TIME AS OF TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 HOUR)", "Invalid snapshot time")


def test_limits_of_partitions_and_text(client, run):
    run("CREATE TABLE days (d DATE) PARTITION BY d")
    refused(run, "INSERT INTO days SELECT DATE_ADD(DATE '2000-01-01', INTERVAL x DAY) FROM UNNEST(GENERATE_ARRAY(0, 4000)) x",
            "Too many partitions produced by query, allowed 4000, query produces at least 4001 partitions")
    run("INSERT INTO days SELECT DATE_ADD(DATE '2000-01-01', INTERVAL x DAY) FROM UNNEST(GENERATE_ARRAY(0, 3999)) x")
    run("INSERT INTO days VALUES (DATE '2050-01-01')")
    refused(run, "DELETE FROM days WHERE TRUE", "allowed 4000, query modifies at least 4001")
    run("INSERT INTO days SELECT DATE_ADD(DATE '1950-01-01', INTERVAL x DAY) FROM UNNEST(GENERATE_ARRAY(0, 3999)) x")
    refused(run, "INSERT INTO days SELECT DATE_ADD(DATE '1900-01-01', INTERVAL x DAY) FROM UNNEST(GENERATE_ARRAY(0, 3999)) x",
            "Number of partitions per partitioned table", "quotaExceeded")
    assert run("SELECT COUNT(*) FROM days") == [(8001,)]
    refused(run, "SELECT '" + "x" * 1024 * 1024 + "'", "query is too large", "invalid")


def test_values_of_queries_have_their_types(run):
    import datetime

    row = run("""SELECT 1, 1.5, NUMERIC '1.5', BIGNUMERIC '2.5', 'a', b'ab', TRUE, DATE '2024-01-02', TIMESTAMP '2024-01-02 03:04:05.678901+00',
                        DATETIME '2024-01-02 03:04:05', TIME '03:04:05', [1, 2], STRUCT(1 AS a, 'b' AS b), JSON '{"a": 1}', SUM(x), AVG(x), COUNT(*)
                 FROM UNNEST([1, 2]) AS x""")[0]
    utc = datetime.timezone.utc
    assert row == (1, 1.5, Decimal("1.5"), Decimal("2.5"), "a", b"ab", True, datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4, 5, 678901, utc),
                   datetime.datetime(2024, 1, 2, 3, 4, 5), datetime.time(3, 4, 5), [1, 2], {"a": 1, "b": "b"}, {"a": 1}, 3, 1.5, 2)
    assert run("SELECT CAST(1.0 AS STRING), CAST(NUMERIC '1.50' AS STRING), TO_JSON_STRING(STRUCT(1 AS a)), SAFE_CAST('x' AS INT64)") == [
        ("1", "1.5", '{"a":1}', None)]
