"""Steps between source and target: what they make of rows, what is counted, rejected and hidden."""

import hashlib
import json

import pytest

from support.shop import make_orders

PEOPLE = """
    CREATE TABLE people (id int PRIMARY KEY, email text, phone text, amount text, status text, at timestamptz NOT NULL DEFAULT now());
    INSERT INTO people (id, email, phone, amount, status)
    SELECT i, 'Person' || i || '@example.com', '+43 660 ' || (1000000 + i), (i * 1.25)::numeric(12,2)::text,
           CASE WHEN i % 4 = 0 THEN 'test' WHEN i % 10 = 1 THEN NULL ELSE 'live' END
    FROM generate_series(1, {rows}) i"""
PEOPLE_WHOLE = {"table": "public.people"}
INTO = {"table": "shop.people", "mode": "replace"}


def make_people(database, rows: int = 100) -> None:
    database.execute(PEOPLE.format(rows=rows))


def everything_written(project) -> bytes:
    """All bytes that a run left anywhere but in the configuration."""
    return b"".join(path.read_bytes() for path in project.folder.rglob("*") if path.is_file() and path.name != "penstock.yaml")


# -- what steps make of rows --------------------------------------------------------------------------------------------------
def test_sql_sees_the_rows_as_batch(database, project):
    make_people(database, 5000)
    project.pipeline(database, PEOPLE_WHOLE, INTO, steps=[{"sql": "SELECT id, lower(email) AS email_lc FROM batch -- all\n;"}])
    assert project.load().counts() == (5000, 5000, 0, 0)
    assert project.duck("SELECT id, email_lc FROM shop.people ORDER BY id") == [
        (i, f"person{i}@example.com") for i in range(1, 5001)]


def test_steps_follow_one_another(database, project):
    make_people(database)
    project.pipeline(database, PEOPLE_WHOLE, INTO, steps=[
        {"rename": {"email": "mail", "status": "state"}},
        {"cast": {"amount": "DECIMAL(12,2)"}},
        {"filter": {"name": "only_live", "where": "state = 'live'"}},
        {"sql": "WITH doubled AS (SELECT *, amount * 2 AS twice FROM batch) SELECT * FROM doubled"},
        {"hash": {"columns": ["id", "mail"], "into": "person_key"}},
        {"drop": ["phone", "at"]}])
    rows = database.rows("SELECT id, email, amount::numeric, amount::numeric * 2 FROM people WHERE status = 'live' ORDER BY id")
    assert project.load().counts() == (100, len(rows), 0, 100 - len(rows))
    assert project.duck("SELECT column_name FROM duckdb_columns() WHERE schema_name = 'shop' ORDER BY column_index") == [
        (name,) for name in ("id", "mail", "amount", "state", "twice", "person_key")]
    assert project.duck("SELECT id, mail, amount, twice FROM shop.people ORDER BY id") == rows
    for id, mail, key in project.duck("SELECT id, mail, person_key FROM shop.people"):
        assert key == hashlib.sha256(json.dumps([str(id), mail], separators=(",", ":")).encode()).hexdigest()


@pytest.mark.parametrize("target", [{"table": "shop.kinds", "mode": "replace"},
                                    {"format": "parquet", "path": "kinds/", "mode": "replace"}], ids=["duckdb", "parquet"])
