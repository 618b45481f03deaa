"""The type oracle. Every file in cases/ is one source type: PostgreSQL makes and renders the values, DuckDB and Arrow
read back what two pipelines stored, and each value is equal or in the rejects with a reason the contract allows."""

import os
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.dataset
import pytest
import yaml

from support.kinds import DUCKDB, MAY, PARQUET, Kind, kind_of, plain
from support.postgres import Database
from support.program import Report, key_of

HERE = Path(__file__).parent
ROWS = int(os.environ.get("PENSTOCK_TYPES_ROWS", 2000))
SEED = int(os.environ.get("PENSTOCK_TYPES_SEED", random.SystemRandom().randrange(10**6)))


@dataclass
class Case:
    name: str
    type: str
    kind: str
    random: str
    values: list = field(default_factory=list)
    expressions: list = field(default_factory=list)
    setup: str = ""
    options: dict = field(default_factory=dict)
    duckdb: str = ""
    arrow: str = ""

    @property
    def table(self) -> str:
        return f"oracle.{self.name}"


CASES = {path.stem: Case(path.stem, **yaml.safe_load(path.read_text())) for path in sorted((HERE / "cases").glob("*.yaml"))}


@pytest.fixture(scope="module")
def oracle(server):
    """One database for all cases. Its defaults are set to be as unhelpful as a real one's may be."""
    database = Database(server, f"oracle_{os.getpid()}")
    database.execute("CREATE SCHEMA oracle")
    database.execute((HERE / "random.sql").read_text())
    for setting in ("DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'",
                    "extra_float_digits = 0", "bytea_output = 'escape'", "xmloption = 'document'"):
        database.execute(f"ALTER DATABASE {database.name} SET {setting}")
    yield database
    database.drop()


def ground_truth(database: Database, sql: str) -> list[tuple]:
    """Rows as PostgreSQL's output functions render them, under the settings the contract names."""
    with psycopg.connect(database.server.dsn(database.name), autocommit=True) as session:
        for setting in ("DateStyle = 'ISO, MDY'", "IntervalStyle = 'postgres'", "TimeZone = 'UTC'",
                        "extra_float_digits = 1", "bytea_output = 'hex'"):
            session.execute(f"SET {setting}")
        result = session.execute(sql).pgresult
        return [tuple(None if (cell := result.get_value(row, column)) is None else cell.decode("utf-8", "surrogateescape")
                      for column in range(result.nfields)) for row in range(result.ntuples)]


def make_table(database: Database, case: Case) -> None:
    if database.value("SELECT to_regclass(%s) IS NOT NULL", [case.table]):
        return
    if case.setup:
        database.execute(case.setup)
    database.execute(f"CREATE TABLE {case.table} (id bigint PRIMARY KEY, v {case.type})")
    extremes = [f"CAST('{value.replace(chr(39), chr(39) * 2)}' AS {case.type})" for value in map(str, case.values)]
    for number, expression in enumerate(extremes + case.expressions):
        database.execute(f"INSERT INTO {case.table} VALUES ({number}, {expression})")
    with database.connect() as session:
        session.execute("SELECT setseed(%s)", [(SEED % 10**6) / 10**6])
        session.execute(f"INSERT INTO {case.table} SELECT 1000 + i, {case.random} FROM generate_series(1, {ROWS}) AS i")
    database.execute(f"INSERT INTO {case.table} VALUES (999, NULL)")


