"""Change data capture from a replication slot into DuckDB: after every drain, source and target are equal row by row."""

import signal
import threading
import time

import pytest

from support.changes import SCHEMA, TABLES, Workload, assert_mirrored, capture, drop_slots


@pytest.fixture
def shop(database):
    database.execute(SCHEMA)
    yield database
    drop_slots(database)


def test_snapshot_then_changes(shop, project):
    capture(shop, project)
    first = project.load().run()
    assert first["status"] == "success" and first["rows_read"] == 730
    assert_mirrored(shop, project)
    shop.execute("UPDATE customers SET balance = 0 WHERE id = 7; DELETE FROM customers WHERE id = 8; INSERT INTO customers VALUES (9000, 'x', 1)")
    second = project.load().run()
    assert (second["rows_read"], second["rows_written"], second["rows_deleted"]) == (3, 3, 1)
    assert_mirrored(shop, project)
    assert project.load().run()["rows_read"] == 0
    assert project.duck("SELECT count(*), count(DISTINCT _penstock_position) FROM customers WHERE _penstock_synced_at IS NULL OR _penstock_position IS NULL") == [(0, 0)]


@pytest.mark.parametrize("seed", range(6))
def test_mixed_workload(shop, project, seed):
    capture(shop, project)
    work = Workload(shop, seed)
    for _ in range(4):
        project.load()
        assert_mirrored(shop, project)
        work.run(40)
    project.load()
    assert_mirrored(shop, project)
    assert not project.staging_left() and not project.rejects()


@pytest.mark.parametrize("seed", range(2))
def test_soft_deletes(shop, project, seed):
    capture(shop, project, target={"deletes": "soft"})
    work = Workload(shop, 100 + seed)
    project.load()
    for _ in range(3):
        work.run(30)
        project.load()
        assert_mirrored(shop, project, where="NOT _penstock_deleted")
    assert project.duck_value("SELECT count(*) FROM customers WHERE _penstock_deleted") > 0


@pytest.mark.parametrize("seed", range(2))
def test_history(shop, project, seed):
    capture(shop, project, mode="history")
    work = Workload(shop, 200 + seed)
    project.load()
    for _ in range(3):
        work.run(30)
        project.load()
        assert_mirrored(shop, project, where="_penstock_valid_to IS NULL AND NOT _penstock_deleted")
    overlapping = project.duck("SELECT id FROM customers GROUP BY id HAVING count(*) FILTER (WHERE _penstock_valid_to IS NULL) > 1")
    assert overlapping == []


def test_writers_never_stop(shop, project):
    """Snapshot and drains run while others write; after the last drain everything is equal."""
    capture(shop, project)
    stop = threading.Event()
    failures = []

    def write(seed):
        try:
            work = Workload(shop, seed)
            work.next_customer = work.next_order = 10_000 * (seed + 1)
            with shop.connect() as session:
                session.autocommit = False
                while not stop.is_set():
                    try:
                        work.step(session)
                    except Exception as failure:  # deadlocks and clashes of the writers among themselves are part of it
                        if not any(clash in str(failure) for clash in ("deadlock", "duplicate key", "moved to another partition")):
                            raise
                        session.rollback()
        except BaseException as failure:
            failures.append(failure)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(5):
            project.load()
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert not failures, failures
    project.load()
    assert_mirrored(shop, project)


FAILPOINTS = ["source_connect_before", "slot_create_before", "slot_create_after", "source_snapshot_after", "source_read_during", "target_open_after",
              "target_schema_before", "target_stage_before", "target_stage_after", "target_merge_after", "target_commit_before", "target_commit_after",
              "source_confirm_before", "changes_stream_before", "changes_receive_after"]


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_killed_in_the_snapshot_and_in_the_stream(shop, project, failpoint):
    capture(shop, project)
    work = Workload(shop, 5)
    codes = []

    def killed(visit):
        codes.append(project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}@{visit}=kill"}).code)

    for visit in (1, 2, 3):
        killed(visit)
        work.run(10)
    project.load()
    assert_mirrored(shop, project)
    for visit in (1, 2, 4):
        work.run(15)
        killed(visit)
    project.load()
    assert_mirrored(shop, project)
    assert -signal.SIGKILL in codes, codes
    assert not project.staging_left()
    assert len(shop.rows("SELECT 1 FROM pg_replication_slots WHERE database = current_database()")) == 1


