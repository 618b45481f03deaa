"""Who drains a change stream, and how each is started.

A contestant makes its slot and takes the table as it is (`begin`) before the changes are made; each round it gets a copy of that slot
and of the folder it had then, and the command that is measured ends when it has taken everything.
"""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess

from .check import Verdict
from .measure import measure
from .peers import QUIET, Ingestr as BatchIngestr
from .server import BenchError
from .stream import PUBLICATION, TABLE
from .tables import EVENTS

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = ROOT / "bench" / "peers"


@dataclasses.dataclass
class Job:
    """One contestant, one stream, one folder; the names check.Checker asks for."""
    source: object
    slot: str
    out: pathlib.Path
    table: object = EVENTS
    to: str = "duckdb"
    round: int = 0

    @property
    def url(self):
        return self.source.url


class Contestant:
    name = ""
    into = "nothing"
    venv = None
    note = ""
    # Streams of more changes than this are left to others.
    most_changes = None

    def __init__(self, env, tools):
        self.env = env
        self.tools = tools

    def begin(self, job):
        """Makes the slot; takes the table as it is."""
        job.source.create_slot(job.slot, "pgoutput")

    def environment(self, job):
        return {}

    def first(self, command, job):
        """An unmeasured run, before the changes."""
        home = job.out / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(list(map(str, command)), cwd=job.out, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env={**os.environ, **QUIET, "HOME": str(home), "TZ": "UTC", **self.environment(job)})
        if done.returncode != 0:
            raise BenchError(f"{self.name}: its first run failed: {(done.stderr or done.stdout).strip()[-600:]}")

    def command(self, job):
        raise NotImplementedError

    def measure(self, job, environment, timeout):
        """One round, in job.out."""
        return measure(self.command(job), job.out, environment, timeout)

    def check(self, job, run, checker, reference):
        """What is wrong with what it left; a limit leaves nothing."""
        return Verdict([], [], [], 0, None)

    def versions(self):
        return ", ".join(self.env.versions()) if self.env else ""


class Limit(Contestant):
    """pg_recvlogical: what the server can decode and send to one connection."""
    plugin = "pgoutput"
    options = ()

    def begin(self, job):
        job.source.create_slot(job.slot, self.plugin)

    def command(self, job):
        options = [word for option in self.options for word in ("-o", option)]
        return [pathlib.Path(job.source.server.bin) / "pg_recvlogical", "-d", job.url, "-S", job.slot, "--start", "--no-loop",
                f"--endpos={job.source.end}", "-f", "/dev/null", *options]


class LimitText(Limit):
    name = "pgoutput"
    options = ("proto_version=1", f"publication_names={PUBLICATION}")
    note = "pg_recvlogical to /dev/null, protocol 1, text"


class LimitBinary(Limit):
    name = "pgoutput-binary"
    options = ("proto_version=2", f"publication_names={PUBLICATION}", "binary=true", "streaming=on")
    note = "pg_recvlogical to /dev/null, protocol 2, binary, streaming: what Penstock asks for"


class LimitWal2json(Limit):
    name = "wal2json"
    plugin = "wal2json"
    options = ("format-version=2", f"add-tables=public.{TABLE}")
    note = "pg_recvlogical to /dev/null, format 2"


class StreamShare(Contestant):
    name = "penstock-nothing"
    note = "bench/stream_share: received, decoded, logged, scanned into blocks; nobody takes them"

    def command(self, job):
        if not self.tools.stream_share.exists():
            raise BenchError(f"{self.tools.stream_share} does not exist: cmake --build build --target stream_share")
        return [self.tools.stream_share, job.url, f"public.{TABLE}", job.slot, PUBLICATION]

    def check(self, job, run, checker, reference):
        found = re.match(r"(\d+) changes", run.stdout)
        got = int(found.group(1)) if found else 0
        wrong = [] if got == job.source.stream.changes else [f"{got:,} changes instead of {job.source.stream.changes:,}"]
        return Verdict(wrong, [], [], 0, None)


class IntoDuckdb(Contestant):
    into = "duckdb"

    def check(self, job, run, checker, reference):
        return checker.check(self, job, reference)


class Penstock(IntoDuckdb):
    name = "penstock"
    note = "a mirror with hard deletes, default settings"
    run_kind = "--drain"
    snapshot = "initial"

    def connection(self, job):
        return "type: duckdb, path: out.duckdb"

    def target(self, job):
        return "connection: target, dataset: main, mode: merge"

    def relation(self, job):
        return f"out.main.{TABLE}"

    def begin(self, job):
        self.check_built()
        job.source.drop_slots(f"^{job.slot}$")
        self.configure(job)
        self.first(self.command(job), job)

    def check_built(self):
        if not self.tools.penstock.exists():
            raise BenchError(f"{self.tools.penstock} does not exist: build it first, or name it with --penstock")

    def configure(self, job):
        (job.out / "bench.yaml").write_text(f"""\
version: 1
state: sqlite:state.db
connections:
  shop: {{type: postgres, url: "{job.url}"}}
  target: {{{self.connection(job)}}}
pipelines:
  stream:
    source: {{connection: shop, changes: {{tables: [public.{TABLE}], publication: {PUBLICATION}, slot: {job.slot}, create: true, snapshot: {self.snapshot}}}}}
    target: {{{self.target(job)}}}
""")

    def command(self, job):
        return [self.tools.penstock, "run", "-f", "bench.yaml", "stream", self.run_kind, "--output", "json"]


