"""Drills: a backup is restored, started, asked and read whole, and what is planted into it is named."""

import hashlib
import hmac
import json
import signal
import subprocess
import time
from datetime import datetime

import duckdb
import psycopg
import pytest

from support.backups import KEY, Restored, Source, configure, own_folder, remove_meanwhile
from support.postgres import LOADER, LOADER_PASSWORD, PostgresServer
from support.program import ROOT
from support.receiver import Receiver
from support.serving import Serving

SETTINGS = {"archive_mode": "off", "listen_addresses": "", "max_logical_replication_workers": "0", "shared_preload_libraries": "",
            "primary_conninfo": "", "cluster_name": "penstock_drill"}


@pytest.fixture(scope="module", params=[15, 18])
def source(request):
    made = Source(request.param)
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A server with two tables and one backup of it, for what does not depend on more."""
    server = PostgresServer(version=15)
    with server.admin() as admin:
        admin.execute(f"CREATE ROLE backuper LOGIN REPLICATION PASSWORD '{LOADER_PASSWORD}'")
        admin.execute("CREATE TABLE witness (id bigint PRIMARY KEY)")
        fill(admin)
    yield server
    server.destroy()


@pytest.fixture
def place():
    made = own_folder("penstock-drills-")
    yield made
    remove_meanwhile(made)


def fill(admin) -> None:
    admin.execute("CREATE TABLE orders AS SELECT i AS id, repeat(md5(i::text), 3) AS what FROM generate_series(1, 2000) i")
    admin.execute("ALTER TABLE orders ADD PRIMARY KEY (id)")


def prepare(project, server, place, notify=None, connections=None, pipelines=None, **drill) -> None:
    configure(project, server, wal={"interval": "100ms"},
              drill={"folder": str(place), "programs": str(server.bindir), **drill}, **({"notify": notify} if notify else {}))
    written = json.loads((project.folder / "penstock.yaml").read_text())
    written["connections"] |= connections or {}
    if pipelines:
        written["pipelines"] = pipelines
    project.config(**{key: value for key, value in written.items() if key != "version"})


def back_up(project) -> dict:
    return project.run("backup", "run", "shop_db", "--output", "json", timeout=120).json


def drill(project, *more, expect=0) -> dict:
    return project.run("backup", "drill", "shop_db", "--json", *more, expect=expect, timeout=120).json


def sealed(project, report: dict) -> str:
    """The page beside a report, both signed with the store's key."""
    folder = project.lake / "backups/shop/drills"
    lines = (folder / f"{report['id']}.hmac").read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        digest, name = line.split("  ")
        assert digest == hmac.new(bytes.fromhex(KEY), (folder / name).read_bytes(), hashlib.sha256).hexdigest()
    stored = json.loads((folder / f"{report['id']}.json").read_text())
    assert stored == {key: value for key, value in report.items() if key != "report"}
    return (folder / f"{report['id']}.html").read_text()


