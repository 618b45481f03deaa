"""The HTTP API: who may what, what is refused, what is done and stays on record; its description; the dashboard's files."""

import hashlib
import json
import re
import socket
import sqlite3

import duckdb
import jsonschema
import pytest
import yaml
from openapi_spec_validator import validate

from support.serving import Serving, wait_for
from support.shop import MERGE, make_orders

TOKENS = {"viewer": "viewer-token-0123456789", "operator": "operator-token-0123456789", "admin": "admin-token-0123456789"}
# One stands in the file as its digest, the others come from the environment.
API = {"tokens": [{"name": "vera", "role": "viewer", "token": "${VERAS_TOKEN}"}, {"name": "otto", "role": "operator", "token": "${OTTOS_TOKEN}"},
                  {"name": "anna", "role": "admin", "sha256": hashlib.sha256(TOKENS["admin"].encode()).hexdigest()}]}


def configure(project, database, pipelines, tokens=True):
    project.pipelines(database, pipelines)
    if not tokens:
        return
    path = project.folder / "penstock.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "api": API}))
    project.environment.update(VERAS_TOKEN=TOKENS["viewer"], OTTOS_TOKEN=TOKENS["operator"])


@pytest.fixture
def api(database, project):
    """A project with a good, a rejecting and a failing pipeline, each run once, and its server."""
    make_orders(database, 20)
    database.execute("CREATE TABLE bad (id int PRIMARY KEY, n numeric(10,2)); INSERT INTO bad VALUES (1, 1), (2, 'NaN')")
    configure(project, database, {
        "orders": {"source": {"table": "public.orders", "cursor": "updated_at"}, "target": dict(MERGE), "schedule": "0 0 1 1 *"},
        "bad": {"source": {"table": "public.bad"}, "target": {"table": "t.bad", "mode": "merge", "key": ["id"]}, "on_reject": "continue", "after": ["orders"]},
        "broken": {"source": {"table": "public.nowhere"}, "target": {"table": "t.broken"}, "retries": {"max": 0}}})
    project.load("orders")
    project.load("bad")
    project.load("broken", expect=None)
    server = Serving(project)
    yield server
    if server.running.process.poll() is None:
        server.stop()
    assert not any(token in line for token in TOKENS.values() for line in server.lines), "no token is in the log"


def get(server, path, role="viewer"):
    return server.get("/api/v1" + path, TOKENS[role])


def post(server, path, body=None, role="operator"):
    return server.request("POST", "/api/v1" + path, *([] if body is None else [json.dumps(body)]),
                          headers={"Authorization": "Bearer " + TOKENS[role], "Content-Type": "application/json"})


def test_what_is_shown_is_what_commands_print(api, project):
    pipelines = {one["pipeline"]: one for one in get(api, "/pipelines").json["pipelines"]}
    status = {one["pipeline"]: one for one in project.run("status", "--output", "json").json["pipelines"]}
    assert pipelines.keys() == status.keys()
    for name, one in pipelines.items():
        for key in ("state", "last_run", "next_run", "paused", "open_intervals"):
            assert one[key] == status[name][key], (name, key)
    assert pipelines["bad"]["open_rejects"] == 1 == status["bad"]["open_rejects"] and pipelines["bad"]["after"] == ["orders"]
    assert pipelines["broken"]["state"] == "failed" and pipelines["broken"]["lag_seconds"] is None
    assert get(api, "/pipelines/orders").json["pipeline"] == "orders"

    runs = get(api, "/runs").json["runs"]
    assert runs == project.run("runs", "--output", "json").json["runs"] and len(runs) == 3
    for run in runs:
        assert run["rows_read"] == run["rows_written"] + run["rows_rejected"] + run["rows_filtered"]
        assert get(api, "/runs/" + run["run_id"]).json == run
    assert [run["pipeline"] for run in get(api, "/runs?pipeline=bad&limit=1").json["runs"]] == ["bad"]
    behind = lambda run, more="": get(api, f"/runs?limit=2&before={run['run_id']}{more}").json["runs"]
    assert behind(runs[0]) == runs[1:] and behind(runs[1]) == runs[2:] and behind(runs[2]) == []
    assert behind(runs[0], "&pipeline=orders") == [run for run in runs[1:] if run["pipeline"] == "orders"] and behind({"run_id": "none"}) == []

    (reject,) = get(api, "/pipelines/bad/rejects", "operator").json["rejects"]
    assert reject == project.run("rejects", "list", "--output", "json").json["rejects"][0] and reject["code"]
    assert get(api, "/pipelines/bad/rejects?offset=1", "operator").json == {"rejects": [], "more": False}
    for text, found in (("nan", [reject]), ('%22ID%22:2', [reject]), ("public.bad", [reject]), ("elsewhere", [])):
        assert get(api, "/pipelines/bad/rejects?search=" + text, "operator").json == {"rejects": found, "more": False}, text
    assert get(api, "/backups").json == {"backups": []}
    assert get(api, "/pipelines/orders/schema?table=shop.orders").json["history"] == project.run("schema", "history", "shop.orders", "--output", "json").json["history"]
    assert "slots" in get(api, "/slots").json


