"""`penstock verify`: what differs between source and target is found, and nothing else."""

import signal

import duckdb
import pytest

from support.receiver import Receiver
from support.serving import Serving, wait_for

REPLACE = {"table": "shop.orders", "mode": "replace"}
MERGE = {"table": "shop.orders", "mode": "merge", "key": ["id"]}

ORDERS = """
CREATE TABLE orders (id bigint PRIMARY KEY, customer text, amount numeric(12,2), rate numeric, note text, at timestamptz, document jsonb);
INSERT INTO orders SELECT i, 'customer ' || i % 97, i * 1.25, i / 8.0, CASE WHEN i % 5 = 0 THEN '' WHEN i % 7 = 0 THEN NULL ELSE 'n' || i END,
  '2026-01-01 00:00:00.000001Z'::timestamptz + i * interval '1 second', jsonb_build_object('n', i, 'f', i / 4.0) FROM generate_series(1, 5000) i;
"""

# What is planted in the target: the statement for a row, what must be said of it.
PLANTED = {
    "missing": ("DELETE FROM shop.orders WHERE id = {}", []),
    "changed value": ("UPDATE shop.orders SET customer = customer || 'x' WHERE id = {}", ["customer"]),
    "NULL for empty": ("UPDATE shop.orders SET note = NULL WHERE id = {}", ["note"]),
    "empty for NULL": ("UPDATE shop.orders SET note = '' WHERE id = {}", ["note"]),
    "trailing space": ("UPDATE shop.orders SET customer = customer || ' ' WHERE id = {}", ["customer"]),
    "last microsecond": ('UPDATE shop.orders SET "at" = "at" + INTERVAL 1 MICROSECOND WHERE id = {}', ["at"]),
    "decimal scale": ("UPDATE shop.orders SET rate = rate || '0' WHERE id = {}", ["rate"]),
    "last cent": ("UPDATE shop.orders SET amount = amount + 0.01 WHERE id = {}", ["amount"]),
    "JSON number": ("""UPDATE shop.orders SET document = replace(document::VARCHAR, '"n": {}', '"n": {}.0') WHERE id = {}""", ["document"]),
}


def change(project, *statements):
    with duckdb.connect(str(project.warehouse)) as warehouse:
        warehouse.execute("SET TimeZone = 'UTC'")
        for statement in statements:
            assert warehouse.execute(statement).fetchone()[0] == 1, statement


def verify(project, *arguments, expect=0):
    return project.run("verify", "p", "--output", "json", *arguments, expect=expect).json


def only_table(project, *arguments, expect=0):
    table, = verify(project, *arguments, expect=expect)["tables"]
    return table


def found(table, key="id"):
    return sorted((one["kind"], one["key"][key], tuple(column["column"] for column in one["columns"])) for one in table["shown"])


@pytest.fixture
def orders(database, project):
    database.execute(ORDERS)
    project.pipeline(database, {"table": "public.orders"}, REPLACE, numeric={"rate": "text"})
    project.load()
    return database


def plant(project):
    """100 differences; what must be said of them."""
    expected, row = [], 0
    for number in range(90):
        kind = list(PLANTED)[number % len(PLANTED)]
        statement, columns = PLANTED[kind]
        row += 3
        row += {"NULL for empty": -row % 5, "empty for NULL": -row % 7}.get(kind, 0)
        if kind == "empty for NULL" and row % 5 == 0:
            row += 7
        change(project, statement.format(*[row] * statement.count("{}")))
        expected.append(("changed" if columns else "missing", str(row), tuple(columns)))
    for row in range(10):
        change(project, f"INSERT INTO shop.orders SELECT {100000 + row}, * EXCLUDE (id) FROM shop.orders WHERE id = 4000")
        expected.append(("extra", str(100000 + row), ()))
    return sorted(expected)


