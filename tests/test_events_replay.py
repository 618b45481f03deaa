"""Messages read again: a time of the archive into tables that lost rows or never had them, and rejects after their rule changed. Whatever is there already stays as it is."""

import json
import random
import signal
import time
from collections import Counter
from datetime import datetime, timedelta, timezone

import duckdb
import pytest

from support.event_samples import BRANCHES, Events, _text, inventory, order
from test_events import assert_arrived, comparable, kafka, rows, send, topic  # noqa: F401  (fixtures)
from test_events_archive import archived, objects

DAY = ("--from", (datetime.now(timezone.utc) - timedelta(days=1)).strftime("%Y-%m-%d"))
ORDERS = BRANCHES["order"]


def change(file, sql):
    with duckdb.connect(str(file)) as connection:
        connection.execute(sql)


def replay(project, *arguments, expect=0, **kind):
    return project.run("replay", "backend_events", *arguments, expect=expect, **kind)


def counts(result):
    run = json.loads(result.out)["runs"][0]
    return tuple(run[name] for name in ("rows_read", "rows_written", "rows_rejected", "rows_filtered"))


def configure(project, before, after):
    config = project.folder / "penstock.yaml"
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after))


def everything(file):
    there = {row["name"] for row in rows(file, "SELECT schema_name || '.' || table_name AS name FROM duckdb_tables()")}
    return {table: rows(file, f"SELECT * FROM {table} ORDER BY _penstock_position") for table in BRANCHES.values() if table in there}


@pytest.fixture
def loaded(project, kafka, topic):
    file = archived(project, kafka, topic)
    events = Events(3_000, seed=21)
    for begin in range(0, 3_000, 1_000):
        send(kafka, topic, events.messages[begin:begin + 1_000])
        project.load("--drain")
    return file, events


def test_a_table_that_was_dropped_comes_back_whole(project, kafka, topic, loaded):
    file, events = loaded
    before, rejects = everything(file), rows(file, "SELECT * FROM penstock.rejects ORDER BY id")
    change(file, f"DROP TABLE {ORDERS}; DELETE FROM {BRANCHES['inventory']} WHERE quantity_change % 2 = 0")
    lost = len(before[ORDERS]) + sum(row["quantity_change"] % 2 == 0 for row in before[BRANCHES["inventory"]])
    found = counts(replay(project, *DAY, "--output", "json"))
    assert found == (3_000 - len(rejects), lost, 0, 3_000 - len(rejects) - lost)
    assert everything(file) == before
    assert rows(file, "SELECT * FROM penstock.rejects ORDER BY id") == rejects
    # Once more, and only some of it: nothing is new.
    assert counts(replay(project, *DAY, "--output", "json"))[1] == 0
    assert counts(replay(project, *DAY, "--route", "order", "--output", "json"))[1] == 0
    assert everything(file) == before
    # The stream goes on where it was.
    more = Events(200, seed=22)
    send(kafka, topic, more.messages)
    assert project.load("--drain").run()["rows_read"] == 200
    assert len(objects(project)) > 0


