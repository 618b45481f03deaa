"""Several processes of one pipeline share a Kafka group, or a Pub/Sub subscription: they join and leave, are killed and stopped, the
broker restarts; in the end every event is there once, and the archive complete."""

import json
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter

import duckdb
import pytest
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from google.api_core.exceptions import NotFound
from google.cloud.bigquery import QueryJobConfig
from pyarrow.fs import LocalFileSystem, S3FileSystem, copy_files

import test_events_archive as archives
import test_events_bigquery as warehouse
import test_events_files as lake_of
from support.event_samples import BRANCHES, Events
from support.kafka import KafkaBroker
from support.objects import BUCKET
from support.program import BINARY, ROOT
from support.pubsub import PROJECT
from support.registry import avro
from support.toxiproxy import Toxiproxy
from test_events_pubsub import NAME, deliver_again, left, start_server, subscribe  # noqa: F401  (fixtures)
from test_events_pubsub import send as publish

PARTITIONS = 6
GROUP = "penstock-shared"
AWAY = 60  # seconds without an archive
SHORT = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}


@pytest.fixture(scope="module")
def kafka():
    made = KafkaBroker("group.initial.rebalance.delay.ms=200\ngroup.min.session.timeout.ms=1000\n")
    yield made
    made.destroy()


@pytest.fixture
def topic(kafka, request):
    name = f"shared-{abs(hash(request.node.name))}"
    kafka.create(name, partitions=PARTITIONS)
    return name


def send(kafka, topic, messages, first=0):
    producer = Producer({"bootstrap.servers": kafka.brokers, "linger.ms": 20, "enable.idempotence": True, "log_level": 0})
    for number, message in enumerate(messages, first):
        producer.produce(topic, value=message, partition=number % PARTITIONS)
        if number % 1000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0


ASSIGNOR = "rd_kafka_sticky_assignor_state_destroy: Assertion"


def shared(project, source, target, connections, archive=True, **pipeline):
    shutil.copytree(ROOT / "examples" / "ddl", project.folder / "ddl", dirs_exist_ok=True)
    config = yaml.safe_load((ROOT / "examples" / "backend-events.yaml").read_text())
    config["connections"] = {"lake": {"type": "files", "url": "file:lake"}, **connections}
    made = config["pipelines"]["backend_events"]
    made["source"] = source
    made["target"] = target
    made["archive"]["every"] = "300ms"
    made["archive"]["connection"] = pipeline.pop("archived_in", "lake")
    made["retries"] = {"delay": "300ms", "max": 8}
    if target["connection"] != made["rejects"]["connection"]:
        del made["rejects"]  # they can only be beside the rows
    made.update(pipeline)
    if not archive:
        del made["archive"]
    (project.folder / "penstock.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def from_kafka(project, kafka, topic, target, connections, group=GROUP, properties=None, **options):
    shared(project, {"connection": "events", "topics": [topic], "format": "json", "group": group}, target,
           {"events": {"type": "kafka", "brokers": kafka.brokers, "timeout": "20s", "properties": {**SHORT, **(properties or {})}}, **connections}, **options)


def into_bigquery(bigquery):
    return {"connection": "bq", "mode": "append", "commit_every": "300ms"}, \
        {"bq": {"type": "bigquery", "project": "stand-in", "endpoint": bigquery.endpoint, "max_bytes_billed": "10GiB"}}


def into_files(_bigquery=None):
    return {"connection": "lake", "path": "{schema}/{table}/", "mode": "append", "commit_every": "300ms"}, {}


TARGETS = {"bigquery": into_bigquery, "files": into_files}


def arrived(where, project, bigquery):
    """Rows of all tables that are there."""
    client = bigquery.client(default_query_job_config=QueryJobConfig(maximum_bytes_billed=10**12)) if where == "bigquery" else None

    def count(table):
        try:
            if client is None:
                return len(lake_of.of_table(project.folder / "lake", table))
            return next(iter(client.query(f"SELECT count(*) FROM `stand-in.{table}`").result()))[0]
        except (NotFound, duckdb.IOException):
            return 0

    return sum(map(count, BRANCHES.values()))


def assert_arrived(where, project, bigquery, events):
    if where == "bigquery":
        warehouse.assert_arrived(bigquery, events)
    else:
        lake_of.assert_arrived(project.folder / "lake", events)


class Fleet:
    """Processes that run one pipeline; what they say goes to files."""

    def __init__(self, project, *arguments):
        self.project, self.arguments = project, arguments or ("--follow",)
        self.processes, self.number, self.outputs = [], 0, []

    def join(self, **environment):
        self.number += 1
        said = self.project.folder / f"process-{self.number}.log"
        self.outputs.append(said)
        with open(said, "wb") as log:
            process = subprocess.Popen([str(BINARY), "run", "backend_events", *self.arguments, "--log-format", "text", "--log-level", "debug"],
                                       cwd=self.project.folder, env={**self.project.environment, **environment}, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
        process.number = self.number
        self.processes.append(process)
        return process

    def living(self):
        return [process for process in self.processes if process.poll() is None]

    def leave(self, process, how=signal.SIGTERM, timeout=60):
        process.send_signal(how)
        process.wait(timeout)
        return process.returncode

    def said(self, number):
        return self.outputs[number - 1].read_text(errors="replace")

    def end(self):
        for process in self.living():
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        codes = {}
        for process in self.processes:
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)
                raise AssertionError(f"process {process.number} does not end:\n{self.said(process.number)[-6000:]}") from None
            codes[process.number] = process.returncode
        return codes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.living():
            process.kill()
            process.wait()


def wait_for(what, seconds=120, fleet=None):
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        found = what()
        if found:
            return found
        time.sleep(0.2)
    told = "".join(f"\n-- {n}\n" + fleet.said(n)[-3000:] for n in range(1, fleet.number + 1)) if fleet else ""
    raise AssertionError(f"waited {seconds} s in vain{told}")


def committed(kafka, topic, group=GROUP):
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": group, "log_level": 0})
    try:
        found = consumer.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], timeout=20)
        return {part.partition: part.offset for part in found if part.offset >= 0}
    finally:
        consumer.close()


