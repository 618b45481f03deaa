"""Messages that start pipelines over HTTP: who may send them, what they must be, and which answer their sender gets."""

import base64
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.identity import Key, KeyServer
from support.serving import Serving, envelope

TOKEN = "tr1gger/t0ken-never-shown"
SCHEMA = {"type": "object", "required": ["day"], "additionalProperties": False,
          "properties": {"day": {"type": "string", "pattern": "^[a-z0-9_]+$", "description": "the schema to read, in small letters"},
                         "rows": {"type": "integer", "minimum": 1}}}


@pytest.fixture(scope="module")
def key():
    return Key("key-1")


@pytest.fixture(scope="module")
def keys(key):
    made = KeyServer(key)
    yield made
    made.close()


@pytest.fixture
def serve():
    """Starts servers, and ends those that a test left."""
    made = []

    def start(project, *options, **more):
        made.append(Serving(project, *options, **more))
        return made[-1]

    yield start
    for one in made:
        if one.running.process.poll() is None:
            one.kill()


@pytest.fixture
def shop(database, project, keys):
    """A pipeline that reads the schema which a message names."""
    project.environment.update(SHOP_URL=database.url, TOKEN=TOKEN)
    for day in ("mon", "tue"):
        database.execute(f"CREATE SCHEMA {day}; CREATE TABLE {day}.usage (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());"
                         f"INSERT INTO {day}.usage SELECT generate_series(1, 10)")
    project.write(json.dumps(SCHEMA), "message.json")
    project.trigger = {"http": "/usage", "pubsub_push": True, "token": "${TOKEN}", "audience": "https://etl.example.com/billing",
                       "service_account": "pusher@project.iam.gserviceaccount.com", "keys": keys.url, "schema": "message.json",
                       "max_bytes": "4KiB", "timeout": "20s"}

    def configure(**changed):
        trigger = {name: value for name, value in {**project.trigger, **changed}.items() if value is not None}
        project.config(
            connections={"shop": {"type": "postgres", "url": "${SHOP_URL}"}, "warehouse": {"type": "duckdb", "path": "warehouse.duckdb"}},
            pipelines={"usage": {"source": {"connection": "shop", "table": "{param.day}.usage", "cursor": "at"},
                                 "target": {"connection": "warehouse", "table": "usage.{param.day}", "mode": "merge", "key": ["id"]},
                                 "retries": {"max": 0}, "trigger": trigger}})

    project.configure = configure
    configure()
    return project


def wait_for(what, seconds: float = 20):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
    return found


def runs(project) -> int:
    return len(project.run("runs", "--output", "json").json["runs"])


def test_plain_json_starts_a_run(shop, serve):
    server = serve(shop)
    assert server.get("/healthz").json["status"] == "ok" and server.get("/readyz").json["status"] == "ready"
    accepted = server.post("/usage", {"day": "mon"}, TOKEN)
    assert accepted.status == 202 and accepted.json["status"] == "running"
    place = accepted.headers["location"]
    ended = wait_for(lambda: (now := server.get(place, TOKEN).json)["status"] == "success" and now)
    assert [(run["status"], run["rows_written"]) for run in ended["runs"]] == [("success", 10)]
    waited = server.post("/usage?wait=20s", {"day": "tue"}, TOKEN)
    assert (waited.status, waited.json["status"], waited.json["runs"][0]["rows_written"]) == (200, "success", 10)
    assert server.get(place).status == 401, "a run is as private as its trigger"
    assert server.get("/runs/nothing", TOKEN).status == 404 and server.get("/usage", TOKEN).status == 405
    assert server.post("/elsewhere", {}).status == 404
    assert shop.duck_value("SELECT count(*) FROM usage.tue") == 10
    begun = next(line for line in server.log() if line["message"].endswith("begins"))
    assert begun["pipeline"] == "usage" and begun["run_id"]
    # A parameter may be given by hand as well.
    assert shop.load("--param", "day=mon").run()["status"] == "success"
    assert "no parameter 'day'" in shop.load(expect=None).error["message"]
    assert server.stop() == 0
    assert TOKEN not in "".join(server.lines)


@pytest.mark.parametrize("message,path,reason", [
    ({}, "", "day"), ({"day": 5}, "/day", "type"), ({"day": "Mon Day"}, "/day", "pattern"), ({"day": "mon", "rows": 0}, "/rows", "min"),
    ({"day": "mon", "rest": 1}, "", "rest"), ("[1]", "", "object"), ("{day: mon}", "", "no JSON"), ("", "", "no JSON"),
    ("[" * 200 + "]" * 200, "", "nested")])
