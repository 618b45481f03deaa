"""Increments run while a dozen sessions insert, update and dawdle; when they have stopped, one more increment must make
source and target equal, row by row. The classic loss: a row stamped early and committed late."""

import random
import threading
import time

import pytest

from support.shop import APPEND, HISTORY, LAKE_APPEND, LAKE_MERGE, MERGE, assert_equal_rows, make_orders, source_rows, stored_rows, target_rows

SECONDS = 8


class Writers:
    """`updated_at = now()` is the start of the transaction: the longer it is held open, the older its rows look."""

    def __init__(self, database, updates: bool, threads: int = 6):
        self._database = database
        self._updates = updates
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._guarded, args=(number,)) for number in range(threads)]
        self.committed = 0

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self._failures, self._failures

    def _guarded(self, number: int):
        try:
            with self._database.connect() as session:
                session.autocommit = False
                self._write(session, random.Random(number))
        except BaseException as failure:
            self._failures.append(failure)

    def _write(self, session, chance: random.Random):
        while not self._stop.is_set():
            session.execute("INSERT INTO orders (customer, amount, status, updated_at)"
                            " SELECT 'c' || i, i, 'new', now() FROM generate_series(1, %s) i", [chance.randint(1, 20)])
            if self._updates:
                # ordered, so that writers do not deadlock
                session.execute("WITH chosen AS (SELECT id FROM orders WHERE id %% 211 = %s ORDER BY id FOR UPDATE)"
                                " UPDATE orders SET status = %s, amount = amount + 1, updated_at = now() FROM chosen"
                                " WHERE orders.id = chosen.id", [chance.randrange(211), f"s{chance.random()}"])
            if chance.random() < 0.15:
                time.sleep(chance.uniform(0.3, 2.5))  # others overtake
            if chance.random() < 0.05:
                session.rollback()
            else:
                session.commit()
                self.committed += 1


def test_the_writers_do_commit_out_of_order(database):
    """Without this the tests below would prove nothing: some rows must appear below a maximum that was already seen."""
    make_orders(database, 100)
    late = 0
    with Writers(database, updates=False):
        seen, high = set(), None
        end = time.monotonic() + 4
        while time.monotonic() < end:
            rows = database.rows("SELECT id, updated_at FROM orders")
            late += sum(1 for row in rows if row[0] not in seen and high and row[1] < high)
            seen.update(row[0] for row in rows)
            high = max(row[1] for row in rows)
            time.sleep(0.2)
    assert late > 0


@pytest.mark.parametrize("target, cursor, updates", [
    (MERGE, "updated_at", True),
    (HISTORY, "updated_at", True),
    (APPEND, "updated_at", False),
    (LAKE_APPEND, "updated_at", False),
    (LAKE_MERGE, "updated_at", True),
    (MERGE, "id", False),
    (LAKE_APPEND, "id", False),
], ids=["merge", "history", "append", "parquet", "parquet-merge", "merge-by-serial", "parquet-by-serial"])
def test_increments_under_load_lose_and_double_nothing(target, cursor, updates, database, project):
    make_orders(database, 2000)
    project.pipeline(database, {"table": "public.orders", "cursor": cursor}, dict(target))
    runs = read = 0
    with Writers(database, updates) as writers:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            read += project.load().counts()[0]
            runs += 1
            time.sleep(0.1)
    read += project.load().counts()[0]
    assert runs >= 3 and writers.committed > 20
    assert_equal_rows(source_rows(database), stored_rows(project, target))
    assert project.load().counts()[0] == 0, "after the last writer there is nothing left to read"


def test_a_transaction_open_for_the_whole_time(database, project):
    """Held open across many runs; its rows are neither lost, nor is everything since then read again for ever after."""
    make_orders(database, 1000)
    project.pipeline(database, {"table": "public.orders", "cursor": "updated_at"}, dict(MERGE))
    with database.connect() as holder:
        holder.autocommit = False
        holder.execute("INSERT INTO orders (customer, updated_at) VALUES ('held', now())")
        for _ in range(4):
            database.execute("INSERT INTO orders (customer, updated_at) SELECT 'quick', now() FROM generate_series(1, 10)")
            project.load()
        holder.commit()
    project.load()
    assert_equal_rows(source_rows(database), target_rows(project))
    assert project.load().counts()[0] == 0
