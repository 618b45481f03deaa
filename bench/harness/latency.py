"""How long a change takes from its transaction into the target, while pgbench makes so many changes a second.

A row's `updated_at` is the server's clock in the statement that wrote it, moments before its commit. In a topic it is there when a
consumer of committed messages has it. Commits are synchronous, as they are where nobody changed it: else the server's WAL writer
alone makes a change wait for up to 200 ms before any reader gets it. DuckDB cannot be read while another process writes it: Penstock's log tells when each commit was
over, and `_penstock_synced_at` which of them a row came with; all rows still there in the end are the sample. All clocks are this machine's.
"""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time

from . import contestants as roster
from .check import Checker
from .kafka import cpu_seconds
from .peers import QUIET
from .server import BenchError
from .stream import TABLE, Source, Stream

BATCH = 10
# Rows of the first seconds are not counted: a broker makes its transaction log, Java compiles. bench/peers/kafka_topic.py knows it too.
WARM_UP_SECONDS = 5
WORK = f"""
CREATE SEQUENCE IF NOT EXISTS fresh;
CREATE OR REPLACE FUNCTION work() RETURNS void LANGUAGE plpgsql AS $$
DECLARE last bigint := nextval('fresh') * 10;
BEGIN
  INSERT INTO {TABLE} SELECT last + k, clock_timestamp(), clock_timestamp(), 'purchase', 'user' || last % 5000,
    jsonb_build_object('page', '/products/' || last % 5000, 'device', 'web', 'session', md5(last::text)), k * 1.25, true, md5(last || ' ' || k)::uuid
    FROM generate_series(1, 5) k;
  UPDATE {TABLE} SET updated_at = clock_timestamp(), amount = amount + 1 WHERE id IN (last + 1 - 1000, last + 2 - 1000, last + 3 - 1000);
  DELETE FROM {TABLE} WHERE id IN (last + 4 - 1000, last + 5 - 1000);
END $$"""
PROBE = pathlib.Path(__file__).resolve().parent / "latency_probe.py"


@dataclasses.dataclass
class Latency:
    name: str
    into: str
    rate: int
    minutes: float
    made: float = 0
    sampled: int = 0
    p50: float = 0
    p99: float = 0
    most: float = 0
    cpu: float = 0
    wrong: list = dataclasses.field(default_factory=list)
    error: str = ""


class IntoDuckdb(roster.Penstock):
    """Penstock following into DuckDB, telling its commits."""

    def start(self, job, slot):
        self.begin(job)
        with open(job.out / "log.jsonl", "wb") as log:
            self._process = subprocess.Popen(
                [str(self.tools.penstock), "run", "-f", "bench.yaml", "stream", "--follow", "--log-format", "json", "--log-level", "debug"],
                cwd=job.out, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                env={**os.environ, **QUIET, "HOME": str(job.out), "TZ": "UTC"})
        return self._process.pid

    def stop(self):
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)

    def kill(self):
        if getattr(self, "_process", None) and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def answer(self, job, since, venv):
        done = subprocess.run([str(venv.python), str(PROBE), str(job.out), TABLE, since], capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"latencies: {done.stderr.strip()[-400:]}")
        return json.loads(done.stdout)

    def wrong(self, job, venv, work):
        checker = Checker(job.source.server, venv, work)
        return self.check(job, None, checker, checker.reference(job.source.database, roster.EVENTS, cached=False)).wrong


class IntoKafka(roster.PenstockKafka, IntoDuckdb):
    """Penstock following into a topic, which a consumer reads."""

    def start(self, job, slot):
        self._consumer = self.tools.kafka.follow(self.topic(job), job.out / "latencies.json")
        roster.PenstockKafka.begin(self, job)
        self.configure(job)
        self._process = subprocess.Popen([str(self.tools.penstock), "run", "-f", "bench.yaml", "stream", "--follow"], cwd=job.out,
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(job.out / "stderr.txt", "wb"),
                                         env={**os.environ, **QUIET, "HOME": str(job.out), "TZ": "UTC"})
        return self._process.pid

    def answer(self, job, since, venv):
        self._consumer.terminate()
        self._consumer.wait(60)
        return json.loads((job.out / "latencies.json").read_text())

    def wrong(self, job, venv, work):
        found = self.tools.kafka.count(self.topic(job))
        return [] if sum(found) == job.source.changes_made else [f"{sum(found):,} changes instead of {job.source.changes_made:,}"]

    def kill(self):
        super().kill()
        if getattr(self, "_consumer", None) and self._consumer.poll() is None:
            self._consumer.kill()
            self._consumer.wait()


