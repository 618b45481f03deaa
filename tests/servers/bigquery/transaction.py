"""What a statement sees and writes: the latest versions, or those of a multi-statement transaction.

Page "Multi-statement transactions": snapshot isolation; a transaction's own changes are visible to its later statements; "If a transaction
mutates (update or deletes) rows in a table, then other transactions or DML statements that mutate rows in the same table cannot run
concurrently. Conflicting transactions are cancelled. Conflicting DML statements that run outside of a transaction are queued"; reading and
appending conflict with nothing.
"""

import time
import uuid
from dataclasses import replace

from .errors import bad_query, not_found
from .store import Segment, Store, Table, Version

QUEUE_SECONDS = 60


class Latest:
    """Outside of a transaction: each statement commits by itself."""

    def __init__(self, store: Store):
        self.store = store

    def version(self, table: Table) -> Version:
        return table.latest

    def append(self, table: Table, segment: Segment) -> None:
        self.store.append(table, [segment])

    def mutate(self, cursor, table: Table, work):
        """`work(version)` gives (segment or None, result): the table's whole new content. Mutations of one table queue up."""
        owner = uuid.uuid4().hex
        end = time.monotonic() + QUEUE_SECONDS
        while True:
            with self.store.lock:
                if self.store.writers.setdefault(table.id, owner) == owner:
                    break
            # DML page, "DML statement conflicts".
            if time.monotonic() > end:
                raise bad_query(f"Could not serialize access to table {table.full()} due to concurrent update")
            time.sleep(0.01)
        try:
            base = table.latest
            segment, result = work(base)
            if segment is not None:
                with self.store.lock:
                    publish(self.store, table, base, (segment,))
            return result
        finally:
            with self.store.lock:
                self.store.writers.pop(table.id, None)


def added_since(base: Version, latest: Version) -> tuple[Segment, ...]:
    known = {segment.name: segment for segment in base.segments}
    added = []
    for segment in latest.segments:
        old = known.get(segment.name)
        if old is None:
            added.append(segment)
        elif segment.high > old.high:
            added.append(replace(segment, low=old.high))
    return tuple(added)


def publish(store: Store, table: Table, base: Version, segments) -> None:
    """New content made from `base`, and what others appended meanwhile."""
    latest = table.latest
    segments = tuple(segment for segment in segments if segment.high > segment.low)
    store.publish(table, replace(latest, segments=segments + added_since(base, latest), mutation=latest.mutation + 1))


class Transaction:
    def __init__(self, store: Store):
        self.store = store
        self.id = uuid.uuid4().hex
        self.started = time.time()
        self.bases: dict[str, Version] = {}
        self.tables: dict[str, Table] = {}
        self.own: dict[str, Version] = {}
        self.mutated: set[str] = set()
        self.appended: dict[str, list[Segment]] = {}
        with store.lock:
            for dataset in store.datasets.values():
                for table in dataset.tables.values():
                    self.bases[table.id] = table.latest

    def _conflict(self, table: Table, other: str) -> Exception:
        return bad_query(f"Transaction is aborted due to concurrent update against table {table.full()}. Transaction ID: {other}")

    def version(self, table: Table) -> Version:
        if table.id not in self.bases:
            self.bases[table.id] = table.latest  # made after the snapshot, by this transaction or another
        return self.own.get(table.id, self.bases[table.id])

    def append(self, table: Table, segment: Segment) -> None:
        version = self.version(table)
        self.tables[table.id] = table
        if segment.high > segment.low:
            self.own[table.id] = replace(version, segments=version.segments + (segment,))
            self.appended.setdefault(table.id, []).append(segment)

    def mutate(self, cursor, table: Table, work):
        base = self.version(table)
        with self.store.lock:
            holder = self.store.writers.setdefault(table.id, self.id)
            if holder != self.id or table.latest.mutation != self.bases[table.id].mutation:
                if holder == self.id:
                    self.store.writers.pop(table.id)
                raise self._conflict(table, holder if holder != self.id else uuid.uuid4().hex)
        self.tables[table.id] = table
        segment, result = work(base)
        self.mutated.add(table.id)
        if segment is not None:
            segments = (segment,) if segment.high > segment.low else ()
            self.own[table.id] = replace(base, segments=segments, mutation=base.mutation + 1)
        return result

    def commit(self) -> None:
        with self.store.lock:
            for key, table in self.tables.items():
                if not self.store.alive(table):
                    raise not_found("Table", table.full())
                if key in self.mutated and table.latest.mutation != self.bases[key].mutation:
                    raise self._conflict(table, uuid.uuid4().hex)
            for key, table in self.tables.items():
                if key not in self.own:
                    continue
                if key in self.mutated:
                    publish(self.store, table, self.bases[key], self.own[key].segments)
                else:
                    self.store.append(table, self.appended.get(key, ()))
        self.release()

    def release(self) -> None:
        with self.store.lock:
            for key in [key for key, owner in self.store.writers.items() if owner == self.id]:
                self.store.writers.pop(key)
