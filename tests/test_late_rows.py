"""Rows that arrive where a cursor does not look for them: each was missed, doubled or hidden by an earlier version."""

import pytest

ROWS = "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, v text)"


def ids(project) -> list[int]:
    return [row[0] for row in project.duck("SELECT id FROM shop.t ORDER BY id")]


def test_numbers_from_a_block_handed_out_long_before(database, project):
    database.execute(ROWS)
    database.execute("INSERT INTO t SELECT i, now(), 'b' FROM generate_series(51, 60) i")
    project.pipeline(database, {"table": "public.t", "cursor": "id"}, {"table": "shop.t", "mode": "merge", "key": ["id"]})
    project.load()
    database.execute("INSERT INTO t VALUES (3, now(), 'a')")
    assert project.load().counts()[0] == 1
    assert ids(project) == [3, *range(51, 61)]


def test_writers_whose_clock_is_behind(database, project):
    database.execute(ROWS)
    database.execute("INSERT INTO t VALUES (1, now(), 'a')")
    project.pipeline(database, {"table": "public.t", "cursor": "at"}, {"table": "shop.t", "mode": "merge", "key": ["id"]})
    project.load()
    database.execute("INSERT INTO t VALUES (2, now() - interval '3 hours', 'b')")
    project.load()
    assert ids(project) == [1, 2]


def test_a_time_far_ahead_hides_nothing(database, project):
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, at timestamp, v text)")
    database.execute("INSERT INTO t VALUES (1, '2099-01-01', 'a')")
    project.pipeline(database, {"table": "public.t", "cursor": "at"}, {"table": "shop.t", "mode": "merge", "key": ["id"]})
    project.load()
    database.execute("INSERT INTO t VALUES (2, now() AT TIME ZONE 'UTC', 'b')")
    project.load()
    assert ids(project) == [1, 2]


def test_rows_without_a_cursor_value_are_appended_once(database, project):
    database.execute(ROWS)
    database.execute("INSERT INTO t VALUES (1, now(), 'a'), (2, NULL, 'b'), (3, NULL, 'b')")
    project.pipeline(database, {"query": "SELECT * FROM public.t", "cursor": "at"}, {"table": "shop.t", "mode": "append"})
    for _ in range(3):
        project.load()
    assert ids(project) == [1, 2, 3]


@pytest.mark.parametrize("cursor", ["at", "n"])
@pytest.mark.parametrize("target", ["duckdb", "parquet"])
def test_equal_rows_without_key_are_appended_as_often_as_they_are(database, project, tmp_path, target, cursor):
    database.execute("CREATE TABLE t (v text, at timestamptz, n int)")
    insert = "INSERT INTO t SELECT {v}, '2030-01-01', {n} FROM generate_series(1, {count})"
    database.execute(insert.format(v="'older'", n="4", count=5) + ";" + insert.format(v="'twin'", n="7", count=3))
    database.execute("INSERT INTO t VALUES ('none', NULL, NULL), ('none', NULL, NULL)")
    place = {"table": "shop.t"} if target == "duckdb" else {"format": "parquet", "path": "t/"}
    project.pipeline(database, {"table": "public.t", "cursor": cursor}, {**place, "mode": "append"})

    def loaded():
        project.load()
        if target == "duckdb":
            return dict(project.duck("SELECT v, count(*) FROM shop.t GROUP BY v"))
        return dict(project.parquet("t", "SELECT v, count(*) FROM data GROUP BY v"))

    assert loaded() == {"older": 5, "twin": 3, "none": 2}
    # A transaction that stays open makes the next runs look again at what came after it began.
    with database.connect() as waiting:
        waiting.execute("BEGIN")
        waiting.execute(insert.format(v="'late'", n="4", count=1))
        database.execute(insert.format(v="'twin'", n="7", count=2))
        assert loaded() == {"older": 5, "twin": 5, "none": 2}
        database.execute(insert.format(v="'twin'", n="7", count=1) + "; INSERT INTO t VALUES ('none', NULL, NULL)")
        assert loaded() == {"older": 5, "twin": 6, "none": 3}
        waiting.execute("COMMIT")
    database.execute(insert.format(v="'older'", n="4", count=1))
    assert loaded() == {"older": 6, "twin": 6, "none": 3, "late": 1}
    assert loaded() == {"older": 6, "twin": 6, "none": 3, "late": 1}


def test_another_cursor_reads_everything_again(database, project):
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, at date, changed timestamptz)")
    database.execute("INSERT INTO t VALUES (1, '2026-01-01', '2026-06-01')")
    target = {"table": "shop.t", "mode": "merge", "key": ["id"]}
    project.pipeline(database, {"table": "public.t", "cursor": "changed"}, target)
    project.load()
    database.execute("INSERT INTO t VALUES (2, '2025-01-01', '2025-06-01')")
    project.pipeline(database, {"table": "public.t", "cursor": "at"}, target)
    project.load()
    assert ids(project) == [1, 2]


def test_a_row_rejected_by_many_runs_is_replayed_once(database, project):
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, n numeric)")
    database.execute("INSERT INTO t SELECT i, 1e40 FROM generate_series(1, 300) i")
    source, target = {"table": "public.t"}, {"table": "shop.t", "mode": "merge", "key": ["id"]}
    project.pipeline(database, source, target, on_reject="continue")
    for _ in range(4):
        project.load()
    project.pipeline(database, source, target, on_reject="continue", numeric="text")
    project.run("rejects", "replay", "p")
    assert ids(project) == list(range(1, 301))
