"""Changes to Kafka: what a consumer of committed transactions that is not ours reads amounts to the source, row by row, each change
once, whatever is killed on the way."""

import json
import signal
import time

import pytest
from confluent_kafka import KafkaException, Producer

from support.changes import SCHEMA, TABLES, Workload, drop_slots
from support.events import EXACT, assert_each_once, assert_same_rows, fold, publish, topic_of
from support.kafka import KafkaBroker
from support.program import key_of

ONE = {**EXACT, "partitions": 1, "position_header": True}


@pytest.fixture
def shop(database):
    database.execute(SCHEMA)
    yield database
    drop_slots(database)


@pytest.fixture
def empty(database):
    yield database
    drop_slots(database)


def assert_published(shop, broker, tables=TABLES):
    for table in tables:
        events = broker.events(topic_of(shop, table))
        assert_each_once(events) if table != "logs" else None  # rows of a snapshot without key have nothing to be told apart by
        assert_same_rows(shop, table, events)


@pytest.mark.parametrize("seed", range(2))
def test_mixed_workload(shop, project, broker, seed):
    publish(shop, project, broker, TABLES, **ONE)
    first = project.load().run()
    assert (first["rows_read"], first["rows_written"]) == (730, 730)
    assert_published(shop, broker)
    work = Workload(shop, seed)
    for _ in range(3):
        work.run(40)
        report = project.load().run()
        assert report["rows_read"] == report["rows_written"] > 0
        assert_published(shop, broker)
    assert project.load().run()["rows_read"] == 0


FAILPOINTS = ["source_read_during", "target_open_after", "target_schema_before", "bus_fence_after", "target_stage_after", "target_commit_before",
              "target_commit_after", "source_confirm_before"]


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_killed_in_the_snapshot_and_in_the_stream(shop, project, broker, failpoint):
    publish(shop, project, broker, TABLES, **ONE)
    work, codes = Workload(shop, 7), []

    def killed(visit):
        codes.append(project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}@{visit}=kill"}).code)

    for visit in (1, 2):
        killed(visit)
        work.run(8)
    project.load()
    assert_published(shop, broker)
    for visit in (1, 2):
        work.run(10)
        killed(visit)
    project.load()
    assert_published(shop, broker)
    assert -signal.SIGKILL in codes, codes


def test_an_answer_that_was_lost(shop, project, broker):
    """The commit is durable, and the run does not learn of it: its retry does, and writes nothing twice."""
    publish(shop, project, broker, TABLES, settings={"retries": {"max": 3, "delay": "100ms"}}, **ONE)
    report = project.load(env={"PENSTOCK_FAILPOINT": "target_commit_after=error"}).run()
    assert report["rows_read"] == report["rows_written"] == 730
    Workload(shop, 3).run(20)
    project.load(env={"PENSTOCK_FAILPOINT": "target_commit_after=error"})
    assert_published(shop, broker)


def test_a_zombie_is_fenced(shop, project, broker):
    """A producer of the same id with an open transaction: the run takes its messages back, and its commit fails."""
    publish(shop, project, broker, ["customers"], **ONE)
    project.load()
    topic = topic_of(shop, "customers")
    zombie = Producer({"bootstrap.servers": broker.brokers, "transactional.id": f"penstock.{shop.name}", "log_level": 0})
    zombie.init_transactions(20)
    zombie.begin_transaction()
    zombie.produce(topic, key=b'{"id":-5}', value=b'{"op":"c","before":null,"after":{"id":-5}}')
    zombie.flush(20)
    shop.execute("UPDATE customers SET balance = 3")
    assert project.load().run()["rows_written"] == 200
    with pytest.raises(KafkaException):
        zombie.commit_transaction(20)
    assert_published(shop, broker, ["customers"])


def test_an_older_run_is_fenced(shop, project, broker):
    """The other way round: somebody takes over while the run has a transaction open."""
    publish(shop, project, broker, ["customers"], **ONE)
    project.load()
    topic = topic_of(shop, "customers")
    shop.execute("UPDATE customers SET balance = 4")
    run = project.start("run", "--all", env={"PENSTOCK_FAILPOINT": "target_stage_after=delay,target_commit_before=delay"})
    for _ in range(200):
        if len(broker.messages(topic, committed=False)) > 200:
            break
        time.sleep(0.05)
    Producer({"bootstrap.servers": broker.brokers, "transactional.id": f"penstock.{shop.name}", "log_level": 0}).init_transactions(20)
    output = run.wait()
    assert output.code == 1 and "taken over" in output.both, output
    assert len(broker.messages(topic)) == 200
    project.load()
    assert_published(shop, broker, ["customers"])