class IntoKafka(Contestant):
    """A topic of its own each round, in the end counted by operation."""
    into = "kafka"

    def topic(self, job):
        return f"{self.prefix(job)}.public.{TABLE}"

    def prefix(self, job):
        return f"{self.name}_{job.source.stream.name}_{job.round}"

    def check(self, job, run, checker, reference):
        found = self.tools.kafka.count(self.topic(job))
        made = job.source.made
        return Verdict([] if found == made else [f"inserts, updates, deletes {found} instead of {made}"], [], [], 0, None)


class PenstockKafka(IntoKafka, Penstock):
    name = "penstock-kafka"
    note = "Debezium's envelopes without schemas, default settings: transactions, idempotence, lz4"
    snapshot = "never"

    def begin(self, job):
        self.check_built()
        job.source.create_slot(job.slot, "pgoutput")

    def connection(self, job):
        return f'type: kafka, brokers: "{self.tools.kafka.brokers}"'

    def target(self, job):
        return f"connection: target, server: {self.prefix(job)}, bookkeeping: {self.prefix(job)}, transactional_id: {self.prefix(job)}"

    def command(self, job):
        self.configure(job)
        return super().command(job)


class Debezium(IntoKafka):
    name = "debezium"
    note = ("3.7.0.Final on a Kafka Connect worker that runs already: from the connector's start to the last event in the topic; CPU and memory "
            "are the worker's, its start included in memory only; without schemas, lz4, else default settings")

    def measure(self, job, environment, timeout):
        return self.tools.kafka.run_debezium(job.source, job.slot, self.prefix(job), self.topic(job), PUBLICATION, job.out, timeout)


class Ingestr(IntoDuckdb):
    name = "ingestr"
    venv = "ingestr"
    note = "postgres+cdc, default settings; DuckDB's library given in place of the driver it would fetch; uuid asked for as text, or it crashes"

    def relation(self, job):
        return f"(SELECT * FROM out.main.{TABLE} WHERE NOT coalesce(_cdc_deleted, false))"

    def environment(self, job):
        return {"ADBC_DRIVER_PATH": str(job.out / "drivers")}

    def begin(self, job):
        job.source.drop_slots(f"^{job.slot}$")
        BatchIngestr.prepare(self, job)
        self.first(self.command(job), job)

    def command(self, job):
        uri = job.url.replace("postgres://", "postgres+cdc://") + f"&publication={PUBLICATION}&slot={job.slot}"
        return [self.env.folder / "bin" / "ingestr", "ingest", "--source-uri", uri, "--source-table", f"public.{TABLE}",
                "--dest-uri", f"duckdb:///{job.out}/out.duckdb", "--dest-table", f"main.{TABLE}", "--columns", "event_uuid:string",
                "--yes", "--progress", "log", "--pipelines-dir", job.out / "pipelines"]


class Dlt(IntoDuckdb):
    name = "dlt"
    venv = "dlt"
    most_changes = 500_000
    note = "verified source pg_replication, merge; its snapshot is not measured"

    def relation(self, job):
        return f"out.bench.{TABLE}"

    def begin(self, job):
        if not self.tools.dlt_sources or not (self.tools.dlt_sources / "pg_replication").is_dir():
            raise BenchError("dlt's pg_replication comes in no package: `dlt init pg_replication duckdb` fetches it from GitHub; "
                             "name the folder that holds it with --dlt-sources")
        job.source.drop_slots(f"^{job.slot}$")
        self.first(self.command(job) + ["first"], job)

    def command(self, job):
        return [self.env.python, PROGRAMS / "dlt_changes.py", job.url, TABLE, PUBLICATION, job.slot, job.out, self.tools.dlt_sources]


@dataclasses.dataclass
class Tools:
    """What is not a contestant's own."""
    penstock: pathlib.Path
    stream_share: pathlib.Path
    dlt_sources: pathlib.Path | None = None
    kafka: object = None


ALL = (LimitText, LimitBinary, LimitWal2json, StreamShare, Penstock, Ingestr, Dlt, PenstockKafka, Debezium)


def fresh_folder(work, stream, contestant):
    folder = pathlib.Path(work) / "runs" / f"{stream.name}-{contestant.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
