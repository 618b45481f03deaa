"""A throwaway Kafka broker, a Kafka Connect worker with Debezium, and a count of what is in a topic.

The jars are those of the tests' servers (tools/bootstrap servers); consumers run in an environment of their own.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

from .measure import Run, high_water_bytes
from .server import BenchError, free_port

PEERS = pathlib.Path(__file__).resolve().parent.parent / "peers"
TEMPLATES = pathlib.Path(__file__).resolve().parents[2] / "tools" / "servers"
SETTINGS = "auto.create.topics.enable=true\nnum.partitions=1\n"


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Kafka:
    """One broker, started by entering the context; the worker when first asked for."""

    def __init__(self, work, servers, venv, say):
        self._folder = pathlib.Path(work) / "kafka"
        self._jars = pathlib.Path(servers)
        self._venv = venv
        self._say = say
        self._broker = self._worker = None
        self.port = free_port()
        self.brokers = f"127.0.0.1:{self.port}"
        self._url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self):
        for jars in (self._jars / "kafka/libs", self._jars / "debezium/connect"):
            if not jars.is_dir():
                raise BenchError(f"{jars} does not exist: tools/bootstrap servers fetches it")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        shutil.copy(TEMPLATES / "log4j2.properties", self._folder)
        settings = self._folder / "server.properties"
        template = (TEMPLATES / "broker.properties").read_text()
        filled = template.format(port=self.port, controller=free_port(), data=self._folder / "data")
        settings.write_text(filled + SETTINGS)
        done = subprocess.run(self._java("kafka/libs/*", "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c", settings),
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"Kafka's storage: {(done.stderr or done.stdout).strip()[-400:]}")
        self._broker = self._start("broker.log", self._java("kafka/libs/*", "kafka.Kafka", settings))
        self._wait(lambda: self._ask_broker("-"), 60, "Kafka did not start", self._broker)
        return self

    def __exit__(self, *_):
        for process in (self._worker, self._broker):
            if process and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _java(self, jars, *arguments):
        return ["java", "-Xmx1g", "-XX:+UseParallelGC", f"-Dlog4j2.configurationFile={self._folder}/log4j2.properties", "-cp",
                f"{self._jars}/{jars}", *map(str, arguments)]

    def _start(self, log, command):
        with open(self._folder / log, "ab") as out:
            return subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=self._folder)

    def _wait(self, condition, seconds, what, process):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or process.poll() is not None:
                logs = "".join(path.read_text(errors="replace")[-600:] for path in self._folder.glob("*.log"))
                raise BenchError(f"{what}: {logs}")
            time.sleep(0.1)

    def _consumer(self, *arguments):
        return [str(self._venv.python), str(PEERS / "kafka_topic.py"), self.brokers, *map(str, arguments)]

    def _ask_broker(self, topic):
        return subprocess.run(self._consumer("reach", topic, 0), capture_output=True).returncode == 0

    def count(self, topic):
        """Inserts, updates and deletes among the committed messages."""
        done = subprocess.run(self._consumer("count", topic), capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"topic {topic}: {done.stderr.strip()[-400:]}")
        return json.loads(done.stdout)

    def follow(self, topic, out):
        """A consumer that notes latencies until it is told to stop. The topic is made first, so that it misses nothing."""
        subprocess.run(self._consumer("create", topic), check=True)
        with open(out, "wb") as file:
            return subprocess.Popen(self._consumer("follow", topic), stdout=file, stdin=subprocess.DEVNULL)

    # -- Debezium ----------------------------------------------------------------------------------------------------
    def start_worker(self):
        if self._worker:
            return
        plugins = self._folder / "plugins"
        plugins.mkdir()
        (plugins / "debezium").symlink_to((self._jars / "debezium/debezium").resolve())
        json_converter = "org.apache.kafka.connect.json.JsonConverter"
        (self._folder / "worker.properties").write_text("\n".join([
            f"bootstrap.servers={self.brokers}", f"key.converter={json_converter}", f"value.converter={json_converter}",
            "key.converter.schemas.enable=false", "value.converter.schemas.enable=false", "producer.compression.type=lz4",
            f"offset.storage.file.filename={self._folder}/offsets", "offset.flush.interval.ms=1000", f"plugin.path={plugins}",
            "plugin.discovery=hybrid_warn", f"listeners={self._url}"]))
        self._say("starting Kafka Connect")
        self._worker = self._start("connect.log", self._java("debezium/connect/*", "org.apache.kafka.connect.cli.ConnectStandalone",
                                                             self._folder / "worker.properties"))
        self._wait(lambda: self._rest("GET", "/connectors") is not None, 120, "Kafka Connect did not start", self._worker)

    def _rest(self, method, path, body=None):
        request = urllib.request.Request(self._url + path, json.dumps(body).encode() if body else None, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"true")
        except (urllib.error.URLError, ConnectionError):
            return None

    def start_debezium(self, source, slot, prefix, publication, settings={}):
        """The worker's process id."""
        self.start_worker()
        made = self._rest("PUT", f"/connectors/{prefix}/config", {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput", "database.hostname": "127.0.0.1",
            "database.port": str(source.server.port), "database.user": "bench", "database.password": "throwaway",
            "database.dbname": source.database, "topic.prefix": prefix, "slot.name": slot, "publication.name": publication,
            "publication.autocreate.mode": "disabled", "table.include.list": "public.events", "snapshot.mode": "no_data", "tasks.max": "1", **settings})
        if made is None:
            raise BenchError("Kafka Connect refused the connector: " + (self._folder / "connect.log").read_text(errors="replace")[-400:])
        return self._worker.pid

    def stop_debezium(self, prefix):
        self._rest("DELETE", f"/connectors/{prefix}")

    def run_debezium(self, source, slot, prefix, topic, publication, folder, timeout):
        self.start_worker()
        cpu, started = cpu_seconds(self._worker.pid), time.monotonic()
        self.start_debezium(source, slot, prefix, publication)
        # Deletes are followed by tombstones.
        expected = sum(source.made) + source.made[2]
        done = subprocess.run(self._consumer("reach", topic, expected, timeout), capture_output=True, text=True)
        wall = time.monotonic() - started
        used = cpu_seconds(self._worker.pid) - cpu
        self.stop_debezium(prefix)
        return Run(wall, used, high_water_bytes(self._worker.pid), done.returncode, done.stdout,
                   done.stderr + (self._folder / "connect.log").read_text(errors="replace")[-2000:])
