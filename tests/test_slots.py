"""`penstock slots`, what status and doctor say of slots, and the way out they name."""

import signal
import time

import pytest

from support.changes import drop_slots
from support.postgres import LOADER, PostgresServer

# Checkpoints come when a test asks for one, or a slot would be given up between two looks at it.
SMALL = "max_slot_wal_keep_size = 48MB\nmin_wal_size = 32MB\nmax_wal_size = 4GB\ncheckpoint_timeout = 1h\n"


@pytest.fixture(scope="module")
def limited_server():
    """Gives slots up when they keep more than 48 MB."""
    made = PostgresServer(settings=SMALL)
    yield made
    made.destroy()


@pytest.fixture
def shop(database):
    yield prepared(database)
    drop_slots(database)


@pytest.fixture
def limited_shop(limited_server, make_database):
    database = make_database(limited_server)
    yield prepared(database)
    drop_slots(database)


def prepared(database):
    with database.server.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
    database.execute("CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items SELECT i, 'item' FROM generate_series(1, 10) i;"
                     "CREATE PUBLICATION pub FOR TABLE items")
    return database


def capture(database, project, **changes):
    slot = f"slot_{database.name}"
    project.pipeline(database, {"changes": {"tables": ["public.items"], "publication": "pub", "slot": slot, "create": True, **changes}},
                     {"dataset": "main", "mode": "merge"}, name="shop_changes")
    return slot


