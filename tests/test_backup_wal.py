"""The log between backups: received without a gap whatever is killed, and restored to any place of it."""

import shutil
import signal
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest

from support.backups import KEY, Restored, Source, configure, flip, own_folder, remove_meanwhile
from support.postgres import LOADER_PASSWORD, PostgresServer
from support.program import Project

OTHER_KEY = "9f3c1d" + "0a" * 29
WAL_FAILPOINTS = ["wal_piece_before", "wal_piece_after", "wal_merge_during", "wal_confirm_before"]
SLOT = "penstock_wal_shop_db"


@pytest.fixture
def place():
    made = own_folder("penstock-wal-")
    yield made
    remove_meanwhile(made)


@pytest.fixture
def project(place, monkeypatch):
    """Restored servers ask for their log themselves, by an account of their own and with this environment."""
    made = Project(place / "project")
    made.folder.chmod(0o755)
    monkeypatch.setenv("BACKUP_KEY", KEY)
    monkeypatch.setenv("SHOP_URL", "postgresql://nobody@127.0.0.1:1/none")
    return made


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
def shop(project, source15):
    configure_wal(project, source15)
    yield project
    drop_slot(source15)


def drop_slot(server) -> None:
    with server.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s AND active", [SLOT])
        for _ in range(200):
            try:
                admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [SLOT])
                return
            except psycopg.errors.ObjectInUse:
                time.sleep(0.02)


def configure_wal(project, server, interval: str = "100ms") -> None:
    configure(project, server, wal={"interval": interval})


def back_up(project) -> dict:
    return project.run("backup", "run", "shop_db", "--output", "json", timeout=120).json


def drain(project, *more, expect=0, env=None):
    return project.run("backup", "wal", "shop_db", "--drain", "--output", "json", *more, expect=expect, env=env)


def verify(project, expect=0) -> dict:
    return project.run("backup", "verify", "shop_db", "--output", "json", expect=expect, timeout=120).json["wal"]


def restore(project, into: Path, *more, expect=0):
    done = project.run("backup", "restore", "shop_db", "--into", into, "--output", "json", *more, expect=expect, timeout=120)
    for path in project.folder.rglob("*"):
        path.chmod(0o755)  # the restored server reads them by another account
    return done


def restored_ids(server, folder: Path) -> set[int]:
    started = Restored(server, folder)
    try:
        with started.admin() as admin:
            assert admin.execute("SHOW archive_mode").fetchone() == ("off",)
            assert admin.execute("SELECT timeline_id FROM pg_control_checkpoint()").fetchone()[0] > 0
            return {row[0] for row in admin.execute("SELECT id FROM witness")}
    finally:
        started.destroy()


def fill(server, ids, big: bool = False) -> None:
    """Rows, and as much log beside them as a segment holds, or little."""
    with server.admin() as admin:
        for one in ids:
            admin.execute("INSERT INTO witness (id) VALUES (%s)", [one])
            if big:
                admin.execute("SELECT pg_logical_emit_message(false, 'filling', repeat('x', 9000000))")


def fresh(server) -> None:
    with server.admin() as admin:
        admin.execute("TRUNCATE witness")


def end_of_log(server) -> str:
    with server.admin() as admin:
        return admin.execute("SELECT pg_current_wal_flush_lsn()").fetchone()[0]


def pieces(project) -> list[Path]:
    return sorted((project.lake / "backups/shop/wal").glob("0*/*/0*-*"))


class Witness:
    """Commits one row after the other, and notes when each had not begun yet and when it was there."""

    def __init__(self, server):
        self.server, self.began, self.ended, self.stop, self.thread = server, {}, {}, False, None
        fresh(server)

    def __enter__(self):
        self.thread = threading.Thread(target=self._write)
        self.thread.start()
        self.wait_for(20)
        return self

    def wait_for(self, count: int) -> None:
        until = len(self.ended) + count
        while len(self.ended) < until:
            assert self.thread.is_alive()
            time.sleep(0.01)

    def _write(self):
        with self.server.admin() as admin:
            number = 0
            while not self.stop:
                number += 1
                self.began[number] = datetime.now(timezone.utc)
                try:
                    admin.execute("INSERT INTO witness VALUES (%s)", [number])
                except psycopg.OperationalError:
                    return
                self.ended[number] = datetime.now(timezone.utc)
                time.sleep(0.004)

    def at(self, moment: datetime) -> set[int]:
        return {number for number, ended in self.ended.items() if ended <= moment}

    def between(self, number: int) -> datetime:
        """A moment when this one was there and the next had not begun."""
        return self.ended[number] + (self.began[number + 1] - self.ended[number]) / 2

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()


