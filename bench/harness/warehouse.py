"""Who takes a table to BigQuery, and the stand-in (tests/servers/bigquery) that they all take it to."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

from .measure import Run
from .server import BenchError
from .wire import Wire

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = ROOT / "bench" / "peers"
PROJECT, DATASET = "stand-in", "bench"


class StandIn:
    """A new one for each run: what an earlier one has stored costs the next nothing."""

    def __init__(self, python, folder):
        self._process = subprocess.Popen([python, "-m", "servers.bigquery"], cwd=ROOT / "tests", env={**os.environ, "TMPDIR": str(folder)},
                                         stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        words = self._process.stdout.readline().split()
        if not words or words[0] != "rest":
            raise BenchError("the stand-in for BigQuery did not start: tools/bootstrap installs what it needs")
        self.endpoint = f"http://127.0.0.1:{words[1]}"
        self.rest, self.grpc = Wire(int(words[1])), Wire(int(words[3]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait(10)

    def post(self, path, body):
        request = urllib.request.Request(self.endpoint + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as refused:
            raise BenchError(f"the stand-in refuses {path}: {refused.read().decode(errors='replace')[:600]}") from None

    def sums(self, table, sql):
        """The first row of a query over the table, as texts."""
        answer = self.post(f"/bigquery/v2/projects/{PROJECT}/queries", {
            "query": sql.format(f"`{PROJECT}.{DATASET}.{table}`"), "useLegacySql": False, "maximumBytesBilled": str(1 << 50), "timeoutMs": 100000})
        if "rows" not in answer:
            raise BenchError(f"the stand-in has no answer: {answer}")
        return [cell["v"] for cell in answer["rows"][0]["f"]]


@dataclasses.dataclass
class Carried:
    peer: object
    round: int
    run: Run | None = None
    sent: int = 0
    error: str = ""


class Peer:
    name, venv, note = "", None, ""

    def __init__(self, venv, penstock):
        self.venv_made, self.penstock = venv, pathlib.Path(penstock).resolve()

    def command(self, url, table, stand_in, out):
        raise NotImplementedError

    def versions(self):
        return ", ".join(self.venv_made.versions()) if self.venv_made else ""


class Penstock(Peer):
    publish = ""

    def command(self, url, table, stand_in, out):
        (out / "penstock.yaml").write_text(json.dumps({
            "version": 1, "connections": {
                "pg": {"type": "postgres", "url": url},
                "bq": {"type": "bigquery", "project": PROJECT, "endpoint": f"http://127.0.0.1:{stand_in.rest.port}",
                       "storage_endpoint": f"http://127.0.0.1:{stand_in.grpc.port}"}},
            "pipelines": {"p": {"source": {"connection": "pg", "table": f"public.{table}"},
                                "target": {"connection": "bq", "table": f"{DATASET}.{table}", "mode": "append", "publish": self.publish}}}}))
        return [self.penstock, "run", "--all", "--output", "json"]


class PenstockLoad(Penstock):
    name, publish, note = "penstock load_job", "load_job", "Parquet (zstd) by load jobs into a staging table, one transaction with the checkpoint"


class PenstockWrite(Penstock):
    name, publish, note = "penstock storage_write", "storage_write", "the same by PENDING streams of Arrow record batches"


class Client(Peer):
    venv, how = "bigquery", ""

    def command(self, url, table, stand_in, out):
        return [self.venv_made.python, PROGRAMS / "bigquery_client.py", url, table, self.how, f"http://127.0.0.1:{stand_in.rest.port}",
                f"127.0.0.1:{stand_in.grpc.port}", PROJECT, DATASET, out]


class ClientLoad(Client):
    name, how, note = "client load", "load", "ADBC, Parquet (zstd), load_table_from_file; jsonb and uuid as STRING; no checkpoint"


class ClientWrite(Client):
    name, how, note = "client write", "write", "ADBC, AppendRowsStream with Arrow record batches into a PENDING stream; jsonb and uuid as STRING; no checkpoint"


class Dlt(Peer):
    name, venv, note = "dlt", "dlt-bigquery", "sql_database with backend connectorx, Parquet loader files, load jobs; jsonb as STRING; its own bookkeeping"

    def command(self, url, table, stand_in, out):
        key = stand_in.post("/control/accounts", {"email": "dlt@stand-in.iam.gserviceaccount.com", "projects": [PROJECT], "datasets": {}})
        (out / "key.json").write_text(json.dumps(key.get("key", key)))
        return [self.venv_made.python, PROGRAMS / "dlt_bigquery.py", url, table, f"http://127.0.0.1:{stand_in.rest.port}", out / "key.json",
                PROJECT, DATASET, out]


ALL = (PenstockLoad, PenstockWrite, ClientLoad, ClientWrite, Dlt)