@pytest.mark.parametrize("failpoint", ["source_read_during", "target_stage_after", "target_commit_before", "target_commit_after"])
def test_killed_anywhere_a_replay_can_be_repeated(project, kafka, topic, loaded, failpoint):
    file, events = loaded
    before = everything(file)
    change(file, f"DROP TABLE {ORDERS}")
    killed = replay(project, *DAY, expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
    assert killed.code == -signal.SIGKILL
    replay(project, *DAY)
    assert everything(file) == before
    project.load("--drain")
    assert_arrived(file, events)


def test_a_time_and_a_route_into_another_table(project, kafka, topic, loaded):
    file, events = loaded
    found = rows(file, f"SELECT min(ingestion_time) AS first, max(ingestion_time) AS last FROM {ORDERS}")[0]
    cut = rows(file, f"SELECT DISTINCT ingestion_time FROM {ORDERS} ORDER BY 1")
    middle = cut[len(cut) // 2]["ingestion_time"]
    assert found["first"] < middle <= found["last"]
    text = middle.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    result = replay(project, *DAY, "--to", text, "--route", "order", "--into", "again.orders", "--output", "json")
    again = rows(file, "SELECT * FROM again.orders ORDER BY _penstock_position")
    wanted = [row for row in everything(file)[ORDERS] if row["ingestion_time"] < middle]
    assert again == wanted and counts(result)[1] == len(wanted) > 0
    replay(project, "--from", text, "--route", "order", "--into", "again.orders")
    assert rows(file, "SELECT * FROM again.orders ORDER BY _penstock_position") == everything(file)[ORDERS]


def test_a_row_by_key_is_not_replaced_by_an_older_one(project, kafka, topic):
    file = archived(project, kafka, topic)
    configure(project, f"table: {ORDERS}", f"table: {ORDERS}\n        mode: merge\n        key: [order_id]")
    rng = random.Random(3)
    base = [order(rng) for _ in range(50)]
    for status in ("pending", "shipped", "delivered"):
        send(kafka, topic, [_text({**event, "status": status}) for event in base])
        project.load("--drain")
        time.sleep(0.01)
    before = everything(file)
    assert Counter(row["status"] for row in before[ORDERS]) == {"delivered": 50}
    replay(project, *DAY)
    assert everything(file) == before
    # Only the time of the second state is read again: the third is newer, and what is gone comes back as of then.
    moments = rows(file, "SELECT min(ingestion_time) AS third FROM " + ORDERS)[0]["third"]
    change(file, f"DELETE FROM {ORDERS} WHERE order_id < '8'")
    gone = 50 - len(rows(file, f"SELECT 1 FROM {ORDERS}"))
    replay(project, *DAY, "--to", moments.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    assert Counter(row["status"] for row in everything(file)[ORDERS]) == {"delivered": 50 - gone, "shipped": gone}
    assert gone > 0
    replay(project, *DAY)
    assert everything(file) == before


def test_rejects_after_their_rule_has_changed_to_zero(project, kafka, topic):
    rng = random.Random(5)
    file = archived(project, kafka, topic)
    good = [inventory(rng) for _ in range(20)]
    stolen = [{**inventory(rng), "reason": "theft"} for _ in range(7)]
    refunds = [{**inventory(rng), "event_type": "refund"} for _ in range(5)]
    bad = [b'{"event_type": "order", "order_id": "\xff\xfe"}', b"", b"base64:AAAA"]
    send(kafka, topic, [*map(_text, good + stolen + refunds), *bad])
    project.load("--drain")
    assert len(rows(file, "SELECT 1 FROM penstock.rejects")) == 15
    shown = project.run("rejects", "replay", "backend_events", "--dry-run")
    assert "value_not_accepted" in shown.out and "15 would be read again" in shown.out
    # As it is, nothing can be held: each reject is closed by a new one.
    project.run("rejects", "replay", "backend_events")
    opened = "SELECT code FROM penstock.rejects WHERE replayed_at IS NULL"
    assert Counter(row["code"] for row in rows(file, opened)) == {"value_not_accepted": 7, "no_route": 5, "bad_json": 3}
    assert rows(file, "SELECT count(*) AS n, count(DISTINCT source_position) AS p FROM penstock.rejects") == [{"n": 30, "p": 15}]

    configure(project, "restock, sale, return, damage", "restock, sale, return, damage, theft")
    configure(project, "      inventory:\n", "      inventory:\n        match: [inventory, refund]\n")
    killed = project.run("rejects", "replay", "backend_events", expect=None, env={"PENSTOCK_FAILPOINT": "target_commit_after=kill"})
    assert killed.code == -signal.SIGKILL
    project.run("rejects", "replay", "backend_events")
    assert Counter(row["code"] for row in rows(file, opened)) == {"bad_json": 3}
    found = rows(file, f"SELECT * FROM {BRANCHES['inventory']}")
    assert Counter(map(comparable, found)) == Counter(map(comparable, good + stolen + refunds))
    # What was let go, and what is rejected still, is not read from the archive either.
    project.run("rejects", "discard", "backend_events")
    assert "no rejected rows are open" in project.run("rejects", "replay", "backend_events").out
    assert counts(replay(project, *DAY, "--output", "json")) == (32, 0, 0, 32)
    # A table that is gone gets the replayed ones too.
    change(file, f"DROP TABLE {BRANCHES['inventory']}")
    assert counts(replay(project, *DAY, "--output", "json")) == (32, 32, 0, 0)


def test_what_would_be_read_is_listed(project, kafka, topic, loaded):
    shown = replay(project, *DAY, "--dry-run")
    assert "3,000 messages in" in shown.out and "output/order/" in shown.out
    listed = json.loads(replay(project, *DAY, "--dry-run", "--route", "unrouted", "--output", "json").out)
    assert {one["route"] for one in listed["objects"]} == {"unrouted"} and listed["messages"] > 0
    assert "nothing of that time" in replay(project, "--from", "2001-01-01", "--to", "2001-01-02", "--dry-run").out


def test_steps_and_routes_together(project, kafka, topic, loaded):
    """Steps for all tables say nothing of what has no table."""
    file, events = loaded
    configure(project, "    archive:", "    steps: [{mask: {columns: [_penstock_schema_version], with: sha256, salt: s}}]\n    archive:")
    change(file, "".join(f"DROP TABLE {table};" for table in BRANCHES.values()))
    replay(project, *DAY)
    found = {name: len(rows(file, f"SELECT 1 FROM {table}")) for name, table in BRANCHES.items()}
    assert found == {name: len(found) for name, found in events.good.items()}
    assert {len(row["_penstock_schema_version"]) for row in rows(file, f"SELECT * FROM {ORDERS}")} == {64}
    # A reject is a message as it came; the step would see what was recorded, which it must not have shown.
    refused = project.run("rejects", "replay", "backend_events", expect=2)
    assert "step 'mask' has been over it" in refused.both and "--rejected" in refused.both
    project.run("rejects", "discard", "backend_events")
    assert counts(replay(project, *DAY, "--rejected", "--output", "json"))[2] == len(events.bad)


@pytest.mark.parametrize("arguments, said", [
    ((), "--from"),
    (("--from", "yesterday"), "'yesterday' is no time"),
    (("--from", "2026-01-02", "--to", "2026-01-01"), "there is no time between"),
    ((*DAY, "--into", "x"), "--into is for the rows of one route"),
    ((*DAY, "--route", "ordr"), "no route 'ordr'"),
])
def test_mistakes_are_named(project, kafka, topic, arguments, said):
    archived(project, kafka, topic)
    assert said in replay(project, *arguments, expect=2).both


def test_only_what_is_archived_can_be_replayed(project, kafka, topic):
    archived(project, kafka, topic)
    config = project.folder / "penstock.yaml"
    config.write_text("\n".join(line for line in config.read_text().splitlines() if not line.strip().startswith("archive:")) + "\n")
    assert "keeps no archive" in replay(project, *DAY, expect=2).both