def test_values_of_all_kinds_go_through_untouched(target, database, make_project):
    database.execute("""
        CREATE TABLE kinds (id int PRIMARY KEY, b boolean, s smallint, l bigint, r real, d double precision, n numeric(30,4),
            t text, j jsonb, y bytea, u uuid, da date, ti time, ts timestamp, tz timestamptz, ta text[], na int[]);
        INSERT INTO kinds SELECT i, i % 2 = 0, i, i * 1e12, i / 3.0, i / 7.0, i * 1e20, repeat('long text ', i % 5), '{"a": [1, null]}',
            '\\x00ff', gen_random_uuid(), date '2024-01-01' + i, '12:34:56.789', '2024-01-01 01:02:03.000004', now(),
            ARRAY['a', NULL, repeat('b', i % 40)], CASE WHEN i % 3 = 0 THEN NULL ELSE ARRAY[i, NULL, 3] END
            FROM generate_series(1, 3000) i;
        INSERT INTO kinds (id) VALUES (0)""")
    found = []
    for steps in (None, [{"sql": "SELECT * FROM batch"}]):
        project = make_project()
        project.pipeline(database, {"table": "public.kinds"}, dict(target), **({"steps": steps} if steps else {}))
        assert project.load().counts() == (3001, 3001, 0, 0)
        read = project.duck if "table" in target else lambda sql: project.parquet("kinds", sql)
        table = "shop.kinds" if "table" in target else "data"
        found.append((read(f"DESCRIBE SELECT * FROM {table}"), read(f"SELECT * FROM {table} ORDER BY id")))
    assert found[0] == found[1]


def test_steps_for_some_tables_only(database, project):
    make_people(database, 3)
    make_orders(database, 3)
    project.pipeline(database, {"tables": ["public.*"]}, {"dataset": "shop", "mode": "replace"},
                     steps=[{"mask": {"columns": "email", "with": "redact"}, "tables": ["public.people"]}])
    assert project.load().counts() == (6, 6, 0, 0)
    assert project.duck("SELECT DISTINCT email FROM shop.people") == [("***",)]
    assert project.duck_value("SELECT count(customer) FROM shop.orders") == 3


def test_an_increment_goes_through_the_steps_too(database, project):
    make_people(database, 50)
    project.pipeline(database, {"table": "public.people", "cursor": "at"}, {"table": "shop.people"},
                     steps=[{"rename": {"id": "person", "at": "changed_at"}}, {"mask": {"columns": ["email"], "salt": "pepper-and"}}])
    assert project.load().counts() == (50, 50, 0, 0)
    database.execute("UPDATE people SET email = 'new@example.com', at = clock_timestamp() WHERE id = 7")
    project.load()
    digest = hashlib.sha256(b"pepper-andnew@example.com").hexdigest()
    assert project.duck("SELECT person, email FROM shop.people WHERE person = 7") == [(7, digest)]
    assert project.duck_value("SELECT count(*) FROM shop.people") == 50


def test_the_shape_is_told_before_a_run(database, project):
    make_people(database)
    project.pipeline(database, PEOPLE_WHOLE, INTO, steps=[{"cast": {"amount": "DECIMAL(12,2)"}}, {"drop": "phone"}])
    columns = project.run("types", "p", "--output", "json").json
    assert "phone" not in json.dumps(columns) and "DECIMAL(12,2)" in json.dumps(columns)


# -- counts and rejects -----------------------------------------------------------------------------------------------------
def test_a_value_that_a_cast_cannot_hold_is_rejected_with_its_row(database, project):
    make_people(database, 5000)
    database.execute("UPDATE people SET amount = 'many' WHERE id IN (17, 3000); UPDATE people SET amount = '1.239' WHERE id = 18")
    project.pipeline(database, PEOPLE_WHOLE, INTO, on_reject="continue",
                     steps=[{"filter": {"name": "not_five", "where": "id <> 5"}}, {"cast": {"amount": "DECIMAL(12,2)", "phone": "VARCHAR"}}])
    assert project.load().counts() == (5000, 4996, 3, 1)
    rejects = sorted(project.rejects(), key=lambda reject: json.loads(reject["key"])["id"])
    assert [json.loads(reject["key"]) for reject in rejects] == [{"id": 17}, {"id": 18}, {"id": 3000}]
    for reject, value in zip(rejects, ("many", "1.239", "many")):
        assert reject["column"] == "amount" and reject["code"] == "step_failed" and reject["table"] == "public.people"
        assert reject["reason"].startswith("cast: ") and value in reject["reason"]
        assert json.loads(reject["payload"])["amount"] == value
    database.execute("UPDATE people SET amount = '1' WHERE id IN (17, 18, 3000)")
    project.run("rejects", "replay", "p")
    assert project.duck_value("SELECT count(*) FROM shop.people") == 4999
    assert [row[0] for row in project.duck("SELECT amount FROM shop.people WHERE id IN (17, 18, 3000)")] == [1, 1, 1]


