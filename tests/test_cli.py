"""Every command: what it prints for people, what it prints for programs, and that neither holds a secret."""

import io
import json
import re
import shutil

import fastavro
import jsonschema
import pytest
import yaml
from google.cloud import bigquery

from support.postgres import LOADER_PASSWORD_URL
from support.program import ROOT, Project
from support.shop import INCREMENT, MERGE, REPLACE, WHOLE, add_orders, make_orders

VERBS = ["demo", "init", "check", "doctor", "plan", "run", "status", "runs", "types", "components", "config-schema", "schema", "rejects", "verify", "why"]


@pytest.mark.parametrize("verb", VERBS)
def test_each_command_explains_itself(verb, project):
    output = project.run(verb, "--help", log_format=None)
    assert len(output.out.splitlines()) > 2 and verb in output.out
    assert output.err == ""


def test_help_lists_every_command(project):
    output = project.run("--help")
    for verb in VERBS:
        assert re.search(rf"(?m)^\s+{verb}\b", output.out), verb
    assert "failpoints" not in output.out, "the list of failpoints is for tests"


def test_version(project):
    assert re.search(r"\d+\.\d+", project.run("--version").out)


# -- init, check ----------------------------------------------------------------------------------------------------------
def test_init_writes_a_commented_file_that_checks(project):
    project.run("init")
    text = (project.folder / "penstock.yaml").read_text()
    assert len(re.findall(r"(?m)^\s*#", text)) > 5
    yaml.safe_load(text)
    project.run("check", env={"SHOP_URL": "postgresql://localhost/shop", "DATABASE_URL": "postgresql://localhost/shop"})


def test_init_from_a_live_source(database, project):
    make_orders(database, 10)
    database.execute("CREATE TABLE countries (code text PRIMARY KEY, name text); CREATE TABLE log (line text)")
    project.run("init", "--from", database.url)
    text = (project.folder / "penstock.yaml").read_text()
    assert LOADER_PASSWORD_URL not in text and "${" in text
    for table in ("orders", "countries", "log"):
        assert table in text
    variable = re.search(r"\$\{(\w+)", text)[1]
    environment = {variable: database.url}
    project.run("check", env=environment)
    project.load("--all", env=environment)


def test_init_does_not_overwrite(project):
    project.write("# mine\n")
    output = project.run("init", expect=2)
    assert "penstock.yaml" in output.err and "exists" in output.err
    assert (project.folder / "penstock.yaml").read_text() == "# mine\n"


def test_check_needs_no_network_and_writes_nothing(project, database):
    project.pipeline(database, INCREMENT, MERGE)
    project.environment["SHOP_URL"] = "postgresql://user@no-such-host.invalid/x"
    output = project.run("check")
    assert output.out and output.seconds < 5
    assert [path.name for path in project.folder.iterdir()] == ["penstock.yaml"]
    assert isinstance(project.run("check", "--output", "json").json, dict)


def test_the_file_can_be_named(database, project):
    project.pipeline(database, INCREMENT, MERGE)
    (project.folder / "penstock.yaml").rename(project.folder / "other.yaml")
    project.run("check", "-f", "other.yaml")
    project.run("check", "--file", "other.yaml")
    project.run("check", env={"PENSTOCK_FILE": "other.yaml"})
    project.run("check", expect=2)


# -- doctor, plan, types ----------------------------------------------------------------------------------------------------
def test_doctor_finds_all_well(database, project):
    make_orders(database, 10)
    project.pipeline(database, INCREMENT, MERGE)
    output = project.run("doctor")
    assert re.search(r"PostgreSQL.*15\.", output.out) and re.search(r"(?i)duckdb", output.out)
    findings = project.run("doctor", "shop", "--output", "json").json["findings"]
    assert findings and all({"connection", "severity"} <= set(finding) for finding in findings)
    assert not project.warehouse.exists(), "looking must not create the target"


