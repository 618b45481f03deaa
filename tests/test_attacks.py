"""What others can choose (names, values, files, requests, tokens) does what it says and nothing else: each attack is refused, or the
hostile thing is carried like any other. docs/design/threats.md says who the others are."""

import json
import os
import random
import re
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from support.bigquery import Warehouse
from support.identity import Key, KeyServer
from support.serving import Serving

NAMES = ['x"; DROP TABLE victim; --', "it's; DROP TABLE victim;--", "a`b`; DROP TABLE shop.victim", "$$;DROP TABLE victim;$$", "back\\slash\\'\\",
         "{table}{param.x}${SHOP_URL}", "tab\tnew\nline", "\x1b]0;owned\x07\x1b[2Jred", "SELECT", "ünïcödé☃", "%s%n%d", "a.b.c", "*", "../../escape",
         ".. /x", "penstock", "x" * 63]
SECRET = "hunter2-never-shown"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def hostile(database):
    """A table by each name, with a column of that name, and one that must survive."""
    for name in NAMES:
        database.execute(f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY, {quoted(name)} text, at timestamptz DEFAULT '2026-01-01')")
        database.execute(f"INSERT INTO {quoted(name).replace('%', '%%')} SELECT g, %s || g FROM generate_series(1, 3) g", [name])
    database.execute("CREATE TABLE victim (a int)")
    return database


TABLES = {"tables": ["public.*"], "exclude": ["public.victim"]}


def untouched(database, project) -> None:
    assert database.value("SELECT count(*) FROM victim") == 0
    outside = [path for path in project.folder.parent.rglob("*") if path.is_file() and project.folder not in path.parents]
    assert not outside, f"files outside of the project: {outside}"


# ---------------------------------------------------------------- names in SQL and in paths

@pytest.mark.parametrize("mode", ["replace", "merge", "history"])
def test_names_in_postgres_and_duckdb(mode, hostile, project):
    project.pipeline(hostile, dict(TABLES), {"dataset": "shop", "mode": mode} | ({} if mode == "replace" else {"key": ["id"]}))
    with duckdb.connect(str(project.warehouse)) as connection:
        connection.execute("CREATE SCHEMA shop; CREATE TABLE victim (a int); CREATE TABLE shop.victim (a int)")
    project.load()
    hostile.execute(f"UPDATE {quoted(NAMES[0])} SET {quoted(NAMES[0])} = 'changed' WHERE id = 1")
    again = project.load()
    assert again.run()["rows_rejected"] == 0
    for name in NAMES:
        current = " WHERE _penstock_valid_to IS NULL" if mode == "history" else ""
        stored = sorted(project.duck(f"SELECT id, {quoted(name)} FROM shop.{quoted(name)}{current}"))
        assert stored == sorted(hostile.rows(f"SELECT id, {quoted(name)} FROM {quoted(name)}")), name
    assert project.duck("SELECT count(*) FROM victim UNION ALL SELECT count(*) FROM shop.victim") == [(0,), (0,)]
    if mode == "merge":
        assert all(table["equal"] for table in project.run("verify", "p", "--output", "json").json["tables"])
    untouched(hostile, project)


def test_names_in_bigquery(hostile, project, bigquery):
    """BigQuery has names of its own rules: a table or column that has no such name is refused, by name, and harms no other."""
    warehouse = Warehouse(bigquery)
    try:
        project.pipeline(hostile, dict(TABLES), {"connection": "bq", "dataset": "shop", "mode": "merge", "key": ["id"]}, connections=warehouse.connection(),
                         on_reject="continue")
        ended = project.run("run", "--all", "--output", "json", expect=None)
        assert ended.code in (0, 1, 2) and (ended.code == 0 or ended.json["runs"][0]["error"]["message"])
        project.pipeline(hostile, {"table": 'public."SELECT"'}, {"connection": "bq", "table": "shop.SELECT", "mode": "merge", "key": ["id"]},
                         connections=warehouse.connection())
        project.load()
        assert warehouse.value("SELECT COUNT(*) FROM shop.`SELECT`") == 3
    finally:
        warehouse.client.close()
    untouched(hostile, project)


