"""Metrics as promtool reads them, alert rules that fire, and news that reaches its receivers."""

import json
import re
import subprocess
import sqlite3
import time

import pytest
import yaml

from support.program import ROOT
from support.receiver import Receiver
from support.serving import Serving
from support.shop import MERGE, add_orders, make_orders

NOTHING = {"source": {"table": "public.nowhere"}, "target": {"table": "t.broken"}, "retries": {"max": 0}}


@pytest.fixture
def serve():
    made = []

    def start(project, *options, **more):
        made.append(Serving(project, *options, **more))
        return made[-1]

    yield start
    for one in made:
        if one.running.process.poll() is None:
            one.stop()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def wait_for(what, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
    return found


def metrics(server) -> dict[str, float]:
    """By name with labels. All of it went through promtool."""
    answer = server.get("/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    checked = subprocess.run(["promtool", "check", "metrics"], input=answer.text, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr + answer.text
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))}


def hooks(receiver) -> dict:
    return {"json": {"type": "webhook", "url": f"{receiver.url}/json/s3cret-path", "bearer": "s3cret-token", "headers": {"X-Key": "s3cret-key"}},
            "slack": {"type": "webhook", "url": f"{receiver.url}/slack", "format": "slack"}}


# -- metrics -----------------------------------------------------------------------------------------------------------
def test_metrics_of_runs_by_hand_add_up_on_every_server(database, project, serve):
    make_orders(database, 50)
    database.execute("CREATE TABLE bad (id int PRIMARY KEY, n numeric(10,2)); INSERT INTO bad VALUES (1, 1), (2, 'NaN')")
    project.pipelines(database, {
        'orders': {"source": {"table": "public.orders", "cursor": "updated_at"}, "target": dict(MERGE), "keep_runs": 1, "trigger": {"http": "/go"}},
        "bad": {"source": {"table": "public.bad"}, "target": {"table": "t.bad"}, "on_reject": "continue"},
        "broken": {**NOTHING, "schedule": "0 0 1 1 *"}})
    servers = [serve(project), serve(project)]
    fresh = metrics(servers[0])
    assert fresh['penstock_pipeline_runs_total{pipeline="orders",status="failed"}'] == 0
    for more in (0, 30, 0):
        add_orders(database, more)
        project.load("orders")
    project.load("bad")
    project.load("broken", expect=None)
    found = metrics(servers[0])
    later = metrics(servers[1])
    assert {k: v for k, v in found.items() if "lag" not in k} == {k: v for k, v in later.items() if "lag" not in k}, "any server answers alike"
    assert found['penstock_pipeline_runs_total{pipeline="orders",status="success"}'] == 3, "although the history keeps one"
    assert found['penstock_pipeline_runs_total{pipeline="broken",status="failed"}'] == 1
    assert found['penstock_pipeline_duration_seconds_count{pipeline="orders"}'] == found['penstock_pipeline_duration_seconds_bucket{pipeline="orders",le="+Inf"}'] == 3
    assert 0 < found['penstock_pipeline_duration_seconds_sum{pipeline="orders"}'] < 60
    buckets = [value for name, value in found.items() if name.startswith('penstock_pipeline_duration_seconds_bucket{pipeline="orders"')]
    assert buckets == sorted(buckets)
    assert found['penstock_rows_total{pipeline="orders",table="public.orders",outcome="written"}'] >= 80
    assert found['penstock_rows_total{pipeline="bad",table="public.bad",outcome="rejected"}'] == 1 == found['penstock_rejects{pipeline="bad"}']
    assert 0 <= found['penstock_lag_seconds{pipeline="orders"}'] < 60 and 'penstock_lag_seconds{pipeline="broken"}' not in found
    project.run("rejects", "discard", "bad")
    assert metrics(servers[1])['penstock_rejects{pipeline="bad"}'] == 0
    with sqlite3.connect(project.folder / ".penstock/state.db") as state:
        state.execute("UPDATE measures SET amount = 7 WHERE measure = 'open_rejects'")
    project.run("status")
    assert metrics(servers[0])['penstock_rejects{pipeline="bad"}'] == 0, "whoever looks at the target corrects it"


def test_metrics_of_a_run_that_was_killed(database, project, serve):
    make_orders(database, 10)
    project.pipelines(database, {"orders": {"source": {"table": "public.orders"}, "target": {"table": "shop.orders"}, "trigger": {"http": "/go"}}})
    project.run("run", "orders", env={"PENSTOCK_FAILPOINT": "source_read_during=kill"}, expect=None)
    project.load("orders")
    found = metrics(serve(project))
    assert found['penstock_pipeline_runs_total{pipeline="orders",status="failed"}'] == 1 == found['penstock_pipeline_runs_total{pipeline="orders",status="success"}']


