"""Backups and drills by the schedule of `penstock serve`."""

import json

import pytest
from test_backup import listed

from support.backups import Source, configure, own_folder, remove_meanwhile
from support.receiver import Receiver
from support.serving import Serving, wait_for


@pytest.fixture(scope="module")
def source():
    made = Source(18)
    with made.admin() as admin:
        admin.execute("ALTER SYSTEM SET summarize_wal = on")
        admin.execute("SELECT pg_reload_conf()")
    yield made
    made.destroy()


@pytest.fixture
def place():
    made = own_folder("penstock-drills-")
    yield made
    remove_meanwhile(made)


def backups(project) -> list[dict]:
    return project.run("backup", "list", "shop_db", "--output", "json").json["backups"]


def test_full_and_incremental_backups_come_by_themselves_and_old_ones_go(project, source):
    configure(project, source, full={"schedule": "@every 6s"}, incremental={"schedule": "@every 3s"}, keep={"full": 1})
    times = project.run("schedule", "--output", "json", "--most", "2").json["schedules"]
    assert {one["pipeline"]: len(one["times"]) for one in times} == {"shop_db:full": 2, "shop_db:incremental": 2}
    project.run("pause", "shop_db:full")
    server = Serving(project)
    try:
        wait_for(lambda: len(backups(project)) >= 2)
        assert [one["kind"] for one in sorted(backups(project), key=lambda one: one["started_at"])][:2] == ["full", "incremental"]
        first = min(backups(project), key=lambda one: one["started_at"])["id"]
        project.run("resume", "shop_db:full")
        wait_for(lambda: first not in listed(project))
        assert not [line for line in server.log() if line["level"] == "error"]
    finally:
        server.stop()
    assert all(one["whole"] for one in project.run("backup", "verify", "shop_db", "--output", "json", timeout=120).json["backups"])


TOKENS = {"operator": "operator-token-0123456789", "viewer": "viewer-token-0123456789"}


def test_a_drill_comes_by_itself_and_what_fails_is_told(project, source, place):
    receiver = Receiver()
    drill = {"schedule": "@every 2s", "folder": str(place), "programs": str(source.bindir), "queries": ["SELECT count(*) FROM events"]}
    configure(project, source)
    project.run("pause", "shop_db:full")  # the first to make a state
    project.run("backup", "run", "shop_db", timeout=120)
    configure(project, source, drill=drill, full={"schedule": "@every 2s"}, notify={"failure": ["chat"]}, tier="critical")
    path = project.folder / "penstock.yaml"
    document = json.loads(path.read_text())
    document["connections"]["chat"] = {"type": "webhook", "url": receiver.url + "/json"}
    document["api"] = {"tokens": [{"name": role, "role": role, "token": token} for role, token in TOKENS.items()]}
    path.write_text(json.dumps(document))
    server = Serving(project)
    ask = lambda way, role="operator": server.get("/api/v1/backups" + way, TOKENS[role]).json
    act = lambda way: server.request("POST", "/api/v1/backups/shop_db/jobs/" + way, headers={"Authorization": "Bearer " + TOKENS["operator"]})
    job = lambda kind: next(one for one in ask("")["backups"][0]["jobs"] if one["kind"] == kind)
    try:
        wait_for(lambda: (job("drill")["last"] or {}).get("state") == "succeeded")
        assert act("drill/pause").json == {"job": "shop_db:drill", "paused": True}
        assert 'penstock_drill_passed{backup="shop_db"} 1' in server.get("/metrics", TOKENS["viewer"]).text
        wait_for(lambda: job("drill")["state"] != "running")
        the_drill_is_told(project, ask)
        it_is_done_when_somebody_asks(project, ask, act, job)
        with source.admin() as admin:
            admin.execute("ALTER ROLE backuper NOREPLICATION")
        assert act("full/resume").json == {"job": "shop_db:full", "paused": False}
        wait_for(lambda: [one for one in receiver.news() if one["event"] == "backup_failed"])
        told = next(one for one in receiver.news() if one["event"] == "backup_failed")
        act("full/pause")
        failed = wait_for(lambda: job("full") if job("full")["state"] == "failed" else None)
        assert failed["last"]["error"] and failed["last"]["error"] in told["error"]["message"]
        assert failed["last"]["error"][:40] in project.run("status").out
    finally:
        server.stop()
        receiver.close()
    assert told["backup"] == "shop_db" and told["pipeline"] is None and told["error"]["code"] and "shop_db" in told["title"]


