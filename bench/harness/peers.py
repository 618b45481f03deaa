"""The peers: for each, what it needs installed and the command that copies a table.

A command gets a Job and leaves its output in job.out, as out.duckdb or as .parquet files.
"""

import dataclasses
import os
import pathlib
import shutil

from .server import BenchError
from .tables import Table

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = ROOT / "bench" / "peers"

# Nothing a peer does may leave the machine: telemetry off by each one's own switch, and a proxy
# that refuses for whatever asks anyway.
QUIET = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
    "DISABLE_TELEMETRY": "true",
    "INGESTR_DISABLE_TELEMETRY": "true",
    "TELEMETRY_OPTOUT": "1",
    "SLING_DISABLE_TELEMETRY": "true",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}


@dataclasses.dataclass
class Job:
    """One copy to make. `increment` says that later runs take only what changed since the first."""
    url: str
    table: Table
    to: str
    out: pathlib.Path
    increment: bool = False
    since: str | None = None


class Peer:
    """Defaults of every peer; `venv` names the environment it runs in."""
    name = ""
    venv = None
    targets = ("duckdb", "parquet")
    increments = False
    note = ""

    def __init__(self, venv):
        self.env = venv

    def command(self, job):
        raise NotImplementedError

    def environment(self, job):
        return {}

    def relation(self, job):
        """How DuckDB names the output, once the file is attached as `out`."""
        if job.to == "parquet":
            return f"read_parquet('{job.out}/**/*.parquet')"
        return f"out.main.{job.table.name}"

    def versions(self):
        return ", ".join(self.env.versions()) if self.env else ""

    def prepare(self, job):
        """Files the command needs; not timed."""


class Limit(Peer):
    name = "limit"
    targets = ("duckdb", "parquet")
    note = "two psql binary COPYs by ctid ranges on one exported snapshot, to /dev/null: writes nothing"

    def command(self, job):
        return [PROGRAMS / "limit", job.url, job.table.name]

    def relation(self, job):
        return None


class Penstock(Peer):
    name = "penstock"
    increments = True

    def __init__(self, venv, binary):
        super().__init__(venv)
        self.binary = pathlib.Path(binary).resolve()

    def prepare(self, job):
        if not self.binary.exists():
            raise BenchError(f"{self.binary} does not exist: build it first, or name it with --penstock")
        source = f"connection: shop, table: public.{job.table.name}"
        target = (f"connection: lake, format: parquet, path: {job.table.name}/, mode: replace" if job.to == "parquet"
                  else f"connection: warehouse, table: main.{job.table.name}, mode: replace")
        if job.increment:
            source += f", cursor: {job.table.cursor}"
            target = (f"connection: warehouse, table: main.{job.table.name}, mode: merge, "
                      f"key: [{', '.join(job.table.key)}]")
        (job.out / "bench.yaml").write_text(f"""\
version: 1
state: sqlite:state.db
connections:
  shop: {{type: postgres, url: "{job.url}"}}
  warehouse: {{type: duckdb, path: out.duckdb}}
  lake: {{type: files, url: "file:{job.out}/lake"}}
pipelines:
  copy:
    source: {{{source}}}
    target: {{{target}}}
""")

    def command(self, job):
        return [self.binary, "run", "-f", job.out / "bench.yaml", "copy", "--output", "json"]

    def relation(self, job):
        if job.to == "parquet":
            return f"read_parquet('{job.out}/lake/{job.table.name}/**/*.parquet')"
        return super().relation(job)


class Scanner(Peer):
    name = "scanner"
    venv = "duckdb"
    note = "DuckDB's postgres extension in DuckDB's shell, preserve_insertion_order=false"

    def command(self, job):
        return [PROGRAMS / "scanner", job.url, job.table.name, self.env.find("duckdb_cli/duckdb"),
                self.env.extension("postgres_scanner"), job.to, job.out]


class Adbc(Peer):
    name = "adbc"
    venv = "adbc"
    note = "record batches read by DuckDB, which also writes the Parquet"

    def command(self, job):
        return [self.env.python, PROGRAMS / "adbc_load.py", job.url, job.table.name, job.to, job.out]


class ConnectorX(Peer):
    name = "connectorx"
    venv = "connectorx"
    note = "two partitions on the key, into Arrow, then DuckDB, which also writes the Parquet"

    def command(self, job):
        return [self.env.python, PROGRAMS / "connectorx_load.py", job.url, job.table.name, job.table.split,
                job.to, job.out]


class Pipe(Peer):
    name = "pipe"
    venv = "duckdb"
    note = "psql COPY to CSV | DuckDB's shell, column types given"

    def command(self, job):
        columns = "{" + ", ".join(f"'{column.name}': '{column.duckdb}'" for column in job.table.columns) + "}"
        return [PROGRAMS / "pipe", job.url, job.table.name, self.env.find("duckdb_cli/duckdb"), job.to, job.out, columns]


class Dlt(Peer):
    venv = "dlt"
    increments = True
    backend = ""

    def command(self, job):
        extra = [job.table.cursor, *job.table.key] if job.increment else []
        return [self.env.python, PROGRAMS / "dlt_load.py", job.url, job.table.name, self.backend, job.to, job.out, *extra]

    def relation(self, job):
        if job.to == "parquet":
            return f"read_parquet('{job.out}/files/bench/{job.table.name}/*.parquet')"
        return f"out.bench.{job.table.name}"


