"""The kill matrix with BigQuery (the strict stand-in) as target: one project of every kind of run lives through a kill at each
point of it, in its first load and in later ones, and the target is as if nothing had happened."""

import signal
from collections import Counter

import pytest

from support.bigquery import Warehouse
from support.changes import SCHEMA, Workload, assert_mirrored, capture, drop_slots, warehouse_rows
from support.copy_kills import PASSED, CopyKills
from support.shop import INCREMENT, WHOLE, add_orders, make_orders
from test_bigquery import APPEND, HISTORY, MERGE, REPLACE
from test_bigquery_changes import POINTS
from test_kill_matrix import failpoints

ROWS = 300
# Killed there, the rows are committed.
COMMITTED = {"target_commit_after", "source_confirm_before", "state_run_ended_before"}
ONCE = {"source": INCREMENT, "target": MERGE}
SCENARIOS = {
    "merge": ONCE,
    "append": {"source": INCREMENT, "target": APPEND},
    "append-whole": {"source": WHOLE, "target": APPEND},
    "replace": {"source": WHOLE, "target": REPLACE},
    "history": {"source": INCREMENT, "target": HISTORY},
    "evolve": ONCE,
    "storage-write": {"source": INCREMENT, "target": {**MERGE, "publish": "storage_write"}},
}


@pytest.fixture
def warehouse(bigquery):
    made = Warehouse(bigquery)
    yield made
    assert bigquery.stats()["unlimited"] == [], "a query job had no maximumBytesBilled"
    made.client.close()


class Life:
    """A source, the project that follows it, and what its target must hold by the rules of its mode."""

    def __init__(self, name, database, project, warehouse):
        self.name, self.database, self.project, self.warehouse = name, database, project, warehouse
        self.mode = SCENARIOS[name]["target"]["mode"]
        self.columns = ["id", "status"]
        self.expected: Counter = Counter()
        self.steps = 0
        make_orders(database, ROWS)
        project.pipeline(database, dict(SCENARIOS[name]["source"]), dict(SCENARIOS[name]["target"]), retries={"max": 0},
                         connections=warehouse.connection(storage_endpoint=f"http://{warehouse.server.grpc_address}"))

    def change(self) -> None:
        """Rows come, change and, where the mode carries it over, go."""
        self.steps += 1
        if self.name == "evolve" and self.steps % 3 == 0:
            self.columns.append(f"extra{self.steps}")
            self.database.execute(f"ALTER TABLE orders ADD COLUMN extra{self.steps} int DEFAULT {self.steps}")
        self.database.execute("UPDATE orders SET status = %s, updated_at = clock_timestamp() WHERE id %% 7 = %s",
                              [f"step {self.steps}", self.steps % 7])
        if self.mode == "replace":
            self.database.execute("DELETE FROM orders WHERE id = (SELECT min(id) FROM orders)")
        add_orders(self.database, 5)

    def source(self) -> Counter:
        return Counter(self.database.rows(f"SELECT {', '.join(self.columns)} FROM orders"))

    def after(self, before: Counter) -> Counter:
        """What a load makes of `before`."""
        now = self.source()
        if self.mode in ("merge", "replace"):
            return now
        if self.name == "append-whole":
            return before + now
        if self.mode == "append":
            return before + (now - before)
        current = Counter({row[:-1]: count for row, count in before.items() if row[-1]})
        closed = Counter({(*row, False): count for row, count in (current - now).items()})
        old = Counter({row: count for row, count in before.items() if not row[-1]})
        return old + closed + Counter({(*row, True): count for row, count in now.items()})

    def stored(self) -> Counter:
        table = [table for dataset in self.warehouse.client.list_datasets() if dataset.dataset_id == "shop"
                 for table in self.warehouse.client.list_tables("shop") if table.table_id == "orders"]
        if not table:
            return Counter()
        there = {field.name for field in self.warehouse.client.get_table("shop.orders").schema}
        columns = [name for name in self.columns if name in there] + (["_penstock_valid_to IS NULL"] if self.mode == "history" else [])
        return Counter(self.warehouse.rows(f"SELECT {', '.join(columns)} FROM shop.orders"))

    def without_new_columns(self, rows: Counter) -> Counter:
        """As they were before the last change of columns."""
        return Counter() if not rows else Counter({row[:len(self.columns) - 1]: 1 for row in rows})

    def disturb(self, point: str, action: str) -> bool:
        """Whether the run passed the point. A reader sees the old rows or the new ones, and after another run the new ones."""
        new = self.after(self.expected)
        if point == "target_cleanup_before":  # a run before has left something
            self.project.run("run", "p", expect=-signal.SIGKILL, env={"PENSTOCK_FAILPOINT": "target_stage_after=kill"})
        output = self.project.run("run", "p", expect=None, env={"PENSTOCK_FAILPOINT": f"{point}={action}"})
        assert output.code in ((0, -signal.SIGKILL) if action == "kill" else (0, 1)), output
        seen = self.stored()
        committed = seen == new
        assert committed or seen == self.expected or self.name == "evolve" and self.without_new_columns(seen) == self.without_new_columns(self.expected), \
            f"{action} at {point}: {seen.total()} rows are visible, neither the old {self.expected.total()} nor the new {new.total()}"
        assert committed == (output.code == 0 or point in COMMITTED), f"{action} at {point}: committed: {committed}"
        if output.code != 0:
            self.project.load()
            new = self.after(new) if committed else new  # an append of the whole table, asked for twice, comes twice
        stored = self.stored()
        assert stored == new, f"{action} at {point}: {(stored - new).total()} too many, {(new - stored).total()} too few"
        assert not self.warehouse.staging(), f"{action} at {point} leaves staging tables"
        self.expected = new
        return output.code != 0

    def assert_batches_are_single(self) -> None:
        twice = self.warehouse.rows("SELECT `table`, batch, COUNT(*) FROM penstock.pipeline_metadata GROUP BY 1, 2 HAVING COUNT(*) > 1")
        assert not twice, "a batch was committed twice"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_and_run_again(scenario, database, project, warehouse):
    life, passed = Life(scenario, database, project, warehouse), set()
    for point in failpoints():
        if life.disturb(point, "kill"):
            passed.add(point)
        life.change()
    assert passed == set(failpoints())
    life.assert_batches_are_single()