def test_a_reject_stops_the_run_unless_told_otherwise(database, project):
    make_people(database)
    database.execute("UPDATE people SET amount = 'many' WHERE id = 17")
    project.pipeline(database, PEOPLE_WHOLE, INTO, steps=[{"cast": {"amount": "DECIMAL(12,2)"}}])
    error = project.load(expect=1).error
    assert "many" in error["message"] and "amount" in error["message"] and '"id":17' in error["message"]


@pytest.mark.parametrize("source, type, good, bad", [
    ("text", "INTEGER", ["1", " -7 ", "5.00"], ["1.5", "1e3", "99999999999", ""]),
    ("text", "DECIMAL(6,2)", ["1.5", ".25", "1.500", "-0"], ["1.234", "12345.00", "x"]),
    ("text", "DATE", ["2024-02-29"], ["2024-02-30", "2024-01-01 10:00:00"]),
    ("text", "TIMESTAMP", ["2024-01-01 10:00:00.123456"], ["2024-01-01 10:00:00.1234567"]),
    ("text", "JSON", ['{"a": 1}'], ["{a"]),
    ("float8", "INTEGER", ["3"], ["3.5", "1e20", "NaN"]),
    ("numeric(10,3)", "DECIMAL(10,1)", ["1.5"], ["1.55"]),
    ("bigint", "DOUBLE", ["9007199254740992"], ["9007199254740993"]),
    ("timestamp", "DATE", ["2024-01-01"], ["2024-01-01 00:00:01"])])
def test_casts_are_exact_or_rejected(source, type, good, bad, database, project):
    database.execute(f"CREATE TABLE t (id serial PRIMARY KEY, v {source}); INSERT INTO t (v) VALUES (NULL)")
    for value in good + bad:
        database.execute(f"INSERT INTO t (v) VALUES ('{value}')")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "replace"}, on_reject="continue",
                     steps=[{"cast": {"v": type}}])
    assert project.load().counts() == (len(good + bad) + 1, len(good) + 1, len(bad), 0)
    assert [row[0] for row in project.duck("SELECT id FROM shop.t ORDER BY id")] == list(range(1, len(good) + 2))


def test_aggregates_count_what_they_fold_as_filtered(database, project):
    make_people(database, 2048)
    project.pipeline(database, PEOPLE_WHOLE, INTO, parallel=1,
                     steps=[{"sql": "SELECT status, count(*) AS people FROM batch GROUP BY status"}])
    report = project.load()
    read, written, rejected, filtered = report.counts()
    assert (read, rejected) == (2048, 0) and written + filtered == 2048
    assert dict(project.duck("SELECT status, sum(people) FROM shop.people GROUP BY status")) == dict(
        database.rows("SELECT status, count(*) FROM people GROUP BY status"))


# -- what must not be seen --------------------------------------------------------------------------------------------------
def test_masked_values_are_nowhere(database, project):
    make_people(database)
    database.execute("UPDATE people SET amount = 'many' WHERE id = 17; ALTER TABLE people ADD born date DEFAULT '2000-01-01';"
                     "UPDATE people SET born = 'infinity' WHERE id = 18")
    project.pipeline(database, PEOPLE_WHOLE, {"format": "parquet", "path": "people/", "mode": "replace"}, on_reject="continue", steps=[
        {"cast": {"amount": "DECIMAL(12,2)"}},
        {"rename": {"email": "mail"}},
        {"mask": {"columns": ["mail"], "with": "sha256", "salt": "${SALT}"}},
        {"mask": {"columns": ["phone"], "with": "partial", "keep": 2}}])
    output = project.run("run", "p", "--log-level", "debug", env={"SALT": "a-long-salt"})
    assert "example.com" not in output.both and "a-long-salt" not in output.both
    rows = project.parquet("people", "SELECT id, mail, phone FROM data ORDER BY id")
    assert len(rows) == 98 and rows[0] == (1, hashlib.sha256(b"a-long-saltPerson1@example.com").hexdigest(), "*" * 13 + "01")
    rejects = {json.loads(reject["key"])["id"]: reject for reject in project.rejects()}
    assert set(rejects) == {17, 18}
    for reject in rejects.values():
        payload = json.loads(reject["payload"])
        assert payload["email"] == "***" and payload["phone"] == "***"
    assert b"example.com" not in everything_written(project) and b"+43 660" not in everything_written(project)


