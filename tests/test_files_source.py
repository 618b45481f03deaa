"""Files and objects as a source: each format, each object once whatever was killed, what changed or is half there, hostile content, buckets."""

import gzip
import io
import json
import os
import random
import re
import shutil
import signal
import threading
import time
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.fs
import pyarrow.parquet
import pytest

from support.objects import BUCKET
from support.program import ROOT

DDL = """CREATE TABLE orders (
  order_id STRING NOT NULL,
  n INT64,
  total NUMERIC(12, 2),
  at TIMESTAMP,
  note STRING
);
"""
OPEN = {"lake": {"type": "files", "url": "file:lake"}, "warehouse": {"type": "duckdb", "path": "warehouse.duckdb"}}
SETTLE = "300ms"


def order(number: int) -> dict:
    return {"order_id": f"o{number}", "n": number, "total": f"{number}.25", "at": "2026-11-21T10:00:00.5Z",
            "note": None if number % 3 == 0 else f"note, \"{number}\" \u00e9"}


def line(number: int) -> str:
    row = order(number)
    return json.dumps({**row, "total": "@"}).replace('"@"', row["total"])


def ndjson(numbers) -> bytes:
    return "".join(line(n) + "\n" for n in numbers).encode()


@pytest.fixture
def inbox(project):
    """Writes objects, old enough to be taken at once."""
    project.write(DDL, "ddl/orders.sql")

    def put(name: str, content: bytes, age: float = 60) -> Path:
        path = project.folder / "lake" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (time.time() - age,) * 2)
        return path

    return put


def configure(project, files: str, target: dict | None = None, connections: dict | None = None, pipeline: dict | None = None, **source):
    source = {"connection": "lake", "files": files, "table": "shop.orders", "settle": SETTLE, **source}
    project.config(connections={**OPEN, **(connections or {})},
                   pipelines={"p": {"source": source, "target": {"connection": "warehouse", **(target or {})}, **(pipeline or {})}})


def with_schema(project, files: str, **more):
    configure(project, files, schema="ddl/orders.sql", **more)


def numbers(project) -> list[int]:
    return [n for n, in project.duck("SELECT n FROM shop.orders ORDER BY n")]


def test_lines_of_json_arrive_once_as_objects_come(project, inbox):
    with_schema(project, "in/**/*.ndjson")
    inbox("in/a.ndjson", ndjson(range(3)))
    inbox("in/2026/11/b.ndjson", ndjson(range(3, 5)))
    inbox("in/_hidden/c.ndjson", b"not this")
    inbox("in/.d.ndjson", b"nor this")
    inbox("in/other.csv", b"nor this")
    run = project.load().run()
    assert (run["rows_read"], run["rows_written"]) == (5, 5)
    assert project.duck("SELECT order_id, n, total, epoch_us(\"at\"), note, _penstock_position, length(_penstock_schema_version), ingestion_time IS NOT NULL"
                        " FROM shop.orders WHERE n IN (0, 4) ORDER BY n") == [
        ("o0", 0, Decimal("0.25"), 1795255200500000, None, "in/a.ndjson:1", 12, True),
        ("o4", 4, Decimal("4.25"), 1795255200500000, "note, \"4\" é", "in/2026/11/b.ndjson:2", 12, True)]
    assert project.load().run()["rows_read"] == 0
    inbox("in/0.ndjson", ndjson(range(5, 7)))  # sorts before those taken, and its time is that of before
    assert project.load().run()["rows_written"] == 2
    assert project.load().run()["rows_read"] == 0
    assert numbers(project) == list(range(7))


@pytest.mark.parametrize("form, packed", [("ndjson", ""), ("ndjson", ".gz"), ("ndjson", ".zst"), ("json", ""), ("json", ".zst"), ("csv", ""), ("csv", ".gz"),
                                          ("parquet", "")])
