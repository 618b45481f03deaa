"""The raw archive of an event stream: complete, byte for byte, each message once whatever was killed, and a store that is gone for a while."""

import gzip
import json
import signal
from collections import Counter

import pyarrow
import pytest

from support.event_samples import BRANCHES, Events
from test_events import assert_arrived, kafka, rows, send, shipped, topic  # noqa: F401  (fixtures)

ARCHIVE = """    archive: {connection: lake, every: 0.2s%s}
    target: {connection: warehouse"""


def archived(project, kafka, topic, options=""):
    file = shipped(project, kafka, topic)
    config = project.folder / "penstock.yaml"
    text = config.read_text().replace("    target: {connection: warehouse", ARCHIVE % options)
    config.write_text(text.replace("  warehouse: {type", "  lake: {type: files, url: \"file:lake\"}\n  warehouse: {type"))
    return file


def objects(project):
    found = {}
    for path in sorted((project.folder / "lake" / "output").rglob("*")):
        if path.is_file() and not path.name.endswith(".index"):
            found[path.relative_to(project.folder / "lake")] = path.read_bytes()
    return found


def messages_of(project):
    """Payloads by route, cut out of the objects by the lengths that the indexes say, with the positions of each."""
    payloads, positions = {}, []
    for name, content in objects(project).items():
        if name.suffix == ".gz":
            content = gzip.decompress(content)
        index = (project.folder / "lake" / f"{name}.index").read_bytes()
        if index[:2] == b"\x1f\x8b":
            index = gzip.decompress(index)
        elif index[:4] == b"\x28\xb5\x2f\xfd":
            index = pyarrow.CompressedInputStream(pyarrow.BufferReader(index), "zstd").read()
        header, *lines = [json.loads(line) for line in index.decode().splitlines()]
        assert header["messages"] == len(lines)
        at = 0
        for line in lines:
            payloads.setdefault(name.parts[1], []).append(content[at:at + line["length"]])
            assert content[at + line["length"]:at + line["length"] + 1] == b"\n"
            at += line["length"] + 1
            positions.append(line["position"])
        assert at == len(content)
    assert len(set(positions)) == len(positions)
    return payloads


def assert_archived(project, events):
    payloads = messages_of(project)
    assert Counter(payload for found in payloads.values() for payload in found) == Counter(events.messages)
    for name, table in BRANCHES.items():
        good = len(events.good[name]) + sum(route == name for _, route, _ in events.bad)
        assert len(payloads[name]) == good
    assert len(payloads["unrouted"]) == sum(route is None for _, route, _ in events.bad)


@pytest.mark.parametrize("options", ["", ", compression: gzip"])
def test_the_archive_is_complete_and_byte_identical(project, kafka, topic, options):
    file = archived(project, kafka, topic, options)
    events = Events(5_000, seed=11)
    send(kafka, topic, events.messages)
    project.load("--drain")
    assert_arrived(file, events)
    assert_archived(project, events)
    for name in objects(project):
        output, route, *_, hour, object_name = name.parts
        assert object_name.startswith(f"{route}_20") and len(hour) == 2 and output == "output"


FAILPOINTS = ["source_read_during", "target_stage_after", "target_commit_before", "target_commit_after", "source_confirm_before",
              "archive_intent_before", "archive_intent_after", "archive_index_after", "archive_object_after"]


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_killed_anywhere_each_message_is_archived_once(project, kafka, topic, failpoint):
    file = archived(project, kafka, topic)
    events = Events(3_000, seed=12)
    killed = 0
    for part in range(3):
        send(kafka, topic, events.messages[part * 1000:(part + 1) * 1000])
        run = project.run("run", "--all", "--drain", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}@{1 + part}=kill"})
        assert run.code in (0, -signal.SIGKILL), run
        killed += run.code != 0
    assert killed > 0
    project.load("--drain")
    assert_arrived(file, events)
    assert_archived(project, events)


def test_a_store_that_cannot_be_written_stops_nothing_for_good(project, kafka, topic):
    file = archived(project, kafka, topic)
    events = Events(1_000, seed=13)
    send(kafka, topic, events.messages)
    (project.folder / "lake").write_text("no folder")
    failed = project.run("run", "--all", "--drain", expect=1)
    assert "lake" in failed.both
    assert not file.exists() or not rows(file, "SELECT 1 FROM information_schema.tables WHERE table_name = 'order_events'")
    (project.folder / "lake").unlink()
    project.load("--drain")
    assert_arrived(file, events)
    assert_archived(project, events)


def test_an_archive_needs_a_place(project, kafka, topic):
    archived(project, kafka, topic)
    config = project.folder / "penstock.yaml"
    config.write_text(config.read_text().replace("archive: {connection: lake", "archive: {connection: warehouse"))
    assert "is none that an archive can be in" in project.run("check", expect=2).both