@pytest.mark.parametrize("mask, expected", [
    ({"with": "redact"}, "***"), ({"with": "nullify"}, None), ({"with": "partial", "keep": 3}, "*" * 16 + "com"),
    ({"with": "partial", "keep": 60}, "*" * 19), ({}, hashlib.sha256(b"Person1@example.com").hexdigest())])
def test_masks(mask, expected, database, project):
    make_people(database, 1)
    database.execute("INSERT INTO people (id) VALUES (2)")
    project.pipeline(database, PEOPLE_WHOLE, INTO, steps=[{"mask": {"columns": "email", **mask}}])
    project.load()
    assert project.duck("SELECT email FROM shop.people ORDER BY id") == [(expected,), (None,)]


# -- refusals ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("step, code, says", [
    ({"drop": ["emial"]}, "step_column_missing", "did you mean 'email'"),
    ({"rename": {"email": "phone"}}, "step_column_twice", "phone"),
    ({"cast": {"amount": "MONEY"}}, "step_type_unknown", "MONEY"),
    ({"sql": "SELECT nothing FROM batch"}, "step_refused", "nothing"),
    ({"sql": "SELECT sum(id) AS s FROM batch"}, "step_type_unknown", "HUGEINT"),
    ({"sql": "SELECT * FROM read_csv('/etc/passwd')"}, "step_refused", "disabled"),
    ({"mask": {"columns": ["id"], "with": "redact"}}, "step_wants_text", "int32"),
    ({"drop": "at"}, "step_takes_cursor", "cursor"),
    ({"drop": "email", "tables": ["public.peple"]}, "step_table_missing", "public.people")])
def test_steps_that_do_not_go_with_the_table(step, code, says, database, project):
    make_people(database, 3)
    project.pipeline(database, {**PEOPLE_WHOLE, "cursor": "at"}, {"table": "shop.people"}, steps=[step])
    error = project.load(expect=2).error
    assert error["code"] == code and says in error["message"] + error["hint"], error
    assert "penstock.yaml:" in error["where"] and error["hint"]


def test_rows_are_not_multiplied(database, project):
    make_people(database, 3)
    project.pipeline(database, PEOPLE_WHOLE, INTO, steps=[{"sql": "SELECT id, unnest([1, 2]) AS n FROM batch"}])
    error = project.load(expect=1).error
    assert error["code"] == "step_multiplies_rows" and "6 rows of 3" in error["message"]


# -- lookup -----------------------------------------------------------------------------------------------------------------
COUNTRIES = "code,country_name,region\nAT,Austria,Europe\nPE,Peru,America\n"


def make_visits(database, rows: int = 90) -> None:
    database.execute(f"""CREATE TABLE visits (id int PRIMARY KEY, country text);
        INSERT INTO visits SELECT i, CASE i % 3 WHEN 0 THEN 'AT' WHEN 1 THEN 'PE' ELSE 'XX' END FROM generate_series(1, {rows}) i""")


VISITS = {"source": {"table": "public.visits"}, "target": {"table": "shop.visits", "mode": "replace"}}
LOOKUP = {"file": "countries.csv", "on": {"country": "code"}, "columns": ["country_name", "region"]}


