"""`penstock export airflow`: a real Airflow 3 parses the DAGs of every example and runs them, with tasks that fail and are tried again, tasks
that are killed, and those that another try could not mend; what it says of each is what `penstock runs` says."""

import ast
import json
import os
import re
import shutil
import signal
import time

import pytest
import yaml

from support.real_airflow import Airflow
from support.program import ROOT
from support.receiver import Receiver

CONNECTIONS = {"shop": {"type": "postgres", "url": "${SHOP_URL}"}, "w": {"type": "duckdb", "path": "w.duckdb"}}
COUNTS = ("rows_read", "rows_written", "rows_rejected", "rows_filtered", "bytes_billed")


def pipeline(name: str, **rest) -> dict:
    return {"source": {"connection": "shop", "table": f"public.{name}"}, "target": {"connection": "w", "table": f"shop.{name}"}, **rest}


def exported(project, pipelines: dict, expect: int = 0, **top):
    project.environment.setdefault("SHOP_URL", "postgresql://nobody@127.0.0.1:1/x")
    project.config(connections=CONNECTIONS, pipelines=pipelines, **top)
    output = project.run("export", "airflow", expect=expect)
    return output.out if expect == 0 else output.err


def data_of(text: str) -> dict:
    """The file's own data, out of its syntax tree."""
    tree = ast.parse(text)
    assigned = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "DAGS")
    return {dag["dag_id"]: dag for dag in json.loads(assigned.args[0].value)}


def waits_for(condition, what: str, seconds: float = 150):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come about in {seconds} s"
        time.sleep(0.2)
    return found


@pytest.fixture
def airflow(project, tmp_path):
    return Airflow(tmp_path, {"PENSTOCK_FILE": str(project.folder / "penstock.yaml")})


def history(project) -> list[dict]:
    """Oldest first."""
    return json.loads(project.run("runs", "--output", "json").out)["runs"][::-1]


def task_of(runs: list[dict], name: str) -> dict:
    return next(task for run in runs for task in run["tasks"] if task["task"] == name)


# ---------------------------------------------------------------- what the file says

def test_every_example_is_parsed(project, airflow):
    """By Airflow itself: no import errors, tasks, sensors, pools and retries of the configuration, times that `penstock schedule` shows, too."""
    shutil.copytree(ROOT / "examples", project.folder, dirs_exist_ok=True)
    for path in sorted(project.folder.glob("*.yaml")):
        project.environment.update({name: "x" for name in re.findall(r"\$\{(\w+)\}", path.read_text())}, SHOP_URL="postgresql://nobody@127.0.0.1:1/x",
                                   BACKUP_KEY="0" * 64)
        folder = airflow.dags / path.stem
        folder.mkdir()
        (folder / "penstock_dags.py").write_text(project.run("-f", path, "export", "airflow").out)
    parsed = {os.path.basename(folder): found for folder, found in airflow.ask("parse", *sorted(airflow.dags.iterdir())).items()}
    for name, found in parsed.items():
        assert found["errors"] == {}
        assert {task for dag in found["dags"].values() for task in dag["tasks"]} >= set(yaml.safe_load((project.folder / f"{name}.yaml").read_text()).get("pipelines", {}))
    dags = parsed["scheduled"]["dags"]
    assert set(dags) == {"penstock_orders", "penstock_customers", "penstock_daily_revenue"}
    revenue = dags["penstock_daily_revenue"]
    assert revenue["tasks"]["daily_revenue"]["after"] == ["daily_revenue_after_customers", "daily_revenue_after_orders"]
    assert revenue["catchup"] and revenue["start"] == "2026-10-31T23:00:00+00:00" and revenue["zone"] == "Europe/Vienna"
    orders = dags["penstock_orders"]["tasks"]["orders"]
    assert (orders["pool"], orders["retries"], orders["delay"], orders["priority"]) == ("shop_reads", 3, 10, 11)
    said = project.run("-f", "scheduled.yaml", "schedule", "--from", "2026-11-20T00:00:00Z", "--most", "5", "--output", "json").json["schedules"]
    assert {f"penstock_{one['pipeline']}": [time[:19] for time in one["times"]] for one in said} == \
        {name: [time[:19] for time in dag["ends"]] for name, dag in dags.items()}


def test_pipelines_of_one_dag(project):
    data = data_of(exported(project, {"a": pipeline("a", schedule="@daily"), "b": pipeline("b", schedule="@daily"), "c": pipeline("c", after=["a"]),
                                      "d": pipeline("d"), "e": pipeline("e", after=["d"]), "f": pipeline("f", schedule="@daily", after=["b", "c"])}))
    together = {name: {one["name"] for one in dag["pipelines"]} for name, dag in data.items()}
    assert sorted(together.values(), key=len) == [{"d", "e"}, {"a", "b", "c", "f"}], "whatever comes after one another, and nothing else"


