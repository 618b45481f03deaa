"""Events in Avro and Protobuf, with a schema registry and without: every type, values at random, what is broken, and a registry that fails or lies."""

import base64
import json
import math
import random
import struct
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from confluent_kafka import Producer

from support.registry import Registry, avro, framed, message_classes
from test_events import kafka, rows  # noqa: F401  (fixture)

UTC = timezone.utc


@pytest.fixture
def topic(kafka, request):
    name = f"formats-{abs(hash(request.node.name))}"
    kafka.create(name, partitions=1)
    return name


@pytest.fixture
def registry():
    made = Registry()
    yield made
    made.close()


def send(kafka, topic, messages):
    producer = Producer({"bootstrap.servers": kafka.brokers})
    for message in messages:
        producer.produce(topic, value=message)
    assert producer.flush(60) == 0


def pipeline(project, kafka, topic, ddl, source, registry=None, archive=False):
    (project.folder / "t.sql").write_text(ddl)
    bus = {"type": "kafka", "brokers": kafka.brokers}
    if registry:
        bus["schema_registry"] = {"url": registry.url, **({"token": registry.token} if registry.token else {})}
    connections = {"bus": bus, "warehouse": {"type": "duckdb", "path": "w.duckdb"}}
    one = {"source": {"connection": "bus", "topics": [topic], **source}, "route": {"all": {"schema": "t.sql", "table": "s.t"}},
           "target": {"connection": "warehouse", "mode": "append"}, "run": "drain"}
    if archive:
        connections["lake"] = {"type": "files", "url": "file:lake"}
        one["archive"] = {"connection": "lake", "path": "{route}/{yyyy}/{MM}/{dd}/{route}_{yyyyMMddHHmmss}.bin"}
    (project.folder / "penstock.yaml").write_text(json.dumps({"version": 1, "connections": connections, "pipelines": {"events": one}}))
    return project.folder / "w.duckdb"


def rejects(file):
    return [(row["code"], row["reason"]) for row in rows(file, "SELECT code, reason FROM penstock.rejects ORDER BY id")]