def test_names_become_no_paths(hostile, project):
    project.pipeline(hostile, dict(TABLES), {"format": "parquet", "path": "{table}/"})
    project.load()
    assert len(project.data_files()) == len(NAMES)
    assert all(path.resolve().is_relative_to(project.lake.resolve()) for path in project.data_files())
    untouched(hostile, project)


def test_names_write_no_lines_and_command_no_terminal(hostile, project):
    """A table called "…\\n00:00:00 error …" begins no line of the log, and none sends a terminal a command."""
    forged = "x\n12:00:00.000 error   p: everything is lost"
    hostile.execute(f"CREATE TABLE {quoted(forged)} (id int PRIMARY KEY)")
    project.pipeline(hostile, dict(TABLES), {"dataset": "shop", "mode": "merge", "key": ["id"]})
    outputs = [project.run(*command, expect=None) for command in (["run", "--all"], ["plan"], ["types", "p"], ["verify", "p"], ["status"], ["runs"])]
    hostile.execute(f"CREATE VIEW broken AS SELECT 1 / 0 AS {quoted(NAMES[7])}")
    outputs.append(project.run("run", "--all", expect=None))
    for output in outputs:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", output.both), output
        assert not re.search(r"(?m)^12:00:00\.000", output.err), output
    assert "\\n12:00:00.000 error" in outputs[0].err, "it is said, in a form that is seen"


def test_objects_with_hostile_names(project):
    inbox = project.folder / "in"
    inbox.mkdir()
    names = ["a'; DROP TABLE victim; --.ndjson", "$(touch pwned).ndjson", "`touch pwned`.ndjson", "new\nline.ndjson", "[a-z]*.ndjson", "{a,b}.ndjson",
             "%2e%2e%2fx.ndjson", "--output=x.ndjson", "\x1b[2J.ndjson", "x\\..\\y.ndjson", "&id=1;.ndjson"]
    for number, name in enumerate(names):
        (inbox / name).write_text(json.dumps({"id": number}) + "\n")
        os.utime(inbox / name, (time.time() - 60,) * 2)
    project.config(connections={"lake": {"type": "files", "url": "file:."}, "warehouse": {"type": "duckdb", "path": "warehouse.duckdb"}},
                   pipelines={"p": {"source": {"connection": "lake", "files": "in/*.ndjson", "table": "a.b", "schema": "s.sql"}, "target": {"connection": "warehouse", "table": "a.b"}}})
    project.write("CREATE TABLE b (id BIGINT)", "s.sql")
    with duckdb.connect(str(project.warehouse)) as connection:
        connection.execute("CREATE TABLE victim (a int)")
    assert project.load().run()["rows_written"] == len(names)
    assert project.duck("SELECT id FROM a.b ORDER BY id") == [(number,) for number in range(len(names))]
    assert project.duck_value("SELECT count(*) FROM victim") == 0 and not list(project.folder.rglob("pwned"))
    assert project.load().run()["rows_written"] == 0, "each once"


VALUES = ["../../secret", "..", "a/../../b", "x'; DROP TABLE victim; --", 'x" OR 1=1', "a b", "a;b", "$HOME", "`id`", "{window.date}", "a\nb", "", "--x", "a*", "%2e%2e", "a\\b",
          "\x1b[2J"]


def test_parameters(database, project):
    """They stand in names and in SQL: what is harmful in either is refused before anybody is asked."""
    database.execute("CREATE TABLE victim (a int)")
    project.pipeline(database, {"table": "public.{param.table}"}, {"table": "shop.{param.table}"})
    refused = {value: project.run("run", "p", "--param", f"table={value}", "--output", "json", expect=None) for value in VALUES}
    assert {value: output.json["runs"][0]["error"]["code"] for value, output in refused.items()} == dict.fromkeys(VALUES, "unusable_value")
    assert database.value("SELECT count(*) FROM victim") == 0 and not project.warehouse.exists()


# ---------------------------------------------------------------- requests

TOKEN = "tr1gger/t0ken-never-shown"


@pytest.fixture(scope="module")
def keys():
    key = Key("key-1")
    made = KeyServer(key)
    made.key = key
    yield made
    made.close()


