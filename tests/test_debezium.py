"""Debezium's change events through Kafka, both ways: a real Debezium's applied by Penstock, Penstock's own beside Debezium's."""

import json
import shutil
import signal
import time

import duckdb
import pytest
from confluent_kafka import Producer

from support.bigquery import Warehouse
from support.changes import LOADER, SCHEMA, Workload, assert_mirrored, drop_slots
from support.debezium import Connect
from support.kafka import KafkaBroker

KEYED = ("customers", "orders", "notes", "parts")
ALL = (*KEYED, "logs")


@pytest.fixture(scope="module")
def kafka():
    made = KafkaBroker("auto.create.topics.enable=true\nnum.partitions=1\n")
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def connect(kafka):
    made = Connect(kafka.brokers)
    yield made
    made.stop()


@pytest.fixture
def shop(server, make_database):
    database = make_database(server)
    database.execute(SCHEMA)
    yield database
    drop_slots(database)


@pytest.fixture
def captured(connect, shop):
    """Connectors on the shop, removed with it: name(**settings) starts one."""
    names = []

    def start(tables, **settings):
        name = f"{shop.name}{chr(97 + len(names))}"
        names.append(name)
        connect.capture(name, shop, [f"public.{table}" for table in tables], **{"publish.via.partition.root": "true", **settings})
        return name

    yield start
    for name in names:
        connect.remove(name)


def from_kafka(project, kafka, shop, topics, mode="merge", target=None, settings=None, connections=None, **source):
    project.pipeline(shop, {"connection": "bus", "topics": topics, "format": "debezium", **source},
                     {"connection": "warehouse", "dataset": "main", "mode": mode, **(target or {})},
                     connections={"bus": {"type": "kafka", "brokers": kafka.brokers}, **(connections or {})}, retries={"delay": "100ms"}, **(settings or {}))


def topics_of(name, tables):
    return [f"{name}.public.{table}" for table in tables]


def produce(kafka, topic, messages, partition=-1):
    """(key, value) pairs as they are; a value of None is a tombstone, a key of None no key. A third is the headers."""
    producer = Producer({"bootstrap.servers": kafka.brokers, "linger.ms": 0})
    for key, value, *headers in messages:
        producer.produce(topic, key=key, value=value, headers=headers[0] if headers else None, partition=partition)
        producer.flush(30)


def envelope(op, after=None, before=None, **more):
    source = {"schema": "public", "table": "things", "ts_ms": 1700000000000, "lsn": 1}
    return json.dumps({"before": before, "after": after, "source": source, "op": op, "ts_ms": 1700000000001, **more})


# ---- a real Debezium's events -------------------------------------------------------------------------------------------


def test_a_real_debezium_is_applied_in_mirror_and_history(kafka, connect, shop, captured, make_project):
    name = captured(ALL)
    mirror, history = make_project(), make_project()
    from_kafka(mirror, kafka, shop, topics_of(name, ALL))
    from_kafka(history, kafka, shop, topics_of(name, KEYED), mode="history")
    work = Workload(shop, seed=20)
    for steps in (0, 40, 60):
        work.run(steps)
        connect.caught_up(name, shop)
        mirror.load()
        assert_mirrored(shop, mirror, ALL)
    history.load()
    assert_mirrored(shop, history, KEYED, "_penstock_valid_to IS NULL")
    again = mirror.load()
    assert again.counts() == (0, 0, 0, 0), "a drain without new events has nothing to do"


