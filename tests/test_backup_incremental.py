"""Incremental backups (PostgreSQL 17 and later): what is restored from a chain is the server, block by block as pg_combinebackup makes it."""

import json
import shutil
import subprocess
import time

import pytest
from test_backup import flip, listed, place, restore, verify  # noqa: F401  (place is a fixture)

from support.backups import Restored, Source, configure, own_folder, remove_meanwhile
from support.postgres import DEPS, LOADER_PASSWORD, PostgresServer
from support.program import Project

TOOLS = DEPS / "servers/postgres-18-tools/bin"
TABLES = ("kept", "grown", "shrunk", "emptied", "moved", "made", "elsewhere")
CHANGES = (  # each between two backups
    """UPDATE kept SET n = n + 1 WHERE id % 97 = 0; INSERT INTO grown SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i;
       DELETE FROM shrunk WHERE id > 1000; DROP TABLE dropped; UPDATE elsewhere SET long = repeat('y', 3000) WHERE id % 50 = 0;
       CREATE TABLE made AS SELECT i AS id FROM generate_series(1, 5000) i; VACUUM shrunk""",
    """TRUNCATE emptied; INSERT INTO emptied SELECT i, '' FROM generate_series(1, 10) i; INSERT INTO shrunk SELECT i, 'again' FROM generate_series(100000, 103000) i;
       ALTER TABLE moved SET TABLESPACE aside; DROP DATABASE beside; VACUUM FULL grown; CREATE DATABASE later; UPDATE kept SET n = 7 WHERE id = 1""")


class Noting(Source):
    """A server that notes which blocks change."""

    def __init__(self):
        super().__init__(18)
        with self.admin() as admin:
            admin.execute("ALTER SYSTEM SET summarize_wal = on")
            admin.execute("ALTER SYSTEM SET autovacuum = off")
            admin.execute("SELECT pg_reload_conf()")
            for name in ("kept", "shrunk", "emptied", "moved", "dropped"):
                admin.execute(f"CREATE TABLE {name} AS SELECT i AS id, md5(i::text) AS what, 0 AS n FROM generate_series(1, 30000) i")
            admin.execute("ALTER TABLE kept ADD PRIMARY KEY (id); ALTER TABLE emptied DROP COLUMN n; ALTER TABLE shrunk DROP COLUMN n")
            admin.execute("CREATE TABLE grown (id int, what text)")
            admin.execute("CREATE DATABASE beside")

    def change(self, statements: str) -> None:
        with self.admin() as admin:
            for statement in statements.split(";"):
                admin.execute(statement)
            admin.execute("CHECKPOINT")


def content(server) -> list:
    with server.admin() as admin:
        rows = [admin.execute(f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY id)) FROM {name} t").fetchone() for name in TABLES]
        return rows + admin.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()


def back_up(project, *more) -> dict:
    return project.run("backup", "run", "shop_db", "--output", "json", *more, timeout=120).json


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A full backup and two of changes, and beside each what pg_basebackup takes."""
    source, project, theirs = Noting(), Project(tmp_path_factory.mktemp("chain")), own_folder("penstock-theirs-")
    configure(project, source)
    ids = []
    for number, change in enumerate((None, *CHANGES)):
        if change:
            source.change(change)
        record = back_up(project, *(["--incremental"] if number else []))
        assert record["kind"] == ("incremental" if number else "full") and record["parent"] == (ids[-1] if number else None)
        ids.append(record["id"])
        older = ["--incremental", theirs / f"taken{number - 1}/backup_manifest"] if number else []
        run(source, "pg_basebackup", "-D", theirs / f"taken{number}", "-c", "fast", "-T", f"{source.space}={theirs}/space{number}", *older)
    yield source, project, theirs, ids
    source.destroy()
    remove_meanwhile(theirs)


def run(source, tool, *arguments):
    where = ["-h", source.base, "-p", str(source.port), "-U", "backuper"] if tool == "pg_basebackup" else []
    done = subprocess.run([TOOLS / tool, *where, *arguments], capture_output=True, text=True, timeout=120, cwd="/", **source._account)
    assert done.returncode == 0, done.stderr
    return done.stdout


def data_files(folder) -> dict[str, bytes]:
    """What tables and transactions are made of, the tablespace's too."""
    (space,) = (folder / "pg_tblspc").iterdir()
    roots = {"": folder, "space": space.resolve()}
    return {name + str(path.relative_to(root)): path.read_bytes()
            for name, root in roots.items() for part in ("base", "global", "pg_xact", "pg_multixact", "PG_18_*")
            for top in root.glob(part) for path in top.rglob("*")
            if path.is_file() and path.name not in ("pg_control", "pg_internal.init")}


