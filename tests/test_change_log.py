"""Changes kept in files as a log by position; the table is rebuilt from it as it was after each run, by the SQL of the how-to page."""

import signal

import duckdb
import pytest

from support.changes import SCHEMA, TABLES, captured_columns, difference, drop_slots
from support.changes import Workload as EveryKind
from support.postgres import LOADER
from support.program import ROOT


class Workload(EveryKind):
    """Without TRUNCATE of the partitioned table, which a target of files answers by asking for a full refresh."""

    def truncate_sometimes(self, session):
        if self.chance.random() < 0.06:
            session.execute("TRUNCATE orders, logs")
            session.execute("INSERT INTO orders VALUES ('after', 1, 1, NULL, NULL)")


@pytest.fixture
def shop(database):
    database.execute(SCHEMA)
    yield database
    drop_slots(database)


def capture(database, project, tables=TABLES, target=None, **changes):
    with database.server.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
    options = {"tables": [f"public.{table}" for table in tables], "publication": "pub", "slot": f"slot_{database.name}", "create": True, **changes}
    database.execute(f"CREATE PUBLICATION pub FOR TABLE {', '.join(tables)} WITH (publish_via_partition_root = true)")
    project.pipeline(database, {"changes": options}, {"format": "parquet", "path": "{table}/", "mode": "append", **(target or {})})


def recipe(name, table, columns, key=()):
    """A statement of the page, for another table than the one it is written for there."""
    page = (ROOT / "docs/how-to/change-log.md").read_text()
    sql = page.split(f"-- {name}\n")[1].split("```")[0].strip().rstrip(";")
    if name == "keyless":
        return sql
    sql = sql.replace("lake/notes/", f"lake/{table}/")
    names = ", ".join(f'"{k}"' for k in key)
    sql = sql.replace("PARTITION BY id", f"PARTITION BY {names}").replace("{'id': id, 'at'", "{" + "".join(f"'{k}': \"{k}\", " for k in key) + "'at'")
    if "SELECT arg_max(id" in sql:
        head, rest = sql.split("SELECT arg_max(id")
        rest = rest[rest.index("FROM changes JOIN lives"):]
        values = [f'arg_max("{c}", _penstock_position) AS "{c}"' if c in key else
                  f"arg_max_null(\"{c}\", _penstock_position) FILTER (_penstock_op <> 'd' AND NOT list_contains(_penstock_unchanged, '{c}')) AS \"{c}\"" for c in columns]
        sql = head + "SELECT " + ", ".join(values) + " " + rest
    return sql


KEYS = {"customers": ("id",), "orders": ("region", "number"), "notes": ("id",), "parts": ("id", "day")}


def rebuilt(project, table, columns, position):
    sql = recipe("complete" if table in KEYS else "keyless", table, [name for name, _ in columns], KEYS.get(table, ()))
    listed = ", ".join(f'"{name}"::VARCHAR' if kind.startswith(("time", "date", "interval")) else f'"{name}"' for name, kind in columns)
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = 'UTC'; SET VARIABLE moment = '{position}'")
        return connection.execute(f"SELECT {listed} FROM ({sql.replace('lake/', str(project.lake) + '/')})").fetchall()


def assert_rebuilt(database, project, table, source, position):
    """`source` is a table that holds what the table held when the position was reached."""
    columns = captured_columns(database, table)
    listed = ", ".join(f'"{name}"' for name, _ in columns)
    with database.connect() as session:
        session.execute(f"CREATE TEMP TABLE back AS SELECT {listed} FROM {table} LIMIT 0")
        with session.cursor() as cursor:
            cursor.executemany(f"INSERT INTO back VALUES ({', '.join(f'%s::{kind}' for _, kind in columns)})", rebuilt(project, table, columns, position))
        missing = session.execute(difference(source, "back", listed)).fetchall()
        extra = session.execute(difference("back", source, listed)).fetchall()
    assert not missing and not extra, f"{table} at {position}: missing {missing}, too many {extra}"


def everything(project):
    """All rows of all files, and whether no change is there twice."""
    rows, twice = {}, 0
    for table in TABLES:
        if project.data_files(table):
            rows[table] = project.parquet(table, "SELECT count(*) FROM data")[0][0]
            twice += project.parquet(table, "SELECT count(*) - count(DISTINCT _penstock_position) FROM data WHERE _penstock_op NOT IN ('r', 't')")[0][0]
    assert twice == 0
    return rows