def test_each_format(project, inbox, form, packed):
    count = 5000
    rows = [order(n) for n in range(count)]
    if form == "parquet":
        table = pyarrow.table({"order_id": [r["order_id"] for r in rows], "n": pyarrow.array([r["n"] for r in rows], pyarrow.int64()),
                               "total": pyarrow.array([Decimal(r["total"]) for r in rows], pyarrow.decimal128(12, 2)),
                               "at": pyarrow.array([datetime(2026, 11, 21, 10, 0, 0, 500000, timezone.utc)] * count, pyarrow.timestamp("us", "UTC")),
                               "note": [r["note"] for r in rows]})
        out = io.BytesIO()
        pyarrow.parquet.write_table(table, out, row_group_size=1000)
        content = out.getvalue()
    elif form == "csv":
        quoted = lambda text: "" if text is None else '"' + text.replace('"', '""') + '"'
        content = "order_id,n,total,at,note\r\n" + "".join(f"{r['order_id']},{r['n']},{r['total']},{r['at']},{quoted(r['note'])}\r\n" for r in rows)
        content = content.encode()
    else:
        content = ndjson(range(count)) if form == "ndjson" else ("[" + ",\n ".join(line(n) for n in range(count)) + "]").encode()
    if packed == ".gz":
        content = gzip.compress(content)
    if packed == ".zst":
        out = pyarrow.BufferOutputStream()
        with pyarrow.CompressedOutputStream(out, "zstd") as stream:
            stream.write(content)
        content = out.getvalue().to_pybytes()
    inbox(f"in/a.{form}{packed}", content)
    if form == "parquet":
        configure(project, "in/*", format="parquet")
    else:
        with_schema(project, f"in/*.{form}{packed}")
    run = project.load().run()
    assert (run["rows_read"], run["rows_written"]) == (count, count)
    found = project.duck("SELECT order_id, n, total, epoch_us(\"at\"), note FROM shop.orders ORDER BY n")
    assert found == [(r["order_id"], r["n"], Decimal(r["total"]), 1795255200500000, r["note"]) for r in rows]
    assert project.duck_value("SELECT count(DISTINCT _penstock_position) FROM shop.orders") == count
    assert project.load().run()["rows_read"] == 0


@pytest.mark.parametrize("failpoint", ["source_connect_before", "source_read_during", "target_stage_after", "target_commit_before", "target_commit_after", "source_confirm_before"])
def test_killed_anywhere_each_row_is_there_once(project, inbox, failpoint):
    with_schema(project, "in/*", format="ndjson")
    for part in range(3):
        for k in range(3):
            inbox(f"in/{part}-{k}.ndjson", ndjson(range(part * 300 + k * 100, part * 300 + k * 100 + 100)))
        killed = project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
        assert killed.code == -signal.SIGKILL
    project.load()
    assert numbers(project) == list(range(900))
    assert project.load().run()["rows_read"] == 0


