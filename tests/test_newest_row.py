"""Which row a merge keeps: the source's present one, once, and never an older one of another row or time."""

import duckdb
import pytest

PLACES = ["duckdb", "parquet"]


def target(place, **rest):
    return ({"table": "shop.t"} if place == "duckdb" else {"path": "t", "format": "parquet"}) | {"mode": "merge"} | rest


def rows(project, place, columns="id, v"):
    if place == "duckdb":
        return project.duck(f"SELECT {columns} FROM shop.t ORDER BY ALL")
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT {columns} FROM read_parquet('{project.lake}/t/**/*.parquet') ORDER BY ALL").fetchall()


@pytest.mark.parametrize("place", PLACES)
def test_a_row_whose_cursor_went_back_is_taken(database, project, place):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz, v text)")
    database.execute("INSERT INTO t VALUES (1, now(), 'a'), (2, now(), 'b')")
    project.pipeline(database, {"table": "public.t", "cursor": "at"}, target(place))
    project.load()
    database.execute("UPDATE t SET v = 'back', at = at - interval '1 day' WHERE id = 1")
    project.load()
    assert rows(project, place) == [(1, "back"), (2, "b")]
    database.execute("UPDATE t SET v = 'none', at = NULL WHERE id = 2")
    project.load()
    assert rows(project, place) == [(1, "back"), (2, "none")]


@pytest.mark.parametrize("place", PLACES)
def test_an_older_row_of_the_same_key_does_not_replace_the_newer(database, project, place):
    """The latest order of each customer: the key is not the primary key."""
    database.execute("CREATE TABLE t (no int PRIMARY KEY, id int, at timestamptz, v text)")
    database.execute("INSERT INTO t VALUES (1, 7, '2026-01-01', 'old'), (2, 7, '2026-01-02', 'new')")
    project.pipeline(database, {"table": "public.t", "cursor": "at"}, target(place, key=["id"]))
    project.load()
    database.execute("UPDATE t SET v = 'old, touched' WHERE no = 1")
    assert project.load().counts()[1] in (0, 1)
    assert rows(project, place) == [(7, "new")]
    database.execute("UPDATE t SET v = 'same row, back', at = '2026-01-01 12:00' WHERE no = 2")
    project.load()
    assert rows(project, place) == [(7, "same row, back")]


@pytest.mark.parametrize("mode", ["merge", "history"])
@pytest.mark.parametrize("place", PLACES)
def test_a_replay_reads_the_row_as_it_is_now(database, project, place, mode):
    """Rejected under a key of the target's own; the row has moved on since."""
    database.execute("CREATE TABLE t (no int PRIMARY KEY, id int, at timestamptz, v text, n numeric)")
    database.execute("INSERT INTO t VALUES (1, 7, '2026-01-01', 'rejected', 1e40), (2, 8, '2026-01-01', 'other', 1)")
    source, into = {"table": "public.t", "cursor": "at"}, target(place, key=["id"], mode=mode)
    project.pipeline(database, source, into, on_reject="continue")
    assert project.load().counts()[2] == 1
    database.execute("UPDATE t SET v = 'mended', n = 2, at = '2026-01-02' WHERE no = 1")
    project.load()
    project.run("rejects", "replay", "p")
    current = "id, v" if mode == "merge" else "id, v, _penstock_valid_to IS NULL"
    assert rows(project, place, current) == [(*row, True) if mode == "history" else row for row in [(7, "mended"), (8, "other")]]


@pytest.mark.parametrize("place", PLACES)
def test_a_replay_without_primary_key_replaces_only_what_is_older(database, project, place):
    database.execute("CREATE TABLE t (id int, at timestamptz, v text, n numeric)")
    database.execute("INSERT INTO t VALUES (1, '2026-01-01', 'rejected', 1e40), (2, '2026-01-01', 'older', 1)")
    source, into = {"table": "public.t", "cursor": "at"}, target(place, key=["id"])
    project.pipeline(database, source, into, on_reject="continue")
    project.load()
    database.execute("UPDATE t SET v = 'newer', n = 2, at = '2026-01-02' WHERE id = 1")
    database.execute("UPDATE t SET v = 'rejected later', n = 1e40, at = '2026-01-03' WHERE id = 2")
    project.load()
    project.pipeline(database, source, into, on_reject="continue", numeric="text")
    project.run("rejects", "replay", "p", expect=None)
    assert (1, "newer") in rows(project, place)


@pytest.mark.parametrize("place", PLACES)
def test_rejects_of_duplicate_keys_name_the_primary_key(database, project, place):
    database.execute("CREATE TABLE t (no int PRIMARY KEY, id int, v text)")
    database.execute("INSERT INTO t VALUES (1, 7, 'a'), (2, 7, 'b'), (3, 8, 'c')")
    project.pipeline(database, {"table": "public.t"}, target(place, key=["id"]), on_reject="continue")
    assert project.load().counts() == (3, 1, 2, 0)
    rejects = project.run("rejects", "list", "--output", "json").json["rejects"]
    assert sorted((entry["key"]["no"], entry["key"]["id"]) for entry in rejects) == [(1, 7), (2, 7)]
    database.execute("UPDATE t SET id = 9, v = 'mended' WHERE no = 2")
    project.run("rejects", "replay", "p")
    assert rows(project, place) == [(7, "a"), (8, "c"), (9, "mended")]


@pytest.mark.parametrize("mode", ["merge", "history"])
def test_a_target_with_a_key_twice_is_refused_and_left_alone(database, project, mode):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    database.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    validity = ", _penstock_valid_from TIMESTAMPTZ DEFAULT now(), _penstock_valid_to TIMESTAMPTZ" if mode == "history" else ""
    with duckdb.connect(str(project.warehouse)) as connection:
        connection.execute(f"CREATE SCHEMA shop; CREATE TABLE shop.t (id INTEGER, v VARCHAR, mine INTEGER{validity})")
        connection.execute("INSERT INTO shop.t (id, v, mine) VALUES (1, 'x', 10), (1, 'y', 20), (3, 'z', 30), (3, 'z', 31)")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": mode, "key": ["id"]})
    report = project.load(expect=None)
    assert report.run()["attempts"] == 1  # another try would find the same
    error = report.error
    assert error["code"] == "key_not_unique" and "(id) = (1)" in error["message"] and "HAVING" in error["hint"], error
    assert project.duck("SELECT id, v, mine FROM shop.t ORDER BY ALL") == [(1, "x", 10), (1, "y", 20), (3, "z", 30), (3, "z", 31)]
    with duckdb.connect(str(project.warehouse)) as connection:
        connection.execute("DELETE FROM shop.t WHERE id = 1 AND mine = 20")
    project.load()
    current = " WHERE _penstock_valid_to IS NULL" if mode == "history" else ""
    assert project.duck(f"SELECT id, v FROM shop.t{current} ORDER BY ALL") == [(1, "a"), (2, "b"), (3, "z"), (3, "z")]


def test_bytes_written_into_duckdb(database, project):
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, v text)")
    database.execute("INSERT INTO t SELECT n, '2026-01-01', repeat('x', 100) FROM generate_series(1, 50) n")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "merge"})
    assert project.load().run()["bytes_written"] == 50 * (8 + 8 + 100)
    database.execute("TRUNCATE t")
    assert project.load().run()["bytes_written"] == 0
