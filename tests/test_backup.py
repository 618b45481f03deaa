"""Full backups of a server into a store, and their restores: real servers, started from what was restored."""

import re
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest

from support.backups import KEY, PLAIN, Restored, Source, configure, flip, own_folder, remove_meanwhile
from support.objects import BUCKET
from support.postgres import LOADER_PASSWORD, LOADER_PASSWORD_URL, PostgresServer, free_port
from support.program import ROOT

OTHER_KEY = "9f3c1d" + "0a" * 29
BACKUP_FAILPOINTS = ["backup_receive_after", "backup_part_before", "backup_part_after", "backup_catalog_before", "backup_catalog_after"]
RESTORE_FAILPOINTS = ["restore_file_after", "restore_control_before"]


@pytest.fixture(scope="module", params=[15, 18])
def source(request):
    made = Source(request.param)
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def source15():
    made = Source(15)
    yield made
    made.destroy()


@pytest.fixture
def place():
    made = own_folder("penstock-restore-")
    yield made
    remove_meanwhile(made)


@pytest.fixture
def shop(project, source15):
    configure(project, source15)
    return project


def back_up(project) -> dict:
    return project.run("backup", "run", "shop_db", "--output", "json", timeout=120).json


def listed(project) -> list[str]:
    return [one["id"] for one in project.run("backup", "list", "shop_db", "--output", "json").json["backups"]]


def restore(project, into: Path, *more, expect=0):
    return project.run("backup", "restore", "shop_db", "--into", into, *more, expect=expect, timeout=120)


def verify(project, expect=0):
    return project.run("backup", "verify", "shop_db", "--output", "json", expect=expect, timeout=120)


CONTENT = ("SELECT count(*), md5(string_agg(events::text, '' ORDER BY id)) FROM events",
           "SELECT count(*), md5(string_agg(elsewhere::text, '' ORDER BY id)) FROM elsewhere",
           "SELECT lo_get(4711)", "SELECT count(*) FROM pg_class WHERE relname = 'passing'")


def content(server) -> list:
    with server.admin() as admin:
        return [admin.execute(sql).fetchall() for sql in CONTENT]


def assert_same(source, folder: Path, before: set, after: set) -> None:
    """What was committed before the backup is there; of what came meanwhile, a beginning."""
    server = Restored(source, folder)
    try:
        assert content(server) == content(source)
        with server.admin() as admin:
            ids = {row[0] for row in admin.execute("SELECT id FROM witness")}
            assert admin.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
            assert admin.execute("SHOW archive_mode").fetchone() == ("off",)
            assert admin.execute("SELECT timeline_id > 1 FROM pg_control_checkpoint()").fetchone() == (True,)
            admin.execute("SELECT pg_switch_wal()")
            admin.execute("CREATE TABLE after_restore TABLESPACE aside AS SELECT 1 AS one")
        assert before <= ids <= after and ids == set(range(1, len(ids) + 1))
    finally:
        server.destroy()


class Writer:
    """Commits one row after the other, and knows which were."""

    def __init__(self, source):
        self.source, self.done, self.stop = source, set(), False
        with source.admin() as admin:
            admin.execute("TRUNCATE witness")

    def __enter__(self):
        self.thread = threading.Thread(target=self._write)
        self.thread.start()
        while len(self.done) < 20:
            pass
        return self

    def _write(self):
        with self.source.admin() as admin:
            number = 0
            while not self.stop:
                number += 1
                admin.execute("INSERT INTO witness VALUES (%s)", [number])
                self.done.add(number)

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()