def test_equal_tables_are_told_so(orders, project):
    answer = verify(project)
    table, = answer["tables"]
    assert answer["equal"] and table["equal"] and not table["shown"]
    assert table["read"]["source"]["rows"] == table["read"]["target"]["rows"] == 5000
    assert table["columns"] == ["id", "customer", "amount", "rate", "note", "at", "document"]
    assert table["moment"].count("/") == 1 and table["differences"] == {"missing": 0, "extra": 0, "changed": 0}
    text = project.run("verify", "p").out
    assert "public.orders -> shop.orders: equal, 5,000 rows" in text and "received" in text


def test_a_hundred_planted_differences_are_found_and_no_other(orders, project):
    expected = plant(project)
    table = only_table(project, expect=3)
    assert found(table) == expected and len(expected) == 100
    assert sum(table["differences"].values()) == 100 and table["counted_all"]
    changed = next(one for one in table["shown"] if one["columns"] and one["columns"][0]["column"] == "at")
    source, target = changed["columns"][0]["source"], changed["columns"][0]["target"]
    assert source.endswith(".000001+00") and target.endswith(".000002+00")
    text = project.run("verify", "p", "--max-differences", "3", expect=3).out
    assert "different, 10 missing, 10 extra, 80 changed" in text and "and 97 more" in text


def test_keys_of_every_kind_find_their_rows(database, project):
    database.execute("""
        CREATE TABLE orders (region text, at timestamptz, id uuid DEFAULT gen_random_uuid(), v int, PRIMARY KEY (region, at, id));
        INSERT INTO orders SELECT chr(31) || 'r;' || i % 3, now() + i * interval '1 us', gen_random_uuid(), i FROM generate_series(1, 3000) i""")
    project.pipeline(database, {"table": "public.orders"}, REPLACE)
    project.load()
    assert only_table(project)["key"] == ["region", "at", "id"]
    change(project, "UPDATE shop.orders SET v = -1 WHERE v = 7", "DELETE FROM shop.orders WHERE v = 8")
    table = only_table(project, expect=3)
    assert [(one["kind"], [c["source"] for c in one["columns"]]) for one in table["shown"]] in (
        [("changed", ["7"]), ("missing", [])], [("missing", []), ("changed", ["7"])])


def test_rows_without_key_are_told_apart_by_their_values(database, project):
    database.execute("CREATE TABLE orders (a text, b text); INSERT INTO orders SELECT 'x' || i % 10, 'y' FROM generate_series(1, 1000) i")
    database.execute("INSERT INTO orders VALUES ('p', 'q:'), ('p:q', ''), (NULL, 'n')")
    project.pipeline(database, {"table": "public.orders"}, REPLACE)
    project.load()
    assert only_table(project)["key"] == []
    change(project, "DELETE FROM shop.orders WHERE rowid = (SELECT min(rowid) FROM shop.orders WHERE a = 'x3')", "UPDATE shop.orders SET a = 'n' WHERE a IS NULL")
    table = only_table(project, expect=3)
    assert {(one["kind"], one["key"]["a"]) for one in table["shown"]} == {("extra", "n"), ("missing", None), ("missing", "x3")}
    assert table["differences"] == {"missing": 2, "extra": 1, "changed": 0}


def test_rows_newer_than_the_checkpoint_are_no_difference(orders, project):
    orders.execute("ALTER TABLE orders ADD updated_at timestamptz NOT NULL DEFAULT now()")
    project.pipeline(orders, {"table": "public.orders", "cursor": "updated_at"}, MERGE, numeric={"rate": "text"})
    project.load("--full-refresh")
    orders.execute("INSERT INTO orders SELECT 9000 + i, 'new', 1, 1, '', now(), '{}', clock_timestamp() FROM generate_series(1, 20) i")
    orders.execute("UPDATE orders SET customer = 'moved', updated_at = clock_timestamp() WHERE id <= 5")
    orders.execute("DELETE FROM orders WHERE id = 50")  # an increment does not see it
    table = only_table(project, expect=3)
    assert found(table) == [("extra", "50", ())] and table["newer"] == 25
    assert table["checkpoint"]["cursor"]
    project.load()
    assert found(only_table(project, expect=3)) == [("extra", "50", ())]


