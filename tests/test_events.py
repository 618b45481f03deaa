"""Event streams from Kafka: the shipped configuration, every kind of bad event, kills, a topic that is gone, what a mistake in the configuration says."""

import json
import shutil
import signal
import time
from collections import Counter
from datetime import datetime, timezone

import duckdb
import pytest
from confluent_kafka import Producer

from support.event_samples import BRANCHES, Events
from support.kafka import KafkaBroker
from support.program import ROOT

TOPIC = "backend-events-topic"


@pytest.fixture(scope="module")
def kafka():
    made = KafkaBroker("message.max.bytes=4194304\n")
    yield made
    made.destroy()


@pytest.fixture
def topic(kafka, request):
    """The example reads one name: each test has a topic of its own under it."""
    name = f"events-{abs(hash(request.node.name))}"
    kafka.create(name, partitions=3)
    return name


def send(kafka, topic, messages, headers=None):
    producer = Producer({"bootstrap.servers": kafka.brokers, "linger.ms": 20, "message.max.bytes": 4000000, "queue.buffering.max.messages": 1000000})
    for number, message in enumerate(messages):
        producer.produce(topic, value=message, partition=number % 3, headers=headers)
        if number % 10000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0


def shipped(project, kafka, topic):
    shutil.copytree(ROOT / "examples" / "ddl", project.folder / "ddl")
    text = (ROOT / "examples" / "events-to-duckdb.yaml").read_text()
    assert TOPIC in text
    (project.folder / "penstock.yaml").write_text(text.replace(TOPIC, topic))
    project.environment["KAFKA_BROKERS"] = kafka.brokers
    return project.folder / "warehouse.duckdb"


def rows(file, sql):
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def comparable(event):
    """An event's row as DuckDB's client gives it, without Penstock's own columns."""
    out = {}
    for name, value in event.items():
        if name in ("ingestion_time", "_penstock_position", "_penstock_schema_version"):
            continue
        if name in ("order_date", "timestamp"):
            value = moment(value) if isinstance(value, str) else value.astimezone(timezone.utc)
        out[name] = value
    return json.dumps(out, sort_keys=True, default=str)


def assert_arrived(file, events):
    for name, table in BRANCHES.items():
        found = rows(file, f"SELECT * FROM {table}")
        assert Counter(map(comparable, found)) == Counter(map(comparable, events.good[name])), name
        assert len({row["_penstock_position"] for row in found}) == len(found)
        assert all(row["ingestion_time"] is not None and len(row["_penstock_schema_version"]) == 12 for row in found)
    rejected = rows(file, "SELECT * FROM penstock.rejects")
    assert Counter((row["code"], row["route"] or None) for row in rejected) == Counter((code, route) for code, route, _ in events.bad)
    payloads = [row["payload"] or "" for row in rejected]
    assert Counter(payload for payload in payloads if not payload.startswith("base64:")) == \
        Counter(payload.decode() for _, _, payload in events.bad if b"\xff" not in payload)
    assert len({row["source_position"] for row in rejected}) == len(rejected)


def test_the_shipped_pipeline_with_bad_events_of_every_kind(project, kafka, topic):
    file = shipped(project, kafka, topic)
    events = Events(20_000, seed=1, large=True)
    send(kafka, topic, events.messages)
    report = project.load("--drain")
    run = report.run()
    assert (run["rows_read"], run["rows_rejected"]) == (20_000, 200)
    assert_arrived(file, events)
    nowhere = report.table("unrouted")
    assert nowhere["rows_written"] == 0 and nowhere["rows_rejected"] == sum(route is None for _, route, _ in events.bad)
    # A reject says where in the document.
    assert rows(file, "SELECT DISTINCT \"column\", reason FROM penstock.rejects WHERE code = 'not_an_integer'") == \
        [{"column": "items", "reason": "items[0].quantity: 1.5: it is no integer"}]
    # Nothing new: nothing read.
    assert project.load("--drain").run()["rows_read"] == 0
    more = Events(300, seed=2)
    send(kafka, topic, more.messages)
    assert project.load("--drain").run()["rows_read"] == 300


@pytest.mark.parametrize("failpoint", ["changes_receive_after", "source_read_during", "target_stage_after", "target_commit_before", "target_commit_after", "source_confirm_before"])
def test_killed_anywhere_each_event_is_there_once(project, kafka, topic, failpoint):
    file = shipped(project, kafka, topic)
    events = Events(3_000, seed=3)
    third = len(events.messages) // 3
    for part in range(3):
        send(kafka, topic, events.messages[part * third:(part + 1) * third])
        killed = project.run("run", "--all", "--drain", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}@{1 + part % 2}=kill"})
        assert killed.code in (0, -signal.SIGKILL)
    project.load("--drain")
    assert_arrived(file, events)