def read_duckdb(project, table: str, kind: Kind) -> tuple[dict, str]:
    with duckdb.connect(str(project.warehouse), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        declared = connection.execute("SELECT data_type FROM duckdb_columns() WHERE schema_name || '.' || table_name = ?"
                                      " AND column_name = 'v'", [table]).fetchone()[0]
        read = connection.execute(f"SELECT id, {kind.duck('v')} AS v FROM {table}").to_arrow_table()
    return values_by_id(read, kind, DUCKDB), declared


def read_parquet(project, folder: str, kind: Kind) -> tuple[dict, str]:
    read = pa.dataset.dataset(project.data_files(folder), format="parquet").to_table()
    return values_by_id(read, kind, PARQUET), str(read.schema.field("v").type)


def values_by_id(read: pa.Table, kind: Kind, target: str) -> dict:
    ids = read.column("id").to_pylist()
    assert len(ids) == len(set(ids)), "a row was stored twice"
    return {str(row): None if value is None else kind.value(value, target)
            for row, value in zip(ids, plain(read.column("v")))}


def compare(truth: list[tuple], stored: dict, rejected: dict, kind: Kind, target: str) -> None:
    """Every row of the source is in exactly one of `stored` (equal) and `rejected` (for a reason that holds)."""
    wrong = []
    for row, text in truth:
        value = None if text is None else kind.parse(text)
        problem, expected = None if value is None else kind.problem(value, target), kind.held(value, target)
        shown = repr(text)[:200]
        if (row in stored) == (row in rejected):
            wrong.append(f"{shown}: {'stored and rejected' if row in stored else 'neither stored nor rejected'}")
        elif row in rejected:
            reject = rejected[row]
            if problem is None:
                wrong.append(f"{shown}: rejected without need: {reject['code']}: {reject['reason']}")
            elif problem != MAY and not re.search(problem, f"{reject['code']} {reject['reason']}"):
                wrong.append(f"{shown}: the reason should match {problem!r}: {reject['code']}: {reject['reason']}")
        elif problem not in (None, MAY):
            wrong.append(f"{shown}: cannot be held, yet stored as {stored[row]!r}")
        elif stored[row] != expected:
            wrong.append(f"{shown}: expected {str(expected)[:200]}, stored {str(stored[row])[:200]}")
    assert not wrong, f"{len(wrong)} of {len(truth)} values (PENSTOCK_TYPES_SEED={SEED}):\n" + "\n".join(wrong[:15])
    assert set(stored) <= {row for row, _ in truth}


def load(project, database: Database, case: Case, target: str) -> Report:
    where = ({"table": "types.v", "mode": "append"} if target == DUCKDB else {"format": "parquet", "path": "types/"})
    project.pipeline(database, {"table": case.table}, where, on_reject="continue", **case.options)
    return project.load()


@pytest.mark.parametrize("target", [DUCKDB, PARQUET])
@pytest.mark.parametrize("name", CASES)
def test_type(name, target, oracle, project):
    case = CASES[name]
    print(f"PENSTOCK_TYPES_SEED={SEED} PENSTOCK_TYPES_ROWS={ROWS}")
    make_table(oracle, case)
    kind = kind_of(case.kind)
    report = load(project, oracle, case, target)
    truth = ground_truth(oracle, f"SELECT id, v FROM {case.table} ORDER BY id")
    stored, declared = (read_duckdb(project, "types.v", kind) if target == DUCKDB else read_parquet(project, "types", kind))
    rejects = project.rejects()
    rejected = {key_of(reject)["id"]: reject for reject in rejects}
    assert len(rejects) == len(rejected), "a value was rejected twice"
    compare(truth, stored, rejected, kind, target)
    assert report.counts() == (len(truth), len(stored), len(rejected), 0)
    for reject in rejects:
        assert reject["column"] == "v" and reject["code"] and reject["pipeline"] == "p", reject
        assert reject["run_id"] == report.run()["run_id"]
    promised = case.duckdb if target == DUCKDB else case.arrow
    if promised:
        assert declared.replace('"', "") == promised.replace('"', "")


def test_every_row_of_the_contract_has_a_case():
    """The types that the contract names, against the case files: a missing pair is a missing file."""
    contract = """bool int2 int4 int8 oid xid xid8 float4 float8 numeric_12_2 numeric_50_10 numeric text varchar bpchar name
        citext xml enum bytea uuid json jsonb date time timetz timestamp timestamptz interval int4_array int4_array_3
        composite composite_nested domain_int int4range int8range numrange daterange tsrange tstzrange int4multirange
        int8multirange nummultirange datemultirange tsmultirange tstzmultirange hstore inet cidr macaddr bit varbit money
        tsvector tsquery pg_lsn point line lseg box path polygon circle ltree""".split()
    assert set(contract) <= set(CASES)


def load_values(project, database, definition: str, target: str, kind: Kind):
    """A table made on the spot, loaded and compared; the short form for the single tests below."""
    database.execute(definition)
    where = {"table": "types.v", "mode": "append"} if target == DUCKDB else {"format": "parquet", "path": "types/"}
    project.pipeline(database, {"table": "public.t"}, where, on_reject="continue")
    report = project.load()
    stored, declared = (read_duckdb(project, "types.v", kind) if target == DUCKDB else read_parquet(project, "types", kind))
    compare(ground_truth(database, "SELECT id, v FROM public.t"), stored,
            {key_of(reject)["id"]: reject for reject in project.rejects()}, kind, target)
    return report


@pytest.mark.parametrize("target", [DUCKDB, PARQUET])
def test_dropped_columns_in_the_middle(target, database, project):
    load_values(project, database, """
        CREATE TABLE t (id bigint PRIMARY KEY, gone1 text, gone2 int, v numeric(12,2), gone3 xml, last text);
        ALTER TABLE t DROP COLUMN gone1; ALTER TABLE t DROP COLUMN gone3; ALTER TABLE t DROP COLUMN gone2;
        INSERT INTO t SELECT i, i * 1.01, 'x' || i FROM generate_series(1, 5000) i""", target, kind_of("numeric(12, 2)"))


@pytest.mark.parametrize("target", [DUCKDB, PARQUET])
def test_generated_and_identity_columns(target, database, project):
    load_values(project, database, """
        CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, v int GENERATED ALWAYS AS (a * 2) STORED);
        INSERT INTO t (a) SELECT i FROM generate_series(1, 5000) i""", target, kind_of("int()"))


@pytest.mark.parametrize("target", [DUCKDB, PARQUET])
def test_names_that_need_quotes(target, database, project):
    database.execute("""CREATE TABLE "Odd ""Table" (id bigint PRIMARY KEY, "select" int, "Mixed Case" text, "a""b" text,
                        "é" text, "dotted.name" int);
                        INSERT INTO "Odd ""Table" VALUES (1, 2, 'x', 'y', 'z', 3)""")
    where = ({"table": "types.odd", "mode": "append"} if target == DUCKDB else {"format": "parquet", "path": "types/"})
    project.pipeline(database, {"table": 'public."Odd ""Table"'}, where)
    assert project.load().counts() == (1, 1, 0, 0)
    selected = 'SELECT id, "select", "Mixed Case", "a""b", "é", "dotted.name" FROM '
    rows = project.duck(selected + "types.odd") if target == DUCKDB else project.parquet("types", selected + "data")
    assert rows == [(1, 2, "x", "y", "z", 3)]


@pytest.mark.parametrize("target", [DUCKDB, PARQUET])
def test_a_table_without_columns_or_rows(target, database, project):
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, v int)")
    where = ({"table": "types.v", "mode": "replace"} if target == DUCKDB else
             {"format": "parquet", "path": "types/", "mode": "replace"})
    project.pipeline(database, {"table": "public.t"}, where)
    assert project.load().counts() == (0, 0, 0, 0)
    if target == DUCKDB:
        assert project.duck("SELECT * FROM types.v") == []


