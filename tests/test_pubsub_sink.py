"""Changes published to Google's Pub/Sub server and read back with Google's client: nothing is lost, each key keeps its order,
and what comes twice has the same id."""

import base64
import json
import signal
import sqlite3
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from support.changes import SCHEMA, TABLES, Workload, drop_slots
from support.pubsub import PROJECT, Consumer, PubsubServer, SecureService, assert_folded, capture, topic


@pytest.fixture
def shop(server, make_database):
    database = make_database(server)
    database.execute(SCHEMA)
    yield database
    drop_slots(database)


@pytest.fixture
def start_server():
    made = []

    def start(**options) -> PubsubServer:
        made.append(PubsubServer(**options))
        return made[-1]

    yield start
    for each in made:
        each.stop()


@pytest.fixture
def bus(start_server):
    return start_server()


def test_a_snapshot_and_every_kind_of_change(shop, project, bus):
    capture(shop, project, bus)
    report = project.load()
    assert report.counts() == (730, 730, 0, 0)
    work = Workload(shop, seed=3)
    for _ in range(2):
        work.run(25)
        project.load("--drain")
    consumer = Consumer(bus)
    consumer.read()
    assert consumer.repeats() == 0
    consumer.assert_ordered()
    assert_folded(shop, consumer)

    # What a consumer goes by.
    ops = {message.attributes["op"] for table in TABLES for message in consumer.messages[table]}
    assert ops >= {"r", "c", "u", "d"}
    of_orders = consumer.messages["orders"][0]
    assert of_orders.attributes["table"] == "public.orders"
    assert json.loads(of_orders.ordering_key).keys() == {"region", "number"}
    assert {message.ordering_key for message in consumer.messages["logs"]} == {"public.logs"}

    # A run without changes publishes nothing; status knows how far each table is.
    assert project.load("--drain").counts() == (0, 0, 0, 0)
    status = json.loads(project.run("status", "--output", "json").out)["pipelines"][0]
    assert {table["target"] for table in status["tables"] if table["table"].startswith("public.")} == {topic(f"shop.public.{table}") for table in TABLES}
    assert status["open_rejects"] == 0
    with sqlite3.connect(project.folder / ".penstock/state.db") as state:
        assert state.execute("SELECT count(*) FROM checkpoints WHERE source_table = '(stream)'").fetchone() == (1,)


@pytest.mark.parametrize("ordering", ["table", "none"])
def test_other_orderings_and_one_topic_for_all(shop, project, bus, ordering):
    tables = ("customers", "orders", "logs")
    capture(shop, project, bus, tables, {"ordering": ordering, "topic": "everything", "batch_messages": 100}, topics=False)
    bus.add_topic("everything")
    project.load()
    Workload(shop, seed=5).run(15)
    project.load("--drain")
    messages = bus.pull("everything")
    consumer = Consumer(bus, tables)
    for message in messages:
        consumer.messages[message.attributes["table"].split(".")[1]].append(message)
    assert_folded(shop, consumer, tables)
    keys = {message.ordering_key for message in messages}
    assert keys == ({""} if ordering == "none" else {f"public.{table}" for table in tables})
    if ordering == "table":
        consumer.assert_ordered()


def test_failures_of_the_service_are_repeated_in_order(shop, project, start_server):
    bus = start_server(fail="Publish=UNAVAILABLE/3")
    tables = ("customers", "logs")
    capture(shop, project, bus, tables)
    output = project.load().output
    assert "UNAVAILABLE" in output.err
    Workload(shop, seed=8).run(10)
    project.load("--drain")
    consumer = Consumer(bus, tables)
    consumer.read()
    assert consumer.repeats() == 0
    consumer.assert_ordered()
    assert_folded(shop, consumer, tables)


def test_a_refusal_ends_the_run_and_moves_no_checkpoint(shop, project, start_server):
    bus = start_server(fail="Publish=PERMISSION_DENIED/40")
    capture(shop, project, bus, ("customers",))
    report = project.load(expect=1)
    assert report.error["code"] == "pubsub_permission_denied"
    assert "roles/pubsub.publisher" in report.error["hint"]
    status = json.loads(project.run("status", "--output", "json").out)["pipelines"][0]
    assert not status["tables"]


KILLS = ["target_stage_after", "target_publish_during@7", "target_publish_during@2", "target_commit_before", "target_commit_after", "source_confirm_before"]


def test_nothing_is_lost_by_a_kill(shop, project, bus):
    tables = ("customers", "orders", "notes", "logs")
    capture(shop, project, bus, tables)

    def killed_at(point):
        output = project.run("run", "--all", "--drain", env={"PENSTOCK_FAILPOINT": f"{point}=kill"}, expect=None)
        assert output.code == -signal.SIGKILL, output

    killed_at("target_publish_during@70")  # in the snapshot, which is read anew
    project.load("--drain")
    work = Workload(shop, seed=13)
    for point in KILLS:
        work.run(6)
        killed_at(point)
    project.load("--drain")
    consumer = Consumer(bus, tables)
    consumer.read()
    assert consumer.repeats() > 0, "none of the kills came between publishing and checkpoint"
    consumer.assert_ordered()
    assert_folded(shop, consumer, tables)