@pytest.mark.parametrize("missing, counts", [("keep", (90, 90, 0, 0)), ("filter", (90, 60, 0, 30)), ("reject", (90, 60, 30, 0))])
def test_lookup_adds_columns_of_a_file(missing, counts, database, project):
    make_visits(database)
    project.write(COUNTRIES, "countries.csv")
    project.pipeline(database, **VISITS, on_reject="continue", steps=[{"lookup": {**LOOKUP, "missing": missing}}])
    assert project.load().counts() == counts
    rows = project.duck("SELECT DISTINCT country, country_name, region FROM shop.visits ORDER BY country")
    assert rows == [("AT", "Austria", "Europe"), ("PE", "Peru", "America")] + ([("XX", None, None)] if missing == "keep" else [])
    assert all("no such key" in reject["reason"] for reject in project.rejects())


@pytest.mark.parametrize("name, sql", [("c.parquet", "COPY (SELECT * FROM c) TO '{}'"),
                                       ("c.ndjson", "COPY (SELECT * FROM c) TO '{}' (FORMAT json)"),
                                       ("c.csv.gz", "COPY (SELECT * FROM c) TO '{}' (HEADER, COMPRESSION gzip)")])
def test_lookup_files_of_all_kinds(name, sql, database, project):
    import duckdb
    make_visits(database)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE c AS SELECT 'AT' AS code, 'Austria' AS country_name, 'Europe' AS region")
        connection.execute(sql.format(project.folder / name))
    project.pipeline(database, **VISITS, steps=[{"lookup": {**LOOKUP, "file": name, "missing": "filter"}}])
    assert project.load().counts() == (90, 30, 0, 60)


@pytest.mark.parametrize("content, lookup, code", [
    (None, {}, "lookup_not_read"), ("code,code2\n", {}, "lookup_column_missing"),
    (COUNTRIES + "AT,Austria again,Europe\n", {}, "lookup_not_unique"),
    (COUNTRIES, {"columns": ["country_nam"]}, "lookup_column_missing"), (COUNTRIES, {"on": {"cuntry": "code"}}, "step_column_missing")])
def test_lookups_that_are_refused(content, lookup, code, database, project):
    make_visits(database, 3)
    if content is not None:
        project.write(content, "countries.csv")
    project.pipeline(database, **VISITS, steps=[{"lookup": {**LOOKUP, **lookup}}])
    error = project.load(expect=2).error
    assert error["code"] == code and "penstock.yaml:" in error["where"] and error["hint"], error


# -- dedupe -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("target", [{"table": "shop.events", "mode": "replace"},
                                    {"format": "parquet", "path": "events/", "mode": "replace"}], ids=["duckdb", "parquet"])
def test_dedupe_lets_the_first_row_of_a_key_through(target, database, project):
    database.execute("""CREATE TABLE events (n serial, event_id uuid, kind text, tags text[]);
        INSERT INTO events (event_id, kind, tags)
        SELECT md5((i % 7000)::text)::uuid, NULLIF('kind of event number ' || i % 7000 % 5, 'kind of event number 3'), ARRAY['tag' || i % 7000]
        FROM generate_series(1, 20000) i""")
    project.pipeline(database, {"table": "public.events"}, target, steps=[
        {"dedupe": {"key": ["event_id", "kind"]}}, {"sql": "SELECT n, event_id, kind, tags[1] AS tag, tags FROM batch"}])
    assert project.load().counts() == (20000, 7000, 0, 13000)
    sql = "SELECT event_id::text, kind, tag, tags FROM {} ORDER BY 1"
    stored = project.duck(sql.format("shop.events")) if "table" in target else project.parquet("events", sql.format("data"))
    assert stored == database.rows("SELECT DISTINCT event_id::text, kind, tags[1], tags FROM events ORDER BY 1")


