"""Kill a run whose rows are checked, rejected and compared with runs before, at every failpoint; run it again."""

import signal

import pytest

from support.postgres import Database
from support.program import Project
from support.shop import add_orders, assert_equal_rows, make_orders
from test_kill_matrix import copy_of, failpoints

CHECKS = [{"condition": "id % 10 <> 7", "on_fail": "reject", "name": "no_seven"},
          {"row_count": {"last": 2, "within": "50%", "on_fail": "warn"}},
          {"unique": "id", "rows": "table"}, {"row_count": {"last": 2, "within": "90%", "rows": "table"}, "name": "grows_slowly"}]
INCREMENT = {"table": "public.orders", "cursor": "updated_at"}
MERGE = {"table": "shop.orders", "mode": "merge", "key": ["id"]}


def rows(project: Project) -> list[tuple]:
    return project.duck("SELECT id, status, amount, updated_at FROM shop.orders ORDER BY id")


def rejects(project: Project) -> list[tuple]:
    return sorted((reject["key"], reject["code"], reject["reason"]) for reject in project.rejects())


def verdicts(project: Project) -> list[tuple]:
    """Of each run that was committed and had rows, in the order of the runs."""
    return project.duck("""SELECT v."check", v."rows", v.success, v.unexpected_count, v.observed, v.published, count(*)
        FROM penstock.validation_results v JOIN penstock.pipeline_metadata m USING (run_id) WHERE m.rows_read > 0
        GROUP BY ALL ORDER BY min(m.batch), v."check", v."rows", v.observed""")


@pytest.fixture(scope="module")
def disturbed(server, tmp_path_factory):
    database = Database(server, f"quality_kills_{tmp_path_factory.getbasetemp().name}".replace("-", "_")[:60])
    baseline = Project(tmp_path_factory.mktemp("baseline"))
    make_orders(database, 3000)
    baseline.pipeline(database, dict(INCREMENT), dict(MERGE), checks=CHECKS, retries={"max": 0})
    baseline.load()
    for _ in range(2):
        add_orders(database, 2000)
        baseline.load()
    add_orders(database, 2500)
    undisturbed = copy_of(baseline, tmp_path_factory.mktemp("undisturbed"))
    loaded = undisturbed.load()
    assert loaded.counts() == (2500, 2250, 250, 0)
    by_name = {one["check"]: one for one in loaded.run()["tables"][0]["checks"]}
    assert by_name["row_count"]["compared_with"].startswith("1000 to 3000") and by_name["grows_slowly"]["success"]
    yield database, baseline, undisturbed
    database.drop()


@pytest.mark.parametrize("failpoint", failpoints())
def test_checked_runs_are_killed_and_run_again(failpoint, disturbed, tmp_path):
    _, baseline, undisturbed = disturbed
    project = copy_of(baseline, tmp_path / "project")
    if project.run("run", "p", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"}).code != -signal.SIGKILL:
        return  # this kind of run does not pass the point
    again = project.load()
    read, written, rejected, filtered = again.counts()
    assert read == written + rejected + filtered and read in (0, 2500)
    assert_equal_rows(rows(undisturbed), rows(project))
    assert rejects(project) == rejects(undisturbed)
    assert verdicts(project) == verdicts(undisturbed)
    assert project.duck("""SELECT run_id, "check", "rows", count(*) FROM penstock.validation_results GROUP BY ALL HAVING count(*) > 1""") == []
