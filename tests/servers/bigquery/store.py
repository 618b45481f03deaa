"""Datasets, tables and their versions.

A table's version is an immutable list of slices of DuckDB tables ("segments"). A write makes a new version; the old ones stay, which
is what snapshot isolation and time travel read. Appends lengthen or add a segment; everything else writes a new one.
"""

import itertools
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field, replace

import duckdb

from .errors import ApiError, duplicate, not_found
from .schema import Field, find, quoted

OPEN_ROWS = 200_000  # a segment of appends is lengthened up to this


@dataclass(frozen=True)
class Segment:
    name: str
    fields: tuple[Field, ...]
    low: int
    high: int
    aliases: tuple = ()  # (today's name in lower case, the name it was written by): columns renamed since
    hidden: frozenset = frozenset()  # names that no longer mean what was written

    def written(self, name: str) -> Field | None:
        """The column as this segment has it."""
        other = dict(self.aliases).get(name.lower())
        if other is not None:
            return find(self.fields, other)
        return None if name.lower() in self.hidden else find(self.fields, name)


@dataclass(frozen=True)
class Version:
    at: float
    fields: tuple[Field, ...]
    segments: tuple[Segment, ...] = ()
    mutation: int = 0  # counts what was not an append

    @property
    def rows(self) -> int:
        return sum(segment.high - segment.low for segment in self.segments)

    def select(self, fields=None) -> str:
        """The rows in DuckDB's SQL."""
        fields = fields or self.fields
        parts = [f"SELECT {', '.join(column(field, segment.written(field.name)) for field in fields)} FROM {segment.name}"
                 f" WHERE rowid >= {segment.low} AND rowid < {segment.high}" for segment in self.segments]
        if not parts:
            return f"SELECT {', '.join(f'CAST(NULL AS {field.duck()}) AS {quoted(field.name)}' for field in fields)} WHERE FALSE"
        return " UNION ALL ".join(parts)


def column(field: Field, old: Field | None) -> str:
    """A column of a segment in today's type; what was added since is NULL, or empty where it repeats."""
    if old is None:
        return f"{'[]' if field.repeated else 'NULL'}::{field.duck()} AS {quoted(field.name)}"
    name = quoted(old.name)
    if old.duck() != field.duck():
        name = cast(name, old, field)
    return f"{name} AS {quoted(field.name)}"


def cast(expression: str, old: Field, new: Field) -> str:
    if new.type == "BIGNUMERIC" and old.type != "BIGNUMERIC":
        return f"bignumeric(CAST({expression} AS VARCHAR))"
    if old.type == "BIGNUMERIC" and new.type == "FLOAT":
        return f"CAST(bignumeric_text({expression}) AS DOUBLE)"
    return f"CAST({expression} AS {new.duck()})"


@dataclass
class Table:
    project: str
    dataset: str
    name: str
    meta: dict  # what REST keeps beside schema: description, labels, timePartitioning, rangePartitioning, clustering, tableConstraints, …
    versions: list[Version]
    created: float = field(default_factory=time.time)
    modified: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    visible_at: float = 0  # metadata lag: when streaming calls first see the table
    kind: str = "TABLE"
    view: str | None = None
    hidden: bool = False
    captured: bool = False  # took upserts through the Storage Write API
    sequences: dict = field(default_factory=dict)  # key -> the highest change sequence number

    @property
    def latest(self) -> Version:
        return self.versions[-1]

    @property
    def key(self) -> tuple:
        return self.project, self.dataset, self.name

    def full(self) -> str:
        return f"{self.project}:{self.dataset}.{self.name}"

    def at(self, moment: float) -> Version:
        """Time travel page: the version at that time."""
        found = [version for version in self.versions if version.at <= moment]
        if not found:
            raise ApiError("invalidQuery", f"Invalid snapshot time {int(moment * 1000)} for table {self.full()}. Cannot read before {int(self.created * 1000)}",
                           "query")
        return found[-1]

    def etag(self) -> str:
        return f"{self.id[:12]}{int(self.modified * 1e6):x}"


@dataclass
class Dataset:
    project: str
    name: str
    meta: dict
    created: float = field(default_factory=time.time)
    modified: float = field(default_factory=time.time)
    tables: dict[str, Table] = field(default_factory=dict)
    deleted: dict[str, Table] = field(default_factory=dict)

    @property
    def location(self) -> str:
        return self.meta.get("location", "US")

    def etag(self) -> str:
        return f"{int(self.created * 1e6):x}{int(self.modified * 1e6):x}"