@pytest.mark.parametrize("target", [DUCKDB, PARQUET])
def test_label_added_to_an_enum_after_the_first_load(target, database, project):
    database.execute("""CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE t (id bigint PRIMARY KEY, v mood);
                        INSERT INTO t VALUES (1, 'sad'), (2, 'happy')""")
    where = ({"table": "types.v", "mode": "merge", "key": ["id"]} if target == DUCKDB else
             {"format": "parquet", "path": "types/", "mode": "append"})
    project.pipeline(database, {"table": "public.t", "cursor": "id"}, where)
    project.load()
    database.execute("ALTER TYPE mood ADD VALUE 'in between' BEFORE 'happy'")
    database.execute("INSERT INTO t VALUES (3, 'in between'), (4, 'happy')")
    project.load()
    expected = [(1, "sad"), (2, "happy"), (3, "in between"), (4, "happy")]
    assert sorted(project.duck("SELECT id, v::VARCHAR FROM types.v") if target == DUCKDB
                  else project.parquet("types", "SELECT id, v::VARCHAR FROM data")) == expected


@pytest.mark.parametrize("target", [DUCKDB, PARQUET])
@pytest.mark.timeout(180)
def test_text_of_200_megabytes(target, database, project):
    """More than the memory that pipelines are given by default for one row, and a fifth of what PostgreSQL can store."""
    database.execute("""CREATE TABLE t (id bigint PRIMARY KEY, v text);
                        ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
                        INSERT INTO t VALUES (1, 'before'), (3, 'after');
                        INSERT INTO t SELECT 2, repeat('0123456789abcdefghij', 10 * 1024 * 1024)""")
    where = ({"table": "types.v", "mode": "append"} if target == DUCKDB else {"format": "parquet", "path": "types/"})
    project.pipeline(database, {"table": "public.t"}, where, memory="2GiB")
    assert project.load(timeout=120).counts() == (3, 3, 0, 0)
    summary = "SELECT id, length(v), md5(v) FROM "
    rows = project.duck(summary + "types.v") if target == DUCKDB else project.parquet("types", summary + "data")
    assert sorted(rows) == database.rows("SELECT id, length(v), md5(v) FROM t ORDER BY id")


