"""The servers that Debian does not have: reads and capture from PostgreSQL 16, 17 and 18, and what they can do beyond 15."""

import pytest

from support.changes import SCHEMA, TABLES, Workload, assert_mirrored, capture, drop_slots
from support.postgres import PostgresServer

# What is streamed before it is committed has another form from protocol 4 on: here every transaction is.
STREAM_ALL = "debug_logical_replication_streaming = immediate\n"


@pytest.fixture(scope="module", params=[16, 17, 18])
def newer_server(request):
    made = PostgresServer(version=request.param)
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def newest_server():
    made = PostgresServer(version=18, settings=STREAM_ALL)
    yield made
    made.destroy()


@pytest.fixture
def shop(newer_server, make_database):
    database = make_database(newer_server)
    database.execute(SCHEMA)
    yield database
    drop_slots(database)


@pytest.fixture
def newest(newest_server, make_database):
    database = make_database(newest_server)
    database.execute(SCHEMA)
    yield database
    drop_slots(database)


def version_of(database):
    return int(database.value("SHOW server_version_num")) // 10000


def test_reads_and_increments(shop, project):
    project.pipelines(shop, {
        "whole": {"source": {"tables": ["public.*"], "exclude": ["public.parts_*"]}, "target": {"dataset": "main", "mode": "replace"}},
        "grown": {"source": {"table": "public.customers", "cursor": "joined"}, "target": {"table": "grown", "mode": "merge"}}})
    project.load()
    assert_mirrored(shop, project)
    shop.execute("UPDATE customers SET balance = 5, joined = now() WHERE id = 5; INSERT INTO customers VALUES (9000, 'late', 1)")
    assert project.load("grown").run("grown")["rows_written"] == 2
    assert project.duck_value("SELECT sum(balance) FROM grown") == shop.value("SELECT sum(balance) FROM customers")
    assert f"PostgreSQL {version_of(shop)}" in project.run("doctor", "shop").out


@pytest.mark.parametrize("mode", ["merge", "history"])
def test_mixed_workload(shop, project, mode):
    capture(shop, project, mode=mode)
    work = Workload(shop, version_of(shop))
    where = "_penstock_valid_to IS NULL AND NOT _penstock_deleted" if mode == "history" else "true"
    for _ in range(2):
        project.load()
        assert_mirrored(shop, project, where=where)
        work.run(40)
    project.load()
    assert_mirrored(shop, project, where=where)
    assert not project.staging_left() and not project.rejects()


def test_transactions_that_stream_before_they_end(newest, project):
    """Parallel streaming: stream blocks, aborted subtransactions and aborted transactions, interleaved with others."""
    capture(newest, project)
    project.load()
    work, other = Workload(newest, 50), Workload(newest, 60)
    other.next_customer = other.next_order = 100_000
    with newest.connect() as open_one:
        open_one.autocommit = False
        for round_ in range(2):
            open_one.execute("INSERT INTO logs SELECT now(), 'open ' || i, i FROM generate_series(1, 20) i")
            open_one.execute("SAVEPOINT s")
            open_one.execute("INSERT INTO customers VALUES (%s, 'aborted', 1)", [500_000 + round_])
            open_one.execute("ROLLBACK TO s")
            open_one.execute("INSERT INTO customers VALUES (%s, 'kept', 1)", [600_000 + round_])
            work.run(8)  # commits while the other is open
            project.load()  # drains while it is open: its part so far is not for this run
            assert project.duck_value("SELECT count(*) FROM customers WHERE id BETWEEN 600000 AND 600100") == 0
        open_one.commit()
    other.run(10)
    project.load()
    assert_mirrored(newest, project)
    assert newest.value("SELECT stream_txns FROM pg_stat_replication_slots WHERE slot_name = %s", [f"slot_{newest.name}"]) > 0


def test_prepared_transactions_arrive_when_they_are_committed(newest, project):
    """Without two-phase decoding, which would bring rows that may never be: none is lost, whenever the slot is read in between."""
    capture(newest, project, tables=["customers"])
    project.load()
    for name in ("kept", "dropped"):
        with newest.connect() as session:
            session.autocommit = False
            session.execute("INSERT INTO customers SELECT i, %s, 1 FROM generate_series(%s, %s) i", [name, *((700_000, 700_099) if name == "kept" else (800_000, 800_099))])
            session.execute(f"PREPARE TRANSACTION '{newest.name}_{name}'")
    newest.execute("INSERT INTO customers VALUES (900000, 'beside', 1)")
    assert project.load().run()["rows_written"] == 1
    newest.execute("CHECKPOINT")
    newest.server.restart()
    project.load()
    newest.execute(f"COMMIT PREPARED '{newest.name}_kept'")
    newest.execute(f"ROLLBACK PREPARED '{newest.name}_dropped'")
    assert project.load().run()["rows_written"] == 100
    assert_mirrored(newest, project, ["customers"])


def test_origin_none_leaves_out_what_was_replicated(newest, project):
    capture(newest, project, tables=["customers"], origin="none")
    project.load()
    newest.execute("SELECT pg_replication_origin_create(%s)", [newest.name])
    with newest.connect() as session:
        session.execute("SELECT pg_replication_origin_session_setup(%s)", [newest.name])
        session.execute("INSERT INTO customers VALUES (700000, 'from elsewhere', 1)")
    newest.execute("INSERT INTO customers VALUES (700001, 'our own', 1)")
    assert project.load().run()["rows_written"] == 1
    assert project.duck("SELECT name FROM customers WHERE id >= 700000") == [("our own",)]
    newest.execute("SELECT pg_replication_origin_drop(%s)", [newest.name])


def test_origin_needs_a_server_that_knows_it(database, project):
    database.execute(SCHEMA)
    try:
        capture(database, project, tables=["customers"], origin="none")
        refused = project.load(expect=2)
        assert refused.error["code"] == "origin_not_known" and "PostgreSQL 16" in refused.error["hint"], refused.output
    finally:
        drop_slots(database)


def test_a_privileged_role_has_the_log_let_go_without_a_slot(newest, project):
    """pg_log_standby_snapshot() where it is granted; elsewhere a temporary slot does it (test_idle_tables)."""
    slot = capture(newest, project, tables=["customers"], most_kept="1MiB")
    newest.execute("GRANT EXECUTE ON FUNCTION pg_log_standby_snapshot() TO loader")
    newest.execute("CREATE TABLE busy (body text)")
    project.load()
    running = project.start("run", "--all", "--follow")
    kept = []
    try:
        for _ in range(24):
            newest.execute("INSERT INTO busy SELECT repeat('y', 1000) FROM generate_series(1, 2000)")
            newest.execute("SELECT pg_sleep(0.5)")
            kept.append(newest.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint FROM pg_replication_slots WHERE slot_name = %s", [slot]))
    finally:
        running.process.terminate()
        running.wait(30)
    assert max(kept[8:]) < 36_000_000, kept  # of 52 MB, in less time than the server takes for one mark of its own
