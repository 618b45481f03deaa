"""Bytes estimated, processed and billed. Pages: "Pricing" (data size calculation, on-demand pricing), "Estimate and control costs"."""

import pytest
from google.api_core import exceptions
from google.cloud import bigquery as bq

MB = 1024 * 1024


@pytest.fixture
def days(client):
    """3,000 rows over 30 days: 8 bytes of day, 8 of n, 2 + 100 of text."""
    client.query("""CREATE TABLE ds.days (day DATE, n INT64, text STRING, s STRUCT<a INT64, b STRING>) PARTITION BY day CLUSTER BY n;
                    INSERT INTO ds.days SELECT DATE_ADD(DATE '2024-01-01', INTERVAL MOD(x, 30) DAY), x, REPEAT('x', 100), STRUCT(x AS a, 'abc' AS b)
                    FROM UNNEST(GENERATE_ARRAY(1, 3000)) x""").result()
    return "ds.days"


@pytest.fixture
def dry(client):
    def dry(sql):
        job = client.query(sql, bq.QueryJobConfig(dry_run=True))
        assert job.state == "DONE" and job.total_bytes_billed in (None, 0)
        return job.total_bytes_processed

    return dry


@pytest.mark.parametrize("kind, value, size", [
    ("INT64", "1", 8), ("FLOAT64", "1.5", 8), ("NUMERIC", "1", 16), ("BIGNUMERIC", "1", 32), ("BOOL", "TRUE", 1), ("STRING", "'äb'", 5), ("BYTES", "b'abc'", 5),
    ("DATE", "'2024-01-01'", 8), ("DATETIME", "'2024-01-01'", 8), ("TIME", "'01:02:03'", 8), ("TIMESTAMP", "'2024-01-01 00:00:00+00'", 8),
    ("INT64", "NULL", 0), ("STRING", "NULL", 0), ("ARRAY<INT64>", "[1, 2, 3]", 24), ("ARRAY<STRING>", "['a', 'bc']", 7),
    ("STRUCT<a INT64, b STRING>", "STRUCT(1 AS a, 'x' AS b)", 11), ("JSON", "JSON '[1]'", 3)])
def test_sizes_of_types(client, dry, kind, value, size):
    client.query(f"CREATE TABLE ds.one (x {kind}); INSERT INTO ds.one (x) VALUES ({value})").result()
    assert dry("SELECT x FROM ds.one") == size
    assert client.get_table("ds.one").num_bytes == size


def test_columns_read_are_counted(days, dry):
    row = 8 + 8 + 102 + 8 + 5
    assert dry(f"SELECT n FROM {days}") == 3000 * 8
    assert dry(f"SELECT day, n FROM {days} WHERE text = 'x'") == 3000 * 118
    assert dry(f"SELECT * FROM {days}") == 3000 * row
    assert dry(f"SELECT * EXCEPT (text) FROM {days} LIMIT 1") == 3000 * (row - 102)
    assert dry(f"SELECT COUNT(*) FROM {days}") == 0
    assert dry(f"SELECT a.n FROM {days} a JOIN {days} b ON a.n = b.n") == 2 * 3000 * 8
    assert dry(f"WITH q AS (SELECT n, text FROM {days}) SELECT n FROM q") in (3000 * 8, 3000 * 110)
    assert dry("SELECT 1") == 0


def test_partitions_are_pruned(days, dry):
    per_day = 100 * 16
    for condition, count in (("day = '2024-01-05'", 1), ("day >= DATE '2024-01-29'", 2), ("day BETWEEN '2024-01-02' AND '2024-01-04'", 3),
                             ("day IN ('2024-01-01', '2024-01-02')", 2), ("day = '2023-01-01'", 0), ("day > '2024-01-28' AND n > 5", 2),
                             ("day = '2024-01-01' OR day = '2024-01-03'", 2), ("day = '2024-01-01' OR n = 3", 30), ("n = 3", 30)):
        assert dry(f"SELECT day, n FROM {days} WHERE {condition}") == count * per_day, condition


def test_timestamps_are_pruned_by_day(client, dry):
    client.query("""CREATE TABLE ds.at (at TIMESTAMP) PARTITION BY DATE(at);
                    INSERT INTO ds.at SELECT TIMESTAMP_ADD(TIMESTAMP '2024-01-01', INTERVAL x HOUR) FROM UNNEST(GENERATE_ARRAY(0, 239)) x""").result()
    assert dry("SELECT at FROM ds.at WHERE at >= TIMESTAMP '2024-01-10 12:00:00'") == 24 * 8
    assert dry("SELECT at FROM ds.at WHERE DATE(at) = '2024-01-03'") == 24 * 8
    assert dry("SELECT at FROM ds.at WHERE TIMESTAMP_TRUNC(at, DAY) <= TIMESTAMP '2024-01-02'") == 48 * 8