@pytest.mark.parametrize("failpoint", ["changes_receive_after", "source_read_during", "target_stage_after", "target_commit_before", "target_commit_after", "source_confirm_before"])
def test_a_killed_run_goes_on_where_the_target_is(kafka, shop, project, failpoint):
    topic = f"{shop.name}{failpoint}.public.things"
    rows = [(json.dumps({"id": i}), envelope("c", {"id": i, "name": f"row {i}"})) for i in range(3)]
    produce(kafka, topic, rows)
    from_kafka(project, kafka, shop, [topic], columns={"id": "bigint", "name": "text"})
    project.run("run", "p", env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"}, expect=-signal.SIGKILL)
    produce(kafka, topic, [(json.dumps({"id": 1}), envelope("d", before={"id": 1, "name": None})), (json.dumps({"id": 1}), None)])
    project.load()
    assert project.duck("SELECT id, name FROM things ORDER BY id") == [(0, "row 0"), (2, "row 2")]


@pytest.fixture
def warehouse(bigquery):
    made = Warehouse(bigquery)
    yield made
    assert bigquery.stats()["unlimited"] == [], "a query job had no maximumBytesBilled"
    made.client.close()


def into_bigquery(project, kafka, shop, warehouse, topics, mode="merge", target=None, **source):
    from_kafka(project, kafka, shop, topics, mode=mode, target={"connection": "bq", "dataset": "shop", **(target or {})}, connections=warehouse.connection(),
               settings={"array_nulls": "json"}, **source)


def test_killed_runs_into_bigquery_go_on_where_the_target_is(kafka, shop, project, warehouse):
    topic = f"{shop.name}bq.public.things"
    into_bigquery(project, kafka, shop, warehouse, [topic], columns={"id": "bigint", "name": "text"})
    kept, died, points = {}, [], ["changes_receive_after", "source_read_during", "target_schema_before", "target_publish_during", "target_stage_after",
                                  "target_merge_after", "target_commit_before", "target_commit_after", "source_confirm_before"]
    for number, point in enumerate(points):
        new = {number * 10 + i: f"row {number}" for i in range(3)}
        changes = [(json.dumps({"id": i}), envelope("c", {"id": i, "name": name})) for i, name in new.items()]
        gone = number * 10 - 9
        if kept.pop(gone, None):
            changes += [(json.dumps({"id": gone}), envelope("d", before={"id": gone, "name": None})), (json.dumps({"id": gone}), None)]
        produce(kafka, topic, changes)
        kept |= new
        died.append(project.run("run", "p", env={"PENSTOCK_FAILPOINT": f"{point}=kill"}, expect=None).code == -signal.SIGKILL)
        project.load()
        assert dict(warehouse.rows("SELECT id, name FROM shop.things")) == kept, point
        assert warehouse.value("SELECT COUNT(*) FROM shop.things") == len(kept), point
    assert all(died), [point for point, was in zip(points, died) if not was]
    assert not warehouse.staging()


KINDS = """
CREATE TYPE mood AS ENUM ('calm', 'cross');
CREATE TABLE kinds (id int PRIMARY KEY, bounded numeric(12,2), free numeric, small smallint, big bigint, single real, double float8, flag boolean,
 day date, t3 time(3), t6 time, ts3 timestamp(3), ts6 timestamp, tz timestamptz, document jsonb, words text[], numbers int[], prices numeric(6,2)[], uid uuid,
 raw bytea, address inet, span int4range, feeling mood, fixed char(4));
INSERT INTO kinds VALUES
 (1, 1234.50, 0.000123456789012345, -2, 9223372036854775807, 1.5, 'NaN', true, '2024-02-29', '13:14:15.678', '23:59:59.999999', '2024-02-29 12:34:56.789',
  '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+02', '{"k": null, "n": 1e3, "s": "\\"é"}', '{x,"y,z",NULL}', '{1,2,NULL}', '{1.10,-2.20}',
  '00000000-0000-4000-8000-000000000001', '\\xdeadbeef', '10.0.0.1/24', '[1,5)', 'calm', 'ab'),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (3, -9999999999.99, -98765432109876543210.123456789, 32767, -9223372036854775808, '-Infinity', 1e300, false, '0001-01-01', '00:00', '00:00:00.000001',
  '0044-03-15 12:00 BC', 'infinity', '-infinity', '[]', '{}', '{}', '{}', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '', '::1', 'empty', 'cross', ''),
 (4, 0.01, 12345678901234567890123456789.5, 0, 0, 1e-40, -0.0, true, '9999-12-31', '12:00', '12:00', '9999-12-31', '9999-12-31 23:59:59.999999',
  '9999-12-31 23:59:59.999999Z', '1', '{"\\"q\\""}', '{-2147483648}', '{0}', '00000000-0000-0000-0000-000000000000', '\\x00ff', '1.2.3.4', '(,)', 'calm', 'é'); -- '
"""

DECLARED = {"id": "int", "bounded": "numeric(12,2)", "free": "numeric", "small": "smallint", "big": "bigint", "single": "real", "double": "double precision",
            "flag": "boolean", "day": "date", "t3": "time(3)", "t6": "time", "ts3": "timestamp(3)", "ts6": "timestamp", "tz": "timestamptz", "document": "jsonb",
            "words": "text[]", "numbers": "int[]", "prices": "numeric(6,2)[]", "uid": "uuid", "raw": "bytea", "address": "text", "span": "text",
            "feeling": "text", "fixed": "text"}

MODES = {
    "schemas": (True, {}, {}),
    "schemas as text": (True, {"decimal.handling.mode": "string", "time.precision.mode": "isostring", "binary.handling.mode": "hex"},
                        {"binaries": "hex", "columns": {"bounded": "numeric(12,2)", "free": "numeric", "prices": "numeric(6,2)[]", "raw": "bytea"},
                         "decimals": "string"}),
    "no schemas": (False, {"time.precision.mode": "adaptive_time_microseconds", "binary.handling.mode": "base64-url-safe"},
                   {"times": "adaptive_time_microseconds", "binaries": "base64-url-safe", "columns": DECLARED}),
    "nanoseconds": (True, {"time.precision.mode": "nanoseconds", "unavailable.value.placeholder": "none.of.that"}, {"unavailable_value": "none.of.that"}),
}


def test_every_handling_mode_gives_the_same_values(kafka, connect, shop, captured, make_project):
    shop.execute(KINDS)
    # Nanoseconds reach from 1677 to 2262: the connector ends with an overflow beyond.
    shop.execute("CREATE TABLE moderate (LIKE kinds INCLUDING ALL); INSERT INTO moderate SELECT * FROM kinds WHERE id < 3")
    tables = {mode: "moderate" if mode == "nanoseconds" else "kinds" for mode in MODES}
    names = {mode: captured([tables[mode]], schemas=schemas, **settings) for mode, (schemas, settings, _) in MODES.items()}
    # Not before: a snapshot of Debezium 3.7 loses the era of a date, its stream does not.
    shop.execute("UPDATE kinds SET small = small + 1, day = '0044-03-15 BC' WHERE id = 4")
    for table in ("kinds", "moderate"):
        shop.execute(f"INSERT INTO {table} SELECT 10 + id, bounded, free, small, big, single, double, flag, day, t3, t6, ts3, ts6, tz, document, words, numbers, "
                     f"prices, uid, raw, address, span, feeling, fixed FROM {table}")
    for mode, (_, _, source) in MODES.items():
        project = make_project()
        connect.caught_up(names[mode], shop)
        from_kafka(project, kafka, shop, topics_of(names[mode], [tables[mode]]), settings={"numeric": "text"}, **source)
        project.load()
        assert_mirrored(shop, project, (tables[mode],))


# ---- messages as they come -----------------------------------------------------------------------------------------------


def test_what_cannot_be_held_is_rejected_with_its_place(kafka, shop, project):
    topic = f"{shop.name}.public.things"
    key = json.dumps({"id": 1})
    produce(kafka, topic, [
        (key, envelope("c", {"id": 1, "amount": "AeI6"})), ('{"id": 2}', "{not json"), ('{"id": 3}', '{"id": 3, "amount": null}'),
        ('{"id": 4}', envelope("c", {"id": 4, "amount": "AeI6AAAAAAAAAAA="})), ('{"id": 5}', envelope("u", {"id": 5})),
        ('{"id": 6}', envelope("c", {"id": 6, "amount": "AQ=="})), (key, None), ('{"id": 7}', envelope("m"))])
    from_kafka(project, kafka, shop, [topic], columns={"id": "bigint", "amount": "numeric(6,2)"}, settings={"on_reject": "continue"})
    report = project.load()
    assert report.counts() == (7, 3, 4, 0) or report.counts() == (7, 2, 4, 1), report.output
    assert project.duck("SELECT id, amount::VARCHAR FROM things") == [(6, "0.01")]
    found = {reject["source_position"]: (reject["code"], reject["column"]) for reject in project.rejects()}
    assert found == {f"{topic}/0/1": ("bad_json", None), f"{topic}/0/2": ("not_an_envelope", None), f"{topic}/0/3": ("numeric_overflow", "amount"),
                     f"{topic}/0/4": ("missing_field", "amount")}
    assert any(reject["payload"] == "{not json" for reject in project.rejects())
    assert project.load().counts() == (0, 0, 0, 0)


def test_events_without_schema_say_which_columns_they_need(kafka, shop, project):
    topic = f"{shop.name}.public.things"
    produce(kafka, topic, [('{"id": 1}', envelope("c", {"id": 1, "name": "x"}))])
    from_kafka(project, kafka, shop, [topic])
    error = project.load(expect=2).error
    assert error["code"] == "columns_unknown" and "columns: {id: bigint, name: text}" in error["hint"]


def test_a_topic_made_anew_is_refused(kafka, shop, project):
    topic = f"{shop.name}.public.things"
    events = [(json.dumps({"id": i}), envelope("c", {"id": i})) for i in range(3)]
    produce(kafka, topic, events[:2])
    from_kafka(project, kafka, shop, [topic], columns={"id": "bigint"})
    project.load()
    kafka.admin.delete_topics([topic])[topic].result(20)
    while topic in kafka.topics():
        time.sleep(0.1)
    produce(kafka, topic, events[2:])
    assert project.load(expect=1).error["code"] == "events_lost"  # shorter than it was
    produce(kafka, topic, events[:2])
    assert project.load(expect=1).error["code"] == "events_lost"  # long enough, with another message at the place
    project.load("--full-refresh")
    assert sorted(project.duck("SELECT id FROM things")) == [(0,), (1,), (2,)]


def test_new_columns_come_into_the_target(kafka, connect, shop, captured, project):
    name = captured(["customers"])
    from_kafka(project, kafka, shop, topics_of(name, ["customers"]))
    shop.execute("UPDATE customers SET name = 'before' WHERE id = 3")
    connect.caught_up(name, shop)
    project.load()
    shop.execute("UPDATE customers SET name = 'still' WHERE id = 4; ALTER TABLE customers ADD COLUMN extra text; UPDATE customers SET extra = 'new' WHERE id = 5;"
                 "ALTER TABLE customers ALTER COLUMN balance TYPE numeric(14,2); INSERT INTO customers (id, balance, extra) VALUES (900, 123456789012.25, 'z')")
    connect.caught_up(name, shop)
    project.load()
    assert_mirrored(shop, project, ("customers",))


def test_many_events_in_several_partitions_take_bounded_memory(kafka, shop, project):
    topic = f"{shop.name}.public.things"
    kafka.create(topic, 3)
    producer = Producer({"bootstrap.servers": kafka.brokers, "queue.buffering.max.messages": 1000000})
    rows = {}
    for number in range(30_000):
        row = {"id": number % 9_000, "text": f"{number} " + "x" * 3_000}
        rows[row["id"]] = row["text"][:20]
        producer.produce(topic, key=json.dumps({"id": row["id"]}), value=envelope("c" if number < 9_000 else "u", row))
        producer.poll(0)
    producer.flush(60)
    from_kafka(project, kafka, shop, [topic], columns={"id": "bigint", "text": "text"}, settings={"memory": "192MiB", "parallel": 1})
    run = project.load().run()
    assert run["rows_read"] == 30_000
    assert run["peak_memory_bytes"] < 256 * 2**20
    assert dict(project.duck("SELECT id, left(text, 20) FROM things")) == rows


def test_follow_goes_on_until_it_is_told(kafka, shop, project):
    topic = f"{shop.name}.public.things"
    from_kafka(project, kafka, shop, [topic], columns={"id": "bigint"}, settings={"run": "follow"})
    produce(kafka, topic, [('{"id": 1}', envelope("c", {"id": 1}))])
    running = project.start("run", "p")
    try:
        for count in (1, 2):
            end = time.monotonic() + 30
            while copied(project) != count:
                assert time.monotonic() < end, "the event did not arrive"
                time.sleep(0.2)
            produce(kafka, topic, [('{"id": 2}', envelope("c", {"id": 2}))])
    finally:
        running.signal(signal.SIGTERM)
        assert running.wait().code == 130


def copied(project):
    """Rows that a second reader sees while the run has the file."""
    copy = project.folder / "copy.duckdb"
    for suffix in ("", ".wal"):
        source, target = (path.with_name(path.name + suffix) for path in (project.warehouse, copy))
        target.unlink(missing_ok=True)
        if source.exists():
            shutil.copy(source, target)
    try:
        with duckdb.connect(str(copy)) as connection:
            return connection.execute("SELECT count(*) FROM things").fetchone()[0]
    except duckdb.Error:
        return 0


# ---- ours ----------------------------------------------------------------------------------------------------------------


def to_kafka(project, kafka, shop, server, tables, **target):
    """The shop's changes into topics of ours, by a role that may replicate and read."""
    with shop.server.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
    names = [f"public.{table}" for table in tables]
    shop.execute(f"CREATE PUBLICATION ours FOR TABLE {', '.join(names)} WITH (publish_via_partition_root = true)")
    project.pipeline(shop, {"changes": {"tables": names, "publication": "ours", "slot": f"ours_{shop.name}", "create": True}},
                     {"connection": "bus", "format": "debezium", "server": server, "partitions": 1, "bookkeeping": f"{server}_books", **target},
                     connections={"bus": {"type": "kafka", "brokers": kafka.brokers}})


@pytest.mark.parametrize("schemas", [True, False])
def test_our_events_are_applied_as_debezium_s_are(kafka, shop, make_project, schemas):
    out, back = make_project(), make_project()
    server = f"{shop.name}ours"
    to_kafka(out, kafka, shop, server, ALL, schemas=schemas)
    declared = {"customers": {"id": "int", "name": "text", "balance": "numeric(12,2)", "joined": "timestamptz"},
                "orders": {"region": "text", "number": "bigint", "amount": "numeric(12,2)", "tags": "text[]", "document": "jsonb"},
                "notes": {"id": "uuid", "title": "text", "body": "text", "picture": "bytea"},
                "logs": {"at": "timestamptz", "line": "text", "level": "int"},
                "parts": {"id": "int", "day": "date", "value": "float64"}}
    columns = {f"{table}.{name}": kind for table, kinds in declared.items() for name, kind in kinds.items()}
    from_kafka(back, kafka, shop, topics_of(server, ALL), **({} if schemas else {"columns": columns}))
    work = Workload(shop, seed=21)
    for steps in (0, 40, 40):
        work.run(steps)
        out.load()
        back.load()
        assert_mirrored(shop, back, ALL)


def test_kafka_connect_s_own_converter_reads_our_events(kafka, connect, shop, project, tmp_path):
    """Its file sink writes what JsonConverter made of our schemas: a schema that does not fit its payload would stop it."""
    ours = f"{shop.name}ours"
    to_kafka(project, kafka, shop, ours, ["customers", "orders"], schemas=True)
    project.load()
    written = tmp_path / "events"
    converter = {f"{side}.converter": "org.apache.kafka.connect.json.JsonConverter" for side in ("key", "value")}
    connect.add(f"{ours}_file", {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "file": str(written), "tasks.max": "1",
                                 "topics": ",".join(topics_of(ours, ["customers", "orders"])), **converter,
                                 **{f"{side}.converter.schemas.enable": "true" for side in ("key", "value")}})
    try:
        end = time.monotonic() + 60
        while not written.exists() or written.read_text().count("\n") < 500:
            assert connect.running(f"{ours}_file") is not None and time.monotonic() < end, "the events did not come through"
            time.sleep(0.3)
    finally:
        connect.remove(f"{ours}_file")
    lines = written.read_text().splitlines()
    assert len(lines) == 500 and all(line.startswith("Struct{") and "op=r" in line for line in lines)
    assert sum("balance=" in line for line in lines) == 200