def test_what_append_has_read_earlier_is_no_difference(orders, project):
    orders.execute("ALTER TABLE orders ADD updated_at timestamptz NOT NULL DEFAULT now()")
    project.pipeline(orders, {"table": "public.orders", "cursor": "updated_at"}, {"table": "shop.log", "mode": "append"}, numeric={"rate": "text"})
    project.load()
    orders.execute("UPDATE orders SET customer = 'moved', updated_at = clock_timestamp() WHERE id <= 5")
    project.load()
    table = only_table(project)
    assert table["equal"] and table["earlier_versions"] == 5
    change(project, "DELETE FROM shop.log WHERE id = 77")
    assert found(only_table(project, expect=3)) == [("missing", "77", ())]


def test_the_current_versions_of_a_history_are_compared(orders, project):
    orders.execute("ALTER TABLE orders ADD updated_at timestamptz NOT NULL DEFAULT now()")
    project.pipeline(orders, {"table": "public.orders", "cursor": "updated_at"}, {**MERGE, "table": "shop.h", "mode": "history"}, numeric={"rate": "text"})
    project.load()
    orders.execute("UPDATE orders SET customer = 'moved', updated_at = clock_timestamp() WHERE id <= 5")
    project.load()
    assert only_table(project)["read"]["target"]["rows"] == 5000
    change(project, "UPDATE shop.h SET customer = 'x' WHERE id = 3 AND _penstock_valid_to IS NULL")
    assert found(only_table(project, expect=3)) == [("changed", "3", ("customer",))]


def test_rejected_rows_are_told_apart(database, project):
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, at numeric); INSERT INTO orders VALUES (1, 1), (2, 'NaN'), (3, 3)")
    project.pipeline(database, {"table": "public.orders"}, REPLACE, on_reject="continue")
    project.load()
    table = only_table(project)
    assert table["equal"] and table["rejected"] == 1
    assert "1 rows are among the rejects" in project.run("verify", "p").out


def test_a_sample_reads_the_same_keys_on_both_sides(orders, project):
    plant(project)
    part = only_table(project, "--sample", "0.2", expect=3)
    assert 500 < part["read"]["source"]["rows"] < 1500
    assert 3 <= sum(part["differences"].values()) <= 50
    assert 100 < only_table(project, "--sample", "500", expect=None)["read"]["source"]["rows"] < 1000
    assert "neither a fraction" in project.run("verify", "p", "--sample", "some", expect=2).both


def test_parts_make_up_the_whole(orders, project):
    plant(project)
    whole = only_table(project, "--max-differences", "200", expect=3)
    parts = [project.run("verify", "p", "--part", f"{number}/7", "--max-differences", "200", "--output", "json", expect=None).json for number in range(1, 8)]
    tables = [part["tables"][0] for part in parts]
    assert [part["part"] for part in parts] == [{"number": number, "of": 7} for number in range(1, 8)]
    assert sorted(sum((found(table) for table in tables), [])) == found(whole) and all(found(table) for table in tables)
    for side in ("source", "target"):
        rows = [table["read"][side]["rows"] for table in tables]
        assert sum(rows) == whole["read"][side]["rows"] and min(rows) > sum(rows) / 7 * 0.8
    assert "12/7" in project.run("verify", "p", "--part", "12/7", expect=2).both
    project.run("verify", "p", "--part", "1/7", "--sample", "1%", expect=2)


