"""A primary that dies and a standby that is promoted: capture goes on where the slot was kept there, and is refused, with the way
out, where it was not or where the target has what the new primary never had. Capture from a standby."""

import signal
import threading
import time

import pytest

from support.postgres import LOADER, PostgresServer

ROWS = "SELECT id, name FROM items ORDER BY id"


@pytest.fixture
def make_pair():
    """Makes a primary and its standby, which keeps the slots that ask for it."""
    made = []

    def make(version):
        made.append(primary_and_standby(version, "sync_replication_slots = on\nhot_standby = on\n"))
        return next(made[-1])

    yield make
    for generator in made:
        generator.close()


@pytest.fixture
def pair(make_pair):
    return make_pair(18)


@pytest.fixture
def pair16():
    yield from primary_and_standby(16, "")


def primary_and_standby(version, settings):
    primary = PostgresServer(version=version)
    servers = [primary]
    try:
        with primary.admin() as admin:
            admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
            admin.execute("CREATE DATABASE shop")
        with primary.admin("shop") as session:
            session.execute("CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items SELECT i, 'before' FROM generate_series(1, 100) i;"
                            "CREATE PUBLICATION pub FOR TABLE items")
        servers.append(primary.standby("standby", "shop", settings))
        yield tuple(servers)
    finally:
        for server in reversed(servers):
            server.destroy()


class Shop:
    """What Project.pipeline asks of a database."""

    def __init__(self, server):
        self.server, self.name, self.url = server, "shop", server.url("shop")


def configure(project, server, **changes):
    project.pipeline(Shop(server), {"changes": {"tables": ["public.items"], "publication": "pub", "slot": "ours", "create": True, **changes}},
                     {"dataset": "main", "mode": "merge"})


def execute(server, sql):
    with server.admin("shop") as session:
        return session.execute(sql)


def rows(server, sql):
    with server.admin("shop") as session:
        return session.execute(sql).fetchall()


