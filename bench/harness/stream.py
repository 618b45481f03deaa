"""The change streams of the benchmark: a published table, slots that wait at its beginning, and the changes that are made then.

A slot is read once: what was confirmed is gone. So each contestant's slot, standing before the changes, is kept under another name
and copied for each round (pg_copy_logical_replication_slot), and everybody drains the same backlog.
"""

import dataclasses
import time

from .server import BenchError
from .tables import EVENTS, create_sql, events_select

PUBLICATION = "bench"
TABLE = EVENTS.name
# How a transaction of the mixed stream is made: inserts, updates, deletes.
INSERTS, UPDATES, DELETES = 25, 17, 8
CHANGES = INSERTS + UPDATES + DELETES

SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": "40",
    "max_replication_slots": "80",
    "max_wal_size": "32GB",
    "wal_sender_timeout": "60s",
    # Since 15.19 other plugins than PostgreSQL's own are refused unless they are listed.
    "output_plugin_libraries": "pgoutput,wal2json",
}

# Even ids are updated, half of them among the newest 10,000 rows; odd ones are deleted, half of them soon after they came.
# Every statement meets as many rows as it names, so that the number of changes is known.
MIXED = f"""
CREATE PROCEDURE mixed(base bigint, transactions int) LANGUAGE plpgsql AS $$
DECLARE h bigint; last bigint;
BEGIN
  FOR t IN 0..transactions - 1 LOOP
    last := base + t * {INSERTS};
    INSERT INTO {TABLE} {events_select("(last + 1)", f"(last + {INSERTS})")};
    h := hashint8extended(t, 11) & 1152921504606846975;
    UPDATE {TABLE} SET updated_at = updated_at + interval '1 day', amount = (h % 9999999) / 100.0, is_active = NOT is_active,
        properties = jsonb_build_object('page', '/changed/' || (h % 5000), 'device', 'web', 'session', substr(md5(t::text), 1, 12),
                                        'duration_ms', h % 90000, 'tags', jsonb_build_array(h % 7, 'c'))
      WHERE id IN (SELECT 2 * ((h + k * 7919) % (last / 2 - 5000)) + 2 FROM generate_series(1, {UPDATES // 2}) k
                   UNION ALL SELECT 2 * (last / 2 - (h + k * 97) % 5000) FROM generate_series(1, {UPDATES - UPDATES // 2}) k);
    DELETE FROM {TABLE} WHERE id IN (SELECT 2 * (t * {DELETES // 2} + k) + 1 FROM generate_series(0, {DELETES // 2 - 1}) k
                   UNION ALL SELECT CASE WHEN t >= 100 THEN base + (t - 100) * {INSERTS} + 2 * k + 1 + (t % 2)
                                    ELSE base - 2 * (t * 4 + k) - 1 END FROM generate_series(0, {DELETES - DELETES // 2 - 1}) k);
    COMMIT;
  END LOOP;
END $$"""


@dataclasses.dataclass
class Stream:
    """A backlog: its name, the rows there were before, and the SQL that makes it."""
    name: str
    title: str
    base: int
    changes: int
    make: str