def test_tables_are_compared_by_schedule_part_by_part(orders, project):
    receiver = Receiver()
    project.pipelines(orders, {"p": {"source": {"table": "public.orders"}, "target": REPLACE, "numeric": {"rate": "text"}, "verify": {"schedule": "@every 1s", "parts": 3},
                                     "notify": {"failure": ["chat"]}}}, connections={"chat": {"type": "webhook", "url": receiver.url + "/json"}})
    change(project, "DELETE FROM shop.orders WHERE id = 77")
    server = Serving(project)
    try:
        told = wait_for(lambda: receiver.news())[0]
        assert told["event"] == "verify_failed" and told["pipeline"] == "p" and "public.orders -> shop.orders: different, 1 missing" in told["text"]
        wait_for(lambda: 'penstock_verify_age_seconds{pipeline="p"}' in server.get("/metrics").text)
        assert 'penstock_verify_differences{pipeline="p"} 1' in server.get("/metrics").text
        shown, = project.run("status", "--output", "json").json["pipelines"]
        assert shown["verified"]["differences"] == 1 and len(shown["verified"]["differing_parts"]) == 1 and shown["verified"]["since"]
        project.run("pause", "p:verify")
        wait_for(lambda: server.get("/readyz").json["under_way"] == 0)
    finally:
        server.stop()
        receiver.close()
    project.run("verify", "p", "--repair")
    server = Serving(project)
    try:  # all at once is all parts
        assert 'penstock_verify_differences{pipeline="p"} 0' in server.get("/metrics").text
    finally:
        server.stop()


@pytest.mark.parametrize("pipeline, says", [
    ({"source": {"table": "public.orders"}, "target": REPLACE, "verify": {"schedule": "* * * *"}}, "cron expression"),
    ({"command": {"run": ["true"]}, "verify": {"schedule": "@daily"}}, "is work of another program"),
    ({"source": {"table": "public.orders"}, "target": REPLACE, "verify": {"parts": 3}}, "schedule")])
def test_what_cannot_be_compared_by_schedule_is_found_by_check(pipeline, says, orders, project):
    if "command" in pipeline:
        project.config(connections={}, pipelines={"p": pipeline})
    else:
        project.pipelines(orders, {"p": pipeline})
    refused = project.run("check", expect=2).both
    assert says in refused and "penstock.yaml:" in refused


def test_masked_columns_are_not_compared_nor_shown(orders, project):
    project.pipeline(orders, {"table": "public.orders"}, REPLACE, numeric={"rate": "text"},
                     steps=[{"mask": {"columns": ["customer"], "with": "sha256", "salt": "pepper"}}])
    project.load()
    change(project, "UPDATE shop.orders SET note = 'other' WHERE id = 12")
    output = project.run("verify", "p", expect=3)
    assert "not compared: customer, because a step `mask` changes it on the way" in output.out and "customer " not in output.out.replace("customer, ", "")
    assert found(only_table(project, expect=3)) == [("changed", "12", ("note",))]
    project.pipeline(orders, {"table": "public.orders"}, REPLACE, steps=[{"filter": {"name": "some", "where": "id > 5"}}])
    assert "after a step `filter`" in project.run("verify", "p", expect=2).both


def test_some_tables_of_a_pipeline(orders, project):
    orders.execute("CREATE TABLE parts (id int PRIMARY KEY); INSERT INTO parts VALUES (1), (2)")
    project.pipeline(orders, {"tables": ["public.*"]}, {"dataset": "shop", "mode": "replace"}, numeric={"rate": "text"})
    project.load()
    assert [table["source"] for table in verify(project)["tables"]] == ["public.orders", "public.parts"]
    change(project, "DELETE FROM shop.parts WHERE id = 1")
    assert verify(project, "--table", "orders")["equal"]
    assert not verify(project, "--table", "public.parts", expect=3)["equal"]
    assert "did you mean" in project.run("verify", "p", "--table", "public.part", expect=2).both


def test_a_target_that_is_not_there(orders, project):
    project.warehouse.unlink()
    table = only_table(project, expect=3)
    assert not table["there"] and not table["equal"]
    assert "the target has no such table" in project.run("verify", "p", expect=3).out


def test_a_query_is_compared(orders, project):
    project.pipeline(orders, {"query": "SELECT id, amount FROM orders WHERE amount > 100 -- large ones"}, {**REPLACE, "key": ["id"]})
    project.load()
    assert only_table(project)["equal"]
    orders.execute("UPDATE orders SET amount = 0 WHERE id = 300")
    assert found(only_table(project, expect=3)) == [("extra", "300", ())]


