"""The stand-in for BigQuery (tests/servers/bigquery) as a process, and Google's clients to it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import grpc
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery import QueryJobConfig
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, BigQueryWriteClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

from .postgres import _die_with_parent

PROJECT = "stand-in"
COUNTS = "rows_read, rows_written, rows_rejected, rows_filtered"
TESTS = Path(__file__).resolve().parent.parent


class BigQueryServer:
    def __init__(self):
        self._folder = tempfile.mkdtemp(prefix="penstock-bigquery-")
        self._process = subprocess.Popen([sys.executable, "-m", "servers.bigquery"], cwd=TESTS, env={**os.environ, "TMPDIR": self._folder},
                                         stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, preexec_fn=_die_with_parent)
        words = self._process.stdout.readline().split()
        assert words and words[0] == "rest", "the stand-in for BigQuery did not start"
        self.port, self.grpc_port = int(words[1]), int(words[3])
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.grpc_address = f"127.0.0.1:{self.grpc_port}"

    def destroy(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- control -------------------------------------------------------------------------------------------------
    def control(self, path: str, body: dict | None = None, method: str | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/control/{path}", data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def reset(self) -> None:
        """Forgets datasets, jobs, faults, accounts and counters."""
        self.control("reset", {})

    def fault(self, method: str, kind: str, **more) -> None:
        """See tests/servers/bigquery/faults.py."""
        self.control("faults", {"method": method, "kind": kind, **more})

    def clear_faults(self) -> None:
        self.control("faults", method="DELETE")

    def lag(self, **seconds: float) -> None:
        """Metadata that lags: create, get, load, write."""
        self.control("lag", seconds)

    def stats(self) -> dict:
        return self.control("stats")

    def account(self, email: str, **rights) -> dict:
        """A service account's key file. projects=[…] where it may run jobs, datasets={"project.dataset": "READER" or "WRITER"}, impersonates=[…]."""
        return self.control("accounts", {"email": email, **rights})

    def user(self, email: str, **rights) -> dict:
        """Application default credentials of a user."""
        return self.control("users", {"email": email, **rights})

    def auth(self, **settings) -> dict:
        """required: calls need a token; lifetime of tokens in seconds; metadata: whose tokens the metadata server gives."""
        return self.control("auth", settings)

    # -- Google's client -----------------------------------------------------------------------------------------
    def client(self, project: str = PROJECT, **more) -> bigquery.Client:
        return bigquery.Client(project, AnonymousCredentials(), client_options=ClientOptions(api_endpoint=self.endpoint), **more)

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.grpc_address, options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])

    def writer(self) -> BigQueryWriteClient:
        return BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=self.channel()))

    def reader(self) -> BigQueryReadClient:
        return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=self.channel()))


class Warehouse:
    """What a reader of the project sees."""

    def __init__(self, server):
        self.server = server
        self.client = server.client(default_query_job_config=QueryJobConfig(maximum_bytes_billed=10**12))

    def connection(self, **more) -> dict:
        return {"bq": {"type": "bigquery", "project": self.client.project, "endpoint": self.server.endpoint, **more}}

    def rows(self, sql: str) -> list[tuple]:
        return [tuple(row.values()) for row in self.client.query(sql).result()]

    def value(self, sql: str):
        return self.rows(sql)[0][0]

    def orders(self, where: str = "TRUE") -> list[tuple]:
        return [(*row[:2], row[2] and f"{row[2]:.2f}", *row[3:]) for row in self.rows(
            "SELECT id, customer, amount, status, UNIX_MICROS(updated_at), TO_JSON_STRING(note) FROM shop.orders"
            f" WHERE {where} ORDER BY id, customer, amount, 5")]

    def staging(self) -> list[str]:
        return [table.table_id for dataset in self.client.list_datasets() for table in self.client.list_tables(dataset.dataset_id)
                if "__staging" in table.table_id]

    def batches(self) -> list[tuple]:
        return self.rows(f"SELECT batch, {COUNTS} FROM penstock.pipeline_metadata ORDER BY batch")
