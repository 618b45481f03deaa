"""The lake: files that other readers can use, published whole or not at all."""

import math
import threading
import time

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.shop import INCREMENT, LAKE_APPEND, LAKE_REPLACE, WHOLE, add_orders, assert_equal_rows, lake_rows, make_orders, source_rows


class Watcher(threading.Thread):
    """Counts the rows of the published files, over and over, as a reader would who knows nothing of Penstock."""

    def __init__(self, glob: str):
        super().__init__()
        self.glob = glob
        self.seen: list[tuple] = []
        self.failures: list[str] = []
        self._stop_asked = threading.Event()

    def run(self):
        connection = duckdb.connect()
        connection.execute("SET threads = 1")
        while not self._stop_asked.is_set():
            try:
                self.seen.append(connection.execute(
                    f"SELECT count(*), min(v), max(v) FROM read_parquet('{self.glob}', hive_partitioning = false)").fetchone())
            except duckdb.Error as error:
                # the glob and the opening are two steps: between them a replaced file may go, and a reader tries again
                if "No files found" not in str(error) and "No such file" not in str(error) and "Cannot open" not in str(error):
                    self.failures.append(str(error))

    def finish(self):
        self._stop_asked.set()
        self.join()


@pytest.mark.parametrize("path", ["t/", "{schema}/{table}/"])
def test_a_reader_never_sees_half_a_replace(path, database, project):
    rows = 40000
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, v int, pad text); INSERT INTO t SELECT i, 0, md5(i::text) FROM generate_series(1, {rows}) i")
    project.pipeline(database, {"table": "public.t"}, {"format": "parquet", "path": path, "mode": "replace", "file_bytes": "256KiB"})
    project.load()
    folder = "t" if path == "t/" else "public/t"
    watcher = Watcher(f"{project.lake}/{folder}/**/*.parquet")
    watcher.start()
    try:
        for version in range(1, 7):
            database.execute("UPDATE t SET v = %s", [version])
            project.load()
    finally:
        watcher.finish()
    assert not watcher.failures, watcher.failures[:3]
    assert len(watcher.seen) > 5
    for count, low, high in watcher.seen:
        assert (count, low) == (rows, high), f"half a run was seen: {(count, low, high)}"
    assert watcher.seen[-1][1] >= 5


def test_a_reader_never_sees_half_an_append(database, project):
    batch = 20000
    database.execute("CREATE TABLE t (id bigserial PRIMARY KEY, v int, pad text)")
    insert = f"INSERT INTO t (v, pad) SELECT %s, md5(i::text) FROM generate_series(1, {batch}) i"
    database.execute(insert, [0])
    project.pipeline(database, {"table": "public.t", "cursor": "id"},
                     {"format": "parquet", "path": "t/", "mode": "append", "file_bytes": "128KiB"})
    project.load()
    watcher = Watcher(f"{project.lake}/t/**/*.parquet")
    watcher.start()
    try:
        for version in range(1, 7):
            database.execute(insert, [version])
            project.load()
    finally:
        watcher.finish()
    assert not watcher.failures, watcher.failures[:3]
    assert {count % batch for count, _, _ in watcher.seen} == {0}, "a part of a run was seen"
    assert project.parquet("t", "SELECT count(*), count(DISTINCT id) FROM data") == [(7 * batch, 7 * batch)]


def test_files_are_zstd_with_bounded_row_groups_and_statistics(database, project):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, day date, word text, n numeric(12,2), at timestamptz);"
                     "INSERT INTO t SELECT i, '2024-01-01'::date + i / 1000, 'w' || i % 100, i * 1.01, now() FROM generate_series(1, 200000) i")
    project.pipeline(database, {"table": "public.t"}, {"format": "parquet", "path": "t/", "mode": "replace", "row_group_rows": 20480})
    project.load()
    rows = 0
    for path in project.data_files("t"):
        metadata = pq.ParquetFile(path).metadata
        rows += metadata.num_rows
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            assert group.num_rows <= 20480
            for column in map(group.column, range(group.num_columns)):
                assert column.compression == "ZSTD"
                statistics = column.statistics
                assert statistics is not None and statistics.has_min_max, column.path_in_schema
                assert statistics.has_null_count and statistics.null_count == 0
    assert rows == 200000