def test_many_rows_of_one_commit_killed_in_the_middle(shop, project):
    capture(shop, project, tables=["customers"])
    project.load()
    shop.execute("INSERT INTO customers SELECT i, repeat('x', 50), 1 FROM generate_series(10000, 210000) i")
    for point in ("source_read_during", "target_stage_after", "target_commit_before", "target_commit_after"):
        project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{point}=kill"})
    project.load()
    assert_mirrored_count(shop, project, "customers")


def assert_mirrored_count(shop, project, table):
    query = f"SELECT count(*), sum(id), count(DISTINCT id) FROM {table}"
    assert project.duck(query) == shop.rows(query)


def test_the_server_keeps_no_log_that_is_done_with(shop, project):
    slot = capture(shop, project)
    project.load()
    shop.execute("CREATE TABLE unpublished AS SELECT i, repeat('y', 500) FROM generate_series(1, 100000) i")
    project.load()
    assert shop.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) FROM pg_replication_slots WHERE slot_name = %s", [slot]) < 2_000_000


def test_follow_until_stopped(shop, project):
    capture(shop, project)
    project.load()
    running = project.start("run", "--all", "--follow", "--output", "json")
    shop.execute("INSERT INTO customers VALUES (5001, 'while it follows', 1)")
    deadline = time.monotonic() + 20
    while shop.value("SELECT count(*) FROM pg_replication_slots WHERE active AND database = current_database()") == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    confirmed = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE database = current_database()"
    shop.execute("INSERT INTO customers VALUES (5002, 'and this', 1)")
    position = shop.value("SELECT pg_current_wal_lsn()")
    while not shop.value(confirmed, [position]) and time.monotonic() < deadline:
        shop.execute("INSERT INTO logs VALUES (now(), 'tick', 1)")
        time.sleep(0.2)
    running.signal(signal.SIGTERM)
    output = running.wait(30)
    assert output.code == 130, output
    assert project.duck_value("SELECT count(*) FROM customers WHERE id IN (5001, 5002)") == 2, output
    project.load()
    assert_mirrored(shop, project)


def test_a_slot_that_is_not_ours_any_more_is_refused(shop, project):
    slot = capture(shop, project)
    project.load()
    shop.execute("UPDATE customers SET balance = 1")
    shop.execute("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", [slot])
    refused = project.load(expect=1)
    assert refused.error["code"] in ("slot_advanced", "slot_recreated") and "--full-refresh" in refused.error["hint"], refused.output
    shop.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    missing = project.load(expect=1)
    assert missing.error["code"] == "slot_missing", missing.output
    shop.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    recreated = project.load(expect=1)
    assert recreated.error["code"] in ("slot_recreated", "slot_advanced"), recreated.output
    project.load("--full-refresh")
    assert_mirrored(shop, project)


def test_columns_come_and_go(shop, project):
    capture(shop, project, tables=["customers", "orders"])
    project.load()
    shop.execute("UPDATE customers SET balance = 3 WHERE id = 3")
    shop.execute("ALTER TABLE customers ADD COLUMN points int DEFAULT 7, ADD COLUMN remark text")
    shop.execute("UPDATE customers SET remark = 'r' WHERE id = 4")
    shop.execute("INSERT INTO customers (id, name) VALUES (6001, 'new')")
    project.load()
    assert_mirrored(shop, project, ["customers"])
    shop.execute("ALTER TABLE customers RENAME COLUMN remark TO comment")
    shop.execute("UPDATE customers SET comment = 'c' WHERE id = 5")
    project.load()
    assert_mirrored(shop, project, ["customers"])
    shop.execute("ALTER TABLE customers DROP COLUMN points")
    shop.execute("UPDATE customers SET comment = 'd' WHERE id = 6")
    project.load()
    assert_mirrored(shop, project, ["customers"])