def test_a_hundred_thousand_rows_in_many_objects_with_objects_arriving_and_kills(project, inbox):
    with_schema(project, "in/**/*.ndjson.gz", pipeline={"memory": "512MiB"})
    chance, sent, killed = random.Random(7), 0, 0
    for round in range(6):
        for k in range(20):
            rows = 1000 if round < 5 else 0 if k else 100
            inbox(f"in/{chance.randrange(10)}/{round}-{k}.ndjson.gz", gzip.compress(ndjson(range(sent, sent + rows))))
            sent += rows
        point = chance.choice(["source_read_during@7", "target_stage_after", "target_commit_before", "target_commit_after"])
        killed += project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{point}=kill"}).code == -signal.SIGKILL
    assert killed >= 4
    project.load()
    assert sent == 100_100 and project.duck("SELECT count(*), count(DISTINCT n), sum(n) FROM shop.orders") == [(sent, sent, sent * (sent - 1) // 2)]


def test_bad_rows_are_rejected_with_their_line(project, inbox):
    with_schema(project, "in/*.ndjson", pipeline={"on_reject": "continue"})
    good = line(1)
    inbox("in/a.ndjson", "\n".join(
        [good, '{"order_id":"o2","n":1.5}', "", "{broken", line(3), '{"n":4}', '{"order_id":"o5","items":[]}', "\xff"]).encode("latin-1"))
    run = project.load().run()
    assert (run["rows_read"], run["rows_written"], run["rows_rejected"]) == (7, 2, 5)
    found = {row["source_position"]: (row["code"], row["column"], row["payload"]) for row in project.rejects()}
    assert found == {"in/a.ndjson:2": ("not_an_integer", "n", '{"order_id":"o2","n":1.5}'), "in/a.ndjson:4": ("bad_json", None, "{broken"),
                     "in/a.ndjson:6": ("missing_field", "order_id", '{"n":4}'),
                     "in/a.ndjson:7": ("unknown_field", "items", '{"order_id":"o5","items":[]}'),
                     "in/a.ndjson:8": ("bad_json", None, "base64:/w==")}
    assert numbers(project) == [1, 3]


def test_by_default_a_bad_row_ends_the_run_and_nothing_is_taken(project, inbox):
    with_schema(project, "in/*.ndjson")
    inbox("in/a.ndjson", ndjson([1]))
    path = inbox("in/b.ndjson", b"{broken\n")
    report = project.load(expect=1)
    assert "in/b.ndjson:1" in report.output.err or "in/b.ndjson:1" in report.output.out
    inbox("in/b.ndjson", ndjson([2]))
    assert path.exists() and project.load().run()["rows_written"] == 2
    assert numbers(project) == [1, 2]


def test_csv_with_every_kind_of_row(project, inbox):
    project.write("CREATE TABLE t (a STRING, b INT64, c BOOL, d DATE, e FLOAT64, f JSON, g BYTES)", "ddl/t.sql")
    configure(project, "in/*.csv", schema="ddl/t.sql", delimiter=";", null_text="NULL", max_bytes=200, unknown_fields="keep",
              pipeline={"on_reject": "continue"})
    rows = ["a;b;c;d;e;f;g;extra", '"x;y";1;true;2024-02-29;0.5;"{""k"": [1]}";AAE=;more', '"two\nlines ""q""";2;F;NULL;1e3;NULL;NULL;NULL',
            '"";NULL;NULL;NULL;NULL;NULL;"";""', 'a;1.5;true;NULL;1;NULL;NULL;', 'a;x;true;NULL;1;NULL;NULL;', 'a"b;1;true;NULL;1;NULL;NULL;',
            '"a"b;1;true;NULL;1;NULL;NULL;', "a;1", "a;9223372036854775808;t;NULL;1;NULL;NULL;", "a;1;yes;NULL;1;NULL;NULL;",
            "a;1;t;2024-02-30;1;NULL;NULL;", "a;1;t;NULL;1;{;NULL;", "x" * 300 + ";1;t;NULL;1;NULL;NULL;", "NULL;3;t;NULL;1;NULL;NULL;last"]
    inbox("in/a.csv", "\r\n".join(rows).encode())
    run = project.load().run()
    assert (run["rows_read"], run["rows_written"], run["rows_rejected"]) == (14, 4, 10)
    assert project.duck("SELECT a, b, c, d, e, f, g, unknown_fields, _penstock_position FROM shop.orders ORDER BY b NULLS LAST") == [
        ("x;y", 1, True, date(2024, 2, 29), 0.5, '{"k": [1]}', b"\0\1", '{"extra":"more"}', "in/a.csv:2"),
        ('two\nlines "q"', 2, False, None, 1000.0, None, None, '{"extra":null}', "in/a.csv:3"),
        (None, 3, True, None, 1.0, None, None, '{"extra":"last"}', "in/a.csv:16"),
        ("", None, None, None, None, None, b"", '{"extra":""}', "in/a.csv:5")]
    codes = {int(row["source_position"].rsplit(":")[-1]): (row["code"], row["column"]) for row in project.rejects()}
    assert codes == {6: ("not_an_integer", "b"), 7: ("wrong_type", "b"), 8: ("bad_csv", None), 9: ("bad_csv", None), 10: ("bad_csv", None),
                     11: ("number_out_of_range", "b"), 12: ("wrong_type", "c"), 13: ("bad_time", "d"), 14: ("bad_json", "f"), 15: ("too_large", None)}


def test_csv_lines_as_long_as_they_may_be(project, inbox):
    configure(project, "in/*.csv", max_bytes=10, pipeline={"on_reject": "continue"})
    inbox("in/a.csv", b'a,b\r\n1,34567890\r\n1,345678901\r\n2,34567890\n"3","6789"\r\n"4","6789\r"\n"5"\r"6",""\r\n')
    assert project.load().run()["rows_rejected"] == 3
    assert project.duck("SELECT a, b FROM shop.orders ORDER BY a") == [("1", "34567890"), ("2", "34567890"), ("3", "6789")]
    assert sorted((row["code"], row["source_position"]) for row in project.rejects()) == [
        ("bad_csv", "in/a.csv:7"), ("too_large", "in/a.csv:3"), ("too_large", "in/a.csv:6")]


def test_csv_without_schema_is_text_by_its_header(project, inbox):
    configure(project, "in/*.csv")
    inbox("in/a.csv", b"\xef\xbb\xbfid,amount\n007,1.50\n,\"\"\n")
    assert project.load().run()["rows_written"] == 2
    assert project.duck("SELECT id, amount FROM shop.orders ORDER BY id NULLS LAST") == [("007", "1.50"), (None, "")]
    inbox("in/b.csv", b"id,amount,more\n1,2,3\n", age=30)  # the newest says what there is
    assert project.load().run()["rows_written"] == 1
    assert project.duck("SELECT id, amount, more FROM shop.orders WHERE more IS NOT NULL") == [("1", "2", "3")]


def test_parquet_types(project, inbox):
    micros = datetime(2026, 1, 2, 3, 4, 5, 6)
    table = pyarrow.table({
        "i8": pyarrow.array([1, -128], pyarrow.int8()), "u8": pyarrow.array([255, None], pyarrow.uint8()), "u16": pyarrow.array([65535, 0], pyarrow.uint16()),
        "u64": pyarrow.array([2**64 - 1, 0], pyarrow.uint64()), "f": pyarrow.array([0.5, None], pyarrow.float32()),
        "ns": pyarrow.array([int(micros.replace(tzinfo=timezone.utc).timestamp()) * 10**9 + 6000, None], pyarrow.timestamp("ns")),
        "ms": pyarrow.array([1, 2], pyarrow.timestamp("ms")), "dict": pyarrow.array(["a" * 20, "b"]).dictionary_encode(),
        "t": pyarrow.array([1, 86399999999], pyarrow.time64("us")), "bin": pyarrow.array([b"\0\xff", None]),
        "tags": pyarrow.array([["x" * 20, None], []], pyarrow.list_(pyarrow.string())),
        "s": pyarrow.array([{"a": 1, "b": "y" * 20}, None], pyarrow.struct([("a", pyarrow.int32()), ("b", pyarrow.string())])),
        "m": pyarrow.array([[("k", 1)], []], pyarrow.map_(pyarrow.string(), pyarrow.int32())), "d": pyarrow.array([Decimal("1.50"), None], pyarrow.decimal128(38, 2))})
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out, use_dictionary=True)
    inbox("in/a.parquet", out.getvalue())
    configure(project, "in/*.parquet")
    assert project.load().run()["rows_written"] == 2
    assert project.duck("SELECT i8, u8, u16, u64, f, epoch_us(ns), epoch_ms(ms), dict, t::VARCHAR, bin, tags, s, m, d, _penstock_position FROM shop.orders ORDER BY i8 DESC") == [
        (1, 255, 65535, 2**64 - 1, 0.5, 1767323045000006, 1, "a" * 20, "00:00:00.000001", b"\0\xff", ["x" * 20, None], {"a": 1, "b": "y" * 20}, {"k": 1}, Decimal("1.50"), "in/a.parquet:1"),
        (-128, None, 0, 0, None, None, 2, "b", "23:59:59.999999", None, [], None, {}, None, "in/a.parquet:2")]


def test_parquet_of_many_rows_with_strings_in_structs(project, inbox):
    """Dictionaries inside structures and lists are undone before rows are taken over."""
    count = 50_000
    words = [f"word number {k} of some length" for k in range(17)]
    table = pyarrow.table({"n": range(count), "s": [{"w": words[k % 17], "l": [words[k % 5]] * (k % 3)} for k in range(count)]})
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out, use_dictionary=True, row_group_size=7000)
    inbox("in/a.parquet", out.getvalue())
    configure(project, "in/*.parquet")
    assert project.load().run()["rows_written"] == count
    assert [row for row, in project.duck("SELECT s FROM shop.orders ORDER BY n")] == table.column("s").to_pylist()