def test_who_may_what(api):
    for role in TOKENS:
        assert get(api, "/me", role).json["role"] == role
    for path in ("/pipelines", "/openapi.json", "/nowhere", "/runs/x"):
        for token in (None, "wrong", "", TOKENS["viewer"][:-1]):
            answer = api.get("/api/v1" + path, token)
            assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer", (path, token)
    for path in ("/run", "/pause", "/resume", "/backfill", "/rejects/replay", "/rejects/discard"):
        body = {"from": "2026-01-01", "to": "2026-01-02"} if path == "/backfill" else None
        answer = post(api, "/pipelines/orders" + path, body, "viewer")
        assert answer.status == 403 and "for the role" in answer.json["error"]["message"]
    for job in ("run", "pause", "resume"):
        assert post(api, "/backups/x/jobs/full/" + job, None, "viewer").status == 403
    for values_of_rows in ("/pipelines/bad/rejects", "/runs/x/log", "/backups/x/drills/y"):
        assert get(api, values_of_rows, "viewer").status == 403
    assert post(api, "/pipelines/bad/rejects/discard").status == 403
    assert get(api, "/audit", "operator").status == 403
    assert get(api, "/audit", "admin").json == {"audit": []}, "what was refused was not done"


def test_metrics_are_for_who_may_look(api):
    assert api.get("/metrics", TOKENS["viewer"]).text.count("penstock_pipeline_runs_total{") >= 3
    for token in (None, "wrong"):
        answer = api.get("/metrics", token)
        assert answer.status == 401 and "penstock_" not in answer.text and answer.headers["www-authenticate"] == "Bearer"


def test_what_is_wrong_is_refused(api):
    for path, status, code in [
            ("/runs?limit=0", 400, "bad_parameter"), ("/runs?limit=1001", 400, "bad_parameter"), ("/runs?limit=x", 400, "bad_parameter"),
            ("/runs?limt=1", 400, "bad_parameter"), ("/runs?pipeline=", 400, "bad_parameter"), ("/runs?pipeline=" + "x" * 501, 400, "bad_parameter"),
            ("/runs?pipeline=%00", 400, "bad_parameter"), ("/runs?pipeline=%FF", 400, "bad_parameter"), ("/runs/nothing", 404, "not_found"),
            ("/pipelines/ordrs", 404, "unknown_pipeline"), ("/pipelines/--help/rejects", 404, "unknown_pipeline"), ("/backups/x", 404, "not_found"), ("/backups/x/status", 404, "not_found"),
            ("/backups/x/drills", 404, "not_found"), ("/backups/x/drills/..%2Fkey", 404, "not_found"), ("/runs/nothing/log", 404, "not_found"), ("/runs/x/log?limit=501", 400, "bad_parameter"),
            ("/pipelines/orders/schema", 400, "bad_parameter"), ("/pipelines/orders/schema?table=none", 404, "unknown_table"), ("/nowhere", 404, "not_found"), ("", 404, "not_found"), ("/pipelines/", 404, "not_found")]:
        answer = get(api, path, "admin")
        assert (answer.status, answer.json["error"]["code"]) == (status, code), path
    assert "orders" in get(api, "/pipelines/ordrs").json["error"]["message"]
    answer = api.request("DELETE", "/api/v1/pipelines", headers={"Authorization": "Bearer " + TOKENS["admin"]})
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    for path, body in [("/pause", {"x": 1}), ("/backfill", {"from": "2026-01-01"}), ("/backfill", {"from": 1, "to": "2026-01-02"}), ("/backfill", []),
                       ("/backfill", {"from": "--help", "to": "2026-01-02"}), ("/backfill", {"from": "2026-01-02", "to": "2026-01-01"}),
                       ("/backfill", {"from": "2026- 1- 1", "to": "2026-02-01"}), ("/backfill", {"from": "2026-13-01", "to": "2027-02-01"}), ("/rejects/discard", {"id": "orders"})]:
        answer = post(api, "/pipelines/orders" + path, body, "admin")
        assert answer.status == 400 and answer.json["error"]["message"], (path, body)
    for path in ("/rejects/discard", "/rejects/replay"):
        answer = post(api, "/pipelines/bad" + path, {"id": "no such"}, "admin")
        assert (answer.status, answer.json["error"]["code"]) == (404, "unknown_reject"), path
    for kind, status in (("text/plain", 415), ("application/jsonx", 415), (None, 415), ("Application/JSON ; charset=utf-8", 200)):
        answer = api.request("POST", "/api/v1/pipelines/bad/rejects/replay", '{"dry_run": true}', {"Authorization": "Bearer " + TOKENS["operator"], **({"Content-Type": kind} if kind else {})})
        assert answer.status == status, kind
    assert api.get("/api/v1x").status == 404 and api.get("/api").status == 404


