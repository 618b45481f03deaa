"""Money: what a run costs is known, bounded by the day, and never forgotten. Asked of the strict stand-in of servers/bigquery."""

import contextlib
import itertools
import json
import signal
import sqlite3
import time

import pytest

from support.receiver import Receiver
from support.shop import INCREMENT, WHOLE, add_orders, assert_equal_rows, make_orders
from test_bigquery import MERGE, REPLACE, configure, orders_of, warehouse  # noqa: F401 (a fixture)

PRICE = 1000  # USD a TiB, so that 10 MiB, the least a query bills, are a cent
CENT = PRICE * 10 / 2**20
NOON = int(time.time()) // 86400 * 86400 - 43200
SECONDS = itertools.count()
MIDNIGHT = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOON + 43200))


def today() -> dict:
    """Some seconds later each time, so that runs are in order."""
    return {"PENSTOCK_NOW": str(NOON + next(SECONDS))}


def tomorrow() -> dict:
    return {"PENSTOCK_NOW": str(NOON + 86400 + next(SECONDS))}


def set_up(project, database, warehouse, source=INCREMENT, target=MERGE, **budget):
    configure(project, database, warehouse, source, target, {"usd_per_tib": PRICE}, **({"budget": budget} if budget else {}))


def tell_finance(project, receiver) -> None:
    """Both receivers know of a stop; who is told of failures has it already."""
    file = project.folder / "penstock.yaml"
    whole = json.loads(file.read_text())
    whole["connections"] |= {name: {"type": "webhook", "url": f"{receiver.url}/{name}"} for name in ("finance", "ops")}
    whole["defaults"] = {"notify": {"budget": ["finance", "ops"], "failure": ["ops"]}}
    file.write_text(json.dumps(whole))


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def change_all(database):
    database.execute("UPDATE orders SET status = 'changed', updated_at = clock_timestamp()")


def status_of(project, env) -> dict:
    return json.loads(project.run("status", "--output", "json", env=env).out)["pipelines"][0]


