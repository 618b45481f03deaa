"""A history has a version for every change that the source's stream tells of, also where columns got other names or a table has to
be read anew while changes wait."""

import pytest

from support.changes import SCHEMA, assert_mirrored, capture, drop_slots
from test_capture_tables import stream

CURRENT = "_penstock_valid_to IS NULL AND NOT _penstock_deleted"


@pytest.fixture
def shop(database):
    database.execute(SCHEMA)
    yield database
    drop_slots(database)


def versions(project, table, condition="true"):
    return project.duck(f"SELECT count(*) FROM {table} WHERE {condition}")[0][0]


def shifting(shop, project, **changes):
    shop.execute("CREATE TABLE t (id int PRIMARY KEY, a text, b text, n int); INSERT INTO t SELECT i, 'a' || i, 'b' || i, i FROM generate_series(1, 5) i")
    capture(shop, project, tables=["t", "customers"], mode="history", **changes)
    project.load()


RENAMES = {
    "renamed": ["ALTER TABLE t RENAME a TO z"],
    "renamed twice": ["ALTER TABLE t RENAME a TO y", "ALTER TABLE t RENAME y TO z"],
    "swapped": ["ALTER TABLE t RENAME a TO x; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME x TO b"],
    "swapped and back": ["ALTER TABLE t RENAME a TO x; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME x TO b"] * 2,
    "key renamed": ["ALTER TABLE t RENAME id TO number"],
    "added": ["ALTER TABLE t ADD z text DEFAULT 'later'"],
    "dropped": ["ALTER TABLE t DROP n"],
    "dropped and another added": ["ALTER TABLE t DROP n", "ALTER TABLE t ADD z text"],
    "dropped, and another added and renamed": ["ALTER TABLE t DROP n", "ALTER TABLE t ADD y timestamptz", "ALTER TABLE t RENAME y TO z"],
    "another added and dropped": ["ALTER TABLE t ADD z numeric", "ALTER TABLE t RENAME a TO c", "ALTER TABLE t DROP z"],
    "another renamed and added": ["ALTER TABLE t RENAME n TO z", "ALTER TABLE t ADD y timestamptz", "ALTER TABLE t RENAME z TO w"],
}


@pytest.mark.parametrize("how", RENAMES)
def test_every_change_is_a_version_whatever_the_columns_are_called(shop, project, how):
    shifting(shop, project)

    def columns():
        return [name for (name,) in shop.rows("SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum")]

    def change(step):
        key, *others = columns()
        for name in others:
            shop.execute(f"UPDATE t SET {name} = {name} WHERE {key} = 1")
        shop.execute(f"UPDATE t SET {others[0]} = %s WHERE {key} = 2", [f"step {step}"])
        shop.execute(f"INSERT INTO t ({key}) VALUES ({10 + step})")
        return len(others) + 2

    changes = change(0)
    for step, statement in enumerate(RENAMES[how], 1):
        shop.execute(statement)
        changes += change(step)
    report = project.load()
    assert "read anew" not in report.output.both, report.output
    assert versions(project, "t") == 5 + changes
    assert_mirrored(shop, project, ["t"], where=CURRENT)
    # Values go by the column, not by its name: the second text column was never written.
    second = columns()[2]
    assert {value for (value,) in project.duck(f"SELECT {second} FROM t WHERE {columns()[0]} = 2")} == {"b2"}


def test_a_table_read_anew_has_all_versions_of_before(shop, project):
    """A partition that goes, or is written anew: nothing of that is streamed, so the table is read; its changes are."""
    capture(shop, project, tables=["parts", "customers"], mode="history")
    project.load()
    before = versions(project, "parts")
    for step in range(3):
        shop.execute("UPDATE parts SET value = value + 1 WHERE id <= 40; UPDATE customers SET balance = balance + 1 WHERE id <= 10")
    shop.execute("VACUUM FULL parts_1")
    shop.execute("INSERT INTO parts VALUES (1000, '2026-01-05', 1), (1001, '2026-02-05', 1); UPDATE customers SET balance = 0 WHERE id = 1")
    report = project.load()
    assert "public.parts is read anew" in report.output.both
    assert versions(project, "parts") == before + 3 * 40 + 2
    assert_mirrored(shop, project, ["parts", "customers"], where=CURRENT)
    # One that is not streamed closes what it took away, and no version is lost either.
    shop.execute("UPDATE parts SET value = value + 1 WHERE id <= 40")
    shop.execute("ALTER TABLE parts DETACH PARTITION parts_2")
    gone = shop.value("SELECT count(*) FROM parts_2")
    shop.execute("UPDATE parts SET value = -1 WHERE id = 1000")
    project.load()
    assert versions(project, "parts") == before + 4 * 40 + 3
    assert versions(project, "parts", "_penstock_deleted") == gone
    assert_mirrored(shop, project, ["parts"], where=CURRENT)
    assert not stream(project)["unread"]


def test_truncated_with_its_root(shop, project):
    capture(shop, project, tables=["parts", "customers"], mode="history")
    project.load()
    for _ in range(2):
        shop.execute("UPDATE parts SET value = value + 1 WHERE id <= 20; TRUNCATE parts; INSERT INTO parts VALUES (1, '2026-01-05', 1), (2, '2026-02-05', 1)")
        shop.execute("UPDATE parts SET value = 2")
    project.load()
    # 120 rows, 20 changed; then two inserted and changed, of which the second round changes both again before they go.
    assert versions(project, "parts") == 120 + 20 + 4 + 2 + 4
    assert_mirrored(shop, project, ["parts"], where=CURRENT)


@pytest.mark.parametrize("moment", ["changes_stream_before", "target_commit_before", "target_commit_after", "target_commit_before@2"])
def test_killed_while_it_catches_up(shop, project, moment):
    capture(shop, project, tables=["parts", "customers"], mode="history")
    project.load()
    before = versions(project, "parts")
    shop.execute("UPDATE parts SET value = value + 1; UPDATE customers SET balance = 1 WHERE id = 1")
    shop.execute("VACUUM FULL parts_1")
    shop.execute("VACUUM FULL parts_2")
    shop.execute("UPDATE parts SET value = value + 1; DELETE FROM parts WHERE id = 7")
    project.run("run", "--all", env={"PENSTOCK_FAILPOINT": f"{moment}=kill"}, expect=-9)
    shop.execute("UPDATE parts SET value = value + 1")
    project.load()
    assert versions(project, "parts") == before + 120 + 120 + 119
    assert_mirrored(shop, project, ["parts", "customers"], where=CURRENT)
    project.load()
    assert versions(project, "parts") == before + 120 + 120 + 119