def streams(changes, single, short):
    """The mixed stream, one large transaction, and a short stream for those that cannot hold the long one."""
    base = max(changes // 2, 20_000)

    def mixed(name, count, base):
        return Stream(name, f"{count:,} mixed changes in {count // CHANGES:,} transactions", base, count,
                      f"CALL mixed({base}, {count // CHANGES})")

    half, part = single // 2, single // 10
    one = Stream("one", f"one transaction of {single:,} changes", max(single, 20_000), half + 3 * part + 2 * part,
                 f"BEGIN; INSERT INTO {TABLE} {events_select(max(single, 20_000) + 1, max(single, 20_000) + half)}; "
                 f"UPDATE {TABLE} SET updated_at = updated_at + interval '1 day', amount = 1.25 WHERE id % 2 = 0 AND id <= {6 * part}; "
                 f"DELETE FROM {TABLE} WHERE id % 2 = 1 AND id <= {4 * part}; COMMIT")
    return [mixed("mixed", changes, base), one, mixed("short", short, max(short, 20_000))]


class Source:
    """The database of one stream."""

    def __init__(self, server, stream, say):
        self.server = server
        self.stream = stream
        self.database = f"changes_{stream.name}_{stream.changes}"
        self.end = ""
        self.made = []  # inserts, updates, deletes
        self._say = say

    def slot(self, contestant):
        """Slots of a server share one space of names."""
        return f"{contestant.replace('-', '_')}_{self.stream.name}"

    @property
    def url(self):
        return self.server.url(self.database)

    def sql(self, statement):
        return self.server.sql(self.database, statement)

    def make_base(self):
        """The table as it is before the changes, published."""
        self.drop()
        self._say(f"{self.stream.name}: {self.stream.base:,} rows")
        self.server.create_database(self.database)
        self.sql(f"ALTER ROLE bench REPLICATION; {create_sql(EVENTS)}; INSERT INTO {TABLE} {events_select(1, self.stream.base)}; "
                 f"ALTER TABLE {TABLE} ADD PRIMARY KEY (id); ALTER TABLE {TABLE} OWNER TO bench; "
                 f"CREATE PUBLICATION {PUBLICATION} FOR TABLE {TABLE}; ALTER PUBLICATION {PUBLICATION} OWNER TO bench; "
                 f"GRANT CREATE ON DATABASE {self.database} TO bench; {MIXED}")
        self.sql(f"VACUUM (FREEZE, ANALYZE) {TABLE}")

    def make_changes(self):
        """All of them; what the server counted must be what was meant."""
        before, started = self.counted(), time.monotonic()
        self.sql(self.stream.make)
        self.made = made = [after - earlier for earlier, after in zip(before, self.counted())]
        if sum(made) != self.stream.changes:
            raise BenchError(f"{self.stream.name}: {made} inserts, updates and deletes were made instead of {self.stream.changes}")
        self.sql("CHECKPOINT")  # nothing of it is written while others are measured
        self.end = self.sql("SELECT pg_current_wal_lsn()")
        self._say(f"{self.stream.name}: {made[0]:,} inserts, {made[1]:,} updates, {made[2]:,} deletes in {time.monotonic() - started:.0f} s")

    def counted(self):
        self.sql("SELECT pg_stat_force_next_flush()")
        return [int(n) for n in self.sql(f"SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE relname = '{TABLE}'").split("\t")]

    def create_slot(self, name, plugin):
        self.drop_slots(f"^{name}$")
        self.sql(f"SELECT pg_create_logical_replication_slot('{name}', '{plugin}')")

    def keep_slot(self, name):
        """Before the changes: the slot as it stands, for every round."""
        self.drop_slots(f"^{name}_kept$")
        self.sql(f"SELECT pg_copy_logical_replication_slot('{name}', '{name}_kept')")

    def give_slot(self, name):
        self.drop_slots(f"^{name}$")
        self.sql(f"SELECT pg_copy_logical_replication_slot('{name}_kept', '{name}')")

    def drop_slots(self, pattern):
        """Once nobody reads them; a walsender may take a moment to notice that its reader has gone."""
        where = f"FROM pg_replication_slots WHERE slot_name ~ '{pattern}' AND database = '{self.database}'"
        for _ in range(100):
            self.server.sql("postgres", f"SELECT pg_drop_replication_slot(slot_name) {where} AND NOT active")
            if self.server.sql("postgres", f"SELECT count(*) {where}") == "0":
                return
            time.sleep(0.1)
        raise BenchError(f"a slot like {pattern} is still being read")

    def drop(self):
        """This and what an invocation that was killed has left: the server is the benchmark's alone."""
        self.server.sql("postgres", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
        for database in self.server.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'changes%'").split():
            self.server.drop_database(database)
