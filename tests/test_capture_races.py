"""Tables that change at an awkward moment of a run of changes."""

import signal
import time

import pytest

from support.changes import assert_mirrored, capture, drop_slots

PLANNED = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename <> 'postgres'"
           " AND state = 'idle' AND state_change < clock_timestamp() - interval '200 ms'")


@pytest.fixture
def shop(database):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, name text, v int); INSERT INTO t SELECT i, 'n' || i, 0 FROM generate_series(1, 50) i")
    yield database
    drop_slots(database)


@pytest.mark.parametrize("change", ["RENAME COLUMN name TO title", "DROP COLUMN name"])
def test_a_column_goes_between_the_look_at_a_table_and_at_the_publication(shop, project, change):
    """It was said to be left out of the publication, and the run ended."""
    capture(shop, project, ["t"])
    project.load()
    shop.execute("UPDATE t SET v = 1 WHERE id < 9")
    running = project.start("run", "--all", "--output", "json", env={"PENSTOCK_FAILPOINT": "target_open_after=delay"})
    deadline = time.monotonic() + 30
    while not shop.value(PLANNED):
        assert running.process.poll() is None and time.monotonic() < deadline, running.wait(10)
    running.signal(signal.SIGSTOP)
    shop.execute(f"ALTER TABLE t {change}; UPDATE t SET v = 2 WHERE id < 5")
    running.signal(signal.SIGCONT)
    output = running.wait(60)
    assert output.code == 0, output
    project.load()
    assert_mirrored(shop, project, ["t"])
