"""What happens around a load: signals, two runs at once, retries, time and memory limits, ways to connect."""

import contextlib
import json
import os
import signal
import sqlite3
import time

import pytest

from support.shop import HISTORY, INCREMENT, LAKE_REPLACE, MERGE, REPLACE, WHOLE, add_orders, assert_same, lake_rows, make_orders, source_rows

SLOW = {"PENSTOCK_FAILPOINT": "source_read_during=delay"}  # every block takes a second


def wait_until(condition, seconds: float = 20, every: float = 0.05):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(every)
    return value


def start_slow_run(project, database, *arguments):
    """A run that is in the middle of reading when this returns."""
    running = project.start("run", "p", "--output", "json", *arguments, env=SLOW)
    wait_until(lambda: running.process.poll() is not None or reading(database))
    assert running.process.poll() is None, running.wait()
    return running


def reading(database) -> bool:
    return database.value("SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND usename <> 'postgres'"
                          " AND query ILIKE '%%COPY%%'", [database.name]) > 0


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("target", [REPLACE, MERGE, LAKE_REPLACE], ids=["replace", "merge", "parquet"])
def test_interrupted_runs_end_with_130_and_leave_nothing_half_done(which, target, database, project):
    make_orders(database, 60000)
    project.pipeline(database, WHOLE, target)
    running = start_slow_run(project, database)
    running.signal(which)
    output = running.wait(20)
    assert output.code == 130, output
    assert output.json["runs"][0]["status"] == "stopped"
    assert not project.staging_left()
    assert not project.data_files()
    wait_until(lambda: not database.server.backends(database.name))
    project.load()
    if target is LAKE_REPLACE:
        assert lake_rows(project) == source_rows(database)
    else:
        assert_same(project, database)


def test_a_second_run_of_a_pipeline_is_refused_and_told_who_holds_it(database, project):
    make_orders(database, 60000)
    project.pipeline(database, WHOLE, REPLACE)
    running = start_slow_run(project, database)
    try:
        report = project.load("p", expect=1)
        text = json.dumps(report.error)
        assert str(running.process.pid) in text, "the holder's process id"
        assert os.uname().nodename in text, "the holder's host"
        assert "running" in text
    finally:
        running.process.kill()
        running.wait()
    project.load("p")  # the lock of a killed run is not in the way
    assert_same(project, database)


def state(project):
    return contextlib.closing(sqlite3.connect(project.folder / ".penstock/state.db", isolation_level=None, timeout=20))


def test_a_second_run_waits_where_it_was_told_to(database, project):
    """As one does that follows a node that died: refused while the other lives, at work when it is gone."""
    make_orders(database, 60000)
    project.pipeline(database, WHOLE, REPLACE)
    running = start_slow_run(project, database)
    try:
        refused = project.run("run", "p", "--wait", "1", expect=1)
        assert "waits: " in refused.err and "already running" in refused.err
        waiting = project.start("run", "p", "--wait", "60", "--output", "json")
        wait_until(lambda: "waits: " in waiting.process.stderr.readline())
        assert waiting.process.poll() is None
    finally:
        running.process.kill()
        running.wait()
    assert waiting.wait().json["runs"][0]["status"] == "success"
    assert_same(project, database)


def test_a_run_whose_lock_is_taken_over_commits_nothing(database, project):
    """As after a long pause of the whole machine: another machine holds the lock by then."""
    make_orders(database, 30000)
    project.pipeline(database, WHOLE, REPLACE)
    running = start_slow_run(project, database)
    with state(project) as sql:
        assert sql.execute("UPDATE locks SET run_id = 'theirs', host = 'elsewhere', machine = 'elsewhere'").rowcount == 1
    output = running.wait(60)
    assert output.code == 1, output
    run = output.json["runs"][0]
    assert (run["status"], run["error"]["code"]) == ("failed", "lock_lost"), run
    assert "another run" in run["error"]["message"]
    assert not project.staging_left()
    assert not project.warehouse.exists() or not project.duck("SELECT 1 FROM duckdb_tables() WHERE table_name = 'orders'")
    with state(project) as sql:
        assert sql.execute("SELECT run_id FROM locks").fetchall() == [("theirs",)], "the lock is theirs"
        sql.execute("DELETE FROM locks")
    project.load()
    assert_same(project, database)


def test_the_history_keeps_as_many_runs_as_configured(database, project):
    make_orders(database, 3)
    project.pipeline(database, WHOLE, REPLACE, keep_runs=2)
    runs = [project.load().run()["run_id"] for _ in range(4)]
    kept = [run["run_id"] for run in project.run("runs", "--output", "json").json["runs"]]
    assert kept == runs[:1:-1]


def test_other_pipelines_are_not_refused(database, project):
    make_orders(database, 30000)
    make_orders(database, 10, "customers")
    project.pipelines(database, {"p": {"source": dict(WHOLE), "target": dict(REPLACE)},
                                 "q": {"source": {"table": "public.customers"}, "target": {"format": "parquet", "path": "customers/"}}})
    running = start_slow_run(project, database)
    try:
        assert project.load("q").counts() == (10, 10, 0, 0)
    finally:
        running.process.kill()
        running.wait()


def test_a_killed_backend_is_retried(database, project):
    make_orders(database, 60000)
    project.pipeline(database, WHOLE, REPLACE, retries={"max": 3, "delay": "100ms"})
    running = start_slow_run(project, database)
    assert database.server.terminate_backends(database.name) > 0
    output = running.wait(120)
    assert output.code == 0, output
    assert_same(project, database)
    assert not project.staging_left()


