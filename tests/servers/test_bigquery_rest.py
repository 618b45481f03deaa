"""The stand-in's datasets, tables, jobs, rows and errors on command, judged with Google's client."""

import datetime
import json
import time
import urllib.error
import urllib.request

import pytest
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.cloud import bigquery as bq


def call(bigquery, method, path, body=None, headers=()):
    request = urllib.request.Request(f"{bigquery.endpoint}/bigquery/v2/projects/stand-in/{path}", None if body is None else json.dumps(body).encode(),
                                     {"Content-Type": "application/json", **dict(headers)}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_datasets(client):
    made = bq.Dataset("stand-in.other")
    made.location, made.description, made.labels, made.default_table_expiration_ms = "EU", "d", {"a": "b"}, 3600000
    client.create_dataset(made)
    with pytest.raises(exceptions.Conflict) as error:
        client.create_dataset(made)
    assert error.value.errors[0]["reason"] == "duplicate"
    found = client.get_dataset("other")
    assert (found.location, found.description, found.labels) == ("EU", "d", {"a": "b"})
    found.description, found.labels = "e", {"a": None, "c": "d"}
    changed = client.update_dataset(found, ["description", "labels"])
    assert changed.description == "e" and changed.labels == {"c": "d"}
    with pytest.raises(exceptions.PreconditionFailed):
        client.update_dataset(found, ["description"])
    table = client.create_table(bq.Table("stand-in.other.t", [bq.SchemaField("a", "INT64")]))
    assert table.expires > datetime.datetime.now(datetime.timezone.utc)
    with pytest.raises(exceptions.BadRequest, match="still in use") as error:
        client.delete_dataset("other")
    assert error.value.errors[0]["reason"] == "resourceInUse"
    client.delete_dataset("other", delete_contents=True)
    with pytest.raises(exceptions.NotFound, match="Not found: Dataset stand-in:other"):
        client.get_dataset("other")
    assert [dataset.dataset_id for dataset in client.list_datasets()] == ["ds"]


def test_tables(client):
    made = bq.Table("stand-in.ds.t", [bq.SchemaField("id", "INT64", "REQUIRED"), bq.SchemaField("at", "TIMESTAMP")])
    made.time_partitioning, made.clustering_fields, made.description = bq.TimePartitioning("HOUR", "at", expiration_ms=1000), ["id"], "d"
    client.create_table(made)
    with pytest.raises(exceptions.Conflict):
        client.create_table(made)
    found = client.get_table("ds.t")
    assert found.time_partitioning.type_ == "HOUR" and found.clustering_fields == ["id"]
    found.schema = [bq.SchemaField("id", "INT64"), bq.SchemaField("at", "TIMESTAMP", description="when"), bq.SchemaField("more", "STRING", "REPEATED")]
    changed = client.update_table(found, ["schema"])
    assert [(field.name, field.mode, field.description) for field in changed.schema] == [
        ("id", "NULLABLE", None), ("at", "NULLABLE", "when"), ("more", "REPEATED", None)]
    with pytest.raises(exceptions.PreconditionFailed):
        client.update_table(found, ["schema"])
    for schema, message in (([bq.SchemaField("id", "STRING")], "changed type|missing"), ([*changed.schema, bq.SchemaField("must", "INT64", "REQUIRED")], "required"),
                            (changed.schema[1:], "missing")):
        changed.schema = schema
        with pytest.raises(exceptions.BadRequest, match=message):
            client.update_table(changed, ["schema"])
        changed = client.get_table("ds.t")
    assert [table.table_id for table in client.list_tables("ds")] == ["t"]
    for fields, options in (([("a", "STRING")], {"time_partitioning": bq.TimePartitioning(field="a")}), ([("a", "INT64")], {"clustering_fields": ["b"]}),
                            ([("a", "INT64"), ("A", "INT64")], {}), ([("1a", "INT64")], {}), ([("_PARTITIONTIME", "INT64")], {})):
        bad = bq.Table("stand-in.ds.bad", [bq.SchemaField(*field) for field in fields])
        for name, value in options.items():
            setattr(bad, name, value)
        with pytest.raises(exceptions.BadRequest):
            client.create_table(bad)
    client.delete_table("ds.t")
    with pytest.raises(exceptions.NotFound, match="Not found: Table stand-in:ds.t"):
        client.get_table("ds.t")


def test_rows_by_pages(client):
    client.query("CREATE TABLE ds.t AS SELECT x FROM UNNEST(GENERATE_ARRAY(1, 2500)) x").result()
    pages = list(client.list_rows("ds.t", page_size=1000, selected_fields=[bq.SchemaField("x", "INT64")]).pages)
    assert [page.num_items for page in pages] == [1000, 1000, 500]
    assert sorted(row.x for page in pages for row in page) == list(range(1, 2501))
    assert [row.x for row in client.list_rows("ds.t", start_index=2495, max_results=3, selected_fields=[bq.SchemaField("x", "INT64")])] == [2496, 2497, 2498]
    assert [row.x for row in client.query("SELECT x FROM ds.t ORDER BY x DESC").result(page_size=700)] == list(range(2500, 0, -1))


def test_insert_all(bigquery, client):
    table = client.create_table(bq.Table("stand-in.ds.t", [bq.SchemaField("a", "INT64", "REQUIRED")]))
    assert client.insert_rows_json(table, [{"a": 1}]) == []
    errors = client.insert_rows_json(table, [{"a": 2}, {"a": "x"}, {"b": 1}])
    assert {(error["index"], error["errors"][0]["reason"]) for error in errors} == {(0, "stopped"), (1, "invalid"), (2, "invalid")}
    client.insert_rows_json(table, [{"a": 3}, {"b": 1}], skip_invalid_rows=True)
    assert sorted(row.a for row in client.list_rows(table)) == [1, 3]
    bigquery.lag(create=60)
    with pytest.raises(exceptions.NotFound):
        client.insert_rows_json(table, [{"a": 4}], retry=None)


def test_job_ids_are_used_once_and_find_the_first_attempt(client):
    client.query("CREATE TABLE ds.t (a INT64)").result()
    job = client.query("INSERT INTO ds.t VALUES (1)", job_id="once", job_retry=None)
    job.result()
    for sql in ("INSERT INTO ds.t VALUES (1)", "SELECT 1"):
        with pytest.raises(exceptions.Conflict, match="Already Exists: Job stand-in:US.once"):
            client.query(sql, job_id="once", job_retry=None)
    with pytest.raises(exceptions.GoogleAPICallError):
        client.query("SELECT nothing FROM ds.t", job_id="failed", job_retry=None).result()
    with pytest.raises(exceptions.Conflict):
        client.query("SELECT 1", job_id="failed", job_retry=None)
    assert client.get_job("failed").error_result["reason"] == "invalidQuery"
    assert client.get_job("once").num_dml_affected_rows == 1
    assert [row.a for row in client.list_rows("ds.t")] == [1]
    with pytest.raises(exceptions.NotFound, match="Not found: Job stand-in:"):
        client.get_job("never")
    client.query("SELECT 1", job_id="once", location="EU", job_retry=None).result()
    with pytest.raises(exceptions.NotFound):
        client.get_job("once", location="asia-east1")


def test_labels_and_their_rules(client):
    job = client.query("SELECT 1", bq.QueryJobConfig(labels={"pipeline": "orders_1"}))
    assert client.get_job(job.job_id).labels == {"pipeline": "orders_1"}
    for labels in ({"Upper": "x"}, {"a": "Upper"}, {"a": "x" * 64}, {"1a": "x"}):
        with pytest.raises(exceptions.BadRequest):
            client.query("SELECT 1", bq.QueryJobConfig(labels=labels), retry=None, job_retry=None)


def test_results_into_a_table_and_copies(client):
    config = bq.QueryJobConfig(destination="stand-in.ds.made", write_disposition="WRITE_TRUNCATE")
    client.query("SELECT 1 AS a", config).result()
    client.query("SELECT 2 AS a, 'x' AS b", config).result()
    assert [tuple(row) for row in client.list_rows(client.get_table("ds.made"))] == [(2, "x")]
    with pytest.raises(exceptions.GoogleAPICallError, match="Already Exists"):
        client.query("SELECT 2 AS a", bq.QueryJobConfig(destination="stand-in.ds.made"), job_retry=None).result()
    client.copy_table("ds.made", "ds.copy").result()
    assert client.get_table("ds.copy").num_rows == 1


def test_polling_sees_a_running_job(bigquery, client):
    bigquery.fault("SELECT", "statement", seconds=1.0)
    job = client.query("SELECT 1 AS x")
    assert client.get_job(job.job_id).state == "RUNNING"
    status, answer = call(bigquery, "GET", f"queries/{job.job_id}?timeoutMs=50")
    assert status == 200 and answer["jobComplete"] is False and "rows" not in answer
    assert [row.x for row in job.result()] == [1]


def test_a_running_job_is_cancelled(bigquery, client):
    client.query("CREATE TABLE ds.t (a INT64)").result()
    bigquery.fault("INSERT", "statement", seconds=0.8)
    job = client.query("INSERT INTO ds.t VALUES (1)", job_retry=None)
    assert job.cancel()
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled") as error:
        job.result()
    assert error.value.errors[0]["reason"] == "stopped"
    assert client.get_table("ds.t").num_rows == 0


def test_jobs_query_is_idempotent_by_request_id(bigquery, client):
    client.query("CREATE TABLE ds.t (a INT64)").result()
    body = {"query": "INSERT INTO ds.t VALUES (1)", "useLegacySql": False, "requestId": "same"}
    first, second = call(bigquery, "POST", "queries", body), call(bigquery, "POST", "queries", body)
    assert first[1]["jobReference"] == second[1]["jobReference"] and first[1]["numDmlAffectedRows"] == "1"
    assert client.get_table("ds.t").num_rows == 1


@pytest.mark.parametrize("status, reason", [(429, "rateLimitExceeded"), (500, "internalError"), (503, "backendError"), (403, "quotaExceeded")])
def test_errors_on_command(bigquery, client, status, reason):
    bigquery.fault("tables.list", "error", status=status, reason=reason, message="on command", retry_after="7", calls=[2])
    assert call(bigquery, "GET", "datasets/ds/tables")[0] == 200
    request = urllib.request.Request(f"{bigquery.endpoint}/bigquery/v2/projects/stand-in/datasets/ds/tables")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    body = json.loads(error.value.read())["error"]
    assert error.value.code == status == body["code"] and error.value.headers["Retry-After"] == "7"
    assert body["errors"][0]["reason"] == reason and body["message"] == "on command"
    assert call(bigquery, "GET", "datasets/ds/tables")[0] == 200
    bigquery.clear_faults()
    bigquery.fault("tables.list", "error", status=status, reason=reason, calls=[1])
    if reason != "quotaExceeded":
        assert list(client.list_tables("ds", retry=Retry(initial=0.01))) == []


def test_resets_lost_answers_slow_bodies_and_delays(bigquery, client):
    client.query("CREATE TABLE ds.t (a INT64)").result()
    bigquery.fault("jobs.insert", "reset", calls=[1])
    bigquery.fault("jobs.insert", "lost", calls=[1])
    resource = {"configuration": {"query": {"query": "INSERT INTO ds.t VALUES (1)", "useLegacySql": False}}, "jobReference": {"jobId": "mine", "projectId": "stand-in"}}
    with pytest.raises((ConnectionResetError, urllib.error.URLError)):
        call(bigquery, "POST", "jobs", resource)
    assert call(bigquery, "GET", "jobs/mine")[0] == 404, "a reset came before anything was done"
    with pytest.raises((ConnectionResetError, urllib.error.URLError)):
        call(bigquery, "POST", "jobs", resource)
    status, answer = call(bigquery, "POST", "jobs", resource)
    assert status == 409 and answer["error"]["errors"][0]["reason"] == "duplicate"
    client.get_job("mine").result()
    assert client.get_table("ds.t").num_rows == 1
    for kind in ("slow", "delay"):
        bigquery.clear_faults()
        bigquery.fault("tables.get", kind, seconds=0.4)
        before = time.monotonic()
        assert call(bigquery, "GET", "datasets/ds/tables/t")[1]["numRows"] == "1"
        assert time.monotonic() - before > 0.35


def test_jobs_that_fail_on_command(bigquery, client):
    client.query("CREATE TABLE ds.t (a INT64)").result()
    bigquery.fault("query", "job", reason="rateLimitExceeded", message="Exceeded rate limits", contains="INSERT", calls=[1])
    with pytest.raises(exceptions.TooManyRequests, match="Exceeded rate limits"):
        client.query("INSERT INTO ds.t VALUES (1)", job_retry=None).result()
    assert client.get_table("ds.t").num_rows == 0
    bigquery.fault("query", "job_lost", reason="backendError", message="done, but", contains="INSERT", calls=[1])
    with pytest.raises(exceptions.GoogleAPICallError, match="done, but"):
        client.query("INSERT INTO ds.t VALUES (1)", job_retry=None).result()
    assert client.get_table("ds.t").num_rows == 1


def test_metadata_lags_on_command(bigquery, client):
    client.query("CREATE TABLE ds.t (a INT64)").result()
    time.sleep(0.01)
    bigquery.lag(get=60, load=60)
    client.query("ALTER TABLE ds.t ADD COLUMN b STRING").result()
    assert [field.name for field in client.get_table("ds.t").schema] == ["a"]
    with pytest.raises(exceptions.GoogleAPICallError, match="No such field: b|Cannot add fields"):
        client.load_table_from_json([{"a": 1, "b": "x"}], "ds.t", job_config=bq.LoadJobConfig(autodetect=False)).result()
    assert [tuple(row) for row in client.query("SELECT * FROM ds.t").result()] == [], "queries see the new schema"
    bigquery.lag(get=0, load=0)
    assert [field.name for field in client.get_table("ds.t").schema] == ["a", "b"]


def test_locations(client):
    made = bq.Dataset("stand-in.eu")
    made.location = "EU"
    client.create_dataset(made)
    client.query("CREATE TABLE eu.t AS SELECT 1 AS x", location="EU").result()
    with pytest.raises(exceptions.NotFound, match="was not found in location US"):
        client.query("SELECT x FROM eu.t", location="US", job_retry=None).result()
    assert client.query("SELECT x FROM eu.t").location == "EU"
