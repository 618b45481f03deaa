"""The state on MariaDB and PostgreSQL: recorded, locked, upgraded and survived like a file, read back by each database's own client."""

import itertools
import json
import os
import socket
import subprocess
import threading
import time

import pymysql
import psycopg
import pytest

from support import mariadb
from support.mariadb import MariaServer
from support.postgres import LOADER, PostgresServer
from support.program import BINARY, assert_no_secret
from support.serving import Serving
from support.shop import MERGE, WHOLE, add_orders, assert_same, make_orders

SLOW = {"PENSTOCK_FAILPOINT": "source_read_during=delay"}  # every block takes a second
TABLES = {"runs", "locks", "seats", "checkpoints", "rejects", "messages", "spending", "bills", "watches", "intervals", "measures", "notices", "audit", "run_logs", "schema_version"}
_numbers = itertools.count()


class MariaState:
    """A database of its own; tables are penstock_…"""

    def __init__(self, server: MariaServer):
        self.server, self.name = server, f"state_{next(_numbers)}"
        server.make_database(self.name)
        self.url = server.url(self.name)
        self.wrong_url = server.url(self.name, password="wr0ng-secret")

    def rows(self, sql: str, parameters=None) -> list[tuple]:
        return self.server.execute(self.name, sql.replace("penstock.", "penstock_"), parameters)

    def tables(self) -> set[str]:
        return {name.removeprefix("penstock_") for (name,) in self.rows("SHOW TABLES")}

    def crash(self):
        self.server.kill()

    def drop(self):
        self.server.drop_database(self.name)


