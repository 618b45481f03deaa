#!/usr/bin/env python3
"""Long proofs of change capture: minutes of every kind of change at full speed, and one transaction of millions.

    .deps/venv/bin/python tests/long/capture_equality.py mixed --minutes 10 [--version 18]
    .deps/venv/bin/python tests/long/capture_equality.py large --changes 5000000 [--version 18]

`mixed`: pgbench's TPC-B and a generator of every statement kind write as fast as they can, tables change their columns, and two
runs follow meanwhile, one into a mirror and one into a history. Then both are compared with the source row by row, and the
history's number of versions with what test_decoding, on a slot of its own, says has happened. `large`: see there.

Not part of the tests: it takes its time. PENSTOCK_BIN names the program. Exit 0 when all is equal.
"""

import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from psycopg import errors

from support.changes import SCHEMA, Workload, capture, captured_columns, difference, drop_slots, target_rows  # noqa: E402
from support.postgres import Database, PostgresServer, find_bindir  # noqa: E402
from support.program import Project  # noqa: E402

PGBENCH = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history")
SHOP = ("customers", "orders", "notes", "logs", "parts")
TABLES = (*SHOP, *PGBENCH, "shifting", "prepared")
CURRENT = "_penstock_valid_to IS NULL AND NOT _penstock_deleted"
MORE = """
CREATE TABLE shifting (id int PRIMARY KEY, v int, line text);
CREATE TABLE prepared (id bigserial PRIMARY KEY, line text);
INSERT INTO shifting SELECT i, i, 'line ' || i FROM generate_series(1, 500) i;
"""
ADDITIONS = ("ADD COLUMN c{n} int", "ADD COLUMN c{n} text DEFAULT 'd{n}'", "ADD COLUMN c{n} numeric(10,2) NOT NULL DEFAULT 1.5")
COLUMN_CHANGES = ("ADD COLUMN c{n} int", "ADD COLUMN c{n} text DEFAULT 'd{n}'", "ADD COLUMN c{n} numeric(10,2) NOT NULL DEFAULT 1.5",
                  "DROP COLUMN c{last}", "ADD COLUMN c{n} timestamptz DEFAULT '2026-01-01'", "RENAME COLUMN c{last} TO c{n}")


def say(*words) -> None:
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def client_bindir(server) -> Path:
    """pgbench and pg_recvlogical: servers that were fetched come without clients, Debian's speak with them all."""
    return server.bindir if (server.bindir / "pgbench").exists() else find_bindir()


def retry_soon(project) -> None:
    """Each change of columns ends a stream, which goes on with the new ones: that need not wait."""
    path = project.folder / "penstock.yaml"
    settings = json.loads(path.read_text())
    settings["pipelines"]["p"]["retries"] = {"delay": "500ms", "backoff": 1, "max": 10}
    path.write_text(json.dumps(settings))


class EveryKind(Workload):
    """The workload of the tests, with COPY and prepared transactions beside."""

    def kinds(self):
        return (*super().kinds(), self.copy, self.prepare)

    def copy(self, session):
        with session.cursor().copy("COPY customers (id, name, balance) FROM STDIN") as copy:
            for _ in range(self.chance.choice((1, 20, 200))):
                self.next_customer += 1
                copy.write_row((self.next_customer, "copied\t\\N", 1))

    def prepare(self, session):
        session.commit()
        session.execute("INSERT INTO prepared (line) SELECT 'p' || i FROM generate_series(1, %s) i", [self.chance.randrange(1, 9)])
        session.execute("UPDATE prepared SET line = line || '+' WHERE id = (SELECT max(id) FROM prepared)")
        name = f"gid_{id(self)}_{self.chance.random()}"
        session.execute(f"PREPARE TRANSACTION '{name}'")
        session.commit()
        session.autocommit = True
        session.execute(f"{'ROLLBACK' if self.chance.random() < 0.2 else 'COMMIT'} PREPARED '{name}'")
        session.autocommit = False


