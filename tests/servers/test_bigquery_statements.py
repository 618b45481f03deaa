"""The statements that publish staged rows, in the forms a pipeline writes them. Judged by what BigQuery's pages say of each."""

import datetime
from decimal import Decimal

import pytest
from google.api_core import exceptions
from google.cloud import bigquery as bq

P = "`stand-in.ds."


@pytest.fixture
def run(client):
    def run(sql, **options):
        return [tuple(row) for row in client.query(sql, bq.QueryJobConfig(**options), job_retry=None).result()]

    return run


def dry(client, sql):
    return client.query(sql, bq.QueryJobConfig(dry_run=True)).total_bytes_processed


@pytest.fixture
def staged(client, run):
    run(f"""CREATE TABLE {P}t` (id INT64 NOT NULL, day DATE, j JSON, span INTERVAL, l ARRAY<STRUCT<k STRING, j JSON>>, s STRUCT<a INT64, j JSON>)
              PARTITION BY day CLUSTER BY id;
            CREATE TABLE {P}staged` (id INT64, day DATE, j STRING, span STRING, l ARRAY<STRUCT<k STRING, j STRING>>, s STRUCT<a INT64, j STRING>, bad STRING);
            CREATE TABLE {P}meta` (pipeline STRING, `table` STRING, batch INT64, at TIMESTAMP, note STRING);
            INSERT INTO {P}staged` VALUES
              (1, '2024-01-01', '{{"a": 1.0}}', '1-2 3 -4:5:6.5', [STRUCT('x' AS k, '[1]' AS j), STRUCT('y', NULL)], STRUCT(5 AS a, '{{}}' AS j), NULL),
              (2, '2024-01-02', NULL, NULL, NULL, NULL, NULL), (3, '2024-01-03', 'null', NULL, [], STRUCT(NULL AS a, NULL AS j), 'rejected')""")


LIST = """S.`id` AS `id`, S.`day` AS `day`, PARSE_JSON(S.`j`, wide_number_mode => 'exact') AS `j`, CAST(S.`span` AS INTERVAL) AS `span`,
  ARRAY(SELECT STRUCT(e.`k` AS `k`, PARSE_JSON(e.`j`, wide_number_mode => 'exact') AS `j`) FROM UNNEST(S.`l`) AS e WITH OFFSET o ORDER BY o) AS `l`,
  IF(S.`s` IS NULL, NULL, STRUCT(S.`s`.`a` AS `a`, PARSE_JSON(S.`s`.`j`, wide_number_mode => 'exact') AS `j`)) AS `s`"""
SELECT = f"SELECT {LIST} FROM {P}staged` AS S WHERE S.`bad` IS NULL"
MERGE = f"""MERGE INTO {P}t` AS T USING ({SELECT}) AS S ON T.`id` = S.`id` AND T.`day` BETWEEN DATE '2024-01-01' AND DATE '2024-01-03'
  WHEN MATCHED THEN UPDATE SET `day` = S.`day`, `j` = S.`j`, `span` = S.`span`, `l` = S.`l`, `s` = S.`s`
  WHEN NOT MATCHED THEN INSERT (`id`, `day`, `j`, `span`, `l`, `s`) VALUES (S.`id`, S.`day`, S.`j`, S.`span`, S.`l`, S.`s`)"""


def script(statement, batch, expected):
    return f"""BEGIN TRANSACTION;
ASSERT (SELECT IFNULL(MAX(batch), 0) FROM {P}meta` WHERE pipeline = 'p' AND `table` = 't') = {expected} AS 'stand: checkpoint moved';
{statement};
INSERT INTO {P}meta` (pipeline, `table`, batch, at, note) VALUES ('p', 't', {batch}, TIMESTAMP '2026-01-01 00:00:00.123456+00', 'it\\'s \\\\ \\n\\x41\\u00e9');
COMMIT TRANSACTION;"""


@pytest.mark.parametrize("statement", [f"INSERT INTO {P}t` (`id`, `day`, `j`, `span`, `l`, `s`) {SELECT}", MERGE,
                                       f"TRUNCATE TABLE {P}t`;\nINSERT INTO {P}t` (`id`, `day`, `j`, `span`, `l`, `s`) {SELECT}"])
def test_commits_with_their_checkpoint(client, run, staged, statement):
    assert dry(client, statement) > 0
    dry(client, script(statement, 1, 0))
    run(script(statement, 1, 0))
    found = run(f"SELECT id, day, TO_JSON_STRING(j), CAST(span AS STRING), l, s FROM {P}t` ORDER BY id")
    assert found == [(1, datetime.date(2024, 1, 1), '{"a":1.0}', "1-2 3 -4:5:6.5", [{"k": "x", "j": [1]}, {"k": "y", "j": None}], {"a": 5, "j": {}}),
                     (2, datetime.date(2024, 1, 2), None, None, [], None)]
    assert run(f"SELECT batch, note FROM {P}meta`") == [(1, "it's \\ \nAé")]
    with pytest.raises(exceptions.GoogleAPICallError, match="stand: checkpoint moved"):
        run(script(statement, 1, 0))
    assert run(f"SELECT COUNT(*) FROM {P}t`") == [(2,)] and run(f"SELECT COUNT(*) FROM {P}meta`") == [(1,)]


