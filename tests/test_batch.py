"""Batch loads: modes, cursors, what can be selected, and what the accounting says."""

import time

import pytest

from support.shop import (APPEND, HISTORY, INCREMENT, LAKE_APPEND, LAKE_HISTORY, LAKE_MERGE, MERGE, REPLACE, WHOLE, add_orders,
                          assert_equal_rows, assert_same, lake_rows, make_orders, source_rows, stored_rows, target_rows)


def stored_count(project, table: str = "shop.orders") -> int:
    return project.duck_value(f"SELECT count(*) FROM {table}")


# -- modes ------------------------------------------------------------------------------------------------------------
def test_append_adds_the_whole_table_each_time_when_there_is_no_cursor(database, project):
    make_orders(database, 500)
    project.pipeline(database, WHOLE, APPEND)
    assert project.load().counts() == (500, 500, 0, 0)
    assert_same(project, database)
    assert project.load().counts() == (500, 500, 0, 0)
    assert stored_count(project) == 1000


def test_replace_leaves_exactly_the_source(database, project):
    make_orders(database, 500)
    project.pipeline(database, WHOLE, REPLACE)
    project.load()
    database.execute("DELETE FROM orders WHERE id % 2 = 0; UPDATE orders SET status = 'x' WHERE id % 5 = 0")
    assert project.load().counts() == (250, 250, 0, 0)
    assert_same(project, database)
    assert not project.staging_left()


@pytest.mark.parametrize("target", [MERGE, LAKE_MERGE], ids=["duckdb", "parquet"])
def test_merge_inserts_and_updates_and_never_deletes(target, database, project):
    make_orders(database, 500)
    project.pipeline(database, INCREMENT, dict(target))
    assert project.load().counts() == (500, 500, 0, 0)
    database.execute("UPDATE orders SET status = 'changed', updated_at = clock_timestamp() WHERE id <= 10")
    database.execute("DELETE FROM orders WHERE id = 400")
    add_orders(database, 20)
    report = project.load()
    assert 30 <= report.run()["rows_read"] <= 31  # the row at the old bound may be read again
    stored = stored_rows(project, target)
    assert len(stored) == 520  # the deleted row stays: a batch increment does not see deletes
    assert_equal_rows(source_rows(database), [row for row in stored if row[0] != 400])


def test_merge_of_a_whole_table_by_a_key_of_two_columns(database, project):
    database.execute("CREATE TABLE t (a int, b text, v int, PRIMARY KEY (a, b));"
                     "INSERT INTO t SELECT i % 10, 'b' || i, i FROM generate_series(1, 100) i")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "merge", "key": ["a", "b"]})
    project.load()
    database.execute("UPDATE t SET v = -v WHERE a = 3")
    project.load()
    assert project.duck("SELECT a, b, v FROM shop.t ORDER BY a, b") == sorted(database.rows("SELECT a, b, v FROM t"))


def test_merge_key_defaults_to_the_primary_key(database, project):
    make_orders(database, 50)
    project.pipeline(database, INCREMENT, {"table": "shop.orders", "mode": "merge"})
    project.load()
    database.execute("UPDATE orders SET status = 'changed', updated_at = clock_timestamp()")
    project.load()
    assert_same(project, database)


@pytest.mark.parametrize("target", [HISTORY, LAKE_HISTORY], ids=["duckdb", "parquet"])
def test_history_keeps_every_version_without_gaps(target, database, project):
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, dict(target))
    project.load()
    for change in range(3):
        database.execute(f"UPDATE orders SET status = 'v{change}', updated_at = clock_timestamp() WHERE id <= 10")
        project.load()
    assert_equal_rows(source_rows(database), stored_rows(project, target))
    selected = "SELECT id, epoch_us(_penstock_valid_from), epoch_us(_penstock_valid_to), status FROM {} ORDER BY 1, 2"
    versions = (project.parquet("orders", selected.format("data")) if target is LAKE_HISTORY
                else project.duck(selected.format("shop.orders")))
    assert len(versions) == 100 + 3 * 10
    for before, after in zip(versions, versions[1:]):
        if before[0] == after[0]:
            assert before[1] < before[2] == after[1], f"versions overlap or leave a gap: {before} {after}"
        else:
            assert before[2] is None
    assert [row[3] for row in versions if row[0] == 1][1:] == ["v0", "v1", "v2"]