@pytest.mark.parametrize("target", [DUCKDB, PARQUET])
def test_invalid_utf8_from_an_sql_ascii_database(target, ascii_server, make_database, project):
    database = make_database(ascii_server)
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, v text)")
    for number, value in enumerate(["plain", "\\303\\251", "\\377", "\\303", "a\\200b", "\\355\\240\\200", "\\364\\220\\200\\200",
                                    "\\300\\200", "x" * 40 + "\\377"]):
        database.execute(f"INSERT INTO t VALUES ({number}, E'{value}')")
    where = ({"table": "types.v", "mode": "append"} if target == DUCKDB else {"format": "parquet", "path": "types/"})
    project.pipeline(database, {"table": "public.t"}, where, on_reject="continue")
    report = project.load()
    assert report.counts() == (9, 2, 7, 0)
    read = "SELECT id, v FROM "
    rows = project.duck(read + "types.v") if target == DUCKDB else project.parquet("types", read + "data")
    assert sorted(rows) == [(0, "plain"), (1, "é")]
    for reject in project.rejects():
        assert re.search("(?i)utf-?8", reject["reason"]), reject
        assert reject["column"] == "v"


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP"])
def test_other_server_encodings_arrive_as_utf8(encoding, server, make_database, project, database):
    with server.admin() as admin:
        name = f"encoded_{encoding.lower()}_{os.getpid()}"
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    text = "déjà vu ß" if encoding == "LATIN1" else "日本語"
    try:
        with server.admin(name) as session:
            session.execute("SET client_encoding = 'UTF8'")
            session.execute("CREATE TABLE t (id bigint PRIMARY KEY, v text, c char(12), n name)")
            session.execute("INSERT INTO t VALUES (1, %s, %s, 'x')", [text, text])
        database.name, kept = name, database.name
        project.pipeline(database, {"table": "public.t"}, {"table": "types.v", "mode": "append"})
        database.name = kept
        project.load()
        assert project.duck("SELECT v, c FROM types.v") == [(text, text.ljust(12))]
    finally:
        with server.admin() as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("target", [DUCKDB, PARQUET])