@pytest.mark.parametrize("schedule,expected", [("@every 10m", "*/10 * * * *"), ("@every 1h", "0 * * * *"), ("@every 6h", "0 */6 * * *"), ("@every 24h", "0 0 * * *"),
                                               ("@every 7m", 420), ("@every 90s", 90), ("@midnight", "0 0 * * *"), ("@annually", "0 0 1 1 *"), ("5 4 * * mon", "5 4 * * mon")])
def test_schedules(schedule, expected, project):
    assert data_of(exported(project, {"a": pipeline("a", schedule=schedule)}))["penstock_a"]["schedule"] == expected


def test_times_of_backups_are_refused(project):
    project.environment["BACKUP_KEY"] = "0" * 64
    top = {"backups": {"b": {"connection": "shop", "full": {"schedule": "@daily"}, "store": {"connection": "lake", "path": "b", "encrypt": "${BACKUP_KEY}"}}}}
    project.config(connections={**CONNECTIONS, "lake": {"type": "files", "url": "s3://lake/b", "region": "r"}}, pipelines={"a": pipeline("a")}, **top)
    project.environment["SHOP_URL"] = "postgresql://nobody@127.0.0.1:1/x"
    refused = project.run("export", "airflow", expect=2).err
    assert "no DAG is made of backups" in refused and "penstock.yaml" in refused


def test_a_pool_is_a_word_of_the_shell(project):
    text = exported(project, {"a": pipeline("a", schedule="@daily", pool="it's\nimport os")}, pools={"it's\nimport os": 2})
    ast.parse(text)
    assert "#   airflow pools set $'it\\'s\\x0aimport os' 2 " in text


def test_references_stay_references(project):
    project.environment["READY_URL"] = "http://u:hunter2@h/"
    text = exported(project, {"a": pipeline("a", schedule="@daily", wait_for=[{"http": "${READY_URL}/{window.date}", "every": "1m"}])})
    assert "hunter2" not in text and "${READY_URL}/{window.date}" in text


@pytest.mark.parametrize("pipelines,said", [
    ({"a": pipeline("a", schedule="0 1 * * *", catchup="all")}, "give it a start_date"),
    ({"a": pipeline("a"), "b": pipeline("b", schedule="0 1 * * *", after=["a"])}, "which no schedule runs"),
    ({"a": pipeline("a", schedule="@every 7m"), "b": pipeline("b", schedule="0 1 * * *", after=["a"])}, "counts from its first run")])
def test_what_a_dag_cannot_say_is_refused(pipelines, said, project):
    refused = exported(project, pipelines, expect=2)
    assert said in refused and "penstock.yaml:" in refused and "hint:" in refused


# ---------------------------------------------------------------- what Airflow does with it

def shop_of_the_example(database) -> None:
    """Twenty orders, one an hour, in a database that may not be entered yet."""
    database.execute("""CREATE TABLE orders AS SELECT i AS order_id, 10 * i AS amount, timestamptz '2026-11-19 12:00+00' + i * interval '1 hour' AS updated_at
                        FROM generate_series(1, 20) i; ALTER TABLE orders ADD PRIMARY KEY (order_id);
                        CREATE TABLE customers AS SELECT i AS customer_id FROM generate_series(1, 7) i""")
    database.execute(f'REVOKE CONNECT ON DATABASE "{database.name}" FROM PUBLIC')


def slow_table(database) -> dict:
    """A pipeline that does not end before the table `patience` says so."""
    database.execute("""CREATE TABLE patience (seconds int); INSERT INTO patience VALUES (600);
                        CREATE FUNCTION slow() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(seconds) FROM patience; RETURN 1; END $$""")
    return {"source": {"connection": "shop", "query": "SELECT id, slow() AS one FROM generate_series(1, 3) id"}, "target": {"connection": "w", "table": "shop.slow"},
            "schedule": "@daily"}


def sleeping(database) -> int:
    return database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()")