def test_a_message_that_does_not_hold_the_schema(shop, serve, message, path, reason):
    server = serve(shop)
    refused = server.post("/usage", message, TOKEN)
    assert refused.status == 400 and refused.json["error"]["code"] == "bad_message"
    found = refused.json["violations"][0]
    assert found["path"] == path and reason in found["reason"] + json.dumps(found["expected"]) and found["hint"], found
    # Delivered by Pub/Sub it would come again and again: it is acknowledged, and kept among the rejects.
    pushed = server.push("/usage", message, "m-1", TOKEN)
    assert (pushed.status, pushed.json["status"]) == (200, "rejected")
    assert server.push("/usage", message, "m-1", TOKEN).status == 200
    assert runs(shop) == 0


def test_rejected_messages_are_listed(shop, serve):
    server = serve(shop)
    assert server.push("/usage", {"day": 5}, "m-1", TOKEN).status == 200
    broken = envelope({}, "m-2")
    broken["message"]["data"] = "%%%"
    assert server.post("/usage", broken, TOKEN).json["status"] == "rejected"
    assert server.push("/usage", b"\xff\x00 no text", "m-3", TOKEN).json["status"] == "rejected"
    rejects = shop.run("rejects", "list", "--output", "json").json["rejects"]
    assert [(r["source_position"], r["code"], r["route"]) for r in rejects] == [(name, "bad_message", None) for name in ("m-1", "m-2", "m-3")]
    assert rejects[0]["payload"] == {"day": 5} and "/day" in rejects[0]["reason"]
    shop.run("rejects", "discard", "usage")
    assert shop.run("rejects", "list", "--output", "json").json["rejects"] == []


def test_identity_tokens(shop, serve, key, keys):
    server = serve(shop)

    def status(token):
        return server.push("/usage", {"day": "mon"}, "m-1", token).status

    assert status(key.token()) == 200
    stranger = Key("key-1")  # the name of a known key, and another one
    head, claims, signature = key.token().split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"key-1"}').rstrip(b"=").decode()
    symmetric = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"key-1"}').rstrip(b"=").decode()
    other = base64.urlsafe_b64encode(json.dumps({"aud": "x"}).encode()).rstrip(b"=").decode()
    wrong = {"audience": key.token(aud="https://elsewhere.example.com"), "expired": key.token(age=7200), "future": key.token(age=-7200),
             "account": key.token(email="somebody@else.iam.gserviceaccount.com"), "unverified": key.token(email_verified=False),
             "issuer": key.token(iss="https://evil.example.com"), "no expiry": key.token(exp=None), "no audience": key.token(aud=None),
             "signature": stranger.token(), "claims": f"{head}.{other}.{signature}", "none": f"{none}.{claims}.", "symmetric": f"{symmetric}.{claims}.{signature}",
             "unknown key": Key("key-9").token(), "two parts": f"{head}.{claims}", "nonsense": "nonsense", "the word": "Bearer", "none given": None}
    assert {name: status(token) for name, token in wrong.items()} == dict.fromkeys(wrong, 401)
    assert status(key.token(age=3700)) == 200, "clocks may differ by five minutes"
    assert status(key.token(aud=["https://elsewhere.example.com", "https://etl.example.com/billing"])) == 200
    refused = server.push("/usage", {"day": "mon"}, "m-1", wrong["expired"])
    assert "expired" in refused.json["error"]["message"] and refused.headers["www-authenticate"] == "Bearer"
    text = "".join(server.lines)
    assert not any(token in text for token in (*wrong.values(), key.token()) if token and "." in token)


def test_keys_are_fetched_again_when_they_change(shop, serve, key):
    keys = KeyServer(key)
    shop.configure(keys=keys.url)
    server = serve(shop)
    keys.status = 500
    assert server.push("/usage", {"day": "mon"}, "m-1", key.token()).status == 503, "it must come again: the token may be good"
    keys.status = 200
    assert wait_for(lambda: server.push("/usage", {"day": "mon"}, "m-1", key.token()).status == 200)
    before = keys.asked
    for number in range(5):
        assert server.push("/usage", {"day": "mon"}, "m-1", key.token()).status == 200
        assert server.push("/usage", {"day": "mon"}, "m-1", Key(f"other-{number}").token()).status == 401
    assert keys.asked - before <= 1, "made-up keys are no way to make the server ask"
    keys.close()
    assert server.push("/usage", {"day": "mon"}, "m-1", key.token()).status == 200, "keys are kept"