@pytest.fixture
def serving(database, project, keys):
    database.execute("CREATE SCHEMA mon; CREATE TABLE mon.usage (id int PRIMARY KEY); INSERT INTO mon.usage VALUES (1)")
    project.environment.update(SHOP_URL=database.url, TOKEN=TOKEN, EMPTY="")
    guard = {"audience": "https://etl.example.com/billing", "service_account": "pusher@project.iam.gserviceaccount.com", "keys": keys.url, "pubsub_push": True}
    source, target = {"connection": "shop", "table": "{param.day}.usage"}, {"connection": "warehouse", "table": "usage.{param.day}", "mode": "append"}
    project.config(connections={"shop": {"type": "postgres", "url": "${SHOP_URL}"}, "warehouse": {"type": "duckdb", "path": "warehouse.duckdb"}},
                   pipelines={"usage": {"source": source, "target": target, "retries": {"max": 0}, "trigger": {"http": "/usage", "token": "${TOKEN}", "max_bytes": "4KiB", **guard}},
                              "unset": {"source": source, "target": {**target, "table": "unset.{param.day}"}, "trigger": {"http": "/unset", "token": "${EMPTY:-}", **guard}}})
    made = Serving(project)
    yield made
    if made.running.process.poll() is None:
        made.kill()
    assert TOKEN not in "".join(made.lines)


def test_requests_that_are_none(serving):
    """Each is answered with an error or cut off, none starts a run, and the server goes on."""
    good = f"Host: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    body = '{"day": "mon"}'
    attempts = {
        "two lengths": f"POST /usage HTTP/1.1\r\n{good}Content-Length: 14\r\nContent-Length: 3\r\n\r\n{body}",
        "length and chunks": f"POST /usage HTTP/1.1\r\n{good}Content-Length: 14\r\nTransfer-Encoding: chunked\r\n\r\n{body}",
        "negative length": f"POST /usage HTTP/1.1\r\n{good}Content-Length: -1\r\n\r\n{body}",
        "length beyond 64 bits": f"POST /usage HTTP/1.1\r\n{good}Content-Length: 99999999999999999999999\r\n\r\n{body}",
        "chunk beyond 64 bits": f"POST /usage HTTP/1.1\r\n{good}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{body}",
        "too large": f"POST /usage HTTP/1.1\r\n{good}Content-Length: 5000\r\n\r\n" + "x" * 5000,
        "many headers": "GET /healthz HTTP/1.1\r\n" + "".join(f"X{n}: y\r\n" for n in range(3000)) + "\r\n",
        "long path": "GET /" + "a" * 50_000 + " HTTP/1.1\r\nHost: a\r\n\r\n",
        "no path": "POST  HTTP/1.1\r\n\r\n",
        "a null": f"POST /usage\0 HTTP/1.1\r\n{good}Content-Length: 14\r\n\r\n{body}",
        "a folded header": f"POST /usage HTTP/1.1\r\n{good}X: a\r\n b\r\nContent-Length: x\r\n\r\n",
        "deep": f"POST /usage HTTP/1.1\r\n{good}Content-Length: 4000\r\n\r\n" + "[" * 4000,
        "not text": f"POST /usage HTTP/1.1\r\n{good}Content-Length: 4\r\n\r\n\udcff\udcfe{{}}",
        "other path": "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        "encoded path": "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        "a run that is a path": f"GET /runs/../../etc/passwd HTTP/1.1\r\n{good}\r\n",
        "a run that is SQL": f"GET /runs/x'%20OR%201=1-- HTTP/1.1\r\n{good}\r\n",
        "proxy": "GET http://169.254.169.254/latest/meta-data HTTP/1.1\r\nHost: a\r\n\r\n",
        "tunnel": "CONNECT 127.0.0.1:5432 HTTP/1.1\r\nHost: a\r\n\r\n",
        "trace": "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "noise": "".join(chr(random.Random(7).randrange(1, 127)) for _ in range(3000)) + "\r\n\r\n",
    }

    def send(text: str) -> str:
        with socket.create_connection(("127.0.0.1", serving.port), timeout=20) as client:
            try:
                client.sendall(text.encode("utf-8", "surrogateescape"))
                client.shutdown(socket.SHUT_WR)
                return client.recv(200).decode("utf-8", "replace")
            except OSError:
                return ""  # cut off

    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(attempts, pool.map(send, attempts.values())))
    assert {name: answer[:60] for name, answer in answers.items() if answer and not re.match(r"HTTP/1\.[01] (4\d\d|501|505) ", answer)} == {}
    assert serving.get("/healthz").status == 200
    assert not [line for line in serving.log() if line["message"].endswith("begins")]


