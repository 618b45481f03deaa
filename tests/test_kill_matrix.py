"""Kill the program at every failpoint of every kind of run; start it again; the targets must be as if nothing happened."""

import resource
import shutil
import signal
import subprocess
from dataclasses import dataclass

import pytest

from support.postgres import Database
from support.program import BINARY, Project
from support.shop import (HISTORY, INCREMENT, LAKE_APPEND, LAKE_HISTORY, LAKE_MERGE, LAKE_REPLACE, MERGE, REPLACE, WHOLE, add_orders,
                          assert_equal_rows, lake_rows, make_orders, source_rows, stored_rows, target_rows)

ROWS = 12000  # several blocks for several readers, so that points inside the reading are reached more than once


@dataclass
class Scenario:
    """A run to be disturbed: its pipeline, and whether another run went before it."""

    name: str
    source: dict
    target: dict
    before: bool = False  # a first load of state A; the disturbed run then carries over state B

    @property
    def in_lake(self) -> bool:
        return "format" in self.target


SCENARIOS = {scenario.name: scenario for scenario in [
    Scenario("duckdb-full", INCREMENT, MERGE),
    Scenario("duckdb-append", WHOLE, {**MERGE, "mode": "append"}),
    Scenario("duckdb-increment", INCREMENT, MERGE, before=True),
    Scenario("duckdb-replace", WHOLE, REPLACE, before=True),
    Scenario("duckdb-history", INCREMENT, HISTORY, before=True),
    Scenario("duckdb-evolve", INCREMENT, MERGE, before=True),
    Scenario("parquet-full", INCREMENT, LAKE_APPEND),
    Scenario("parquet-increment", INCREMENT, LAKE_APPEND, before=True),
    Scenario("parquet-merge", INCREMENT, LAKE_MERGE, before=True),
    Scenario("parquet-history", INCREMENT, LAKE_HISTORY, before=True),
    Scenario("parquet-replace", WHOLE, LAKE_REPLACE, before=True),
]}

# Failpoints that a plain run does not pass, each with the reason. An entry that is reached after all fails.
NOT_IN_A_RUN: dict[str, str] = {}


def failpoints() -> list[str]:
    """Those that a load of tables passes; the others have matrices of their own: streams in test_changes.py and
    src/transform/archive/recover_test.cc, backups in test_backup.py and test_backup_wal.py."""
    if not BINARY.exists():
        return []
    listed = subprocess.run([BINARY, "failpoints"], capture_output=True, text=True, timeout=30)
    assert listed.returncode == 0, listed.stderr
    names = [line.split()[0] for line in listed.stdout.splitlines() if line.strip()]
    return [name for name in names if not name.startswith(("slot_", "changes_", "bus_", "archive_", "backup_", "restore_", "wal_", "prune_"))]