def the_drill_is_told(project, ask):
    """The state's view, the store's, and the command's are one."""
    (view,) = ask("")["backups"]
    assert view == {**project.run("status", "--output", "json").json["backups"][0], "age_seconds": view["age_seconds"]}
    assert (view["tier"], view["rto_goal_seconds"], view["rpo_goal_seconds"]) == ("critical", 3600, 300) and view["drill"]["passed"] and view["age_seconds"] > 0
    jobs = {one["kind"]: one for one in view["jobs"]}
    assert jobs["drill"]["paused"] and jobs["full"]["paused"] and jobs["full"]["state"] == "never run" and jobs["full"]["schedule"] == "@every 2s"
    assert jobs["incremental"]["schedule"] is jobs["incremental"]["next_run"] is jobs["incremental"]["last"] is None
    assert jobs["drill"]["last"]["duration_seconds"] > 0 and "shop_db:drill" in project.run("status").out
    listed = ask("/shop_db/drills", "viewer")
    assert listed["drills"] == project.run("backup", "drills", "shop_db", "--output", "json").json["drills"] and listed["trouble"] is None
    (newest, *_) = listed["drills"]
    assert newest["passed"] and newest["rto_seconds"] == pytest.approx(view["drill"]["rto_seconds"], abs=1e-5) and newest["restored"] == ask("/shop_db")["backups"][0]["id"]
    report = ask("/shop_db/drills/" + newest["id"])
    assert report["id"] == newest["id"] and report["queries"][0]["first_value"] == "200000" and [one["name"] for one in report["phases"]][0] == "plan"
    assert newest["id"] in project.run("backup", "drills", "shop_db").out and "passed" in project.run("backup", "drills", "shop_db", newest["id"]).out
    for wrong in ("nothing", "..%2F..%2Fcatalog"):
        assert ask("/shop_db/drills/" + wrong)["error"]["code"] in ("no_such_drill", "not_found")
    status = ask("/shop_db/status", "viewer")["status"]
    assert status["holds"] and status["rto"]["seconds"] == newest["rto_seconds"] and status["rpo"]["goal_seconds"] == 300

    kept = project.lake / "backups/shop/drills" / (newest["id"] + ".json")
    whole = kept.read_text()
    kept.write_text(whole.replace('"passed": true', '"passed":  true'))
    damaged = project.run("backup", "drills", "shop_db", "--output", "json").json["drills"][0]
    assert damaged["id"] == newest["id"] and damaged["error"]["code"] == "backup_damaged"
    assert "signature" in project.run("backup", "drills", "shop_db", newest["id"], expect=3).err
    kept.write_text(whole)


def it_is_done_when_somebody_asks(project, ask, act, job):
    before = len(ask("/shop_db")["backups"])
    assert act("incremental/run").json == {"job": "shop_db:incremental", "requested": 1}
    assert act("incremental/run").json["requested"] == 0, "one that waits or runs is enough"
    done = wait_for(lambda: job("incremental") if job("incremental")["state"] == "success" else None)
    assert done["last"]["origin"] == "manual" and done["last"]["error"] is None
    after = ask("/shop_db")["backups"]  # kept for a while, but not past what the state knows of
    assert len(after) == before + 1 and after[-1]["kind"] == "incremental"
    assert act("nothing/run").status == 404
    project.run("pause", "shop_db:incremental")
    assert job("incremental")["paused"]