def test_a_restored_server_is_the_one_that_was_backed_up(project, source, place):
    configure(project, source)
    assert "there is no backup" in project.run("backup", "list", "shop_db").out
    with Writer(source) as writer:
        before = set(writer.done)
        record = back_up(project)
    assert record["files"] > 500 and record["stored_bytes"] < record["bytes"]
    assert listed(project) == [record["id"]]
    checked = verify(project).json["backups"][0]
    assert checked["whole"] and checked["files"] == record["files"] and checked["faults"] == []

    with source.admin() as admin:
        admin.execute("SELECT pg_switch_wal()")
    # Archiving is behind by a moment; what it is to be compared with must not move by itself.
    with source.admin() as admin:
        while admin.execute("SELECT last_archived_wal IS NULL OR EXISTS (SELECT 1 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') FROM pg_stat_archiver").fetchone()[0]:
            pass
    archived = sorted(p.name for p in source.archive.iterdir())
    preview = restore(project, place / "data", "--preview").out
    assert "would restore " + record["id"] in preview and record["end_lsn"] in preview and not (place / "data").exists()
    assert f"instead of {source.space}" in preview
    for name in ("data", "again"):
        restore(project, place / name)
        assert stat.S_IMODE((place / name).stat().st_mode) == 0o700
        assert not (place / name / "penstock_restore.json").exists()
        assert_same(source, place / name, before, writer.done)
    assert [p.name for p in (place / "data.tablespaces").iterdir()] == [p.name for p in (place / "data/pg_tblspc").iterdir()]
    assert sorted(p.name for p in source.archive.iterdir()) == archived


def test_nothing_can_be_read_without_the_key(shop, source15, place):
    back_up(shop)
    for file in shop.lake.rglob("*"):
        if file.is_file():
            assert PLAIN.encode() not in file.read_bytes() and KEY.encode() not in file.read_bytes()
    shop.environment["BACKUP_KEY"] = OTHER_KEY
    for command in (["verify", "shop_db"], ["restore", "shop_db", "--into", place / "data"]):
        said = shop.run("backup", *command, expect=2)
        assert "was written with another key" in said.err and "fingerprint" in said.err
    assert "another key" in shop.run("backup", "list", "shop_db").out
    assert not (place / "data").exists()