def test_a_whole_backup_passes_and_says_how_long_it_took(project, source, place):
    queries = ["SELECT count(*) FROM witness", "SELECT * FROM events", *(f"SHOW {name}" for name in SETTINGS),
               "SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL"]
    prepare(project, source, place, queries=queries, verify=["events"],
            connections={"reader": {"type": "postgres", "url": source.url("postgres")}, "warehouse": {"type": "duckdb", "path": "w.duckdb"}},
            pipelines={"events": {"source": {"connection": "reader", "table": "public.events"},
                                  "target": {"connection": "warehouse", "table": "main.events", "mode": "replace"}, "schedule": "0 0 1 1 *"}})
    with source.admin() as admin:
        admin.execute("CREATE SUBSCRIPTION subscribed CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = s)")
        admin.execute("ALTER SUBSCRIPTION subscribed ENABLE")
    project.run("run", "--all")
    project.run("backup", "wal", "shop_db", "--drain")
    taken = back_up(project)
    with source.admin() as admin:
        admin.execute("INSERT INTO witness SELECT generate_series(1, 17)")
        committed = admin.execute("SELECT now()").fetchone()[0]
    project.run("backup", "wal", "shop_db", "--drain")
    wait_for(lambda: caught_up(project))

    report = drill(project)
    assert report["passed"] and report["failures"] == [] and report["restored"]["id"] == taken["id"]
    assert report["queries"][0]["first_value"] == "17" and report["queries"][1]["rows"] == 200_000
    assert {name: one["first_value"] for name, one in zip(SETTINGS, report["queries"][2:])} == SETTINGS
    assert report["queries"][-1]["first_value"] == "0"
    assert report["pages"]["faults"] == [] and report["pages"]["tables"] > 100 and report["pages"]["indexes"] > 150
    assert report["pages"]["databases"] == 2
    assert report["compared"][0]["equal"] and report["compared"][0]["tables"][0]["read"]["source"]["rows"] == 200_000
    phases = {phase["name"]: phase for phase in report["phases"]}
    assert list(phases) == ["plan", "restore", "recovery", "queries", "pages", "compare", "stop", "checksums"]
    assert phases["recovery"]["begin_seconds"] < report["rto_seconds"] <= phases["queries"]["begin_seconds"] + 0.01
    assert abs(time.time() - committed.timestamp() - report["rpo_seconds"]) < 60
    held = datetime.fromisoformat(report["restored"]["held_until"])
    assert abs((held - committed).total_seconds()) < 1
    page = sealed(project, report)
    assert "<svg" in page and "src=" not in page and "href=" not in page and "<script" not in page
    assert list(place.iterdir()) == []
    assert {p.name[:8] for p in source.archive.iterdir()} <= {"00000001"}  # the restored server went on to a timeline of its own
    found = metrics(project)
    assert abs(found['penstock_drill_rto_seconds{backup="shop_db"}'] - report["rto_seconds"]) < 0.001
    assert abs(found['penstock_drill_rpo_seconds{backup="shop_db"}'] - report["rpo_seconds"]) < 0.001
    assert found['penstock_drill_passed{backup="shop_db"}'] == 1 and found['penstock_drill_age_seconds{backup="shop_db"}'] < 60

    with duckdb.connect(str(project.folder / "w.duckdb")) as warehouse:
        warehouse.execute("UPDATE main.events SET what = 'bent' WHERE id = 4711")
    failed = drill(project, expect=3)
    assert failed["compared"][0]["tables"][0]["differences"] == {"missing": 1, "extra": 1, "changed": 0}  # it has no key
    assert "pipeline events differs" in failed["failures"][0]