def test_airflow_runs_them(make_project, airflow, database):
    """One Airflow for all of it: examples/scheduled.yaml, whose database lets nobody in at first; a check that fails; a task that is stopped."""
    example, other = make_project(), make_project()
    slack = Receiver()
    shop_of_the_example(database)
    database.execute("CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE bad (id int PRIMARY KEY)")
    variables = {"SHOP_URL": database.url, "SLACK_URL": slack.url}
    airflow.environment.update(variables)
    del airflow.environment["PENSTOCK_FILE"]
    example.environment.update(variables)
    example.write((ROOT / "examples" / "scheduled.yaml").read_text().replace("delay: 10s", "delay: 1s"))
    (airflow.dags / "example.py").write_text(example.run("export", "airflow").out)
    other.environment.update(variables)
    (airflow.dags / "other.py").write_text(exported(other, {
        "good": pipeline("good", schedule="@daily"), "bad": pipeline("bad", after=["good"], checks=[{"row_count": {"min": 1}}]),
        "late": pipeline("late", after=["bad"]), "slow": slow_table(database)}, defaults={"retries": {"max": 3, "delay": "1s"}}))
    going = airflow.start("run", airflow.dags, "penstock_orders", "2026-11-20T01:15:00Z", "penstock_customers", "2026-11-19T00:00:00Z",
                          "penstock_daily_revenue", "2026-11-20T01:30:00Z", "penstock_good", "2026-11-20T00:00:00Z", "penstock_slow", "2026-11-20T00:00:00Z")
    try:
        waits_for(lambda: going.poll() is not None or [run for run in history(example) if run["status"] == "failed"], "the first try")
        database.execute(f'GRANT CONNECT ON DATABASE "{database.name}" TO PUBLIC')
        waits_for(lambda: going.poll() is not None or sleeping(database), "the slow one")
        database.execute("UPDATE patience SET seconds = 0")
        going.send_signal(signal.SIGTERM)  # as a worker gets it that is drained
        runs = airflow.ended(going)
    finally:
        going.kill()
        slack.close()
    assert_example(runs, example)
    assert_hopeless(runs[3], [run for run in history(other) if run["pipeline"] in ("good", "bad", "late")])
    (stopped,) = runs[4]["tasks"]
    assert (stopped["state"], stopped["tries"]) == ("success", 2), "it was tried again"
    assert [one["status"] for one in history(other) if one["pipeline"] == "slow"] == ["stopped", "success"]


def assert_example(runs: list[dict], project) -> None:
    """Each task is the last of the pipeline's runs, after as many as there were tries; the report has the window of its data interval."""
    assert [run["state"] for run in runs[:3]] == ["success"] * 3
    known = history(project)
    for name in ("orders", "customers", "daily_revenue"):
        own = [run for run in known if run["pipeline"] == name]
        task = task_of(runs, name)
        assert task["state"] == own[-1]["status"] and task["tries"] == len(own) and (len(own) > 1) == (name == "orders")
        assert [run["status"] for run in own] == ["failed"] * (len(own) - 1) + ["success"]
        (told,) = task["xcoms"]["runs"]
        assert (told["run_id"], told["status"], told["error"]) == (own[-1]["run_id"], "success", None)
        assert {count: told[count] for count in COUNTS} == {count: own[-1][count] for count in COUNTS} == task["xcoms"]["return_value"]
    assert [project.duck_value(f"SELECT count(*) FROM shop.{table}") for table in ("orders", "customers")] == [20, 7]
    assert task_of(runs, "orders")["xcoms"]["return_value"]["rows_written"] == 20
    assert task_of(runs, "orders")["xcoms"]["runs"][0]["cursor"]["to"].startswith("2026-11-20")
    # From half past two to half past two in Vienna.
    assert project.duck("SELECT day::VARCHAR, orders FROM marts.daily_revenue") == [("2026-11-19", 13)]


def assert_hopeless(run: dict, known: list[dict]) -> None:
    """Another try could not mend a check, so there was none."""
    assert run["state"] == "failed"
    assert {task["task"]: (task["state"], task["tries"]) for task in run["tasks"]} == \
        {"good": ("success", 1), "bad": ("failed", 1), "late": ("upstream_failed", 0)}
    (told,) = task_of([run], "bad")["xcoms"]["runs"]
    assert told["status"] == "failed" and "row_count" in told["error"]
    assert [(one["pipeline"], one["status"]) for one in known] == [("good", "success"), ("bad", "failed")]


def test_a_task_that_is_killed_takes_its_run_with_it(project, airflow, database):
    project.environment["SHOP_URL"] = airflow.environment["SHOP_URL"] = database.url
    (airflow.dags / "d.py").write_text(exported(project, {"slow": slow_table(database)}))
    going = airflow.start("run", airflow.dags, "penstock_slow", "2026-11-20T00:00:00Z")
    waits_for(lambda: going.poll() is not None or sleeping(database), "the first try")
    assert going.poll() is None, airflow.said()
    assert history(project)[0]["status"] == "running"
    going.kill()
    going.wait()
    waits_for(lambda: history(project)[0]["status"] != "running", "the end of the run", 30)
    database.execute("UPDATE patience SET seconds = 0")
    assert project.load("slow").run()["rows_written"] == 3, "nothing holds its lock"