def test_nanoseconds_are_not_cut_off(project, inbox):
    table = pyarrow.table({"n": [1, 2], "at": pyarrow.array([1000, 1001], pyarrow.timestamp("ns"))})
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out)
    inbox("in/a.parquet", out.getvalue())
    configure(project, "in/*.parquet", pipeline={"on_reject": "continue"})
    run = project.load().run()
    assert (run["rows_read"], run["rows_written"], run["rows_rejected"]) == (2, 1, 1)
    reject, = project.rejects()
    assert (reject["code"], reject["column"], reject["source_position"]) == ("nanoseconds", "at", "in/a.parquet:2") and '"n":2' in reject["payload"]


def test_nanoseconds_of_utc_are_refused(project, inbox):
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"when": pyarrow.array([1001], pyarrow.timestamp("ns", "UTC"))}), out)
    inbox("in/a.parquet", out.getvalue())
    configure(project, "in/*.parquet")
    error = project.load(expect=1).error
    assert error["code"] == "type_not_held" and "when" in error["message"] and "coerce_timestamps" in error["hint"]


def test_parquet_of_another_shape(project, inbox):
    def put(name, age, **columns):
        out = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns), out)
        inbox(f"in/{name}.parquet", out.getvalue(), age)

    configure(project, "in/*.parquet")
    put("a", 60, n=pyarrow.array([1], pyarrow.int32()))
    put("b", 50, n=pyarrow.array([2], pyarrow.int64()), note=pyarrow.array(["x"]))  # the newest: what is narrower fits
    assert project.load().run()["rows_written"] == 2
    assert project.duck("SELECT n, note FROM shop.orders ORDER BY n") == [(1, None), (2, "x")]
    put("c", 70, n=pyarrow.array(["text"]))
    error = project.load(expect=1).error
    assert error["code"] == "columns_differ" and "in/c.parquet" in error["message"]