def test_types_that_come_as_text(shop, project):
    """inet has no binary form that we read: the whole stream is text then, and must give the same values."""
    shop.execute("""CREATE TABLE kinds (id int PRIMARY KEY, address inet, n numeric, d double precision, t timestamptz, dt date, iv interval, b bytea,
        a int[], x text[], j jsonb, u uuid, r int4range, ok boolean, big bigint, money_ money, bits bit varying(9))""")
    rows = """SELECT i, ('10.0.' || i || '.1')::inet, round(i / 7.0, 4), i / 3.0, now() + i * interval '1 hour', '2026-01-01'::date + i, i * interval '1 day 2 hours',
        decode(md5(i::text), 'hex'), ARRAY[i, NULL, -i], ARRAY['a"b', NULL, '{,}'], jsonb_build_object('k', i, 's', 'é"'), gen_random_uuid(), int4range(i, i + 5),
        mod(i, 2) = 0, i * 10000000000, i::money, B'101' FROM generate_series(%s) i"""
    shop.execute("INSERT INTO kinds " + rows.replace("%s", "1, 50"))
    capture(shop, project, tables=["kinds", "customers"])
    project.load()
    shop.execute("INSERT INTO kinds " + rows.replace("%s", "51, 100"))
    shop.execute("UPDATE kinds SET d = 'NaN', t = 'infinity' WHERE id = 3; UPDATE kinds SET address = NULL, b = '' WHERE id = 4")
    project.load()
    by_stream = project.duck("SELECT id, address, n::VARCHAR, d::VARCHAR, t::VARCHAR, dt::VARCHAR, iv::VARCHAR, hex(b), a::VARCHAR, x::VARCHAR, j::VARCHAR, u::VARCHAR,"
                             " r::VARCHAR, ok, big, money_, bits FROM kinds ORDER BY id")
    project.load("--full-refresh")
    by_snapshot = project.duck("SELECT id, address, n::VARCHAR, d::VARCHAR, t::VARCHAR, dt::VARCHAR, iv::VARCHAR, hex(b), a::VARCHAR, x::VARCHAR, j::VARCHAR, u::VARCHAR,"
                               " r::VARCHAR, ok, big, money_, bits FROM kinds ORDER BY id")
    assert len(by_stream) == 100 and by_stream == by_snapshot
    assert [row[:2] for row in by_stream[:2]] == [(1, "10.0.1.1"), (2, "10.0.2.1")]


@pytest.mark.parametrize("target", [{}, {"deletes": "soft"}, {"mode": "history"}])
def test_one_large_transaction_within_the_budget(shop, project, target):
    capture(shop, project, tables=["customers"], target=target)
    project.load()
    shop.execute("INSERT INTO customers SELECT i, repeat(md5(i::text), 10), 1 FROM generate_series(10000, 409999) i")
    run = project.load(timeout=180).run()
    assert run["rows_written"] == 400_000
    assert run["peak_memory_bytes"] < 512 << 20
    assert_mirrored_count(shop, project, "customers")


def test_a_table_that_was_left_out_for_a_while_is_refused(shop, project):
    capture(shop, project, tables=["customers", "orders"])
    project.load()
    capture(shop, project, tables=["customers"], publish=False)
    shop.execute("UPDATE customers SET balance = 5 WHERE id = 5; UPDATE orders SET amount = 5 WHERE number = 5")
    project.load()
    capture(shop, project, tables=["customers", "orders"], publish=False, on_rewrite="stop")
    refused = project.load(expect=1)
    assert refused.error["code"] == "table_left_behind" and "orders" in refused.error["message"], refused.output
    project.load("--full-refresh")
    assert_mirrored(shop, project, ["customers", "orders"])


def test_a_table_made_anew_is_refused(shop, project):
    capture(shop, project, tables=["customers", "orders"], on_rewrite="stop")
    project.load()
    shop.execute("DROP TABLE customers; CREATE TABLE customers (id int PRIMARY KEY, name text); ALTER PUBLICATION pub ADD TABLE customers;"
                 "INSERT INTO customers VALUES (1, 'other')")
    refused = project.load(expect=1)
    assert refused.error["code"] == "table_left_behind" and "made anew" in refused.error["message"], refused.output
    project.load("--full-refresh")
    assert_mirrored(shop, project, ["customers", "orders"])


def test_a_publication_of_parts_is_refused(shop, project):
    capture(shop, project, tables=["customers"], on_rewrite="stop")
    for part in ("SET (publish = 'insert, update')", "SET TABLE customers (id, name)", "SET TABLE customers WHERE (id > 5)"):
        shop.execute("ALTER PUBLICATION pub SET (publish = 'insert, update, delete, truncate'); ALTER PUBLICATION pub SET TABLE customers")
        shop.execute(f"ALTER PUBLICATION pub {part}")
        refused = project.load(expect=1)
        assert refused.error["code"] == "published_in_part", refused.output
    shop.execute("ALTER PUBLICATION pub SET TABLE customers")
    project.load()
    shop.execute("ALTER PUBLICATION pub DROP TABLE customers; UPDATE customers SET balance = 1")
    refused = project.load(expect=1)
    assert refused.error["code"] == "not_published" and "--resnapshot" in refused.error["hint"], refused.output


