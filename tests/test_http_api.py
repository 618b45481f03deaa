"""An HTTP API as a source: every kind of paging, increments, limits, answers that are cut off, what is refused and what is never told."""

import json
import shutil
import signal
import threading
import time
from base64 import b64encode
from datetime import datetime, timedelta, timezone

import pytest
import yaml

from support.api import Answer, Api
from support.program import ROOT

DDL = "CREATE TABLE users (id INT64 NOT NULL, name STRING, updated_at TIMESTAMP)"
MERGE = {"table": "crm.users", "mode": "merge", "key": ["id"]}
APPEND = {"table": "crm.users", "mode": "append"}
REPLACE = {"table": "crm.users", "mode": "replace"}
FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)


def user(number: int, **other) -> dict:
    return {"id": number, "name": f"user {number}", "updated_at": (FIRST + timedelta(minutes=number)).isoformat(), **other}


USERS = [user(i) for i in range(1, 251)]


@pytest.fixture
def serve():
    made = []

    def start(answer) -> Api:
        made.append(Api(answer))
        return made[-1]

    yield start
    for api in made:
        api.close()


def pipeline(project, api, source=None, target=None, connection=None, ddl=DDL, **rest):
    project.write(ddl, "users.sql")
    project.config(
        connections={"crm": {"type": "http", "url": api.url + "/v1", "retry_for": "20s", **(connection or {})},
                     "warehouse": {"type": "duckdb", "path": "warehouse.duckdb"}},
        pipelines={"users": {"source": {"connection": "crm", "path": "/users", "schema": "users.sql", **(source or {})},
                             "target": {"connection": "warehouse", **(target or MERGE)}, **rest}})


def ids(project) -> list[int]:
    return [id for (id,) in project.duck("SELECT id FROM crm.users ORDER BY id")]


def every_one(project, count=250):
    assert ids(project) == list(range(1, count + 1))
    assert project.duck("SELECT name, updated_at::VARCHAR FROM crm.users WHERE id = 7") == [("user 7", "2026-01-01 00:07:00+00")]


# -- pages --------------------------------------------------------------------------------------------------------------------
def by_page(asked):
    size, page = int(asked.params.get("per_page", 100)), int(asked.params["page"])
    return USERS[(page - 1) * size:page * size]


def by_offset(asked):
    begin = int(asked.params["offset"])
    return {"items": USERS[begin:begin + 60], "meta": {"total": len(USERS)}}


def by_token(asked):
    begin = int(asked.params.get("cursor", "t0")[1:])
    end = begin + 90
    return {"next": {"token": f"t{end}" if end < len(USERS) else None}, "data": {"users": USERS[begin:end]}}


def by_link(asked):
    page = int(asked.params.get("page", 1))
    links = ['</v1/users?page=1>; rel="first"']
    if page < 5:
        links.append(f'</v1/users?page={page + 1}>; title="a, b"; rel="last next"')
    return Answer(USERS[(page - 1) * 50:page * 50], headers={"Link": links})


def by_url(asked):
    page = int(asked.params.get("$skip", 0))
    out = {"@odata.count": 250, "value": USERS[page:page + 100]}
    if page + 100 < 250:
        out["@odata.nextLink"] = f"http://{asked.headers['host']}/v1/users?$skip={page + 100}"
    return out


def by_record(asked):
    after = int(asked.params.get("starting_after", 0))
    rows = [u for u in USERS if u["id"] > after][:80]
    return {"data": rows, "has_more": bool(rows) and rows[-1]["id"] < 250}


PAGED = {
    "none": (lambda asked: USERS, {}, 1),
    "page": (by_page, {"paging": {"by": "page", "param": "page", "size": 100, "size_param": "per_page"}}, 4),
    "short-page": (by_page, {"paging": {"by": "page", "param": "page", "size": 100, "size_param": "per_page", "short_page_ends": True}}, 3),
    "page-404": (lambda asked: by_page(asked) or Answer({"detail": "Invalid page"}, status=404),
                 {"paging": {"by": "page", "param": "page", "end_status": [404]}}, 4),
    "page-204": (lambda asked: by_page(asked) or Answer("", status=204), {"paging": {"by": "page", "param": "page", "end_status": [404, 204]}}, 4),
    "offset": (by_offset, {"records": "items", "paging": {"by": "offset", "param": "offset", "total": "meta.total"}}, 6),
    "token": (by_token, {"records": "data.users", "paging": {"by": "token", "param": "cursor", "next": "next.token"}}, 3),
    "link": (by_link, {"paging": {"by": "link"}}, 5),
    "url": (by_url, {"records": "value", "paging": {"by": "url", "next": "/@odata.nextLink", "total": "/@odata.count"}}, 3),
    "record": (by_record, {"records": "data", "paging": {"by": "record", "param": "starting_after", "next": "id", "more": "has_more"}}, 4),
}


