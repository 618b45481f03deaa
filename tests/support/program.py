"""Runs the built program in a folder of its own and reads back what it said and what it wrote."""

import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from .kinds import plain
from .postgres import LOADER_PASSWORD, LOADER_PASSWORD_URL

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("PENSTOCK_BIN", ROOT / "build" / "penstock")).resolve()
SECRETS = (LOADER_PASSWORD, LOADER_PASSWORD_URL)


@dataclass
class Output:
    """What one invocation left."""

    arguments: list[str]
    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self):
        try:
            return json.loads(self.out)
        except ValueError as wrong:
            raise AssertionError(f"stdout is not one JSON object ({wrong}):\n{self}") from None

    @property
    def both(self) -> str:
        return self.out + self.err

    def __str__(self) -> str:
        return f"$ penstock {' '.join(self.arguments)}\nexit {self.code}\n-- stdout\n{self.out}\n-- stderr\n{self.err}"


class Report:
    """The object printed by `run --output json`, its accounting already checked."""

    COUNTS = ("rows_read", "rows_written", "rows_rejected", "rows_filtered")

    def __init__(self, output: Output):
        self.output = output
        self.runs = output.json["runs"]
        for run in self.runs:
            for counted in [run, *run["tables"]]:
                read, written, rejected, filtered = (counted[name] for name in self.COUNTS)
                if run["status"] == "success":
                    assert read == written + rejected + filtered, f"accounting does not add up: {counted}\n{output}"
            for name in self.COUNTS:
                assert run[name] == sum(table[name] for table in run["tables"]), f"{name} of tables and run differ\n{output}"

    @property
    def code(self) -> int:
        return self.output.code

    def run(self, pipeline: str | None = None) -> dict:
        if pipeline is None:
            assert len(self.runs) == 1, f"one run expected:\n{self.output}"
            return self.runs[0]
        return next(run for run in self.runs if run["pipeline"] == pipeline)

    def counts(self, pipeline: str | None = None) -> tuple[int, int, int, int]:
        run = self.run(pipeline)
        return tuple(run[name] for name in self.COUNTS)

    def table(self, name: str, pipeline: str | None = None) -> dict:
        tables = self.run(pipeline)["tables"]
        found = [t for t in tables if t["table"] == name or t["table"].split(".")[-1] == name]
        assert len(found) == 1, f"table {name} is not in {[t['table'] for t in tables]}"
        return found[0]

    @property
    def error(self) -> dict:
        error = self.run()["error"]
        assert error, f"an error object was expected:\n{self.output}"
        return error


class Running:
    """An invocation that has not ended yet."""

    def __init__(self, process: subprocess.Popen, arguments: list[str]):
        self.process = process
        self.arguments = arguments
        self._started = time.monotonic()

    def signal(self, which: signal.Signals) -> None:
        self.process.send_signal(which)

    def wait(self, timeout: float = 60) -> Output:
        out, err = self.process.communicate(timeout=timeout)
        output = Output(self.arguments, self.process.returncode, out, err, time.monotonic() - self._started)
        assert_no_secret(output)
        return output


def assert_no_secret(output: Output) -> None:
    for secret in SECRETS:
        assert secret not in output.both, f"a password was printed:\n{output}"


