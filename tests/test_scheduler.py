"""The scheduler: times against a reference library, and servers that run every interval once although they are killed."""

import datetime
import json
import os
import random
import signal
import sqlite3
import time
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from support.serving import Serving
from support.shop import make_orders

UTC = datetime.timezone.utc
# Both hemispheres, half an hour of daylight saving, one that begins it at midnight, one without, one that skipped a whole day.
ZONES = ["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Africa/Cairo", "Asia/Kolkata", "Pacific/Apia"]
HALF_HOUR_OR_MIDNIGHT = {"Australia/Lord_Howe", "America/Havana", "Africa/Cairo"}
WINDOW = {"query": "SELECT '{window.start}'::timestamptz AS window_start, '{window.end}'::timestamptz AS window_end, '{window.date}'::date AS day"}


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
            one.stop()


def wait_for(what, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
    return found


def state(project) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{project.folder}/.penstock/state.db?mode=ro", uri=True, timeout=20)


def intervals(project, where: str = "true") -> list[tuple]:
    """(pipeline, window start, window end, status, attempts, origin), times in seconds."""
    with state(project) as database:
        return database.execute("SELECT pipeline, window_start / 1000000, window_end / 1000000, status, attempts, origin FROM intervals"
                                f" WHERE {where} ORDER BY window_end, window_start, pipeline").fetchall()


def runs(project, where: str = "true") -> list[tuple]:
    with state(project) as database:
        return database.execute(f"SELECT pipeline, window_end / 1000000, status, origin FROM runs WHERE {where}").fetchall()


def succeeded(project, pipeline: str) -> int:
    return len(intervals(project, f"pipeline = '{pipeline}' AND status = 'succeeded'")) if (project.folder / ".penstock/state.db").exists() else 0


def nothing(number: int) -> dict:
    return {"source": {"connection": "shop", "table": "public.t"}, "target": {"connection": "warehouse", "table": f"t.t{number}"}}


def times_of(project, schedules: list[tuple[str, str]], first: str, last: str) -> list[list[str]]:
    """When the program says that (expression, zone) is due, to the second."""
    project.config(connections={"shop": {"type": "postgres", "url": "postgresql://localhost/x"}, "warehouse": {"type": "duckdb", "path": "w.duckdb"}},
                   pipelines={f"p{i}": {**nothing(i), "schedule": text, "timezone": zone} for i, (text, zone) in enumerate(schedules)})
    answer = project.run("schedule", "--from", first, "--to", last, "--most", "600000", "--output", "json", timeout=300).json
    return [[moment[:19] for moment in one["times"]] for one in answer["schedules"]]


def by_elapsed_time(text: str, zone: ZoneInfo, first: datetime.datetime, end: datetime.datetime) -> list[datetime.datetime]:
    """Every moment whose time on the clock cronsim names, where no clock is set: those that are skipped are none, those that come twice two."""
    found = set()
    for local in CronSim(text, first - datetime.timedelta(hours=1)):
        if local > end + datetime.timedelta(hours=1):
            break
        moments = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
        found |= {moment for moment in moments if moment.astimezone(zone).replace(tzinfo=None) == local}
    return sorted(found)


def reference(text: str, zone: str, first: str, last: str) -> list[str]:
    """The same, by cronsim, whose rule for clocks that are set is that of Debian's cron. It steps by whole hours from one midnight to the
    next, so it errs where clocks are set by half an hour or at midnight and time gone by counts."""
    here = ZoneInfo(zone)
    begin, end = (datetime.datetime.fromisoformat(one).replace(tzinfo=here) for one in (first, last))
    if zone in HALF_HOUR_OR_MIDNIGHT and (text.startswith("*") or text.split()[1].startswith("*")):
        moments = by_elapsed_time(text, here, begin.replace(tzinfo=None), end.replace(tzinfo=None))
        return [at.strftime("%Y-%m-%dT%H:%M:%S") for at in moments if begin < at <= end]
    found = []
    for at in CronSim(text, datetime.datetime.fromisoformat(first).replace(tzinfo=here)):
        if at > end:
            return found
        found.append(at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"))


def random_expression(dice: random.Random) -> str:
    """At most some thousand times a year."""
    def field(first, last, dense):
        kind = dice.randrange(5 if dense else 4)
        if kind == 0:
            return str(dice.randint(first, last))
        if kind == 1:
            return ",".join(map(str, sorted({dice.randint(first, last) for _ in range(3)})))
        if kind == 2:
            begin = dice.randint(first, last)
            end = dice.randint(begin, last)
            return f"{begin}-{end}" + (f"/{dice.randint(2, 5)}" if begin < end and dice.random() < 0.5 else "")
        return f"*/{dice.randint(2, max(3, last // 2))}" if kind == 3 else "*"

    minute = dice.choice([str(dice.randint(0, 59)), f"{dice.randint(0, 29)},{dice.randint(30, 59)}", f"*/{dice.choice([15, 20, 30])}", "*/59"])
    hour = dice.choice([str(dice.randint(0, 4)), field(0, 23, True), "*", "1-3", "0,2"])
    day = dice.choice(["*", "*", field(1, 28, False), "*/2", "31"])
    month = dice.choice(["*", "*", field(1, 12, False)])
    weekday = dice.choice(["*", "*", "*", field(0, 7, False), "mon-fri", "sun", "*/2"])
    return f"{minute} {hour} {day} {month} {weekday}" if day != "31" else f"{minute} {hour} 31 * {weekday}"


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_times_agrees_with_the_reference(project, zone):
    dice = random.Random(int(os.environ.get("PENSTOCK_CRON_SEED", "1")) * 1000 + ZONES.index(zone))
    schedules = [(random_expression(dice), zone) for _ in range(60)]
    year = {"Pacific/Apia": "2011"}.get(zone, "2026")
    found = times_of(project, schedules, f"{year}-01-01", f"{year}-12-31")
    total = 0
    for (text, _), times in zip(schedules, found):
        expected = reference(text, zone, f"{year}-01-01", f"{year}-12-31")
        wrong = sorted(set(expected) ^ set(times))
        assert times == expected, f"{text!r} in {zone}: differs at {wrong[:6]}"
        total += len(times)
    assert total > 5000
    print(f"{zone}: {len(schedules)} expressions, {total} times")


@pytest.mark.parametrize("zone,first,last", [("Europe/Vienna", "2026-03-28", "2026-03-31"), ("Europe/Vienna", "2026-10-24", "2026-10-27"),
                                             ("Australia/Lord_Howe", "2026-04-04", "2026-04-07"), ("America/Havana", "2026-03-07", "2026-03-10"),
                                             ("America/Havana", "2026-10-31", "2026-11-03"), ("Africa/Cairo", "2026-04-23", "2026-04-26")])
def test_every_minute_around_a_change_of_clocks(project, zone, first, last):
    texts = ["* * * * *", "*/7 * * * *", "*/30 0-3 * * *", "30 * * * *", "0,30 0,1,2,3 * * *", "15 2 * * *", "59 23 * * *", "0 0 * * *", "0-59 1-2 * * *"]
    for text, times in zip(texts, times_of(project, [(text, zone) for text in texts], first, last)):
        assert times == reference(text, zone, first, last), f"{text!r} in {zone}"


def windows_add_up(project, pipeline: str) -> list[tuple]:
    """All windows of a pipeline that ended succeeded, none twice, and each begins where the one before ended."""
    found = [(start, end) for _, start, end, _, _, origin in intervals(project, f"pipeline = '{pipeline}' AND status = 'succeeded'") if origin == "schedule"]
    assert all(one[1] == two[0] for one, two in zip(found, found[1:])), found
    return found


def test_runs_on_schedule_and_after_others(database, project, serve):
    make_orders(database, 10)
    project.pipelines(database, {
        "facts": {"source": dict(WINDOW), "target": {"table": "t.facts", "mode": "append"}, "after": ["orders"]},
        "orders": {"source": dict(WINDOW), "target": {"table": "t.orders", "mode": "append"}, "schedule": "@every 3s", "catchup": "all"}})
    server = serve(project, "--workers", "4")
    assert server.get("/healthz").status == 200
    wait_for(lambda: server.get("/readyz").json.get("scheduler") == "leader")
    wait_for(lambda: succeeded(project, "facts") >= 3)
    status = {one["pipeline"]: one for one in project.run("status", "--output", "json").json["pipelines"]}
    assert status["orders"]["next_run"] and status["orders"]["paused"] is False
    assert server.stop() == 0
    for pipeline in ("orders", "facts"):
        assert len(windows_add_up(project, pipeline)) >= 3
    rows = project.duck("SELECT epoch(window_start)::bigint, epoch(window_end)::bigint FROM t.orders ORDER BY 2")
    assert rows == windows_add_up(project, "orders"), "each window is in the warehouse once"
    with state(project) as found:
        late = found.execute("SELECT count(*) FROM intervals f JOIN intervals o USING (window_start, window_end)"
                             " WHERE f.pipeline = 'facts' AND o.pipeline = 'orders' AND f.began_at < o.ended_at AND f.began_at > 0").fetchone()
    assert late == (0,), "facts began before orders ended"
    shown = project.run("runs", "--output", "json").json["runs"]
    assert shown[0]["origin"] == "schedule" and shown[0]["window"]["end"] > shown[0]["window"]["start"]
    assert "schedule" in project.run("runs").out and "NEXT RUN" in project.run("status").out


def test_two_servers_on_one_state_and_the_leader_is_killed(database, project, serve):
    """What a killed leader had begun goes on and is not begun again; the other one leads at once."""
    project.pipelines(database, {
        "orders": {"source": dict(WINDOW), "target": {"table": "t.orders", "mode": "merge", "key": ["window_start"]}, "schedule": "@every 2s", "catchup": "all"},
        "facts": {"source": dict(WINDOW), "target": {"table": "t.facts", "mode": "append"}, "after": ["orders"]}})
    slow = {"PENSTOCK_FAILPOINT": "source_read_during=delay"}  # so that runs are under way when the leader dies
    servers = [serve(project, "--workers", "4", env=slow), serve(project, "--workers", "4", env=slow)]
    dice = random.Random(4)
    for _ in range(4):
        wait_for(lambda: intervals(project, "status = 'running'"))
        leader = wait_for(lambda: next((one for one in servers if one.get("/readyz").json["scheduler"] == "leader"), None))
        time.sleep(dice.random())
        leader.kill()
        servers.remove(leader)
        wait_for(lambda: servers[0].get("/readyz").json["scheduler"] == "leader", 10)
        servers.append(serve(project, "--workers", "4", env=slow))
    have = succeeded(project, "facts")
    wait_for(lambda: succeeded(project, "facts") >= have + 2)
    project.run("pause", "orders", "facts")
    wait_for(lambda: not intervals(project, "status IN ('starting', 'running')"))
    for one in servers:
        assert one.stop() == 0
    for pipeline in ("orders", "facts"):
        found = windows_add_up(project, pipeline)
        good = sorted(end for _, end, status, _ in runs(project, f"pipeline = '{pipeline}' AND status = 'success'"))
        assert good == [end for _, end in found], "each interval has one good run"
        rows = project.duck(f"SELECT epoch(window_start)::bigint, epoch(window_end)::bigint FROM t.{pipeline} ORDER BY 2")
        assert rows == found, "each window is in the warehouse once"
    assert not runs(project, "status <> 'success'"), "no run was cut short"
    assert not intervals(project, "status IN ('failed', 'cancelled')")


def test_runs_killed_with_their_leader_run_again(database, project, serve):
    project.pipelines(database, {"orders": {"source": dict(WINDOW), "target": {"table": "t.orders", "mode": "merge", "key": ["window_start"]},
                                            "schedule": "@every 4s", "catchup": "all"}})
    slow = {"PENSTOCK_FAILPOINT": "source_read_during=delay"}
    for _ in range(3):
        server = serve(project, env=slow)
        wait_for(lambda: intervals(project, "status = 'running'"))
        with state(project) as found:
            children = [pid for (pid,) in found.execute("SELECT pid FROM locks WHERE pipeline = '(interval) orders'")]
        server.running.process.send_signal(signal.SIGSTOP)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        server.kill()
    server = serve(project)
    have = succeeded(project, "orders")
    wait_for(lambda: succeeded(project, "orders") >= have + 3)
    project.run("pause", "orders")
    wait_for(lambda: not intervals(project, "status IN ('starting', 'running')"))
    assert server.stop() == 0
    found = windows_add_up(project, "orders")
    assert sorted(end for _, end, status, _ in runs(project, "status = 'success'")) == [end for _, end in found]
    assert project.duck("SELECT epoch(window_start)::bigint, epoch(window_end)::bigint FROM t.orders ORDER BY 2") == found
    assert max(attempts for *_, attempts, _ in intervals(project)) > 1
    assert any("run_crashed" in line["message"] for line in server.log()) or runs(project, "status = 'failed'")


def test_pause_backfill_and_failure(database, project, serve):
    make_orders(database, 10)
    project.pipelines(database, {
        "orders": {"source": dict(WINDOW), "target": {"table": "t.orders", "mode": "append"}, "schedule": "0 2 * * *", "timezone": "Europe/Vienna"},
        "broken": {"source": {"table": "public.nowhere"}, "target": {"table": "t.broken"}, "schedule": "@every 2s", "retries": {"max": 0}}})
    project.run("pause", "orders")
    server = serve(project)
    wait_for(lambda: intervals(project, "pipeline = 'broken' AND status = 'failed'"))
    assert any("run_failed" in line["message"] for line in wait_for(lambda: [one for one in server.log() if "run_failed" in one["message"]]))
    project.run("pause", "broken")
    days = project.run("backfill", "orders", "--from", "2026-03-28T02:00", "--to", "2026-03-31T02:00", "--output", "json").json
    assert [one["start"][:16] for one in days["windows"]] == ["2026-03-28T01:00", "2026-03-29T01:00", "2026-03-30T00:00"] and days["requested"] == 3
    time.sleep(1.5)
    assert succeeded(project, "orders") == 0, "it is paused"
    project.run("resume", "orders")
    wait_for(lambda: succeeded(project, "orders") == 3)
    project.run("backfill", "orders", "--from", "2026-01-01", "--to", "2026-02-01", "--contiguous")
    wait_for(lambda: succeeded(project, "orders") == 4)
    assert server.stop() == 0
    assert [str(day) for (day,) in project.duck("SELECT day FROM t.orders ORDER BY day")] == ["2026-01-01", "2026-03-28", "2026-03-29", "2026-03-30"]
    assert {origin for *_, origin in runs(project, "pipeline = 'orders'")} == {"backfill"}
    by_hand = project.load("orders", "--window", "2026-05-01/2026-05-02")
    assert by_hand.run()["status"] == "success"
    assert "no window" in project.load("orders", expect=2).error["message"]


def test_waits_for_a_file_and_a_row(database, project, serve):
    make_orders(database, 10)
    row = {"connection": "shop", "table": "ops.loads", "where": "day = '{window.date}' AND state = 'done'", "every": "200ms"}
    project.pipelines(database, {"orders": {"source": {"table": "public.orders"}, "target": {"table": "t.orders"}, "schedule": "@every 2s",
                                            "wait_for": [row, {"file": "incoming/*", "every": "200ms"}]}})
    server = serve(project)
    wait_for(lambda: any("ops.loads" in one["message"] and "waits" in one["message"] for one in server.log()))  # there is no such table
    (project.folder / "incoming").mkdir()
    (project.folder / "incoming/_SUCCESS").touch()
    database.execute("CREATE SCHEMA ops; CREATE TABLE ops.loads (day date, state text); INSERT INTO ops.loads SELECT current_date + i, 'begun' FROM generate_series(-1, 1) i")
    wait_for(lambda: any("_SUCCESS" in one["message"] or "incoming/*" in one["message"] for one in server.log()))
    time.sleep(1)
    assert succeeded(project, "orders") == 0, "a file is there, and no row"
    database.execute("UPDATE ops.loads SET state = 'done'")
    wait_for(lambda: succeeded(project, "orders") >= 1)
    assert server.stop() == 0
    project.pipelines(database, {"orders": {"source": {"table": "public.orders"}, "target": {"table": "t.orders"}, "schedule": "@daily", "wait_for": [{**row, "connection": "shap"}]}})
    assert "did you mean 'shop'" in project.run("check", expect=2).both


def test_a_stopped_server_gives_its_runs_back(database, project, serve):
    slow = {"query": "SELECT '{window.end}'::timestamptz AS at, pg_sleep(gate.seconds) IS NULL AS slept FROM gate"}
    database.execute("CREATE TABLE gate AS SELECT 60.0 AS seconds")
    project.pipelines(database, {"orders": {"source": slow, "target": {"table": "t.orders"}, "schedule": "@every 3s", "catchup": "all"}})
    server = serve(project, "--grace-period", "1")
    wait_for(lambda: runs(project, "status = 'running'"))
    assert server.stop() == 0
    assert intervals(project)[0][3] == "waiting", "it was stopped, and waits to be run again"
    database.execute("UPDATE gate SET seconds = 0")
    server = serve(project)
    wait_for(lambda: intervals(project)[0][3] == "succeeded")
    assert server.stop() == 0


def test_a_run_that_takes_too_long(database, project):
    make_orders(database, 10)
    project.pipelines(database, {"orders": {"source": {"table": "public.orders"}, "target": {"table": "t.orders"}, "timeout": "1s", "retries": {"max": 0}}})
    with database.connect() as session:
        session.execute("BEGIN; LOCK TABLE orders")
        error = project.load(expect=1).error
        session.execute("ROLLBACK")
    assert error["code"] == "run_timeout" and "after 1" in error["message"]
