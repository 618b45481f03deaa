"""Kafka Connect, stand-alone, with Debezium's PostgreSQL connector: a real one, to compare ours with."""

import json
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from .kafka import TEMPLATES
from .postgres import DEPS, _die_with_parent, free_port

JARS = DEPS / "servers/debezium"
USER = "debezium"


class Connect:
    """One worker. Connectors choose their converters themselves: `schemas` is each one's own."""

    def __init__(self, brokers: str):
        self.folder = Path(tempfile.mkdtemp(prefix="penstock_connect_"))
        self.url = f"http://127.0.0.1:{free_port()}"
        shutil.copy(TEMPLATES / "log4j2.properties", self.folder)
        plugins = self.folder / "plugins"
        plugins.mkdir()
        (plugins / "debezium").symlink_to(JARS / "debezium")
        converter = "org.apache.kafka.connect.json.JsonConverter"
        (self.folder / "worker.properties").write_text("\n".join([
            f"bootstrap.servers={brokers}", f"key.converter={converter}", f"value.converter={converter}",
            f"offset.storage.file.filename={self.folder}/offsets", "offset.flush.interval.ms=500", f"plugin.path={plugins}",
            "plugin.discovery=hybrid_warn", f"listeners={self.url}"]))
        self.log = open(self.folder / "log", "w")
        self._process = subprocess.Popen(
            ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={self.folder}/log4j2.properties", "-cp",
             f"{JARS}/connect/*", "org.apache.kafka.connect.cli.ConnectStandalone", str(self.folder / "worker.properties")],
            stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder, preexec_fn=_die_with_parent)
        self._wait(lambda: self.ask("GET", "/connectors") is not None, 90, "Kafka Connect did not start")

    def _wait(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or self._process.poll() is not None:
                raise AssertionError(f"{what}:\n{(self.folder / 'log').read_text()[-3000:]}")
            time.sleep(0.2)

    def ask(self, method: str, path: str, body: dict | None = None):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode() if body else None, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"true")
        except urllib.error.HTTPError as error:
            if error.code in (404, 409, 503):
                return None
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()[:2000]}") from None
        except (urllib.error.URLError, ConnectionError):
            return None

    def add(self, name: str, config: dict) -> None:
        self._wait(lambda: self.ask("PUT", f"/connectors/{name}/config", config) is not None, 60, f"connector {name} could not be made")
        self._wait(lambda: self.running(name), 60, f"connector {name} does not run")

    def running(self, name: str) -> bool:
        status = self.ask("GET", f"/connectors/{name}/status")
        tasks = (status or {}).get("tasks", [])
        assert not any(task["state"] == "FAILED" for task in tasks), tasks[0].get("trace", tasks)
        return bool(tasks) and all(task["state"] == "RUNNING" for task in tasks)

    def remove(self, name: str) -> None:
        self.ask("DELETE", f"/connectors/{name}")

    def capture(self, name: str, database, tables, schemas: bool = True, **settings) -> None:
        """Debezium's connector on tables of the database, with topics named `name`.schema.table. Waits until its slot streams."""
        server = database.server
        converters = {f"{side}.converter{what}": value for side in ("key", "value")
                      for what, value in (("", "org.apache.kafka.connect.json.JsonConverter"), (".schemas.enable", str(schemas).lower()))}
        slot = f"dbz_{database.name}_{name}"
        with server.admin() as admin:
            if not admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [USER]).fetchall():
                admin.execute(f"CREATE ROLE {USER} SUPERUSER LOGIN PASSWORD '{USER}'")
        self.add(name, {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1", "database.port": str(server.port), "database.user": USER,
            "database.password": USER, "database.dbname": database.name, "topic.prefix": name, "slot.name": slot,
            "publication.name": f"pub_{name}", "publication.autocreate.mode": "filtered", "table.include.list": ",".join(tables),
            "skipped.operations": "none", "snapshot.mode": "initial", "slot.drop.on.stop": "true", "tasks.max": "1",
            "poll.interval.ms": "50", **converters, **settings})
        streams = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s AND active"
        self._wait(lambda: database.rows(streams, [slot])[0][0] == 1, 60, f"the slot of {name} does not stream")

    def caught_up(self, name: str, database) -> None:
        """What has committed until now is in Kafka: the connector confirms what it has flushed."""
        now = database.rows("SELECT pg_current_wal_lsn()")[0][0]
        slot = f"dbz_{database.name}_{name}"
        behind = "SELECT confirmed_flush_lsn < %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s"

        def arrived():
            # The connector confirms an event once it has seen a later one.
            database.execute("SELECT pg_logical_emit_message(true, 'penstock', '')")
            return self.running(name) and not database.rows(behind, [now, slot])[0][0]

        self._wait(arrived, 60, f"{name} does not catch up")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
