"""OpenLineage's events, judged by its own classes, as a server gets them and as they stand in a file."""

import json
import sqlite3
import time
import uuid

import pytest

from support import lineage
from support.program import LOADER_PASSWORD
from support.receiver import Receiver
from support.serving import Serving, wait_for
from support.shop import add_orders, make_orders

MERGE = {"table": "shop.orders", "mode": "merge", "key": ["id"]}
NOTHING = {"source": {"table": "public.nowhere"}, "target": {"table": "t.broken"}, "retries": {"max": 0}}


@pytest.fixture
def marquez():
    made = Receiver()
    yield made
    made.close()


def configure(project, database, pipelines: dict, **place) -> None:
    project.pipelines(database, pipelines)
    file = project.folder / "penstock.yaml"
    file.write_text(json.dumps({**json.loads(file.read_text()), **({"lineage": place} if place else {})}))


def kinds(events) -> list[str]:
    return [event["eventType"] for event in events]


def test_a_run_says_what_it_reads_and_writes(database, project, marquez):
    make_orders(database, 50)
    checks = [{"row_count": {"min": 1}}, {"not_null": ["status"], "on_fail": "warn"}]
    configure(project, database, {"orders": {"source": {"table": "public.orders", "cursor": "updated_at"}, "target": dict(MERGE), "checks": checks},
                                  "asked": {"source": {"query": "SELECT id, amount * 2 AS twice FROM orders"}, "target": {"table": "shop.twice"}},
                                  "broken": NOTHING},
              url=marquez.url + "/", namespace="shop", token="s3cret-token", headers={"X-Tenant": "s3cret-tenant"})
    parent = str(uuid.uuid4())
    first = project.load("orders", env={"OPENLINEAGE_PARENT_ID": f"airflow://etl/dag.task/{parent}"})
    assert "s3cret" not in first.output.both
    assert {path for path, *_ in marquez.got} == {"/api/v1/lineage"}
    headers = marquez.got[0][1]
    assert headers["Authorization"] == "Bearer s3cret-token" and headers["X-Tenant"] == "s3cret-tenant"
    begin, end = [lineage.check(event) for event in marquez.news("/")]
    assert kinds([begin, end]) == ["START", "COMPLETE"] and begin["run"]["runId"] == end["run"]["runId"] == lineage.run_uuid(first.run()["run_id"])
    assert begin["job"]["namespace"] == "shop" and begin["job"]["name"] == "orders" and begin["inputs"] == begin["outputs"] == []
    assert end["run"]["facets"]["parent"]["run"]["runId"] == parent and end["run"]["facets"]["parent"]["job"] == {"namespace": "airflow://etl", "name": "dag.task"}
    assert "errorMessage" not in end["run"]["facets"] and end["job"]["facets"]["jobType"]["processingType"] == "BATCH"
    (read,), (written,) = end["inputs"], end["outputs"]
    assert (read["namespace"], read["name"]) == (f"postgres://127.0.0.1:{database.server.port}", f"{database.name}.public.orders")
    assert (written["namespace"], written["name"]) == (f"duckdb://{project.warehouse}", "warehouse.shop.orders")
    columns = ["id", "customer", "amount", "status", "updated_at", "note"]
    assert [one["name"] for one in read["facets"]["schema"]["fields"]] == [one["name"] for one in written["facets"]["schema"]["fields"]] == columns
    assert {one["name"]: one["type"] for one in written["facets"]["schema"]["fields"]}["amount"] == "DECIMAL(12,2)"
    traced = written["facets"]["columnLineage"]["fields"]
    assert set(traced) == set(columns) and traced["amount"]["inputFields"][0]["field"] == "amount" and traced["amount"]["inputFields"][0]["name"] == read["name"]
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == read["inputFacets"]["inputStatistics"]["rowCount"] == 50
    said = {one["name"]: one for facets in (read["inputFacets"], written["facets"]) for one in facets.get("dataQualityAssertions", {"assertions": []})["assertions"]}
    assert len(said) == 2 and sorted(one["success"] for one in said.values()) == [False, True] and {one["severity"] for one in said.values()} == {"error", "warn"}

    add_orders(database, 7)
    project.load("orders")
    project.load("asked")
    failed = project.run("run", "broken", expect=None)
    events = [lineage.check(event) for event in marquez.news("/")][2:]
    assert kinds(events) == ["START", "COMPLETE", "START", "COMPLETE", "START", "FAIL"]
    assert events[1]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 7 and "parent" not in events[1]["run"]["facets"]
    asked = events[3]
    assert asked["inputs"] == [] and asked["job"]["facets"]["sql"]["query"] == "SELECT id, amount * 2 AS twice FROM orders" and asked["job"]["facets"]["sql"]["dialect"] == "postgres"
    assert [one["name"] for one in asked["outputs"][0]["facets"]["schema"]["fields"]] == ["id", "twice"] and "columnLineage" not in asked["outputs"][0]["facets"]
    assert "public.nowhere" in events[5]["run"]["facets"]["errorMessage"]["message"]
    assert LOADER_PASSWORD not in json.dumps(events) and "s3cret" not in failed.both
    with sqlite3.connect(project.folder / ".penstock/state.db") as state:
        assert set(state.execute("SELECT status, payload FROM notices")) == {("delivered", "")}, "what was carried is not kept"