def ends(kafka, topic):
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": "looks", "log_level": 0})
    try:
        return {number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)[1] for number in range(PARTITIONS)}
    finally:
        consumer.close()


def position_of(where, project, bigquery):
    """Offsets in the target's newest checkpoint of the stream."""
    if where == "bigquery":
        client = bigquery.client(default_query_job_config=QueryJobConfig(maximum_bytes_billed=10**12))
        row = next(iter(client.query("SELECT position FROM `stand-in.penstock.pipeline_metadata` WHERE `table` = '(stream)' "
                                     "ORDER BY batch DESC LIMIT 1").result()))
        text = row[0]
    else:
        newest = max((project.folder / "lake" / "_penstock" / "manifests" / "backend_events").glob("*stream*/*.json"))
        text = json.loads(newest.read_text())["checkpoint"]["position"]
    return json.loads(text)


def parts_of(position, topic):
    [of_topic] = [entry for entry in position["stream"] if topic in entry["topics"]]
    return {int(partition): offset for partition, offset in of_topic["topics"][topic].items()}


def seen_by(fleet, number):
    """Partitions that a process has, by what it has said."""
    have = set()
    for line in fleet.said(number).splitlines():
        words = line.split()
        if "another process has committed it up to" in line or "has taken this process for dead" in line:
            have.clear()
        if "partition" not in words or "of" not in words:
            continue
        partition = words[words.index("partition") + 1]
        if "is read from offset" in line:
            have.add(partition)
        elif "is given to another" in line or "is lost" in line:
            have.discard(partition)
    return have