def test_wide_numbers_of_json(run):
    for text in ("9007199254740993", "18446744073709551615", "1.5", "-0", "1e3", "0.1", '{"a": [12345678901234567890, "1.23456789012345678901"]}'):
        assert run(f"SELECT TO_JSON_STRING(PARSE_JSON('{text}', wide_number_mode => 'exact'))") is not None
    for text in ("18446744073709551616", "1.2345678901234567890123", "[1e400]"):
        with pytest.raises(exceptions.BadRequest, match="Invalid input to PARSE_JSON"):
            run(f"SELECT PARSE_JSON('{text}', wide_number_mode => 'exact')")
    with pytest.raises(exceptions.BadRequest):
        run("SELECT PARSE_JSON('{')")
    assert run("SELECT SAFE.PARSE_JSON('{') IS NULL") == [(True,)]


def test_staged_rows_are_thinned_out(client, run, staged):
    run(f"INSERT INTO {P}t` (id, day) VALUES (1, '2024-01-01')")
    run(f"""CREATE TABLE {P}newest` AS SELECT * EXCEPT (place) FROM (SELECT S.*, ROW_NUMBER() OVER (PARTITION BY TO_JSON_STRING(STRUCT(S.`id` AS a, S.`day` AS b))
            ORDER BY S.`id` DESC) AS place FROM {P}staged` AS S) WHERE place = 1""")
    assert [field.field_type for field in client.get_table("ds.newest").schema] == ["INTEGER", "DATE", "STRING", "STRING", "RECORD", "RECORD", "STRING"]
    job = client.query(f"DELETE FROM {P}newest` AS N WHERE EXISTS (SELECT 1 FROM {P}t` AS T WHERE T.`id` = N.`id`)")
    job.result()
    assert job.num_dml_affected_rows == 1
    job = client.query(f"UPDATE {P}t` AS T SET `j` = PARSE_JSON(V.`j`) FROM (SELECT id, '[7]' AS j FROM {P}newest`) AS V WHERE T.`id` + 1 = V.`id`")
    job.result()
    assert job.num_dml_affected_rows == 1
    assert run(f"SELECT id, j FROM {P}t`") == [(1, [7])]


def test_parameters_of_every_kind_used(client, run, staged):
    config = bq.QueryJobConfig(query_parameters=[bq.ScalarQueryParameter("p", "STRING", "p"), bq.ScalarQueryParameter("n", "INT64", 3),
                                                 bq.ScalarQueryParameter("at", "TIMESTAMP", datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)),
                                                 bq.ArrayQueryParameter("names", "STRING", ["a", "b"])])
    sql = f"SELECT id FROM {P}staged` WHERE @p = 'p' AND id < @n AND TIMESTAMP(day) >= @at AND ('b' IN UNNEST(@names)) ORDER BY id"
    assert [row.id for row in client.query(sql, config).result()] == [1, 2]


def test_checks_as_sql(run, staged):
    assert run(f"""SELECT COUNT(*), COUNTIF(id IS NULL), COUNT(DISTINCT id), MIN(day), MAX(day), SUM(id), AVG(id), LOGICAL_AND(id > 0), ANY_VALUE(bad),
                   COUNTIF(REGEXP_CONTAINS(bad, r'^re')), COUNTIF(bad NOT IN ('x')), APPROX_COUNT_DISTINCT(id) FROM {P}staged`""") == [
        (3, 0, 3, datetime.date(2024, 1, 1), datetime.date(2024, 1, 3), 6, 2.0, True, "rejected", 1, 1, 3)]
    assert run("""SELECT x, COUNT(*) AS n FROM UNNEST(['a', 'b', 'a']) AS x GROUP BY x HAVING n > 1 ORDER BY n""") == [("a", 2)]
    assert run("SELECT CAST('12.50' AS NUMERIC), CAST('0.1' AS BIGNUMERIC) + CAST('0.2' AS BIGNUMERIC), SAFE_CAST('x' AS NUMERIC), CAST(TRUE AS STRING)") == [
        (Decimal("12.5"), Decimal("0.3"), None, "true")]
    assert run("SELECT DATE_DIFF(DATE '2024-03-01', DATE '2024-02-01', DAY), FORMAT_DATE('%Y%m', DATE '2024-02-03'), UNIX_MICROS(TIMESTAMP '1970-01-01 00:00:01+00'),"
               " EXTRACT(YEAR FROM TIMESTAMP '2024-01-01 00:00:00+00'), DATE(TIMESTAMP '2024-01-01 23:00:00+00'), TIMESTAMP_MICROS(1500000),"
               " DATE_TRUNC(DATE '2024-02-03', MONTH), TO_HEX(SHA256('a')) = LOWER(TO_HEX(SHA256('a')))") == [
        (29, "202402", 1000000, 2024, datetime.date(2024, 1, 1), datetime.datetime(1970, 1, 1, 0, 0, 1, 500000, datetime.timezone.utc), datetime.date(2024, 2, 1),
         True)]


def test_escapes_of_literals(run):
    assert run(r"""SELECT 'a\x41\u00e9\U0001F600\101\'\"\\x41\n\t\r', "it\'s \x22 `b`", r'\x41', '''three ' \x41''', 'a -- \x41' -- \x41 '
                   , LENGTH(b'\x00\xff')""") == [("aAé😀A'\"\\x41\n\t\r", "it's \" `b`", "\\x41", "three ' A", "a -- A", 2)]