def test_captured_tables_are_compared_at_the_position_of_their_stream(project, small, place):
    """The target is where its slot is; the backup is older, and the log goes on behind it."""
    with small.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
        admin.execute("CREATE TABLE captured (id int PRIMARY KEY, what text)")
        admin.execute("CREATE PUBLICATION captured FOR TABLE captured")
        admin.execute("INSERT INTO captured SELECT i, 'first ' || i FROM generate_series(1, 500) i")
    prepare(project, small, place, queries=["SELECT count(*) FROM captured"], verify=["captured"],
            connections={"reader": {"type": "postgres", "url": small.url("postgres")}, "warehouse": {"type": "duckdb", "path": "w.duckdb"}},
            pipelines={"captured": {"source": {"connection": "reader", "changes": {"tables": ["public.captured"], "publication": "captured", "slot": "captured", "create": True}},
                                    "target": {"connection": "warehouse", "dataset": "main", "mode": "merge"}}})

    def change(statement: str) -> None:
        with small.admin() as admin:
            admin.execute(statement)

    try:
        project.run("run", "captured", "--drain")
        project.run("backup", "wal", "shop_db", "--drain")
        back_up(project)
        behind = drill(project, expect=3)["compared"][0]  # the backup has ended where the target does not stand yet
        assert behind["error"]["code"] == "not_at_one_position" and "the restored backup ends at" in behind["error"]["message"]

        change("UPDATE captured SET what = 'second' WHERE id % 3 = 0")
        change("DELETE FROM captured WHERE id % 50 = 7")
        project.run("run", "captured", "--drain")
        project.run("backup", "wal", "shop_db", "--drain")  # up to the very place
        bend = "UPDATE main.captured SET what = '{}' WHERE id = 3"
        with duckdb.connect(str(project.folder / "w.duckdb")) as warehouse:
            warehouse.execute(bend.format("bent"))
        failed = drill(project, expect=3)
        assert failed["compared"][0]["tables"][0]["differences"] == {"missing": 0, "extra": 0, "changed": 1}
        assert "pipeline captured differs" in failed["failures"][0]

        with duckdb.connect(str(project.folder / "w.duckdb")) as warehouse:
            warehouse.execute(bend.format("second"))
        change("INSERT INTO captured SELECT i, 'third' FROM generate_series(501, 600) i")
        change("DELETE FROM captured WHERE id % 50 = 8")
        project.run("backup", "wal", "shop_db", "--drain")
        wait_for(lambda: caught_up(project))
        report = drill(project)
        compared, = report["compared"]
        assert compared["equal"] and compared["as_of"] and compared["error"] is None
        assert compared["tables"][0]["read"]["source"]["rows"] == 490 == compared["tables"][0]["read"]["target"]["rows"]
        assert report["queries"][0]["first_value"] == "578", "recovery goes on to the end of the log"
        assert [phase["name"] for phase in report["phases"]] == ["plan", "restore", "wait", "recovery", "compare", "recovery", "queries", "pages", "compare", "stop", "checksums"]
        paused = report["phases"][4]
        assert paused["seconds"] > 0 and report["rto_seconds"] < report["phases"][6]["begin_seconds"] - paused["seconds"] + 0.01
        assert compared["as_of"] in sealed(project, report)

        change("INSERT INTO captured VALUES (1000, 'on its way')")
        project.run("run", "captured", "--drain")  # and nobody keeps the log
        ahead = drill(project, expect=3)["compared"][0]
        assert ahead["error"]["code"] == "not_at_one_position" and "the stored log ends at" in ahead["error"]["message"]
    finally:
        with small.admin() as admin:
            admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'captured'")
            admin.execute("DROP PUBLICATION captured; DROP TABLE captured")


def metrics(project) -> dict[str, float]:
    server = Serving(project)
    try:
        lines = server.get("/metrics").text.splitlines()
    finally:
        server.stop()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def damage(server, change) -> None:
    """Changes the third page of `orders` while the server is stopped."""
    with server.admin() as admin:
        admin.execute("CHECKPOINT")
        file = server.data / admin.execute("SELECT pg_relation_filepath('orders')").fetchone()[0]
    server.stop()
    content = bytearray(file.read_bytes())
    change(memoryview(content)[2 * 8192:3 * 8192])
    file.write_bytes(content)
    server.start()


def misplace(page) -> None:
    page[24] ^= 1  # of the first line pointer: where its row begins


def outdate(page) -> None:
    """A page that changed since the backup began, as it says, is none whose checksum a base backup looks at."""
    page[0:8] = (0).to_bytes(4, "little") + (0xF0000000).to_bytes(4, "little")
    page[5000] ^= 1