def test_columns_that_one_side_lacks_are_named(orders, project):
    orders.execute("ALTER TABLE orders ADD extra int DEFAULT 1")
    table = only_table(project)
    assert table["equal"] and table["not_compared"] == [{"column": "extra", "reason": "the target has no such column yet"}]


def test_columns_that_cannot_be_compared_are_never_counted_as_equal(orders, project):
    assert verify(project)["complete"]
    orders.execute("ALTER TABLE orders ALTER amount TYPE boolean USING true")
    answer = verify(project)
    table, = answer["tables"]
    assert table["equal"] and not table["complete"] and not answer["complete"] and "amount" not in table["columns"]
    assert table["not_compared"] == [{"column": "amount", "reason": "boolean in the source is no decimal(12,2) as the target has it"}]
    text = project.run("verify", "p").out
    assert "equal in 6 of 7 columns, 5,000 rows" in text and "not compared: amount, because boolean in the source" in text
    orders.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey, ALTER id TYPE boolean USING true")
    project.pipeline(orders, {"table": "public.orders"}, {**REPLACE, "key": ["id"]}, numeric={"rate": "text"})
    assert "its key column id cannot be compared" in project.run("verify", "p", expect=2).both


def test_a_server_with_another_encoding(ascii_server, project):
    from support.postgres import Database

    database = Database(ascii_server, "verified")
    try:
        database.execute("CREATE TABLE orders (id int PRIMARY KEY, v text); INSERT INTO orders VALUES (1, convert_from('\\x6e61c3af7665', 'SQL_ASCII')), (2, 'plain')")
        project.pipeline(database, {"table": "public.orders"}, REPLACE)
        project.load()
        assert only_table(project)["equal"]
        change(project, "UPDATE shop.orders SET v = 'naive' WHERE id = 1")
        assert found(only_table(project, expect=3)) == [("changed", "1", ("v",))]
    finally:
        database.drop()


def test_parquet_is_compared(orders, project):
    orders.execute("ALTER TABLE orders ADD updated_at timestamptz NOT NULL DEFAULT now()")
    project.pipeline(orders, {"table": "public.orders", "cursor": "updated_at"}, {"format": "parquet", "path": "orders/", "mode": "merge", "key": ["id"]},
                     numeric={"rate": "text"})
    project.load()
    orders.execute("UPDATE orders SET customer = 'moved', updated_at = clock_timestamp() WHERE id <= 5")
    assert only_table(project)["newer"] == 5
    project.load()
    table = only_table(project)
    assert table["equal"] and table["newer"] == 0 and table["read"]["target"]["scanned_bytes"] > 0
    orders.execute("UPDATE orders SET customer = 'unseen' WHERE id = 9")  # by hand, without its cursor: the row's xmin still tells
    project.load()
    orders.execute("DELETE FROM orders WHERE id = 10")
    assert found(only_table(project, expect=3)) == [("extra", "10", ())]


# -- change capture ----------------------------------------------------------------------------------------------------
@pytest.fixture
def captured(database, project):
    from support.changes import SCHEMA, capture, drop_slots

    database.execute(SCHEMA)
    yield lambda **more: (capture(database, project, **more), project.load("--drain"))
    drop_slots(database)


@pytest.mark.parametrize("how", [{}, {"target": {"deletes": "soft"}}, {"mode": "history"}], ids=["mirror", "soft", "history"])
def test_captured_tables_are_compared_at_one_position(how, captured, database, project):
    from support.changes import Workload

    captured(**how)
    Workload(database, 11).run(30)
    answer = verify(project)  # drains first
    assert answer["equal"] and len(answer["tables"]) == 5, [table for table in answer["tables"] if not table["equal"]]
    assert all("/" in table["moment"] for table in answer["tables"])
    where = {"mirror": "true", "soft": "NOT _penstock_deleted", "history": "_penstock_valid_to IS NULL AND NOT _penstock_deleted"}
    where = where["history" if how.get("mode") else "soft" if how else "mirror"]
    victim = project.duck_value(f"SELECT min(id) FROM customers WHERE {where}")
    change(project, f"UPDATE customers SET name = coalesce(name, '') || ' ' WHERE id = {victim} AND {where}")
    answer = verify(project, expect=3)
    tables = {table["source"]: table for table in answer["tables"]}
    assert found(tables["public.customers"]) == [("changed", str(victim), ("name",))] and tables["public.customers"]["looks"] == 2
    assert all(table["equal"] for name, table in tables.items() if name != "public.customers")