class DltConnectorX(Dlt):
    name = "dlt-connectorx"
    backend = "connectorx"
    note = "sql_database with backend connectorx, Parquet loader files"


class DltPyarrow(Dlt):
    name = "dlt-pyarrow"
    backend = "pyarrow"
    note = "sql_database with backend pyarrow, chunks of 100,000, Parquet loader files"


class Ingestr(Peer):
    name = "ingestr"
    venv = "ingestr"
    targets = ("duckdb",)
    increments = True
    note = ("no Parquet destination; DuckDB's library given in place of the driver it would fetch; "
            "uuid asked for as text, or it crashes; increments are given --interval-start, as a scheduler would")

    def prepare(self, job):
        """It finds DuckDB by an ADBC driver manifest; the library is the one Penstock is built with."""
        library = os.environ.get("BENCH_LIBDUCKDB") or ROOT / os.environ.get("PENSTOCK_DEPS", ".deps") / "duckdb/lib/libduckdb.so"
        if not pathlib.Path(library).exists():
            raise BenchError(f"{library} does not exist: run tools/bootstrap, or name a libduckdb.so in BENCH_LIBDUCKDB")
        drivers = job.out / "drivers"
        drivers.mkdir(exist_ok=True)
        (drivers / "duckdb.toml").write_text(f"""\
manifest_version = 1
name = "DuckDB"
publisher = "DuckDB Foundation"
version = "1.5.5"
[ADBC]
version = "1.1.0"
[Driver]
entrypoint = "duckdb_adbc_init"
shared = "{pathlib.Path(library).resolve()}"
""")

    def environment(self, job):
        return {"ADBC_DRIVER_PATH": str(job.out / "drivers")}

    def command(self, job):
        command = [self.env.folder / "bin" / "ingestr", "ingest", "--source-uri", job.url.replace("postgres://", "postgresql://"),
                   "--source-table", f"public.{job.table.name}", "--dest-uri", f"duckdb:///{job.out}/out.duckdb",
                   "--dest-table", f"main.{job.table.name}", "--yes", "--progress", "log",
                   "--pipelines-dir", job.out / "pipelines"]
        # Handing DuckDB a uuid column of more than a few thousand rows kills it (SIGSEGV): asked for as text.
        uuids = [f"{column.name}:string" for column in job.table.columns if column.postgres == "uuid"]
        if uuids:
            command += ["--columns", ",".join(uuids)]
        if job.increment:
            command += ["--incremental-strategy", "merge", "--incremental-key", job.table.cursor]
            for key in job.table.key:
                command += ["--primary-key", key]
            if job.since:
                command += ["--interval-start", job.since]
        return command


class IngestrWhole(Ingestr):
    name = "ingestr-no-interval"
    targets = ()
    note = "the same without --interval-start"

    def command(self, job):
        return super().command(dataclasses.replace(job, since=None))


class Sling(Peer):
    name = "sling"
    venv = "sling"
    increments = True
    note = "full-refresh mode; DuckDB's shell 1.5.5 given in place of the one it would fetch"
    duckdb_version = "1.5.5"

    def prepare(self, job):
        shell = job.out / "sling-home/bin/duckdb" / self.duckdb_version
        extensions = job.out / f"home/.duckdb/extensions/v{self.duckdb_version}/linux_amd64"
        for folder in (shell, extensions):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.env.find("duckdb_cli/duckdb"), shell / "duckdb")
        os.chmod(shell / "duckdb", 0o755)
        # It says INSTALL json, which asks the network even where the shell has json built in, and hands
        # its rows to the shell by HTTP on this machine.
        for name in ("json", "httpfs"):
            shutil.copy(self.env.extension(name), extensions)

    def environment(self, job):
        return {"SLING_HOME_DIR": str(job.out / "sling-home"), "DUCKDB_VERSION": self.duckdb_version,
                "SLING_TEMP_DIR": str(job.out / "sling-temp"), "SLING_LOGGING": "CONSOLE"}

    def command(self, job):
        command = [self.env.find("sling_linux_amd64/bin/sling-linux-amd64"), "run", "--src-conn", job.url,
                   "--src-stream", f"public.{job.table.name}"]
        if job.to == "parquet":
            return command + ["--tgt-object", f"file://{job.out}/files/out.parquet", "--tgt-options",
                              '{format: parquet, compression: zstd}', "--mode", "full-refresh"]
        command += ["--tgt-conn", f"duckdb://{job.out}/out.duckdb", "--tgt-object", f"main.{job.table.name}"]
        if job.increment:
            return command + ["--mode", "incremental", "--primary-key", ",".join(job.table.key),
                              "--update-key", job.table.cursor]
        return command + ["--mode", "full-refresh"]

    def relation(self, job):
        if job.to == "parquet":
            return f"read_parquet('{job.out}/files/**/*.parquet')"
        return super().relation(job)


ALL = (Limit, Penstock, Scanner, Adbc, ConnectorX, Pipe, Ingestr, IngestrWhole, DltConnectorX, DltPyarrow, Sling)