def test_full_refresh_is_the_way_past_a_changed_type(shop, project):
    capture(shop, project, tables=["customers", "orders"], on_rewrite="stop")
    project.load()
    shop.execute("UPDATE customers SET balance = 2 WHERE id = 2; ALTER TABLE customers ALTER COLUMN balance TYPE text USING balance || ' EUR';"
                 "UPDATE customers SET balance = '3 EUR' WHERE id = 3")
    refused = project.load(expect=1)
    assert refused.error["code"] == "type_changed" and "--resnapshot" in refused.error["hint"], refused.output
    project.load("--full-refresh")
    shop.execute("UPDATE customers SET balance = '4 EUR' WHERE id = 4")
    project.load()
    assert_mirrored(shop, project, ["customers", "orders"])


def test_a_narrowed_column_is_a_changed_type(shop, project):
    capture(shop, project, tables=["customers"], on_rewrite="stop")
    project.load()
    shop.execute("UPDATE customers SET balance = 2.5 WHERE id = 2; ALTER TABLE customers ALTER COLUMN balance TYPE numeric(14,2); UPDATE customers SET balance = 3 WHERE id = 3")
    project.load()
    assert_mirrored(shop, project, ["customers"])
    shop.execute("UPDATE customers SET balance = 4.5 WHERE id = 4; ALTER TABLE customers ALTER COLUMN balance TYPE numeric(12,0)")
    refused = project.load(expect=1)
    assert refused.error["code"] == "type_changed", refused.output
    project.load("--full-refresh")
    assert_mirrored(shop, project, ["customers"])


def test_long_keys_out_of_line(shop, project):
    shop.execute("CREATE TABLE long_keys (k text PRIMARY KEY, v int, body text); ALTER TABLE long_keys ALTER k SET STORAGE EXTERNAL, ALTER body SET STORAGE EXTERNAL;"
                 "INSERT INTO long_keys SELECT string_agg(md5(i::text || j), ''), i, repeat(md5(i::text), 99) FROM generate_series(1, 9) i, generate_series(1, 80) j GROUP BY i")
    capture(shop, project, tables=["long_keys"])
    project.load()
    shop.execute("UPDATE long_keys SET v = v + 100 WHERE v < 5; UPDATE long_keys SET k = reverse(k) WHERE v = 6; UPDATE long_keys SET v = 60 WHERE v = 6; DELETE FROM long_keys WHERE v = 7")
    project.load()
    assert_mirrored(shop, project, ["long_keys"])


def test_names_that_moved_while_changes_waited_are_refused(shop, project):
    capture(shop, project, tables=["customers"], on_rewrite="stop")
    project.load()
    shop.execute("UPDATE customers SET name = 'waits' WHERE id = 2; ALTER TABLE customers DROP COLUMN joined; ALTER TABLE customers ADD COLUMN since timestamptz")
    refused = project.load(expect=1)
    assert refused.error["code"] == "columns_renamed", refused.output
    project.load("--full-refresh")
    assert_mirrored(shop, project, ["customers"])


def test_what_makes_no_sense_is_said(shop, project):
    capture(shop, project)
    project.pipeline(shop, {"table": "public.customers"}, {"deletes": "soft"})
    assert "deletes" in project.run("check", expect=2).both
    project.pipeline(shop, {"table": "public.customers"}, {}, run="follow")
    assert "`run` is for streams" in project.run("check", expect=2).both
    changes = {"tables": ["public.customers"], "publication": "pub", "slot": "s"}
    project.pipeline(shop, {"changes": changes}, {"mode": "append"})
    assert "mode append is for reads" in project.run("check", expect=2).both
    project.pipeline(shop, {"changes": changes}, {"format": "parquet", "path": "{table}/", "mode": "merge"})
    assert "keeps changes as a log" in project.run("check", expect=2).both
    project.pipeline(shop, {"changes": changes, "cursor": "id"}, {})
    assert "`cursor` chooses rows" in project.run("check", expect=2).both
    project.pipeline(shop, {"changes": changes}, {})
    missing = project.load(expect=1)
    assert missing.error["code"] == "slot_missing" and "create: true" in missing.error["hint"], missing.output


def test_tables_that_cannot_tell_their_rows_are_named(shop, project):
    shop.execute("CREATE TABLE nokey (a int)")
    capture(shop, project, tables=["nokey"])
    refused = project.load(expect=1)
    assert refused.error["code"] == "no_replica_identity" and "REPLICA IDENTITY FULL" in refused.error["hint"], refused.output