@pytest.mark.parametrize("form", ["ndjson.gz", "json", "csv", "parquet"])
def test_an_object_that_is_cut_off_is_not_taken(project, inbox, form):
    whole = {"ndjson.gz": gzip.compress(ndjson(range(100_000, 103_000))), "json": b"[" + b",".join(ndjson([k]).strip() for k in range(100)) + b"]",
             "csv": b'order_id,n,total,at,note\n' + b'o1,1,1.25,2026-11-21T10:00:00Z,"a note"\n' * 100}
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"n": range(1000)}), out)
    whole["parquet"] = out.getvalue()
    content = whole[form][:-20] if form != "csv" else whole[form][:-4]
    inbox(f"in/a.{form}", content)
    if form == "parquet":
        configure(project, "in/*.parquet")
    else:
        with_schema(project, f"in/*.{form}")
    error = project.load(expect=1).error
    assert error["code"] == "object_damaged" and f"in/a.{form}" in error["message"] and "exclude" in error["hint"]
    assert not project.warehouse.exists() or not project.duck("SELECT 1 FROM duckdb_tables() WHERE table_name = 'orders'")
    inbox(f"in/a.{form}", whole[form])
    assert project.load().run()["rows_written"] > 0


@pytest.mark.parametrize("form", ["ndjson", "ndjson.gz", "json", "csv"])
def test_empty_objects_are_taken_and_hold_nothing(project, inbox, form):
    with_schema(project, f"in/*.{form}")
    inbox(f"in/a.{form}", b"")
    if form == "ndjson.gz":
        inbox(f"in/b.{form}", gzip.compress(b""))
    assert project.load().run()["rows_read"] == 0
    assert project.load().run()["rows_read"] == 0


def test_a_folder_that_is_empty_or_not_there(project, inbox):
    with_schema(project, "in/*.ndjson")
    assert project.load().run()["rows_read"] == 0
    configure(project, "in/*.parquet")
    assert project.load().run()["rows_read"] == 0


@pytest.mark.parametrize("policy", ["stop", "warn", "load"])
def test_an_object_that_was_written_again(project, inbox, policy):
    with_schema(project, "in/*.ndjson", changed=policy, target={"mode": "merge", "key": ["order_id"]})
    inbox("in/a.ndjson", ndjson([1]))
    project.load()
    inbox("in/a.ndjson", ndjson([1, 2]), age=50)
    inbox("in/b.ndjson", ndjson([3]))
    if policy == "stop":
        report = project.load(expect=1)
        assert report.run()["attempts"] == 1
        error = report.error
        assert error["code"] == "object_changed" and "changed: load" in error["hint"]
        assert numbers(project) == [1]
        return
    report = project.load()
    assert "written again" in report.output.err
    assert numbers(project) == ([1, 3] if policy == "warn" else [1, 2, 3])
    assert project.load().run()["rows_read"] == 0