def test_of_one_key_the_last_event_stays(project, kafka, topic):
    """Many events of a key in one commit, and in the next: by their order in the stream, however many threads read them."""
    file = shipped(project, kafka, topic)
    config = project.folder / "penstock.yaml"
    table = BRANCHES["user_activity"]
    config.write_text(config.read_text().replace(f"table: {table}", f"table: {table}\n        mode: merge\n        key: [user_id]"))
    for turn in range(2):
        producer = Producer({"bootstrap.servers": kafka.brokers})
        for number in range(30_000):
            event = {"event_type": "user_activity", "user_id": str(number % 50), "activity_type": f"{turn}-{number // 50}", "timestamp": "2026-01-01T00:00:00Z"}
            producer.produce(topic, value=json.dumps(event), partition=number % 50 % 3)
            producer.poll(0)
        assert producer.flush(60) == 0
        report = project.load("--drain")
        assert report.counts()[2] == 0
        assert rows(file, f"SELECT count(*) AS n, count(DISTINCT user_id) AS users, min(activity_type) AS low, max(activity_type) AS high FROM {table}") == \
            [{"n": 50, "users": 50, "low": f"{turn}-599", "high": f"{turn}-599"}]


def test_follow_until_it_is_stopped(project, kafka, topic):
    file = shipped(project, kafka, topic)
    run = project.start("run", "--all")
    events = Events(2_000, seed=4)
    try:
        for begin in range(0, 2_000, 500):
            send(kafka, topic, events.messages[begin:begin + 500])
            time.sleep(0.3)
        time.sleep(2)
    finally:
        run.process.send_signal(signal.SIGTERM)
        output = run.wait(60)
    assert output.code == 130, output
    before = sum(len(rows(file, f"SELECT 1 FROM {table}")) for table in BRANCHES.values())
    assert before > 1_500  # it had followed, and the last bit may have been under way
    project.load("--drain")
    assert_arrived(file, events)


def test_unmatched_events_can_be_filtered(project, kafka, topic):
    shipped(project, kafka, topic)
    text = (project.folder / "penstock.yaml").read_text()
    (project.folder / "penstock.yaml").write_text(text.replace("by: event_type", "by: event_type\n      unmatched: ignore"))
    send(kafka, topic, [b'{"event_type": "refund"}', b'{"event_type": "refund", "x": 1}', b'{"event_type": "order"}', b"{"])
    report = project.load("--drain")
    assert report.counts() == (4, 0, 2, 2)
    assert report.table("unrouted")["rows_filtered"] == 2


def test_unknown_fields_can_be_kept(project, kafka, topic):
    file = shipped(project, kafka, topic)
    text = (project.folder / "penstock.yaml").read_text()
    (project.folder / "penstock.yaml").write_text(text.replace("table: backend_events_data.user_activity_events",
                                                               "table: backend_events_data.user_activity_events\n        unknown_fields: keep"))
    send(kafka, topic, [b'{"event_type": "user_activity", "user_id": "1", "timestamp": "2026-01-01T00:00:00Z", "new": {"deep": [1, 12345678901234567890123]}}'])
    project.load("--drain")
    assert rows(file, "SELECT unknown_fields FROM backend_events_data.user_activity_events") == \
        [{"unknown_fields": '{"new":{"deep": [1, 12345678901234567890123]}}'}]


def test_a_topic_made_anew_is_not_taken_for_the_old_one(project, kafka, topic):
    shipped(project, kafka, topic)
    events = Events(300, seed=5)
    send(kafka, topic, events.messages)
    project.load("--drain")
    kafka.admin.delete_topics([topic])[topic].result(20)
    for _ in range(100):
        if topic not in kafka.topics():
            break
        time.sleep(0.1)
    kafka.create(topic, partitions=3)
    failed = project.run("run", "--all", "--drain", expect=1)
    assert "events_lost" in failed.both or "made anew" in failed.both


@pytest.mark.parametrize("change, said", [
    (("    route:\n      by: event_type", "    route:\n      unmatched: reject"), "nothing says which event goes where"),
    (("schema: ddl/order_events.sql", "schema: ddl/nowhere.sql"), "the schema ddl/nowhere.sql cannot be read"),
    (("required: [order_id,", "required: [order_idd,"), "names column order_idd, which ddl/order_events.sql does not have"),
    (("accepted_values: {status: ", "accepted_values: {total_amount: "), "is for columns of text, and total_amount is float64"),
    (("table: backend_events_data.inventory_events", "table: backend_events_data.order_events"), "route order goes to the same table"),
    (("mode: append", "mode: history"), "mode history is not for events"),
    (("mode: append", "dataset: data"), "each route has its table"),
    (("format: json", "format: debezium"), "`route` and `archive` are for streams of events"),
])
def test_mistakes_are_named(project, kafka, change, said):
    shipped(project, kafka, "any")
    file = project.folder / "penstock.yaml"
    before = file.read_text()
    assert change[0] in before
    file.write_text(before.replace(*change))
    checked = project.run("check", expect=2)
    assert said in checked.both, checked
    assert "penstock.yaml:" in checked.both or ".sql:" in checked.both
