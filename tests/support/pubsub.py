"""Google's in-memory Pub/Sub server, Google's client to it, and what a consumer of Penstock's messages does with them."""

import base64
import json
import os
import signal
import subprocess
import time
from collections import defaultdict
from concurrent import futures
from datetime import date, datetime
from pathlib import Path
from uuid import UUID

import grpc
from google.api_core import exceptions
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from .changes import LOADER, TABLES
from .postgres import _die_with_parent
from .program import ROOT

PROGRAM = Path(os.environ.get("PENSTOCK_DEPS", ROOT / ".deps")) / "servers/pubsub/pstestd"
PROJECT = "test-project"


class PubsubServer:
    """`fail` makes every Nth call of a kind fail: "Publish=UNAVAILABLE/3"."""

    def __init__(self, fail: str = ""):
        self._process = subprocess.Popen([PROGRAM, "-port", "0", *(["-fail", fail] if fail else [])], stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True, preexec_fn=_die_with_parent)
        self.address = self._process.stdout.readline().split()[-1]
        self.endpoint = f"http://{self.address}"
        self._channel = grpc.insecure_channel(self.address, options=[("grpc.max_receive_message_length", -1)])
        self.publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))

    def stop(self) -> None:
        self._channel.close()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        self._process.stdout.close()

    # -- topics ----------------------------------------------------------------------------------------------------
    def add_topic(self, name: str) -> None:
        self.publisher.create_topic(name=topic(name))
        self.subscribe(name)

    def subscribe(self, name: str) -> None:
        self.subscriber.create_subscription(request={"name": subscription(name), "topic": topic(name), "enable_message_ordering": True,
                                                     "ack_deadline_seconds": 600})

    def topics(self) -> list[str]:
        return sorted(found.name.split("/")[-1] for found in self.publisher.list_topics(project=f"projects/{PROJECT}"))

    # -- reading ---------------------------------------------------------------------------------------------------
    def pull(self, name: str, idle: float = 0.3, timeout: float = 30) -> list:
        """What has been published since the last call, in the order of arrival: until nothing comes for `idle` seconds."""
        messages, last, end = [], time.monotonic(), time.monotonic() + timeout
        while time.monotonic() - last < idle:
            assert time.monotonic() < end, f"{name}: messages do not end"
            try:
                found = self.subscriber.pull(request={"subscription": subscription(name), "max_messages": 1000, "return_immediately": True},
                                             timeout=5).received_messages
            except exceptions.DeadlineExceeded:
                found = []
            if not found:
                time.sleep(0.05)
                continue
            self.subscriber.acknowledge(subscription=subscription(name), ack_ids=[message.ack_id for message in found])
            messages += [message.message for message in found]
            last = time.monotonic()
        return messages


class SecureService(grpc.GenericRpcHandler):
    """Answers every call with an empty message, over TLS, and remembers who asked."""

    def __init__(self, key: Path, certificate: Path):
        self.calls = []
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())]))

    def service(self, call):
        self.calls.append((call.method, {name: value for name, value in call.invocation_metadata}))
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None)


def topic(name: str) -> str:
    return f"projects/{PROJECT}/topics/{name}"


def subscription(name: str) -> str:
    return f"projects/{PROJECT}/subscriptions/{name}"


def capture(database, project, server: PubsubServer, tables=TABLES, target: dict | None = None, topics: bool = True, changes: dict | None = None,
            connection: dict | None = None, **rest) -> str:
    """Tables of the shop captured into topics `shop.public.<table>`, each with a subscription that keeps order."""
    with database.server.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
    names = [f"public.{table}" for table in tables]
    slot = f"slot_{database.name}"
    database.execute(f"CREATE PUBLICATION pub FOR TABLE {', '.join(names)} WITH (publish_via_partition_root = true)")
    project.pipeline(database, {"changes": {"tables": names, "publication": "pub", "slot": slot, "create": True, **(changes or {})}},
                     {"connection": "bus", "decimals": "string", "times": "isostring", **(target or {})},
                     connections={"bus": {"type": "pubsub", "project": PROJECT, "endpoint": server.endpoint, **(connection or {})}}, **rest)
    for table in tables if topics else ():
        server.add_topic(f"shop.public.{table}")
    return slot