@pytest.fixture(scope="module")
def disturbed(server, tmp_path_factory):
    """Per scenario: a database in state B, a folder that saw state A, and what an undisturbed run makes of it."""
    prepared, databases = {}, []

    def prepare(name: str):
        if name not in prepared:
            scenario = SCENARIOS[name]
            database = Database(server, f"kill_{name.replace('-', '_')}_{tmp_path_factory.getbasetemp().parent.name}_"
                                        f"{tmp_path_factory.getbasetemp().name}".replace("-", "_")[:60])
            databases.append(database)
            make_orders(database, ROWS if not scenario.before else ROWS // 2)
            baseline = Project(tmp_path_factory.mktemp(name))
            baseline.pipeline(database, dict(scenario.source), dict(scenario.target), retries={"max": 0})
            if scenario.before:
                baseline.load()
                if name == "duckdb-evolve":
                    database.execute("ALTER TABLE orders ADD COLUMN extra int DEFAULT 5")
                database.execute("UPDATE orders SET status = 'changed', amount = -amount, updated_at = clock_timestamp()"
                                 " WHERE id % 3 = 0")
                add_orders(database, ROWS // 2)
            undisturbed = copy_of(baseline, tmp_path_factory.mktemp(name + "-undisturbed"))
            undisturbed.load()
            prepared[name] = (baseline, contents(undisturbed, scenario), database)
            check_undisturbed(scenario, database, undisturbed)
        return prepared[name]

    yield prepare
    for database in databases:
        database.drop()


def copy_of(project: Project, folder) -> Project:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(project.folder, folder, symlinks=True)
    copy = Project(folder)
    copy.environment["SHOP_URL"] = project.environment["SHOP_URL"]
    return copy


def check_undisturbed(scenario: Scenario, database, project: Project) -> None:
    """The yardstick itself is right."""
    stored = stored_rows(project, scenario.target)
    if scenario.target["mode"] == "append" and scenario.before:
        assert len(stored) == ROWS + ROWS // 6  # an append has the changed rows in both versions
        current = set(source_rows(database))
        stored = [row for row in stored if row in current]
    assert_equal_rows(source_rows(database), stored)


def contents(project: Project, scenario: Scenario) -> list[tuple]:
    """All that a user sees of the target: for a history also which versions are closed."""
    versions = "SELECT id, status, _penstock_valid_to IS NULL FROM {} ORDER BY 1, 2, 3"
    history = scenario.target["mode"] == "history"
    if scenario.in_lake:
        return lake_rows(project) + (project.parquet("orders", versions.format("data")) if history else [])
    rows = target_rows(project) + (project.duck(versions.format("shop.orders")) if history else [])
    if scenario.name == "duckdb-evolve":
        rows = rows + project.duck("SELECT id, extra FROM shop.orders ORDER BY 1, 2")
    return rows


def assert_as_undisturbed(project: Project, scenario: Scenario, expected: list[tuple]) -> None:
    assert_equal_rows(expected, contents(project, scenario))
    assert not project.staging_left()
    assert_only_known_files(project)
    committed = committed_runs(project, scenario)
    assert len(committed) == len(set(committed)), f"a run committed twice: {committed}"
    assert project.load().counts()[0] == 0 or not scenario.source.get("cursor"), "the checkpoint is behind the data"


def committed_runs(project: Project, scenario: Scenario) -> list[tuple]:
    if scenario.in_lake:
        return []
    return project.duck('SELECT run_id, batch, "table" FROM penstock.pipeline_metadata')


def assert_only_known_files(project: Project) -> None:
    """Beside the configuration: the warehouse, the lake's data and bookkeeping, the state, nothing else."""
    strays = []
    for path in project.folder.rglob("*"):
        top = path.relative_to(project.folder).parts[0]
        if top not in ("penstock.yaml", "warehouse.duckdb", "lake", ".penstock"):
            strays.append(path)
        elif top == "lake" and path.is_file() and path.suffix != ".parquet" and "_penstock" not in path.parts:
            strays.append(path)
    assert not strays, f"left behind: {strays}"


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("failpoint", failpoints())
def test_killed_and_run_again(failpoint, scenario, disturbed, tmp_path):
    baseline, expected, _ = disturbed(scenario)
    project = copy_of(baseline, tmp_path / "project")
    output = project.run("run", "p", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
    assert output.code in (0, -signal.SIGKILL), output
    if output.code == 0:
        assert_as_undisturbed(project, SCENARIOS[scenario], expected)  # this kind of run does not pass the point
        return
    assert_visible_state_is_whole(project, SCENARIOS[scenario], baseline, expected)
    project.load()
    if scenario != "duckdb-append" or failpoint in UNCOMMITTED:
        assert_as_undisturbed(project, SCENARIOS[scenario], expected)


# An append without a cursor repeats what was committed when it is run again: that is what its author asked for.
UNCOMMITTED = {name for name in failpoints() if name.endswith("_before") or "stage" in name or "source" in name or "merge" in name
               } - {"target_cleanup_before", "state_run_ended_before", "source_confirm_before"}


def assert_visible_state_is_whole(project: Project, scenario: Scenario, baseline: Project, expected: list[tuple]) -> None:
    """After the kill, before the rerun: a reader sees the old contents or the new ones (I8)."""
    if scenario.in_lake:
        old = contents(baseline, scenario)
        seen = contents(project, scenario)
        assert seen in (old, expected), f"{len(seen)} rows are visible: neither the old {len(old)} nor the new {len(expected)}"
    elif project.warehouse.exists() and scenario.before:
        seen = contents_or_old_shape(project, scenario)
        assert seen in (contents_or_old_shape(baseline, scenario), expected)


def contents_or_old_shape(project: Project, scenario: Scenario) -> list[tuple]:
    evolved = project.duck("SELECT 1 FROM duckdb_columns() WHERE table_name = 'orders' AND column_name = 'extra'")
    if scenario.name == "duckdb-evolve" and not evolved:
        return target_rows(project)
    return contents(project, scenario)


@pytest.mark.parametrize("failpoint", failpoints())
def test_every_failpoint_is_reached(failpoint, disturbed, tmp_path):
    """A point that no scenario passes proves nothing: it is listed with its reason, or it is an error."""
    reached = False
    for number, name in enumerate(SCENARIOS):
        baseline, _, _ = disturbed(name)
        project = copy_of(baseline, tmp_path / str(number))
        if project.run("run", "p", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"}).code == -signal.SIGKILL:
            reached = True
            break
    assert reached == (failpoint not in NOT_IN_A_RUN), NOT_IN_A_RUN.get(failpoint, "no scenario passes this failpoint")


@pytest.mark.parametrize("scenario", ["duckdb-increment", "duckdb-history", "parquet-replace", "parquet-increment"])
@pytest.mark.parametrize("failpoint", failpoints())
def test_errors_at_failpoints_are_retried_within_the_run(failpoint, scenario, disturbed, tmp_path):
    """The same points with an error instead of a kill: the run fails cleanly, and the next one repairs."""
    baseline, expected, _ = disturbed(scenario)
    project = copy_of(baseline, tmp_path / "project")
    output = project.run("run", "p", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=error"})
    assert output.code in (0, 1), output
    project.load()
    assert_as_undisturbed(project, SCENARIOS[scenario], expected)


@pytest.mark.parametrize("scenario", ["duckdb-full", "parquet-full"])
def test_killed_again_and_again(scenario, disturbed, tmp_path):
    """One folder lives through a kill at every point in turn."""
    baseline, expected, _ = disturbed(scenario)
    project = copy_of(baseline, tmp_path / "project")
    for failpoint in failpoints():
        project.run("run", "p", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}=kill"})
    project.load()
    assert_as_undisturbed(project, SCENARIOS[scenario], expected)


# -- the disk is full -------------------------------------------------------------------------------------------------------
@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few megabytes where mounting is allowed; else None, and a limit on file sizes stands in."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True).returncode == 0
    yield folder, mounted
    if mounted:
        subprocess.run(["umount", folder], check=True)


def limit_file_size():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * 2**20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.mark.parametrize("target", ["duckdb", "parquet"])
def test_a_full_disk_is_said_and_survived(target, database, project, small_disk):
    folder, mounted = small_disk
    make_orders(database, 100)
    connections = {"warehouse": {"type": "duckdb", "path": str(folder / "warehouse.duckdb")},
                   "lake": {"type": "files", "url": f"file://{folder}/lake"}}
    where = MERGE if target == "duckdb" else LAKE_APPEND
    project.pipeline(database, INCREMENT, dict(where), connections=connections, retries={"max": 0})
    project.load()
    before = source_rows(database)
    database.execute("INSERT INTO orders (customer) SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 300) i,"
                     " generate_series(1, 3000) j GROUP BY j")
    report = project.load(expect=1, prepare=None if mounted else limit_file_size, timeout=120)
    text = str(report.error)
    assert any(word in text.lower() for word in ("disk", "space", "too large")), text
    assert str(folder) in text or "warehouse" in text or "lake" in text
    stored_at = Project(folder)  # reads warehouse.duckdb and lake/ where they are
    stored = target_rows(stored_at) if target == "duckdb" else lake_rows(stored_at)
    assert_equal_rows(before, stored)
    assert not stored_at.staging_left()
    database.execute("DELETE FROM orders WHERE length(customer) > 1000")
    add_orders(database, 10)
    project.load()
    stored = target_rows(stored_at) if target == "duckdb" else lake_rows(stored_at)
    assert_equal_rows(source_rows(database), stored)


# -- the warehouse is somebody else's ---------------------------------------------------------------------------------------
def test_a_locked_warehouse_is_refused_and_untouched(database, project):
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, MERGE, retries={"max": 1, "delay": "100ms"})
    project.load()
    add_orders(database, 10)
    holder = subprocess.Popen(
        ["python3", "-c", "import fcntl, sys, time; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX);"
                          "print('held', flush=True); time.sleep(60)", str(project.warehouse)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        text = str(project.load(expect=1).error)
        assert "warehouse.duckdb" in text and "lock" in text and str(holder.pid) in text, text
    finally:
        holder.kill()
        holder.wait()
    project.load()
    assert_equal_rows(source_rows(database), target_rows(project))
