"""A throwaway Kafka broker: one process (KRaft), free ports, data in a temporary folder, gone with the process that started it.
Its events are read by Confluent's client, not by ours."""

import base64
import json
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .postgres import DEPS, _die_with_parent, free_port

LIBS = DEPS / "servers" / "kafka" / "libs"

TEMPLATES = Path(__file__).resolve().parents[2] / "tools" / "servers"
SETTINGS = "auto.create.topics.enable=false\nnum.partitions=3\n"


@dataclass
class Event:
    """A message as a consumer of committed transactions meets it."""

    topic: str
    partition: int
    offset: int
    key: object
    value: object
    headers: dict

    @property
    def op(self):
        return self.value["op"] if self.value else None


class KafkaBroker:
    def __init__(self, settings: str = ""):
        if not LIBS.is_dir():
            raise RuntimeError(f"{LIBS} does not exist: tools/bootstrap servers fetches Kafka")
        self.base = Path(tempfile.mkdtemp(prefix="penstock-kafka-"))
        self.port, self.controller = free_port(), free_port()
        self._process = None
        self._admin = None
        shutil.copy(TEMPLATES / "log4j2.properties", self.base)
        self.settings = self.base / "server.properties"
        template = (TEMPLATES / "broker.properties").read_text()
        filled = template.format(port=self.port, controller=self.controller, data=self.base / "data")
        self.settings.write_text(filled + SETTINGS + settings)
        cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        formatted = subprocess.run(self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", self.settings), capture_output=True, text=True)
        assert formatted.returncode == 0, formatted.stderr + formatted.stdout
        self.start()

    def _java(self, *arguments):
        return ["java", "-Xmx384m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={self.base}/log4j2.properties",
                "-cp", f"{LIBS}/*", *map(str, arguments)]

    # -- life ------------------------------------------------------------------------------------------------------
    @property
    def brokers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self):
        with open(self.base / "log", "ab") as log:
            self._process = subprocess.Popen(self._java("kafka.Kafka", self.settings), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                             preexec_fn=_die_with_parent)
        self._admin = None
        for _ in range(300):
            assert self._process.poll() is None, (self.base / "log").read_text()[-3000:]
            try:
                self.admin.list_topics(timeout=1)
                return
            except KafkaException:
                time.sleep(0.1)
        raise RuntimeError("Kafka did not start:\n" + (self.base / "log").read_text()[-3000:])

    def stop(self, how=signal.SIGTERM):
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def destroy(self):
        self._admin = None
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.base, ignore_errors=True)

    # -- topics ----------------------------------------------------------------------------------------------------
    @property
    def admin(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        return self._admin

    def topics(self) -> dict[str, int]:
        """Partitions of each topic."""
        listed = self.admin.list_topics(timeout=10).topics
        return {name: len(topic.partitions) for name, topic in listed.items() if not name.startswith("__")}

    def create(self, topic, partitions=1, **config):
        made = self.admin.create_topics([NewTopic(topic, partitions, 1, config={name.replace("_", "."): str(value) for name, value in config.items()})])
        made[topic].result(20)

    def messages(self, topic, committed=True) -> list:
        """Everything in the topic now, in the order of each partition: raw messages."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": f"reader-{uuid.uuid4()}", "enable.auto.commit": False, "log_level": 0,
                             "enable.partition.eof": True, "isolation.level": "read_committed" if committed else "read_uncommitted"})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            found, left = [], set(partitions)
            give_up = time.monotonic() + 60
            while left:
                assert time.monotonic() < give_up, f"topic {topic} does not end"
                message = consumer.poll(1)
                if message is None:
                    continue
                if message.error():
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    left.discard(message.partition())
                    continue
                found.append(message)
            return found
        finally:
            consumer.close()

    def events(self, topic, committed=True) -> list[Event]:
        """The same as JSON."""
        def parsed(text):
            return json.loads(text) if text is not None else None

        return [Event(m.topic(), m.partition(), m.offset(), parsed(m.key()), parsed(m.value()), {n: v.decode() for n, v in m.headers() or []})
                for m in self.messages(topic, committed)]
