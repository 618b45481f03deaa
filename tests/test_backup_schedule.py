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


def test_a_drill_comes_by_itself_and_what_fails_is_told(project, source, place):
    receiver = Receiver()
    drill = {"schedule": "@every 2s", "folder": str(place), "programs": str(source.bindir), "queries": ["SELECT count(*) FROM events"]}
    configure(project, source)
    project.run("backup", "run", "shop_db", timeout=120)
    configure(project, source, drill=drill, full={"schedule": "@every 2s"}, notify={"failure": ["chat"]})
    path = project.folder / "penstock.yaml"
    document = json.loads(path.read_text())
    document["connections"]["chat"] = {"type": "webhook", "url": receiver.url + "/json"}
    path.write_text(json.dumps(document))
    server = Serving(project)
    try:
        wait_for(lambda: 'penstock_drill_passed{backup="shop_db"} 1' in server.get("/metrics").text)
        with source.admin() as admin:
            admin.execute("ALTER ROLE backuper NOREPLICATION")
        wait_for(lambda: [one for one in receiver.news() if one["event"] == "backup_failed"])
    finally:
        server.stop()
        receiver.close()
    told = next(one for one in receiver.news() if one["event"] == "backup_failed")
    assert told["backup"] == "shop_db" and told["pipeline"] is None and told["error"]["code"] and "shop_db" in told["title"]