def test_doctor_says_what_is_wrong_and_how_to_mend_it(database, project):
    project.pipeline(database, INCREMENT, MERGE, postgres={"url": "postgresql://u:hush-hush@127.0.0.1:1/x"})
    output = project.run("doctor", expect=None)
    assert output.code in (1, 3), output
    assert "refused" in output.both and "shop" in output.both and "hush-hush" not in output.both


def test_plan_shows_what_a_first_run_would_do_and_does_nothing(database, project):
    make_orders(database, 1000)
    database.execute("ANALYZE orders")
    project.pipeline(database, INCREMENT, MERGE)
    output = project.run("plan")
    assert re.search(r'CREATE TABLE "?shop"?\."?orders"?', output.out) and re.search("1[,. ']?000", output.out)
    assert not project.warehouse.exists()
    assert "CREATE TABLE" in json.dumps(project.run("plan", "--output", "json").json)


def test_plan_on_a_changed_table_shows_the_ddl(database, project):
    make_orders(database, 10)
    project.pipeline(database, INCREMENT, MERGE)
    project.load()
    database.execute("ALTER TABLE orders ADD COLUMN priority int DEFAULT 7; ALTER TABLE orders RENAME status TO state;"
                     "ALTER TABLE orders ALTER amount TYPE numeric(20,4)")
    output = project.run("plan")
    for pattern in (r'ALTER TABLE .*ADD COLUMN.*priority', r'RENAME.*status.*state', r'ALTER.*amount.*DECIMAL\(20,\s*4\)'):
        assert re.search(pattern, output.out, re.IGNORECASE), f"{pattern} is not in {output}"
    assert "priority" not in dict(project.duck("SELECT column_name, 1 FROM duckdb_columns() WHERE table_name = 'orders'"))
    project.load()
    assert "priority" in dict(project.duck("SELECT column_name, 1 FROM duckdb_columns() WHERE table_name = 'orders'"))


def test_types_names_each_lossy_column(database, project):
    database.execute("""CREATE TABLE t (id bigint PRIMARY KEY, fine text, free numeric, bounded numeric(12,2), at timestamptz,
                        wide numeric(50,2), cash money, tree xml)""")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "replace"})
    output = project.run("types", "p")
    lines = {name: line for line in output.out.splitlines() for name in ("fine", "free", "bounded", "at", "wide", "cash")
             if re.match(rf"\W*{name}\b", line)}
    assert len(lines) == 6, output
    assert "DECIMAL(38,9)" in lines["free"] and "numeric" in lines["free"]
    assert "VARCHAR" in lines["wide"] and "lc_monetary" in output.out
    columns = project.run("types", "p", "--output", "json").json["columns"]
    notes = {column["column"]: json.dumps(column) for column in columns}
    assert re.search("reject", notes["free"]) and re.search("NaN", notes["bounded"])
    assert not re.search("reject", notes["fine"])


# -- status, runs -------------------------------------------------------------------------------------------------------------
def test_status_and_runs(database, project):
    make_orders(database, 10)
    project.pipelines(database, {"good": {"source": dict(INCREMENT), "target": dict(MERGE)},
                                 "bad": {"source": {"table": "public.missing"}, "target": {"table": "shop.bad", "mode": "replace"}},
                                 "never": {"source": dict(WHOLE), "target": {"table": "shop.never", "mode": "replace"}}})
    good = project.load("good").run()
    project.load("bad", expect=1)
    output = project.run("status")
    for name in ("good", "bad", "never"):
        assert re.search(rf"(?m)^\W*{name}\b", output.out), output
    status = {pipeline["pipeline"]: pipeline for pipeline in project.run("status", "--output", "json").json["pipelines"]}
    assert set(status) == {"good", "bad", "never"}
    text = {name: json.dumps(value) for name, value in status.items()}
    assert "success" in text["good"] and "failed" in text["bad"] and "public.missing" in text["bad"] + project.run("runs").out + json.dumps(
        project.run("runs", "--output", "json").json)
    runs = project.run("runs", "--output", "json").json["runs"]
    assert len(runs) == 2 and {run["pipeline"] for run in runs} == {"good", "bad"}
    one = project.run("runs", good["run_id"])
    assert good["run_id"] in one.out and "public.orders" in one.out
    assert project.run("runs", good["run_id"], "--output", "json").json["runs"][0]["rows_written"] == 10
    unknown = project.run("runs", "no-such-id", expect=None)
    assert unknown.code in (1, 2) and "no-such-id" in unknown.err


