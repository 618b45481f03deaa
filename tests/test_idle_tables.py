"""Idle published tables beside busy ones that are not: the server may let go of its log all the while (risingwave#16697, sequin#2141).

PENSTOCK_IDLE_SECONDS=600 runs the long form of it; every look at the slot is printed (pytest -s).
"""

import os
import signal
import threading
import time

import pytest

from support.postgres import PostgresServer

SECONDS = float(os.environ.get("PENSTOCK_IDLE_SECONDS", 30))
LONG = SECONDS > 120
WRITTEN_A_SECOND = 2_000_000  # of log, in each of two databases

# The long form runs on our own defaults. In the short one the server would come to keep 60 MB and more, were it not asked to mark
# where decoding may begin anew: by itself it does so every 15 s.
MOST_RETAINED = (64 if LONG else 40) << 20
OPTIONS = {} if LONG else {"most_kept": "4MiB"}

LEAST = """
CREATE ROLE capturer LOGIN REPLICATION PASSWORD 'idle';
"""


@pytest.fixture
def own_cluster():
    made = PostgresServer(settings="max_wal_size = 1GB\n")
    yield made
    made.destroy()


class Busy:
    """Writes into tables that nobody captures, at an even pace."""

    def __init__(self, databases):
        self.stop = threading.Event()
        self.failures = []
        self.threads = [threading.Thread(target=self._write, args=(database,)) for database in databases]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures

    def _write(self, database):
        try:
            with database.connect() as session:
                session.execute("CREATE TABLE IF NOT EXISTS busy (body text)")
                while not self.stop.wait(0.2):
                    session.execute("INSERT INTO busy SELECT repeat('y', 1000) FROM generate_series(1, %s)", [WRITTEN_A_SECOND // 5 // 1060])
                    if session.execute("SELECT pg_relation_size('busy') > 100000000").fetchone()[0]:
                        session.execute("TRUNCATE busy")
        except BaseException as failure:
            self.failures.append(failure)


SLOT = """SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint,
    (SELECT sum(size)::bigint FROM pg_ls_waldir()), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint FROM pg_replication_slots WHERE slot_name = 'idle'"""


def watch(shop, seconds):
    """The slot once a second: (retained, lag, size of pg_wal, end of the log)."""
    looks = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        looks.append(shop.rows(SLOT)[0])
        if len(looks) % 10 == 0:
            retained, lag, folder, position = (value / 1e6 for value in looks[-1])
            print(f"{len(looks):4d} s  written {position - looks[0][3] / 1e6:8.1f} MB  retained {retained:6.1f} MB  lag {lag:6.1f} MB  pg_wal {folder:7.1f} MB", flush=True)
        time.sleep(1)
    return looks


def prepare(server, make_database, project, **changes):
    shop, other = make_database(server), make_database(server)
    shop.execute(LEAST)
    shop.execute("CREATE TABLE idle (id int PRIMARY KEY, name text); INSERT INTO idle VALUES (1, 'x'); GRANT SELECT ON idle TO capturer;"
                 "CREATE PUBLICATION pub FOR TABLE idle")
    project.pipeline(shop, {"changes": {"tables": ["public.idle"], "publication": "pub", "slot": "idle", "create": True, **changes}},
                     {"dataset": "main", "mode": "merge"}, postgres={"url": server.url(shop.name, "capturer", "idle")})
    project.load()
    return shop, other


@pytest.mark.timeout(SECONDS + 200)
def test_an_idle_table_keeps_no_log_while_it_is_followed(own_cluster, make_database, project):
    shop, other = prepare(own_cluster, make_database, project, **OPTIONS)
    running = project.start("run", "--all", "--follow", "--output", "json")
    try:
        with Busy([shop, other]):
            looks = watch(shop, SECONDS)
        shop.execute("INSERT INTO idle VALUES (2, 'after all that')")
        deadline = time.monotonic() + 30
        position = shop.value("SELECT pg_current_wal_lsn()")
        while not shop.value("SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots", [position]) and time.monotonic() < deadline:
            time.sleep(0.3)
    finally:
        running.signal(signal.SIGTERM)
        output = running.wait(30)
    assert output.code == 130, output
    written = looks[-1][3] - looks[0][3]
    most = max(look[0] for look in looks)
    print(f"written {written / 1e6:.0f} MB in {SECONDS:.0f} s; retained at most {most / 1e6:.1f} MB, at the end {looks[-1][0] / 1e6:.1f} MB")
    assert written > SECONDS * WRITTEN_A_SECOND, "the tables beside were not busy"
    assert most < MOST_RETAINED, f"{most} bytes of log were kept for an idle table"
    assert project.duck_value("SELECT count(*) FROM idle") == 2


def test_drains_let_go_of_the_log_of_an_idle_table(own_cluster, make_database, project):
    """Each drain begins where the one before was: it must give back what was written since then, not only what it began with."""
    shop, other = prepare(own_cluster, make_database, project)
    for _ in range(2):
        with Busy([shop, other]):
            time.sleep(4)
        shop.execute("CHECKPOINT")  # where decoding may begin anew; by itself the server marks such a place every 15 s
        project.load()
        retained, lag, _, _ = shop.rows(SLOT)[0]
        assert lag < 2_000_000 and retained < 12_000_000, (retained, lag)
    shop.execute("SELECT pg_drop_replication_slot('idle')")