def wait_until(server, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if rows(server, f"SELECT {condition}")[0][0]:
            return
        time.sleep(0.3)
    raise AssertionError(f"not in {seconds} s: {condition}: {rows(server, 'SELECT * FROM pg_replication_slots')}\n{server.log.read_text()[-1500:]}")


def synchronised(primary, standby, project):
    """The standby's copy of the slot is as far as the slot. The first copy waits until the slot has left behind what the standby has
    not kept, so the capture goes on reading meanwhile, as one would that follows."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        execute(primary, "SELECT pg_log_standby_snapshot()")
        project.load()
        at = rows(primary, "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'ours'")[0][0]
        for _ in range(10):
            if rows(standby, f"SELECT 1 FROM pg_replication_slots WHERE slot_name = 'ours' AND synced AND NOT temporary AND confirmed_flush_lsn >= '{at}'"):
                return
            time.sleep(0.3)
    raise AssertionError(f"no copy of the slot in 60 s:\n{standby.log.read_text()[-1500:]}")


@pytest.mark.parametrize("version", [17, 18])
def test_capture_goes_on_at_the_promoted_standby(make_pair, project, version):
    primary, standby = make_pair(version)
    execute(primary, "ALTER SYSTEM SET synchronized_standby_slots = 'standby'")
    execute(primary, "SELECT pg_reload_conf()")
    configure(project, primary, failover=True)
    project.load()
    slot = project.run("slots", "list", "--output", "json").json["slots"]
    assert [(one["slot"], one["failover"]) for one in slot if one["slot"] == "ours"] == [("ours", True)]
    execute(primary, "UPDATE items SET name = 'drained' WHERE id <= 50")
    project.load()
    synchronised(primary, standby, project)
    # These the target does not have yet, and some of them are on the way.
    execute(primary, "UPDATE items SET name = 'after' WHERE id BETWEEN 40 AND 60; DELETE FROM items WHERE id = 70; INSERT INTO items VALUES (1000, 'new')")
    position = rows(primary, "SELECT pg_current_wal_lsn()")[0][0]
    wait_until(standby, f"pg_last_wal_replay_lsn() >= '{position}'")
    before = rows(primary, ROWS)
    primary.stop(signal.SIGQUIT)
    standby.promote()
    execute(standby, "ALTER SYSTEM RESET synchronized_standby_slots")
    execute(standby, "SELECT pg_reload_conf()")
    assert rows(standby, ROWS) == before
    configure(project, standby, failover=True)
    run = project.load().run()
    assert run["rows_written"] == 23, run
    assert project.duck(ROWS) == before
    execute(standby, "INSERT INTO items VALUES (2000, 'on the new timeline')")
    project.load()
    assert project.duck(ROWS) == rows(standby, ROWS)


def test_a_slot_that_was_not_kept_is_refused(pair, project):
    primary, standby = pair
    configure(project, primary)
    project.load()
    execute(primary, "INSERT INTO items VALUES (1000, 'lost by skipping')")
    position = rows(primary, "SELECT pg_current_wal_lsn()")[0][0]
    wait_until(standby, f"pg_last_wal_replay_lsn() >= '{position}'")
    primary.stop(signal.SIGQUIT)
    standby.promote()
    configure(project, standby)
    refused = project.load(expect=1)
    assert refused.error["code"] == "slot_missing" and "failed over without it" in refused.error["message"], refused.output
    assert "--full-refresh" in refused.error["hint"]
    assert project.duck_value("SELECT count(*) FROM items") == 100, "a refused run must not touch the target"
    project.load("--full-refresh")
    assert project.duck(ROWS) == rows(standby, ROWS)


def test_a_target_that_is_ahead_of_the_new_primary_is_refused(pair, project):
    """The capture read what the standby had not received: the server was not told to wait for it (synchronized_standby_slots)."""
    primary, standby = pair
    configure(project, primary, failover=True)
    project.load()
    synchronised(primary, standby, project)
    standby.stop()
    execute(primary, "UPDATE items SET name = 'only the old primary had this' WHERE id < 10")
    project.load()
    assert project.duck_value("SELECT count(*) FROM items WHERE name LIKE 'only%'") == 9
    primary.stop(signal.SIGQUIT)
    standby.start()
    standby.promote()
    execute(standby, "SELECT pg_switch_wal()")
    execute(standby, "INSERT INTO items SELECT i, 'written since' FROM generate_series(5000, 9000) i")
    configure(project, standby, failover=True)
    refused = project.load(expect=1)
    assert refused.error["code"] == "diverged" and "that this server never had" in refused.error["message"], refused.output
    assert "synchronized_standby_slots" in refused.error["hint"] and "--full-refresh" in refused.error["hint"], refused.output
    project.run("slots", "drop", "ours", "--confirm")
    project.load("--full-refresh")
    assert project.duck(ROWS) == rows(standby, ROWS)


def test_capture_from_a_standby_and_through_its_promotion(pair16, project):
    primary, standby = pair16
    configure(project, standby)
    # A slot on a standby waits for the primary to say which transactions are open.
    enough = threading.Event()

    def speak():
        while not enough.wait(0.5):
            execute(primary, "SELECT pg_log_standby_snapshot()")

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        assert project.load(timeout=90).run()["rows_read"] == 100
        for number in range(3):
            execute(primary, f"UPDATE items SET name = 'round {number}' WHERE id % 5 = {number}; INSERT INTO items VALUES ({1000 + number}, 'new')")
            position = rows(primary, "SELECT pg_current_wal_lsn()")[0][0]
            wait_until(standby, f"pg_last_wal_replay_lsn() >= '{position}'")
            assert project.load().run()["rows_written"] == 21
            assert project.duck(ROWS) == rows(primary, ROWS)
    finally:
        enough.set()
        speaker.join()
    assert rows(primary, "SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'logical'") == [(0,)]
    execute(primary, "DELETE FROM items WHERE id < 10")
    position = rows(primary, "SELECT pg_current_wal_lsn()")[0][0]
    wait_until(standby, f"pg_last_wal_replay_lsn() >= '{position}'")
    primary.stop(signal.SIGQUIT)
    standby.promote()
    execute(standby, "INSERT INTO items VALUES (3000, 'promoted')")
    project.load()
    assert project.duck(ROWS) == rows(standby, ROWS)