def test_a_killed_run_is_shown_as_such(database, project):
    make_orders(database, 10)
    project.pipeline(database, WHOLE, REPLACE)
    project.run("run", "p", env={"PENSTOCK_FAILPOINT": "target_commit_before=kill"}, expect=-9)
    project.load()
    states = [run["status"] for run in project.run("runs", "--output", "json").json["runs"]]
    assert sorted(states) == ["failed", "success"]


def test_the_state_can_be_lost(database, project):
    """Positions live in the target: without the state store an increment still knows where it is."""
    make_orders(database, 100)
    project.pipeline(database, INCREMENT, MERGE)
    project.load()
    shutil.rmtree(project.folder / ".penstock")
    assert project.load().counts() == (0, 0, 0, 0)
    assert "success" in project.run("status").out or project.run("status", "--output", "json").json["pipelines"]


def test_the_state_can_stand_elsewhere(database, project):
    make_orders(database, 10)
    project.pipeline(database, INCREMENT, MERGE)
    project.load("--state", "sqlite:elsewhere/s.db")
    assert (project.folder / "elsewhere" / "s.db").exists() and not (project.folder / ".penstock").exists()


# -- components, schema of the configuration ----------------------------------------------------------------------------------
def test_components(project):
    text = project.run("components").out
    listed = project.run("components", "--json").json["components"]
    assert {component["type"] for component in listed} >= {"postgres", "duckdb", "files"}
    for component in listed:
        assert component["type"] in text
    postgres = json.dumps(next(component for component in listed if component["type"] == "postgres"))
    for option in ("url", "tls", "cursor", "exclude", "where"):
        assert f'"{option}"' in postgres


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("schema")).run("config-schema").json


def test_config_schema_is_a_schema(schema):
    jsonschema.validators.validator_for(schema).check_schema(schema)
    assert "$schema" in schema


def examples() -> list:
    return sorted(path for pattern in ("*.yaml", "*.yml") for path in (ROOT / "examples").glob(pattern))


def test_there_are_examples():
    assert examples()