@pytest.mark.parametrize("failpoint", BACKUP_FAILPOINTS)
def test_a_killed_backup_leaves_nothing_that_is_restored(shop, source15, place, failpoint):
    first = back_up(shop)["id"]
    killed = shop.run("backup", "run", "shop_db", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
    assert killed.code == -9, killed
    left = listed(shop)
    assert left[0] == first and len(left) == (2 if failpoint == "backup_catalog_after" else 1)
    assert [one["whole"] for one in verify(shop).json["backups"]] == [True] * len(left)
    second = back_up(shop)["id"]
    assert listed(shop) == [*left, second]
    assert verify(shop).json["backups"][-1]["whole"]
    assert second in restore(shop, place / "data").out
    server = Restored(source15, place / "data")
    try:
        assert content(server) == content(source15)
    finally:
        server.destroy()


@pytest.mark.parametrize("failpoint", [name for name in BACKUP_FAILPOINTS if not name.startswith("backup_catalog")])
def test_a_failed_backup_cleans_up(shop, failpoint):
    failed = shop.run("backup", "run", "shop_db", expect=1, env={"PENSTOCK_FAILPOINT": f"{failpoint}=error"})
    assert failpoint in failed.err
    assert not [file for file in shop.lake.rglob("*") if file.is_file()]


@pytest.mark.parametrize("failpoint", [*RESTORE_FAILPOINTS, "restore_file_after@400"])
def test_a_killed_restore_cannot_be_started_and_is_done_again(shop, source15, place, failpoint):
    back_up(shop)
    into = place / "data"
    killed = shop.run("backup", "restore", "shop_db", "--into", into, expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
    assert killed.code == -9, killed
    started = subprocess.run([source15.bindir / "postgres", "-D", into, "-p", str(free_port())], capture_output=True, text=True, timeout=30,
                             cwd="/", **source15._account)
    assert started.returncode != 0
    restore(shop, into)
    server = Restored(source15, into)
    try:
        assert content(server) == content(source15)
    finally:
        server.destroy()


def test_a_restore_writes_over_nothing(shop, place):
    back_up(shop)
    for name, made in (("data", "data/mine"), ("other", "other.tablespaces/mine")):
        mine = place / made
        mine.parent.mkdir()
        mine.write_text("kept")
        assert "is not empty" in restore(shop, place / name, expect=1).err
        assert mine.read_text() == "kept"
    assert not (place / "other").exists()
    restore(shop, place / "third")
    (place / "third/penstock_restore.json").write_text('{"backup": "another"}')  # a server is there, whatever the mark says
    assert "is not empty" in restore(shop, place / "third", expect=1).err
    assert (place / "third/global/pg_control").exists()


KINDS = {"catalog": "catalog/*.json", "base": "parts/*/base/000000", "last of base": "parts/*/base/0*", "tablespace": "parts/*/[0-9]*/0*",
         "manifest": "parts/*/manifest/0*", "files": "parts/*/files/0*"}


@pytest.fixture(scope="module")
def taken(source15, tmp_path_factory):
    """One backup for all of the damage below, which is done to copies."""
    from support.program import Project

    project = Project(tmp_path_factory.mktemp("taken"))
    configure(project, source15)
    back_up(project)
    return project


# Without its entry there is no backup, which `verify` says: test_nothing_to_verify_is_no_success.
DAMAGES = [(kind, damage) for kind in KINDS for damage in ("first bit", "middle", "last bit", "cut", "gone") if (kind, damage) != ("catalog", "gone")]


@pytest.mark.parametrize("kind, damage", DAMAGES)
def test_damage_is_found_and_named(taken, source15, project, place, kind, damage):
    configure(project, source15)
    shutil.copytree(taken.lake, project.lake)
    file = sorted((project.lake / "backups/shop").glob(KINDS[kind]))[-1]
    size = file.stat().st_size
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:size // 2])
    else:
        flip(file, {"first bit": 0, "middle": size // 2, "last bit": -1}[damage])
    said = verify(project, expect=3)
    (one,) = said.json["backups"]
    assert not one["whole"]
    (fault,) = [fault for fault in one["faults"] if fault["object"]]
    assert fault["object"].endswith(str(file.relative_to(project.lake))), said
    if kind in ("base", "tablespace"):
        assert fault["files"] and all(re.match("pg_tblspc/" if kind == "tablespace" else "(?!pg_tblspc)", path) for path in fault["files"])
    if kind == "files":
        return  # of use to verify alone: the restore below would be right
    refused = restore(project, place / "data", expect=1 if damage == "gone" else 3)
    assert str(file.relative_to(project.lake)) in refused.err
    assert not (place / "data/global/pg_control").exists()


def test_a_damaged_newest_backup_is_not_passed_over(shop, place):
    older = back_up(shop)["id"]
    newer = back_up(shop)["id"]
    flip(shop.lake / f"backups/shop/catalog/{newer}.json", 700)
    assert newer in restore(shop, place / "data", expect=3).err
    restore(shop, place / "data", "--backup", older[:18])
    assert verify(shop, expect=3).json["backups"][0]["whole"]


def test_parts_cannot_take_each_other_s_place(taken, source15, project):
    configure(project, source15)
    shutil.copytree(taken.lake, project.lake)
    parts = sorted((project.lake / "backups/shop").glob("parts/*/base/0*"))
    assert len(parts) > 1
    first, second = parts[0].read_bytes(), parts[1].read_bytes()
    parts[0].write_bytes(second)
    parts[1].write_bytes(first)
    assert len(verify(project, expect=3).json["backups"][0]["faults"]) == 2


def test_nothing_to_verify_is_no_success(shop):
    assert "there is no backup" in verify(shop, expect=3).err
    assert "there is no backup" in shop.run("backup", "restore", "shop_db", "--into", "x", expect=1).err


def test_into_a_bucket_and_back(project, source15, place, s3):
    project.environment["S3_SECRET"] = s3.secret_key
    configure(project, source15, store=s3.connection())
    back_up(project)
    assert verify(project).json["backups"][0]["whole"]
    restore(project, place / "data")
    server = Restored(source15, place / "data")
    try:
        assert content(server) == content(source15)
    finally:
        server.destroy()
    assert BUCKET in project.run("backup", "restore", "shop_db", "--into", place / "data", "--backup", "nothing", expect=1).err


def test_a_standby_is_backed_up_as_well(project, place):
    primary = PostgresServer(version=15, settings="full_page_writes = on\n")
    standby = None
    try:
        with primary.admin() as admin:
            admin.execute(f"CREATE ROLE backuper LOGIN REPLICATION PASSWORD '{LOADER_PASSWORD}'")
            admin.execute("CREATE TABLE events AS SELECT i AS id, md5(i::text) AS what FROM generate_series(1, 50000) i")
        standby = primary.standby("follower")
        configure(project, standby)
        with primary.admin() as admin:
            admin.execute("INSERT INTO events VALUES (50001, 'after the copy')")
            end = admin.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
        with standby.admin() as admin:
            while not admin.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [end]).fetchone()[0]:
                pass
        back_up(project)
        restore(project, place / "data")
        assert not (place / "data/standby.signal").exists()
        restored = Restored(standby, place / "data")
        try:
            with restored.admin() as admin:
                assert admin.execute("SELECT count(*), pg_is_in_recovery() FROM events").fetchone() == (50001, False)
                assert admin.execute("SHOW primary_conninfo").fetchone() == ("",)
        finally:
            restored.destroy()
    finally:
        for server in filter(None, (standby, primary)):
            server.destroy()


def test_who_may_not_replicate_is_told(project, source15):
    configure(project, source15, user="loader")
    said = project.run("backup", "run", "shop_db", expect=1).err
    assert "may not replicate" in said and "REPLICATION" in said


def test_a_server_of_debian_s_starts_without_its_files(project, source15, place):
    """Where postgresql.conf is not among the data: what recovery needs is known all the same."""
    outside = source15.aside / "etc"
    outside.mkdir(exist_ok=True)
    names = ("postgresql.conf", "pg_hba.conf", "pg_ident.conf")
    configure(project, source15)
    for name in names:
        shutil.move(source15.data / name, outside / name)
    try:
        back_up(project)
    finally:
        for name in names:
            shutil.move(outside / name, source15.data / name)
    restore(project, place / "data")
    written = (place / "data/postgresql.conf").read_text()
    assert "max_connections = '120'" in written and "wal_level = 'logical'" in written
    with open(place / "data/postgresql.conf", "a") as conf:
        conf.write(f"unix_socket_directories = '{source15.base}'\n")
    (place / "data/pg_hba.conf").write_text("local all all trust\n")
    server = Restored(source15, place / "data")
    try:
        assert content(server) == content(source15)
    finally:
        server.destroy()


def test_the_example(project, source15, place):
    project.environment |= {"SHOP_URL": source15.url("postgres", user="backuper"), "BACKUP_KEY": KEY}
    project.write((ROOT / "examples/backup.yaml").read_text())
    project.run("check")
    project.run("backup", "run", "shop_db", timeout=120)
    project.run("backup", "restore", "shop_db", "--latest", "--into", place / "data", timeout=120)
    assert (place / "data/recovery.signal").exists()
    assert LOADER_PASSWORD_URL not in "".join(p.read_text(errors="replace") for p in (project.lake.rglob("*.json")))


def test_a_server_that_goes_away_in_the_middle(project, place):
    server = Source(15)
    try:
        configure(project, server)
        running = project.start("backup", "run", "shop_db", env={"PENSTOCK_FAILPOINT": "backup_part_before=delay"})
        while not any(project.lake.rglob("*")) and running.process.poll() is None:
            try:
                with server.admin() as admin:
                    if admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication").fetchall():
                        break
            except psycopg.OperationalError:
                pass
        output = running.wait()
        assert output.code == 1 and listed(project) == [], output
    finally:
        server.destroy()