class Store:
    def __init__(self):
        self.lock = threading.RLock()
        self._names = itertools.count()
        self._duck = duckdb.connect()
        self._spill = tempfile.TemporaryDirectory(prefix="penstock-bigquery-")
        self._duck.execute(f"SET TimeZone='UTC'; SET threads=2; SET memory_limit='3GB'; SET temp_directory='{self._spill.name}'")
        from .functions import define

        define(self._duck)
        self.datasets: dict[tuple, Dataset] = {}
        self._open: dict[str, int] = {}  # segments that may be lengthened, and how long they are
        self.writers: dict[str, str] = {}  # table id -> transaction that mutates it

    def reset(self) -> None:
        with self.lock:
            self.datasets.clear()
            self.writers.clear()
            self._open.clear()
            for (name,) in self._duck.execute("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'seg%'").fetchall():
                self._duck.execute(f"DROP TABLE {name}")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        with self.lock:
            cursor = self._duck.cursor()
        cursor.execute("SET TimeZone='UTC'; SET python_enable_replacements=false")
        return cursor

    def fresh(self) -> str:
        return f"seg{next(self._names)}"

    # -- datasets ------------------------------------------------------------------------------------------------
    def dataset(self, project: str, name: str, location: str | None = None) -> Dataset:
        found = self.datasets.get((project, name))
        if found is None:
            raise not_found("Dataset", f"{project}:{name}")
        # Locations page: a job runs in one location and sees no datasets of others.
        if location and found.location.upper() != location.upper():
            raise not_found("Dataset", f"{project}:{name}", f" was not found in location {location}")
        return found

    def add_dataset(self, project: str, name: str, meta: dict) -> Dataset:
        with self.lock:
            if (project, name) in self.datasets:
                raise duplicate("Dataset", f"{project}:{name}")
            made = self.datasets[project, name] = Dataset(project, name, meta)
            return made

    # -- tables --------------------------------------------------------------------------------------------------
    def table(self, project: str, dataset: str, name: str, location: str | None = None) -> Table:
        found = self.dataset(project, dataset, location).tables.get(name)
        if found is not None and found.meta.get("expirationTime") and int(found.meta["expirationTime"]) < time.time() * 1000:
            self.drop(found)
            found = None
        if found is None:
            raise not_found("Table", f"{project}:{dataset}.{name}", f" was not found in location {location}" if location else "")
        return found

    def add_table(self, project: str, dataset: str, name: str, fields, meta: dict, segments=(), **more) -> Table:
        with self.lock:
            home = self.dataset(project, dataset)
            if name in home.tables:
                raise duplicate("Table", f"{project}:{dataset}.{name}")
            if home.meta.get("defaultTableExpirationMs") and "expirationTime" not in meta:
                meta = {**meta, "expirationTime": str(int(time.time() * 1000) + int(home.meta["defaultTableExpirationMs"]))}
            now = time.time()
            made = home.tables[name] = Table(project, dataset, name, meta, [Version(now, tuple(fields), tuple(segments))], **more)
            return made

    def drop(self, table: Table) -> None:
        with self.lock:
            home = self.datasets[table.project, table.dataset]
            home.deleted[table.name] = home.tables.pop(table.name)

    def alive(self, table: Table) -> bool:
        """Neither deleted nor replaced since it was found; temporary tables live as long as their script."""
        home = self.datasets.get((table.project, table.dataset))
        return table.dataset == "_temp" or (home is not None and home.tables.get(table.name) is table)

    # -- versions ------------------------------------------------------------------------------------------------
    def publish(self, table: Table, version: Version) -> None:
        """Callers hold the lock and have built `version` on the latest."""
        now = max(time.time(), table.latest.at + 1e-6)
        table.versions.append(replace(version, at=now))
        table.modified = now

    def set_fields(self, table: Table, fields) -> None:
        with self.lock:
            self.publish(table, replace(table.latest, fields=tuple(fields)))

    def append(self, table: Table, segments) -> None:
        """Adds segments to the latest version, whatever it is by now."""
        with self.lock:
            if not self.alive(table):
                raise not_found("Table", table.full())
            latest = table.latest
            segments = tuple(segment for segment in segments if segment.high > segment.low)
            if segments:
                self.publish(table, replace(latest, segments=latest.segments + segments))

    def append_streamed(self, cursor, table: Table, segment: Segment) -> None:
        """The same for small pieces that come one after the other: the last one is lengthened."""
        with self.lock:
            latest = table.latest
            last = latest.segments[-1] if latest.segments else None
            if last is None or self._open.get(last.name) != last.high or last.fields != segment.fields or last.aliases or last.high + segment.high > OPEN_ROWS:
                self._open[segment.name] = segment.high
                return self.append(table, [segment])
            cursor.execute(f"INSERT INTO {last.name} SELECT * FROM {segment.name} ORDER BY rowid")
            self.drop_segment(cursor, segment)
            self._open[last.name] += segment.high
            if segment.high:
                self.publish(table, replace(latest, segments=(*latest.segments[:-1], replace(last, high=last.high + segment.high))))

    def seal(self, segment: Segment) -> None:
        """Nothing is appended to it from here on."""
        with self.lock:
            self._open.pop(segment.name, None)

    def write_rows(self, cursor, fields, select: str) -> Segment:
        """A new segment of what a query gives: `select` names every column in the order of `fields`, in DuckDB's types."""
        name = self.fresh()
        cursor.execute(f"CREATE TABLE {name} AS {select}")
        (count,) = cursor.execute(f"SELECT count(*) FROM {name}").fetchone()
        return Segment(name, tuple(fields), 0, count)

    def drop_segment(self, cursor, segment: Segment) -> None:
        cursor.execute(f"DROP TABLE IF EXISTS {segment.name}")