def test_any_time_that_was_witnessed_is_restored(project, source, place):
    configure_wal(project, source)
    receiver = project.start("backup", "wal", "shop_db", "--output", "json")
    with Witness(source) as witness:
        record = back_up(project)
        witness.wait_for(40)
        with source.admin() as admin:
            marked = len(witness.ended)  # what was there before, at least
            admin.execute("SELECT pg_create_restore_point('before the mistake')")
            marked_after = max(witness.began)
            admin.execute("SELECT pg_switch_wal()")
            witness.wait_for(40)
            admin.execute("BEGIN")
            xid = admin.execute("INSERT INTO witness VALUES (-1) RETURNING pg_current_xact_id()::text").fetchone()[0]
            admin.execute("COMMIT")
            lsn = admin.execute("SELECT pg_current_wal_lsn()").fetchone()[0]
            witness.wait_for(40)
    receiver.signal(signal.SIGTERM)
    stopped = receiver.wait()
    assert stopped.code == 130 and stopped.json["stopped"], stopped
    assert drain(project).json["to_lsn"] == end_of_log(source)
    archived = sorted(p.name for p in source.archive.iterdir())

    listed = project.run("backup", "list", "shop_db", "--output", "json").json["backups"][0]
    assert listed["id"] == record["id"] and not listed["recoverable"]["missing"]
    last = witness.ended[max(witness.ended)]
    reach = datetime.fromisoformat(listed["recoverable"]["to_time"].replace("Z", "+00:00"))
    assert abs(reach - last) < timedelta(seconds=1), "the last transaction was that of the witness"
    assert verify(project)["whole"]

    ended = datetime.fromisoformat(record["ended_at"].replace("Z", "+00:00"))
    after = sorted(number for number in witness.ended if witness.ended[number] > ended and number + 1 in witness.began)
    for number in (after[3], after[len(after) // 2], after[-2]):
        moment = witness.between(number)
        into = place / f"at-{number}"
        restore(project, into, "--to-time", moment.isoformat())
        assert restored_ids(source, into) - {-1} == witness.at(moment) == set(range(1, number + 1))
    restore(project, place / "latest")
    assert restored_ids(source, place / "latest") == set(witness.ended) | {-1}

    restore(project, place / "name", "--to-name", "before the mistake")
    ids = restored_ids(source, place / "name")
    assert set(range(1, marked + 1)) <= ids <= set(range(1, marked_after + 1)) and -1 not in ids
    restore(project, place / "xid", "--to-xid", xid)
    with_it = restored_ids(source, place / "xid")
    assert -1 in with_it and len(with_it) < len(witness.ended)
    restore(project, place / "lsn", "--to-lsn", lsn)
    at_lsn = restored_ids(source, place / "lsn")
    assert with_it <= at_lsn < set(witness.ended) | {-1} and -1 in at_lsn

    source.archive.stat()
    assert sorted(p.name for p in source.archive.iterdir()) == archived, "a restored server wrote into the live archive"
    drop_slot(source)


def test_what_is_lost_with_the_server_is_what_is_said(project, place):
    server = Source(15)
    try:
        configure_wal(project, server)
        receiver = project.start("backup", "wal", "shop_db", "--output", "json")
        with Witness(server) as witness:
            back_up(project)
            witness.wait_for(100)
            server.stop(signal.SIGQUIT)  # as kill -9 does it: nothing is flushed, no walsender waits
            died = datetime.now(timezone.utc)
        time.sleep(0.5)
        receiver.signal(signal.SIGTERM)
        assert receiver.wait().code == 130
        said = restore(project, place / "data").json["recovery"]
        reach = datetime.fromisoformat(said["reach_time"].replace("Z", "+00:00"))
        ids = restored_ids(server, place / "data")
        assert {number for number, began in witness.began.items() if witness.ended.get(number, died) < reach} <= ids <= set(witness.began)
        lost = set(witness.ended) - ids
        assert all(witness.ended[number] >= reach for number in lost)
        assert all(died - witness.ended[number] < timedelta(seconds=2) for number in lost), "the interval is 100 ms"
    finally:
        server.destroy()


def test_a_kill_at_any_point_leaves_no_gap_and_nothing_twice(shop, source15, place):
    fresh(source15)
    killed = shop.run("backup", "wal", "shop_db", "--drain", expect=None, env={"PENSTOCK_FAILPOINT": "wal_slot_after=kill"})
    assert killed.code == -9 and not pieces(shop), killed
    drain(shop)
    back_up(shop)
    number = 0
    for failpoint in WAL_FAILPOINTS:
        fill(source15, [number := number + 1])
        drain(shop)  # a piece that the whole block takes the place of
        fill(source15, [number := number + 1, number := number + 1], big=True)
        drained = drain(shop, expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
        assert drained.code == -9, drained
        assert verify(shop)["whole"]
        failed = drain(shop, expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=error"})
        assert failed.code in (0, 1) and (failed.code == 0 or failpoint in failed.err), failed
    drain(shop)
    whole = verify(shop)
    assert whole["whole"] and len(whole["stretches"]) == 1 and whole["stretches"][0]["to_lsn"] == end_of_log(source15)
    full = [piece for piece in pieces(shop) if piece.name == "00000000-01000000"]
    assert len(full) >= 4 and all(len(list(piece.parent.glob("0*"))) == 1 for piece in full), "a full segment is one object"
    restore(shop, place / "data")
    assert restored_ids(source15, place / "data") == set(range(1, number + 1))


def test_a_slot_that_was_dropped(shop, source15, place):
    fresh(source15)
    drain(shop)
    back_up(shop)
    fill(source15, [1])
    drop_slot(source15)
    again = drain(shop)
    assert "was gone, and is made again" in again.err
    before = verify(shop)
    assert before["whole"] and len(before["stretches"]) == 1

    drop_slot(source15)
    fill(source15, range(2, 8), big=True)
    with source15.admin() as admin:
        while admin.execute("SELECT EXISTS (SELECT 1 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')").fetchone()[0]:
            time.sleep(0.05)
        admin.execute("ALTER SYSTEM SET max_wal_size = '64MB'")
        admin.execute("ALTER SYSTEM SET min_wal_size = '32MB'")
        admin.execute("SELECT pg_reload_conf()")
        admin.execute("CHECKPOINT")
        admin.execute("SELECT pg_switch_wal()")
        admin.execute("CHECKPOINT")
    refused = drain(shop, expect=1)
    assert "is gone from the server" in refused.err and "--accept-gap" in refused.err and "backup run shop_db" in refused.err
    with source15.admin() as admin:
        assert admin.execute("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", [SLOT]).fetchone() == (0,), "a slot was left behind"
    assert verify(shop) == before
    drain(shop, "--accept-gap")
    after = verify(shop)
    assert after["whole"] and len(after["stretches"]) == 2
    fill(source15, [8])
    drain(shop)
    said = restore(shop, place / "old").json["recovery"]
    assert said["gap_to_lsn"] == after["stretches"][1]["from_lsn"]
    assert restored_ids(source15, place / "old") == {1}
    back_up(shop)
    fill(source15, [9])
    drain(shop)
    restore(shop, place / "new")
    assert restored_ids(source15, place / "new") == set(range(1, 10))


def test_damage_and_loss_are_found_and_never_restored_over(shop, source15, place):
    fresh(source15)
    drain(shop)
    back_up(shop)
    fill(source15, range(1, 7), big=True)
    drain(shop)
    fill(source15, [7])
    drain(shop)
    assert verify(shop)["whole"]
    good = pieces(shop)
    last_backed_up = good[-4]
    kept = place / "kept"
    shutil.copytree(shop.lake, kept)
    for file, damage in ((good[-3], "bit"), (good[-1], "bit"), (good[-3], "gone"), (good[0], "gone"), (good[0].parent / "begin", "bit"),
                         (shop.lake / "backups/shop/wal/log.json", "bit"), (shop.lake / "backups/shop/wal/log.json", "gone")):
        if damage == "bit":
            flip(file, file.stat().st_size // 2)
        else:
            file.unlink()
        said = verify(shop, expect=3)
        assert not said["whole"] and any(str(file.parent.relative_to(shop.lake)) in fault["object"] for fault in said["faults"]), (file, damage, said)
        if file.name == "log.json" and damage == "bit":
            shown = shop.run("backup", "list", "shop_db", "--output", "json").json
            assert shown["backups"][0]["files"] > 500 and "log.json" in shown["wal"]["error"]["where"]
            assert "log is DAMAGED" in shop.run("backup", "list", "shop_db").out
        if file == good[-3] and damage == "gone":
            refused = restore(shop, place / "data", expect=3)
            assert "the log before it is missing" in refused.err and not (place / "data").exists()
            assert shop.run("backup", "list", "shop_db", "--output", "json").json["backups"][0]["recoverable"]["missing"]
        shutil.rmtree(shop.lake)
        shutil.copytree(kept, shop.lake)
    # Two pieces of one size swapped: each is whole, and in the wrong place.
    first, second = good[-3].read_bytes(), last_backed_up.read_bytes()
    good[-3].write_bytes(second)
    last_backed_up.write_bytes(first)
    assert len(verify(shop, expect=3)["faults"]) == 2


def test_targets_that_the_log_does_not_reach(shop, source15, place):
    fresh(source15)
    assert "there is no backup" in restore(shop, place / "data", "--to-time", "2026-01-01", expect=1).err
    before = datetime.now(timezone.utc)
    record = back_up(shop)
    said = restore(shop, place / "data", "--to-time", (before + timedelta(days=1)).isoformat(), expect=1).err
    assert "is not stored" in said
    drain(shop)
    back_up(shop)
    fill(source15, [1, 2])
    drain(shop)
    late = datetime.now(timezone.utc)
    for target in (["--to-time", (late + timedelta(seconds=5)).isoformat()], ["--to-lsn", "7F/0"], ["--to-name", "nobody made it"], ["--to-xid", "4000000000"]):
        said = restore(shop, place / "data", *target, expect=1).err
        assert "cannot be restored: the stored log reaches to" in said and "--latest" in said, said
    assert "no backup that ended before" in restore(shop, place / "data", "--to-time", before.isoformat(), expect=1).err
    assert "is no place" in restore(shop, place / "data", "--to-lsn", "here", expect=2).err
    assert "exclude one another" in restore(shop, place / "data", "--to-lsn", "0/1", "--latest", expect=2).err
    assert not (place / "data").exists()
    preview = shop.run("backup", "restore", "shop_db", "--into", place / "data", "--to-lsn", end_of_log(source15), "--preview").out
    assert "stored up to" in preview and "not in it" in preview
    # The first backup ended before its log was stored, and is there all the same.
    restore(shop, place / "first", "--backup", record["id"], "--latest")


def test_what_the_restored_server_is_told(shop, source15, place):
    """An exit code of 1 ends recovery, so it has to mean that there is no more; anything else has to stop the server."""
    fill(source15, [])
    drain(shop)
    segment = pieces(shop)[0].parent.name
    into = place / "fetched"
    assert shop.run("backup", "wal-fetch", "shop_db", segment, into).code == 0 and into.stat().st_size == 16 << 20
    assert into.read_bytes()[:2] in (b"\x10\xd1", b"\x13\xd1", b"\x16\xd1", b"\x18\xd1"), "a page of the log begins with its magic"
    shop.run("backup", "wal-fetch", "shop_db", "00000002.history", into, expect=1)
    shop.run("backup", "wal-fetch", "shop_db", "0000000100000FFF00000000", into, expect=1)
    shop.environment["BACKUP_KEY"] = OTHER_KEY
    assert "another key" in shop.run("backup", "wal-fetch", "shop_db", segment, into, expect=255).err
    del shop.environment["BACKUP_KEY"]
    shop.run("backup", "wal-fetch", "shop_db", segment, into, expect=255)


def test_another_server_is_refused(shop, source15):
    drain(shop)
    other = PostgresServer(version=15)
    try:
        with other.admin() as admin:
            admin.execute(f"CREATE ROLE backuper LOGIN REPLICATION PASSWORD '{LOADER_PASSWORD}'")
        configure_wal(shop, other)
        assert "is of system" in drain(shop, expect=1).err
        with other.admin() as admin:
            assert admin.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)
    finally:
        other.destroy()


def test_a_promotion_is_followed(project, place):
    primary = PostgresServer(version=15, settings="full_page_writes = on\nwal_keep_size = '256MB'\n")
    standby = None
    try:
        with primary.admin() as admin:
            admin.execute(f"CREATE ROLE backuper LOGIN REPLICATION PASSWORD '{LOADER_PASSWORD}'")
            admin.execute("CREATE TABLE witness (id bigint PRIMARY KEY)")
        configure_wal(project, primary)
        drain(project)
        back_up(project)
        fill(primary, [1, 2])
        standby = primary.standby("follower")
        fill(primary, [3])
        end = end_of_log(primary)
        with standby.admin() as admin:
            while not admin.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [end]).fetchone()[0]:
                time.sleep(0.02)
        primary.stop(signal.SIGQUIT)
        standby.promote()
        configure_wal(project, standby)
        fill(standby, [4])
        drained = drain(project)
        assert drained.json["timeline"] == 2
        checked = verify(project)
        assert checked["whole"] and [one["timeline"] for one in checked["stretches"]] == [1, 2]
        assert restore(project, place / "data").json["recovery"]["timeline"] == 2
        assert restored_ids(primary, place / "data") == {1, 2, 3, 4}
        history = project.lake / "backups/shop/wal/00000002.history"
        history.unlink()
        assert any("00000002.history" in fault["object"] for fault in verify(project, expect=3)["faults"])
    finally:
        for server in filter(None, (standby, primary)):
            server.destroy()


def prune(project, *more, expect=0, env=None):
    days_later = {"PENSTOCK_NOW": str(int(time.time()) + 3 * 86400)}
    return project.run("backup", "prune", "shop_db", "--output", "json", *more, expect=expect, env={**days_later, **(env or {})})


def test_what_is_not_kept_goes_and_all_else_is_whole(shop, source15, place):
    fresh(source15)
    assert "no `keep` says" in prune(shop, expect=2).err
    configure(shop, source15, keep={"full": 1}, wal={"interval": "100ms"})
    drain(shop)
    assert prune(shop).json["objects"] == 0, "without a backup the log stays"
    older = back_up(shop)["id"]
    fill(source15, [1, 2, 3, 4], big=True)
    drain(shop)
    killed = shop.run("backup", "run", "shop_db", expect=None, env={"PENSTOCK_FAILPOINT": "backup_part_after=kill"})
    assert killed.code == -9
    newer = back_up(shop)["id"]
    fill(source15, [5])
    drain(shop)
    left = {path.name for path in (shop.lake / "backups/shop/parts").iterdir()} - {older, newer}
    before = sorted(shop.lake.rglob("*"))
    planned = prune(shop, "--dry-run").json
    assert planned["backups"] == [older] and set(planned["leftovers"]) == left and planned["wal_objects"] > 2 and not planned["removed"]
    assert sorted(shop.lake.rglob("*")) == before
    now = {"PENSTOCK_NOW": str(int(time.time()))}
    assert prune(shop, "--dry-run", env=now).json["leftovers"] == [], "it may be a run that goes on"
    for failpoint in ("prune_entry_before", "prune_object_before@3", "prune_object_before@40", "prune_object_before"):
        prune(shop, expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
        assert shop.run("backup", "verify", "shop_db", "--output", "json", timeout=120).json["wal"]["whole"]
    prune(shop)
    assert prune(shop).json["objects"] == 0
    assert [one["id"] for one in shop.run("backup", "list", "shop_db", "--output", "json").json["backups"]] == [newer]
    assert {path.name for path in (shop.lake / "backups/shop/parts").iterdir() if any(path.rglob("0*"))} == {newer}
    assert verify(shop)["whole"]
    fill(source15, [6])
    drain(shop)
    restore(shop, place / "data")
    assert restored_ids(source15, place / "data") == {1, 2, 3, 4, 5, 6}
