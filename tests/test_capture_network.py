"""Change capture over a bad network and against servers that go away: in the snapshot, at the handoff, in a drain and while it
follows. Afterwards the target is the source, row by row, and nothing waited longer than it may.

Every test goes through all four phases with one kind of trouble."""

import contextlib
import itertools
import json
import os
import signal
import time
from pathlib import Path

import pytest

from support.changes import assert_mirrored, capture, drop_slots
from support.postgres import PostgresServer
from support.shop import assert_equal_rows
from support.toxiproxy import Toxiproxy

LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
SILENCE = 3  # seconds after which a server that says nothing is given up, by its wal_sender_timeout
SETTINGS = f"wal_sender_timeout = '{SILENCE}s'\n"

OURS = "FROM pg_stat_activity WHERE datname = current_database() AND usename <> 'postgres'"
READING = f"SELECT count(*) {OURS} AND state = 'active' AND query LIKE 'COPY %%'"
# The snapshot's sessions are gone, and the stream's is not there yet.
BETWEEN = f"SELECT EXISTS (SELECT FROM pg_replication_slots WHERE database = current_database()) AND NOT EXISTS (SELECT {OURS} AND (backend_type = 'walsender' OR state <> 'idle'))"
STREAMING = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND active AND NOT temporary"


@pytest.fixture(scope="module")
def toxiproxy():
    made = Toxiproxy()
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def impatient_server():
    made = PostgresServer(settings=SETTINGS)
    yield made
    made.destroy()


@pytest.fixture
def disturbed(impatient_server, make_database, project, toxiproxy):
    """A database captured through a proxy."""
    database = make_database(impatient_server)
    yield Disturbed(database, project, toxiproxy.proxy(impatient_server.port))
    drop_slots(database)


class Disturbed:
    """Runs that are in trouble, phase by phase."""

    def __init__(self, database, project, proxy):
        self.database, self.project, self.proxy = database, project, proxy
        self.ids = itertools.count(1_000_000)
        database.execute("CREATE TABLE t (id int PRIMARY KEY, v int, line text); CREATE TABLE log (n int, line text); ALTER TABLE log REPLICA IDENTITY FULL;"
                         "INSERT INTO t SELECT i, 0, repeat(md5(i::text), 250) FROM generate_series(0, 5000) i; INSERT INTO log SELECT i % 5, 'x' FROM generate_series(1, 20) i")
        capture(database, project, ["t", "log"])
        self.url = project.environment["SHOP_URL"]
        if proxy:
            project.environment["SHOP_URL"] = proxy.url(self.url)
        path = project.folder / "penstock.yaml"
        settings = json.loads(path.read_text())
        settings["pipelines"]["p"]["retries"] = {"delay": "200ms", "backoff": 1, "max": 40}
        settings["connections"]["shop"]["connect_timeout"] = "2s"
        path.write_text(json.dumps(settings))

    def write(self, rows=1, transactions=1):
        for _ in range(transactions):
            first = next(self.ids)
            for _ in range(rows - 1):
                next(self.ids)
            self.database.execute(f"INSERT INTO t SELECT i, 1, 'new' FROM generate_series({first}, {first + rows - 1}) i; UPDATE t SET v = v + 1 WHERE id % 1000 = {first % 1000};"
                                  f"DELETE FROM t WHERE id = {first - rows}; INSERT INTO log VALUES ({first % 5}, 'y'); DELETE FROM log WHERE ctid = (SELECT min(ctid) FROM log)")

    def reach(self, sign, *arguments, failpoint=None):
        """A run standing still where the server shows the sign."""
        running = self.project.start("run", "--all", *arguments, env={"PENSTOCK_FAILPOINT": failpoint} if failpoint else None)
        self.await_sign(running, sign)
        running.signal(signal.SIGSTOP)
        return running

    def await_sign(self, running, sign, seconds=30):
        deadline = time.monotonic() + seconds
        while not self.database.value(sign):
            assert running.process.poll() is None, running.wait(10)
            assert time.monotonic() < deadline, "this did not come to pass: " + sign
            time.sleep(0.005)

    def ended(self, running, seconds, code=0):
        running.signal(signal.SIGCONT)
        try:
            output = running.wait(seconds)
        except Exception:
            running.process.kill()
            raise AssertionError(f"it hangs: still running after {seconds} s\n{running.wait(5)}") from None
        assert output.code == code, output
        return output

    def follow(self, trouble, seconds):
        running = self.project.start("run", "--all", "--follow")
        try:
            self.await_sign(running, STREAMING)
            self.write(transactions=3)
            self.arrive(running, 20)
            trouble()
            self.write(transactions=5)
            self.arrive(running, seconds)
        finally:
            running.signal(signal.SIGTERM)
        self.ended(running, 15, code=130)

    def arrive(self, running, seconds):
        """Waits until the slot is confirmed past all that was written."""
        reached = self.database.value("SELECT pg_current_wal_lsn()")
        self.await_sign(running, f"SELECT bool_or(confirmed_flush_lsn >= '{reached}') FROM pg_replication_slots WHERE database = current_database()", seconds)

    def through_all_phases(self, make_trouble, seconds=30, awake=False):
        """Trouble while the run stands still; awake: it goes on meanwhile, where the server waits for its answers."""

        def trouble(running):
            if awake:
                running.signal(signal.SIGCONT)
            make_trouble()

        self.write()
        running = self.reach(READING)
        self.write()
        trouble(running)
        self.ended(running, seconds)
        self.start_over()
        running = self.reach(BETWEEN, failpoint="changes_stream_before=delay")
        self.write()
        trouble(running)
        self.ended(running, seconds)
        self.check()
        self.write(rows=3000, transactions=6)
        running = self.reach(STREAMING)
        trouble(running)
        self.write()
        self.ended(running, seconds)
        self.check()
        self.follow(make_trouble, seconds)
        self.check()

    def start_over(self):
        """From the snapshot on."""
        self.check()
        drop_slots(self.database)
        self.project.warehouse.unlink()

    def check(self):
        self.project.load()
        for rows in ("SELECT id, v, md5(line) FROM t ORDER BY 1, 2, 3", "SELECT n, line FROM log ORDER BY 1, 2"):
            assert_equal_rows(self.database.rows(rows), self.project.duck(rows))