@pytest.mark.parametrize("point", failpoints())
def test_the_first_load_killed(point, database, project, warehouse):
    life = Life("append", database, project, warehouse)
    assert life.disturb(point, "kill")
    assert project.load().counts()[0] <= 1, "the checkpoint is behind the data"
    life.assert_batches_are_single()


@pytest.mark.parametrize("scenario", ["history", "storage-write"])
def test_errors_instead_of_kills(scenario, database, project, warehouse):
    life = Life(scenario, database, project, warehouse)
    for point in failpoints():
        life.disturb(point, "error")
        life.change()
    life.assert_batches_are_single()


# -- change capture ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def shop(database):
    yield database
    drop_slots(database)


TARGET = {"connection": "bq", "dataset": "shop"}


@pytest.mark.parametrize("publish", ["load_job", "storage_write"])
def test_deleted_rows_marked_through_kills(publish, shop, project, warehouse):
    """The mirror that deletes and the history stand in test_bigquery_changes.py; here deletes are marks, and rows have no key."""
    shop.execute(SCHEMA)
    tables = ["customers", "notes", "logs"]
    capture(shop, project, tables=tables, target={**TARGET, "deletes": "soft", "publish": publish}, settings={"array_nulls": "json", "retries": {"max": 0}},
            connections=warehouse.connection(storage_endpoint=f"http://{warehouse.server.grpc_address}"))
    work, died = Workload(shop, 17), set()
    for _ in range(2):
        for point in POINTS:
            if project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{point}=kill"}).code == -signal.SIGKILL:
                died.add(point)
            work.run(3)
        project.load()
        assert_mirrored(shop, warehouse, tables=tables, where="NOT _penstock_deleted", rows=warehouse_rows)
    assert died == set(POINTS)
    assert not warehouse.staging()
    assert not warehouse.rows("SELECT `table`, batch, COUNT(*) FROM penstock.pipeline_metadata GROUP BY 1, 2 HAVING COUNT(*) > 1")


class WarehouseCopyKills(CopyKills):
    """One COPY's rows as a reader of BigQuery sees them."""

    def __init__(self, database, project, rows, warehouse):
        self.warehouse = warehouse
        super().__init__(database, project, rows, target={**TARGET, "commit_every": "0s"}, connections=warehouse.connection())

    def stored(self, query: str) -> list[tuple]:
        datasets = {dataset.dataset_id for dataset in self.warehouse.client.list_datasets()}
        tables = {table.table_id for table in self.warehouse.client.list_tables("shop")} if "shop" in datasets else ()
        return self.warehouse.rows(query.replace("FROM ", "FROM shop.")) if "copied" in tables else []


@pytest.mark.parametrize("kind", PASSED)
def test_rows_of_one_copy_come_whole(shop, project, warehouse, kind):
    done = WarehouseCopyKills(shop, project, 5_000, warehouse).run(kind)
    assert len(done) == len(PASSED[kind]), done
