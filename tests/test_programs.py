"""Pipelines that are work of other programs: `command:`, and `dbt:` with a real dbt and a real project."""

import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import duckdb
import pytest

from support.program import ROOT
from support.serving import Serving

DBT = Path(os.environ.get("PENSTOCK_DEPS", ROOT / ".deps")) / "servers" / "dbt" / "bin" / "dbt"
# Starts a process with a session of its own, says so, and may not mind being asked to end.
PARENT = """
import os, signal, subprocess, sys, time
if sys.argv[2] == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
left = subprocess.Popen(["sleep", "600.125"], start_new_session=True)
print("begun", os.getpid(), left.pid, flush=True)
time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def command(project):
    """Writes a configuration with one command."""

    def write(*run, after=None, **rest):
        options = {name: rest.pop(name) for name in ("env", "folder", "retry_on", "connection") if name in rest}
        project.config(pipelines={"p": {"command": {"run": list(run), **options}, **rest}, **(after or {})})
        return project

    return write


def wait_for(condition, what, most=20):
    until = time.monotonic() + most
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {most} s")


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def begun(project) -> list[int]:
    """The program's processes, once they are there."""
    line = wait_for(lambda: [line for line in (project.folder / "log").read_text().splitlines() if "begun" in line], "the program")
    return [int(word) for word in line[0].split()[-2:]]