def test_a_killed_run_and_a_server_that_is_away(database, project, marquez):
    """Nothing is lost, nothing told twice, and the run that could not speak for itself has failed."""
    make_orders(database, 20)
    configure(project, database, {"orders": {"source": {"table": "public.orders"}, "target": {"table": "shop.orders"}}}, url=marquez.url)
    project.run("run", "orders", env={"PENSTOCK_FAILPOINT": "source_read_during=kill"}, expect=None)
    assert marquez.got == []
    marquez.answers = [503]
    second = project.load("orders")
    assert "openlineage: could not be told of START of orders" in second.output.err
    assert [status for *_, status in marquez.got] == [503], "one try a run: it waits for nobody"
    wait_for(lambda: due(project))
    project.load("orders")
    events = [lineage.check(event) for event in marquez.news("/")]
    assert len(events) == 6 and len({(event["run"]["runId"], event["eventType"]) for event in events}) == 6
    by_run = {run: sorted(event["eventType"] for event in events if event["run"]["runId"] == run) for run in {event["run"]["runId"] for event in events}}
    assert sorted(by_run.values()) == [["COMPLETE", "START"], ["COMPLETE", "START"], ["FAIL", "START"]]
    failure = next(event for event in events if event["eventType"] == "FAIL")
    assert failure["run"]["facets"]["errorMessage"]["message"] == "interrupted by a crash" and failure["job"]["name"] == "orders"


def due(project) -> bool:
    with sqlite3.connect(project.folder / ".penstock/state.db") as state:
        (last,) = state.execute("SELECT max(not_before) FROM notices WHERE status = 'waiting'").fetchone()
    return last < time.time() * 1e6


def test_windows_of_a_schedule_and_a_file(database, project):
    """Both attempts at a window have one parent; a stopped server leaves no event behind."""
    database.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
    configure(project, database, {"each": {"source": {"table": "public.t"}, "target": {"table": "t.t"}, "schedule": "@every 2s"}}, file="events.ndjson")
    server = Serving(project)
    file = project.folder / "events.ndjson"
    try:
        wait_for(lambda: file.exists() and kinds(lineage.events_in(file)).count("COMPLETE") >= 2)
    finally:
        project.run("pause", "each")
        server.stop()
    ends = [event for event in lineage.events_in(file) if event["eventType"] == "COMPLETE"]
    windows = [event["run"]["facets"]["nominalTime"] for event in ends]
    assert all(one["nominalStartTime"] < one["nominalEndTime"] for one in windows) and windows[0]["nominalEndTime"] == windows[1]["nominalStartTime"]
    for event, window in zip(ends, windows):
        parent = event["run"]["facets"]["parent"]
        assert parent["job"] == {"namespace": "default", "name": "each.schedule"}
        assert parent["run"]["runId"] == str(uuid.uuid5(uuid.NAMESPACE_URL, f"penstock:window:default:each:{window['nominalStartTime']}/{window['nominalEndTime']}"))
        assert {tag["key"]: tag["value"] for tag in event["run"]["facets"]["tags"]["tags"]}["penstock_origin"] == "schedule"


def test_the_environment_stands_in_for_the_file(database, project, marquez):
    make_orders(database, 5)
    configure(project, database, {"orders": {"source": {"table": "public.orders"}, "target": {"format": "parquet", "path": "raw/{table}"}},
                                  "back": {"source": {"connection": "lake_files", "files": "raw/orders/**", "exclude": ["**/_*"], "format": "parquet", "table": "orders", "settle": "0s"}, "target": {"table": "t.back"}}})
    file = project.folder / "penstock.yaml"
    whole = json.loads(file.read_text())
    whole["connections"]["lake_files"] = {"type": "files", "url": "file:lake"}
    file.write_text(json.dumps(whole))
    env = {"OPENLINEAGE_URL": marquez.url, "OPENLINEAGE_ENDPOINT": "in/here", "OPENLINEAGE_API_KEY": "s3cret-key", "OPENLINEAGE_NAMESPACE": "etl"}
    output = project.load("orders", env=env).output
    back = project.load("back", "--drain", env=env).output
    project.run("run", "orders", env={**env, "OPENLINEAGE_DISABLED": "true"})
    assert "s3cret" not in output.both + back.both and marquez.got[0][1]["Authorization"] == "Bearer s3cret-key"
    events = [lineage.check(event) for event in marquez.news("/in/here")]
    assert kinds(events) == ["START", "COMPLETE", "START", "COMPLETE"] and {event["job"]["namespace"] for event in events} == {"etl"}
    (written,), (read,) = events[1]["outputs"], events[3]["inputs"]
    assert (written["namespace"], written["name"]) == (read["namespace"], read["name"]) == ("file", str(project.lake / "raw/orders")), "one dataset, written and read"
    wrong = project.run("run", "orders", env={"OPENLINEAGE_URL": "ftp://x"})
    assert "nobody is told of lineage" in wrong.err
