"""Change data capture by wal2json: the same equality as by pgoutput, and a refusal wherever wal2json does not tell all."""

import signal
import subprocess
import time

import pytest

from support.changes import SCHEMA, Workload, assert_mirrored, drop_slots
from support.postgres import LOADER, PostgresServer, find_bindir

TABLES = ("customers", "orders", "notes", "logs")  # not the partitioned one


def lists_plugins() -> bool:
    """Newer minor versions load no other output plugins than output_plugin_libraries names; older ones do not know that setting."""
    known = subprocess.run([find_bindir() / "postgres", "--describe-config"], capture_output=True, text=True, check=True).stdout
    return "output_plugin_libraries" in known


@pytest.fixture(scope="module")
def json_server():
    made = PostgresServer(settings="output_plugin_libraries = 'pgoutput,test_decoding,wal2json'\n" if lists_plugins() else "")
    yield made
    made.destroy()


@pytest.fixture
def bare(json_server, make_database):
    made = make_database(json_server)
    yield made
    drop_slots(made)


@pytest.fixture
def shop(bare):
    bare.execute(SCHEMA)
    return bare


def capture(database, project, tables=TABLES, mode="merge", target=None, finite_numbers=True, **changes):
    with database.server.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
    slot = f"slot_{database.name}"
    options = {"tables": [f"public.{table}" for table in tables], "slot": slot, "create": True, "plugin": "wal2json", **changes}
    if finite_numbers:
        options["finite_numbers"] = True
    project.pipeline(database, {"changes": options}, {"dataset": "main", "mode": mode, **(target or {})})
    return slot


class NeverTruncates(Workload):
    """Format 1 leaves TRUNCATE out."""

    def truncate_sometimes(self, session):
        pass


@pytest.mark.parametrize("seed, work, changes", [(1, Workload, {}), (2, Workload, {}), (3, NeverTruncates, {"format_version": 1})])
def test_mixed_workload(shop, project, seed, work, changes):
    capture(shop, project, **changes)
    work = work(shop, seed)
    for _ in range(4):
        project.load()
        assert_mirrored(shop, project, TABLES)
        work.run(60)
    project.load()
    assert_mirrored(shop, project, TABLES)
    assert not project.staging_left() and not project.rejects()


def test_history(shop, project):
    capture(shop, project, mode="history")
    work = Workload(shop, 200)
    project.load()
    for _ in range(3):
        work.run(40)
        project.load()
        assert_mirrored(shop, project, TABLES, where="_penstock_valid_to IS NULL AND NOT _penstock_deleted")


@pytest.mark.parametrize("failpoint", ["slot_create_after", "changes_stream_before", "changes_receive_after", "source_read_during", "target_merge_after",
                                       "target_commit_before", "target_commit_after", "source_confirm_before"])
def test_killed_in_the_snapshot_and_in_the_stream(shop, project, failpoint):
    capture(shop, project)
    work = Workload(shop, 5)
    codes = []

    def killed(visit):
        codes.append(project.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}@{visit}=kill"}).code)

    killed(1)
    work.run(10)
    project.load()
    for visit in (1, 3):
        work.run(15)
        killed(visit)
    project.load()
    assert_mirrored(shop, project, TABLES)
    assert -signal.SIGKILL in codes, codes
    assert not project.staging_left()
    assert len(shop.rows("SELECT 1 FROM pg_replication_slots WHERE database = current_database()")) == 1


KINDS = """SELECT i, ('10.0.' || i || '.1')::inet, round(i / 7.0, 4), i / 3.0, now() + i * interval '1 hour', '2026-01-01'::date + i, i * interval '1 day 2 hours',
    decode(md5(i::text), 'hex'), ARRAY[i, NULL, -i], ARRAY['a"b', NULL, '{,}'], jsonb_build_object('k', i, 's', 'é"'), gen_random_uuid(), int4range(i, i + 5),
    mod(i, 2) = 0, i * 10000000000, i::money, B'101', ARRAY[1.5, 'NaN'], 'néw "line" \\ ' || chr(10) || chr(1) || chr(127), 'sad', i FROM generate_series(%s) i"""
READ_KINDS = ("SELECT id, address, n::VARCHAR, d::VARCHAR, t::VARCHAR, dt::VARCHAR, iv::VARCHAR, hex(b), a::VARCHAR, x::VARCHAR, j::VARCHAR, u::VARCHAR, r::VARCHAR, ok,"
              " big, money_, bits, f::VARCHAR, s, m, p FROM kinds ORDER BY id")