@pytest.mark.parametrize("seed", range(2))
def test_the_table_at_any_position(shop, project, seed):
    capture(shop, project)
    work = Workload(shop, 300 + seed)
    moments = []
    for number in range(4):
        run = project.load().run()
        assert run["status"] == "success" and (run["rows_read"] == 730 if number == 0 else run["rows_deleted"] > 0)
        position = f"{int(shop.value('SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)', ['0/0'])):016X}/FFFFFFFFFFFFFFFF"
        for table in TABLES:
            shop.execute(f"CREATE TABLE kept_{table}_{number} AS SELECT * FROM {table}")
        moments.append(position)
        work.run(50)
    project.load()
    everything(project)
    for number, position in enumerate(moments):
        for table in TABLES:
            assert_rebuilt(shop, project, table, f"kept_{table}_{number}", position)
    assert not project.staging_left() and not project.rejects()


def test_the_simple_statement(shop, project):
    capture(shop, project, tables=["customers"])
    project.load()
    shop.execute("UPDATE customers SET balance = 0 WHERE id = 7; DELETE FROM customers WHERE id = 8; INSERT INTO customers VALUES (9000, 'x', 1)")
    project.load()
    with duckdb.connect() as connection:
        connection.execute("SET VARIABLE moment = 'G'")
        sql = recipe("simple", "customers", [], ("id",)).replace("lake/", str(project.lake) + "/")
        assert connection.execute(f"SELECT count(*), sum(id), sum(balance) FROM ({sql})").fetchall() == shop.rows("SELECT count(*), sum(id), sum(balance) FROM customers")
        shop.execute("TRUNCATE customers; INSERT INTO customers VALUES (1, 'again', 5)")
        project.load()
        assert connection.execute(f"SELECT id, name, balance FROM ({sql})").fetchall() == shop.rows("SELECT id, name, balance FROM customers")


@pytest.mark.parametrize("failpoint", ["slot_create_after", "source_read_during", "target_stage_after", "target_commit_before", "target_publish_during",
                                       "target_commit_after", "target_cleanup_before", "source_confirm_before"])
def test_killed_and_run_again(shop, project, failpoint):
    capture(shop, project)
    work = Workload(shop, 7)
    codes = []

    def killed(visit):
        codes.append(project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}@{visit}=kill"}).code)

    killed(1)
    work.run(10)
    project.load()
    for visit in (1, 2):
        work.run(15)
        killed(visit)
    project.load()
    assert -signal.SIGKILL in codes, codes
    everything(project)
    for table in TABLES:
        assert_rebuilt(shop, project, table, table, "G")
    assert not project.staging_left()


def test_a_table_that_is_read_anew(shop, project):
    """What the log has of before is ended by a truncate, so that rows which went unseen are gone from the table, too."""
    capture(shop, project, tables=["customers"])
    project.load()
    shop.execute("UPDATE customers SET balance = 0 WHERE id = 7; DELETE FROM customers WHERE id = 8")
    project.load()
    shop.execute("DELETE FROM customers WHERE id < 50")
    project.load("--resnapshot", "public.customers")
    shop.execute("UPDATE customers SET name = 'last' WHERE id = 60")
    project.load()
    assert project.parquet("customers", "SELECT count(*) FROM data WHERE _penstock_op = 't'") == [(1,)]
    assert_rebuilt(shop, project, "customers", "customers", "G")


def test_columns_come_and_go(shop, project):
    capture(shop, project, tables=["customers"], target={"path": "{table}/dt={yyyy}-{MM}-{dd}/", "partition_by": "date(_penstock_committed_at) AS day"})
    project.load()
    shop.execute("ALTER TABLE customers ADD COLUMN remark text; UPDATE customers SET remark = 'r' WHERE id = 4")
    project.load()
    shop.execute("ALTER TABLE customers DROP COLUMN balance; UPDATE customers SET remark = 's' WHERE id = 5")
    project.load()
    newest = project.parquet("customers", "SELECT id, remark FROM data WHERE _penstock_op = 'u' ORDER BY id")
    assert newest == [(4, "r"), (5, "s")]


def test_a_log_is_no_mirror(shop, project):
    for target, said in (({"mode": "merge"}, "keeps changes as a log"), ({"mode": "history"}, "keeps changes as a log"), ({"deletes": "soft"}, "deletes among them")):
        shop.execute("DROP PUBLICATION IF EXISTS pub")
        capture(shop, project, tables=["customers"], target=target)
        assert said in project.run("check", expect=2).both