@pytest.mark.parametrize("path", examples(), ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_fit_the_schema_and_the_program(path, schema, project):
    text = path.read_text()
    jsonschema.validate(yaml.safe_load(text), schema)
    kinds = {"HOST": "localhost", "KEY": "0" * 64}
    variables = {name: kinds.get(name.rpartition("_")[2], "postgresql://u@localhost/x") for name in re.findall(r"\$\{(\w+)\}", text)}
    project.run("check", "-f", str(path), env=variables)


@pytest.mark.parametrize("mistake", [
    {"conections": {}},
    {"connections": {"shop": {"type": "postgress", "url": "x"}}},
    {"connections": {"shop": {"type": "postgres", "ulr": "x"}}},
    {"pipelines": {"p": {"source": {"connection": "shop"}, "targt": {}}}},
    {"defaults": {"retries": {"max": "many"}}},
    {"defaults": {"on_reject": "perhaps"}},
])
def test_the_schema_finds_what_check_finds(mistake, schema, project):
    document = {"version": 1, **mistake}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
    project.write(json.dumps(document))
    project.run("check", expect=2)


# -- schema show, diff, history -------------------------------------------------------------------------------------------------
def test_schema_commands(database, project):
    make_orders(database, 10)
    project.pipeline(database, INCREMENT, MERGE)
    project.load()
    shown = project.run("schema", "show", "shop.orders")
    for name, type in (("id", "BIGINT"), ("amount", "DECIMAL(12,2)"), ("updated_at", "TIMESTAMP")):
        assert re.search(rf"(?m)^\W*{name}\b.*{re.escape(type)}", shown.out), shown
    assert not re.search("priority", project.run("schema", "diff", "shop.orders").both)
    database.execute("ALTER TABLE orders ADD COLUMN priority int")
    assert "priority" in project.run("schema", "diff", "shop.orders").out
    add_orders(database, 1)
    project.load()
    history = project.run("schema", "history", "shop.orders")
    assert "priority" in history.out and re.search("added", history.out)
    entries = project.run("schema", "history", "shop.orders", "--output", "json").json
    assert "priority" in json.dumps(entries)
    unknown = project.run("schema", "show", "shop.order", expect=None)
    assert unknown.code in (1, 2) and "shop.order" in unknown.err


def test_a_table_s_contract_is_taken_by_others(database, project):
    """JSON Schema holds rows and refuses others, Avro's own library writes and reads them, BigQuery's client takes the fields."""
    database.execute("""CREATE TABLE t (id bigint PRIMARY KEY, small smallint, price numeric(5,2) NOT NULL, note text, tags text[], doc jsonb, seen timestamptz, day date,
                        code uuid, raw bytea, ok boolean NOT NULL, half real);
                        INSERT INTO t VALUES (1, 2, 3.25, 'x', '{a,NULL}', '{"a":1}', '2026-01-02 03:04:05.678+00', '2026-01-02', gen_random_uuid(), '\\x00ff', true, 0.5)""")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "replace"})
    project.load()
    made = {form: json.loads(project.run("schema", "show", "shop.t", "--as", form).out) for form in ("json-schema", "avro", "bigquery")}
    jsonschema.Draft202012Validator.check_schema(made["json-schema"])
    rules = jsonschema.Draft202012Validator(made["json-schema"])
    row = json.loads(project.duck("SELECT to_json(t)::VARCHAR FROM (SELECT * REPLACE (price::VARCHAR AS price, base64(raw) AS raw, seen::VARCHAR AS seen) FROM shop.t) t")[0][0])
    assert not [error.message for error in rules.iter_errors(row)]
    for change in ({"price": None}, {"price": "1000.00"}, {"price": "1.234"}, {"small": 40000}, {"more": 1}, {"ok": "true"}, {"tags": [1]}, {"day": "today"}):
        assert [*rules.iter_errors({**row, **change})], change
    (kept,) = project.duck("SELECT * FROM shop.t")
    names = [field["name"] for field in made["avro"]["fields"]]
    given = dict(zip(names, kept))
    schema, file = fastavro.parse_schema(made["avro"]), io.BytesIO()
    fastavro.schemaless_writer(file, schema, given, strict=True)
    file.seek(0)
    assert fastavro.schemaless_reader(file, schema, None) == given
    fields = [bigquery.SchemaField.from_api_repr(field) for field in made["bigquery"]]
    assert [field.name for field in fields] == names and {field.name for field in fields if field.mode == "REQUIRED"} >= {"price", "ok"}
    assert {field.name: field.field_type for field in fields}["price"] == "NUMERIC" and next(field for field in fields if field.name == "tags").mode == "REPEATED"


# -- rejects ------------------------------------------------------------------------------------------------------------------
@pytest.fixture(params=["duckdb", "parquet"])
def with_rejects(request, database, project):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, amount numeric, u bigint);"
                     "INSERT INTO t SELECT i, i, i FROM generate_series(1, 10) i; UPDATE t SET amount = 'NaN' WHERE id IN (3, 7);"
                     "UPDATE t SET amount = 1e40 WHERE id = 5")
    target = ({"table": "shop.t", "mode": "merge", "key": ["id"]} if request.param == "duckdb"
              else {"format": "parquet", "path": "t/", "mode": "append"})
    project.pipeline(database, {"table": "public.t", "cursor": "u"}, target, on_reject="continue")
    assert project.load().counts() == (10, 7, 3, 0)
    project.stored = lambda: sorted(row[0] for row in (project.duck("SELECT id FROM shop.t") if request.param == "duckdb"
                                                       else project.parquet("t", "SELECT id FROM data")))
    return project


def listed(project, *arguments) -> list:
    return project.run("rejects", "list", *arguments, "--output", "json").json["rejects"]


