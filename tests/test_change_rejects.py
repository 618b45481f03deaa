"""Changes that the target cannot hold: recorded with position and row while the others are applied, and brought in later."""

import pytest

from support.changes import assert_mirrored, drop_slots
from support.postgres import LOADER

AMOUNTS = """
CREATE TABLE amounts (id int PRIMARY KEY, amount numeric, note text);
ALTER TABLE amounts ALTER COLUMN note SET STORAGE EXTERNAL;
INSERT INTO amounts SELECT i, i, repeat('n' || i, 2000) FROM generate_series(1, 10) i;
CREATE TABLE bag (amount numeric, note text);
ALTER TABLE bag REPLICA IDENTITY FULL;
INSERT INTO bag VALUES (1, 'one'), (2, 'two'), (2, 'two');
"""


@pytest.fixture
def shop(database):
    database.execute(AMOUNTS)
    yield database
    drop_slots(database)


def capture(database, project, tables=("amounts",), target=None, **rest):
    with database.server.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
    if not database.rows("SELECT 1 FROM pg_publication"):
        database.execute(f"CREATE PUBLICATION pub FOR TABLE {', '.join(tables)}")
    changes = {"tables": [f"public.{table}" for table in tables], "publication": "pub", "slot": f"slot_{database.name}", "create": True}
    project.pipeline(database, {"changes": changes}, {"dataset": "main", **(target or {})}, **{"on_reject": "continue", **rest})


def amounts(project, where="true"):
    return project.duck(f"SELECT id, amount::DOUBLE FROM amounts WHERE {where} ORDER BY id")


def test_each_kind_of_change(shop, project):
    capture(shop, project)
    project.load()
    before = project.duck_value("SELECT _penstock_position FROM amounts WHERE id = 1")
    with shop.connect() as session:
        session.autocommit = False
        session.execute("UPDATE amounts SET amount = 'NaN' WHERE id = 1")
        session.execute("INSERT INTO amounts VALUES (11, 'NaN', 'inserted')")
        session.execute("UPDATE amounts SET amount = 'NaN', id = 12 WHERE id = 2")
        session.execute("UPDATE amounts SET amount = 33 WHERE id = 3")
        session.execute("INSERT INTO amounts VALUES (13, 13, 'good')")
        session.execute("DELETE FROM amounts WHERE id = 4")
        session.commit()
    run = project.load().run()
    assert (run["rows_read"], run["rows_written"], run["rows_rejected"], run["rows_deleted"]) == (7, 4, 3, 2)
    assert amounts(project) == [(1, 1.0), (3, 33.0), *((i, float(i)) for i in range(5, 11)), (13, 13.0)]
    assert project.duck_value("SELECT _penstock_position FROM amounts WHERE id = 1") == before
    rejects = sorted(project.rejects(), key=lambda reject: reject["source_position"])
    assert [reject["column"] for reject in rejects] == ["amount"] * 3
    for reject, key, said in zip(rejects, (1, 11, 12), ("keeps its values of before", "not in the target", "gone from its old key")):
        assert f'"id":{key}' in reject["key"].replace(" ", "").replace('"' + str(key) + '"', str(key)) and said in reject["reason"], reject
        assert len(reject["source_position"]) == 33 and reject["source_position"] > before and "NaN" in reject["payload"]


def test_what_deletes_a_rejected_row_is_applied(shop, project):
    shop.execute("ALTER TABLE amounts REPLICA IDENTITY FULL")
    capture(shop, project)
    project.load()
    shop.execute("UPDATE amounts SET amount = 'NaN' WHERE id = 1; INSERT INTO amounts VALUES (20, 'NaN', '')")
    project.load()
    shop.execute("DELETE FROM amounts WHERE id IN (1, 20); UPDATE amounts SET amount = 2.5 WHERE id = 2")
    run = project.load().run()
    assert run["rows_rejected"] == 0
    assert_mirrored(shop, project, ["amounts"])


def test_rows_without_key(shop, project):
    capture(shop, project, tables=["bag"])
    project.load()
    shop.execute("UPDATE bag SET amount = 'NaN' WHERE note = 'one'; INSERT INTO bag VALUES (3, 'three')")
    assert project.load().run()["rows_rejected"] == 1
    shop.execute("DELETE FROM bag WHERE note = 'one'; DELETE FROM bag WHERE note = 'three'")
    assert project.load().run()["rows_rejected"] == 1
    assert_mirrored(shop, project, ["bag"])
    refused = project.run("rejects", "replay", "p", expect=2)
    assert "no key by which" in refused.both and "--full-refresh" in refused.both


