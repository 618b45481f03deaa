"""Replayed rejects arrive once, whatever kills the replay: rows and marks are one commit."""

import signal
import time

import pytest

TARGETS = {
    "duckdb-append": {"table": "shop.t", "mode": "append"},
    "duckdb-merge": {"table": "shop.t", "mode": "merge", "key": ["id"]},
    "duckdb-history": {"table": "shop.t", "mode": "history", "key": ["id"]},
    "parquet-append": {"format": "parquet", "path": "t/", "mode": "append"},
    "parquet-merge": {"format": "parquet", "path": "t/", "mode": "merge", "key": ["id"]},
}
DUCKDB_POINTS = ["target_stage_after", "target_commit_before", "target_commit_after", "source_confirm_before", "state_run_ended_before"]
PARQUET_POINTS = ["target_stage_before", "target_commit_before", "target_publish_during", "target_cleanup_before", "target_commit_after",
                  "state_run_ended_before"]
ROWS = list(range(1, 8))


def stored(project, name: str) -> list[int]:
    sql = "SELECT id FROM {} ORDER BY id"
    if name.startswith("parquet"):
        return [row[0] for row in project.parquet("t", sql.format("data"))]
    return [row[0] for row in project.duck(sql.format("shop.t"))]


def open_rejects(project) -> list[dict]:
    return project.run("rejects", "list", "--output", "json").json["rejects"]


def with_rejects(database, project, name: str, keyed: bool) -> None:
    """Rows 1 to 4 arrived; 5 to 7 were rejected in two runs, and their cause is gone since."""
    database.execute(f"CREATE TABLE t (id bigint {'PRIMARY KEY' if keyed else ''}, note text, n numeric)")
    database.execute("INSERT INTO t SELECT i, 'row ' || i, CASE WHEN i > 4 THEN 1e40 ELSE i END FROM generate_series(1, 7) i")
    source = {"table": "public.t", "where": "id <= 6"}
    project.pipeline(database, source, TARGETS[name], on_reject="continue")
    assert project.load().counts() == (6, 4, 2, 0)
    source["where"] = "id = 7"
    project.pipeline(database, source, TARGETS[name], on_reject="continue")
    assert project.load().counts() == (1, 0, 1, 0)
    project.pipeline(database, source, TARGETS[name], on_reject="continue", numeric="text")
    assert len(open_rejects(project)) == 3
    assert stored(project, name) == ROWS[:4]


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
@pytest.mark.parametrize("name, failpoint", [(name, point) for name in TARGETS
                                             for point in (PARQUET_POINTS if name.startswith("parquet") else DUCKDB_POINTS)])
def test_a_killed_replay_is_repeated_without_harm(name, failpoint, keyed, database, project):
    with_rejects(database, project, name, keyed)
    killed = project.run("rejects", "replay", "p", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
    assert killed.code == -signal.SIGKILL, killed
    project.run("rejects", "replay", "p")
    assert stored(project, name) == ROWS
    assert open_rejects(project) == []
    every = project.run("rejects", "list", "--closed", "--output", "json").json["rejects"]
    assert len(every) == 3 and all(entry["replayed_at"] for entry in every), every
    assert not project.staging_left()


@pytest.mark.parametrize("name", ["duckdb-append", "parquet-append"])
def test_a_replay_whose_answer_is_lost_adds_nothing_twice(name, database, project):
    """The failure after the commit is one that is retried."""
    with_rejects(database, project, name, keyed=False)
    project.run("rejects", "replay", "p", expect=None, env={"PENSTOCK_FAILPOINT": "target_commit_after=error"})
    project.run("rejects", "replay", "p")
    assert stored(project, name) == ROWS
    assert open_rejects(project) == []


def test_rejects_closed_while_they_are_replayed_are_not_written(database, project):
    with_rejects(database, project, "parquet-append", keyed=False)
    running = project.start("rejects", "replay", "p", env={"PENSTOCK_FAILPOINT": "target_stage_before=delay"})
    deadline = time.monotonic() + 20
    while not list((project.lake / "_penstock/staging").glob("p.*")):  # its unit of work is open, its rows are not read
        assert running.process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    discarded = project.run("rejects", "discard", open_rejects(project)[0]["id"])
    assert discarded.code == 0
    output = running.wait(60)
    assert output.code == 1, output
    assert "1 of the 3 rejects of public.t to replay were replayed or discarded meanwhile" in output.err
    assert stored(project, "parquet-append") == ROWS[:4]
    assert len(open_rejects(project)) == 2
    project.run("rejects", "replay", "p")
    assert len(stored(project, "parquet-append")) == 6