def write_log(database, megabytes):
    database.execute("CREATE TABLE IF NOT EXISTS unpublished (body text)")
    for _ in range(megabytes // 4):
        database.execute("INSERT INTO unpublished SELECT repeat(md5(i::text), 30) FROM generate_series(1, 4000) i")


def listed(project, slot):
    return next(one for one in project.run("slots", "list", "--output", "json").json["slots"] if one["slot"] == slot)


def test_slots_are_listed_with_their_pipelines(shop, project):
    slot = capture(shop, project)
    shop.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", [slot + "_other"])
    project.load()
    write_log(shop, 8)
    ours, other = listed(project, slot), listed(project, slot + "_other")
    assert ours["pipelines"] == ["shop_changes"] and other["pipelines"] == []
    assert (ours["plugin"], other["plugin"], ours["database"]) == ("pgoutput", "test_decoding", shop.name)
    assert ours["retained_bytes"] > 7_000_000 and ours["lag_bytes"] > 7_000_000 and ours["wal_status"] == "reserved"
    assert ours["active"] is False and ours["active_pid"] is None and ours["safe_wal_size"] is None
    text = project.run("slots", "list", "shop").out
    assert slot in text and "shop_changes" in text and "MiB" in text
    shop.execute("SELECT pg_drop_replication_slot(%s)", [slot + "_other"])


def test_drop_says_what_is_lost_and_wants_to_be_confirmed(shop, project):
    slot = capture(shop, project)
    project.load()
    write_log(shop, 8)
    asked = project.run("slots", "drop", slot, expect=2)
    assert "MiB of log" in asked.err and "--full-refresh shop_changes" in asked.err and "--confirm" in asked.err, asked
    assert listed(project, slot)["slot"] == slot
    dropped = project.run("slots", "drop", slot, "--confirm", "--output", "json").json
    assert dropped["done"] == "dropped" and dropped["pipelines"] == ["shop_changes"]
    assert not shop.rows("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", [slot])
    unknown = project.run("slots", "drop", slot, "--confirm", expect=2)
    assert "there is no slot" in unknown.err
    missing = project.load(expect=1)
    assert missing.error["code"] == "slot_missing" and "--full-refresh" in missing.error["hint"]
    project.load("--full-refresh")
    assert project.load().run()["status"] == "success"


def test_advance_moves_a_slot_and_the_pipeline_notices(shop, project):
    slot = capture(shop, project)
    project.load()
    shop.execute("INSERT INTO items VALUES (100, 'given up')")
    before = listed(project, slot)
    asked = project.run("slots", "advance", slot, expect=2)
    assert "--confirm" in asked.err
    wrong = project.run("slots", "advance", slot, "--to", "nonsense", "--confirm", expect=2)
    assert "16/B374D848" in wrong.err
    back = project.run("slots", "advance", slot, "--to", "0/1", "--confirm", expect=1)
    assert "cannot go back" in back.err
    moved = project.run("slots", "advance", slot, "--confirm", "--output", "json").json
    assert moved["done"] == "advanced" and moved["position"] > before["confirmed_flush_lsn"]
    refused = project.load(expect=1)
    assert refused.error["code"] in ("slot_advanced", "slot_recreated")
    assert f"`penstock slots drop {slot} --confirm`" in refused.error["hint"], refused.output
    # The way out, as it is said.
    project.run("slots", "drop", slot, "--confirm")
    project.load("--full-refresh")
    assert project.duck_value("SELECT count(*) FROM items") == 11


def test_a_slot_that_is_read_is_left_alone(shop, project):
    slot = capture(shop, project)
    project.load()
    running = project.start("run", "--all", "--follow")
    try:
        wait_for(lambda: listed(project, slot)["active"])
        for words in (("drop",), ("advance",)):
            refused = project.run("slots", *words, slot, "--confirm", expect=1)
            assert "is being read" in refused.err and "penstock/shop_changes" in refused.err, refused
        assert listed(project, slot)["active_pid"] in shop.server.backends(shop.name)
    finally:
        running.signal(signal.SIGTERM)
        running.wait(30)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come to pass")


def test_connections_without_slots_are_said(shop, project):
    capture(shop, project)
    assert "has no slots" in project.run("slots", "list", "warehouse", expect=2).err
    assert "nobody" in project.run("slots", "list", "nobody", expect=2).err


def test_status_and_doctor_forecast_when_the_log_runs_out(limited_shop, project):
    slot = capture(limited_shop, project)
    project.load()
    write_log(limited_shop, 16)
    status = project.run("status", "--output", "json").json["pipelines"][0]
    assert status["slot"]["slot"] == slot and status["lag_bytes"] > 15_000_000
    assert status["slot"]["retained_bytes"] > 15_000_000 and 0 < status["slot"]["safe_wal_size"] < 49_000_000
    assert status["slot"]["wal_bytes_per_second"] >= 0
    assert status["lag_seconds"] > 0
    text = project.run("status").out
    assert "SLOT KEEPS" in text and "ROOM" in text and "BEHIND" in text
    doctor = project.run("doctor", "shop").out
    assert f"slot of shop_changes: {slot}" in doctor and "more may be written before it is lost" in doctor
    # Behind what may be kept, before the checkpoint that takes it away, and after.
    limited_shop.execute("CHECKPOINT")
    fill_until(limited_shop, slot, "unreserved")
    said = project.run("status")
    assert "next checkpoint" in said.out and "max_slot_wal_keep_size" in said.out, said
    doctor = project.run("doctor", "shop", expect=3)
    assert "next checkpoint" in doctor.out
    fill_until(limited_shop, slot, "lost", checkpoints=True)
    said = project.run("status")
    assert "given it up" in said.out and f"`penstock slots drop {slot} --confirm`" in said.out and "--full-refresh shop_changes" in said.out, said
    refused = project.load(expect=1)
    assert refused.error["code"] == "slot_lost" and f"penstock slots drop {slot} --confirm" in refused.error["hint"], refused.output
    project.run("slots", "drop", slot, "--confirm")
    project.load("--full-refresh")
    assert project.duck_value("SELECT count(*) FROM items") == 10


def fill_until(shop, slot, state, checkpoints=False):
    for _ in range(60):
        if shop.value("SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", [slot]) == state:
            return
        write_log(shop, 4)
        if checkpoints:
            shop.execute("CHECKPOINT")
    raise AssertionError(f"the slot did not become {state}")


def test_following_warns_and_hurries_when_room_is_low(limited_shop, project):
    slot = capture(limited_shop, project, low_room="1GiB")
    project.load()
    running = project.start("run", "--all", "--follow", "--output", "json")
    limited_shop.execute("INSERT INTO items SELECT i, 'many' FROM generate_series(1000, 90000) i")
    done = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s"
    position = limited_shop.value("SELECT pg_current_wal_lsn()")
    try:
        wait_for(lambda: limited_shop.value(done, [position, slot]), 40)
        time.sleep(4)  # a look at the slot, and one more
        limited_shop.execute("INSERT INTO items SELECT i, 'many' FROM generate_series(100000, 190000) i")
        position = limited_shop.value("SELECT pg_current_wal_lsn()")
        wait_for(lambda: limited_shop.value(done, [position, slot]), 40)
    finally:
        running.signal(signal.SIGTERM)
        output = running.wait(30)
    assert "the server may write" in output.err and "small segments" in output.err, output
    # 90,001 changes of one transaction are one segment, however small they are to be; transactions are never divided.
    assert project.duck_value("SELECT count(*) FROM items") == 10 + 89_001 + 90_001


@pytest.mark.parametrize("how", ["message", "table", "forbidden"])
def test_heartbeats(shop, project, how):
    slot = capture(shop, project, heartbeat="200ms", **({"heartbeat_table": "public.beats"} if how == "table" else {}))
    shop.execute("CREATE TABLE beats (slot text PRIMARY KEY, beat_at timestamptz NOT NULL)")
    shop.execute(f"GRANT SELECT, INSERT, UPDATE ON beats TO {LOADER}")
    if how == "forbidden":
        shop.execute("REVOKE EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text) FROM PUBLIC")
    shop.execute("SELECT pg_create_logical_replication_slot('listener_' || %s, 'test_decoding')", [shop.name])
    project.load()
    running = project.start("run", "--all", "--follow")
    seen = "SELECT count(*) FROM pg_logical_slot_peek_changes('listener_' || %s, NULL, NULL) WHERE data LIKE %s"
    try:
        if how == "message":
            wait_for(lambda: shop.value(seen, [shop.name, f"%prefix: penstock%{slot}%"]) >= 3)
        elif how == "table":
            first = wait_for(lambda: shop.rows("SELECT beat_at FROM beats WHERE slot = %s", [slot]))
            wait_for(lambda: shop.rows("SELECT beat_at FROM beats WHERE slot = %s", [slot]) > first)
        else:
            wait_for(lambda: shop.value("SELECT active FROM pg_replication_slots WHERE slot_name = %s", [slot]))
            time.sleep(5)  # the first beat comes after two
    finally:
        running.signal(signal.SIGTERM)
        output = running.wait(30)
        shop.execute("SELECT pg_drop_replication_slot('listener_' || %s)", [shop.name])
    assert output.code == 130, output
    assert ("heartbeat_table" in output.err) == (how == "forbidden"), output