def start(project, *arguments, **options):
    """As Project.start, with the log in a file that can be read meanwhile."""
    return project.start("run", *arguments, "--output", "json", prepare=lambda: os.dup2(
        os.open(project.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2), **options)


# -- command -------------------------------------------------------------------------------------------------------------------
def test_a_command_is_run_in_its_place_and_told_of_its_run(command):
    text = 'echo "$PENSTOCK_PIPELINE $PENSTOCK_RUN_ID $GIVEN $INHERITED [$PENSTOCK_FULL_REFRESH] $(pwd)"; echo "by stderr" >&2'
    project = command("sh", "-c", text, env={"GIVEN": "given"}, folder="scripts",
                      after={"then": {"command": {"run": ["sh", "-c", "echo second"]}, "after": ["p"]}})
    (project.folder / "scripts").mkdir()
    output = project.load("--all", env={"INHERITED": "inherited"})
    run = output.run("p")
    assert run["status"] == output.run("then")["status"] == "success" and run["tables"] == [] and run["error"] is None
    log = output.output.err
    assert f"p {run['run_id']} given inherited [] {project.folder}/scripts" in log and "by stderr" in log
    assert log.index("by stderr") < log.index("second")
    shown = project.run("runs", run["run_id"], "--output", "json").json["runs"][0]
    assert shown["status"] == "success" and shown["pipeline"] == "p"
    assert "[1]" in project.run("run", "p", "--full-refresh").err


def test_what_a_failed_command_said_is_its_error_without_its_secrets(command):
    text = 'for i in $(seq 1 600); do echo "line $i"; done; echo "no entry for $TOKEN"; head -c 300000 /dev/zero | tr "\\0" x; echo; exit 3'
    project = command("sh", "-c", text, env={"TOKEN": "${TOKEN}"}, after={"then": {"command": {"run": ["true"]}, "after": ["p"]}})
    output = project.load("--all", expect=1, env={"TOKEN": "hunter22"})
    run = output.run("p")
    assert run["status"] == "failed" and run["attempts"] == 1 and output.run("then")["status"] == "skipped"
    error = run["error"]
    assert error["code"] == "command_failed" and "sh ended with exit code 3: xxx" in error["message"]
    assert "no entry for ***" in error["message"] and "line 600" in error["message"] and "line 400\n" not in error["message"]
    assert "penstock.yaml:" in error["where"] and len(error["message"]) < 20_000
    again = project.run("runs", run["run_id"], env={"TOKEN": "hunter22"})
    assert "hunter22" not in output.output.both + again.both and "no entry for ***" in output.output.err

    log = project.run("runs", run["run_id"], "--log", "--output", "json", env={"TOKEN": "hunter22"}).json
    said, numbers = [line["message"] for line in log["lines"]], [line["number"] for line in log["lines"]]
    assert said[:3] == [f"run {run['run_id']} begins", "line 1", "line 2"] and "no entry for ***" in said
    assert log["left_out"] == numbers[-1] - len(numbers) > 50 and len(numbers) == 500 and max(map(len, said)) < 5000
    assert log["lines"][-1]["level"] == "error" and log["lines"][-1]["metadata"]["code"] == "command_failed"
    assert {line["run_id"] for line in log["lines"]} == {run["run_id"]} and "hunter22" not in (project.folder / ".penstock/state.db").read_bytes().decode(errors="replace")
    text = project.run("runs", run["run_id"], "--log", env={"TOKEN": "hunter22"}).out
    assert f"… {log['left_out']} lines are left out\n" in text and "line 599" in text and "line 120\n" not in text
    assert "log_of_which" in project.run("runs", "--log", expect=2, log_format="json", env={"TOKEN": "hunter22"}).err


def test_what_a_run_says_can_be_read_while_it_runs_and_after_it_was_killed(command):
    project = command("sh", "-c", "echo one; echo two >&2; sleep 60")
    running = start(project, "p", "--quiet")
    said = lambda: [line["message"] for run in project.run("runs", "--output", "json").json["runs"] for line in project.run("runs", run["run_id"], "--log", "--output", "json").json["lines"]]
    wait_for(lambda: {"one", "two"} <= set(said()), "its lines are in the state", 10)
    running.signal(signal.SIGKILL)
    running.process.wait(10)
    (run,) = project.run("runs", "--output", "json").json["runs"]
    assert run["error"]["code"] == "crashed" and said()[0] == f"run {run['run_id']} begins" and {"one", "two"} <= set(said())


@pytest.mark.parametrize("run, rest, says", [
    (["no-such-program"], {}, "no-such-program cannot be started: No such file or directory"),
    (["./plain"], {}, "./plain cannot be started: Permission denied"),
    (["true"], {"folder": "nowhere"}, "there is no folder .*/nowhere"),
    (["sh", "-c", "kill -9 $$"], {}, r"sh was killed by signal 9 \(Killed\)"),
])
def test_why_a_command_did_not_do_it(command, run, rest, says):
    project = command(*run, **rest)
    (project.folder / "plain").write_text("no program")
    error = project.load("p", expect=None).error
    assert re.search(says, error["message"]) and error["hint"] and "penstock.yaml:" in error["where"]


def test_it_is_tried_again_for_the_exit_codes_that_ask_for_it(command):
    text = 'test -e tried && exit 0; touch tried; exit 75'
    project = command("sh", "-c", text, retries={"max": 2, "delay": "10ms"})
    assert project.load("p").run()["attempts"] == 2
    (project.folder / "tried").unlink()
    project = command("sh", "-c", text, retry_on=[], retries={"max": 2, "delay": "10ms"})
    assert project.load("p", expect=1).run()["attempts"] == 1


@pytest.mark.parametrize("how", ["timeout", "SIGTERM", "SIGKILL", "left behind"])
def test_all_it_has_started_ends_with_it(command, how):
    """A process with a session of its own, and a program that ignores SIGTERM."""
    seconds = "0.2" if how == "left behind" else "600"
    project = command("python3", "-c", PARENT, seconds, "stubborn" if how == "timeout" else "", **({"timeout": "5s"} if how == "timeout" else {}))
    running = start(project, "p")
    processes = begun(project)
    if how.startswith("SIG"):
        running.signal(signal.Signals[how])
    if how == "SIGKILL":
        running.process.wait(20)
        wait_for(lambda: not any(map(lives, processes)), "they are gone", 5)
        command("true")
        project.load("p")
        return
    output = running.wait(40)
    assert not any(map(lives, processes))
    run = output.json["runs"][0]
    expected = {"timeout": (1, "failed", "run_timeout"), "SIGTERM": (130, "stopped", "interrupted"), "left behind": (0, "success", None)}
    assert (output.code, run["status"], run["error"] and run["error"]["code"]) == expected[how], output
    shown = project.run("runs", run["run_id"], "--output", "json").json["runs"][0]
    assert shown["status"] == run["status"]


def test_what_a_program_has_begun_has_time_to_end(command):
    """The shell goes at once when it is asked to, and its child has something to finish."""
    child = """import signal, sys, time
def end(*_):
    time.sleep(0.5)
    open("ended", "w").close()
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("begun", 0, 0, flush=True)
time.sleep(600)"""
    project = command("sh", "-c", 'python3 -c "$0"; true', child)
    running = start(project, "p")
    begun(project)
    running.signal(signal.SIGTERM)
    assert running.wait(40).code == 130 and (project.folder / "ended").exists()


def test_its_window(command):
    project = command("echo", "from {window.start} to {window.end} for {param.shop}")
    arguments = ("p", "--window", "2026-11-01/2026-11-02", "--param", "shop=graz")
    assert "from 2026-11-01T00:00:00Z to 2026-11-02T00:00:00Z for graz" in project.load(*arguments).output.err
    assert project.load("p", "--param", "shop=graz", expect=2).error["code"] == "no_window"
    assert len(project.run("backfill", "p", "--from", "2026-11-01", "--to", "2026-11-03", "--contiguous", "--dry-run", "--output",
                           "json").json["windows"]) == 1
    project = command("true")
    refused = project.run("backfill", "p", "--from", "2026-11-01", "--to", "2026-11-03", "--contiguous", expect=2)
    assert "tell its program of the window" in refused.err


def test_commands_about_rows_say_that_there_are_none(command):
    project = command("echo", "--token=x y", env={"TOKEN": "${TOKEN}"})
    environment = {"TOKEN": "hunter22"}
    plan = project.run("plan", "--output", "json", env=environment).json["pipelines"][0]
    assert plan["program"] == {"words": ["echo", "--token=x y"], "folder": str(project.folder), "variables": [
        "PENSTOCK_FULL_REFRESH", "PENSTOCK_PIPELINE", "PENSTOCK_RUN_ID", "TOKEN"]} and plan["error"] is None
    for words in (["verify", "p"], ["types", "p"], ["schema", "diff", "t", "--pipeline", "p"]):
        refused = project.run(*words, expect=2, env=environment)
        assert "p is work of another program" in refused.err and "penstock plan p" in refused.err
    for words in (["--limit", "3"], ["--follow"], ["--as-of", "2026-11-01"], ["--resnapshot", "t"]):
        assert project.run("run", "p", *words, expect=2, env=environment).err
    for words in (["types"], ["status"], ["rejects", "list"], ["check"], ["doctor"], ["export", "airflow"]):
        project.run(*words, env=environment)
    assert "unknown_table" in project.run("why", "t", "id=1", "--log-format", "json", expect=2, env=environment).err
    project.config(state="postgres://localhost/x", pipelines={"p": {"command": {"run": ["true"], "folder": "here"}}})
    refused = project.run("export", "kubernetes", "--image", "i", expect=2)
    assert "a folder of this machine" in refused.err and "into the image" in refused.err


WRITES = """
import duckdb, time
with duckdb.connect("warehouse.duckdb") as warehouse:
    warehouse.execute("CREATE TABLE IF NOT EXISTS noted (noted timestamp)")
    warehouse.execute("INSERT INTO noted VALUES (now()::timestamp)")
    time.sleep(0.3)
"""


def test_the_server_runs_nothing_into_a_warehouse_that_a_program_writes(project):
    """Both are due each second, and DuckDB lets one process in at a time."""
    project.config(
        connections={"warehouse": {"type": "duckdb", "path": "warehouse.duckdb"}, "raw": {"type": "duckdb", "path": "raw.duckdb"}},
        defaults={"retries": {"max": 0}},
        pipelines={"rows": {"source": {"connection": "raw", "query": "SELECT range AS x FROM range(1000)"},
                            "target": {"connection": "warehouse", "table": "main.t"}, "schedule": "@every 1s"},
                   "notes": {"command": {"run": [sys.executable, "-c", WRITES], "connection": "warehouse"}, "schedule": "@every 1s"}})
    duckdb.connect(str(project.folder / "raw.duckdb")).close()
    serving = Serving(project, "--workers", "4")

    def runs():
        return project.run("runs", "--output", "json").json["runs"]

    try:
        wait_for(lambda: sum(run["pipeline"] == "notes" and run["status"] == "success" for run in runs()) >= 3, "three runs", 40)
        listed = {one["pipeline"]: one for one in serving.get("/api/v1/pipelines").json["pipelines"]}
        assert (listed["notes"]["source"], listed["notes"]["target"]) == ("command", "warehouse")
    finally:
        assert serving.stop() == 0
    ended = [(run["pipeline"], run["status"]) for run in runs()]
    assert set(ended) <= {("rows", "success"), ("notes", "success")} and ended.count(("rows", "success")) > 0, ended
    assert project.duck_value("SELECT count(*) FROM noted") == ended.count(("notes", "success"))


# -- dbt -----------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def shop(database, project):
    """examples/dbt.yaml with two hundred orders."""
    shutil.copytree(ROOT / "examples" / "dbt", project.folder / "dbt", ignore=shutil.ignore_patterns("target"))
    shutil.copy(ROOT / "examples" / "dbt.yaml", project.folder / "penstock.yaml")
    project.environment |= {"SHOP_URL": database.url, "DBT": str(DBT)}
    database.execute("""
        CREATE TABLE customers (customer_id int PRIMARY KEY, country text);
        CREATE TABLE orders (order_id int PRIMARY KEY, customer_id int, amount numeric(12,2), updated_at timestamptz NOT NULL);
        INSERT INTO customers VALUES (1, 'AT'), (2, 'DE'), (3, 'CH');
        INSERT INTO orders SELECT i, 1 + i % 3, i + 0.25, timestamptz '2026-11-01 12:00Z' + i * interval '1 hour' FROM generate_series(1, 200) i""")
    return project


def revenue(database) -> list[tuple]:
    return database.rows("""
        SELECT (updated_at AT TIME ZONE 'UTC')::date, country, count(*), sum(amount) FROM orders JOIN customers USING (customer_id)
        GROUP BY 1, 2 ORDER BY 1, 2""")


def test_orders_are_loaded_and_dbt_builds_and_tests_the_marts(database, shop):
    """One project for all of it, because most of the time is dbt's own beginning."""
    output = shop.load("--all", timeout=120)
    assert shop.duck("SELECT day, country, orders, revenue FROM marts.daily_revenue ORDER BY 1, 2") == revenue(database)
    run = output.run("marts")
    assert run["status"] == "success" and "the marts for example are built" in output.output.err
    targets = {table["table"]: table["target"] for table in run["tables"]}
    assert targets == {"model.shop.stg_orders": "warehouse.marts.stg_orders", "model.shop.daily_revenue": "warehouse.marts.daily_revenue"}
    checks = {check["check"]: check for table in run["tables"] for check in table["checks"]}
    assert len(checks) == 4 and checks["unique_stg_orders_order_id"]["success"] and checks["unique_stg_orders_order_id"]["column"] == "order_id"
    warned = checks["accepted_values_daily_revenue_country__AT__DE"]
    assert not warned["success"] and warned["severity"] == "warning" and warned["unexpected_count"] == 1
    assert "configured to warn" in output.output.err
    shown = shop.run("runs", run["run_id"]).out
    assert "model.shop.daily_revenue" in shown and "accepted_values_daily_revenue_country__AT__DE" in shown

    # A test that is no warning any more.

    tests = shop.folder / "dbt/models/tests.yml"
    tests.write_text(tests.read_text().replace("severity: warn", "severity: error"))
    failed = shop.load("marts", expect=3)
    error = failed.error
    assert error["code"] == "dbt_test_failed" and error["where"] == str(tests)
    assert "test.shop.accepted_values_daily_revenue_country__AT__DE" in error["message"] and "Got 1 result" in error["message"]
    assert "2 built, 0 failed, 0 skipped; 3 of 4 tests passed" in error["message"]
    shown = shop.run("runs", failed.run()["run_id"], "--output", "json").json["runs"][0]
    assert shown["error"]["code"] == "dbt_test_failed" and shown["status"] == "failed"

    model = shop.folder / "dbt/models/staging/stg_orders.sql"
    model.write_text("select nope from {{ source('shop', 'orders') }}")
    error = shop.load("marts", expect=1).error
    assert error["code"] == "dbt_failed" and error["where"] == str(model)
    assert "model.shop.stg_orders (models/staging/stg_orders.sql)" in error["message"] and '"nope" not found' in error["message"]
    assert "0 built, 1 failed" in error["message"] and "skipped" in error["message"]

    # What lies there is of an invocation before: it is not this one's.
    model.write_text("{{ broken")
    output = shop.load("marts", expect=1)
    assert output.run()["tables"] == [] and "nope" not in output.error["message"]
    assert "dbt build ended with exit code 2" in output.error["message"] and "stg_orders" in output.error["message"]


def test_dbt_that_is_not_there(shop):
    shop.environment["DBT"] = "no-such-dbt"
    error = shop.load("marts", expect=2).error
    assert error["code"] == "program_not_started" and "pip install dbt-core dbt-duckdb" in error["hint"]


def test_penstock_is_killed_while_dbt_builds(database, shop):
    """dbt goes with it, and its hold on the warehouse; the next run builds all."""
    shop.run("run", "orders", "customers")
    slow = shop.folder / "dbt/models/marts/slow.sql"
    slow.write_text("select count(*) as n from range(1000000000) a, range(1000000000) b where a.range + b.range = 7")
    running = start(shop, "marts")
    wait_for(lambda: "START sql table model marts.slow" in (shop.folder / "log").read_text(), "dbt builds", 60)
    mine = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and str(shop.folder).encode() in commands(path)]
    assert len(mine) == 2, "the keeper and dbt"
    running.signal(signal.SIGKILL)
    running.process.wait(20)
    wait_for(lambda: not any(map(lives, mine)), "dbt is gone", 5)
    slow.unlink()
    assert shop.load("marts", timeout=120).run()["status"] == "success"
    assert shop.duck("SELECT day, country, orders, revenue FROM marts.daily_revenue ORDER BY 1, 2") == revenue(database)
    killed = [run for run in shop.run("runs", "--output", "json").json["runs"] if run["status"] == "failed"]
    assert [run["pipeline"] for run in killed] == ["marts"]


def commands(path: Path) -> bytes:
    try:
        return (path / "cmdline").read_bytes()
    except OSError:
        return b""