class Project:
    """A folder with a penstock.yaml. Settings of the machine and of other tests do not reach the program."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "TZ": "Pacific/Chatham",  # results must not depend on where the machine stands
        }
        for name in ("LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LLVM_PROFILE_FILE", "GCOV_PREFIX"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    # -- configuration ---------------------------------------------------------------------------------------------
    def write(self, text: str, name: str = "penstock.yaml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def config(self, **sections) -> None:
        """JSON is YAML, so a dictionary is a configuration."""
        self.write(json.dumps({"version": 1, **sections}, indent=1))

    def pipeline(self, database, source: dict, target: dict, name: str = "p", connections: dict | None = None,
                 postgres: dict | None = None, **rest) -> None:
        """The usual configuration: PostgreSQL `shop`, DuckDB `warehouse`, files `lake`, and one pipeline."""
        self.pipelines(database, {name: {"source": source, "target": target, **rest}}, connections, postgres)

    def pipelines(self, database, pipelines: dict, connections: dict | None = None, postgres: dict | None = None) -> None:
        for pipeline in pipelines.values():
            pipeline["source"].setdefault("connection", "shop")
            pipeline["target"].setdefault("connection", "lake" if "format" in pipeline["target"] else "warehouse")
        self.environment["SHOP_URL"] = database.url
        usual = {
            "shop": {"type": "postgres", "url": "${SHOP_URL}", **(postgres or {})},
            "warehouse": {"type": "duckdb", "path": "warehouse.duckdb"},
            "lake": {"type": "files", "url": "file:lake"},
        }
        used = {pipeline[side]["connection"] for pipeline in pipelines.values() for side in ("source", "target")}
        self.config(connections={**{name: usual[name] for name in usual if name in used}, **(connections or {})}, pipelines=pipelines)

    # -- running ---------------------------------------------------------------------------------------------------
    def start(self, *arguments, env: dict | None = None, log_format: str | None = "text", prepare=None) -> Running:
        arguments = [str(a) for a in arguments]
        if log_format and arguments and not arguments[0].startswith("-") and "--log-format" not in arguments:
            arguments += ["--log-format", log_format]
        process = subprocess.Popen([str(BINARY), *arguments], cwd=self.folder, env={**self.environment, **(env or {})},
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   errors="backslashreplace", preexec_fn=prepare)
        return Running(process, arguments)

    def run(self, *arguments, expect: int | None = 0, timeout: float = 60, **options) -> Output:
        running = self.start(*arguments, **options)
        try:
            output = running.wait(timeout)
        except subprocess.TimeoutExpired:
            running.process.kill()
            out, err = running.process.communicate()
            raise AssertionError(f"still running after {timeout} s:\n{Output(running.arguments, -1, out, err, timeout)}")
        if expect is not None:
            assert output.code == expect, f"exit code {expect} expected\n{output}"
        return output

    def load(self, *arguments, expect: int | None = 0, **options) -> Report:
        """`penstock run … --output json`, with the accounting identity checked."""
        if not arguments or arguments[0].startswith("-"):
            arguments = ("--all", *arguments)
        return Report(self.run("run", *arguments, "--output", "json", expect=expect, **options))

    # -- reading back ----------------------------------------------------------------------------------------------
    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    def duck(self, sql: str, parameters=None) -> list[tuple]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql, parameters).fetchall()

    def is_free(self) -> bool:
        """Whether nobody has the warehouse open: a run is on record a moment before its process ends."""
        try:
            return bool(self.duck("SELECT 1"))
        except duckdb.IOException:
            return False

    def duck_value(self, sql: str):
        return self.duck(sql)[0][0]

    def data_files(self, below: str = "") -> list[Path]:
        """What a reader of the lake finds: every Parquet file that is not bookkeeping."""
        root = self.lake / below
        return sorted(p for p in root.rglob("*.parquet") if not hidden(p.relative_to(self.lake)))

    def parquet(self, below: str, sql: str = "SELECT * FROM data") -> list[tuple]:
        """Runs SQL over `data`, the Parquet files below a folder of the lake."""
        files = [str(p) for p in self.data_files(below)]
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            if not files:
                return []
            connection.execute("CREATE VIEW data AS SELECT * FROM read_parquet(%s, union_by_name = true)"
                               % json.dumps(files).replace('"', "'"))
            return connection.execute(sql).fetchall()

    def rejects(self, where: str = "true") -> list[dict]:
        """Rejected rows of both targets, oldest first."""
        found = []
        if self.warehouse.exists():
            with duckdb.connect(str(self.warehouse), read_only=True) as connection:
                if connection.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'penstock'"
                                      " AND table_name = 'rejects'").fetchall():
                    found += fetch_dicts(connection.execute(f"SELECT * FROM penstock.rejects WHERE {where}"))
        files = [p for p in (self.lake / "_penstock" / "rejects").rglob("*") if p.is_file()]
        with duckdb.connect() as connection:
            for file in files:
                reader = "read_parquet" if file.suffix == ".parquet" else "read_json_auto"
                found += fetch_dicts(connection.execute(f"SELECT * FROM {reader}('{file}') WHERE {where}"))
        return found

    def staging_left(self) -> list[str]:
        """Everything that only an unfinished run may own, in both targets."""
        left = []
        if self.warehouse.exists():
            left += [f"{s}.{t}" for s, t in self.duck(
                "SELECT schema_name, table_name FROM duckdb_tables() WHERE contains(table_name, '__staging_')"
                " OR contains(table_name, '__aside_') OR contains(schema_name, 'staging')")]
        if self.lake.exists():
            left += [str(p) for p in self.lake.rglob("*") if p.is_file() and re.search(r"staging|\.tmp|\.partial|aside", str(p.relative_to(self.lake)))]
        return left


def hidden(relative: Path) -> bool:
    return any(part.startswith((".", "_")) for part in relative.parts)


def fetch_dicts(result) -> list[dict]:
    table = result.to_arrow_table()  # times as integers: Python values of them would need one more package
    return [dict(zip(table.column_names, row)) for row in zip(*map(plain, table.columns))]


def key_of(reject: dict) -> dict:
    """The key columns of a rejected row, their values as text."""
    key = reject["key"]
    if isinstance(key, str):
        key = json.loads(key)
    return {name: None if value is None else str(value) for name, value in key.items()}