MESSAGES = [{"day": "../../etc"}, {"day": "mon'; DROP SCHEMA mon CASCADE; --"}, {"day": {"$ne": None}}, {"day": ["mon", "x;y"]}, {"day": "x" * 5000}, {"day": None},
            {"__proto__": {"day": "mon"}}, {"day": "{param.day}"}, {"day": "mon\n"}, [{"day": "mon"}], "mon", {"day": "${SHOP_URL}"}]


def test_messages_that_mean_harm(serving, database):
    answers = {json.dumps(message)[:60]: serving.post("/usage?wait=20s", json.dumps(message), TOKEN) for message in MESSAGES}
    # What is no value is refused as a message, what is none that may stand in SQL by the run, before it connects.
    codes = {name: answer.json["runs"][0]["error"]["code"] if answer.status == 500 else answer.status for name, answer in answers.items()}
    assert set(codes.values()) == {"unusable_value", "unknown_column", 400, 413}, codes
    assert database.value("SELECT count(*) FROM mon.usage") == 1 and all(database.url not in answer.text for answer in answers.values())


def test_tokens(serving, keys):
    """Neither nearly the token nor another form of it, nor an empty one where the variable of the configuration is empty."""
    key = keys.key

    def status(path, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return serving.request("POST", path, '{"day": "mon"}', {"Content-Type": "application/json", **named}).status

    wrong = [TOKEN[:-1], TOKEN + "x", TOKEN.upper(), f" {TOKEN}x", "", " ", "null", "undefined", f"{TOKEN},{TOKEN}", TOKEN.replace("t", "%74"), "x" * 15_000]
    for path in ("/usage", "/unset"):
        assert {token[:40]: status(path, Authorization=f"Bearer {token}") for token in wrong} == {token[:40]: 401 for token in wrong}
        assert {status(path, **headers) for headers in ({}, {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer"}, {"X_Api_Key": TOKEN},
                                                        {"Cookie": f"token={TOKEN}"}, {"Authorization": f"Bearer Bearer {TOKEN}"})} == {401}
    assert status(f"/usage?token={TOKEN}") == 401 and status(f"/usage?access_token={TOKEN}") == 401
    # Identity tokens: forged, expired, for others, of nobody; and a good one with its parts exchanged.
    head, claims, signature = key.token().split(".")
    forged = [key.token(age=7200), key.token(aud="https://elsewhere.example.com"), key.token(email="x@y"), Key("key-1").token(), f"{head}.{claims}.",
              f"{head}.{claims}.{signature[:-4]}AAAA", f"{claims}.{head}.{signature}", f"{head}..{signature}", ".".join([head] * 3), f"{head}.{claims}.{signature}.x",
              key.token(iss="https://accounts.google.com.evil.example"), key.token(exp="9999999999"), key.token(aud=None), "." * 200]
    assert [serving.push("/usage", {"day": "mon"}, "m", token).status for token in forged] == [401] * len(forged)
    # A good one that is sent again with the same message does nothing twice.
    first = serving.push("/usage", {"day": "mon"}, "replayed", key.token())
    again = serving.push("/usage", {"day": "mon"}, "replayed", key.token())
    assert (first.status, again.status, first.json["runs"]) == (200, 200, again.json["runs"])


def test_slow_senders_do_not_keep_others_out(serving):
    clients = [socket.create_connection(("127.0.0.1", serving.port)) for _ in range(100)]
    for number, client in enumerate(clients):
        client.sendall(b"POST /usage HTTP/1.1\r\nHost: a\r\n" if number % 2 else b"P")
    started = time.monotonic()
    assert serving.get("/healthz").status == 200 and time.monotonic() - started < 5
    for client in clients:
        client.close()
    assert serving.stop() == 0, "nor from being stopped"


# ---------------------------------------------------------------- configurations

def bomb() -> str:
    lines = ["version: 1", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(lines)


CONFIGURATIONS = {
    "a billion laughs": bomb(), "deep lists": "version: 1\npipelines: " + "[" * 200_000, "deep maps": "version: 1\n" + "".join(" " * n + "a:\n" for n in range(3000)),
    "deep flow maps": "{a: " * 100_000, "an anchor in itself": "version: 1\npipelines: &a {b: *a}", "a tag": "version: !!python/object/apply:os.system ['touch pwned']",
    "a merge of itself": "a: &a\n  <<: *a", "a million keys": "version: 1\npipelines:\n" + "".join(f"  p{n}: {{}}\n" for n in range(150_000)),
    "a long scalar": "version: 1\nstate: " + "x" * (2 << 20), "nothing but zeros": "\0" * 100_000, "no text": "\xff\xfe\x00",
    "keys twice": "version: 1\nversion: 1", "a directory": "version: 1\nstate: \"${file:/}\"", "endless": "version: 1\nstate: \"${file:/dev/zero}\"",
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_that_would_never_end(name, project):
    (project.folder / "penstock.yaml").write_bytes(CONFIGURATIONS[name].encode("latin-1"))

    def little_memory():
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))

    refused = project.run("check", expect=2, prepare=little_memory)
    assert "error" in refused.err and len(refused.err) < 100_000 and not (project.folder / "pwned").exists()


# ---------------------------------------------------------------- secrets

def test_secrets_in_the_wrong_place(database, project):
    """Where an option is no secret, whatever is said of it in an error still does not show the password that stands in it."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    project.write(SECRET + "\n", "secret.txt")
    password = {"SHOP_PASSWORD": SECRET}
    for source in ({"table": "public.t", "where": "id = '${SHOP_PASSWORD}' AND ("}, {"table": "public.${SHOP_PASSWORD}"}, {"query": "select '${SHOP_PASSWORD}' from"},
                   {"table": "public.t", "cursor": "${SHOP_PASSWORD}"}, {"table": "public.t", "where": "id = '${file:secret.txt}'"}):
        project.pipeline(database, source, {"table": "s.t"}, retries={"max": 0})
        for command in (["run", "--all", "--log-level", "debug", "--log-format", "json"], ["run", "--all", "--output", "json"], ["plan"], ["runs"]):
            output = project.run(*command, expect=None, env=password)
            assert SECRET not in output.both, output


def test_secrets_are_in_no_list_of_processes(database, project):
    """What everybody on a machine can read of a server and of the runs it begins: their arguments and their names."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5000)")
    database.execute("CREATE SCHEMA penstock AUTHORIZATION loader")
    password = re.search(r"://[^:]+:([^@]+)@", database.url).group(1)
    project.pipeline(database, {"table": "public.t"}, {"table": "s.t"}, schedule="@every 1s", catchup="one")
    text = (project.folder / "penstock.yaml").read_text()
    project.write(text.replace('"version": 1', '"version": 1, "state": "${SHOP_URL}"'))
    server = Serving(project, env={"PENSTOCK_FAILPOINT": "source_read_during=delay"})
    seen = set()
    try:
        deadline = time.monotonic() + 20
        while not any(" run p --drain" in line for line in seen) and time.monotonic() < deadline:
            for folder in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if os.path.samefile(f"/proc/{folder}/cwd", project.folder):
                        for name in ("cmdline", "comm", "status"):
                            with open(f"/proc/{folder}/{name}") as file:
                                seen.add(file.read().replace("\0", " "))
                except OSError:
                    pass  # it has ended
            time.sleep(0.02)
    finally:
        server.kill()
    assert any(" serve " in line for line in seen) and any(" run p --drain" in line for line in seen), seen
    assert not [line for line in seen if password in line]
    assert not [line for line in server.lines if password in line]