def test_each_link_of_a_chain_is_the_server_of_its_time(chain, place):
    source, project, _, ids = chain
    assert listed(project) == ids and [one["whole"] for one in verify(project).json["backups"]] == [True] * 3
    for number, backup in enumerate(ids):
        restore(project, place / f"data{number}", "--backup", backup)
        assert not list((place / f"data{number}").rglob("INCREMENTAL.*")) and not list((place / f"data{number}.tablespaces").rglob("INCREMENTAL.*"))
    server = Restored(source, place / "data2")
    try:
        assert content(server) == content(source)
        with server.admin() as admin:
            admin.execute("CREATE EXTENSION amcheck")
            assert admin.execute("SELECT count(*) FROM pg_class c, LATERAL verify_heapam(c.oid) WHERE relkind = 'r'").fetchone() == (0,)
            assert admin.execute("SHOW data_checksums").fetchone() == ("on",)
    finally:
        server.destroy()
    run(source, "pg_checksums", "--check", "-D", place / "data2")
    with source.admin() as admin:
        databases = {str(row[0]) for row in admin.execute("SELECT oid FROM pg_database")}
    assert {path.name for path in (place / "data2/base").iterdir()} - {"pgsql_tmp"} == databases


def test_as_pg_combinebackup_makes_it(chain, place):
    source, project, theirs, ids = chain
    combined = theirs / "combined"
    run(source, "pg_combinebackup", theirs / "taken0", theirs / "taken1", theirs / "taken2", "-o", combined, "-T", f"{theirs}/space2={theirs}/space-combined")
    restore(project, place / "data", "--backup", ids[-1])
    ours, wanted = data_files(place / "data"), data_files(combined)
    assert ours.keys() == wanted.keys()
    assert [name for name in ours if ours[name] != wanted[name]] == []