def test_a_change_too_large_for_a_message(shop, project, bus):
    capture(shop, project, bus, ("notes",), on_reject="continue")
    project.load()
    shop.execute("INSERT INTO notes (id, title, body) VALUES ('00000000-0000-0000-0000-000000000001', 'large', repeat('x', 11000000))")
    shop.execute("INSERT INTO notes (title) VALUES ('after')")
    report = project.load("--drain")
    assert report.counts() == (2, 1, 1, 0)
    listed = json.loads(project.run("rejects", "list", "--output", "json").out)["rejects"]
    assert len(listed) == 1
    reject = listed[0]
    assert reject["code"] == "message_too_large"
    assert reject["key"]["id"] == "00000000-0000-0000-0000-000000000001"
    assert len(reject["payload"]["body"]) == 11000000
    assert "/" in reject["source_position"]
    assert json.loads(project.run("status", "--output", "json").out)["pipelines"][0]["open_rejects"] == 1
    project.run("rejects", "discard", reject["id"])
    assert json.loads(project.run("rejects", "list", "--output", "json").out)["rejects"] == []
    consumer = Consumer(bus, ("notes",))
    consumer.read()
    assert [json.loads(message.data)["after"]["title"] for message in consumer.messages["notes"] if message.attributes["op"] == "c"] == ["after"]

    # By default such a change ends the run, before anything is confirmed.
    project.write((project.folder / "penstock.yaml").read_text().replace('"continue"', '"stop"'))
    shop.execute("INSERT INTO notes (title, body) VALUES ('large', repeat('x', 11000000))")
    assert project.load("--drain", expect=1).error["code"] == "message_too_large"


def test_following(shop, project, bus):
    capture(shop, project, bus, ("customers", "notes"), run="follow")
    running = project.start("run", "--all")
    work = Workload(shop, seed=21)
    consumer = Consumer(bus, ("customers", "notes"))
    for _ in range(3):
        work.run(5)
        consumer.read()
    shop.execute("INSERT INTO customers VALUES (424242, 'last', 1)")
    for _ in range(50):
        consumer.read(idle=0.2)
        if any(json.loads(message.data)["after"] and json.loads(message.data)["after"]["id"] == 424242 for message in consumer.messages["customers"]):
            break
    running.signal(signal.SIGINT)
    assert running.wait().code == 130
    consumer.read()
    consumer.assert_ordered()
    assert_folded(shop, consumer, ("customers", "notes"))


def test_topics_are_made_when_asked_to(shop, project, bus):
    capture(shop, project, bus, ("customers",), topics=False)
    refused = project.load(expect=1)
    assert refused.error["code"] == "no_topic"
    assert "create_topics" in refused.error["hint"]
    assert bus.topics() == []

    text = (project.folder / "penstock.yaml").read_text()
    project.write(text.replace('"connection": "bus"', '"connection": "bus", "create_topics": true, "topic_retention": "7d"'))
    plan = project.run("plan", "--output", "json").json
    assert bus.topics() == [] and "shop.public.customers" in json.dumps(plan)
    project.load()
    assert bus.topics() == ["shop.public.customers"]
    assert bus.publisher.get_topic(topic=topic("shop.public.customers")).message_retention_duration.days == 7
    assert "no subscription" in project.load("--drain").output.err


def test_mistakes_are_found_before_anything_is_called(shop, project, bus):
    capture(shop, project, bus, ("customers",), {"mode": "merge"}, topics=False)
    output = project.run("check", expect=2)
    assert "`mode` is for tables" in output.err

    key = project.write("{}", "key.json")
    for connection, code in (({"credentials": str(key)}, "never sent"), ({"endpoint": "ftp://x"}, "no endpoint")):
        project.config(connections={"bus": {"type": "pubsub", "project": PROJECT, "endpoint": bus.endpoint, **connection}})
        assert code in project.run("check", expect=2).err
    project.config(connections={"bus": {"type": "pubsub", "project": PROJECT, "endpoint": "https://127.0.0.1:1", "credentials": str(key)}})
    assert "is not a Google credentials file" in project.run("doctor", expect=None).both


def test_a_read_is_refused(shop, project, bus):
    project.pipeline(shop, {"table": "public.customers"}, {"connection": "bus"},
                     connections={"bus": {"type": "pubsub", "project": PROJECT, "endpoint": bus.endpoint}})
    bus.add_topic("shop.public.customers")
    assert project.load(expect=2).error["code"] == "changes_only"


def test_doctor(project, bus):
    project.config(connections={"bus": {"type": "pubsub", "project": PROJECT, "endpoint": bus.endpoint}})
    assert "answers" in project.run("doctor").both
    bus.stop()
    started = time.monotonic()
    assert "UNAVAILABLE" in project.run("doctor", expect=3).both
    assert time.monotonic() - started < 30


def test_a_service_account_signs_its_calls_and_they_are_encrypted(project, tmp_path):
    """The key file makes a token that the service can check; its own words for what it wants are Google's."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    account = {"type": "service_account", "client_email": "penstock@example.iam.gserviceaccount.com", "client_id": "1", "private_key_id": "k", "private_key": pem}
    project.write(json.dumps(account), "key.json")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", tmp_path / "tls.key", "-out", tmp_path / "tls.pem"], check=True, capture_output=True)
    with SecureService(tmp_path / "tls.key", tmp_path / "tls.pem") as service:
        project.config(connections={"bus": {"type": "pubsub", "project": PROJECT, "endpoint": f"https://localhost:{service.port}", "credentials": "key.json"}})
        assert "UNAVAILABLE" in project.run("doctor", expect=3).both  # a certificate that nobody vouches for
        project.environment["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(tmp_path / "tls.pem")
        output = project.run("doctor")
        assert "answers" in output.both and "PRIVATE KEY" not in output.both
        method, metadata = service.calls[-1]
    assert method == "/google.pubsub.v1.Publisher/ListTopics"
    assert metadata["user-agent"].startswith("penstock/")
    head, claims, signature = metadata["authorization"].removeprefix("Bearer ").split(".")
    key.public_key().verify(base64url(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(base64url(claims))["iss"] == account["client_email"]


def base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
