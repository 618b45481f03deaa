"""Compares what a peer wrote with what PostgreSQL holds."""

import dataclasses
import json
import pathlib
import subprocess

from .server import BenchError

PROGRAM = pathlib.Path(__file__).resolve().parent / "fingerprint.py"


@dataclasses.dataclass
class Verdict:
    """`wrong` is empty when every value arrived; `bends` lists types that are not the expected ones."""
    wrong: list
    bends: list
    added: list
    size_bytes: int
    compression: list | None


class Checker:
    def __init__(self, server, duckdb_venv, work):
        self._server = server
        self._venv = duckdb_venv
        self._folder = pathlib.Path(work) / "reference"
        self._folder.mkdir(parents=True, exist_ok=True)

    def reference(self, database, table, cached=True):
        """PostgreSQL's fingerprint of a table: text from its own casts, sums and counts from its own SQL."""
        kept = self._folder / f"{database}.json"
        stamp = self._server.sql(database, f"SELECT oid FROM pg_database WHERE datname = '{database}'")
        if cached and kept.exists():
            reference = json.loads(kept.read_text())
            if reference["stamp"] == stamp:
                return reference
        texts = ", ".join(column.postgres_text() for column in table.columns)
        request = self._request(table, {"csv": True}, lambda column: {"*": column.reference_text()})
        copy = subprocess.Popen(["psql", "-qX", "-v", "ON_ERROR_STOP=1", self._server.url(database),
                                 "-c", f"COPY (SELECT {texts} FROM {table.name}) TO STDOUT (FORMAT csv)"],
                                stdout=subprocess.PIPE)
        reference = self._fingerprint(request, copy.stdout)
        copy.stdout.close()
        if copy.wait() != 0 or "error" in reference:
            raise BenchError(f"no reference for {database}: {reference.get('error', 'psql failed')}")
        numbers = ", ".join(f"sum({n})::numeric(38,6), min({n})::numeric(38,6), max({n})::numeric(38,6)"
                            for n in table.numbers)
        distinct = ", ".join(f"count(DISTINCT {n})" for n in table.distinct)
        values = iter(self._server.sql(database, "SET work_mem = '512MB'; "
                                        f"SELECT count(*), {numbers}, {distinct} FROM {table.name}").split("\t"))
        reference["rows"] = int(next(values))
        reference["numbers"] = {n: [next(values), next(values), next(values)] for n in table.numbers}
        reference["distinct"] = {n: int(next(values)) for n in table.distinct}
        reference["stamp"] = stamp
        if cached:
            kept.write_text(json.dumps(reference))
        return reference

    def check(self, peer, job, reference):
        relation = peer.relation(job)
        files = ([job.out / "out.duckdb", job.out / "out.duckdb.wal"] if job.to == "duckdb"
                 else list(job.out.glob("**/*.parquet")))
        size = sum(file.stat().st_size for file in files if file.exists())
        table = job.table
        request = self._request(
            table, {"database": str(job.out / "out.duckdb") if job.to == "duckdb" else None, "relation": relation},
            lambda column: {kind: column.duckdb_text(kind) for kind in ("*", "TIMESTAMP WITH TIME ZONE")})
        found = self._fingerprint(request, subprocess.DEVNULL)
        if "error" in found:
            return Verdict([found["error"]], [], [], size, None)
        wrong = []
        if found["rows"] != reference["rows"]:
            wrong.append(f"{found['rows']:,} rows instead of {reference['rows']:,}")
        for column in table.columns:
            if found["hashes"][column.name] != reference["hashes"][column.name]:
                wrong.append(f"values of {column.name} differ")
        if not wrong and found["row_hash"] != reference["row_hash"]:
            wrong.append("the columns are right but not in the same rows")
        for kind in ("numbers", "distinct"):
            wrong += [f"{kind} of {name}: {found[kind][name]} instead of {reference[kind][name]}"
                      for name in found[kind] if found[kind][name] != reference[kind][name]]
        bends = [f"{column.name} {found['types'][column.name]}" for column in table.columns
                 if found["types"][column.name] != column.duckdb]
        bends += [f"{name} text rewritten" for name in found["verbatim"]
                  if found["verbatim"][name] != reference["verbatim"][name]]
        names = {column.name for column in table.columns}
        return Verdict(wrong, bends, [name for name in found["types"] if name not in names], size, found["compression"])

    def _request(self, table, base, texts):
        return base | {"columns": [{"name": column.name, "text": texts(column), "json": column.duckdb == "JSON"} for column in table.columns],
                       "numbers": table.numbers, "distinct": table.distinct}

    def _fingerprint(self, request, stdin):
        path = self._folder / "request.json"
        path.write_text(json.dumps(request))
        done = subprocess.run([str(self._venv.python), str(PROGRAM), str(path)], stdin=stdin,
                              capture_output=True, text=True)
        if done.returncode != 0:
            return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "fingerprint failed"}
        return json.loads(done.stdout)