def test_a_run_keeps_what_it_has_said(api, project):
    for pipeline, level in (("bad", "info"), ("broken", "error")):
        (run,) = get(api, "/runs?pipeline=" + pipeline).json["runs"]
        log = get(api, f"/runs/{run['run_id']}/log", "operator").json
        assert log == project.run("runs", run["run_id"], "--log", "--output", "json").json
        lines = log["lines"]
        assert [line["number"] for line in lines] == list(range(1, len(lines) + 1)) and log["left_out"] == 0
        assert {(line["pipeline"], line["run_id"], line["service"]) for line in lines} == {(pipeline, run["run_id"], "penstock")}
        assert lines[0]["message"] == f"run {run['run_id']} begins" and lines[-1]["level"] == level
        assert get(api, f"/runs/{run['run_id']}/log?after=1&limit=1", "operator").json["lines"] == lines[1:2]
        if run["error"]:
            assert lines[-1]["message"] == run["error"]["message"] and lines[-1]["metadata"] == {name: run["error"][name] for name in ("code", "where", "hint")}
        else:
            assert next(line["metadata"]["rows_read"] for line in lines if line["message"].startswith("loaded public.bad")) == 2


def broken_runs(api) -> int:
    return len([run for run in get(api, "/runs?pipeline=broken").json["runs"] if run["status"] != "running"])


def test_what_is_done_is_done_and_on_record(api, database, project):
    assert post(api, "/pipelines/orders/pause").json == {"pipeline": "orders", "paused": True}
    assert get(api, "/pipelines/orders").json["paused"] is True
    assert post(api, "/pipelines/orders/resume").json["paused"] is False
    before = broken_runs(api)
    assert post(api, "/pipelines/broken/run").json["requested"] == 1
    wait_for(lambda: broken_runs(api) == before + 1)  # else both succeed, and the second one is in the way of what comes next
    database.execute("CREATE TABLE nowhere (id int PRIMARY KEY)")
    assert post(api, "/pipelines/broken/run").json["requested"] == 1
    wait_for(lambda: get(api, "/pipelines/broken").json["state"] == "success")
    assert get(api, "/runs?pipeline=broken&limit=1").json["runs"][0]["origin"] == "manual"
    planned = post(api, "/pipelines/orders/backfill", {"from": "2026-01-01", "to": "2026-02-01", "contiguous": True, "dry_run": True}).json
    assert len(planned["windows"]) == 1 and planned["requested"] == 0
    database.execute("UPDATE bad SET n = 2 WHERE id = 2")
    wait_for(project.is_free)
    assert post(api, "/pipelines/bad/rejects/replay", {}).json["runs"][0]["rows_written"] == 1
    assert get(api, "/pipelines/bad").json["open_rejects"] == 0
    assert project.duck("SELECT count(*) FROM t.bad") == [(2,)]
    assert post(api, "/pipelines/bad/rejects/discard", role="admin").json == {"discarded": 0}

    audit = get(api, "/audit", "admin").json["audit"]
    assert [(one["actor"], one["action"], one["subject"], one["status"]) for one in reversed(audit)] == [
        ("otto", "pausePipeline", "orders", 200), ("otto", "resumePipeline", "orders", 200), ("otto", "runPipeline", "broken", 200), ("otto", "runPipeline", "broken", 200),
        ("otto", "backfillPipeline", "orders", 200), ("otto", "replayRejects", "bad", 200), ("anna", "discardRejects", "bad", 200)]
    assert audit[2]["asked"] == {"from": "2026-01-01", "to": "2026-02-01", "contiguous": True, "dry_run": True}
    assert get(api, f"/audit?limit=1&before={audit[0]['id']}", "admin").json["audit"] == audit[1:2]
    with sqlite3.connect(project.folder / ".penstock/state.db") as state:
        dump = "".join(state.iterdump())
    assert not any(token in dump for token in TOKENS.values())