class Debezium(roster.Debezium, IntoKafka):
    """The same by Debezium, told not to wait for more (poll.interval.ms)."""

    def start(self, job, slot):
        self._consumer = self.tools.kafka.follow(self.topic(job), job.out / "latencies.json")
        job.source.create_slot(slot, "pgoutput")
        self._prefix = self.prefix(job)
        return self.tools.kafka.start_debezium(job.source, slot, self._prefix, roster.PUBLICATION, {"poll.interval.ms": "10"})

    def stop(self):
        self.tools.kafka.stop_debezium(self._prefix)

    def kill(self):
        if getattr(self, "_consumer", None) and self._consumer.poll() is None:
            self._consumer.kill()
            self._consumer.wait()


FOLLOWERS = {"penstock": IntoDuckdb, "penstock-kafka": IntoKafka, "debezium": Debezium}


def source_of(server, changes, say):
    """A table of the mixed stream's size, to be changed."""
    source = Source(server, Stream("latency", "changes at a steady rate", max(changes // 2, 20_000), 0, ""), say)
    source.make_base()
    source.sql(WORK + "; GRANT ALL ON SEQUENCE fresh TO bench")
    source.sql(f"SELECT setval('fresh', {source.stream.base // 10 + 1000})")
    return source


def measure_latency(source, follower, rate, minutes, work, duckdb_venv, say):
    """Follows while pgbench works, waits until all is there, then asks the target."""
    result = Latency(follower.name, follower.into, rate, minutes)
    folder = roster.fresh_folder(work, source.stream, follower)
    job = roster.Job(source, source.slot(f"{follower.name}_{rate}"), folder, round=rate)
    try:
        pid = follower.start(job, job.slot)
        wait_until_it_reads(source, job.slot)
        say(f"{follower.name}: {rate:,} changes a second for {minutes:g} min")
        cpu, began, first = cpu_seconds(pid), time.monotonic(), source.sql(f"SELECT clock_timestamp() + interval '{WARM_UP_SECONDS} s'")
        before = source.counted()
        made = pgbench(source, rate, minutes, folder)
        elapsed = time.monotonic() - began
        wait_for_slot(source, job.slot)
        result.cpu = cpu_seconds(pid) - cpu
        source.changes_made = sum(source.counted()) - sum(before)
        follower.stop()
        result.made = made * BATCH / elapsed
        answer = follower.answer(job, first, duckdb_venv)
        result.sampled, result.p50, result.p99, result.most = (answer[name] for name in ("sampled", "p50", "p99", "most"))
        result.wrong = follower.wrong(job, duckdb_venv, work)
    except (BenchError, subprocess.TimeoutExpired, OSError, ValueError) as problem:
        result.error = str(problem)
    finally:
        follower.kill()
        source.drop_slots(f"^{job.slot}$")
    say(f"{follower.name} at {rate:,}/s: " + (result.error or f"p50 {result.p50:.0f} ms, p99 {result.p99:.0f} ms, max {result.most:.0f} ms"))
    return result


def pgbench(source, rate, minutes, folder):
    """Transactions made."""
    script = folder / "work.sql"
    script.write_text("SELECT work();\n")
    done = subprocess.run([f"{source.server.bin}/pgbench", "-n", "-f", script, "-c", "4", "-j", "1", "-M", "prepared", "-R", str(rate // BATCH),
                           "-T", str(round(minutes * 60)), source.url], capture_output=True, text=True,
                          env={**os.environ, "PGOPTIONS": "-c synchronous_commit=on"})
    if done.returncode != 0:
        raise BenchError(f"pgbench: {done.stderr.strip()[-400:]}")
    line = next(line for line in done.stdout.splitlines() if line.startswith("number of transactions actually processed"))
    return int(line.split(":")[1].split("/")[0])


def wait_until_it_reads(source, slot):
    for _ in range(600):
        if source.sql(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'") == "t":
            time.sleep(3)  # its first transaction is begun
            return
        time.sleep(0.1)
    raise BenchError("nobody reads the slot after a minute")


def wait_for_slot(source, slot):
    """Until what has been written so far is confirmed."""
    end = source.sql("SELECT pg_current_wal_lsn()")
    source.sql("SELECT pg_logical_emit_message(true, 'bench', '')")
    for _ in range(1200):
        if source.sql(f"SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots WHERE slot_name = '{slot}'") == "t":
            return
        time.sleep(0.1)
    raise BenchError("the target did not catch up within two minutes")