def test_history_opens_no_version_for_a_row_that_did_not_change(database, project):
    make_orders(database, 100)
    project.pipeline(database, WHOLE, HISTORY)
    project.load()
    report = project.load()
    assert stored_count(project) == 100
    assert report.run()["rows_read"] == 100


def test_update_when_decides_what_is_overwritten(database, project):
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, {**MERGE, "update_when": "S.amount > T.amount"})
    project.load()
    database.execute("UPDATE orders SET updated_at = clock_timestamp(), status = 'touched',"
                     " amount = amount + CASE WHEN id <= 10 THEN 1 ELSE -1 END WHERE id <= 30")
    read, written, rejected, filtered = project.load().counts()
    assert filtered in (20, 21) and written == 10 and rejected == 0 and read == filtered + written
    assert project.duck_value("SELECT count(*) FROM shop.orders WHERE status = 'touched'") == 10


def test_partition_by_and_cluster_by_are_the_sort_order(database, project):
    make_orders(database, 5000)
    database.execute("UPDATE orders SET updated_at = '2024-01-01'::timestamptz + (hashint8(id) % 30) * interval '1 day'")
    project.pipeline(database, WHOLE, {**REPLACE, "partition_by": "date(updated_at)", "cluster_by": ["customer"]})
    project.load()
    stored = project.duck("SELECT epoch_us(date_trunc('day', updated_at)), customer FROM shop.orders ORDER BY rowid")
    assert len(stored) == 5000 and stored == sorted(stored)


# -- increments ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("cursor, type, value", [
    ("at", "timestamptz", "'2024-01-01'::timestamptz + i * interval '1.000001 seconds'"),
    ("at", "timestamp", "'2024-01-01'::timestamp + i * interval '0.000001 seconds'"),
    ("day", "date", "'2024-01-01'::date + i / 10"),
    ("n", "bigint", "9007199254740993 + i"),
    ("n", "int", "i"),
    ("n", "numeric(20,6)", "i * 1.000001"),
])
@pytest.mark.parametrize("target", [MERGE, LAKE_APPEND], ids=["merge", "parquet"])
def test_increment_by_each_kind_of_cursor(cursor, type, value, target, database, project):
    database.execute(f"CREATE TABLE orders (id int PRIMARY KEY, {cursor} {type});"
                     f"INSERT INTO orders SELECT i, {value} FROM generate_series(1, 100) i")
    project.pipeline(database, {"table": "public.orders", "cursor": cursor}, target)

    def ids():
        sql = "SELECT id FROM {} ORDER BY id"
        return [r[0] for r in (project.duck(sql.format("shop.orders")) if target is MERGE
                               else project.parquet("orders", sql.format("data")))]

    assert project.load().counts()[0] == 100
    database.execute(f"INSERT INTO orders SELECT i, {value} FROM generate_series(101, 150) i")
    read = project.load().counts()[0]
    assert 50 <= read <= 60, "only what is new, and the ties at the bound"
    assert ids() == list(range(1, 151))
    assert project.load().counts() == (0, 0, 0, 0)


def test_a_run_with_nothing_new_reads_no_rows(database, project):
    make_orders(database, 1000)
    project.pipeline(database, INCREMENT, MERGE)
    project.load()
    report = project.load()
    assert report.counts() == (0, 0, 0, 0)
    assert report.run()["status"] in ("success", "skipped")
    assert_same(project, database)


@pytest.mark.parametrize("target", [MERGE, APPEND, LAKE_APPEND], ids=["merge", "append", "parquet"])
def test_ties_at_the_bound_are_neither_lost_nor_doubled(target, database, project):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, customer text, amount numeric(12,2), status text,"
                     " updated_at timestamptz, note jsonb)")
    project.pipeline(database, INCREMENT, target)
    for batch in range(3):  # each batch ends with rows of the same instant as rows of the next
        database.execute("INSERT INTO orders SELECT i, 'c', i, 's', '2024-01-01'::timestamptz + (i / 10) * interval '1 s', NULL"
                         f" FROM generate_series({batch * 25 + 1}, {batch * 25 + 25}) i")
        project.load()
    stored = lake_rows(project) if target is LAKE_APPEND else target_rows(project)
    assert_equal_rows(source_rows(database), stored)