def test_the_broker_restarts_in_the_middle(shop, project):
    broker = KafkaBroker()
    try:
        publish(shop, project, broker, TABLES, settings={"retries": {"max": 20, "delay": "500ms", "backoff": 1}}, **ONE)
        project.load()
        work = Workload(shop, 11)
        for how in (signal.SIGKILL, signal.SIGTERM):
            work.run(30)
            run = project.start("run", "--all", env={"PENSTOCK_FAILPOINT": "target_stage_after=delay"})
            time.sleep(0.7)
            broker.stop(how)
            time.sleep(0.5)
            broker.start()
            output = run.wait(120)
            assert output.code == 0, output
            assert_published(shop, broker)
    finally:
        broker.destroy()


def test_a_broker_that_is_down(shop, project, broker):
    publish(shop, project, broker, ["customers"], settings={"retries": {"max": 1, "delay": "100ms"}}, **ONE)
    config = json.loads((project.folder / "penstock.yaml").read_text())
    config["connections"]["bus"].update(brokers="127.0.0.1:1", timeout="2s")
    project.write(json.dumps(config))
    report = project.load(expect=1)
    assert report.error["code"] == "kafka_unavailable" and "127.0.0.1:1" in report.error["where"], report.error
    doctor = project.run("doctor", "bus", expect=None)
    assert doctor.code != 0 and "brokers" in doctor.both, doctor


def test_old_rows_keys_and_truncates(empty, project, broker):
    empty.execute("CREATE TABLE f (id int PRIMARY KEY, a text, b numeric); ALTER TABLE f REPLICA IDENTITY FULL;"
                  "CREATE TABLE k (id int PRIMARY KEY, a text NOT NULL); CREATE TABLE n (a int, b text); ALTER TABLE n REPLICA IDENTITY FULL")
    publish(empty, project, broker, ["f", "k", "n"], **ONE)
    project.load()
    empty.execute("INSERT INTO f VALUES (1, 'x', 1.50); UPDATE f SET a = 'y'; UPDATE f SET id = 2; DELETE FROM f")
    empty.execute("INSERT INTO k VALUES (1, 'x'); UPDATE k SET a = 'y'; UPDATE k SET id = 2; DELETE FROM k; INSERT INTO k VALUES (3, 'z'); TRUNCATE k")
    empty.execute("INSERT INTO n VALUES (1, 'x'), (1, 'x'); UPDATE n SET b = 'y' WHERE ctid = '(0,1)'; DELETE FROM n")
    report = project.load().run()
    assert report["rows_read"] == report["rows_written"] == 5 + 7 + 5

    def told(table):
        return [(e.op, e.key and e.key["id"], e.value and e.value["before"], e.value and e.value["after"]) for e in broker.events(topic_of(empty, table))]

    def row(**values):
        return values

    assert told("f") == [("c", 1, None, row(id=1, a="x", b="1.50")), ("u", 1, row(id=1, a="x", b="1.50"), row(id=1, a="y", b="1.50")),
                         ("d", 1, row(id=1, a="y", b="1.50"), None), (None, 1, None, None), ("c", 2, None, row(id=2, a="y", b="1.50")),
                         ("d", 2, row(id=2, a="y", b="1.50"), None), (None, 2, None, None)]
    assert told("k") == [("c", 1, None, row(id=1, a="x")), ("u", 1, None, row(id=1, a="y")), ("d", 1, row(id=1, a=None), None), (None, 1, None, None),
                         ("c", 2, None, row(id=2, a="y")), ("d", 2, row(id=2, a=None), None), (None, 2, None, None),
                         ("c", 3, None, row(id=3, a="z")), ("t", None, None, None)]
    assert sorted(told("n"), key=str) == sorted([("c", None, None, row(a=1, b="x"))] * 2 + [("u", None, row(a=1, b="x"), row(a=1, b="y")),
                         ("d", None, row(a=1, b="x"), None), ("d", None, row(a=1, b="y"), None)], key=str)
    moved = [e.headers for e in broker.events(topic_of(empty, "k")) if "__debezium.newkey" in e.headers or "__debezium.oldkey" in e.headers]
    assert [(h.get("__debezium.newkey"), h.get("__debezium.oldkey")) for h in moved] == [('{"id":2}', None), ('{"id":2}', None), (None, '{"id":1}')]
    source = broker.events(topic_of(empty, "f"))[0].value["source"]
    assert source["db"] == empty.name and source["txId"] > 0 and source["lsn"] > 0 and (source["schema"], source["table"]) == ("public", "f")