class Writers:
    """Threads that write until they are told to stop."""

    # What writers do to one another.
    PASSING = (errors.DeadlockDetected, errors.UniqueViolation, errors.SerializationFailure, errors.LockNotAvailable)

    def __init__(self, database):
        self.database = database
        self.stopping = threading.Event()
        self.steps, self.failures, self.threads = Counter(), [], []
        self.next_column = 1

    def start(self, name, make_step):
        def work():
            try:
                with self.database.connect() as session:
                    session.autocommit = False
                    session.execute("SET lock_timeout = '5s'")
                    session.commit()
                    step = make_step()
                    while not self.stopping.is_set():
                        try:
                            step(session)
                            self.steps[name] += 1
                        except self.PASSING:
                            session.rollback()
                            session.autocommit = False
            except BaseException as failure:
                self.failures.append(f"{name}: {failure!r}")

        self.threads.append(threading.Thread(target=work))
        self.threads[-1].start()

    def every_kind(self, seed):
        work = EveryKind(self.database, seed)
        work.next_customer = work.next_order = 100_000_000 * (seed + 1)
        return work.step

    def shifting(self, session):
        chance = random.random()
        session.execute("UPDATE shifting SET v = v + 1 WHERE id %% 10 = %s", [int(chance * 10)])
        session.execute("INSERT INTO shifting (id, v) SELECT max(id) + 1, 0 FROM shifting")
        session.execute("DELETE FROM shifting WHERE id = (SELECT min(id) FROM shifting)")
        session.commit()
        time.sleep(0.01)

    def change_columns(self, changes, kinds, seconds):
        def step(session):
            if self.stopping.wait(seconds / (changes + 1)) or self.next_column > changes:
                return
            n = self.next_column
            columns = [row[0] for row in session.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'shifting'::regclass AND attname LIKE 'c%' AND NOT attisdropped AND attnum > 0").fetchall()]
            change = kinds[n % len(kinds)]
            if "{last}" in change and not columns:
                change = ADDITIONS[0]
            session.execute("ALTER TABLE shifting " + change.replace("c{last}", columns[-1] if columns else "").replace("{n}", str(n)))
            session.commit()
            self.next_column += 1

        return step

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.failures:
            time.sleep(0.5)
        assert not self.failures, self.failures

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures


class Follower:
    """`penstock run --follow`, started again when it ends by itself; where it names a way out, that is taken and counted."""

    def __init__(self, project, name):
        self.project, self.name = project, name
        self.stopping = False
        self.ends, self.refreshes, self.peak = Counter(), 0, 0
        self.running = None
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while not self.stopping:
            self.running = self.project.start("run", "--all", "--follow", "--output", "json")
            watcher = threading.Thread(target=self.watch, args=(self.running.process.pid,))
            watcher.start()
            output = self.running.wait(100_000)
            watcher.join()
            for line in output.err.splitlines():
                if " is read anew" in line:
                    self.ends["read anew"] += 1
                    say(f"{self.name}: {line}")
            if output.code == 130 and self.stopping:
                return
            error = json.loads(output.out)["runs"][0]["error"] if output.out.strip() else {"code": str(output.code), "message": output.err[-500:], "hint": ""}
            self.ends[error["code"]] += 1
            say(f"{self.name}: the run ended: {error['code']}: {error['message']}")
            self.take_way_out(error)

    def take_way_out(self, error):
        assert "--full-refresh" in error["hint"] or error["code"] == "-9", error
        if "--full-refresh" in error["hint"]:
            self.project.run("run", "--all", "--full-refresh", timeout=3000)
            self.refreshes += 1

    def watch(self, pid):
        while True:
            try:
                text = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                return
            found = re.search(r"VmHWM:\s+(\d+)", text)
            if not found:
                return
            self.peak = max(self.peak, int(found[1]) << 10)
            time.sleep(0.5)

    def stop(self):
        self.stopping = True
        self.running.signal(signal.SIGTERM)
        self.thread.join()

    def drain(self):
        report = self.project.load(expect=None, timeout=3000)
        if report.code:
            self.ends[report.error["code"]] += 1
            self.take_way_out(report.error)
            self.project.load(timeout=3000)


def assert_equal(database, project, table, where) -> int:
    """Row by row: what the target has goes back into a table of the source's types, and PostgreSQL compares."""
    columns = captured_columns(database, table)
    listed = ", ".join(f'"{name}"' for name, _ in columns)
    rows = target_rows(project, columns, table, where)
    with database.connect() as session:
        session.execute(f"CREATE TEMP TABLE back AS SELECT {listed} FROM {table} LIMIT 0")
        with session.cursor().copy(f"COPY back ({listed}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        for left, right in ((table, "back"), ("back", table)):
            found = session.execute(difference(left, right, listed)).fetchall()
            assert not found, f"{table}: in {left} and not in {right}: {found}"
    return len(rows)


def changes_since(server, database, slot, lsn) -> Counter:
    """Changes of each table that test_decoding has decoded from there on: (table, operation) -> number."""
    end = database.value("SELECT pg_current_wal_insert_lsn()")
    database.execute("SELECT pg_logical_emit_message(true, 'end', '')")
    script = r"""/^table public\./ { t = $2; sub(/^public\./, "", t); sub(/:$/, "", t); o = $3; sub(/:$/, "", o); n[t " " o]++ } END { for (k in n) print k, n[k] }"""
    reader = subprocess.Popen([client_bindir(server) / "pg_recvlogical", "-d", server.dsn(database.name), "--slot", slot, "--start", "--startpos", lsn,
                               "--endpos", end, "-o", "include-timestamp=off", "-f", "-"], stdout=subprocess.PIPE)
    counted = subprocess.run(["awk", script], stdin=reader.stdout, capture_output=True, text=True, check=True)
    assert reader.wait() == 0
    counts = Counter()
    for line in counted.stdout.splitlines():
        table, operation, number = line.split()
        counts["parts" if table.startswith("parts_") else table, operation] += int(number)
    return counts


def snapshot_point(project) -> str:
    """Where the history's stream began: from there on its changes are counted."""
    text = project.duck("SELECT m::VARCHAR FROM penstock.pipeline_metadata m LIMIT 1")[0][0]
    return re.search(r'from\W+([0-9A-F]+/[0-9A-F]+)', text)[1]


def check_versions(server, database, history, initial, start) -> None:
    counts = changes_since(server, database, "counter", start)
    say(f"test_decoding from {start}:", dict(sorted((f"{t} {o}", n) for (t, o), n in counts.items())))
    wrong = []
    for table in TABLES:
        expected = initial[table] + counts[table, "INSERT"] + counts[table, "UPDATE"]
        kept = history.duck_value(f"SELECT count(*) FROM {table}")
        wrong += [table] if kept != expected else []
        say(f"  history of {table}: {kept} versions,", "as counted" if kept == expected else f"the stream had {expected}")
    say("changes in all:", sum(counts.values()))
    assert not wrong, wrong


def mixed(options) -> None:
    server = PostgresServer(version=options.version, settings="max_replication_slots = 20\nmax_wal_senders = 20\nmax_slot_wal_keep_size = -1\n")
    folder = Path(tempfile.mkdtemp(prefix="penstock-long-", dir=options.folder))
    mirror, history = Project(folder / "mirror"), Project(folder / "history")
    database = Database(server, "long")
    writers = followers = None
    try:
        say("server:", database.value("SELECT version()"))
        database.execute(SCHEMA + MORE)
        pgbench = [client_bindir(server) / "pgbench", "-h", server.base, "-p", str(server.port), "-U", "postgres"]
        subprocess.run([*pgbench, "-i", "-q", "-s", str(options.scale), "long"], check=True, capture_output=True)
        database.execute("ALTER TABLE pgbench_history REPLICA IDENTITY FULL")
        database.execute("SELECT pg_create_logical_replication_slot('counter', 'test_decoding')")
        capture(database, history, TABLES, mode="history")
        capture(database, mirror, TABLES, publish=False, slot="slot_mirror")
        for project in (mirror, history):
            retry_soon(project)
        initial = {table: database.value(f"SELECT count(*) FROM {table}") for table in TABLES}
        history.load(timeout=600)
        start = snapshot_point(history)

        seconds = options.minutes * 60
        writers = Writers(database)
        for seed in range(options.writers):
            writers.start(f"generator {seed}", lambda seed=seed: writers.every_kind(seed))
        writers.start("shifting", lambda: writers.shifting)
        writers.start("columns", lambda: writers.change_columns(options.schema_changes, ADDITIONS if options.only_additions else COLUMN_CHANGES, seconds))
        bench = subprocess.Popen([*pgbench, "-n", "-c", "4", "-j", "1", "-T", str(int(seconds)), "long"], stdout=subprocess.PIPE, text=True)
        followers = [Follower(history, "history"), Follower(mirror, "mirror")]  # the mirror's snapshot is taken among all that
        say(f"writing for {options.minutes} minutes")
        writers.wait(seconds)
        tps = re.search(r"tps = ([\d.]+)", bench.communicate()[0])[1]
        writers.stop()
        say(f"pgbench: {tps} transactions a second; steps: {dict(writers.steps)}; schema changes: {writers.next_column - 1}")
        say("log behind at the end:", database.rows("SELECT slot_name, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)) FROM pg_replication_slots ORDER BY 1"))
        for follower in followers:
            follower.stop()
        began = time.monotonic()
        for follower in followers:
            follower.drain()
        say(f"drained in {time.monotonic() - began:.1f} s")
        for follower in followers:
            say(f"  {follower.name}: peak memory {follower.peak >> 20} MiB; meanwhile {dict(follower.ends)}; full refreshes: {follower.refreshes}")
        for table in TABLES:
            rows = assert_equal(database, mirror, table, "true"), assert_equal(database, history, table, CURRENT)
            say(f"  {table}: {rows[0]} rows in mirror and history equal the source")
        if followers[0].refreshes:
            say("versions are not counted: the history began anew")
        else:
            check_versions(server, database, history, initial, start)
        say("EQUAL")
    finally:
        if writers:
            writers.stopping.set()
        for follower in followers or []:
            follower.stopping = True
            if follower.running.process.poll() is None:
                follower.running.process.kill()
        server.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def large(options) -> None:
    """One transaction of so many changes, small ones before, meanwhile and after; memory of the run from /proc. A fifth as many
    rows are there before, so that updates and deletes meet both those and rows of the transaction itself."""
    server = PostgresServer(version=options.version)
    folder = Path(tempfile.mkdtemp(prefix="penstock-long-", dir=options.folder))
    project = Project(folder / "project")
    database = Database(server, "large")
    try:
        say("server:", database.value("SELECT version()"))
        database.execute("CREATE TABLE t (id int, line text, v int); CREATE TABLE small (id int PRIMARY KEY, line text)")
        database.execute("ALTER TABLE t REPLICA IDENTITY FULL" if options.into == "keyless" else "ALTER TABLE t ADD PRIMARY KEY (id)")
        if options.unsent:  # out of line, so that updates of other columns leave it out
            database.execute("ALTER TABLE t ALTER COLUMN line SET STORAGE EXTERNAL")
        before = 0 if options.empty else options.changes // 5
        line = f"repeat(md5(i::text), {70 if options.unsent else 8})"
        database.execute(f"INSERT INTO t SELECT i, {line}, 0 FROM generate_series(1, {before}) i")
        capture(database, project, ["t", "small"], mode="history" if options.into == "history" else "merge",
                target={"deletes": "soft"} if options.into == "soft" else None, spill_directory=str(folder))
        project.load(timeout=600)
        inserts, updates = options.changes * 7 // 10, options.changes * 2 // 10
        deletes = options.changes - inserts - updates
        last = before + inserts
        at = database.value("SELECT pg_current_wal_insert_lsn()")
        with database.connect() as session:
            session.autocommit = False
            database.execute("INSERT INTO small SELECT i, 'before' FROM generate_series(1, 100) i")
            session.execute(f"INSERT INTO t SELECT i, {line}, 0 FROM generate_series({before + 1}, {last}) i")
            database.execute("INSERT INTO small SELECT i, 'meanwhile' FROM generate_series(101, 200) i")
            first = before - updates // 2 if before else 0
            moved = ", id = CASE WHEN id % 100 = 0 THEN -id ELSE id END" if options.moved else ""
            session.execute(f"UPDATE t SET v = 1{moved} WHERE id > {first} AND id <= {first + updates}")
            few = deletes // 2 if before else 0
            session.execute(f"DELETE FROM t WHERE id BETWEEN 1 AND {few} OR id > {last - deletes + few}")
            session.commit()
        database.execute("INSERT INTO small SELECT i, 'after' FROM generate_series(201, 300) i")
        log = database.value("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", [at])
        say(f"one transaction of {inserts} inserts, {updates} updates, {deletes} deletes; {float(log) / 2**30:.2f} GiB of log")
        began = time.monotonic()
        report = project.load(timeout=3600)
        took = time.monotonic() - began
        run = report.run()
        say(f"{run['rows_read']} changes in {took:.1f} s; peak memory {run['peak_memory_bytes'] >> 20} MiB")
        # Without key an update comes as a delete and an insert; so does one that moves the key.
        twice = updates if options.into == "keyless" else updates // 100 if options.moved else 0
        assert run["rows_read"] == options.changes + 300 + twice, run
        assert run["peak_memory_bytes"] < 512 << 20
        where = {"history": CURRENT, "soft": "NOT _penstock_deleted"}.get(options.into, "true")
        for table in ("t", "small"):
            compare_in_order(database, project, table, where)
        if options.into == "history":
            versions = project.duck_value("SELECT count(*) FROM t")
            assert versions == before + inserts + updates, versions
            say(f"  history of t: {versions} versions, as many as rows and changes that made one")
        say("EQUAL")
    finally:
        server.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def compare_in_order(database, project, table, where) -> None:
    """Row by row, in slices of the key."""
    columns = "id, md5(line)" + (", v" if table == "t" else "")
    least, most = database.rows(f"SELECT min(id), max(id) FROM {table}")[0]
    rows = 0
    for first in range(least, most + 1, 250_000):
        query = f"SELECT {columns} FROM {table} WHERE id >= {first} AND id < {first + 250_000} AND {{}} ORDER BY id"
        source, target = database.rows(query.format("true")), project.duck(query.format(where))
        assert source == target, f"{table} differs between {first} and {first + 250_000}"
        rows += len(source)
    assert project.duck_value(f"SELECT count(*) FROM {table} WHERE {where}") == rows
    say(f"  {table}: {rows} rows equal the source")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("mixed", "large"))
    parser.add_argument("--version", type=int, help="major version of the server; the newest of the machine")
    parser.add_argument("--folder", default=None, help="for the targets and what spills")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--schema-changes", type=int, default=30)
    parser.add_argument("--only-additions", action="store_true", help="of columns: none is dropped or renamed")
    parser.add_argument("--changes", type=int, default=5_000_000)
    parser.add_argument("--into", choices=("mirror", "soft", "history", "keyless"), default="mirror", help="keyless: a mirror without key")
    parser.add_argument("--empty", action="store_true", help="the table has no rows before")
    parser.add_argument("--unsent", action="store_true", help="updates leave out a long value")
    parser.add_argument("--moved", action="store_true", help="a hundredth of the updates moves the key")
    options = parser.parse_args()
    {"mixed": mixed, "large": large}[options.what](options)


if __name__ == "__main__":
    main()