@pytest.mark.parametrize("target", [MERGE, APPEND, LAKE_APPEND], ids=["merge", "append", "parquet"])
@pytest.mark.parametrize("cursor", ["updated_at", "id"])
def test_rows_committed_late_below_the_cursor_are_not_lost(cursor, target, database, project):
    """A transaction takes its timestamp and its serial early, and commits after a run has passed both."""
    make_orders(database, 100)
    project.pipeline(database, {"table": "public.orders", "cursor": cursor}, target)
    project.load()
    with database.connect() as late:
        late.autocommit = False
        late.execute("INSERT INTO orders (customer, amount, updated_at) SELECT 'late', i, now() FROM generate_series(1, 5) i")
        time.sleep(0.02)
        add_orders(database, 10)
        project.load()
        late.commit()
    project.load()
    stored = lake_rows(project) if target is LAKE_APPEND else target_rows(project)
    assert_equal_rows(source_rows(database), stored)
    assert project.load().counts()[0] == 0, "once nothing is open any more, nothing is read again"


def test_cursor_lag_reads_the_last_minutes_again(database, project):
    make_orders(database, 10)
    database.execute("UPDATE orders SET updated_at = now() - id * interval '1 minute'")
    project.pipeline(database, {**INCREMENT, "cursor_lag": "5m"}, MERGE)
    project.load()
    database.execute("UPDATE orders SET status = 'rewritten without a new time' WHERE id <= 3")
    project.load()
    assert_same(project, database)


def test_a_null_cursor_is_said_and_not_lost(database, project):
    """Rows whose cursor is NULL can't be seen by an increment: the first load has them, the run says so."""
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, customer text, amount numeric(12,2), status text,"
                     " updated_at timestamptz, note jsonb);"
                     "INSERT INTO orders SELECT i, 'c', i, 's', CASE WHEN i > 5 THEN now() END, NULL FROM generate_series(1, 10) i")
    project.pipeline(database, INCREMENT, MERGE)
    assert project.load().counts() == (10, 10, 0, 0)
    assert_same(project, database)


def test_from_and_to_bound_a_run_by_hand(database, project):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, n bigint); INSERT INTO t SELECT i, i FROM generate_series(1, 100) i")
    project.pipeline(database, {"table": "public.t", "cursor": "n"}, {"table": "shop.t", "mode": "merge", "key": ["id"]})
    project.load("--from", "10", "--to", "20")
    found = [row[0] for row in project.duck("SELECT n FROM shop.t ORDER BY n")]
    assert found in (list(range(10, 20)), list(range(10, 21)))
    project.load()
    assert stored_count(project, "shop.t") == 100


def test_full_refresh_forgets_the_checkpoint(database, project):
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, MERGE)
    project.load()
    database.execute("DELETE FROM orders WHERE id > 50")
    assert project.load("--full-refresh").counts()[0] == 50
    assert_same(project, database)
    add_orders(database, 5)
    assert project.load().counts()[0] <= 6
    assert_same(project, database)


def test_limit_reads_so_many_rows_and_loses_none(database, project):
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, MERGE)
    assert project.load("--limit", "10").counts()[0] == 10
    assert stored_count(project) == 10
    project.load()
    assert_same(project, database)


# -- what can be read ---------------------------------------------------------------------------------------------------
def test_where_selects_rows_at_the_source(database, project):
    make_orders(database, 300)
    project.pipeline(database, {**INCREMENT, "where": "status = 'paid' OR status IS NULL"}, MERGE)
    project.load()
    assert_same(project, database, where="status = 'paid' OR status IS NULL")