def test_metrics_of_slots(database, project, serve):
    from support.changes import drop_slots
    from support.postgres import LOADER
    with database.server.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
    database.execute("CREATE TABLE items (id int PRIMARY KEY); CREATE PUBLICATION pub FOR TABLE items")
    slot = f"slot_{database.name}"
    project.pipelines(database, {"items": {"source": {"changes": {"tables": ["public.items"], "publication": "pub", "slot": slot, "create": True}},
                                           "target": {"dataset": "main", "mode": "merge"}, "schedule": "0 0 1 1 *"}})
    try:
        project.run("run", "items", "--drain")
        server = serve(project)
        name = f'penstock_slot_retained_bytes{{connection="shop",slot="{slot}"}}'
        assert wait_for(lambda: metrics(server).get(name) is not None and metrics(server))[name] >= 0
        server.stop()
    finally:
        drop_slots(database)


def test_alert_rules_fire(tmp_path):
    """Each rule of the file has a case here in which it fires, and none fires on a healthy project."""
    rules = yaml.safe_load((ROOT / "deploy/alerts.yaml").read_text())
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    up = {"series": 'penstock_build_info{version="1"}', "values": "1x2000"}
    good = {"series": 'penstock_pipeline_runs_total{pipeline="p",status="success"}', "values": "0+1x2000"}
    cases = {
        "PenstockDown": ([], {}),
        "PenstockRunFailed": ([up, good, {"series": 'penstock_pipeline_runs_total{pipeline="p",status="failed"}', "values": "0x994 1x1000"}], {"pipeline": "p"}),
        "PenstockNoSuccess": ([up, {"series": 'penstock_pipeline_runs_total{pipeline="p",status="failed"}', "values": "0x800 1x1200"}], {"pipeline": "p"}),
        "PenstockLag": ([up, {"series": 'penstock_lag_seconds{pipeline="p"}', "values": "93000+60x2000"}], {"pipeline": "p"}),
        "PenstockSlotRetainsLog": ([up, {"series": 'penstock_slot_retained_bytes{connection="c",slot="s"}', "values": "30000000000x2000"}], {"connection": "c", "slot": "s"}),
        "PenstockRejects": ([up, {"series": 'penstock_rejects{pipeline="p"}', "values": "3x2000"}], {"pipeline": "p"}),
        "PenstockVerifyDiffers": ([up, {"series": 'penstock_verify_differences{pipeline="p"}', "values": "2x2000"}], {"pipeline": "p"}),
        "PenstockBackupOld": ([up, {"series": 'penstock_backup_age_seconds{backup="b"}', "values": "800000x2000"}], {"backup": "b"}),
        "PenstockDrillFailed": ([up, {"series": 'penstock_drill_passed{backup="b"}', "values": "0x2000"}], {"backup": "b"}),
        "PenstockRecoveryGoalMissed": ([up, {"series": 'penstock_drill_rto_seconds{backup="b"}', "values": "4000x2000"},
                                        {"series": 'penstock_backup_rto_goal_seconds{backup="b"}', "values": "3600x2000"}], {"backup": "b"}),
        "PenstockDrillOld": ([up, {"series": 'penstock_drill_age_seconds{backup="b"}', "values": "4000000x2000"}], {"backup": "b"}),
    }
    assert cases.keys() == names
    severity = {rule["alert"]: rule["labels"]["severity"] for group in rules["groups"] for rule in group["rules"]}
    tests = [{"interval": "1m", "input_series": series, "alert_rule_test": [
        {"eval_time": "1000m", "alertname": name, "exp_alerts": [{"exp_labels": {**labels, "severity": severity[name]}}]}]} for name, (series, labels) in cases.items()]
    healthy = [up, good, {"series": 'penstock_lag_seconds{pipeline="p"}', "values": "60x2000"}, {"series": 'penstock_rejects{pipeline="p"}', "values": "0x2000"}]
    tests.append({"interval": "1m", "input_series": healthy, "alert_rule_test": [{"eval_time": "1000m", "alertname": name, "exp_alerts": []} for name in names]})
    # Which series fire is what is tested here, not their texts.
    for group in rules["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}))
    for command in (["check", "rules", str(ROOT / "deploy/alerts.yaml")], ["test", "rules", "tests.yaml"]):
        ran = subprocess.run(["promtool", *command], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr


# -- news --------------------------------------------------------------------------------------------------------------
def test_a_run_by_hand_tells_of_failure_and_recovery(database, project, receiver):
    project.pipelines(database, {"broken": {**NOTHING, "notify": {"failure": ["json", "slack"], "recovery": ["slack"], "repeat": "1h"}}}, connections=hooks(receiver))
    receiver.answers = [503]
    failed = project.run("run", "broken", "--output", "json", expect=None)
    run = failed.json["runs"][0]
    assert failed.code == 1
    assert sorted(status for *_, status in receiver.got) == [200, 200, 503], "what failed for the moment was tried again"
    (news,) = receiver.news("/json")
    assert (news["event"], news["pipeline"], news["run_id"], news["status"], news["origin"]) == ("run_failed", "broken", run["run_id"], "failed", "manual")
    assert news["error"] == run["error"] and news["counts"]["rows_read"] == 0 and news["window"] is None
    (slack,) = receiver.news("/slack")
    assert slack.keys() == {"text"} and slack["text"].startswith("*broken failed*\n") and run["run_id"] in slack["text"]
    _, headers, _, _ = next(one for one in receiver.got if one[0].startswith("/json"))
    assert headers["Authorization"] == "Bearer s3cret-token" and headers["X-Key"] == "s3cret-key" and headers["Idempotency-Key"] == news["id"]
    assert "s3cret" not in failed.both

    project.run("run", "broken", expect=None)
    assert len(receiver.news()) == 1, "the same again within the hour is no news"
    database.execute("CREATE TABLE nowhere (id int PRIMARY KEY)")
    project.load("broken")
    assert [one["text"].splitlines()[0] for one in receiver.news("/slack")][1:] == ["*broken has succeeded again*"]
    project.load("broken")
    database.execute("DROP TABLE nowhere")
    project.run("run", "broken", expect=None)
    assert len(receiver.news()) == 2, "it had succeeded in between"
    with sqlite3.connect(project.folder / ".penstock/state.db") as state:
        assert set(state.execute("SELECT status FROM notices")) == {("delivered",)}
        assert "s3cret" not in "".join(state.iterdump())


def test_news_waits_for_its_receiver_and_survives_its_process(database, project, receiver, serve):
    """The receiver is away while a run by hand ends; a server carries what is left. What is refused is given up."""
    project.pipelines(database, {"broken": {**NOTHING, "notify": {"failure": ["json", "slack"]}, "trigger": {"http": "/go"}}}, connections=hooks(receiver))
    receiver.answers = [500, 410]
    running = project.start("run", "broken")

    def on_record():
        with sqlite3.connect(project.folder / ".penstock/state.db", timeout=20) as state:
            return sorted(state.execute("SELECT status, remark FROM notices"))
    refused = "the receiver answered with status "
    wait_for(lambda: len(receiver.got) >= 2 and on_record() == [("given_up", refused + "410"), ("waiting", refused + "500")])
    running.process.kill()
    running.process.communicate()
    server = serve(project)
    wait_for(lambda: on_record() == [("delivered", ""), ("given_up", refused + "410")])
    assert len(receiver.news("/json") + receiver.news("/slack")) == 1
    assert server.get("/healthz").status == 200


def test_scheduled_runs_tell_once_of_failure_lateness_and_missed_times(database, project, receiver, serve):
    database.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
    told = {name: ["json"] for name in ("failure", "recovery", "sla", "missed")}
    project.pipelines(database, {
        "broken": {**NOTHING, "schedule": "@every 2s", "notify": told},
        "late": {"source": {"table": "public.t"}, "target": {"table": "t.late"}, "schedule": "@every 2s", "sla": "1s", "wait_for": [{"file": "nowhere"}], "notify": told},
        "crashing": {"source": {"table": "public.t"}, "target": {"table": "t.t"}, "schedule": "@every 24h", "retries": {"max": 0}, "notify": told,
                     "start_date": "2026-01-01", "catchup": "one"}}, connections=hooks(receiver))
    server = serve(project, env={"PENSTOCK_FAILPOINT": "source_read_during=kill"})
    wait_for(lambda: {("broken", "run_failed"), ("late", "sla_missed"), ("crashing", "run_failed"), ("crashing", "times_missed")}
             <= {(one["pipeline"], one["event"]) for one in receiver.news()}, 60)
    project.run("pause", "broken", "crashing", "late")
    server.stop()
    news = receiver.news()
    assert len([one for one in news if (one["pipeline"], one["event"]) == ("broken", "run_failed")]) == 1, "the same again within the hour is no news"
    ids = [one["id"] for one in news]
    assert len(ids) == len(set(ids)), "nobody is told twice"
    failed = next(one for one in news if (one["pipeline"], one["event"]) == ("broken", "run_failed"))
    assert failed["origin"] == "schedule" and failed["window"]["end"] > failed["window"]["start"]
    crashed = next(one for one in news if (one["pipeline"], one["event"]) == ("crashing", "run_failed"))
    assert "signal 9" in crashed["text"]
    late = next(one for one in news if one["event"] == "sla_missed")
    assert re.search("has not succeeded within", late["text"])
    assert not any("s3cret" in json.dumps(line) for line in server.log())
