"""How long a change takes from its transaction into the target, while pgbench makes so many changes a second.

A row's `updated_at` is the server's clock in the statement that wrote it, moments before its commit. It counts as there when the target
has committed it: DuckDB cannot be read while another process writes it, so Penstock's log tells when each commit was over, and
`_penstock_synced_at` which of them a row came with. All clocks are this machine's.
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
from .peers import QUIET
from .rounds import last_words
from .server import BenchError
from .stream import TABLE, Source, Stream

BATCH = 10
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


class Following(roster.Penstock):
    """Penstock following into DuckDB, telling its commits."""
    run_kind = "--follow"

    def command(self, job):
        return [*super().command(job), "--log-format", "json", "--log-level", "debug"]


def seconds_of_children():
    times = os.times()
    return times.children_user + times.children_system


def source_of(server, changes, say):
    """A table of the mixed stream's size, to be changed."""
    source = Source(server, Stream("latency", "changes at a steady rate", max(changes // 2, 20_000), 0, ""), say)
    source.make_base()
    source.sql(WORK + "; GRANT ALL ON SEQUENCE fresh TO bench")
    return source


def measure_latency(source, following, rate, minutes, work, duckdb_venv, say):
    """Follows while pgbench works, waits until all is there, then asks the target."""
    result = Latency("penstock", "duckdb", rate, minutes)
    folder = roster.fresh_folder(work, source.stream, following)
    job = roster.Job(source, source.slot(f"follow_{rate}"), folder)
    follower = None
    try:
        source.sql(f"SELECT setval('fresh', {(source.stream.base // 10) + 1000 + rate * 1000})")
        following.run_kind = "--drain"
        following.begin(job)
        following.run_kind = "--follow"
        started_cpu = seconds_of_children()
        with open(folder / "log.jsonl", "wb") as log:
            follower = subprocess.Popen(list(map(str, following.command(job))), cwd=folder, stdout=subprocess.DEVNULL, stderr=log,
                                        env={**os.environ, **QUIET, "HOME": str(folder), "TZ": "UTC"})
            time.sleep(2)
            say(f"latency at {rate:,} changes a second for {minutes:g} min")
            began, first = time.monotonic(), source.sql("SELECT clock_timestamp()")
            made = pgbench(source, rate, minutes, folder)
            elapsed = time.monotonic() - began
            wait_for_slot(source, job.slot)
            follower.send_signal(signal.SIGINT)
            follower.wait(60)
        result.cpu = seconds_of_children() - started_cpu - made[1]
        result.made = made[0] * BATCH / elapsed
        take_answer(result, duckdb_venv, folder, first)
        checker = Checker(source.server, duckdb_venv, work)
        verdict = checker.check(following, job, checker.reference(source.database, roster.EVENTS, cached=False))
        result.wrong = verdict.wrong
    except (BenchError, subprocess.TimeoutExpired) as problem:
        result.error = str(problem)
    finally:
        if follower and follower.poll() is None:
            follower.kill()
            follower.wait()
    say(f"latency at {rate:,}/s: " + (result.error or f"p50 {result.p50:.0f} ms, p99 {result.p99:.0f} ms, max {result.most:.0f} ms"))
    return result


def pgbench(source, rate, minutes, folder):
    """Transactions made, and CPU seconds of pgbench itself."""
    script = folder / "work.sql"
    script.write_text("SELECT work();\n")
    before = seconds_of_children()
    done = subprocess.run([f"{source.server.bin}/pgbench", "-n", "-f", script, "-c", "4", "-j", "1", "-M", "prepared", "-R", str(rate // BATCH),
                           "-T", str(round(minutes * 60)), source.url], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"pgbench: {done.stderr.strip()[-400:]}")
    line = next(line for line in done.stdout.splitlines() if line.startswith("number of transactions actually processed"))
    return int(line.split(":")[1].split("/")[0]), seconds_of_children() - before


def wait_for_slot(source, slot):
    """Until what has been written so far is confirmed."""
    end = source.sql("SELECT pg_current_wal_lsn()")
    for _ in range(1200):
        if source.sql(f"SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots WHERE slot_name = '{slot}'") == "t":
            return
        time.sleep(0.1)
    raise BenchError("the target did not catch up within two minutes")


def take_answer(result, venv, folder, first):
    done = subprocess.run([str(venv.python), str(PROBE), str(folder), TABLE, first], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"latencies: {done.stderr.strip()[-400:]}; {last_words(_Log(folder))}")
    answer = json.loads(done.stdout)
    result.sampled, result.p50, result.p99, result.most = (answer[name] for name in ("sampled", "p50", "p99", "most"))


class _Log:
    def __init__(self, folder):
        self.log = (folder / "log.jsonl").read_text(errors="replace")[-20_000:]
        self.stdout = ""