def test_a_query_with_a_cursor(database, project):
    make_orders(database, 300)
    project.pipeline(database, {"query": "SELECT o.*, upper(customer) AS loud FROM public.orders AS o WHERE id % 2 = 0",
                                "cursor": "updated_at"}, MERGE)
    project.load()
    add_orders(database, 10)
    project.load()
    assert_same(project, database, where="id % 2 = 0")
    assert project.duck_value("SELECT count(*) FROM shop.orders WHERE loud = upper(customer)") == 155


def test_a_query_from_a_file(database, project):
    make_orders(database, 30)
    project.write("SELECT * FROM public.orders -- with a comment at the end", "queries/orders.sql")
    project.pipeline(database, {"query": "queries/orders.sql"}, REPLACE)
    project.load()
    assert_same(project, database)


@pytest.mark.parametrize("target", ["duckdb", "parquet"])
def test_patterns_of_tables_with_exceptions(target, database, project):
    for name in ("orders", "customers", "audit_log", "audit_more"):
        make_orders(database, 20, name)
    database.execute("CREATE SCHEMA other")
    make_orders(database, 20, "other.hidden")
    where = ({"dataset": "shop", "mode": "append"} if target == "duckdb" else {"format": "parquet", "path": "{table}/"})
    project.pipeline(database, {"tables": ["public.*"], "exclude": ["public.audit_*"]}, where)
    report = project.load()
    assert sorted(table["table"] for table in report.run()["tables"]) == ["public.customers", "public.orders"]
    for name in ("orders", "customers"):
        stored = target_rows(project, f"shop.{name}") if target == "duckdb" else lake_rows(project, name)
        assert_equal_rows(source_rows(database, name), stored)


def test_many_tables_are_read_from_one_snapshot(database, project):
    """A transfer between two tables, going on while they are read, must never be seen half."""
    database.execute("CREATE TABLE a (id int PRIMARY KEY, v bigint); CREATE TABLE b (LIKE a INCLUDING ALL);"
                     "INSERT INTO a SELECT i, 1000 FROM generate_series(1, 20000) i; INSERT INTO b SELECT * FROM a")
    import threading
    stop = threading.Event()

    def transfer():
        with database.connect() as session:
            while not stop.is_set():
                session.execute("WITH x AS (UPDATE a SET v = v - 1 WHERE id = 1 + floor(random() * 20000)::int RETURNING 1)"
                                " UPDATE b SET v = v + (SELECT count(*) FROM x) WHERE id = 1")

    worker = threading.Thread(target=transfer)
    project.pipeline(database, {"tables": ["public.*"]}, {"dataset": "shop", "mode": "replace"})
    worker.start()
    try:
        for _ in range(5):
            project.load()
            assert project.duck_value("SELECT (SELECT sum(v) FROM shop.a) + (SELECT sum(v) FROM shop.b)") == 40_000_000
    finally:
        stop.set()
        worker.join()


def test_keyless_tables(database, project):
    make_orders(database, 100, key=False)
    database.execute("INSERT INTO orders SELECT * FROM orders WHERE id <= 10")  # true duplicates
    project.pipeline(database, WHOLE, REPLACE)
    assert project.load().counts() == (110, 110, 0, 0)
    assert_same(project, database)


@pytest.mark.parametrize("relation", ["VIEW", "MATERIALIZED VIEW"])
def test_views(relation, database, project):
    make_orders(database, 100)
    database.execute(f"CREATE {relation} paid AS SELECT * FROM orders WHERE status = 'paid'")
    project.pipeline(database, {"table": "public.paid", "cursor": "updated_at"}, MERGE)
    project.load()
    assert_same(project, database, where="status = 'paid'")