def spent_today(project, day=NOON // 86400) -> float:
    """As the state has it: to ask `status` would bill a look at the bookkeeping."""
    with contextlib.closing(sqlite3.connect(project.folder / ".penstock/state.db")) as state:
        return sum(state.execute(f"SELECT coalesce(sum(nano_usd), 0) / 1e9 FROM {table} WHERE day_number = {day}").fetchone()[0]
                   for table in ("spending", "bills"))


@pytest.fixture
def spender(database, project, warehouse):
    """A pipeline that has filled its table and merged into it today, and has changes to merge; what that cost."""
    make_orders(database, 100)
    set_up(project, database, warehouse)
    filled = project.load(env=today()).run()
    change_all(database)
    merged = project.load(env=today()).run()
    change_all(database)
    assert merged["bytes_billed"] > filled["bytes_billed"] > 0
    return filled["cost_usd"] + merged["cost_usd"]


def test_what_a_run_cost_is_on_record(spender, project, bigquery):
    billed = bigquery.stats()["billed_bytes"]
    assert spender == pytest.approx(billed / 2**40 * PRICE)
    recorded = json.loads(project.run("runs", "--output", "json").out)["runs"][0]
    assert recorded["bytes_billed"] < billed and recorded["cost_usd"] == pytest.approx(recorded["bytes_billed"] / 2**40 * PRICE)
    assert recorded["slot_milliseconds"] >= 0 and recorded["deferred_until"] is None
    assert "USD" in project.run("runs").out and "billed" in project.run("runs", recorded["run_id"]).out
    second = project.load(env=today()).run()
    assert spent_today(project) == pytest.approx(spender + second["cost_usd"])
    assert spent_today(project, NOON // 86400 + 1) == 0
    assert status_of(project, today())["spent_today"]["usd"] == pytest.approx(spent_today(project))


def test_a_day_that_is_spent_stops_the_run(spender, database, project, warehouse, bigquery, receiver):
    set_up(project, database, warehouse, daily_usd=round(spender + CENT / 2, 6))
    tell_finance(project, receiver)
    before, billed = warehouse.orders(), bigquery.stats()["billed_bytes"]
    report = project.load(expect=4, env=today())
    assert report.error["code"] == "daily_budget_exceeded" and report.run()["status"] == "stopped"
    for told in (f"{spender:.6f}".rstrip("0"), "(10 MiB)", "ends at " + MIDNIGHT):
        assert told in report.error["message"], report.error
    assert bigquery.stats()["billed_bytes"] == billed and report.run()["bytes_billed"] == 0 == report.run()["cost_usd"]
    assert warehouse.orders() == before
    assert {(path, body["event"], body["deferred_until"]) for path, _, body, _ in receiver.got if path == "/finance"} == {("/finance", "budget_stopped", None)}
    assert [body["event"] for body in receiver.news("/ops")] == ["run_failed"]
    assert project.load(env=tomorrow()).counts() == (100, 100, 0, 0)
    assert_equal_rows(orders_of(database), warehouse.orders())


def test_a_day_that_is_spent_puts_the_run_off(spender, database, project, warehouse, bigquery, receiver):
    set_up(project, database, warehouse, daily_usd=round(spender + CENT / 2, 6), on_exceed="defer")
    tell_finance(project, receiver)
    before, billed = warehouse.orders(), bigquery.stats()["billed_bytes"]
    report = project.load(env=today())
    run = report.run()
    assert run["status"] == "skipped" and run["deferred_until"].startswith(MIDNIGHT)
    assert run["error"]["code"] == "budget_deferred" and f"deferred until {MIDNIGHT}" in report.output.err
    assert bigquery.stats()["billed_bytes"] == billed and warehouse.orders() == before
    project.load(env=today())
    for path in ("/finance", "/ops"):
        (news,) = receiver.news(path)
        assert news["event"] == "budget_deferred" and news["deferred_until"].startswith(MIDNIGHT), "until the same moment it is no news again"
    shown = status_of(project, today())
    assert shown["state"] == "skipped" and shown["last_run"]["deferred_until"].startswith(MIDNIGHT)
    for command in (["status"], ["runs"], ["runs", run["run_id"]]):
        assert "deferred until " + MIDNIGHT[:10] in project.run(*command, env=today()).out
    assert project.load(env=tomorrow()).counts() == (100, 100, 0, 0)


def test_a_run_is_put_off_in_its_middle(spender, database, project, warehouse):
    """What it has read of the bookkeeping is spent; the commit does not fit any more."""
    set_up(project, database, warehouse, daily_usd=round(spender + 2.5 * CENT, 6), on_exceed="defer")
    spent, before, batches = spent_today(project), warehouse.orders(), warehouse.batches()
    run = project.load(env=today()).run()
    assert run["status"] == "skipped" and 0 < run["cost_usd"] <= 2.5 * CENT
    assert warehouse.orders() == before and warehouse.batches() == batches and not warehouse.staging()
    assert spent_today(project) == pytest.approx(spent + run["cost_usd"])
    set_up(project, database, warehouse, daily_usd=1, on_exceed="defer")
    assert project.load(env=today()).counts() == (100, 100, 0, 0)


def test_what_a_whole_day_could_not_pay_is_not_put_off(spender, database, project, warehouse):
    set_up(project, database, warehouse, daily_usd=round(2.5 * CENT, 6), on_exceed="defer")
    assert project.load(env=tomorrow(), expect=4).error["code"] == "daily_budget_exceeded"
    set_up(project, database, warehouse, daily_usd=1, max_bytes_billed="25MiB", on_exceed="defer")
    assert project.load(env=tomorrow(), expect=4).error["code"] == "budget_exceeded"


@pytest.mark.parametrize("failpoint", ["target_open_after", "target_stage_after", "target_commit_before"])
def test_a_killed_run_has_spent_what_it_has_spent(failpoint, spender, project, bigquery):
    killed = project.run("run", "--all", env={**today(), "PENSTOCK_FAILPOINT": f"{failpoint}=kill"}, expect=None)
    assert killed.code == -signal.SIGKILL
    assert spent_today(project) == pytest.approx(bigquery.stats()["billed_bytes"] / 2**40 * PRICE)
    failed = json.loads(project.run("runs", "--output", "json", env=today()).out)["runs"][0]
    assert failed["status"] == "failed" and failed["cost_usd"] == pytest.approx(spent_today(project) - spender)


def test_a_run_that_is_killed_while_its_job_runs(spender, project, bigquery):
    """Its bill counts at its most, until the next run sees what became of the job."""
    bigquery.fault("MERGE", "statement", seconds=3)
    running = project.start("run", "--all", env=today())
    deadline = time.monotonic() + 30
    while not any(rule["hits"] for rule in bigquery.control("faults")["rules"]):
        assert time.monotonic() < deadline, "the merge was never begun"
        time.sleep(0.05)
    running.process.kill()
    running.wait()
    before = spent_today(project)
    assert before > bigquery.stats()["billed_bytes"] / 2**40 * PRICE
    bigquery.clear_faults()
    time.sleep(4)
    assert before >= bigquery.stats()["billed_bytes"] / 2**40 * PRICE
    second = project.load(env=today()).run()
    billed = bigquery.stats()["billed_bytes"] / 2**40 * PRICE
    assert spent_today(project) == pytest.approx(billed)
    killed = json.loads(project.run("runs", "--output", "json", env=today()).out)["runs"][1]
    assert killed["status"] == "failed" and killed["cost_usd"] == pytest.approx(billed - spender - second["cost_usd"])


def test_a_lost_answer_is_paid_once(spender, project, bigquery):
    bigquery.fault("jobs.insert", "lost", calls=[2, 4, 6, 8, 10])
    project.load(env=today())
    bigquery.clear_faults()
    assert spent_today(project) == pytest.approx(bigquery.stats()["billed_bytes"] / 2**40 * PRICE)


def test_a_short_history_forgets_no_money(database, project, warehouse, bigquery):
    make_orders(database, 50)
    configure(project, database, warehouse, WHOLE, REPLACE, {"usd_per_tib": PRICE}, keep_runs=1)
    for _ in range(3):
        project.load(env=today())
    assert len(json.loads(project.run("runs", "--output", "json").out)["runs"]) == 1
    assert spent_today(project) == pytest.approx(bigquery.stats()["billed_bytes"] / 2**40 * PRICE)


def test_four_fifths_of_a_day_are_a_warning(spender, database, project, warehouse):
    for _ in range(2):
        cost = project.load(env=today()).run()["cost_usd"]
        change_all(database)
    set_up(project, database, warehouse, daily_usd=round((spent_today(project) + cost / 2) / 0.8, 6))
    assert "of the day's" not in project.load(env=tomorrow()).output.err
    change_all(database)
    warned = project.load(env=today()).output.err
    assert warned.count("of the day's") == 1 and "USD are spent" in warned and MIDNIGHT in warned


def test_each_pipeline_has_its_own_day(spender, database, project, warehouse):
    """Set once for all of them."""
    pipelines = {name: {"source": dict(INCREMENT), "target": {**MERGE, "table": f"shop.orders_{name}"}} for name in ("a", "b")}
    project.pipelines(database, pipelines, connections=warehouse.connection(usd_per_tib=PRICE))
    whole = json.loads((project.folder / "penstock.yaml").read_text())
    first = project.load("a", env=today()).run()["cost_usd"]
    project.config(connections=whole["connections"], pipelines=whole["pipelines"], defaults={"budget": {"daily_usd": round(first + CENT / 2, 6)}})
    assert project.load("a", env=today(), expect=4).error["code"] == "daily_budget_exceeded"
    add_orders(database, 5)
    assert project.load("b", env=today()).counts("b") == (105, 105, 0, 0)


def test_plan_prices_a_run_and_a_month(spender, database, project, warehouse):
    configure(project, database, warehouse, INCREMENT, MERGE, {"usd_per_tib": PRICE}, schedule="0 */6 * * *", budget={"daily_usd": 5})
    shown = project.run("plan", env=today()).out
    price = json.loads(project.run("plan", "--output", "json", env=today()).out)["pipelines"][0]["price"]
    assert price["runs_per_month"] == pytest.approx(4 * 1461 / 48) and price["daily_usd"] == 5
    assert price["usd_per_month"] == pytest.approx(price["usd"] * price["runs_per_month"])
    assert "a run" in shown and "USD a month with 121.8 runs" in shown and "5.00 USD a day" in shown
    cost = project.load(env=today()).run()["cost_usd"]
    assert 0.9 * cost <= price["usd"] <= 1.1 * cost