def test_dedupe_that_cannot_hold_all_keys_ends_the_run(database, project):
    make_people(database, 50)
    project.pipeline(database, PEOPLE_WHOLE, INTO, steps=[{"dedupe": {"key": "id", "keys": 49}}])
    error = project.load(expect=1).error
    assert error["code"] == "dedupe_full" and "within" in error["hint"]
    project.pipeline(database, PEOPLE_WHOLE, INTO, steps=[{"dedupe": {"key": "id", "keys": 49, "within": "1h"}}])
    assert project.load().counts() == (50, 50, 0, 0)


# -- program ----------------------------------------------------------------------------------------------------------------
RULES = """
import os, sys
import pyarrow as pa
import pyarrow.compute as pc

def rule(batch):
    {rule}
    return batch.append_column("twice", pc.multiply(batch["id"], 2))

rows = pa.ipc.open_stream(sys.stdin.buffer)
empty = pa.RecordBatch.from_pylist([], schema=rows.schema)
with pa.ipc.new_stream(sys.stdout.buffer, rule(empty).schema) as out:
    for batch in rows:
        out.write_batch(rule(batch))
print("done with", os.environ["PENSTOCK_TABLE"], file=sys.stderr)
"""


def with_program(project, database, script: str, **more) -> None:
    import sys
    project.write(script, "rules.py")
    project.pipeline(database, PEOPLE_WHOLE, INTO, steps=[{"program": {"command": [sys.executable, "rules.py"], **more}}], retries={"max": 0})


@pytest.mark.parametrize("rule, left", [("pass", 5000), ("batch = batch.filter(pc.equal(batch['status'], 'live'))", None)])
def test_rows_go_through_a_program(rule, left, database, project):
    make_people(database, 5000)
    left = left or database.value("SELECT count(*) FROM people WHERE status = 'live'")
    with_program(project, database, RULES.format(rule=rule))
    report = project.load()
    assert report.counts() == (5000, left, 0, 5000 - left)
    assert "done with public.people" in report.output.err
    assert project.duck_value("SELECT count(*) FROM shop.people WHERE twice = 2 * id") == left
    assert project.duck("SELECT id, email, amount FROM shop.people ORDER BY id LIMIT 1") == database.rows(
        "SELECT id, email, amount FROM people WHERE status = 'live' OR %s ORDER BY id LIMIT 1" % (left == 5000))


@pytest.mark.parametrize("script, code, says", [
    ("import sys; sys.exit('no licence')", "program_failed", "exit code 1: no licence"),
    ("print('hello')", "program_output", "no Arrow IPC stream"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "program_failed", "signal 9"),
    ("import time; time.sleep(60)", "program_timeout", "1 s"),
    (RULES.format(rule="pass") + "\nsys.exit(3)", "program_failed", "exit code 3"),
    (RULES.format(rule="1 / 0 if batch.num_rows else 0"), "program_failed", "ZeroDivisionError"),
    (RULES.format(rule="batch = pa.concat_batches([batch, batch])"), "step_multiplies_rows", "made"),
    ("import sys, pyarrow as pa; r = pa.ipc.open_stream(sys.stdin.buffer); w = pa.ipc.new_stream(sys.stdout.buffer, r.schema); w.close()",
     "program_failed", "stopped reading")],
    ids=["fails", "no-arrow", "killed", "silent", "fails-late", "fails-in-rows", "multiplies", "stops-reading"])
def test_programs_that_fail(script, code, says, database, project):
    make_people(database, 200000 if "stop" in says else 3000)
    with_program(project, database, script, timeout="1s" if "timeout" in code else "20s")
    error = project.load(expect=1).error
    assert error["code"] == code and says in error["message"], error
    assert not project.warehouse.exists() or project.duck("SELECT 1 FROM duckdb_tables() WHERE table_name = 'people'") == []


def test_a_program_that_is_not_there(database, project):
    make_people(database, 3)
    project.pipeline(database, PEOPLE_WHOLE, INTO, steps=[{"program": {"command": ["./no-such-program"]}}])
    error = project.load(expect=2).error
    assert error["code"] == "program_not_started" and "penstock.yaml:" in error["where"]