def test_partitioned_parents_have_all_rows_once(database, project):
    database.execute("""
        CREATE TABLE orders (id bigint, customer text, amount numeric(12,2), status text, updated_at timestamptz, note jsonb,
                             PRIMARY KEY (id, updated_at, status)) PARTITION BY RANGE (updated_at);
        CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
        CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM ('2024-02-01') TO ('2024-03-01') PARTITION BY LIST (status);
        CREATE TABLE orders_2a PARTITION OF orders_2 FOR VALUES IN ('a');
        CREATE TABLE orders_2b PARTITION OF orders_2 DEFAULT;
        CREATE TABLE orders_rest PARTITION OF orders DEFAULT;
        INSERT INTO orders SELECT i, 'c', i, (ARRAY['a','b'])[1 + i % 2], '2024-01-01'::timestamptz + i * interval '1 hour', NULL
            FROM generate_series(1, 3000) i""")
    project.pipeline(database, {"tables": ["public.*"]}, {"dataset": "shop", "mode": "replace"})
    report = project.load()
    assert [table["table"] for table in report.run()["tables"]] == ["public.orders"], "partitions are read through their parent"
    assert_same(project, database)


def test_foreign_tables(server, make_database, database, project):
    remote = make_database(server)
    make_orders(remote, 200)
    database.execute(f"""
        CREATE EXTENSION postgres_fdw;
        CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
            OPTIONS (host '{server.base}', port '{server.port}', dbname '{remote.name}');
        CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'postgres', password_required 'false');
        IMPORT FOREIGN SCHEMA public LIMIT TO (orders) FROM SERVER far INTO public;
        GRANT USAGE ON FOREIGN SERVER far TO PUBLIC""")
    project.pipeline(database, WHOLE, REPLACE)
    project.load()
    assert_same(project, remote)


def test_inherited_tables_and_ctid_ranges(database, project):
    """Rows of children are read through the parent, also when the parent is large enough to be split."""
    make_orders(database, 60000)
    database.execute("CREATE TABLE more_orders () INHERITS (orders); INSERT INTO more_orders SELECT * FROM orders WHERE id <= 5000;"
                     "UPDATE more_orders SET id = id + 1000000")
    project.pipeline(database, WHOLE, REPLACE, parallel=4)
    assert project.load().counts()[0] == 65000
    assert_same(project, database)


def test_row_security_and_privileges_are_the_readers(database, project):
    """The session is the configured role's and read only: a query that writes is refused by PostgreSQL."""
    make_orders(database, 10)
    database.execute("CREATE FUNCTION sneaky() RETURNS int LANGUAGE plpgsql AS"
                     " 'BEGIN CREATE TEMP TABLE x (i int); DELETE FROM orders; RETURN 1; END'; GRANT DELETE ON orders TO loader")
    project.pipeline(database, {"query": "SELECT sneaky() AS s"}, {"table": "shop.s", "mode": "replace"})
    report = project.load(expect=1)
    assert "read-only" in str(report.error)
    assert database.value("SELECT count(*) FROM orders") == 10


# -- schema changes -------------------------------------------------------------------------------------------------------
def columns_of(project, table: str = "orders") -> dict:
    return dict(project.duck(f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{table}' ORDER BY column_index"))


def test_evolve_adds_a_column_and_backfills_its_default(database, project):
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, MERGE)
    project.load()
    database.execute("ALTER TABLE orders ADD COLUMN priority int NOT NULL DEFAULT 7")
    database.execute("UPDATE orders SET priority = 1, updated_at = clock_timestamp() WHERE id <= 5")
    project.load()
    assert columns_of(project)["priority"] == "INTEGER"
    assert project.duck("SELECT priority, count(*) FROM shop.orders GROUP BY 1 ORDER BY 1") == [(1, 5), (7, 95)]
    changes = project.duck("SELECT change, decision FROM penstock.schema_registry WHERE change ILIKE '%add%'")
    assert changes


def test_evolve_keeps_a_dropped_column_as_null(database, project):
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, MERGE)
    project.load()
    database.execute("ALTER TABLE orders DROP COLUMN note")
    database.execute("INSERT INTO orders (customer, amount) VALUES ('after the drop', 1)")
    project.load()
    assert "note" in columns_of(project)
    assert project.duck("SELECT note FROM shop.orders WHERE customer = 'after the drop'") == [(None,)]
    assert project.duck_value("SELECT count(note) FROM shop.orders") >= 99  # the row at the bound may be read again