def test_a_file_that_is_being_written_is_left_for_the_next_run(project, inbox):
    with_schema(project, "in/*.ndjson")
    inbox("in/old.ndjson", ndjson([1]))
    path = inbox("in/growing.ndjson", b"")
    stop = threading.Event()

    def write():
        with path.open("ab") as file:
            for number in range(2, 10_000):
                if stop.is_set():
                    return
                text = ndjson([number])
                file.write(text[:20]), file.flush(), time.sleep(0.02)
                file.write(text[20:]), file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = project.load()
    finally:
        stop.set()
        writer.join()
    assert report.run()["rows_written"] == 1 and "still being written" in report.output.err
    sent = path.read_bytes()
    if not sent.endswith(b"\n"):
        sent = sent[:sent.rfind(b"\n") + 1]
        path.write_bytes(sent)
    assert project.load().run()["rows_written"] == sent.count(b"\n")


def test_the_checkpoint_is_bounded_and_late_objects_are_said(project, inbox):
    with_schema(project, "in/**/*.ndjson", remember=100)
    for k in range(300):
        inbox(f"in/{k % 7}/{k}.ndjson", ndjson([k]), age=100_000 - 100 * k)
        if k % 100 == 99:
            assert project.load().run()["rows_written"] == 100
    assert numbers(project) == list(range(300))
    position = project.duck_value("SELECT position FROM penstock.pipeline_metadata ORDER BY committed_at DESC LIMIT 1")
    assert len(position) < 100 * 22 + 200
    assert project.load().run()["rows_read"] == 0
    (project.folder / "lake/in/0/0.ndjson").unlink()  # an archive that is cleaned up is no news
    inbox("in/new.ndjson", ndjson([300]), age=10)
    assert project.load().run()["rows_written"] == 1
    inbox("in/late.ndjson", ndjson([301]), age=99_000)
    error = project.load(expect=1).error
    assert error["code"] == "object_late" and "remember" in error["hint"]
    os.utime(project.folder / "lake/in/late.ndjson", (time.time() - 5,) * 2)
    assert project.load().run()["rows_written"] == 1


def test_replace_and_full_refresh_take_everything(project, inbox):
    with_schema(project, "in/*.ndjson", target={"mode": "replace"})
    inbox("in/a.ndjson", ndjson([1]))
    project.load()
    inbox("in/b.ndjson", ndjson([2]))
    project.load()
    assert numbers(project) == [1, 2]
    shutil.rmtree(project.folder / "lake")  # not mounted
    project.load()
    assert numbers(project) == [1, 2]
    inbox("in/c.ndjson", ndjson([3]))
    with_schema(project, "in/*.ndjson")
    assert project.load("--full-refresh").run()["rows_written"] == 1
    assert numbers(project) == [3]


@pytest.mark.parametrize("cursor", [None, "at"])
def test_several_rows_of_a_key(project, inbox, cursor):
    with_schema(project, "in/*.ndjson", target={"mode": "merge", "key": ["order_id"]}, pipeline={"on_reject": "continue"}, **({"cursor": cursor} if cursor else {}))
    row = lambda n, hour: json.dumps({"order_id": "o", "n": n, "at": f"2026-11-21T{hour}:00:00Z"}).encode() + b"\n"
    inbox("in/a.ndjson", row(1, 11) + row(2, 13))
    inbox("in/b.ndjson", row(3, 12))
    run = project.load().run()
    if cursor:
        assert (run["rows_written"], run["rows_filtered"], numbers(project)) == (1, 2, [2])
    else:
        assert (run["rows_rejected"], {row["code"] for row in project.rejects()}) == (3, {"duplicate_key"})
    inbox("in/c.ndjson", row(4, 10))  # a later commit stands, unless update_when says otherwise
    assert project.load().run()["rows_written"] == 1 and numbers(project) == [4]


def test_into_parquet(project, inbox):
    with_schema(project, "in/*.ndjson", target={"connection": "out", "format": "parquet"}, connections={"out": {"type": "files", "url": "file:out"}})
    inbox("in/a.ndjson", ndjson([1, 2]))
    assert project.load().run()["rows_written"] == 2
    inbox("in/b.ndjson", ndjson([3]))
    assert project.load().run()["rows_written"] == 1
    files = [str(path) for path in (project.folder / "out").rglob("*.parquet") if "_penstock" not in str(path)]
    assert sorted(pyarrow.parquet.read_table(files).column("n").to_pylist()) == [1, 2, 3] if len(files) == 1 else \
        sorted(n for file in files for n in pyarrow.parquet.ParquetFile(file).read().column("n").to_pylist()) == [1, 2, 3]