def test_values_that_were_not_sent(empty, project, broker):
    empty.execute("CREATE TABLE t (id int PRIMARY KEY, n int, big text, raw bytea, list text[]); ALTER TABLE t ALTER big SET STORAGE EXTERNAL,"
                  " ALTER raw SET STORAGE EXTERNAL, ALTER list SET STORAGE EXTERNAL")
    empty.execute("INSERT INTO t VALUES (1, 1, repeat('x', 9000), decode(repeat('ab', 9000), 'hex'), ARRAY[repeat('y', 9000)])")
    publish(empty, project, broker, ["t"], **ONE)
    project.load()
    empty.execute("UPDATE t SET n = 2; UPDATE t SET big = '__debezium_unavailable_value'; UPDATE t SET id = 5")
    project.load()
    updates = [e for e in broker.events(topic_of(empty, "t")) if e.op in ("u", "c")]
    assert json.loads(updates[0].headers["__penstock.unavailable"]) == ["big", "raw", "list"]
    assert updates[0].value["after"] == {"id": 1, "n": 2, "big": "__debezium_unavailable_value", "raw": "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",
                                         "list": ["__debezium_unavailable_value"]}
    assert json.loads(updates[1].headers["__penstock.unavailable"]) == ["raw", "list"], "a value that only looks unsent"
    assert_same_rows(empty, "t", broker.events(topic_of(empty, "t")))


def test_too_large_and_formless_rows_are_rejects(empty, project, broker):
    empty.execute("CREATE TABLE t (id int PRIMARY KEY, a text, n numeric); INSERT INTO t VALUES (1, 'x', 1), (2, repeat('y', 5000), 2), (3, 'z', 'NaN')")
    broker.create(topic_of(empty, "t"), max_message_bytes=3000)
    publish(empty, project, broker, ["t"], settings={"on_reject": "continue"})
    report = project.load().run()
    assert (report["rows_read"], report["rows_written"], report["rows_rejected"]) == (3, 1, 2)
    empty.execute("INSERT INTO t VALUES (4, repeat('z', 4000), 4), (5, 'x', 5)")
    report = project.load().run()
    assert (report["rows_read"], report["rows_written"], report["rows_rejected"]) == (2, 1, 1)
    assert [e.key["id"] for e in broker.events(topic_of(empty, "t"))] == [1, 5]
    rejects = json.loads(project.run("rejects", "list", "--output", "json").out)["rejects"]
    assert sorted((r["code"], key_of(r)["id"]) for r in rejects) == [
        ("message_too_large", "2"), ("message_too_large", "4"), ("no_debezium_form", "3")]
    project.run("rejects", "discard", empty.name)
    assert json.loads(project.run("rejects", "list", "--output", "json").out)["rejects"] == []
    assert project.load().run()["rows_read"] == 0


def test_partitions_and_compression(shop, project, broker):
    for number, compression in enumerate(("none", "gzip", "snappy", "lz4", "zstd")):
        publish(shop, project, broker, ["customers"], topic=f"{shop.name}_{compression}", compression=compression, partitions=4, transactional_id=compression,
                bookkeeping=f"{shop.name}_{number}", source={"slot": f"slot_{shop.name}"}, name=f"{shop.name}_{number}", **EXACT)
        project.load()
        events = broker.events(f"{shop.name}_{compression}")
        assert len({e.partition for e in events}) == 4 and len(fold(events)) == 200, compression
        drop_slots(shop)


def test_what_cannot_be_is_said_before(shop, project, broker):
    publish(shop, project, broker, ["customers"], mode="merge")
    assert "takes every change as it comes" in project.run("check", expect=2).both
    publish(shop, project, broker, ["customers"], topic="{shop}.x")
    assert "{shop}, which stands for nothing" in project.run("check", expect=2).both
    publish(shop, project, broker, ["customers"], create_topics=False)
    assert "does not exist" in project.run("run", "--all", expect=1).both
    config = json.loads((project.folder / "penstock.yaml").read_text())
    config["connections"]["bus"]["properties"] = {"enable.idempotence": "false"}
    project.write(json.dumps(config))
    assert "Penstock's own business" in project.run("check", expect=2).both
    assert broker.topics().keys().isdisjoint({topic_of(shop, "customers")})