@pytest.mark.parametrize("checksums", [False, True], ids=["without checksums", "with checksums"])
def test_a_damaged_page_fails_the_drill_and_is_named(project, place, checksums):
    server = PostgresServer(version=15)
    try:
        with server.admin() as admin:
            admin.execute(f"CREATE ROLE backuper LOGIN REPLICATION PASSWORD '{LOADER_PASSWORD}'")
            fill(admin)
        if checksums:
            server.stop()
            server._tool("pg_checksums", "--enable", "-D", server.data)
            server.start()
        pager = Receiver()
        try:
            prepare(project, server, place, notify={"failure": ["pager"]}, connections={"pager": {"type": "webhook", "url": pager.url}},
                    queries=["SELECT count(*) FROM pg_class"])
            damage(server, outdate if checksums else misplace)
            back_up(project)
            report = drill(project, expect=3)
            fault = report["pages"]["faults"][0]
            assert (fault["database"], fault["relation"], fault["kind"], fault["page"]) == ("postgres", "public.orders", "table", 2)
            assert fault["file"].startswith("base/") and not report["passed"]
            said = "invalid page in block 2" if checksums else "line pointer"
            assert said in fault["what"]
            (news,) = pager.news("/")
            assert news["event"] == "drill_failed" and news["backup"] == "shop_db" and "public.orders" in news["text"] and "page 2" in news["text"]
        finally:
            pager.close()
        if checksums:
            computed = [one for one in report["pages"]["faults"] if "checksum does not hold" in one["what"]]
            assert [(one["relation"], one["page"]) for one in computed] == [("public.orders", 2)]
            assert report["pages"]["checksums_computed"] > 500
        text = project.run("backup", "drill", "shop_db", expect=3, timeout=120).out
        assert "FAILED: table public.orders, database postgres: page 2" in text
        assert "public.orders" in sealed(project, report) and list(place.iterdir()) == []
    finally:
        server.destroy()


def test_what_a_killed_drill_left_goes_with_the_next(project, small, place):
    prepare(project, small, place, queries=["SELECT pg_sleep(60)"])
    back_up(project)
    running = project.start("backup", "drill", "shop_db")
    (folder,) = wait_for(lambda: list(place.glob("penstock-drill-????????????")))
    wait_for(lambda: "database system is ready" in read(folder / "log"))
    pid = int(read(folder / "data/postmaster.pid").split()[0])
    busy = project.run("backup", "drill", "shop_db", expect=1)
    assert "another drill of this backup is under way" in busy.err
    running.signal(signal.SIGKILL)
    running.wait()
    wait_for(lambda: not alive(pid))  # the kernel stops it
    assert (folder / "data").exists()

    prepare(project, small, place)
    assert "which an earlier drill left" in project.run("backup", "drill", "shop_db", "--keep", timeout=120).err
    server = Restored(small, folder / "data")
    try:
        again = project.run("backup", "drill", "shop_db", timeout=120)
        assert f"the server {server._process.pid} is stopped" in again.err and "passed" in again.out
        server._process.wait(10)
    finally:
        server.destroy()
    assert list(place.iterdir()) == []


def test_a_stopped_drill_leaves_nothing(project, small, place):
    prepare(project, small, place, queries=["SELECT pg_sleep(60)"])
    back_up(project)
    running = project.start("backup", "drill", "shop_db")
    (folder,) = wait_for(lambda: list(place.glob("penstock-drill-????????????")))
    wait_for(lambda: "database system is ready" in read(folder / "log"))
    running.signal(signal.SIGTERM)
    assert running.wait().code == 130 and list(place.iterdir()) == []
    assert not (project.lake / "backups/shop/drills").exists()


def test_a_query_that_fails_fails_the_drill(project, small, place):
    home = f"host=127.0.0.1 port={small.port} user=loader dbname=postgres"
    with small.admin() as admin:
        admin.execute("CREATE EXTENSION dblink")
        with pytest.raises(psycopg.Error, match="no password supplied"):
            admin.execute("SELECT one FROM dblink(%s, 'SELECT 1') AS t (one int)", [home])
    queries = ["SELECT count(*) FROM orders", "SELECT * FROM ordres", "DELETE FROM orders"]
    prepare(project, small, place, queries=queries)
    back_up(project)
    report = drill(project, expect=3)
    good, unknown, writing = report["queries"]
    assert good["passed"] and good["first_value"] == "2000"
    assert "ordres" in unknown["error"]["message"] and unknown["error"]["where"].startswith("penstock.yaml:")
    assert "read-only transaction" in writing["error"]["message"] and len(report["failures"]) == 2
    assert report["pages"]["faults"] == []
    # Where the kernel gives a process no network, the restored server finds nobody, whatever it is asked.
    prepare(project, small, place, queries=["SELECT one FROM dblink('" + home + "', 'SELECT 1') AS t (one int)"])
    alone = drill(project, expect=3)
    assert ("no password supplied" in json.dumps(alone["queries"])) == (alone["network"] != "none")