def test_a_captured_table_is_compared_while_it_is_written(captured, database, project):
    import threading

    from support.changes import Workload

    captured(tables=("customers", "orders"))
    change(project, "DELETE FROM orders WHERE number = 2")
    over = threading.Event()

    def write():
        seed = 0
        while not over.is_set():
            seed += 1
            with database.connect() as session:
                session.execute("UPDATE customers SET balance = balance + 1")
                session.execute("INSERT INTO orders VALUES ('w', %s, 1, '{}', '{}')", [10_000 + seed])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        answer = verify(project, "--table", "orders", expect=3)
    finally:
        over.set()
        writer.join()
    table, = answer["tables"]
    assert found(table, "number") == [("missing", "2", ())], table


# -- repair ------------------------------------------------------------------------------------------------------------
def test_repair_makes_the_rows_equal_and_no_other(orders, project):
    plant(project)
    before = project.duck("SELECT batch, run_id FROM penstock.pipeline_metadata ORDER BY committed_at")
    answer = verify(project, "--repair")
    assert answer["repaired"] == 100 and answer["equal"] and verify(project)["equal"]
    batches = project.duck("SELECT batch, run_id, rows_read, rows_written FROM penstock.pipeline_metadata ORDER BY committed_at")
    assert [row[:2] for row in batches[:-1]] == before and batches[-1][2:] == (90, 90)
    assert verify(project, "--repair")["repaired"] == 0
    assert project.run("verify", "p").code == 0


@pytest.mark.parametrize("point", ["source_read_during", "target_stage_after", "target_merge_after", "target_commit_before", "target_commit_after"])
def test_a_repair_that_is_killed_leaves_the_rows_as_they_were_or_repaired(point, orders, project):
    plant(project)
    project.run("verify", "p", "--repair", expect=-signal.SIGKILL, env={"PENSTOCK_FAILPOINT": f"{point}=kill"})
    table = only_table(project, expect=None)
    assert sum(table["differences"].values()) == (0 if point == "target_commit_after" else 100)
    assert verify(project, "--repair")["equal"]


def test_a_captured_table_is_not_repaired_row_by_row(captured, project):
    captured()
    output = project.run("verify", "p", "--repair", expect=2)
    assert "not repaired row by row" in output.both and "--resnapshot TABLE" in output.both


def test_what_cannot_be_repaired_is_refused(database, project):
    database.execute("CREATE TABLE orders (a text); INSERT INTO orders VALUES ('x'), ('y')")
    project.pipeline(database, {"table": "public.orders"}, REPLACE)
    project.load()
    change(project, "DELETE FROM shop.orders WHERE a = 'x'")
    output = project.run("verify", "p", "--repair", expect=2)
    assert "no key by which the source could be asked" in output.both and "--full-refresh" in output.both


