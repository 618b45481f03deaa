"""One COPY, killed on its way into the target: in the snapshot, where snapshot and stream meet, in a drain and while following."""

import signal
import time

from .changes import capture

READING = ("target_stage_before", "source_read_during", "target_stage_after", "target_merge_after", "target_commit_before")
COMMITTED = ("target_commit_after", "source_confirm_before")

# The points that each kind of run passes, in an order in which each can still be reached.
PASSED = {
    "snapshot": ("source_connect_before", "target_open_after", "slot_create_before", "slot_create_after", "source_snapshot_after",
                 "target_schema_before", *READING, *COMMITTED),
    "handoff": ("source_connect_before", "target_open_after", "source_snapshot_after", "target_schema_before", *READING,
                "target_commit_after", "changes_stream_before", "changes_receive_after", "source_confirm_before"),
    "drain": ("source_connect_before", "target_open_after", "changes_stream_before", "changes_receive_after", "target_schema_before",
              *READING, *COMMITTED),
    "follow": ("changes_receive_after", *READING, *COMMITTED),
}


class CopyKills:
    """Rows of one COPY have one commit position. A reader of the target sees none of them or all, whenever the run is killed."""

    def __init__(self, database, project, rows, **options):
        self.database, self.project, self.rows = database, project, rows
        self.copied = self.copies = 0
        database.execute("CREATE TABLE copied (id bigint PRIMARY KEY, line text, v int); CREATE TABLE beside (id int PRIMARY KEY)")
        capture(database, project, ["copied", "beside"], **options)

    def run(self, kind, visits=()) -> list[str]:
        """What was done, a line a kill; whatever differs is an error. `visits` of source_read_during besides the middle one."""
        done = []
        if kind == "handoff":
            assert self.dies(self.start("slot_create_after"))
        if kind in ("drain", "follow"):
            self.project.load()
        else:
            self.copy()
        for point in PASSED[kind]:
            for visit in sorted({*visits, self.rows // 4096}) if point == "source_read_during" else (1,):
                done.append(f"{kind}: {self.kill(kind, point, visit)}")
        self.project.load(timeout=900)
        self.assert_equal()
        return done

    def kill(self, kind, point, visit) -> str:
        """A new COPY, where the one before has arrived. In a snapshot there is one only."""
        arrived = self.seen() == self.copied
        before = self.copied if arrived else self.copied - self.rows
        if kind == "follow":
            self.project.load(timeout=900)  # catches up first
            before, running = self.copied, self.start(point, visit, "--follow")
            self.wait_for_stream(running)
        if kind == "follow" or arrived and kind != "snapshot":
            self.copy()
        died = self.dies(running if kind == "follow" else self.start(point, visit))
        seen = self.seen()
        assert died, f"{point}@{visit} was not reached"
        allowed = (before, self.copied) if point in (*COMMITTED, "changes_receive_after") else (before,)
        assert seen in allowed, f"killed at {point}@{visit}: {seen} rows are visible, of {before} or {self.copied}"
        return f"killed at {point}@{visit}: {seen} of {self.copied} rows visible"

    def copy(self):
        """And a row of another table in the same transaction."""
        last = self.copied + self.rows
        with self.database.connect() as session:
            session.autocommit = False
            with session.cursor().copy("COPY copied FROM STDIN") as copy:
                for first in range(self.copied, last, 5000):
                    copy.write("".join(f"{i}\tline {i} of a COPY\t{i % 7}\n" for i in range(first, min(first + 5000, last))))
            session.execute("INSERT INTO beside VALUES (%s)", [self.copies])
            session.commit()
        self.copied, self.copies = last, self.copies + 1

    def start(self, point, visit=1, *arguments):
        return self.project.start("run", "--all", *arguments, env={"PENSTOCK_FAILPOINT": f"{point}@{visit}=kill"})

    def dies(self, running) -> bool:
        output = running.wait(600)
        assert output.code in (0, -signal.SIGKILL), output
        return output.code == -signal.SIGKILL

    def wait_for_stream(self, running):
        deadline = time.monotonic() + 30
        while not self.database.value("SELECT count(*) FROM pg_stat_replication WHERE application_name LIKE 'penstock%%'"):
            assert time.monotonic() < deadline and running.process.poll() is None, running.wait(10)
            time.sleep(0.02)

    def seen(self) -> int:
        return sum(count for (count,) in self.stored("SELECT count(*) FROM copied"))

    def stored(self, query: str) -> list[tuple]:
        """Of the tables in the target; nothing as long as they are not there."""
        if not self.project.warehouse.exists() or not self.project.duck("SELECT 1 FROM duckdb_tables() WHERE table_name = 'copied'"):
            return []
        return self.project.duck(query)

    def assert_equal(self):
        for first in range(0, self.copied, 250_000):
            query = f"SELECT id, line, v FROM copied WHERE id >= {first} AND id < {first + 250_000} ORDER BY id"
            assert self.database.rows(query) == self.stored(query), f"differs from {first} on"
        assert self.seen() == self.copied == self.database.value("SELECT count(*) FROM copied")
        assert self.stored("SELECT id FROM beside ORDER BY 1") == [(i,) for i in range(self.copies)]