def test_types(bare, project):
    """What the stream brings is what a snapshot reads, of every kind of value; the table has names that need quotes, a domain,
    and a column that is generated."""
    bare.execute("CREATE SCHEMA \"My Schema\"; CREATE TYPE \"My Schema\".mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
    bare.execute("""CREATE TABLE kinds (id int PRIMARY KEY, address inet, n numeric(12,4), d double precision, t timestamptz, dt date, iv interval, b bytea,
        a int[], x text[], j jsonb, u uuid, r int4range, ok boolean, big bigint, money_ money, bits bit varying(9), f float8[], s text, m "My Schema".mood, p positive,
        twice int GENERATED ALWAYS AS (id * 2) STORED)""")
    columns = "id, address, n, d, t, dt, iv, b, a, x, j, u, r, ok, big, money_, bits, f, s, m, p"
    insert = f"INSERT INTO kinds ({columns}) " + KINDS
    bare.execute(insert.replace("%s", "1, 50"))
    capture(bare, project, tables=["kinds"])
    project.load()
    bare.execute(insert.replace("%s", "51, 100"))
    bare.execute("UPDATE kinds SET t = 'infinity', ok = NULL WHERE id = 3; UPDATE kinds SET address = NULL, b = '', s = '' WHERE id = 4; UPDATE kinds SET id = 1000 WHERE id = 5")
    project.load()
    by_stream = project.duck(READ_KINDS)
    project.load("--full-refresh")
    assert len(by_stream) == 100 and by_stream == project.duck(READ_KINDS)


def test_a_nan_is_never_taken_for_null(bare, project):
    bare.execute("CREATE TABLE measures (id int PRIMARY KEY, value float8, weight numeric(9,3)); INSERT INTO measures VALUES (1, 1.5, 2.5)")
    capture(bare, project, tables=["measures"], finite_numbers=False)
    refused = project.load(expect=1)
    assert refused.error["code"] == "nan_written_as_null" and "finite_numbers: true" in refused.error["hint"], refused.output
    assert bare.rows("SELECT 1 FROM pg_replication_slots WHERE database = current_database()") == []
    bare.execute("ALTER TABLE measures ALTER value SET NOT NULL, ALTER weight SET NOT NULL")
    project.load()
    bare.execute("UPDATE measures SET value = 3; INSERT INTO measures VALUES (2, 0, -1)")
    project.load()
    assert_mirrored(bare, project, ["measures"])
    bare.execute("INSERT INTO measures VALUES (3, 'NaN', 1)")
    stopped = project.load(expect=1)
    assert stopped.error["code"] == "special_number" and "value" in stopped.error["message"], stopped.output


def test_columns_come_and_go(shop, project):
    capture(shop, project, tables=["customers", "orders"])
    project.load()
    shop.execute("UPDATE customers SET balance = 3 WHERE id = 3")
    shop.execute("ALTER TABLE customers ADD COLUMN points int DEFAULT 7, ADD COLUMN remark text")
    shop.execute("UPDATE customers SET remark = 'r' WHERE id = 4")
    shop.execute("INSERT INTO customers (id, name) VALUES (6001, 'new')")
    project.load()
    assert_mirrored(shop, project, ["customers"])
    shop.execute("ALTER TABLE customers DROP COLUMN points")
    shop.execute("UPDATE customers SET remark = 'd' WHERE id = 6; DELETE FROM customers WHERE id = 7")
    project.load()
    assert_mirrored(shop, project, ["customers"])
    shop.execute("UPDATE customers SET balance = 2 WHERE id = 2; ALTER TABLE customers ALTER COLUMN balance TYPE numeric(14,2); UPDATE customers SET balance = 3 WHERE id = 3")
    project.load()
    assert_mirrored(shop, project, ["customers"])


def test_a_narrowed_column_is_a_changed_type(shop, project):
    capture(shop, project, tables=["customers"], on_rewrite="stop")
    project.load()
    shop.execute("UPDATE customers SET balance = 4.5 WHERE id = 4; ALTER TABLE customers ALTER COLUMN balance TYPE numeric(12,0)")
    refused = project.load(expect=1)
    assert refused.error["code"] == "type_changed", refused.output


def test_long_keys_out_of_line(shop, project):
    shop.execute("CREATE TABLE long_keys (k text PRIMARY KEY, v int, body text); ALTER TABLE long_keys ALTER k SET STORAGE EXTERNAL, ALTER body SET STORAGE EXTERNAL;"
                 "INSERT INTO long_keys SELECT string_agg(md5(i::text || j), ''), i, repeat(md5(i::text), 99) FROM generate_series(1, 9) i, generate_series(1, 80) j GROUP BY i")
    capture(shop, project, tables=["long_keys"])
    project.load()
    shop.execute("UPDATE long_keys SET v = v + 100 WHERE v < 5; UPDATE long_keys SET k = reverse(k) WHERE v = 6; UPDATE long_keys SET v = 60 WHERE v = 6; DELETE FROM long_keys WHERE v = 7")
    project.load()
    assert_mirrored(shop, project, ["long_keys"])


def test_one_large_transaction_within_the_budget(shop, project):
    capture(shop, project, tables=["customers"])
    project.load()
    shop.execute("INSERT INTO customers SELECT i, repeat(md5(i::text), 10), 1 FROM generate_series(10000, 209999) i")
    run = project.load(timeout=120).run()
    assert run["rows_written"] == 200_000 and run["peak_memory_bytes"] < 512 << 20
    query = "SELECT count(*), sum(id), count(DISTINCT id) FROM customers"
    assert project.duck(query) == shop.rows(query)


def test_a_table_that_is_swapped_while_it_is_followed_is_noticed(shop, project):
    capture(shop, project, tables=["customers"], on_rewrite="stop")
    project.load()
    running = project.start("run", "--all", "--follow", "--output", "json")
    deadline = time.monotonic() + 20
    while not shop.rows("SELECT 1 FROM pg_replication_slots WHERE active AND database = current_database()") and time.monotonic() < deadline:
        time.sleep(0.1)
    with shop.connect() as session:
        session.autocommit = False
        session.execute("ALTER TABLE customers RENAME TO customers_old; CREATE TABLE customers (LIKE customers_old INCLUDING ALL);"
                        "INSERT INTO customers VALUES (1, 'of another table', 1)")
        session.commit()
    output = running.wait(60)
    assert output.code == 1 and "table_changed" in output.out + output.err or "table_left_behind" in output.out, output
    assert project.duck_value("SELECT count(*) FROM customers WHERE name = 'of another table'") == 0


def test_changes_that_wal2json_left_out_are_noticed(shop, project):
    """Without a publication PostgreSQL lets rows be changed that have no identity; wal2json leaves them out, with a warning."""
    capture(shop, project, tables=["customers"], on_rewrite="stop")
    project.load()
    shop.execute("ALTER TABLE customers REPLICA IDENTITY NOTHING; UPDATE customers SET balance = 7 WHERE id = 7; ALTER TABLE customers REPLICA IDENTITY DEFAULT")
    refused = project.load(expect=1)
    assert refused.error["code"] == "identity_changed" and "left" in refused.error["message"] or "leaves" in refused.error["message"], refused.output
    project.load("--full-refresh")
    assert_mirrored(shop, project, ["customers"])


def test_another_plugin_for_the_slot_is_refused(shop, project):
    slot = capture(shop, project, tables=["customers"])
    project.load()
    shop.execute("CREATE PUBLICATION pub FOR TABLE customers")
    changes = {"tables": ["public.customers"], "slot": slot, "publication": "pub"}
    project.pipeline(shop, {"changes": changes}, {"dataset": "main"})
    refused = project.load(expect=2)
    assert refused.error["code"] == "slot_plugin" and "plugin: wal2json" in refused.error["hint"], refused.output


def test_what_wal2json_cannot_do_is_refused(shop, project, database):
    capture(shop, project, tables=["parts"])
    refused = project.load(expect=1)
    assert refused.error["code"] == "partitions_by_name" and "pgoutput" in refused.error["hint"], refused.output
    for options, said in (({"publication": "pub"}, "knows nothing of publications"), ({"plugin": "pgoutput"}, "is about wal2json"),
                          ({"origin": "none"}, "by their origin"), ({"plugin": "pgoutput", "finite_numbers": None}, "'publication' is missing")):
        capture(shop, project, tables=["customers"], finite_numbers="finite_numbers" not in options, **{k: v for k, v in options.items() if v is not None})
        assert said in project.run("check", expect=2).both


def test_a_server_that_does_not_allow_it(database, project):
    database.execute("CREATE TABLE customers (id int PRIMARY KEY)")
    capture(database, project, tables=["customers"])
    if not lists_plugins():
        assert project.load().run()["status"] == "success"
        return
    refused = project.load(expect=1)
    assert refused.error["code"] == "plugin_not_allowed" and "output_plugin_libraries" in refused.error["hint"], refused.output