class PostgresState:
    """A database of its own; tables are in the schema penstock."""

    def __init__(self, server: PostgresServer):
        self.server, self.name = server, f"state_{next(_numbers)}"
        self.admin("postgres", f'CREATE DATABASE "{self.name}" OWNER {LOADER} TEMPLATE template0 STRATEGY file_copy')
        self.url = server.url(self.name)
        self.wrong_url = server.url(self.name, password="wr0ng-secret")

    def admin(self, database, sql, parameters=None) -> list[tuple]:
        with self.server.admin(database) as admin:
            cursor = admin.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    def rows(self, sql: str, parameters=None) -> list[tuple]:
        return self.admin(self.name, sql, parameters)

    def tables(self) -> set[str]:
        return {name for (name,) in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'penstock'")}

    def crash(self):
        self.server.stop(9)

    def drop(self):
        self.admin("postgres", f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def keepers():
    """The servers that keep states, which tests kill: not those of other tests."""
    made = {}

    def keeper(kind):
        if kind not in made:
            made[kind] = MariaServer() if kind is MariaState else PostgresServer()
        return made[kind]

    yield keeper
    for server in made.values():
        server.destroy()


@pytest.fixture(params=[MariaState, PostgresState], ids=["mariadb", "postgres"])
def state(request, keepers):
    made = request.param(keepers(request.param))
    yield made
    made.drop()


@pytest.fixture
def shop(database, project, state):
    """A pipeline `p` whose state is on the server."""
    make_orders(database, 200)
    project.pipeline(database, WHOLE, MERGE)
    project.environment["STATE_URL"] = state.url
    keep_at(project, "${STATE_URL}")
    return project


def keep_at(project, url: str) -> None:
    config = (project.folder / "penstock.yaml").read_text()
    if '"state"' not in config:
        config = config.replace('"version": 1,', '"version": 1,\n "state": "${STATE}",')
    project.write(config)
    project.environment["STATE"] = project.environment.get("STATE_URL", url) if url == "${STATE_URL}" else url


def secretless(output):
    assert_no_secret(output)
    for secret in (mariadb.PASSWORD, mariadb.PASSWORD_URL, "wr0ng-secret"):
        assert secret not in output.both, output


def test_runs_are_recorded_and_shown(shop, state, database):
    secretless(shop.run("status"))
    assert not state.tables(), "looking made a state"
    first = shop.load().run()
    add_orders(database, 5)
    second = shop.load().run()
    assert state.tables() == TABLES
    recorded = state.rows("SELECT run_id, pipeline, status, attempts FROM penstock.runs ORDER BY started_at")
    assert recorded == [(first["run_id"], "p", "success", 1), (second["run_id"], "p", "success", 1)]
    assert state.rows("SELECT count(*) FROM penstock.locks") == [(0,)]
    shown = shop.run("runs", "--output", "json").json["runs"]
    assert [(run["run_id"], run["rows_written"]) for run in shown] == [(second["run_id"], 205), (first["run_id"], 200)]
    assert shop.run("runs", first["run_id"], "--output", "json").json["runs"][0]["tables"][0]["rows_written"] == 200
    assert shop.run("status", "--output", "json").json["pipelines"][0]["last_run"]["run_id"] == second["run_id"]
    found = shop.run("doctor", "--output", "json", expect=None).json["findings"][0]
    assert found["connection"] == "state" and found["severity"] == "ok" and "not encrypted" in found["detail"]
    assert not (shop.folder / ".penstock").exists()
    assert_same(shop, database)


@pytest.mark.parametrize("point", ["state_run_started_after", "target_commit_after", "state_run_ended_before"])
def test_a_killed_run_leaves_nothing_in_the_way(point, shop, state, database):
    assert shop.run("run", "p", expect=None, env={"PENSTOCK_FAILPOINT": f"{point}=kill"}).code == -9
    assert state.rows("SELECT status FROM penstock.runs") == [("running",)]
    assert state.rows("SELECT count(*) FROM penstock.locks") == [(1,)]
    assert shop.run("runs", "--output", "json").json["runs"][0]["error"]["code"] == "crashed"
    shop.load()
    assert sorted(state.rows("SELECT status FROM penstock.runs")) == [("failed",), ("success",)]
    assert state.rows("SELECT count(*) FROM penstock.locks") == [(0,)]
    assert_same(shop, database)


def test_of_runs_at_once_one_has_the_pipeline_and_all_are_recorded(shop, state, database, make_project):
    others = [make_project() for _ in range(3)]
    for number, other in enumerate(others):
        other.pipeline(database, WHOLE, MERGE, name=f"p{number}")
        keep_at(other, state.url)
    running = [project.start("run", "--all", "--output", "json") for project in (shop, shop, *others)]
    outputs = [process.wait() for process in running]
    codes = [output.code for output in outputs]
    assert codes[2:] == [0, 0, 0] and sorted(codes[:2]) in ([0, 0], [0, 1]), outputs  # they may just miss one another
    for output in outputs[:2]:
        error = output.json["runs"][0]["error"]
        assert error is None or error["code"] in ("already_running", "target_busy"), output
    counted = dict(state.rows("SELECT pipeline, count(*) FROM penstock.runs WHERE status = 'success' GROUP BY pipeline"))
    assert counted == {"p": codes[:2].count(0), "p0": 1, "p1": 1, "p2": 1}


def test_a_server_that_crashes_and_comes_back_costs_no_run(shop, state, database):
    add_orders(database, 3000)
    running = shop.start("run", "p", "--output", "json", env=SLOW)
    deadline = time.monotonic() + 30
    while "runs" not in state.tables() or state.rows("SELECT status FROM penstock.runs") != [("running",)]:
        assert running.process.poll() is None and time.monotonic() < deadline, running.wait()
        time.sleep(0.05)
    state.crash()
    try:
        time.sleep(5)  # its rows are read and committed meanwhile, under a lease that lasts; then it waits with its record
        assert running.process.poll() is None, running.wait()
    finally:
        state.server.start()
    output = running.wait()
    assert output.code == 0, output
    assert "trying again" in output.err
    assert state.rows("SELECT status FROM penstock.runs") == [("success",)]
    assert state.rows("SELECT count(*) FROM penstock.locks") == [(0,)]
    assert_same(shop, database)


def test_messages_are_done_once_there_too(shop, state):
    config = json.loads((shop.folder / "penstock.yaml").read_text())
    config["pipelines"]["p"]["trigger"] = {"http": "/orders", "pubsub_push": True}
    shop.write(json.dumps(config))
    server = Serving(shop, env={"PENSTOCK_FAILPOINT": "target_commit_after=kill"})
    with pytest.raises(OSError):
        server.push("/orders", {}, "m-1")
    server.kill()
    server = Serving(shop)
    try:
        assert server.get("/readyz").status == 200
        first = server.push("/orders", {"note": "ünï"}, "m-2")
        assert first.status == 200 and server.push("/orders", {"note": "ünï"}, "m-2").json == first.json
        assert server.push("/orders", {}, "m-1").json["attempts"] == 2
        runs = server.get("/api/v1/runs").json["runs"]
        assert len(runs) > 1 and server.get(f"/api/v1/runs?before={runs[0]['run_id']}").json["runs"] == runs[1:]
        assert server.push("/orders", b"\xff\x00", "m-3").json["status"] == "rejected"
        state.crash()
        away = server.push("/orders", {}, "m-4")
        assert away.status == 503 and server.get("/readyz").status == 503
        state.server.start()
        deadline = time.monotonic() + 30
        while server.push("/orders", {}, "m-4").status != 200:
            assert time.monotonic() < deadline, "".join(server.lines)[-3000:]
            time.sleep(0.2)
    finally:
        code = server.stop()
    assert code == 0
    assert state.rows("SELECT message_id, status, attempts FROM penstock.messages ORDER BY message_id") == [
        ("m-1", "done", 2), ("m-2", "done", 1), ("m-3", "rejected", 0), ("m-4", "done", 1)]
    assert [reject["source_position"] for reject in shop.run("rejects", "list", "--output", "json").json["rejects"]] == ["m-3"]


def test_an_older_state_is_upgraded_and_a_newer_one_refused(shop, state):
    shop.load()
    newer = [f"DROP TABLE penstock.{table}" for table in ("seats", "checkpoints", "rejects", "messages", "spending", "bills", "watches", "intervals", "measures", "notices", "audit", "run_logs")]
    columns = ("deferred_until", "origin", "window_start", "window_end", "token")
    for statement in (*newer, *(f"ALTER TABLE penstock.runs DROP COLUMN {name}" for name in columns), "UPDATE penstock.schema_version SET version = 1"):
        state.rows(statement)
    shop.load()
    assert state.tables() == TABLES
    state.rows("UPDATE penstock.schema_version SET version = 99")
    refused = shop.run("run", "p", expect=1)
    assert "newer penstock" in refused.err and state.rows("SELECT count(*) FROM penstock.runs") == [(2,)]
    state.rows("DROP TABLE penstock.schema_version")
    assert "is not of a state" in shop.run("run", "p", expect=1).err, "tables that nobody knows are taken for ours"
    assert state.tables() == TABLES - {"schema_version"}


def test_what_cannot_be_used_says_why_without_the_password(shop, state):
    keep_at(shop, state.wrong_url)
    refused = shop.run("run", "p", expect=1)
    secretless(refused)
    assert state.name in refused.err and "password" in refused.err
    problem = shop.run("doctor", "--output", "json", expect=3).json["findings"][0]
    assert problem["connection"] == "state" and problem["severity"] == "problem"
    unknown = shop.run("run", "p", "--state", state.url.replace(state.name, "nowhere"), expect=1)
    secretless(unknown)
    assert "nowhere" in unknown.err
    state.crash()
    try:
        away = shop.run("run", "p", expect=1)
        assert "does not answer" in away.err
        secretless(away)
    finally:
        state.server.start()
    wrong = shop.run("check", "--state", state.url + "?nonsense=1", expect=2)
    secretless(wrong)


def test_certificates_of_mariadb(keepers, project, database):
    server = keepers(MariaState)
    state = MariaState(server)
    project.pipeline(database, WHOLE, MERGE)

    def said(host, query):
        keep_at(project, server.url(state.name, host=host, query=query))
        output = project.run("doctor", "--output", "json", expect=None)
        secretless(output)
        return output.json["findings"][0]["detail"]

    assert "over TLS" in said("localhost", f"?ssl_ca={server.base}/ca.pem")
    assert "over TLS" in said("127.0.0.1", "?ssl_mode=required")
    assert "not encrypted" in said("127.0.0.1", "")
    assert "certificate" in said("127.0.0.1", f"?ssl_ca={server.base}/ca.pem")  # issued for another name
    assert "certificate" in said("localhost", f"?ssl_ca={server.base}/other-ca.pem")
    assert "certificate" in said("localhost", "?ssl_mode=verify_identity")  # nobody this machine knows has signed it
    state.drop()


def test_certificates_of_postgres(tls_server, project, make_database, database):
    made = make_database(tls_server)
    made.execute(f'GRANT CREATE ON DATABASE "{made.name}" TO {LOADER}')
    project.pipeline(database, WHOLE, MERGE)
    tls = tls_server.tls_options()

    def said(**parameters):
        query = "&".join(f"{name}={value}" for name, value in {"sslcert": tls["cert"], "sslkey": tls["key"], **parameters}.items())
        keep_at(project, f"{tls_server.url(made.name)}?{query}")
        return project.run("doctor", "--output", "json", expect=None).json["findings"][0]["detail"]

    assert "over TLS" in said(sslmode="verify-full", sslrootcert=tls["ca"])
    assert "certificate verify failed" in said(sslmode="verify-full", sslrootcert=tls["ca"].replace("ca.pem", "other-ca.pem"))
    assert "certificate verify failed" in said(sslmode="verify-full")


class Forgetful:
    """A way to a server on which every so many-th answer to a COMMIT is lost, and the connection with it."""

    def __init__(self, port: int, every: int):
        self.port, self.every, self.commits, self.lost = port, every, 0, 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.own_port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self.port))
            cut = threading.Event()
            threading.Thread(target=self._to_server, args=(client, upstream, cut), daemon=True).start()
            threading.Thread(target=self._to_client, args=(client, upstream, cut), daemon=True).start()

    def _to_server(self, client, upstream, cut):
        try:
            while data := self._receive(client):
                if b"COMMIT" in data and b"COMMITTED" not in data:
                    with self._lock:
                        self.commits += 1
                        if self.commits % self.every == 0:
                            self.lost += 1
                            cut.set()
                upstream.sendall(data)
        except OSError:
            pass
        self._end(client, upstream)

    def _to_client(self, client, upstream, cut):
        try:
            while (data := self._receive(upstream)) and not cut.is_set():
                client.sendall(data)
        except OSError:
            pass
        self._end(client, upstream)

    @staticmethod
    def _end(*ends):
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _receive(end) -> bytes:
        try:
            return end.recv(65536)
        except OSError:
            return b""

    def close(self):
        self._listener.close()