def test_rejects_are_listed_and_shown(with_rejects):
    project = with_rejects
    text = project.run("rejects", "list").out
    assert "amount" in text and "public.t" in text and "NaN" in text
    entries = listed(project)
    assert len(entries) == 3
    assert sorted(int(json.loads(entry["key"])["id"] if isinstance(entry["key"], str) else entry["key"]["id"]) for entry in entries) == [3, 5, 7]
    shown = project.run("rejects", "show", entries[0]["id"]).out
    for word in (entries[0]["reason"], "amount", "public.t", entries[0]["run_id"]):
        assert word in shown
    assert len(listed(project, "p")) == 3
    unknown = project.run("rejects", "show", "no-such", expect=None)
    assert unknown.code in (1, 2) and "no-such" in unknown.err


def test_rejects_are_replayed_once_their_cause_is_gone(with_rejects, database):
    project = with_rejects
    project.run("rejects", "replay", "p", expect=None)
    assert project.stored() == [1, 2, 4, 6, 8, 9, 10], "what still cannot be held is not written"
    assert len([entry for entry in listed(project) if not entry.get("replayed_at")]) == 3
    database.execute("UPDATE t SET amount = 33 WHERE id = 3")
    project.run("rejects", "replay", "p", expect=None)
    assert project.stored() == [1, 2, 3, 4, 6, 8, 9, 10]
    project.run("rejects", "replay", "p", expect=None)
    assert project.stored() == [1, 2, 3, 4, 6, 8, 9, 10], "replaying twice stores once"


def test_rejects_are_discarded(with_rejects):
    project = with_rejects
    first = listed(project)[0]
    project.run("rejects", "discard", first["id"])
    assert len(listed(project)) == 2
    project.run("rejects", "discard", "p")
    assert listed(project) == []
    assert project.stored() == [1, 2, 4, 6, 8, 9, 10]


# -- what must never be printed ---------------------------------------------------------------------------------------------------
def test_secrets_are_in_no_output_and_no_file(database, project):
    """The runner looks into every output for the password; here also every file the program wrote."""
    make_orders(database, 10)
    project.pipeline(database, INCREMENT, MERGE, postgres={"url": database.url})  # in the file itself, not in a variable
    project.run("run", "--all", "--log-level", "trace", expect=None)
    for command in (["run", "--all", "--log-level", "debug"], ["check"], ["doctor"], ["plan"], ["types", "p"], ["status"], ["runs"],
                    ["run", "--all", "--full-refresh", "--log-level", "debug", "--log-format", "json"]):
        project.run(*command)
    database.execute("DROP TABLE orders")
    project.run("run", "--all", "--log-level", "debug", expect=1)
    for path in project.folder.rglob("*"):
        if path.is_file() and path.name != "penstock.yaml":
            content = path.read_bytes()
            assert LOADER_PASSWORD_URL.encode() not in content and b"pa55-w0rd" not in content, path


def test_passwords_in_other_places(database, project):
    project.write("hidden-password-1\n", "password")
    for url in ("postgresql://loader:hidden-password-2@127.0.0.1:1/x", "host=127.0.0.1 port=1 user=loader password=hidden-password-3",
                "postgresql://loader@127.0.0.1:1/x?password=hidden-password-4"):
        project.pipeline(database, WHOLE, REPLACE, postgres={"url": url}, retries={"max": 0})
        for command in (["run", "--all", "--log-level", "debug"], ["doctor"], ["check"]):
            assert "hidden-password" not in project.run(*command, expect=None).both


# -- for people -------------------------------------------------------------------------------------------------------------------
def test_text_of_a_run_is_aligned_and_humane(database, project):
    make_orders(database, 12345)
    project.pipeline(database, WHOLE, REPLACE)
    output = project.run("run", "p")
    assert re.search(r"12[,.' \u202f]?345", output.out) and "orders" in output.out
    assert re.search(r"\d+(\.\d+)? ?(ms|s)\b", output.out)
    assert "\x1b[" not in output.both, "no colours where nobody sees them"