def test_connections_that_are_cut(disturbed):
    def trouble():
        disturbed.proxy.cut()
        time.sleep(0.3)
        disturbed.proxy.mend()

    disturbed.through_all_phases(trouble)


def test_connections_that_are_reset(disturbed):
    def trouble():
        name = disturbed.proxy.poison("reset_peer", timeout=0)
        time.sleep(0.3)
        disturbed.proxy.heal(name)

    disturbed.through_all_phases(trouble)


@pytest.mark.parametrize("stream", ["downstream", "upstream"])
def test_connections_on_which_bytes_vanish_for_a_while(disturbed, stream):
    """Then they end: what vanished is not taken for having arrived."""
    def trouble():
        name = disturbed.proxy.poison("timeout", stream=stream, timeout=0)
        disturbed.write(transactions=3)
        time.sleep(0.5)
        disturbed.proxy.heal(name)

    disturbed.through_all_phases(trouble)


def test_a_slow_network(disturbed):
    """Slow all the while, in small pieces, and each byte late."""
    disturbed.proxy.poison("latency", latency=30, jitter=20)
    disturbed.proxy.poison("latency", stream="upstream", latency=20)
    disturbed.proxy.poison("slicer", average_size=2000, size_variation=1500, delay=0)
    disturbed.proxy.poison("bandwidth", rate=15000)
    disturbed.through_all_phases(lambda: None, seconds=60)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM], ids=["fast", "immediate", "smart"])
def test_servers_that_restart(own_server, make_database, project, how):
    """Fast, immediate (a crash), and smart shutdown, which waits for sessions to end by themselves."""
    database = make_database(own_server)

    def trouble():
        if how == signal.SIGTERM:
            own_server._process.send_signal(how)
            time.sleep(0.3)
            how_then = signal.SIGINT
        else:
            how_then = how
        own_server.restart(how_then)

    Disturbed(database, project, None).through_all_phases(trouble, awake=True)


@pytest.mark.parametrize("whom", ["backend_type = 'walsender'", "true"], ids=["the walsender", "all"])
def test_sessions_that_are_killed(disturbed, whom):
    disturbed.through_all_phases(lambda: disturbed.database.execute(f"SELECT pg_terminate_backend(pid) {OURS} AND {whom}"))


# ---------------------------------------------------------------- clocks

class Clock:
    """The wall clock that processes see which are started with `environment`; it can be set while they run."""

    def __init__(self, folder: Path):
        self.file = folder / "clock"
        self.set(0)
        folder.chmod(0o755)
        self.environment = {"LD_PRELOAD": str(LIBFAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def set(self, seconds: int) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.chmod(0o644)
        fresh.rename(self.file)


@contextlib.contextmanager
def variables(values: dict):
    """For servers, which take this process's environment."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_the_clock_is_set_back(make_database, make_project, tmp_path_factory):
    """By 5 s, of the server and of the program, before, within and after a batch: positions order changes, never clocks."""
    clock = Clock(tmp_path_factory.mktemp("clock"))
    for parent in clock.file.parents:
        if parent.owner() == "root" and str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o55)
    with variables(clock.environment):
        server = PostgresServer(settings=SETTINGS)
    try:
        mirror, history = make_project(), make_project()
        database = make_database(server)
        database.execute("CREATE TABLE t (id int PRIMARY KEY, v int, line text); INSERT INTO t SELECT i, 0, repeat('x', 500) FROM generate_series(1, 20000) i")
        capture(database, mirror, ["t"])
        capture(database, history, ["t"], mode="history", publish=False, slot=f"history_{database.name}")
        mirror.load()
        history.load()
        changes = 0
        before = database.value("SELECT clock_timestamp()")
        for set_back in (0, -5, -10, 3600, -86400):
            running = []
            for project in (mirror, history):
                project.environment.update(clock.environment)
                running.append(project.start("run", "--all", env={"PENSTOCK_FAILPOINT": "target_stage_after=delay,target_commit_before=delay"}))
            for v in range(1, 4):
                with database.connect() as session:
                    session.execute("UPDATE t SET v = v + 1 WHERE id <= 50")
                    session.execute(f"DELETE FROM t WHERE id = 60; INSERT INTO t VALUES (60, {v}, 'again')")
                changes += 51
                clock.set(set_back + v % 2)
                time.sleep(0.3)
            for one in running:
                output = one.wait(60)
                assert output.code == 0, output
        assert database.value("SELECT clock_timestamp()") < before, "the clock was not set back"
        mirror.load()
        history.load()
        assert_mirrored(database, mirror, ["t"])
        assert_mirrored(database, history, ["t"], where="_penstock_valid_to IS NULL AND NOT _penstock_deleted")
        assert history.duck_value("SELECT count(*) FROM t") == 20000 + changes
        backwards = history.duck_value("SELECT count(*) FROM t WHERE _penstock_valid_to < _penstock_valid_from")
        assert backwards > 0, "no version shows that the clock went back"
        drop_slots(database)
    finally:
        server.destroy()