def unit_tests(url: str, folder, *arguments, program: str = "state_tests") -> str:
    done = subprocess.run([BINARY.parent / program, "--test-case-exclude=sqlite*", *arguments], capture_output=True, text=True,
                          timeout=150, cwd=folder, env={**os.environ, "PENSTOCK_STATE_TEST_URL": url, "PENSTOCK_HISTORIES": "3"})
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_the_unit_tests_of_the_state_hold_there_too(state, tmp_path):
    """Store, locks, the ledger of buses, and many processes that make the state in one instant."""
    assert "| 0 failed" in unit_tests(state.url, tmp_path)
    assert state.tables() == TABLES, "they ran elsewhere"


def test_killed_servers_run_every_interval_once_there_too(state, tmp_path):
    assert "| 0 failed" in unit_tests(state.url, tmp_path, "--test-case=two servers*", program="app_tests")


def test_a_commit_whose_answer_is_lost_is_looked_up_and_not_done_twice(state, tmp_path):
    way = Forgetful(state.server.port, 2)
    try:
        said = unit_tests(state.url.replace(f":{state.server.port}/", f":{way.own_port}/"), tmp_path,
                          "--source-file=*store_test*,*ledger_test*")
    finally:
        way.close()
    assert "| 0 failed" in said
    assert way.lost > 20