def test_one_rejected_row_is_read_again_and_a_locked_target_is_a_conflict(api, database, project):
    database.execute("INSERT INTO bad VALUES (3, 'NaN')")
    project.load("bad")
    ids = {one["key"]["id"]: one["id"] for one in get(api, "/pipelines/bad/rejects", "operator").json["rejects"]}
    database.execute("UPDATE bad SET n = 2 WHERE id > 1")
    (run,) = post(api, "/pipelines/bad/rejects/replay", {"id": ids[3]}).json["runs"]
    assert (run["rows_read"], run["rows_written"]) == (1, 1)
    assert project.duck("SELECT id FROM t.bad ORDER BY id") == [(1,), (3,)]
    left = get(api, "/pipelines/bad/rejects", "operator").json["rejects"]
    assert [one["key"]["id"] for one in left] == [2, 2] and get(api, "/pipelines/bad").json["open_rejects"] == 2
    assert project.run("rejects", "replay", "bad", "--id", ids[3], expect=2).both.count("no open reject") == 1
    with duckdb.connect(str(project.warehouse)):
        answer = post(api, "/pipelines/bad/rejects/replay", {"id": ids[2]})
        assert (answer.status, answer.json["error"]["code"]) == (409, "database_locked") and answer.headers["retry-after"]


def test_without_tokens_this_machine_alone_looks_and_nobody_acts(database, project):
    make_orders(database, 1)
    configure(project, database, {"orders": {"source": {"table": "public.orders"}, "target": dict(MERGE), "schedule": "0 0 1 1 *"}}, tokens=False)
    server = Serving(project)
    try:
        assert server.get("/api/v1/me").json == {"name": "(this machine)", "role": "viewer"}
        assert server.request("POST", "/api/v1/pipelines/orders/run").status == 403
        for host in ("penstock.example.com", "127.0.0.1.example.com", "", "[::2]"):
            assert server.request("GET", "/api/v1/me", headers={"Host": host}).status == 401, host
        for proxy in ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto"):
            assert server.request("GET", "/api/v1/me", headers={proxy: "for=192.0.2.1"}).status == 401, proxy
    finally:
        server.stop()


def test_a_host_that_is_forged_opens_nothing(database, project):
    """Without tokens, whoever comes by another address of this machine is no one of this machine, whatever they say."""
    make_orders(database, 1)
    configure(project, database, {"orders": {"source": {"table": "public.orders"}, "target": dict(MERGE), "schedule": "0 0 1 1 *"}}, tokens=False)
    server = Serving(project, listen="0.0.0.0:0")
    try:
        assert server.get("/api/v1/me").status == 200
        for host in ("localhost", "127.0.0.1", f"localhost:{server.port}"):
            assert server.request("GET", "/api/v1/me", headers={"Host": host}, to=outside_address()).status == 401, host
    finally:
        server.stop()


def outside_address() -> str:
    """One of this machine's that is not loopback: the one it would send to others from. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect(("192.0.2.1", 9))
        address = asked.getsockname()[0]
    assert not address.startswith("127.")
    return address


def test_the_description_is_right(api):
    """By the specification's own validator; and every answer of this server fits it."""
    document = get(api, "/openapi.json").json
    validate(document)
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names)) == 25
    for path, operations in document["paths"].items():
        operation = operations.get("get")
        if operation is None:
            continue
        for role in TOKENS:
            answer = get(api, path.format(pipeline="bad", run="x", backup="x", drill="x", job="x") + ("?table=t.bad" if path.endswith("schema") else ""), role)
            described = operation["responses"][str(answer.status)]["content"]["application/json"]["schema"]
            jsonschema.validate(answer.json, {**described, "components": document["components"]})


def test_the_dashboard_is_files_without_anything_of_others(api):
    page = api.get("/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"] and "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"<script>|<style|\son\w+=|\sstyle=|https?://", page.text)
    scripts = re.findall(r'from "\./(\w+\.js)"', api.get("/dashboard.js").text)
    assert len(scripts) >= 4
    for name, kind in (("dashboard.css", "text/css"), ("dashboard.js", "text/javascript"), *((name, "text/javascript") for name in [*scripts, "charts.js"])):
        answer = api.get("/" + name)
        assert answer.status == 200 and answer.headers["content-type"].startswith(kind) and "default-src 'none'" in answer.headers["content-security-policy"]
        assert not re.search(r"innerHTML|eval\(|https?://", answer.text.replace("http://www.w3.org/2000/svg", "")), name
    assert api.get("/index.html").status == 404 and api.get("/dashboard").status == 404