@pytest.mark.parametrize("where", TARGETS)
def test_partitions_are_divided_and_go_over(project, kafka, bigquery, topic, where):
    target, connections = TARGETS[where](bigquery)
    from_kafka(project, kafka, topic, target, connections, group=topic)
    events = Events(1_200, seed=41)
    with Fleet(project) as fleet:
        fleet.join()
        send(kafka, topic, events.messages[:600])
        wait_for(lambda: len(seen_by(fleet, 1)) == PARTITIONS, fleet=fleet)
        fleet.join()
        fleet.join()
        wait_for(lambda: sorted(len(seen_by(fleet, number)) for number in (1, 2, 3)) == [2, 2, 2], fleet=fleet)
        send(kafka, topic, events.messages[600:])
        wait_for(lambda: arrived(where, project, bigquery) == sum(map(len, events.good.values())), fleet=fleet)
        assert project.run("status").out.count("running") >= 1
        assert fleet.leave(fleet.processes[0]) == 130
        wait_for(lambda: len(seen_by(fleet, 2)) + len(seen_by(fleet, 3)) == PARTITIONS, fleet=fleet)
        # Nothing else may run it meanwhile.
        refused = project.run("run", "backend_events", "--full-refresh", "--drain", expect=1)
        assert "already running" in refused.err
        assert set(fleet.end().values()) == {130}
    assert_arrived(where, project, bigquery, events)
    archives.assert_archived(project, events)
    assert parts_of(position_of(where, project, bigquery), topic) == ends(kafka, topic)
    assert committed(kafka, topic, topic) == ends(kafka, topic)
    # Alone again: it goes on from where they were.
    config = project.folder / "penstock.yaml"
    config.write_text(config.read_text().replace(f"      group: {topic}\n", ""))
    assert project.load("--drain").run()["rows_read"] == 0
    more = Events(60, seed=42)
    send(kafka, topic, more.messages)
    assert project.load("--drain").run()["rows_read"] == 60


def test_drains_share_the_work(project, kafka, bigquery, topic):
    """None ends before all is read, though it has been given nothing yet, or given away what it had; the topic ends with no message."""
    target, connections = into_bigquery(bigquery)
    from_kafka(project, kafka, topic, target, connections, group=topic)
    events = Events(3_000, seed=43)
    producer = Producer({"bootstrap.servers": kafka.brokers, "transactional.id": topic, "log_level": 0})
    producer.init_transactions()
    producer.begin_transaction()
    for number, message in enumerate(events.messages):
        producer.produce(topic, value=message, partition=number % PARTITIONS)
    producer.commit_transaction()
    with Fleet(project, "--drain") as fleet:
        for _ in range(3):
            fleet.join()
        for process in fleet.processes:
            assert process.wait(120) == 0, fleet.said(process.number)
    # Without another run.
    assert_arrived("bigquery", project, bigquery, events)
    assert parts_of(position_of("bigquery", project, bigquery), topic) == ends(kafka, topic)
    archives.assert_archived(project, events)


SLOW = {"bigquery": "target_commit_before@3=delay", "files": "target_stage_after@3=delay"}


@pytest.mark.parametrize("where", TARGETS)
def test_a_process_that_was_taken_for_dead_commits_nothing_twice(project, kafka, bigquery, topic, where):
    """Stopped with rows that it has read and not committed: others have committed them when it goes on."""
    target, connections = TARGETS[where](bigquery)
    from_kafka(project, kafka, topic, target, connections, group=topic)
    events = Events(1_200, seed=44)
    with Fleet(project) as fleet:
        zombie = fleet.join(PENSTOCK_FAILPOINT=SLOW[where])
        wait_for(lambda: len(seen_by(fleet, 1)) == PARTITIONS, fleet=fleet)
        send(kafka, topic, events.messages[:600])
        wait_for(lambda: "loaded" in fleet.said(1) or arrived(where, project, bigquery) > 0, fleet=fleet)
        send(kafka, topic, events.messages[600:900], first=600)
        time.sleep(1)
        zombie.send_signal(signal.SIGSTOP)
        fleet.join()
        wait_for(lambda: len(seen_by(fleet, 2)) == PARTITIONS, fleet=fleet)
        send(kafka, topic, events.messages[900:], first=900)
        wait_for(lambda: arrived(where, project, bigquery) == sum(map(len, events.good.values())), fleet=fleet)
        zombie.send_signal(signal.SIGCONT)
        wait_for(lambda: len(seen_by(fleet, 1)) + len(seen_by(fleet, 2)) == PARTITIONS and len(seen_by(fleet, 1)) > 0, fleet=fleet)
        assert set(fleet.end().values()) == {130}
        assert any(words in fleet.said(1) for words in ("another process has committed it up to", "has taken this process for dead"))
    assert_arrived(where, project, bigquery, events)
    archives.assert_archived(project, events)
    assert parts_of(position_of(where, project, bigquery), topic) == ends(kafka, topic)