@pytest.mark.parametrize("mode", ["replace", "append", "merge"])
def test_zeros_keep_their_sign(database, project, mode):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, d float8, f float4, l float8[]);"
                     "INSERT INTO t SELECT i, CASE i % 3 WHEN 0 THEN '-0' WHEN 1 THEN '0' ELSE '1' END::float8,"
                     " CASE i % 2 WHEN 0 THEN '-0' ELSE '0' END::float4, ARRAY['0', '-0']::float8[] FROM generate_series(1, 9000) i")
    project.pipeline(database, {"table": "public.t"}, {"format": "parquet", "path": "t/", "mode": mode})
    project.load()
    table = pa.concat_tables(pq.read_table(path) for path in project.data_files("t")).sort_by("id")
    signs = [math.copysign(1, value) for value in table["d"].to_pylist()]
    assert signs == [-1 if i % 3 == 0 else 1 for i in range(1, 9001)]
    assert [math.copysign(1, value) for value in table["f"].to_pylist()] == [-1 if i % 2 == 0 else 1 for i in range(1, 9001)]
    assert {tuple(math.copysign(1, value) for value in row) for row in table["l"].to_pylist()} == {(1, -1)}


def test_readers_can_prune(database, project):
    """With a sort order asked for, the bounds of the row groups hardly overlap."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, day date); INSERT INTO t SELECT i, '2024-01-01'::date + (hashint4(i) % 1000)"
                     " FROM generate_series(1, 100000) i")
    project.pipeline(database, {"table": "public.t"}, {"format": "parquet", "path": "t/", "mode": "replace",
                                                       "cluster_by": ["day"], "row_group_rows": 10240})
    project.load()
    bounds = sorted((group.column(1).statistics.min, group.column(1).statistics.max)
                    for path in project.data_files("t") for metadata in [pq.ParquetFile(path).metadata]
                    for group in map(metadata.row_group, range(metadata.num_row_groups)))
    assert len(bounds) >= 5
    assert all(before[1] <= after[0] for before, after in zip(bounds, bounds[1:]))


def test_hive_paths_from_the_date_of_a_column(database, project):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, moment timestamptz);"
                     "INSERT INTO t SELECT i, '2024-02-28 12:00Z'::timestamptz + i * interval '1 hour' FROM generate_series(1, 100) i")
    project.pipeline(database, {"table": "public.t"}, {"format": "parquet", "path": "t/", "mode": "replace", "partition_by": "date(moment)"})
    project.load()
    folders = {part for path in project.data_files("t") for part in path.parts if "=" in part}
    assert len(folders) == 5 and all("=2024-" in folder for folder in folders), folders
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT count(*) FROM read_parquet('{project.lake}/t/**/*.parquet', hive_partitioning = true)").fetchone()
    assert found == (100,)


def test_paths_with_the_date_of_the_run(database, project):
    make_orders(database, 10)
    project.pipeline(database, WHOLE, {"format": "parquet", "path": "{table}/dt={yyyy}-{MM}-{dd}/", "mode": "append"})
    before = time.gmtime()
    project.load()
    after = time.gmtime()
    folders = {"/".join(path.relative_to(project.lake).parts[:2]) for path in project.data_files()}
    assert folders <= {time.strftime("orders/dt=%Y-%m-%d", day) for day in (before, after)} and folders
    assert_equal_rows(source_rows(database), lake_rows(project, "orders"))


def test_file_size_bounds(database, project):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, pad text); INSERT INTO t SELECT i, md5(random()::text) || md5(random()::text)"
                     " FROM generate_series(1, 100000) i")
    project.pipeline(database, {"table": "public.t"}, {"format": "parquet", "path": "t/", "mode": "replace",
                                                       "file_bytes": "1MiB", "row_group_rows": 10240})
    project.load()
    sizes = [path.stat().st_size for path in project.data_files("t")]
    assert len(sizes) >= 3 and max(sizes) < 3 * 2**20, sizes


def test_increments_replace_nothing(database, project):
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, LAKE_APPEND)
    project.load()
    first = {path: path.stat().st_mtime_ns for path in project.data_files()}
    add_orders(database, 10)
    project.load()
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in first.items())
    assert_equal_rows(source_rows(database), lake_rows(project))
    project.load()
    assert len(project.data_files()) == len(first) + 1, "a run without rows makes no file"


def test_replace_leaves_no_old_files(database, project):
    make_orders(database, 100)
    project.pipeline(database, WHOLE, LAKE_REPLACE)
    for _ in range(3):
        project.load()
    assert_equal_rows(source_rows(database), lake_rows(project))
    assert len(project.data_files()) == 1
    assert not project.staging_left()


def test_every_kind_of_reader_agrees(database, project):
    make_orders(database, 100)
    project.pipeline(database, WHOLE, LAKE_REPLACE)
    project.load()
    table = pq.read_table([str(path) for path in project.data_files()])
    assert table.num_rows == 100
    assert str(table.schema.field("amount").type) == "decimal128(12, 2)"
    assert str(table.schema.field("updated_at").type) == "timestamp[us, tz=UTC]"
    assert sum(table.column("amount").to_pylist()) == database.value("SELECT sum(amount) FROM orders")
