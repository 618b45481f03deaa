"""Event streams from Pub/Sub: the shipped configuration by both ways of pulling, kills, messages that come again and again, a service
that goes away, subscriptions that do not fit."""

import json
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from test_events import assert_arrived, rows

from support.event_samples import BRANCHES, Events
from support.program import ROOT
from support.pubsub import PROJECT, PubsubServer, subscription, topic
from support.toxiproxy import Toxiproxy

NAME = "backend-events-sub"


@pytest.fixture
def start_server():
    made = []

    def start(**options) -> PubsubServer:
        made.append(PubsubServer(**options))
        return made[-1]

    yield start
    for each in made:
        each.stop()


def subscribe(bus, **options):
    bus.publisher.create_topic(name=topic("backend-events"))
    bus.subscriber.create_subscription(request={"name": subscription(NAME), "topic": topic("backend-events"), "ack_deadline_seconds": 60, **options})


@pytest.fixture
def bus(start_server):
    made = start_server()
    subscribe(made)
    return made


def send(bus, messages, key: str = "", attributes: dict | None = None):
    for begin in range(0, len(messages), 500):
        some = [{"data": message, "ordering_key": key, "attributes": attributes or {"n": str(begin + number)}}
                for number, message in enumerate(messages[begin:begin + 500])]
        bus.publisher.publish(topic=topic("backend-events"), messages=some)


def shipped(project, endpoint, target=None, **source):
    """The example, at the test's server. A drain waits for what comes: not longer than it must."""
    shutil.copytree(ROOT / "examples" / "ddl", project.folder / "ddl", dirs_exist_ok=True)
    config = yaml.safe_load((ROOT / "examples" / "pubsub-events-to-duckdb.yaml").read_text())
    assert config["pipelines"]["backend_events"]["source"]["subscription"] == NAME
    config["connections"]["events"] = {"type": "pubsub", "project": PROJECT, "endpoint": endpoint, "timeout": "5s"}
    config["pipelines"]["backend_events"]["source"].update({"pull": "unary", "idle": "1s", **source})
    project.write(json.dumps(config))
    return project.folder / "warehouse.duckdb"


def left(bus) -> int:
    """Messages that nobody has acknowledged: given back, they come at once."""
    found = bus.subscriber.pull(request={"subscription": subscription(NAME), "max_messages": 1000, "return_immediately": True}, timeout=5)
    ids = [message.ack_id for message in found.received_messages]
    if ids:
        bus.subscriber.modify_ack_deadline(subscription=subscription(NAME), ack_ids=ids, ack_deadline_seconds=0)
    return len(ids)


def arrived(file) -> int:
    """Of events, those that are in a table or in rejects."""
    tables = [*BRANCHES.values(), "penstock.rejects"]
    return sum(rows(file, f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in tables)


def deliver_again(bus, count: int) -> None:
    """Everything that is being worked on comes a second time. pstest's ids are m<number>, and <id>:<delivery> to acknowledge by."""
    ids = [f"m{number}:{delivery}" for number in range(count) for delivery in range(1, 6)]
    for begin in range(0, len(ids), 2000):
        bus.subscriber.modify_ack_deadline(subscription=subscription(NAME), ack_ids=ids[begin:begin + 2000], ack_deadline_seconds=0)


@pytest.mark.parametrize(("pull", "count"), [("unary", 10_000), ("streaming", 400)])
def test_the_shipped_pipeline_with_bad_events_of_every_kind(project, bus, pull, count):
    file = shipped(project, bus.endpoint, pull=pull, idle="2s")
    events = Events(count, seed=1)
    send(bus, events.messages)
    run = project.load("--drain").run()
    assert run["rows_read"] == count
    assert_arrived(file, events)
    assert left(bus) == 0
    assert {row["p"] for row in rows(file, f"SELECT DISTINCT split_part(_penstock_position, '/', 1) AS p FROM {BRANCHES['order']}")} == {NAME}
    assert project.load("--drain").run()["rows_read"] == 0


@pytest.mark.parametrize("failpoint", ["changes_receive_after", "source_read_during", "target_stage_after", "target_commit_before", "target_commit_after",
                                       "source_confirm_before"])
def test_killed_anywhere_each_event_is_there_once(project, start_server, failpoint):
    bus = start_server()
    # Short leases: a killed run's messages come again soon.
    subscribe(bus, ack_deadline_seconds=10)
    file = shipped(project, bus.endpoint, lease="10s", idle="500ms")
    events = Events(900, seed=3)
    for part in range(3):
        send(bus, events.messages[part * 300:(part + 1) * 300])
        killed = project.run("run", "--all", "--drain", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}@{1 + part % 2}=kill"})
        assert killed.code in (0, -signal.SIGKILL)
        assert part != 0 or killed.code == -signal.SIGKILL
        deliver_again(bus, 900)
    project.load("--drain")
    assert_arrived(file, events)
    assert left(bus) == 0


def test_what_comes_again_and_again_is_loaded_once(project, bus):
    file = shipped(project, bus.endpoint)
    events = Events(3_000, seed=5)
    run = project.start("run", "--all")
    try:
        for begin in range(0, 3_000, 250):
            send(bus, events.messages[begin:begin + 250])
            for _ in range(3):
                deliver_again(bus, begin + 250)
                time.sleep(0.05)
        time.sleep(1.5)
    finally:
        run.process.send_signal(signal.SIGTERM)
        output = run.wait(60)
    assert output.code == 130, output
    assert "deliveries were repeats" in output.err
    project.load("--drain")
    assert_arrived(file, events)
    assert left(bus) == 0


def test_two_processes_share_a_subscription(project, make_project, bus):
    """Each has a target of its own: together they have every event once."""
    other = make_project()
    files = [shipped(each, bus.endpoint) for each in (project, other)]
    events = Events(2_000, seed=6)
    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(each.load, "--drain") for each in (project, other)]
        for begin in range(0, 2_000, 200):
            send(bus, events.messages[begin:begin + 200])
            time.sleep(0.05)
        read = [load.result().run()["rows_read"] for load in loads]
    assert sum(read) == 2_000
    for name, table in BRANCHES.items():
        assert sum(rows(file, f"SELECT count(*) AS n FROM {table}")[0]["n"] for file in files if file.exists()) == len(events.good[name])
    assert left(bus) == 0