def test_evolve_recognises_a_renamed_column(database, project):
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, MERGE)
    project.load()
    database.execute("ALTER TABLE orders RENAME COLUMN status TO state")
    database.execute("UPDATE orders SET state = 'new name', updated_at = clock_timestamp() WHERE id = 1")
    project.load()
    columns = columns_of(project)
    assert "state" in columns and "status" not in columns
    assert project.duck("SELECT id, state FROM shop.orders ORDER BY id") == database.rows("SELECT id, state FROM orders ORDER BY id")


def test_evolve_widens_a_type(database, project):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, n int2, r real, v varchar(3), d numeric(6,2), u bigint DEFAULT 0);"
                     "INSERT INTO orders VALUES (1, 1, 1.5, 'abc', 1.25, 1)")
    project.pipeline(database, {"table": "public.orders", "cursor": "u"}, MERGE)
    project.load()
    database.execute("ALTER TABLE orders ALTER n TYPE int8, ALTER r TYPE float8, ALTER v TYPE text, ALTER d TYPE numeric(12,4)")
    database.execute("INSERT INTO orders VALUES (2, 9007199254740993, 0.1, 'abcdef', 12345678.1234, 2)")
    project.load()
    columns = columns_of(project)
    assert (columns["n"], columns["r"], columns["d"]) == ("BIGINT", "DOUBLE", "DECIMAL(12,4)")
    assert project.duck("SELECT n, r, v, d::VARCHAR FROM shop.orders ORDER BY id") == [
        (1, 1.5, "abc", "1.2500"), (9007199254740993, 0.1, "abcdef", "12345678.1234")]


def test_evolve_puts_an_incompatible_type_into_a_new_column(database, project):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, v text, u bigint); INSERT INTO orders VALUES (1, '10', 1)")
    project.pipeline(database, {"table": "public.orders", "cursor": "u"}, MERGE)
    project.load()
    database.execute("ALTER TABLE orders ALTER v TYPE int USING v::int; INSERT INTO orders VALUES (2, 20, 2)")
    project.load()
    columns = columns_of(project)
    assert columns["v"] == "VARCHAR" and columns["v__v2"] == "INTEGER"
    assert project.duck("SELECT v__v2 FROM shop.orders WHERE id = 2") == [(20,)]
    database.execute("INSERT INTO orders VALUES (3, 30, 3)")
    project.load()
    assert project.duck("SELECT v__v2 FROM shop.orders WHERE id = 3") == [(30,)]
    assert "v__v3" not in columns_of(project)


def test_dropped_and_added_again_is_another_column(database, project):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, v text, u bigint); INSERT INTO orders VALUES (1, 'old', 1)")
    project.pipeline(database, {"table": "public.orders", "cursor": "u"}, MERGE)
    project.load()
    database.execute("ALTER TABLE orders DROP v; ALTER TABLE orders ADD v text; INSERT INTO orders (id, v, u) VALUES (2, 'new', 2)")
    project.load()
    assert project.duck("SELECT v FROM shop.orders WHERE id = 2") == [("new",)]


def test_freeze_leaves_new_columns_out_and_says_so(database, project):
    make_orders(database, 20)
    project.pipeline(database, INCREMENT, {**MERGE, "schema_change": "freeze"})
    project.load()
    before = columns_of(project)
    database.execute("ALTER TABLE orders ADD COLUMN priority int")
    add_orders(database, 5)
    report = project.load()
    assert columns_of(project) == before
    assert stored_count(project) == 25
    assert "priority" in report.output.err
    database.execute("ALTER TABLE orders ALTER customer TYPE bytea USING customer::bytea")
    assert "customer" in str(project.load(expect=1).error)


def test_reject_stops_at_any_difference(database, project):
    make_orders(database, 20)
    project.pipeline(database, INCREMENT, {**MERGE, "schema_change": "reject"})
    project.load()
    before = columns_of(project)
    database.execute("ALTER TABLE orders ADD COLUMN priority int")
    add_orders(database, 5)
    report = project.load(expect=1)
    assert "priority" in str(report.error) and "schema_change" in str(report.error)
    assert columns_of(project) == before and stored_count(project) == 20