@pytest.mark.parametrize("where", ["parquet", "bigquery"])
def test_repair_in_a_target_that_takes_no_rows_away(where, orders, project, request):
    target, connections = {"format": "parquet", "path": "orders/"}, {}
    if where == "bigquery":
        from support.bigquery import Warehouse

        warehouse = Warehouse(request.getfixturevalue("bigquery"))
        target, connections = {"connection": "bq", "table": "shop.orders"}, warehouse.connection()
    orders.execute("ALTER TABLE orders DROP document, ADD updated_at timestamptz; UPDATE orders SET updated_at = '2026-01-01Z'::timestamptz + id * interval '1 second'")
    project.pipeline(orders, {"table": "public.orders", "cursor": "updated_at", "cursor_lag": "1m"}, {**target, "mode": "merge", "key": ["id"]},
                     numeric={"rate": "text"}, connections=connections)
    project.load()
    # What an increment that reads a stretch of the cursor again does not see.
    orders.execute("UPDATE orders SET customer = 'by hand' WHERE id <= 3; INSERT INTO orders (id, updated_at) VALUES (9001, '2026-01-01Z')")
    project.load()
    by_hand = [("changed", str(row), ("customer",)) for row in (1, 2, 3)] + [("missing", "9001", ())]
    assert found(only_table(project, expect=3)) == by_hand
    answer = verify(project, "--repair")
    assert answer["repaired"] == 4 and answer["equal"]
    orders.execute("DELETE FROM orders WHERE id = 10")
    output = project.run("verify", "p", "--repair", expect=2)
    assert "takes none away by themselves" in output.both and "--full-refresh" in output.both
    if where == "bigquery":
        warehouse.client.close()


# -- BigQuery ----------------------------------------------------------------------------------------------------------
def test_a_key_that_postgresql_cannot_divide(bigquery, database, project):
    from support.bigquery import Warehouse

    warehouse = Warehouse(bigquery)
    database.execute("CREATE TABLE orders (id oid PRIMARY KEY, v int); INSERT INTO orders SELECT i::oid, i FROM generate_series(1, 3000) i")
    project.pipeline(database, {"table": "public.orders"}, {"connection": "bq", "table": "shop.orders", "mode": "replace"}, connections=warehouse.connection())
    project.load()
    assert only_table(project)["partitions"] == 3
    warehouse.client.close()


def test_bigquery_is_compared(bigquery, database, project):
    from support.bigquery import Warehouse

    warehouse = Warehouse(bigquery)
    database.execute("""
        CREATE TABLE orders (id bigint PRIMARY KEY, customer text, amount numeric(12,2), rate float8, note text, at timestamptz, local timestamp,
                             day date, clock time, blob bytea, code uuid, good boolean, document jsonb);
        INSERT INTO orders SELECT i, 'customer ' || i % 97, i * 1.25, i / 7.0, CASE WHEN i % 5 = 0 THEN '' WHEN i % 7 = 0 THEN NULL ELSE 'n' || i END,
          '2026-01-01 00:00:00.000001Z'::timestamptz + i * interval '1 second', '0900-01-01 00:00:00.5'::timestamp + i * interval '1 day', '1999-12-31'::date + i,
          '00:00:00'::time + i * interval '1.5 seconds', decode(md5(i::text), 'hex'), md5(i::text)::uuid, i % 2 = 0, '{"n": 1}' FROM generate_series(1, 3000) i""")
    project.pipeline(database, {"table": "public.orders"}, {"connection": "bq", "table": "shop.orders", "mode": "replace"}, connections=warehouse.connection())
    project.load()
    table = only_table(project)
    assert table["equal"] and table["columns"] == ["id", "customer", "amount", "rate", "note", "at", "local", "day", "clock", "blob", "code", "good"]
    assert table["not_compared"] == [{"column": "document", "reason": "BigQuery keeps JSON in a form of its own"}]
    for statement in ("DELETE FROM shop.orders WHERE id = 1", "UPDATE shop.orders SET customer = customer || ' ' WHERE id = 2",
                      "UPDATE shop.orders SET note = NULL WHERE id = 5", "UPDATE shop.orders SET amount = amount + 0.01 WHERE id = 6",
                      "UPDATE shop.orders SET at = TIMESTAMP_ADD(at, INTERVAL 1 MICROSECOND) WHERE id = 8", "UPDATE shop.orders SET good = NOT good WHERE id = 9"):
        warehouse.rows(statement)
    assert found(only_table(project, expect=3)) == sorted([
        ("missing", "1", ()), ("changed", "2", ("customer",)), ("changed", "5", ("note",)), ("changed", "6", ("amount",)), ("changed", "8", ("at",)), ("changed", "9", ("good",))])
    assert bigquery.stats()["unlimited"] == [], "a query job had no maximumBytesBilled"
    warehouse.client.close()