@pytest.mark.parametrize("kind", PAGED)
def test_every_page_is_read(kind, serve, project):
    answer, source, requests = PAGED[kind]
    api = serve(answer)
    pipeline(project, api, source)
    assert project.load().counts() == (250, 250, 0, 0)
    every_one(project)
    assert len(api.asked) == requests
    assert api.asked[0].headers["accept"] == "application/json"


def test_packed_and_chunked_answers(serve, project):
    api = serve(lambda asked: Answer(USERS, packed=True, chunked=True))
    pipeline(project, api)
    assert project.load().counts() == (250, 250, 0, 0)
    every_one(project)
    assert "gzip" in api.asked[0].headers["accept-encoding"]


def test_many_records_of_many_pages(serve, project):
    """More than a block of rows in a page, and pages in a row."""
    def answer(asked):
        page = int(asked.params["page"])
        return [] if page > 5 else [user((page - 1) * 5000 + i, name="a name of more than twelve letters " * 3) for i in range(1, 5001)]

    pipeline(project, serve(answer), {"paging": {"by": "page", "param": "page"}})
    assert project.load().counts() == (25000, 25000, 0, 0)
    assert project.duck("SELECT count(DISTINCT id), sum(id), min(length(name)) FROM crm.users") == [(25000, 312512500, 105)]


def test_a_limit_reads_no_further(serve, project):
    api = serve(by_page)
    pipeline(project, api, {"paging": {"by": "page", "param": "page"}})
    assert project.load("--limit", 120).counts() == (120, 120, 0, 0)
    assert len(api.asked) == 2


def test_plan_asks_nobody(serve, project):
    api = serve(lambda asked: Answer("no", status=500))
    pipeline(project, api)
    assert "crm.users" in project.run("plan").out
    assert not api.asked


def test_doctor_asks_for_one_page(serve, project):
    api = serve(lambda asked: by_page(asked) if asked.path == "/v1/users" else Answer("", status=404))
    pipeline(project, api, {"paging": {"by": "page", "param": "page"}})
    told = project.run("doctor").both
    assert "the first page has 100 records, and another follows" in told
    assert sorted(api.paths()) == ["/v1/", "/v1/users"]


# -- increments ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("target", [MERGE, APPEND], ids=["merge", "append"])
def test_the_next_run_asks_for_what_is_new(target, serve, project):
    rows = list(USERS)
    api = serve(lambda asked: [u for u in rows if u["updated_at"] >= asked.params.get("since", "").replace("Z", "+00:00")])
    pipeline(project, api, {"cursor": "updated_at", "cursor_param": "since"}, target)
    assert project.load().counts() == (250, 250, 0, 0)
    assert "since" not in api.asked[0].params
    rows += [user(i) for i in range(251, 261)]
    report = project.load()
    assert api.asked[1].params["since"] == "2026-01-01T04:10:00Z"
    assert report.run()["rows_read"] == 11  # the last one of before comes again
    assert report.run()["cursor"] == {"from": "2026-01-01T04:10:00Z", "to": "2026-01-01T04:20:00Z"}
    every_one(project, 260)
    assert project.load().run()["rows_read"] == 1
    every_one(project, 260)


@pytest.mark.parametrize("options, sent", [
    ({"cursor_lag": "10m"}, "2026-01-01T04:00:00Z"),
    ({"cursor_format": "seconds"}, str(int((FIRST + timedelta(minutes=250)).timestamp()))),
    ({"cursor_format": "milliseconds"}, str(int((FIRST + timedelta(minutes=250)).timestamp()) * 1000)),
    ({"cursor_format": "date"}, "2026-01-01"),
    ({"cursor": "id", "cursor_lag": 50}, "200"),
])
def test_how_the_cursor_is_sent(options, sent, serve, project):
    api = serve(lambda asked: USERS)
    pipeline(project, api, {"cursor": "updated_at", "cursor_param": "since", "cursor_start": "2025", **options})
    project.load()
    project.load()
    assert [asked.params["since"] for asked in api.asked] == ["2025", sent]
    every_one(project)