def test_stopped_by_hand_the_rest_is_given_back_at_once(project, bus):
    """Nothing is committed for as long as the target is slow: another reader gets all of it the moment the run is stopped."""
    shipped(project, bus.endpoint)
    run = project.start("run", "--all", env={"PENSTOCK_FAILPOINT": "target_stage_after=delay"})
    try:
        send(bus, Events(500, seed=7).messages)
        deadline = time.monotonic() + 20
        while left(bus) > 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        run.process.send_signal(signal.SIGTERM)
        output = run.wait(60)
    assert output.code == 130, output
    again = left(bus)
    file = project.folder / "warehouse.duckdb"
    written = sum(rows(file, f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in BRANCHES.values()) if again < 500 else 0
    assert again == 500 or written > 0
    project.load("--drain")
    assert left(bus) == 0


@pytest.mark.parametrize("pull", ["unary", "streaming"])
def test_a_service_that_goes_away_and_comes_back(project, start_server, pull):
    """What was on its way when a connection was cut is leased to nobody alive, and comes again when the lease ends."""
    lease = 10
    bus = start_server()
    subscribe(bus, ack_deadline_seconds=lease)
    proxies = Toxiproxy()
    try:
        proxy = proxies.proxy(int(bus.address.rsplit(":", 1)[1]))
        file = shipped(project, f"http://127.0.0.1:{proxy.port}", pull=pull, idle="2s", lease=f"{lease}s")
        events = Events(300, seed=8)
        run = project.start("run", "--all")
        try:
            for part in range(3):
                send(bus, events.messages[part * 100:(part + 1) * 100])
                time.sleep(0.7)
                proxy.cut()
                time.sleep(1)
                proxy.mend()
            time.sleep(3)
        finally:
            run.process.send_signal(signal.SIGTERM)
            output = run.wait(60)
        assert output.code == 130, output
        ended = time.monotonic()
        while (project.load("--drain").counts()[0] > 0 or arrived(file) < 300) and time.monotonic() < ended + 2 * lease:
            time.sleep(0.5)
        assert_arrived(file, events)
        assert left(bus) == 0
    finally:
        proxies.destroy()


def test_calls_that_fail_now_and_then(project, start_server):
    bus = start_server(fail="Pull=UNAVAILABLE/5,Acknowledge=INTERNAL/2,ModifyAckDeadline=UNAVAILABLE/2")
    subscribe(bus)
    file = shipped(project, bus.endpoint)
    events = Events(2_000, seed=9)
    send(bus, events.messages)
    assert project.load("--drain").run()["rows_read"] == 2_000
    assert_arrived(file, events)


def test_ordering_keys_and_attempts_come_as_attributes(project, start_server):
    bus = start_server()
    bus.publisher.create_topic(name=topic("dead"))
    subscribe(bus, enable_message_ordering=True, enable_exactly_once_delivery=True,
              dead_letter_policy={"dead_letter_topic": topic("dead"), "max_delivery_attempts": 5})
    file = shipped(project, bus.endpoint, idle="3s")
    events = Events(6, seed=10)
    send(bus, [message for message in events.messages[:6]], key="user-7")
    assert project.load("--drain").run()["rows_read"] == 6
    order = rows(file, " UNION ALL ".join(f"SELECT _penstock_position AS at FROM {table}" for table in BRANCHES.values()))
    assert len(order) + len(rows(file, "SELECT 1 FROM penstock.rejects")) == 6
    assert left(bus) == 0


def test_a_subscription_that_does_not_fit(project, start_server):
    bus = start_server()
    shipped(project, bus.endpoint)
    missing = project.run("run", "--all", "--drain", expect=1)
    assert "pubsub_not_found" in missing.both or "NOT_FOUND" in missing.both
    assert NAME in missing.both and "hint" in missing.both
    said = project.run("doctor", expect=None)
    assert NAME in said.both and "NOT_FOUND" in said.both

    bus.publisher.create_topic(name=topic("backend-events"))
    bus.subscriber.create_subscription(request={"name": subscription(NAME), "topic": topic("backend-events"), "ack_deadline_seconds": 10})
    said = project.run("doctor", expect=None)
    for text in ("ack deadline of 10 s", "no dead letter topic", topic("backend-events")):
        assert text in said.both, said
    warned = project.load("--drain").output.err
    assert "ack deadline of 10 s" in warned and "no dead letter topic" in warned