def test_a_message_delivered_again_does_nothing_twice(shop, serve, database, key):
    server = serve(shop)
    first = server.push("/usage", {"day": "mon"}, "m-1", key.token())
    assert (first.status, first.json["runs"][0]["rows_written"]) == (200, 10)
    database.execute("INSERT INTO mon.usage VALUES (11)")
    again = server.push("/usage", {"day": "mon"}, "m-1", key.token())
    assert (again.status, again.json["runs"]) == (200, first.json["runs"]) and runs(shop) == 1
    assert shop.duck_value("SELECT count(*) FROM usage.mon") == 10
    server.kill()
    server = serve(shop)  # another process knows it as well
    assert server.push("/usage", {"day": "mon"}, "m-1", key.token()).json["runs"] == first.json["runs"] and runs(shop) == 1
    assert server.push("/usage", {"day": "mon"}, "m-2", key.token()).status == 200 and runs(shop) == 2
    assert shop.duck_value("SELECT count(*) FROM usage.mon") == 11
    # Plain messages have the key that their sender gives them.
    one = server.post("/usage?wait", {"day": "tue"}, TOKEN, Idempotency_Key="k")
    assert one.status == 200 and server.post("/usage?wait", {"day": "tue"}, TOKEN, Idempotency_Key="k").json == one.json
    assert server.post("/usage?wait", {"day": "mon"}, TOKEN, Idempotency_Key="k").status == 422
    assert runs(shop) == 3


def test_duplicates_at_once(shop, serve, database, key):
    database.execute("INSERT INTO mon.usage SELECT generate_series(11, 3000)")
    server = serve(shop, env={"PENSTOCK_FAILPOINT": "source_read_during=delay"})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.push("/usage", {"day": "mon"}, "m-1", key.token()), range(8)))
    assert sorted({answer.status for answer in answers} | {503}) == [200, 503]
    assert all(answer.headers["retry-after"] for answer in answers if answer.status == 503)
    assert server.push("/usage", {"day": "mon"}, "m-1", key.token()).status == 200
    assert runs(shop) == 1 and shop.duck_value("SELECT count(*) FROM usage.mon") == 3000


def test_failures_that_another_try_can_mend_come_again(shop, serve, database, key):
    server = serve(shop)
    missing = server.push("/usage", {"day": "wed"}, "m-1", key.token())
    assert (missing.status, missing.json["status"], missing.json["runs"][0]["status"]) == (200, "failed", "failed"), "it will not be better"
    assert server.post("/usage?wait", {"day": "wed"}, TOKEN).status == 500
    database.execute("ALTER ROLE loader NOLOGIN")
    try:
        refused = server.push("/usage", {"day": "mon"}, "m-2", key.token())
    finally:
        database.execute("ALTER ROLE loader LOGIN")
    assert refused.json["runs"][0]["status"] == "failed"
    shop.environment["SHOP_URL"] = database.url.replace(f":{database.server.port}/", ":9/")
    server.kill()
    server = serve(shop)
    away = server.push("/usage", {"day": "mon"}, "m-3", key.token())
    assert (away.status, away.json["will_be_retried"]) == (503, True) and away.headers["retry-after"]
    server.kill()
    shop.environment["SHOP_URL"] = database.url
    server = serve(shop)
    assert server.push("/usage", {"day": "mon"}, "m-3", key.token()).status == 200
    assert server.push("/usage", {"day": "mon"}, "m-3", key.token()).json["attempts"] == 2


def test_killed_in_the_middle(shop, serve, database, key):
    server = serve(shop, env={"PENSTOCK_FAILPOINT": "target_commit_after=kill"})
    with pytest.raises(OSError):
        server.push("/usage", {"day": "mon"}, "m-1", key.token())
    server = serve(shop, env={"PENSTOCK_FAILPOINT": "target_commit_before=kill"})
    place = server.post("/usage", {"day": "tue"}, TOKEN).headers["location"]
    server.running.process.wait(20)
    server = serve(shop)
    # What was accepted with 202 is gone on with, although nobody sends it again.
    ended = wait_for(lambda: (now := server.get(place, TOKEN).json)["status"] == "success" and now)
    assert ended["runs"][0]["rows_written"] == 10 and ended["attempts"] == 2
    assert server.push("/usage", {"day": "mon"}, "m-1", key.token()).status == 200
    assert [shop.duck_value(f"SELECT count(*) FROM usage.{day}") for day in ("mon", "tue")] == [10, 10]