# -- events ------------------------------------------------------------------------------------------------------------
def events(project, files="in/*.ndjson", **source):
    project.write("CREATE TABLE a (id INT64 NOT NULL)", "ddl/a.sql")
    project.config(connections=OPEN, pipelines={"p": {
        "source": {"connection": "lake", "files": files, "settle": SETTLE, **source},
        "route": {"by": "type", "a": {"schema": "ddl/a.sql", "table": "d.a", "unknown_fields": "ignore"}, "b": {"schema": "ddl/a.sql", "table": "d.b", "unknown_fields": "ignore"}},
        "target": {"connection": "warehouse", "mode": "append"}}})


def event_lines(count, first=0):
    return "".join(json.dumps({"type": "c" if n % 10 == 9 else "ab"[n % 2], "id": n}) + "\n" for n in range(first, first + count)).encode()


@pytest.mark.parametrize("failpoint", [None, "changes_receive_after@2", "source_read_during@2", "target_stage_after", "target_commit_before", "target_commit_after@2"])
def test_events_of_files_are_routed_once(project, inbox, failpoint):
    events(project)
    inbox("in/a.ndjson", event_lines(60_000) + b"{broken\n")
    inbox("in/b.ndjson", event_lines(1000, 60_000))
    if failpoint:
        project.run("run", "--all", "--drain", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
    inbox("in/c.ndjson", event_lines(10, 61_000))
    project.load("--drain")
    expected = [n for n in range(61_010) if n % 10 != 9]
    assert [n for n, in project.duck("SELECT id FROM d.a UNION ALL SELECT id FROM d.b ORDER BY 1")] == expected
    codes = project.duck("SELECT code, count(*), count(DISTINCT source_position) FROM penstock.rejects GROUP BY 1 ORDER BY 1")
    assert codes == [("bad_json", 1, 1), ("no_route", 6101, 6101)]
    assert project.load("--drain").run()["rows_read"] == 0


def test_events_are_followed(project, inbox):
    events(project, poll="300ms")
    inbox("in/a.ndjson", event_lines(10))
    running = project.start("run", "p", "--follow")
    try:
        time.sleep(3)
        inbox("in/b.ndjson", event_lines(10, 10))
        time.sleep(4)
    finally:
        running.signal(signal.SIGTERM)
        running.wait(60)
    assert project.duck_value("SELECT count(*) FROM (FROM d.a UNION ALL FROM d.b)") == 18


# -- hostile content ---------------------------------------------------------------------------------------------------
def peak(run) -> float:
    return run["peak_memory_bytes"] / 2**20


def test_a_line_of_a_gigabyte_and_one_that_unpacks_to_one(project, inbox):
    with_schema(project, "in/**/*.ndjson*", format="ndjson", pipeline={"on_reject": "continue", "memory": "256MiB"})
    path = inbox("in/large.ndjson", b"")
    with path.open("wb") as file:
        file.write(ndjson([1]) + b'{"order_id":"')
        for _ in range(1024):
            file.write(b"x" * 2**20)
        file.write(b'"}\n' + ndjson([2]))
    os.utime(path, (time.time() - 60,) * 2)
    packed = inbox("in/bomb.ndjson.gz", b"")
    with gzip.open(packed, "wb", compresslevel=1) as file:
        file.write(ndjson([3]))
        for _ in range(1024):
            file.write(b"\0" * 2**20)
        file.write(b"\n" + ndjson([4]))
    os.utime(packed, (time.time() - 60,) * 2)
    assert packed.stat().st_size < 2**23
    run = project.load(timeout=200).run()
    assert numbers(project) == [1, 2, 3, 4]
    assert {(row["source_position"], row["code"]) for row in project.rejects()} == {("in/large.ndjson:2", "too_large"), ("in/bomb.ndjson.gz:2", "too_large")}
    assert peak(run) < 256, peak(run)  # the budget


@pytest.mark.parametrize("form", ["ndjson", "json"])
def test_a_million_levels(project, inbox, form):
    with_schema(project, f"in/*.{form}", max_bytes="64MiB", unknown_fields="keep", pipeline={"on_reject": "continue", "memory": "256MiB"})
    deep = 1_000_000
    inbox(f"in/a.{form}", b"\n".join([line(1).encode(), b'{"order_id":"x","deep":' + b"[" * deep + b"]" * deep + b"}",
                                      b'{"a":' * deep + b"1" + b"}" * deep, b"[" * 1000 + b"]" * 1000 if form == "ndjson" else b"{}", line(2).encode()]))
    run = project.load(timeout=120).run()
    assert numbers(project) == [1, 2]
    assert [row["code"] for row in project.rejects()].count("bad_json") >= 2 and run["rows_rejected"] == 3
    assert peak(run) < 256, peak(run)


def test_csv_whose_quote_never_closes(project, inbox):
    configure(project, "in/*.csv", pipeline={"memory": "256MiB", "on_reject": "continue"})
    inbox("in/a.csv", b'a,b\n1,"' + b"x\n" * 5_000_000)
    report = project.load(expect=1)
    assert report.error["code"] == "object_damaged" and "line 2" in report.error["message"]
    assert peak(report.run()) < 256
    inbox("in/a.csv", b'a,b\n1,"' + b"x\n" * 5_000_000 + b'"\n2,3\n' + b"," * 5_000_000 + b"\n4,5\n")
    run = project.load().run()
    assert run["rows_rejected"] == 2 and {row["code"] for row in project.rejects()} == {"too_large"} and peak(run) < 256
    assert project.duck("SELECT a, b FROM shop.orders ORDER BY a") == [("2", "3"), ("4", "5")]


# -- buckets -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def bucket(s3, project):
    project.environment["S3_SECRET"] = s3.secret_key
    project.write(DDL, "ddl/orders.sql")
    store = pyarrow.fs.S3FileSystem(access_key=s3.access_key, secret_key=s3.secret_key, endpoint_override=f"127.0.0.1:{s3.port}", scheme="http", region="us-east-1")
    folder = f"{os.urandom(4).hex()}"

    def put(name: str, content: bytes):
        with store.open_output_stream(f"{BUCKET}/{folder}/{name}", compression=None) as out:
            out.write(content)

    return s3.connection(url=f"s3://{BUCKET}/{folder}"), put


def test_objects_of_a_bucket(project, bucket):
    connection, put = bucket
    with_schema(project, "in/**/*.ndjson.gz", connections={"lake": connection})
    put("in/a.ndjson.gz", gzip.compress(ndjson(range(1000))))
    put("in/x/b.ndjson.gz", gzip.compress(ndjson(range(1000, 1500))))
    for point in ("source_read_during", "target_commit_before", "target_commit_after"):
        assert project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{point}=kill"}).code == -signal.SIGKILL
    assert project.load().run()["rows_read"] == 0
    put("in/0.ndjson.gz", gzip.compress(ndjson(range(1500, 1600))))
    assert project.load().run()["rows_written"] == 100
    assert numbers(project) == list(range(1600))
    time.sleep(1.1)  # the bucket's clock has seconds
    put("in/0.ndjson.gz", gzip.compress(ndjson(range(5))))
    error = project.load(expect=1).error
    assert error["code"] == "object_changed" and f"s3://{BUCKET}" in error["message"]


def test_parquet_of_a_bucket(project, bucket):
    connection, put = bucket
    configure(project, "in/*.parquet", connections={"lake": connection})
    for k in range(3):
        out = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table({"n": range(k * 1000, k * 1000 + 1000), "note": ["x" * 30] * 1000}), out)
        put(f"in/{k}.parquet", out.getvalue())
    assert project.load().run()["rows_written"] == 3000
    assert numbers(project) == list(range(3000))
    assert project.load().run()["rows_read"] == 0


# -- as it is shipped --------------------------------------------------------------------------------------------------
def test_the_shipped_pipelines(project):
    shutil.copytree(ROOT / "examples" / "ddl", project.folder / "ddl")
    shutil.copy(ROOT / "examples" / "files-to-duckdb.yaml", project.folder / "penstock.yaml")
    for name, text in {
        "lake/in/orders/2026-11-21.csv": "order_id,customer_id,placed_at,total\n1,c1,2026-11-21T10:00:00Z,12.50\n2,,2026-11-21T11:00:00Z,\n",
        "lake/in/events/a.ndjson": json.dumps({"event_type": "inventory", "inventory_id": "i", "product_id": "p", "warehouse_id": "w", "quantity_change": 1,
                                               "reason": "sale", "timestamp": "2026-11-21T10:00:00Z"}) + "\n"}.items():
        path = project.write(text, name)
        os.utime(path, (time.time() - 60,) * 2)
    project.run("check")
    report = project.load("--drain")
    assert report.run("orders")["rows_written"] == 2 and report.run("backend_events")["rows_written"] == 1, report.output