def test_damage_of_one_is_damage_of_all_that_is_built_on_it(chain, tmp_path, place):
    source, project, _, ids = chain
    copy = Project(tmp_path / "copy")
    configure(copy, source)
    shutil.copytree(project.lake, copy.lake)
    part = sorted((copy.lake / f"backups/shop/parts/{ids[1]}/base").iterdir())[0]
    flip(part, part.stat().st_size // 2)
    said = verify(copy, expect=3)
    assert [one["whole"] for one in said.json["backups"]] == [True, False, False]
    assert "is damaged, and this backup is built on it" in said.json["backups"][2]["faults"][0]["what"]
    assert "is damaged" in restore(copy, place / "data", expect=3).err and not (place / "data/global/pg_control").exists()
    restore(copy, place / "full", "--backup", ids[0])
    (copy.lake / f"backups/shop/catalog/{ids[0]}.json").unlink()
    refused = restore(copy, place / "other", expect=3).err
    assert f"is built on {ids[0]}, which is missing or damaged" in refused and "take a full backup" in refused
    assert f"is built on {ids[0]}" in copy.run("backup", "run", "shop_db", "--incremental", expect=3).err


def test_a_killed_restore_of_a_chain_begins_again(chain, place):
    source, project, _, _ = chain
    killed = project.run("backup", "restore", "shop_db", "--into", place / "data", expect=None, env={"PENSTOCK_FAILPOINT": "restore_file_after@1200=kill"})
    assert killed.code == -9 and not (place / "data/global/pg_control").exists()
    restore(project, place / "data")
    server = Restored(source, place / "data")
    try:
        assert content(server) == content(source)
    finally:
        server.destroy()


def test_prune_keeps_what_a_kept_one_is_built_on(chain, tmp_path):
    source, project, _, ids = chain
    copy = Project(tmp_path / "copy")
    configure(copy, source, keep={"full": 1})
    shutil.copytree(project.lake, copy.lake)
    assert copy.run("backup", "prune", "shop_db").out == "nothing to remove\n"
    full = back_up(copy)["id"]
    assert copy.run("backup", "prune", "shop_db", "--output", "json").json["backups"] == ids[::-1]
    assert listed(copy) == [full] and verify(copy).json["backups"][0]["whole"]


def test_what_is_needed_is_said(chain, tmp_path):
    source, project, _, _ = chain
    first = Project(tmp_path / "first")
    configure(first, source)
    record = back_up(first, "--incremental")
    assert record["kind"] == "full" and record["parent"] is None
    old = PostgresServer(version=15)
    try:
        with old.admin() as admin:
            admin.execute(f"CREATE ROLE backuper LOGIN REPLICATION PASSWORD '{LOADER_PASSWORD}'")
        configure(first, old)
        other = first.run("backup", "run", "shop_db", "--incremental", expect=1).err
        assert "is of another server" in other and "take a full backup" in other
        back_up(first)
        assert "incremental backups need 17 or later" in first.run("backup", "run", "shop_db", "--incremental", expect=1).err
        with source.admin() as admin:
            admin.execute("ALTER SYSTEM SET summarize_wal = off")
            admin.execute("SELECT pg_reload_conf()")
        assert "summarize_wal is off" in project.run("backup", "run", "shop_db", "--incremental", expect=1).err
    finally:
        old.destroy()
        with source.admin() as admin:
            admin.execute("ALTER SYSTEM SET summarize_wal = on")
            admin.execute("SELECT pg_reload_conf()")


def test_what_is_built_on_an_unreadable_entry_s_parents_stays(chain, tmp_path):
    source, project, _, ids = chain
    copy = Project(tmp_path / "copy")
    configure(copy, source, keep={"full": 1})
    shutil.copytree(project.lake, copy.lake)
    entry = copy.lake / f"backups/shop/catalog/{ids[2]}.json"
    whole = entry.read_bytes()
    flip(entry, 700)
    back_up(copy)
    pruned = copy.run("backup", "prune", "shop_db", "--output", "json")
    assert pruned.json["backups"] == [] and "may need" in pruned.err
    entry.write_bytes(whole)
    assert all(one["whole"] for one in verify(copy).json["backups"])


def test_a_backup_that_began_earlier_and_ended_later_is_the_newest(chain, tmp_path):
    source, _, _, _ = chain
    project = Project(tmp_path / "overlap")
    configure(project, source)
    first = back_up(project)["id"]
    slow = project.start("backup", "run", "shop_db", "--output", "json", env={"PENSTOCK_FAILPOINT": "backup_part_before=delay,backup_catalog_before=delay"})
    wait_until(lambda: len(list((project.lake / "backups/shop/parts").iterdir())) == 2)
    quick = back_up(project, "--incremental")
    assert quick["parent"] == first
    full = json.loads(slow.wait(120).out)
    assert full["kind"] == "full" and full["id"] < quick["id"]
    assert back_up(project, "--incremental")["parent"] == full["id"]


def test_checksums_that_were_switched_want_a_full_backup(tmp_path):
    source, project = Noting(), Project(tmp_path / "switched")
    try:
        configure(project, source)
        back_up(project)
        source.stop()
        run(source, "pg_checksums", "--disable", "-D", source.data)
        source.start()
        refused = project.run("backup", "run", "shop_db", "--incremental", expect=1).err
        assert "data checksums were on in backup" in refused and "take a full backup" in refused
    finally:
        source.destroy()


def test_a_backup_with_log_that_the_server_never_had_is_no_parent(tmp_path):
    primary = PostgresServer(version=18, settings="summarize_wal = on\nautovacuum = off\n")
    standby, project = None, Project(tmp_path / "promoted")
    try:
        with primary.admin() as admin:
            admin.execute(f"CREATE ROLE backuper LOGIN REPLICATION PASSWORD '{LOADER_PASSWORD}'")
        standby = primary.standby("follower")
        configure(project, primary)
        back_up(project)
        with standby.admin() as admin:
            admin.execute("ALTER SYSTEM SET primary_conninfo = ''")
            admin.execute("SELECT pg_reload_conf()")
            wait_until(lambda: admin.execute("SELECT count(*) FROM pg_stat_wal_receiver").fetchone()[0] == 0)
        with primary.admin() as admin:
            admin.execute("CREATE TABLE lost AS SELECT i AS id FROM generate_series(1, 10000) i")
        back_up(project)
        primary.stop()
        standby.promote()
        configure(project, standby)
        refused = project.run("backup", "run", "shop_db", "--incremental", expect=1).err
        assert "which the server (timeline 2) never had" in refused
        back_up(project)
        assert back_up(project, "--incremental")["kind"] == "incremental"
    finally:
        for server in (standby, primary):
            if server:
                server.destroy()


def wait_until(true, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)