def test_dml(client, days, dry):
    row = 8 + 8 + 102 + 8 + 5
    assert dry(f"INSERT INTO {days} (n) SELECT n FROM {days}") == 3000 * 8
    assert dry(f"INSERT INTO {days} (n) VALUES (1)") == 0
    assert dry(f"UPDATE {days} SET n = 1 WHERE day = '2024-01-01'") == 100 * row
    assert dry(f"DELETE FROM {days} WHERE day >= '2024-01-30'") == 100 * row
    client.query("CREATE TABLE ds.staged AS SELECT DATE '2024-01-02' AS day, 1 AS n").result()
    merge = "MERGE {0} T USING ds.staged S ON T.n = S.n AND T.day IN ('2024-01-02') WHEN NOT MATCHED THEN INSERT (day, n) VALUES (day, n)"
    assert dry(merge.format(days)) == 100 * 16 + 16
    assert dry(merge.format(days) + " WHEN MATCHED THEN UPDATE SET n = 0") == 100 * row + 16
    assert dry(f"CREATE TABLE ds.copy AS SELECT n FROM {days}") == 3000 * 8


def test_dry_run_equals_what_is_then_processed_and_bills_nothing(bigquery, client, days, dry):
    before = bigquery.stats()["billed_bytes"]
    sql = f"SELECT n, text FROM {days} WHERE day > '2024-01-20'"
    estimate = dry(sql)
    assert bigquery.stats()["billed_bytes"] == before
    job = client.query(sql)
    job.result()
    assert job.total_bytes_processed == estimate == 1000 * 118
    assert job.total_bytes_billed == 10 * MB
    assert bigquery.stats()["billed_bytes"] == before + 10 * MB


def test_minimum_is_per_table_and_the_limit_is_of_what_is_billed(bigquery, client, days):
    client.query("CREATE TABLE ds.small AS SELECT 1 AS n").result()
    sql = f"SELECT a.n FROM {days} a, ds.small b WHERE a.n = b.n"
    job = client.query(sql, bq.QueryJobConfig(maximum_bytes_billed=20 * MB))
    job.result()
    assert job.total_bytes_billed == 20 * MB
    before = bigquery.stats()["billed_bytes"]
    with pytest.raises(exceptions.GoogleAPICallError, match=f"Query exceeded limit for bytes billed: {20 * MB - 1}. {20 * MB} or higher required.") as error:
        client.query(sql, bq.QueryJobConfig(maximum_bytes_billed=20 * MB - 1), job_retry=None).result()
    assert error.value.errors[0]["reason"] == "bytesBilledLimitExceeded"
    assert bigquery.stats()["billed_bytes"] == before


def test_rounding_up_to_a_megabyte(client):
    client.query("CREATE TABLE ds.big AS SELECT REPEAT('x', 1000) AS t FROM UNNEST(GENERATE_ARRAY(1, 11000)) x").result()
    job = client.query("SELECT t FROM ds.big")
    job.result()
    assert job.total_bytes_processed == 11000 * 1002 and job.total_bytes_billed == 11 * MB


def test_ddl_is_free_and_scripts_add_up(client, days):
    job = client.query("CREATE TABLE ds.x (a INT64)")
    job.result()
    assert job.total_bytes_billed == 0
    script = f"SELECT n FROM {days}; UPDATE {days} SET n = 0 WHERE day = '2024-01-01'"
    job = client.query(script)
    job.result()
    assert job.total_bytes_billed == 20 * MB
    with pytest.raises(exceptions.GoogleAPICallError, match="bytes billed"):
        client.query(script.replace("n = 0", "n = -1"), bq.QueryJobConfig(maximum_bytes_billed=15 * MB), job_retry=None).result()
    assert [row.n for row in client.query(f"SELECT COUNTIF(n = -1) AS n FROM {days}").result()] == [0]


def test_queries_without_a_limit_are_counted(bigquery, client):
    before = len(bigquery.stats()["unlimited"])
    client.query("SELECT 1", bq.QueryJobConfig(maximum_bytes_billed=MB)).result()
    client.query("SELECT 1", bq.QueryJobConfig(dry_run=True))
    assert len(bigquery.stats()["unlimited"]) == before
    client.query("SELECT 1").result()
    assert len(bigquery.stats()["unlimited"]) == before + 1