def test_log_that_is_missing_or_an_earlier_time(project, small, place):
    prepare(project, small, place, queries=["SELECT count(*) FROM witness"])
    project.run("backup", "wal", "shop_db", "--drain")
    back_up(project)
    with small.admin() as admin:
        admin.execute("TRUNCATE witness")
        for one in (1, 2, 3):
            admin.execute("INSERT INTO witness VALUES (%s)", [one])
            moment = admin.execute("SELECT clock_timestamp()::text").fetchone()[0] if one == 2 else ""
            earlier = moment or (earlier if one == 3 else "")
            admin.execute("SELECT pg_logical_emit_message(false, 'filling', repeat('x', 9000000))")
    project.run("backup", "wal", "shop_db", "--drain")
    then = drill(project, "--to-time", earlier.replace(" ", "T"))
    assert then["queries"][0]["first_value"] == "2" and then["restored"]["target"] == "time"
    segments = sorted((project.lake / "backups/shop/wal/00000001").iterdir())
    remove = segments[-2]
    for file in remove.iterdir():
        file.unlink()
    failed = drill(project, expect=3)
    assert failed["error"]["code"] == "wal_missing" and failed["rto_seconds"] is None and failed["pages"] is None
    sealed(project, failed)


def status(project, expect=0) -> dict:
    return project.run("backup", "status", "--json", expect=expect).json["backups"][0]


def caught_up(project) -> bool:
    """A server writes a little by itself, so it may be ahead again."""
    project.run("backup", "wal", "shop_db", "--drain")
    rpo = status(project)["rpo"]
    return (rpo["seconds"], rpo["from"]) == (0, "the store has all of the server's log")


def test_status_says_whether_the_goals_hold(project, small, place):
    def goals(**goals):
        prepare(project, small, place)
        written = json.loads((project.folder / "penstock.yaml").read_text())
        written["backups"]["shop_db"] |= goals
        project.write(json.dumps(written))

    goals()
    nothing = status(project)
    assert nothing["rpo"] | nothing["rto"] | {"from": ""} == {"seconds": None, "goal_seconds": None, "holds": None, "from": ""}
    goals(tier="critical")
    assert status(project, expect=3)["rpo"]["holds"] is False and "nothing can be restored" in status(project, expect=3)["rto"]["from"]
    back_up(project)
    fresh = status(project)
    assert fresh["rpo"]["from"] == "since the newest backup ended" and fresh["rpo"]["goal_seconds"] == 300 and "estimate" in fresh["rto"]["from"]
    held, breaks = (datetime.fromisoformat(fresh[name]) for name in ("held_until", "rpo_breaks_at"))
    assert (breaks - held).total_seconds() == 300
    rto = drill(project)["rto_seconds"]
    assert status(project)["rto"]["seconds"] == rto
    goals(rto="1ms", rpo="1h")
    late = status(project, expect=3)
    assert (late["rto"]["holds"], late["rpo"]["holds"]) == (False, True)
    assert "BEYOND" in project.run("backup", "status", "shop_db", expect=3).out

    report = max((project.lake / "backups/shop/drills").glob("*.json"))
    report.write_text(report.read_text().replace('"passed": true', '"passed":  true'))
    assert status(project, expect=3)["rto"]["from"] == "the last drill's report is damaged"


def test_the_example(project, small, place):
    project.environment |= {"SHOP_URL": small.url("postgres", user="backuper"), "BACKUP_KEY": KEY}
    project.write((ROOT / "examples/backup.yaml").read_text())
    project.run("backup", "run", "shop_db", timeout=120)
    assert "passed" in project.run("backup", "drill", "shop_db", timeout=120).out


def read(file) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True).returncode == 0


def wait_for(found):
    until = time.monotonic() + 60
    while not (result := found()):
        assert time.monotonic() < until, "it did not come to that in a minute"
        time.sleep(0.02)
    return result