KILLED_AT = {  # of a member's first commit, which claims its seat, or of one of rows
    "files": ["target_commit_before", "archive_object_after", "archive_intent_after", "source_read_during", "target_stage_after", "target_commit_before@2",
              "target_publish_during@2", "target_cleanup_before@2", "target_commit_after@2", "source_confirm_before@2"],
    "bigquery": ["target_commit_before", "target_merge_after", "archive_intent_after", "target_stage_after", "target_commit_before@2",
                 "target_merge_after@2", "target_commit_after@2", "source_confirm_before@2"],
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("where", TARGETS)
def test_a_member_that_is_killed_anywhere_takes_nothing_along(project, kafka, bigquery, topic, where):
    """One goes on all the time; beside it one after the other is killed, each at another step, and nobody runs the pipeline again."""
    target, connections = TARGETS[where](bigquery)
    from_kafka(project, kafka, topic, target, connections, group=topic, properties={"session.timeout.ms": "3000"})
    events = Events(6_000, seed=49)
    sent = 0
    with Fleet(project) as fleet:
        steady = fleet.join()
        for point in KILLED_AT[where]:
            victim = fleet.join(PENSTOCK_FAILPOINT=f"{point}=kill")
            give_up = time.monotonic() + 60
            while victim.poll() is None and time.monotonic() < give_up and sent < len(events.messages):
                send(kafka, topic, events.messages[sent:sent + 24], first=sent)
                sent += 24
                time.sleep(0.3)
            assert victim.wait(10) == -signal.SIGKILL, (point, fleet.said(victim.number)[-3000:])
            assert steady.poll() is None, (point, fleet.said(1)[-3000:])
        send(kafka, topic, events.messages[sent:], first=sent)
        wait_for(lambda: arrived(where, project, bigquery) >= sum(map(len, events.good.values())), 120, fleet)
        wait_for(lambda: committed(kafka, topic, topic) == ends(kafka, topic), fleet=fleet)
        assert fleet.leave(steady) == 130
    assert_arrived(where, project, bigquery, events)
    assert parts_of(position_of(where, project, bigquery), topic) == ends(kafka, topic)
    # What the last one has shown and not committed goes when somebody has its seat.
    project.load("--drain")
    assert_arrived(where, project, bigquery, events)
    archives.assert_archived(project, events)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("where", TARGETS)
def test_joining_leaving_killed_stopped_and_a_broker_that_restarts(project, bigquery, where):
    broker = KafkaBroker("group.initial.rebalance.delay.ms=200\ngroup.min.session.timeout.ms=1000\n")
    try:
        broker.create("busy", partitions=PARTITIONS)
        target, connections = TARGETS[where](bigquery)
        from_kafka(project, broker, "busy", target, connections)
        events = Events(3_600, seed=45)
        sent = threading.Event()

        def feed():
            for begin in range(0, len(events.messages), 150):
                send(broker, "busy", events.messages[begin:begin + 150], first=begin)
                time.sleep(0.5)
            sent.set()

        with Fleet(project) as fleet:
            for _ in range(3):
                fleet.join()
            feeding = threading.Thread(target=feed, daemon=True)
            feeding.start()
            rng = random.Random(7)
            time.sleep(4)
            victim = fleet.processes[0]
            victim.kill()
            time.sleep(1)
            fleet.join()
            stopped = fleet.processes[1]
            stopped.send_signal(signal.SIGSTOP)
            time.sleep(3)
            fleet.join()
            time.sleep(rng.uniform(1, 3))
            broker.stop()
            time.sleep(1)
            broker.start()
            time.sleep(4)
            stopped.send_signal(signal.SIGCONT)
            for _ in range(3):
                time.sleep(rng.uniform(0.5, 2))
                fleet.leave(rng.choice([one for one in fleet.living() if one is not stopped]))
                fleet.join()
            assert sent.wait(120)
            feeding.join()
            wait_for(lambda: arrived(where, project, bigquery) >= sum(map(len, events.good.values())), 200, fleet)
            codes = fleet.end()
            # Debian's librdkafka 2.0.2 may fall over an assertion of its own when it is closed within a rebalance: no worse than a kill.
            codes = {number: -signal.SIGKILL if code == -signal.SIGABRT and ASSIGNOR in fleet.said(number) else code for number, code in codes.items()}
            assert set(codes.values()) <= {130, -signal.SIGKILL}, (codes, [fleet.said(number)[-2000:] for number in codes])
        project.load("--drain")
        assert_arrived(where, project, bigquery, events)
        archives.assert_archived(project, events)
        assert parts_of(position_of(where, project, bigquery), "busy") == ends(broker, "busy")
        assert not list((project.folder / "lake" / "_penstock").glob("staging/*"))
        for said in fleet.outputs:
            assert "penstock is at fault" not in said.read_text(errors="replace")
    finally:
        broker.destroy()


def test_a_warehouse_of_one_writer_says_so(project, kafka, topic):
    from_kafka(project, kafka, topic, {"connection": "warehouse", "mode": "append"}, {"warehouse": {"type": "duckdb", "path": "warehouse.duckdb"}}, group=topic)
    with Fleet(project) as fleet:
        fleet.join()
        wait_for(lambda: "begins" in fleet.said(1), fleet=fleet)
        refused = project.run("run", "backend_events", "--drain", expect=1)
        assert "already running" in refused.err and "one process" in refused.err, refused
        assert set(fleet.end().values()) == {130}


def test_events_in_avro_are_shared_too(project, kafka, topic):
    schema = {"type": "record", "name": "Small", "fields": [{"name": "id", "type": "long"}]}
    (project.folder / "small.avsc").write_text(json.dumps(schema))
    (project.folder / "small.sql").write_text("CREATE TABLE s.t (id INT64)")
    (project.folder / "penstock.yaml").write_text(yaml.safe_dump({
        "version": 1, "connections": {"lake": {"type": "files", "url": "file:lake"},
                                      "events": {"type": "kafka", "brokers": kafka.brokers, "properties": SHORT}},
        "pipelines": {"backend_events": {
            "source": {"connection": "events", "topics": [topic], "format": "avro", "schema": "small.avsc", "group": topic},
            "route": {"all": {"schema": "small.sql", "table": "s.t"}},
            "target": {**into_files()[0], "commit_every": "100ms"}}}}))
    with Fleet(project) as fleet:
        fleet.join()
        fleet.join()
        wait_for(lambda: [len(seen_by(fleet, number)) for number in (1, 2)] == [3, 3], fleet=fleet)
        send(kafka, topic, [avro(schema, {"id": number}) for number in range(600)])
        wait_for(lambda: committed(kafka, topic, topic) == ends(kafka, topic), fleet=fleet)
        assert set(fleet.end().values()) == {130}
    assert sorted(row["id"] for row in lake_of.of_table(project.folder / "lake", "s.t")) == list(range(600))
    manifests = (project.folder / "lake" / "_penstock" / "manifests" / "backend_events").glob("*/*.json")
    assert len({json.loads(file.read_text())["run_id"] for file in manifests}) == 2


# -- Pub/Sub ------------------------------------------------------------------------------------------------------------


def from_pubsub(project, bus, target, connections, **source):
    shared(project, {"connection": "events", "subscription": NAME, "format": "json", "pull": "unary", "idle": "2s", "lease": "10s", **source}, target,
           {"events": {"type": "pubsub", "project": PROJECT, "endpoint": bus.endpoint, "timeout": "5s"}, **connections})


@pytest.mark.parametrize("where", TARGETS)
def test_a_subscription_is_shared_though_everything_comes_again_elsewhere(project, start_server, bigquery, where):
    bus = start_server()
    subscribe(bus, ack_deadline_seconds=10)
    target, connections = TARGETS[where](bigquery)
    from_pubsub(project, bus, target, connections)
    events = Events(1_500, seed=46)
    with Fleet(project) as fleet:
        for _ in range(3):
            fleet.join()
        for begin in range(0, len(events.messages), 150):
            publish(bus, events.messages[begin:begin + 150])
            deliver_again(bus, begin + 150)
            time.sleep(0.7)
            if begin == 450:
                fleet.processes[0].kill()
            if begin == 600:
                fleet.join()
            if begin == 750:
                fleet.processes[1].send_signal(signal.SIGSTOP)
            if begin == 1200:
                deliver_again(bus, 1_500)
                fleet.processes[1].send_signal(signal.SIGCONT)
        wait_for(lambda: arrived(where, project, bigquery) >= sum(map(len, events.good.values())), 200, fleet)
        codes = fleet.end()
        assert set(codes.values()) <= {130, -signal.SIGKILL}, (codes, [fleet.said(number)[-2000:] for number in codes])
    project.load("--drain")
    assert_arrived(where, project, bigquery, events)
    archives.assert_archived(project, events)
    assert left(bus) == 0


# -- what fails on the way ---------------------------------------------------------------------------------------------


def test_an_archive_that_is_away_holds_everything_back(project, kafka, bigquery, topic, s3, tmp_path):
    proxies = Toxiproxy()
    try:
        proxy = proxies.proxy(s3.port)
        target, connections = into_bigquery(bigquery)
        bucket = {**s3.connection(retry_for="2s"), "endpoint": f"http://127.0.0.1:{proxy.port}", "url": f"s3://{BUCKET}/{topic}"}
        project.environment["S3_SECRET"] = s3.secret_key
        from_kafka(project, kafka, topic, target, {**connections, "bucket": bucket}, group=topic, archived_in="bucket",
                   retries={"delay": "500ms", "max": 30, "backoff": 1})
        events = Events(900, seed=47)
        with Fleet(project) as fleet:
            fleet.join()
            fleet.join()
            send(kafka, topic, events.messages[:300])
            good = sum(b"event_type" in message for message in events.messages[:300])
            wait_for(lambda: arrived("bigquery", project, bigquery) > good // 2, fleet=fleet)
            wait_for(lambda: committed(kafka, topic, topic) == ends(kafka, topic), fleet=fleet)
            before, rows = ends(kafka, topic), arrived("bigquery", project, bigquery)
            proxy.cut()
            send(kafka, topic, events.messages[300:], first=300)
            until = time.monotonic() + AWAY
            while time.monotonic() < until:
                assert arrived("bigquery", project, bigquery) == rows
                assert committed(kafka, topic, topic) == before
                time.sleep(2)
            assert len(fleet.living()) == 2, fleet.said(1)[-3000:]
            proxy.mend()
            wait_for(lambda: arrived("bigquery", project, bigquery) == sum(map(len, events.good.values())), 120, fleet)
            assert set(fleet.end().values()) == {130}
        warehouse.assert_arrived(bigquery, events)
        store = S3FileSystem(access_key=s3.access_key, secret_key=s3.secret_key, endpoint_override=s3.endpoint, region="us-east-1")
        copy_files(f"{BUCKET}/{topic}/output", str(project.folder / "lake" / "output"), source_filesystem=store, destination_filesystem=LocalFileSystem())
        archives.assert_archived(project, events)
    finally:
        proxies.destroy()


def test_a_target_that_refuses_rejects_lets_nothing_pass(project, kafka, bigquery, topic):
    target, connections = into_bigquery(bigquery)
    from_kafka(project, kafka, topic, target, connections, group=topic, retries={"max": 1, "delay": "100ms"})
    events = Events(400, seed=48)
    send(kafka, topic, events.messages[:50])
    project.load("--drain")
    before, rows = ends(kafka, topic), arrived("bigquery", project, bigquery)
    client = bigquery.client(default_query_job_config=QueryJobConfig(maximum_bytes_billed=10**12))
    client.query("ALTER TABLE `stand-in.penstock.rejects` DROP COLUMN reason").result()
    client.query("ALTER TABLE `stand-in.penstock.rejects` ADD COLUMN reason INT64").result()
    send(kafka, topic, events.messages[50:], first=50)
    refused = project.run("run", "backend_events", "--drain", expect=1)
    assert "commit the rows" in refused.err and "reason" in refused.err, refused
    assert (arrived("bigquery", project, bigquery), committed(kafka, topic, topic)) == (rows, before)
    client.query("ALTER TABLE `stand-in.penstock.rejects` DROP COLUMN reason").result()
    client.query("ALTER TABLE `stand-in.penstock.rejects` ADD COLUMN reason STRING").result()
    project.load("--drain")
    assert arrived("bigquery", project, bigquery) == sum(map(len, events.good.values()))
    found = [dict(row) for row in client.query("SELECT * FROM `stand-in.penstock.rejects`").result()]
    assert Counter((row["code"], row["route"] or None) for row in found) == Counter((code, route) for code, route, _ in events.bad)
    archives.assert_archived(project, events)
    assert committed(kafka, topic, topic) == ends(kafka, topic)