def test_dimensions_named_by_the_user(target, database, project):
    """PostgreSQL does not keep to declared dimensions; where they differ, the user says what is meant."""
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, v int[]); INSERT INTO t VALUES (1, '{{1,2},{3,NULL}}'), (2, '{}')")
    where = {"table": "types.v", "mode": "append"} if target == DUCKDB else {"format": "parquet", "path": "types/"}
    project.pipeline(database, {"table": "public.t", "array_dimensions": {"v": 2}}, where)
    project.load()
    rows = (project.duck("SELECT id, v FROM types.v") if target == DUCKDB else project.parquet("types", "SELECT id, v FROM data"))
    assert sorted(rows) == [(1, [[1, 2], [3, None]]), (2, [])]


def test_special_policies_named_by_the_user(database, project):
    """`special_dates` and `special_numbers`: null and clamp do what they say, and only where a value cannot be held."""
    database.execute("""CREATE TABLE t (id bigint PRIMARY KEY, d date, n numeric(6,2));
                        INSERT INTO t VALUES (1, 'infinity', 'NaN'), (2, '2020-01-01', 1.5)""")
    project.pipeline(database, {"table": "public.t"}, {"format": "parquet", "path": "types/"},
                     special_dates="null", special_numbers="null")
    assert project.load().counts() == (2, 2, 0, 0)
    assert sorted(project.parquet("types", "SELECT id, d::VARCHAR, n::VARCHAR FROM data")) == [(1, None, None), (2, "2020-01-01", "1.50")]


def test_all_types_through_a_merge(oracle, project):
    """The incremental path must map as the full load does: every type in one wide table, merged twice."""
    chosen = [case for case in CASES.values() if not case.options]
    for case in chosen:
        make_table(oracle, case)
    oracle.execute("DROP TABLE IF EXISTS oracle.wide")
    oracle.execute("CREATE TABLE oracle.wide (id bigint PRIMARY KEY, changed bigint, "
                   + ", ".join(f'"{case.name}" {case.type}' for case in chosen) + ")")
    # values every target holds: random ones, minus those that the contract rejects
    rows = 150
    oracle.execute("INSERT INTO oracle.wide SELECT i, 1, " + ", ".join(f"c{n}.v" for n in range(len(chosen)))
                   + f" FROM generate_series(1001, {1000 + rows}) i "
                   + " ".join(f"LEFT JOIN {case.table} c{n} ON c{n}.id = i" for n, case in enumerate(chosen)))
    oracle.execute("UPDATE oracle.wide SET numeric = 1.5")
    project.pipeline(oracle, {"table": "oracle.wide", "cursor": "changed"},
                     {"table": "types.wide", "mode": "merge", "key": ["id"]}, on_reject="continue")
    assert project.load().counts() == (rows, rows, 0, 0)
    # every row moves by one place, and is seen again
    oracle.execute("UPDATE oracle.wide w SET changed = 2, " + ", ".join(f'"{c.name}" = o."{c.name}"' for c in chosen)
                   + f" FROM (SELECT * FROM oracle.wide) o WHERE o.id = 1001 + (w.id - 1000) % {rows}")
    assert project.load().run()["rows_written"] >= rows
    wrong = []
    with duckdb.connect(str(project.warehouse), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for case in chosen:
            kind = kind_of(case.kind)
            read = connection.execute(f"SELECT id, {kind.duck(chr(34) + case.name + chr(34))} AS v FROM types.wide").to_arrow_table()
            stored = values_by_id(read, kind, DUCKDB)
            truth = ground_truth(oracle, f'SELECT id, "{case.name}" FROM oracle.wide')
            differing = [text for row, text in truth if stored.get(row, "missing") != (None if text is None else kind.parse(text))]
            if differing:
                wrong.append(f"{case.name}: {len(differing)} values, such as {differing[0]!r}")
    assert not wrong, "\n".join(wrong)