EVERYTHING = {"type": "record", "name": "Everything", "namespace": "shop", "fields": [
    {"name": "id", "type": "long"},
    {"name": "small", "type": "int"},
    {"name": "yes", "type": "boolean"},
    {"name": "single", "type": "float"},
    {"name": "double", "type": "double"},
    {"name": "name", "type": ["null", "string"], "default": None},
    {"name": "raw", "type": "bytes"},
    {"name": "four", "type": {"type": "fixed", "name": "Four", "size": 4}},
    {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 4}},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "clock", "type": {"type": "long", "logicalType": "time-micros"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "wall", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
    {"name": "mark", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "address", "type": {"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}, {"name": "next", "type": ["null", "Address"]}]}},
    {"name": "extra", "type": {"type": "map", "values": ["long", "string"]}},
]}
EVERYTHING_DDL = """CREATE TABLE s.t (id INT64, small INT64, yes BOOL, single FLOAT64, double FLOAT64, name STRING, raw BYTES, four BYTES, colour STRING,
  price NUMERIC(30, 4), day DATE, clock TIME, at TIMESTAMP, wall DATETIME, mark STRING, tags ARRAY<STRING>, address JSON, extra JSON)"""


def everything(number, random):
    return {"id": random.choice([-2**63, 2**63 - 1, number]), "small": random.randint(-2**31, 2**31 - 1), "yes": random.random() < 0.5,
            "single": random.choice([0.5, -0.0, 2.0**100, 1.1754943508222875e-38]), "double": random.choice([0.1, -1e300, 5e-324, 12345.678, 0.0]),
            "name": random.choice([None, "", "a\"b\\c\n", "żółć 🚰"]), "raw": random.randbytes(random.randint(0, 9)), "four": random.randbytes(4),
            "colour": random.choice(["RED", "GREEN"]), "price": Decimal(random.choice(["0", "-0.0001", "99999999999999999999999999.9999", "-12345.6780", "7"])),
            "day": date(1, 1, 1) + timedelta(days=random.randint(0, 3652058)), "clock": time(random.randint(0, 23), 59, 59, random.choice([0, 999999, 120])),
            "at": datetime(1, 1, 1, tzinfo=UTC) + timedelta(days=random.randint(0, 3652058), microseconds=random.randint(0, 86399999999)),
            "wall": datetime(1970, 1, 1) + timedelta(milliseconds=random.randint(-10**12, 10**13)), "mark": uuid.UUID(int=random.getrandbits(128)),
            "tags": [random.choice(["", "x", "é"]) for _ in range(random.randint(0, 3))],
            "address": {"city": "A", "next": random.choice([None, {"city": "B", "next": None}])}, "extra": {"n": random.randint(-9, 9), "t": "text"}}


def as_row(event):
    """What DuckDB's client gives of it."""
    return {**event, "single": single(event["single"]), "mark": str(event["mark"])}


def comparable(row):
    out = {name: value for name, value in row.items() if name not in ("ingestion_time", "_penstock_position", "_penstock_schema_version")}
    for name in ("address", "extra"):
        out[name] = json.loads(out[name]) if isinstance(out[name], str) else out[name]
    out["single"] = single(out["single"])
    return out


def single(value):
    """As Avro's float has it."""
    return struct.unpack("f", struct.pack("f", value))[0]


def test_every_type_of_avro(project, kafka, topic, registry):
    chosen = random.Random(7)
    sent = [everything(number, chosen) for number in range(500)]
    registry.add(42, EVERYTHING)
    file = pipeline(project, kafka, topic, EVERYTHING_DDL, {"format": "avro"}, registry)
    send(kafka, topic, [framed(42, avro(EVERYTHING, event)) for event in sent])
    assert project.load().counts() == (500, 500, 0, 0), rejects(file)
    found = rows(file, "SELECT * FROM s.t ORDER BY split_part(_penstock_position, '/', 3)::BIGINT")
    for wanted, row in zip(sent, found, strict=True):
        assert comparable(row) == as_row(wanted)
    # One schema, asked for once.
    assert registry.api.paths() == ["/schemas/ids/42"]


def random_type(random, depth, names):
    kinds = ["null", "boolean", "int", "long", "double", "string", "bytes", "enum", "fixed", "array", "map", "record", "union"]
    kind = random.choice(kinds if depth < 3 else kinds[:7])
    if kind in ("enum", "fixed", "record"):
        names.append(None)
        name = f"N{len(names)}"
        if kind == "enum":
            return {"type": "enum", "name": name, "symbols": [f"S{i}" for i in range(random.randint(1, 4))]}
        if kind == "fixed":
            return {"type": "fixed", "name": name, "size": random.randint(0, 5)}
        return {"type": "record", "name": name, "fields": [{"name": f"f{i}", "type": random_type(random, depth + 1, names)} for i in range(random.randint(0, 4))]}
    if kind == "array":
        return {"type": "array", "items": random_type(random, depth + 1, names)}
    if kind == "map":
        return {"type": "map", "values": random_type(random, depth + 1, names)}
    if kind == "union":
        return random.choice([["null", "long"], ["string", "null"], ["null", "double", "string"]])
    return kind


def random_value(random, type):
    """A value, and what it is in JSON."""
    if isinstance(type, list):
        return random_value(random, random.choice(type))
    kind = type if isinstance(type, str) else type["type"]
    if kind == "null":
        return None, None
    if kind == "boolean":
        return (made := random.random() < 0.5), made
    if kind in ("int", "long"):
        bits = 31 if kind == "int" else 63
        return (made := random.choice([0, -1, 2**bits - 1, -2**bits, random.randint(-2**bits, 2**bits - 1)])), made
    if kind == "double":
        return (made := random.choice([0.0, 1.5, -1e-7, 1e22, random.uniform(-1e9, 1e9)])), made
    if kind == "string":
        return (made := "".join(random.choices("aé\"\\\n\t\x01🚰 ", k=random.randint(0, 6)))), made
    if kind in ("bytes", "fixed"):
        made = random.randbytes(type["size"] if kind == "fixed" else random.randint(0, 6))
        return made, base64.b64encode(made).decode()
    if kind == "enum":
        return (made := random.choice(type["symbols"])), made
    if kind == "array":
        made = [random_value(random, type["items"]) for _ in range(random.randint(0, 4))]
        return [value for value, _ in made], [shown for _, shown in made]
    if kind == "map":
        made = {f"k{i}": random_value(random, type["values"]) for i in range(random.randint(0, 3))}
        return {name: value for name, (value, _) in made.items()}, {name: shown for name, (_, shown) in made.items()}
    made = {field["name"]: random_value(random, field["type"]) for field in type["fields"]}
    return {name: value for name, (value, _) in made.items()}, {name: shown for name, (_, shown) in made.items()}


def test_avro_at_random(project, kafka, topic, registry):
    """A schema of its own for each of 300 messages; what arrives as JSON is what fastavro was given."""
    chosen = random.Random(11)
    messages, wanted = [], []
    for number in range(300):
        schema = {"type": "record", "name": "Top", "fields": [{"name": "id", "type": "long"}, {"name": "doc", "type": random_type(chosen, 0, [])}]}
        value, shown = random_value(chosen, schema["fields"][1]["type"])
        registry.add(number, schema)
        messages.append(framed(number, avro(schema, {"id": number, "doc": value})))
        wanted.append(shown)
    file = pipeline(project, kafka, topic, "CREATE TABLE s.t (id INT64, doc JSON)", {"format": "avro"}, registry)
    send(kafka, topic, messages)
    assert project.load().counts() == (300, 300, 0, 0), rejects(file)
    found = [row["doc"] for row in rows(file, "SELECT doc FROM s.t ORDER BY id")]
    assert [None if text is None else json.loads(text) for text in found] == wanted


SMALL = {"type": "record", "name": "Small", "fields": [{"name": "id", "type": "long"}]}


def test_what_is_broken_is_rejected_with_its_reason(project, kafka, topic, registry):
    deep = {"type": "record", "name": "Deep", "fields": [{"name": "id", "type": "long"}, {"name": "again", "type": ["null", "Deep"]}]}
    nothing = {"type": "record", "name": "Bomb", "fields": [{"name": "id", "type": "long"}, {"name": "l", "type": {"type": "array", "items": "null"}}]}
    registry.add(1, SMALL)
    registry.add(2, "{\"type\": \"record\"")
    registry.add(3, {"type": "record", "name": "R", "fields": [{"name": "x", "type": "Unknown"}]})
    registry.answers["/schemas/ids/4"] = "<html>proxy</html>"
    registry.add(5, deep)
    registry.add(6, nothing)
    registry.add(7, "syntax = \"proto3\"; message M { int64 id = 1; }", kind="PROTOBUF")
    registry.add(8, {"type": "array", "items": {"type": "array", "items": "string"}})
    registry.add(9, "[" * 100_000)
    endless = bytes([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
    broken = [
        (b"", "no_schema_number", "does not begin with the number of its schema"),
        (b'{"id": 1}', "no_schema_number", "does not begin"),
        (framed(1, b""), "bad_avro", "id: the payload ends within a value"),
        (framed(1, b"\xff" * 11), "bad_avro", "id: a number is beyond 64 bits"),
        (framed(1, b"\x02\x02"), "bad_avro", "bytes follow the value"),
        (framed(99, b"\x02"), "unknown_schema", "number 99: the schema registry does not have it"),
        (framed(2, b"\x02"), "unknown_schema", "it is no Avro schema"),
        (framed(3, b"\x02"), "unknown_schema", "type 'Unknown' is not defined"),
        (framed(4, b"\x02"), "unknown_schema", "no JSON object"),
        (framed(5, b"\x02" + b"\x02\x02" * 200), "bad_avro", "nested more than 100 levels deep"),
        (framed(6, b"\x02" + endless), "bad_avro", "longer than 64 MiB"),
        (framed(7, b"\x00\x08\x01"), "unknown_schema", "it is of Protobuf, and `format` says Avro"),
        (framed(8, b"\x00"), "not_an_object", ""),
        (framed(9, b"\x00"), "unknown_schema", ""),
    ]
    file = pipeline(project, kafka, topic, "CREATE TABLE s.t (id INT64, again JSON, l JSON)", {"format": "avro"}, registry)
    config = json.loads((project.folder / "penstock.yaml").read_text())
    config["defaults"] = {"memory": "256MiB"}
    (project.folder / "penstock.yaml").write_text(json.dumps(config))
    send(kafka, topic, [payload for payload, _, _ in broken] + [framed(1, avro(SMALL, {"id": 5}))])
    assert project.load().counts() == (len(broken) + 1, 1, len(broken), 0)
    found = rows(file, "SELECT code, reason, payload FROM penstock.rejects ORDER BY split_part(source_position, '/', 3)::BIGINT")
    for row, (payload, code, words) in zip(found, broken, strict=True):
        assert row["code"] == code and words in row["reason"], row
        kept = row["payload"] or ""
        assert (base64.b64decode(kept[7:]) if kept.startswith("base64:") else kept.encode()) == payload


def test_a_registry_that_fails(project, kafka, topic, registry):
    registry.token = "s3cr3t-registry-token"
    registry.add(1, SMALL)
    file = pipeline(project, kafka, topic, "CREATE TABLE s.t (id INT64)", {"format": "avro"}, registry)
    send(kafka, topic, [framed(1, avro(SMALL, {"id": number})) for number in range(10)])
    registry.token = "another"
    failed = project.run("run", "--all", expect=1)
    assert "schema_registry_401" in failed.both or "answered 401" in failed.both
    assert "check `username` and `password`, or `token`" in failed.both and "s3cr3t" not in failed.both
    registry.token = "s3cr3t-registry-token"
    registry.broken = 2
    assert project.load().counts() == (10, 10, 0, 0)
    assert [row["id"] for row in rows(file, "SELECT id FROM s.t ORDER BY id")] == list(range(10))


def test_a_schema_that_comes_late_is_asked_for_again(project, kafka, topic, registry):
    """A rejected message is read again once its schema is there."""
    file = pipeline(project, kafka, topic, "CREATE TABLE s.t (id INT64)", {"format": "avro"}, registry)
    send(kafka, topic, [framed(1, avro(SMALL, {"id": 3}))])
    assert project.load().counts() == (1, 0, 1, 0)
    registry.add(1, SMALL)
    project.run("rejects", "replay", "events")
    assert [row["id"] for row in rows(file, "SELECT id FROM s.t")] == [3]
    assert rows(file, "SELECT count(*) AS n FROM penstock.rejects WHERE replayed_at IS NULL") == [{"n": 0}]


def test_schemas_that_refer_to_others(project, kafka, topic, registry):
    address = {"type": "record", "name": "Address", "namespace": "shop", "fields": [{"name": "city", "type": "string"}]}
    order = {"type": "record", "name": "Order", "namespace": "shop", "fields": [{"name": "id", "type": "long"}, {"name": "to", "type": "shop.Address"}]}
    registry.add_subject("address", 3, json.dumps(address))
    registry.add(1, order, references=[{"name": "shop.Address", "subject": "address", "version": 3}])
    file = pipeline(project, kafka, topic, "CREATE TABLE s.t (id INT64, `to` STRUCT<city STRING>)", {"format": "avro"}, registry)
    whole = {**order, "fields": [order["fields"][0], {"name": "to", "type": address}]}
    send(kafka, topic, [framed(1, avro(whole, {"id": 1, "to": {"city": "Oslo"}}))])
    assert project.load().counts() == (1, 1, 0, 0), rejects(file)
    assert rows(file, 'SELECT id, "to" FROM s.t') == [{"id": 1, "to": {"city": "Oslo"}}]


def test_the_archive_has_the_bytes_and_a_replay_reads_them(project, kafka, topic, registry):
    registry.add(1, SMALL)
    file = pipeline(project, kafka, topic, "CREATE TABLE s.t (id INT64)", {"format": "avro"}, registry, archive=True)
    messages = [framed(1, avro(SMALL, {"id": number * 5 - 5})) for number in range(300)]  # 10 and 13 are among their bytes
    send(kafka, topic, messages)
    assert project.load().counts() == (300, 300, 0, 0)
    before = rows(file, "SELECT * FROM s.t ORDER BY id")
    rows_again = project.run("replay", "events", "--from", "2020-01-01", "--into", "s.again")
    assert "300 messages" in rows_again.both or '"rows_written": 300' in rows_again.both or '"rows_written":300' in rows_again.both
    assert rows(file, "SELECT * FROM s.again ORDER BY id") == before
    stored = b"".join(path.read_bytes() for path in sorted((project.folder / "lake" / "all").rglob("*.bin")))
    assert stored.replace(b"\n", b"") == b"".join(messages).replace(b"\n", b"")


PROTO = """syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message Other { string x = 1; }
message Order {
  enum State { NEW = 0; PAID = 1; }
  message Line { string product = 1; uint64 quantity = 2; }
  int64 id = 1;
  State state = 2;
  repeated Line lines = 3;
  map<string, int32> counts = 4;
  google.protobuf.Timestamp at = 5;
  google.protobuf.StringValue note = 6;
  bytes raw = 7;
  oneof paid { double amount = 8; string voucher = 9; }
  optional bool gift = 10;
}
"""
PROTO_DDL = """CREATE TABLE s.t (id INT64, state STRING, lines ARRAY<STRUCT<product STRING, quantity NUMERIC(20, 0)>>, counts JSON, at TIMESTAMP, note STRING, raw BYTES,
  amount FLOAT64, voucher STRING, gift BOOL)"""


@pytest.mark.parametrize("by", ["registry", "file"])
def test_protobuf(project, kafka, topic, registry, tmp_path, by):
    Order = message_classes(tmp_path, PROTO)["Order"]
    full = Order(id=2**62, state=1, counts={"a": 1}, raw=b"\x00\xff", amount=0.1, gift=False)
    full.lines.add(product="p", quantity=2**64 - 1)
    full.at.FromDatetime(datetime(2026, 11, 22, 13, 14, 15, 678901))
    full.note.value = ""
    empty = Order(voucher="v")
    unknown = Order(id=7).SerializeToString() + bytes([0xa0, 0x06, 0x01])  # field 100
    if by == "registry":
        registry.add(9, PROTO, kind="PROTOBUF")
        file = pipeline(project, kafka, topic, PROTO_DDL, {"format": "protobuf"}, registry)
        head = b"\x02\x02"  # one index: 1
        wrap = lambda payload: framed(9, head + payload)  # noqa: E731
    else:
        (project.folder / "order.proto").write_text(PROTO)
        file = pipeline(project, kafka, topic, PROTO_DDL, {"format": "protobuf", "schema": "order.proto", "message": "Order"})
        wrap = lambda payload: payload  # noqa: E731
    send(kafka, topic, [wrap(payload) for payload in (full.SerializeToString(), empty.SerializeToString(), unknown, b"\xff\xff")])
    assert project.load().counts() == (4, 2, 2, 0), rejects(file)
    (code, why), (other, _) = rejects(file)
    assert (code, other) == ("bad_protobuf", "bad_protobuf") and "field number 100 is not in the schema" in why
    first, second = sorted(rows(file, "SELECT * EXCLUDE (ingestion_time, _penstock_position, _penstock_schema_version) FROM s.t"), key=lambda row: -row["id"])
    assert json.loads(first.pop("counts")) == {"a": 1} and json.loads(second.pop("counts")) == {}
    assert first == {"id": 2**62, "state": "PAID", "lines": [{"product": "p", "quantity": Decimal(2**64 - 1)}],
                     "at": datetime(2026, 11, 22, 13, 14, 15, 678901, tzinfo=UTC), "note": "", "raw": b"\x00\xff", "amount": 0.1, "voucher": None, "gift": False}
    assert second == {"id": 0, "state": "NEW", "lines": [], "at": None, "note": None, "raw": b"", "amount": None, "voucher": "v", "gift": None}


def test_avro_by_a_file_and_in_a_single_object(project, kafka, topic):
    (project.folder / "small.avsc").write_text(json.dumps(SMALL))
    file = pipeline(project, kafka, topic, "CREATE TABLE s.t (id INT64)", {"format": "avro", "schema": "small.avsc"})
    send(kafka, topic, [avro(SMALL, {"id": 1}), b"\xc3\x01" + b"12345678" + avro(SMALL, {"id": 2})])
    assert project.load().counts() == (2, 2, 0, 0), rejects(file)
    assert [row["id"] for row in rows(file, "SELECT id FROM s.t ORDER BY id")] == [1, 2]


def test_json_behind_the_number_of_a_schema(project, kafka, topic, registry):
    registry.add(5, {"type": "object"}, kind="JSON")
    file = pipeline(project, kafka, topic, "CREATE TABLE s.t (id INT64)", {"format": "json"}, registry)
    send(kafka, topic, [framed(5, b'{"id": 1}'), b'{"id": 2}'])
    assert project.load().counts() == (2, 2, 0, 0), rejects(file)
    assert [row["id"] for row in rows(file, "SELECT id FROM s.t ORDER BY id")] == [1, 2]


def test_floats_that_are_no_numbers(project, kafka, topic, registry):
    schema = {"type": "record", "name": "F", "fields": [{"name": "x", "type": "double"}, {"name": "y", "type": "float"}]}
    registry.add(1, schema)
    file = pipeline(project, kafka, topic, "CREATE TABLE s.t (x FLOAT64, y FLOAT64)", {"format": "avro"}, registry)
    send(kafka, topic, [framed(1, avro(schema, {"x": value, "y": value})) for value in (math.inf, -math.inf, math.nan)])
    assert project.load().counts() == (3, 3, 0, 0), rejects(file)
    found = [row["x"] for row in rows(file, "SELECT x, y FROM s.t ORDER BY split_part(_penstock_position, '/', 3)::BIGINT")]
    assert found[:2] == [math.inf, -math.inf] and math.isnan(found[2])