def test_retries_end(database, project):
    make_orders(database, 10)
    project.pipeline(database, WHOLE, REPLACE, retries={"max": 2, "delay": "50ms", "jitter": False})
    started = time.monotonic()
    report = project.load(expect=1, env={"PENSTOCK_FAILPOINT": "source_connect_before=error"})
    assert report.error["message"] and time.monotonic() - started > 0.05 + 0.1
    project.pipeline(database, WHOLE, REPLACE, retries={"max": 0})
    assert project.load(expect=1, env={"PENSTOCK_FAILPOINT": "target_commit_before=error"}).run()["status"] == "failed"
    project.load()
    assert_same(project, database)


def test_a_refused_thing_is_not_retried(database, project):
    project.pipeline(database, {"table": "public.missing"}, REPLACE, retries={"max": 5, "delay": "10s"})
    started = time.monotonic()
    project.load(expect=1)
    assert time.monotonic() - started < 5


def test_the_server_restarted_in_the_middle(own_server, make_database, project):
    database = make_database(own_server)
    make_orders(database, 60000)
    project.pipeline(database, WHOLE, REPLACE, retries={"max": 8, "delay": "200ms"})
    running = start_slow_run(project, database)
    own_server.restart(signal.SIGQUIT)
    output = running.wait(120)
    assert output.code == 0, output
    assert_same(project, database)
    own_server.restart(signal.SIGINT)
    add_orders(database, 10)
    project.load()
    assert_same(project, database)


def test_statement_and_lock_timeouts(database, project):
    make_orders(database, 10)
    project.pipeline(database, WHOLE, REPLACE, postgres={"lock_timeout": "300ms", "statement_timeout": "20s"}, retries={"max": 0})
    with database.connect() as holder:
        holder.autocommit = False
        holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        error = json.dumps(project.load(expect=1, timeout=20).error)
        assert "lock" in error and "orders" in error
        holder.rollback()
    project.pipeline(database, {"query": "SELECT 1 AS a, pg_sleep(30)::text AS b"}, {"table": "shop.s", "mode": "replace"},
                     postgres={"statement_timeout": "300ms"}, retries={"max": 0})
    assert "statement_timeout" in json.dumps(project.load(expect=1, timeout=20).error)


def test_the_session_is_read_only_and_leaves_no_transaction_open(database, project):
    make_orders(database, 60000)
    project.pipeline(database, WHOLE, REPLACE)
    running = start_slow_run(project, database)
    try:
        named = database.rows("SELECT application_name FROM pg_stat_activity WHERE datname = %s AND usename <> 'postgres'",
                              [database.name])
        assert named and all("penstock" in name for name, in named), named
    finally:
        running.process.send_signal(signal.SIGTERM)
        running.wait(20)


@pytest.mark.parametrize("memory", ["128MiB", "256MiB"])
def test_the_memory_budget_holds(memory, database, project):
    """A table of many times the budget; the program's own peak, its engine's share included."""
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, a text, b text)")
    database.execute("INSERT INTO t SELECT i, repeat(md5(i::text), 10), repeat(md5((-i)::text), 10) FROM generate_series(1, 400000) i")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "replace"}, memory=memory)
    run = project.load().run()
    budget = int(memory.removesuffix("MiB")) * 2**20
    assert 0 < run["peak_memory_bytes"] <= budget * 1.1, run
    assert project.duck_value("SELECT count(*) FROM shop.t") == 400000


# -- ways to connect ------------------------------------------------------------------------------------------------------
def test_tls_with_a_client_certificate(tls_server, make_database, project):
    database = make_database(tls_server)
    make_orders(database, 100)
    project.pipeline(database, WHOLE, REPLACE, postgres={"url": tls_server.url(database.name, password=None),
                                                         "tls": tls_server.tls_options()})
    project.load()
    assert_same(project, database)


def test_libpq_service_and_passfile(database, project):
    from support.postgres import LOADER, LOADER_PASSWORD
    make_orders(database, 10)
    project.write(f"[shop]\nhost=127.0.0.1\nport={database.server.port}\ndbname={database.name}\nuser={LOADER}\n", "pg_service.conf")
    passfile = project.write(f"127.0.0.1:*:*:{LOADER}:" + LOADER_PASSWORD.replace("\\", "\\\\").replace(":", "\\:") + "\n", "pgpass")
    passfile.chmod(0o600)
    project.pipeline(database, WHOLE, REPLACE, postgres={"url": "service=shop"})
    project.load(env={"PGSERVICEFILE": str(project.folder / "pg_service.conf"), "PGPASSFILE": str(passfile)})
    assert_same(project, database)


def test_key_value_connection_strings_and_unix_sockets(database, project):
    make_orders(database, 10)
    project.pipeline(database, WHOLE, REPLACE, postgres={
        "url": f"host={database.server.base} port={database.server.port} dbname={database.name} user=postgres"})
    project.load()
    assert_same(project, database)


def test_history_survives_an_interrupt_between_versions(database, project):
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, HISTORY)
    project.load()
    database.execute("UPDATE orders SET status = 'v1', updated_at = clock_timestamp() WHERE id <= 50")
    output = project.run("run", "p", env={"PENSTOCK_FAILPOINT": "target_merge_after=kill"}, expect=None)
    assert output.code == -signal.SIGKILL, output
    project.load()
    assert project.duck_value("SELECT count(*) FROM shop.orders") == 150
    assert project.duck_value("SELECT count(*) FROM shop.orders WHERE _penstock_valid_to IS NULL") == 100
