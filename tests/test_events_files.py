"""Events into Parquet: files by table, one position over all of them, killed anywhere, and by key."""

import signal
from collections import Counter

import duckdb
import pytest

from support.event_samples import BRANCHES, Events
from test_events import comparable, kafka, send, shipped, topic  # noqa: F401  (fixtures)

FAILPOINTS = ["source_read_during", "target_commit_before", "target_publish_during", "source_confirm_before"]


def into_files(project, kafka, topic, target=""):
    shipped(project, kafka, topic)
    config = project.folder / "penstock.yaml"
    lines = ["    target: {connection: lake, path: \"{schema}/{table}/\"" + target + "}" if line.strip().startswith("target:") else line
             for line in config.read_text().splitlines()]
    config.write_text("\n".join(lines).replace("  warehouse: {type", "  lake: {type: files, url: \"file:lake\"}\n  warehouse: {type") + "\n")
    return project.folder / "lake"


def rows(lake, what):
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        cursor = connection.execute(f"SELECT * FROM read_parquet('{lake}/{what}', union_by_name = true, hive_partitioning = false)")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def of_table(lake, table):
    return rows(lake, table.replace(".", "/") + "/**/*.parquet")


def assert_arrived(lake, events):
    for name, table in BRANCHES.items():
        found = of_table(lake, table)
        assert Counter(map(comparable, found)) == Counter(map(comparable, events.good[name])), name
        assert len({row["_penstock_position"] for row in found}) == len(found)
    rejected = rows(lake, "_penstock/rejects/*.parquet")
    assert Counter((row["code"], row["route"] or None) for row in rejected) == Counter((code, route) for code, route, _ in events.bad)
    assert len({row["source_position"] for row in rejected}) == len(rejected)


def test_events_become_parquet(project, kafka, topic):
    lake = into_files(project, kafka, topic)
    events = Events(20_000, seed=31)
    send(kafka, topic, events.messages)
    run = project.load("--drain").run()
    assert (run["rows_read"], run["rows_rejected"]) == (20_000, 200)
    assert_arrived(lake, events)
    assert project.load("--drain").run()["rows_read"] == 0
    listed = project.run("rejects", "list", "--most", "300")
    assert "no_route" in listed.out and "bad_json" in listed.out


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_killed_anywhere_each_event_is_there_once(project, kafka, topic, failpoint):
    lake = into_files(project, kafka, topic)
    events = Events(600, seed=32)
    kills = 0
    for part in range(3):
        send(kafka, topic, events.messages[part * 200:(part + 1) * 200])
        killed = project.run("run", "--all", "--drain", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}@{1 + part % 2}=kill"})
        assert killed.code in (0, -signal.SIGKILL)
        kills += killed.code != 0
    assert kills > 0
    project.load("--drain")
    assert_arrived(lake, events)


def test_replay_needs_a_key_in_files(project, kafka, topic):
    lake = into_files(project, kafka, topic)
    config = project.folder / "penstock.yaml"
    config.write_text(config.read_text().replace("    target:", "    archive: {connection: lake, every: 0.1s}\n    target:"))
    send(kafka, topic, Events(200, seed=33).messages)
    project.load("--drain")
    refused = project.run("replay", "backend_events", "--from", "2026-01-01", expect=2)
    assert "mode append does not look for rows in files" in refused.both
    table = BRANCHES["order"]
    before = sorted(map(comparable, of_table(lake, table)))
    with_key = config.read_text()
    for name, key in (("order", "order_id"), ("inventory", "inventory_id"), ("user_activity", "user_id, timestamp")):
        with_key = with_key.replace(f"table: {BRANCHES[name]}", f"table: {BRANCHES[name]}\n        mode: merge\n        key: [{key}]")
    config.write_text(with_key)
    project.run("replay", "backend_events", "--from", "2026-01-01")
    assert sorted(map(comparable, of_table(lake, table))) == before