def test_an_api_that_does_not_know_the_parameter(serve, project):
    pipeline(project, serve(lambda asked: USERS), {"cursor": "id", "cursor_param": "sicne", "cursor_lag": 3}, APPEND)
    assert "older than" not in project.run("run", "--all").err
    output = project.run("run", "--all")
    assert "246 records are older than what the API was asked for" in output.err
    every_one(project)


def test_bounds_by_hand(serve, project):
    api = serve(lambda asked: USERS)
    pipeline(project, api, {"cursor": "id", "cursor_param": "after"})
    assert project.load("--from", "10", "--to", "12").counts() == (3, 3, 0, 0)
    assert api.asked[0].params["after"] == "10"
    project.load()
    assert "after" not in api.asked[1].params, "a run narrowed by hand moves no checkpoint"
    every_one(project)


# -- what fails for the moment --------------------------------------------------------------------------------------------------
def failing_once(bad, at=2, times=1):
    """By pages; `bad` in place of the request number `at` and those behind it."""
    count = 0

    def answer(asked):
        nonlocal count
        count += 1
        return bad if at <= count < at + times else by_page(asked)

    return answer


@pytest.mark.parametrize("bad", [
    Answer("slow down", status=429),
    Answer({"error": "slow down"}, status=429, headers={"Retry-After": "1"}),
    Answer({"message": "secondary limit"}, status=403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
    Answer("", status=500), Answer("", status=502), Answer("", status=503, headers={"Retry-After": "1"}),
    Answer(USERS[100:200], cut=2000), Answer(USERS[100:200], cut=150, chunked=True), Answer(USERS[100:200], cut=300, packed=True),
    Answer(USERS[100:200], cut=0),
    Answer("<html><title>Down for maintenance</title></html>", headers={"Content-Type": "text/html"}),
    Answer(json.dumps(USERS[100:200])[:2000]),
], ids=["429", "429-after", "403-limit", "500", "502", "503-after", "cut", "cut-chunk", "cut-gzip", "no-byte", "web-page", "half-json"])
def test_what_passes_is_asked_again(bad, serve, project):
    api = serve(failing_once(bad))
    pipeline(project, api, {"paging": {"by": "page", "param": "page"}})
    assert project.load().counts() == (250, 250, 0, 0)
    every_one(project)
    assert [asked.params["page"] for asked in api.asked] == ["1", "2", "2", "3", "4"]
    assert not project.rejects()


def test_a_wait_that_is_asked_for_is_kept(serve, project):
    pipeline(project, serve(failing_once(Answer("", status=429, headers={"Retry-After": "2"}))), {"paging": {"by": "page", "param": "page"}})
    began = time.monotonic()
    project.load()
    assert time.monotonic() - began >= 2


def test_a_wait_up_to_a_date(serve, project):
    bad = Answer("", status=429, headers={"Date": "Sun, 22 Nov 2026 04:00:00 GMT", "Retry-After": "Sun, 22 Nov 2026 04:00:02 GMT"})
    pipeline(project, serve(failing_once(bad)), {"paging": {"by": "page", "param": "page"}})
    began = time.monotonic()
    project.load()
    assert 2 <= time.monotonic() - began < 20


def test_a_wait_that_is_too_long_ends_the_run(serve, project):
    api = serve(failing_once(Answer({"error": {"message": "daily limit"}}, status=429, headers={"Retry-After": "3600"}), times=9))
    pipeline(project, api, {"paging": {"by": "page", "param": "page"}})
    error = project.load(expect=1).error
    assert error["code"] == "rate_limited" and "1 h 00 min" in error["message"]
    assert "daily limit" in error["message"] and "/users, page 2" in error["message"]
    assert len(api.asked) == 2, "a wait that was asked for is not cut short by asking again"
    assert not project.warehouse.exists() or not project.duck("SELECT 1 FROM duckdb_tables() WHERE table_name = 'users'")


def test_requests_keep_to_their_rate(serve, project):
    times = []
    pipeline(project, serve(lambda asked: times.append(time.monotonic()) or by_page(asked)),
             {"paging": {"by": "page", "param": "page"}}, connection={"requests_per_second": 4})
    project.load()
    assert len(times) == 4 and times[-1] - times[0] >= 0.7


def test_a_server_that_falls_silent(serve, project):
    release = threading.Event()
    silent = [True]

    def answer(asked):
        if asked.params["page"] == "2" and silent:
            silent.pop()
            release.wait(20)
        return by_page(asked)

    api = serve(answer)
    pipeline(project, api, {"paging": {"by": "page", "param": "page"}}, connection={"timeout": "1s"})
    try:
        assert project.load().counts() == (250, 250, 0, 0)
    finally:
        release.set()
    assert [asked.params["page"] for asked in api.asked] == ["1", "2", "2", "3", "4"]


def test_nobody_there(serve, project):
    api = serve(by_page)
    api.close()
    pipeline(project, api, connection={"retry_for": "1s"}, retries={"max": 0})
    error = project.load(expect=1).error
    assert error["code"] == "no_answer" and api.url in error["message"] and "/users, page 1" in error["message"]


@pytest.mark.parametrize("hold", ["wait", "answer"])
def test_a_stop_is_heeded_at_once(hold, serve, project):
    release = threading.Event()

    def answer(asked):
        if hold == "answer":
            release.wait(30)
        return Answer("", status=503, headers={"Retry-After": "15"})

    api = serve(answer)
    pipeline(project, api)
    running = project.start("run", "--all")
    try:
        for _ in range(100):
            if api.asked:
                break
            time.sleep(0.1)
        time.sleep(0.5)
        began = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.wait(10).code == 130
        assert time.monotonic() - began < 5
    finally:
        release.set()


def test_another_request_begins_anew(serve, project):
    api = serve(lambda asked: USERS)
    source = {"cursor": "updated_at", "cursor_param": "since", "params": {"team": "one-hidden-team"}}
    pipeline(project, api, source)
    project.load()
    pipeline(project, api, {**source, "params": {"team": "two"}})
    output = project.run("run", "--all")
    assert "everything is read again" in output.err
    assert ["since" in asked.params for asked in api.asked] == [False, False]
    assert "hidden-team" not in str(project.duck("SELECT * FROM penstock.pipeline_metadata"))


def test_memory_is_that_of_a_page(serve, project):
    """120 MB in answers of 2 MB, in a budget that could not hold them."""
    text = json.dumps([user(i, name="n" * 900) for i in range(2000)])

    def answer(asked):
        page = int(asked.params["page"])
        return [] if page > 60 else Answer(text.replace('"name": "n', f'"name": "{page}_'))

    pipeline(project, serve(answer), {"paging": {"by": "page", "param": "page"}}, {"table": "crm.users", "mode": "replace"}, memory="256MiB")
    report = project.load()
    assert report.counts() == (120000, 120000, 0, 0)
    assert report.run()["peak_memory_bytes"] < 256 << 20
    assert project.duck_value("SELECT count(DISTINCT name) FROM crm.users") == 60


@pytest.mark.parametrize("target", [MERGE, APPEND, REPLACE], ids=["merge", "append", "replace"])
@pytest.mark.parametrize("point", ["source_connect_before", "source_read_during", "source_read_during@2", "target_stage_before",
                                   "target_stage_after", "target_commit_before", "target_commit_after"])
def test_killed_anywhere_every_row_is_there_once(point, target, serve, project):
    rows = list(USERS)

    def answer(asked):
        since, page = asked.params.get("since", ""), int(asked.params["page"])
        found = [u for u in rows if u["updated_at"] >= since.replace("Z", "+00:00")]
        return found[(page - 1) * 100:page * 100]

    pipeline(project, serve(answer), {"cursor": "updated_at", "cursor_param": "since", "paging": {"by": "page", "param": "page"}}, target)
    for count in (250, 400):
        killed = project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{point}=kill"})
        if killed.code != -signal.SIGKILL:
            assert point in ("source_read_during@2", "target_stage_after") and killed.code == 0, killed
        project.load()
        every_one(project, count)
        rows += [user(i) for i in range(count + 1, 401)]


# -- what is refused --------------------------------------------------------------------------------------------------------------
def refused(project, code, *words, exit=1):
    output = project.run("run", "--all", expect=exit)
    error = project.load(expect=exit).error
    assert error["code"] == code, output
    for word in words:
        assert word in json.dumps(error, ensure_ascii=False), (word, error)
    assert error["hint"]
    return error


@pytest.mark.parametrize("answer, source, code, words", [
    (lambda asked: {"next": "t1", "items": [user(1)]}, {"records": "items", "paging": {"by": "token", "param": "cursor", "next": "next"}},
     "paging_loops", ["read before", "token"]),
    (lambda asked: Answer(USERS[:3], headers={"Link": '</v1/users>; rel=next'}), {"paging": {"by": "link"}}, "paging_loops", ["URL"]),
    (lambda asked: USERS[:3], {"paging": {"by": "page", "param": "pgae"}}, "same_page_again", ["pgae"]),
    (lambda asked: {"next": "https://elsewhere.example/users?token=hidden-in-url", "items": USERS[:3]},
     {"records": "items", "paging": {"by": "url", "next": "next"}}, "next_page_elsewhere", ["https://elsewhere.example"]),
    (lambda asked: {"items": USERS[:3]}, {}, "no_records", ["fields items", "records: items"]),
    (lambda asked: {"data": {"users": [], "count": 0}}, {"records": "data.items"}, "no_records", ["users, count"]),
    (lambda asked: {"items": USERS[:3]}, {"records": "items", "paging": {"by": "record", "param": "after", "next": "id", "more": "has_more"}},
     "no_paging_field", ["has_more"]),
    (lambda asked: Answer("<html>log in</html>", headers={"Content-Type": "text/html; charset=utf-8"}), {}, "web_page", ["web page", "log in by"]),
    (lambda asked: Answer("[{\"id\": 1"), {}, "bad_json", ["page 1"]),
    (lambda asked: Answer("[{\"id\": 1} {\"id\": 2}]"), {}, "bad_json", ["page 1"]),
    (lambda asked: Answer(""), {}, "empty_answer", ["page 1"]),
    (lambda asked: Answer({"error": {"message": "no such thing"}}, status=404), {}, "http_404", ["no such thing", "path"]),
    (lambda asked: Answer({"errors": [{"detail": "bad filter"}]}, status=400), {}, "http_400", ["bad filter", "params"]),
    (lambda asked: Answer("", status=302, headers={"Location": "/v1/users"}), {}, "bad_redirect", ["redirects"]),
], ids=["token-loop", "link-loop", "same-page", "elsewhere", "no-list", "no-path", "no-more", "html", "cut", "commas", "empty", "404", "400", "redirects"])
def test_answers_that_are_refused(answer, source, code, words, serve, project):
    pipeline(project, serve(answer), source, retries={"max": 0})
    error = refused(project, code, *words)
    assert "hidden-in-url" not in json.dumps(error)


def test_an_answer_over_the_limit(serve, project):
    big = Answer([user(i, name="x" * 1000) for i in range(3000)], packed=True)  # 3 MB, packed some kilobytes
    pipeline(project, serve(lambda asked: big), connection={"max_answer": "1MiB"}, retries={"max": 0})
    refused(project, "answer_too_large", "max_answer", "1048576")


def test_pages_that_move_are_noticed(serve, project):
    """A record goes while pages are read by offset: the one behind it moves up and is never seen."""
    def answer(asked):
        begin = int(asked.params["offset"])
        rows = USERS if begin == 0 else USERS[1:]
        return {"items": rows[begin:begin + 100], "total": len(rows)}

    api = serve(answer)
    pipeline(project, api, {"records": "items", "paging": {"by": "offset", "param": "offset", "total": "total"}}, retries={"max": 1, "delay": "10ms"})
    error = project.load(expect=1).error
    assert error["code"] == "changed_while_read" and "249" in error["message"] and "250" in error["message"]
    assert [asked.params["offset"] for asked in api.asked] == ["0", "100", "0", "100"], "it was read anew"


def test_fewer_records_than_were_promised(serve, project):
    rows = [USERS[:200]]

    def answer(asked):
        begin = int(asked.params["offset"])
        return {"items": rows[0][begin:begin + 100], "total": 250}

    api = serve(answer)
    pipeline(project, api, {"records": "items", "paging": {"by": "offset", "param": "offset", "total": "total"}}, retries={"max": 0})
    assert project.load(expect=1).error["code"] == "changed_while_read"
    rows[0] = USERS
    assert project.load().counts() == (250, 250, 0, 0)


# -- records that cannot be rows ----------------------------------------------------------------------------------------------------
def test_rejects_name_the_record(serve, project):
    rows = [user(1), user(2, extra=True), {"id": "three"}, 4, {"name": "nobody"}, user(6, updated_at="yesterday"), user(7)]
    pipeline(project, serve(lambda asked: {"items": rows}), {"records": "items"}, on_reject="continue")
    assert project.load().counts() == (7, 2, 5, 0)
    found = project.rejects()
    assert [(r["code"], r["column"]) for r in found] == [
        ("unknown_field", "extra"), ("wrong_type", "id"), ("not_an_object", None), ("missing_field", "id"), ("bad_time", "updated_at")]
    assert [r["source_position"] for r in found] == [f"/users, page 1, record {n}" for n in (2, 3, 4, 5, 6)]
    assert [json.loads(r["payload"]) for r in found] == [rows[i] for i in (1, 2, 3, 4, 5)]
    assert json.loads(found[0]["key"]) == {"id": 2}


@pytest.mark.parametrize("policy, kept", [("ignore", None), ("keep", '{"extra":{"a":[1]},"b":"x"}')])
def test_unknown_fields(policy, kept, serve, project):
    pipeline(project, serve(lambda asked: Answer('[{"id": 1, "extra": {"a":[1]}, "b": "x"}, {"id": 2}]')), {"unknown_fields": policy})
    assert project.load().counts() == (2, 2, 0, 0)
    if kept:
        assert project.duck("SELECT id, unknown_fields FROM crm.users ORDER BY id") == [(1, kept), (2, None)]


def test_exact_values(serve, project):
    ddl = "CREATE TABLE t (id INT64, n NUMERIC(38, 9), f FLOAT64, s STRING, j JSON, tags ARRAY<STRING>, a STRUCT<city STRING, zip INT64>, d DATE)"
    body = ('[{"id": 9007199254740993, "n": 12345678901234567890123456789.123456789, "f": 0.1, "s": "gr\\u00fc\\u00df \\"x\\" \\ud83d\\ude00 and more",'
            ' "j": {"b": 1.10, "a": null}, "tags": ["x", "y"], "a": {"zip": 1010, "city": "Wien"}, "d": "2026-02-28"},'
            ' {"id": null}]')
    pipeline(project, serve(lambda asked: Answer(body)), ddl=ddl, target={"table": "crm.t", "mode": "replace"})
    assert project.load().counts() == (2, 2, 0, 0)
    assert project.duck("SELECT id, n::VARCHAR, f, s, j, tags, a.city, a.zip, d::VARCHAR FROM crm.t WHERE id IS NOT NULL") == [
        (9007199254740993, "12345678901234567890123456789.123456789", 0.1, 'grüß "x" 😀 and more', '{"b": 1.10, "a": null}', ["x", "y"], "Wien", 1010, "2026-02-28")]


# -- who asks -----------------------------------------------------------------------------------------------------------------------
SECRET = "s3cret/Token+value"
ESCAPED = "s3cret%2FToken%2Bvalue"


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()



@pytest.mark.parametrize("auth, header, sent", [
    ({"bearer": "${TOKEN}"}, "authorization", f"Bearer {SECRET}"),
    ({"basic": {"user": "loader", "password": "${TOKEN}"}}, "authorization", "Basic " + base64("loader:" + SECRET)),
    ({"header": {"name": "X-Api-Key", "value": "${TOKEN}"}}, "x-api-key", SECRET),
    ({"query": {"name": "api_key", "value": "${TOKEN}"}}, None, SECRET),
], ids=["bearer", "basic", "header", "query"])
def test_credentials_are_sent_and_never_told(auth, header, sent, serve, project):
    def answer(asked):
        told = asked.headers.get(header) if header else asked.params.get("api_key")
        if told != sent:
            return Answer("who?", status=401)
        if asked.params["page"] == "3":  # an API that says too much
            return Answer({"message": f"internal error for {sent} of {asked.params}"}, status=400)
        return by_page(asked)

    project.environment["TOKEN"] = SECRET
    api = serve(answer)
    pipeline(project, api, {"paging": {"by": "page", "param": "page"}}, connection={"auth": auth}, retries={"max": 0})
    output = project.run("run", "--all", "--log-level", "debug", expect=1)
    assert "internal error for" in output.err
    for told in (SECRET, sent, ESCAPED, base64("loader:" + SECRET)):
        assert told not in output.both
        assert not any(told.encode() in path.read_bytes() for path in project.folder.rglob("*") if path.is_file())


def test_redirects_within_the_host_keep_credentials_and_others_do_not(serve, project):
    other = serve(lambda asked: USERS)

    def answer(asked):
        if asked.path == "/v1/users":
            return Answer("", status=307, headers={"Location": "/v2/users"})
        return Answer("", status=302, headers={"Location": f"{other.url}/store/users.json?signature=x"})

    api = serve(answer)
    project.environment["TOKEN"] = SECRET
    pipeline(project, api, connection={"auth": {"bearer": "${TOKEN}"}, "headers": {"X-Tenant": "acme-hidden"}})
    assert project.load().counts() == (250, 250, 0, 0)
    assert [asked.headers["authorization"] for asked in api.asked] == [f"Bearer {SECRET}"] * 2
    assert [asked.headers["x-tenant"] for asked in api.asked] == ["acme-hidden"] * 2
    assert [asked.path for asked in other.asked] == ["/store/users.json"]
    assert not {"authorization", "x-tenant"} & set(other.asked[0].headers)


def test_tokens_by_client_credentials(serve, project):
    given = []

    def answer(asked):
        if asked.path == "/token":
            assert asked.method == "POST" and "grant_type=client_credentials" in asked.body and "audience=api" in asked.body
            assert asked.headers["authorization"] == "Basic " + base64("penstock:" + ESCAPED)
            given.append(f"token-number-{len(given)}")
            return {"access_token": given[-1], "token_type": "Bearer", "expires_in": 3600}
        if asked.headers.get("authorization") != f"Bearer {given[-1]}" or (asked.params["page"] == "2" and len(given) == 1):
            return Answer({"error": "invalid_token"}, status=401)  # revoked on the way
        return by_page(asked)

    api = serve(answer)
    project.environment["TOKEN"] = SECRET
    oauth = {"token_url": api.url + "/token", "client_id": "penstock", "client_secret": "${TOKEN}", "params": {"audience": "api"}}
    pipeline(project, api, {"paging": {"by": "page", "param": "page"}}, connection={"auth": {"oauth2": oauth}})
    output = project.run("run", "--all", "--log-level", "debug")
    every_one(project)
    assert len(given) == 2
    assert SECRET not in output.both and "token-number" not in output.both


# -- the example --------------------------------------------------------------------------------------------------------------------
def test_the_example(serve, project):
    """`extract_from_api`: users of an API, their full name and lower-case address, into the warehouse."""
    people = [{"id": i, "first_name": "Ada", "last_name": f"L{i}", "email": f"Ada.L{i}@Example.COM", "created_at": "2024-01-15T10:00:00+00:00",
               "updated_at": f"2026-01-01T00:{i:02}:00Z", "phone": "x"} for i in range(1, 31)]

    def answer(asked):
        if asked.headers.get("authorization") != "Bearer api-token-of-the-test":
            return Answer("", status=401)
        since = asked.params.get("updated_since", "")
        begin = int(asked.params.get("cursor") or 0)
        rows = [p for p in people if p["updated_at"] >= since]
        return {"users": rows[begin:begin + 10], "next_cursor": str(begin + 10) if begin + 10 < len(rows) else None}

    api = serve(answer)
    shutil.copytree(ROOT / "examples" / "ddl", project.folder / "ddl")
    text = (ROOT / "examples" / "api-to-duckdb.yaml").read_text()
    assert "https://api.example.com" in text
    project.write(text.replace("https://api.example.com", api.url))
    assert yaml.safe_load(text)["connections"]["api"]["auth"] == {"bearer": "${API_TOKEN}"}
    project.environment["API_TOKEN"] = "api-token-of-the-test"
    assert project.load().counts() == (30, 30, 0, 0)
    people.append({**people[4], "last_name": "King", "updated_at": "2026-02-01T00:00:00Z"})
    assert project.load().run()["rows_read"] == 2
    assert project.duck("SELECT id, full_name, email, created_at::VARCHAR FROM crm.users WHERE id IN (1, 5) ORDER BY id") == [
        (1, "Ada L1", "ada.l1@example.com", "2024-01-15 10:00:00+00"), (5, "Ada King", "ada.l5@example.com", "2024-01-15 10:00:00+00")]
    assert project.duck_value("SELECT count(*) FROM crm.users") == 30