def test_columns_match_by_name_when_their_order_differs(database, project):
    database.execute("CREATE TABLE orders (a int, b int, id int PRIMARY KEY); INSERT INTO orders VALUES (1, 2, 3)")
    project.pipeline(database, WHOLE, MERGE)
    project.load()
    database.execute("DROP TABLE orders; CREATE TABLE orders (id int PRIMARY KEY, b int, a int); INSERT INTO orders VALUES (4, 20, 10)")
    project.load()
    assert project.duck("SELECT id, a, b FROM shop.orders ORDER BY id") == [(3, 1, 2), (4, 10, 20)]


def test_parquet_evolves_file_by_file(database, project):
    make_orders(database, 20)
    project.pipeline(database, INCREMENT, LAKE_APPEND)
    project.load()
    database.execute("ALTER TABLE orders ADD COLUMN priority int DEFAULT 3")
    add_orders(database, 5)
    project.load()
    assert project.parquet("orders", "SELECT count(*), count(DISTINCT id), count(priority) >= 5 FROM data") == [(25, 25, True)]


# -- accounting, rejects --------------------------------------------------------------------------------------------------
def make_bad_rows(database, rows: int = 100, bad: int = 10):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, amount numeric, u bigint);"
                     f"INSERT INTO orders SELECT i, CASE WHEN i <= {bad} THEN 'NaN'::numeric ELSE i END, i"
                     f" FROM generate_series(1, {rows}) i")


def test_on_reject_stop_writes_nothing_and_names_the_row(database, project):
    make_bad_rows(database)
    project.pipeline(database, WHOLE, REPLACE)
    report = project.load(expect=1)
    error = str(report.error)
    assert "NaN" in error and "amount" in error and ("on_reject" in error or "special_numbers" in error)
    assert not project.warehouse.exists() or not project.duck(
        "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'shop' AND table_name = 'orders'")


@pytest.mark.parametrize("limit, code", [(10, 0), (9, 1), ("10%", 0), ("9%", 1)])
def test_max_rejects_bounds_what_continue_allows(limit, code, database, project):
    make_bad_rows(database)
    project.pipeline(database, WHOLE, REPLACE, on_reject="continue", max_rejects=limit)
    report = project.load(expect=code)
    if code == 0:
        assert report.counts() == (100, 90, 10, 0)
        assert len(project.rejects()) == 10
    else:
        assert "max_rejects" in str(report.error)


def test_the_checkpoint_row_says_what_the_run_said(database, project):
    make_orders(database, 50)
    project.pipeline(database, INCREMENT, MERGE)
    run = project.load().run()
    rows = project.duck("SELECT pipeline, run_id, rows_read, rows_written, rows_rejected, rows_filtered, error_count, cursor_to"
                        " FROM penstock.pipeline_metadata")
    assert len(rows) == 1
    assert rows[0][:7] == ("p", run["run_id"], 50, 50, 0, 0, 0)
    assert rows[0][7] and rows[0][7] == run["cursor"]["to"]


def test_two_pipelines_into_one_file(database, project):
    make_orders(database, 20)
    make_orders(database, 30, "customers")
    project.pipelines(database, {"a": {"source": dict(INCREMENT), "target": dict(MERGE)},
                                 "b": {"source": {"table": "public.customers"}, "target": {"table": "shop.customers", "mode": "replace"},
                                       "after": ["a"]}})
    report = project.load()
    assert [run["pipeline"] for run in report.runs] == ["a", "b"]
    assert report.counts("a") == (20, 20, 0, 0) and report.counts("b") == (30, 30, 0, 0)


def test_a_pipeline_after_a_failed_one_is_skipped(database, project):
    make_orders(database, 20)
    project.pipelines(database, {"a": {"source": {"table": "public.missing"}, "target": {"table": "shop.a", "mode": "replace"}},
                                 "b": {"source": dict(WHOLE), "target": dict(REPLACE), "after": ["a"]},
                                 "c": {"source": dict(WHOLE), "target": {"table": "shop.c", "mode": "replace"}}})
    report = project.load(expect=1)
    assert {run["pipeline"]: run["status"] for run in report.runs} == {"a": "failed", "b": "skipped", "c": "success"}