def test_stop_is_the_default_and_loses_nothing(shop, project):
    capture(shop, project, on_reject="stop")
    project.load()
    shop.execute("UPDATE amounts SET amount = 11 WHERE id = 1; UPDATE amounts SET amount = 'NaN' WHERE id = 2; UPDATE amounts SET amount = 33 WHERE id = 3")
    stopped = project.load(expect=1)
    assert stopped.error["code"] == "special_number" and "on_reject: continue" in stopped.error["hint"], stopped.output
    assert amounts(project, "id <= 3") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    capture(shop, project)
    assert project.load().run()["rows_rejected"] == 1
    assert amounts(project, "id <= 3") == [(1, 11.0), (2, 2.0), (3, 33.0)]


@pytest.mark.parametrize("target", [{}, {"deletes": "soft"}, {"mode": "history"}])
def test_replay(shop, project, target):
    """Mended in the source, deleted there, still bad; and changes that wait in the stream while the replay reads."""
    current = {"deletes": "NOT _penstock_deleted", "mode": "_penstock_valid_to IS NULL AND NOT _penstock_deleted"}.get(next(iter(target), ""), "true")
    capture(shop, project, target=target)
    project.load()
    shop.execute("UPDATE amounts SET amount = 'NaN' WHERE id IN (1, 2, 3); UPDATE amounts SET amount = 'NaN', id = 12 WHERE id = 4;"
                 "INSERT INTO amounts VALUES (21, 'NaN', 'x'), (22, 'NaN', 'y')")
    project.load()
    assert len(project.rejects("replayed_at IS NULL")) == 6
    shop.execute("UPDATE amounts SET amount = 1.5 WHERE id = 1; DELETE FROM amounts WHERE id = 2; UPDATE amounts SET amount = 12 WHERE id = 12;"
                 "UPDATE amounts SET amount = 21, note = 'of the stream' WHERE id = 21")
    shop.execute("UPDATE amounts SET amount = 5.5 WHERE id = 5")  # of no reject: comes with the stream
    output = project.run("rejects", "replay", "p")
    assert "3 written" in output.out and "2 still rejected" in output.out, output
    rows = dict(amounts(project, current))
    assert rows[1] == 1.5 and rows[12] == 12 and rows[21] == 21 and rows[3] == 3 and rows[5] == 5 and 22 not in rows
    project.load()
    shop.execute("UPDATE amounts SET amount = 3.5 WHERE id = 3; UPDATE amounts SET amount = 22 WHERE id = 22; UPDATE amounts SET id = 30 WHERE id = 12")
    project.load()
    assert_mirrored(shop, project, ["amounts"], where=current)
    again = project.run("rejects", "replay", "p")
    assert "2 read again, 2 written, 0 still rejected" in again.out, again
    assert_mirrored(shop, project, ["amounts"], where=current)
    assert project.rejects("replayed_at IS NULL") == []
    assert project.load().run()["rows_read"] == 0


def test_replay_after_a_policy_was_set(shop, project):
    capture(shop, project)
    project.load()
    shop.execute("UPDATE amounts SET amount = 'NaN' WHERE id = 1; INSERT INTO amounts VALUES (11, 'NaN', 'x')")
    project.load()
    capture(shop, project, special_numbers="null")
    output = project.run("rejects", "replay", "p")
    assert "2 read again, 2 written, 0 still rejected" in output.out, output
    assert amounts(project, "id IN (1, 11)") == [(1, None), (11, None)]
    shop.execute("UPDATE amounts SET amount = 1 WHERE id IN (1, 11)")
    project.load()
    assert_mirrored(shop, project, ["amounts"])


@pytest.mark.parametrize("failpoint", ["target_merge_after", "target_commit_before", "target_commit_after"])
def test_replay_is_killed(shop, project, failpoint):
    capture(shop, project)
    project.load()
    shop.execute("UPDATE amounts SET amount = 'NaN' WHERE id IN (1, 2)")
    project.load()
    shop.execute("UPDATE amounts SET amount = 7 WHERE id IN (1, 2)")
    project.run("rejects", "replay", "p", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
    project.run("rejects", "replay", "p")
    assert project.rejects("replayed_at IS NULL") == []
    assert_mirrored(shop, project, ["amounts"])
    project.load()
    assert_mirrored(shop, project, ["amounts"])