class Consumer:
    """Reads the topics of tables and folds what it read into the tables, as docs/how-to/pubsub.md tells consumers to."""

    def __init__(self, server: PubsubServer, tables=TABLES):
        self.server = server
        self.tables = tables
        self.messages = defaultdict(list)

    def read(self, **options) -> None:
        for table in self.tables:
            self.messages[table] += self.server.pull(f"shop.public.{table}", **options)

    def once(self, table: str) -> list:
        """Repeats dropped: they have the same id, and say the same but for the time at which they were written."""
        first = {}
        for message in self.messages[table]:
            said = json.loads(message.data)
            said = (dict(message.attributes), message.ordering_key, said["op"], said["before"], said["after"], said["source"]["lsn"])
            assert first.setdefault(message.attributes["penstock_id"], (said, message))[0] == said
        return [message for _, message in first.values()]

    def repeats(self) -> int:
        return sum(len(self.messages[table]) - len(self.once(table)) for table in self.tables)

    def assert_ordered(self) -> None:
        """Each ordering key's messages came in the order of their positions, whatever was repeated."""
        for table in self.tables:
            last = {}
            for message in self.once(table):
                position = message.attributes["position"]
                assert message.ordering_key, message
                assert last.get(message.ordering_key, "") <= position, f"{table}: {message.ordering_key} went back to {position}"
                last[message.ordering_key] = position

    def rows(self, table: str, keys: list[str]) -> list[dict]:
        rows, unkeyed = {}, []
        changes = sorted(self.once(table), key=lambda message: message.attributes["position"])
        for message in changes:
            event = json.loads(message.data)
            before, after, op = event["before"], event["after"], event["op"]
            if op == "t":
                rows, unkeyed = {}, []
            elif not keys:
                if op in "ud":
                    unkeyed.remove(before)
                if after is not None:
                    unkeyed.append(after)
            else:
                fold(rows, keys, message, before, after)
        return list(rows.values()) + unkeyed


def fold(rows: dict, keys: list[str], message, before, after) -> None:
    def key(row):
        return json.dumps([row[name] for name in keys])

    attributes = message.attributes
    if after is None:
        # A row that goes to another key takes along what its next message does not repeat.
        gone = rows.pop(key(before), None)
        if "new_key" in attributes and gone is not None:
            rows["moving"] = gone
        return
    known = rows.pop("moving", None) if "old_key" in attributes else rows.get(key(after))
    for column in json.loads(attributes.get("unavailable", "[]")):
        assert after[column] == "__debezium_unavailable_value" or column, column
        after[column] = known[column]
    rows[key(after)] = after


def source_rows(database, table: str) -> list[dict]:
    with database.connect() as session, session.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def written(value):
    """A value of the source as the envelope has it under decimals: string and times: isostring."""
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, date):
        return value.isoformat()
    if type(value).__name__ == "Decimal":
        return str(value)
    return value


def read_back(value, like):
    if value is None or like is None:
        return value
    if isinstance(like, datetime):
        return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    if isinstance(like, date):
        return value[:10]
    if isinstance(like, dict):
        return json.dumps(json.loads(value), sort_keys=True)
    return value


def assert_folded(database, consumer: Consumer, tables=TABLES) -> None:
    """What the messages amount to is what the source holds."""
    for table in tables:
        keys = [row[0] for row in database.rows(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
            " WHERE i.indrelid = %s::regclass AND i.indisprimary", [table])]
        expected = source_rows(database, table)
        likes = {}
        for row in expected:
            for name, value in row.items():
                likes.setdefault(name, value)
                likes[name] = value if likes[name] is None else likes[name]
        left = sorted(repr({name: written(value) for name, value in row.items()}) for row in expected)
        right = sorted(repr({name: read_back(value, likes.get(name)) for name, value in row.items()}) for row in consumer.rows(table, keys))
        missing = [row for row in left if row not in right][:3]
        extra = [row for row in right if row not in left][:3]
        assert left == right, f"{table}: {len(left)} rows, {len(right)} folded\nmissing {missing}\nextra {extra}"