def test_size_and_time_limits(shop, serve):
    server = serve(shop)
    assert server.post("/usage", b"x" * 5000, TOKEN).status == 413
    with socket.create_connection(("127.0.0.1", server.port)) as client:  # without a length
        client.sendall(b"POST /usage HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n")
        for _ in range(5):
            client.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 20_000)
        assert client.recv(100).startswith(b"HTTP/1.1 431 ")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    # Clients that send a byte now and then hold sockets, and no more.
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
    for client in slow:
        client.sendall(b"POST /usage HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    idle = socket.create_connection(("127.0.0.1", server.port))
    started = time.monotonic()
    assert server.get("/healthz").status == 200 and server.post("/usage?wait", {"day": "mon"}, TOKEN).status == 200
    assert time.monotonic() - started < 10
    idle.settimeout(15)
    assert idle.recv(1) == b"", "whoever sends no head is let go after ten seconds"
    for client in slow:
        client.close()


def test_no_more_than_so_many_at_once(shop, serve, database):
    shop.configure(timeout="1s")
    database.execute("INSERT INTO mon.usage SELECT generate_series(11, 9000)")
    server = serve(shop, "--workers", "1", "--backlog", "1", env={"PENSTOCK_FAILPOINT": "source_read_during=delay"})
    places = [server.post("/usage", {"day": "mon"}, TOKEN)]
    wait_for(lambda: any(line["message"].endswith("begins") for line in server.log()))
    places.append(server.post("/usage", {"day": "mon"}, TOKEN))
    third = server.post("/usage", {"day": "mon"}, TOKEN)
    assert [place.status for place in places] == [202, 202] and third.status == 429 and third.headers["retry-after"]
    # It runs on when nobody waits any more, and has so long when the server is stopped; what waits is given back.
    assert server.stop() == 0
    statuses = {}
    server = serve(shop)
    for place in places:
        statuses[place.json["id"]] = wait_for(lambda: (now := server.get(place.headers["location"], TOKEN).json)["status"] == "success" and now["runs"][0]["status"])
    assert set(statuses.values()) == {"success"}, server.log()
    assert shop.duck_value("SELECT count(*) FROM usage.mon") == 9000


def test_an_answer_does_not_wait_for_ever(shop, serve, database, key):
    shop.configure(timeout="1s")
    database.execute("INSERT INTO mon.usage SELECT generate_series(11, 9000)")
    server = serve(shop, env={"PENSTOCK_FAILPOINT": "source_read_during=delay"})
    late = server.push("/usage", {"day": "mon"}, "m-1", key.token())
    assert late.status == 503 and late.json["error"]["code"] == "still_running"
    ended = wait_for(lambda: (now := server.push("/usage", {"day": "mon"}, "m-1", key.token())).status == 200 and now)
    assert ended.json["runs"][0]["rows_written"] == 9000 and ended.json["attempts"] == 1


def test_what_is_wrong_is_said_before_it_listens(shop):
    shop.configure(token=None, audience=None, service_account=None)
    refused = shop.run("serve", "--listen", "0.0.0.0:0", expect=2)
    assert "anybody who reaches" in refused.err and "--allow-unauthenticated" in refused.err
    shop.configure(audience=None)
    assert "belong together" in shop.run("check", expect=2).err
    shop.configure(http="/healthz")
    assert "path of the server itself" in shop.run("check", expect=2).err
    shop.configure(pubsub_push=False)
    assert "pubsub_push" in shop.run("check", expect=2).err
    shop.configure(schema="nowhere.json")
    assert "nowhere.json" in shop.run("serve", expect=2).err
    shop.configure()
    assert "no HOST:PORT" in shop.run("serve", "--listen", "here", expect=2).err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "cannot listen" in shop.run("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}", expect=1).err


def test_an_unguarded_path_is_for_programs_of_this_machine(shop, serve):
    shop.configure(token=None, audience=None, service_account=None)
    server = serve(shop)
    assert server.request("POST", "/usage", '{"day": "mon"}', {"Content-Type": "text/plain"}).status == 415
    assert server.request("POST", "/usage", '{"day": "mon"}').status == 415
    assert server.post("/usage?wait", {"day": "mon"}).status == 200


def test_many_connections_and_requests_on_one(shop, serve):
    server = serve(shop)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        for _ in range(3):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    results = []
    threads = [threading.Thread(target=lambda: results.append(server.get("/healthz").status)) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 100
