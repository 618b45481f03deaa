"""Errors are part of the interface: each says what failed, where, why and what to do, and ends with the right code."""

import json
import re
import socket
import subprocess
from pathlib import Path

import duckdb
import pytest
import yaml

from support.postgres import free_port
from support.shop import INCREMENT, LAKE_APPEND, MERGE, REPLACE, WHOLE, make_orders

MISTAKES = yaml.safe_load((Path(__file__).parent / "errors" / "configuration.yaml").read_text())


def assert_says(text: str, patterns, context=None) -> None:
    missing = [pattern for pattern in patterns if not re.search(pattern, text, re.DOTALL | re.IGNORECASE)]
    assert not missing, f"not found: {missing}\nin: {text}\n{context or ''}"


def remedy(text: str) -> None:
    """Somewhere the reader is told what to do."""
    assert re.search(r"(?m)^\s*hint: \S|did you mean|hint", text), f"no remedy in: {text}"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["name"].replace(" ", "-"))
@pytest.mark.parametrize("command", ["check", "run"])
def test_configuration_mistakes(mistake, command, project):
    marked = mistake["config"]
    place = None
    if "<<here>>" in marked:
        before = marked[:marked.index("<<here>>")]
        place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    project.write(marked.replace("<<here>>", "").replace("<<any>>", ""))
    output = project.run(*(["check"] if command == "check" else ["run", "--all"]), expect=2)
    assert output.out == ""
    assert_says(output.err, mistake["says"])
    if place:
        assert f"penstock.yaml:{place}" in output.err, f"the place {place} is missing:\n{output.err}"
    elif "<<any>>" in marked:
        assert re.search(r"penstock\.yaml:\d+:\d+", output.err), output.err
    assert sorted(path.name for path in project.folder.iterdir()) == ["penstock.yaml"], "a refused configuration left files"


def test_several_mistakes_are_told_at_once(project):
    project.write("version: 1\nconections: {}\ndefaults: {memory: lots}\npiplines: {}\n")
    output = project.run("check", expect=2)
    assert_says(output.err, ["conections", "lots", "piplines"])
    for place in ("2:1", "3:20", "4:1"):
        assert f"penstock.yaml:{place}" in output.err


def test_no_configuration_at_all(project):
    output = project.run("check", expect=2)
    assert_says(output.err, ["penstock.yaml", "No such file", "penstock init", "-f"])


def test_usage_mistakes(database, project):
    make_orders(database, 1)
    project.pipelines(database, {"orders": {"source": dict(WHOLE), "target": dict(REPLACE)},
                                 "again": {"source": dict(WHOLE), "target": dict(LAKE_APPEND)}})
    assert_says(project.run("run", "oders", expect=2).err, ["no pipeline 'oders'", "did you mean 'orders'"])
    assert_says(project.run("rnu", expect=2, log_format=None).err, ["rnu"])
    assert_says(project.run("run", "orders", "--no-such-option", expect=2).err, ["no-such-option"])
    assert_says(project.run("run", "orders", "--limit", "many", expect=2).err, ["limit"])
    assert_says(project.run("doctor", "shp", expect=2).err, ["no connection 'shp'", "did you mean 'shop'"])
    assert_says(project.run("run", expect=2).err, ["--all", "orders"])


# -- mistakes that only the source can show ---------------------------------------------------------------------------------
def failing(project, code: int, *says, command=("run", "--all"), **options) -> str:
    """Runs, and checks the same words in the text and in the error object of the JSON."""
    output = project.run(*command, expect=code, **options)
    assert_says(output.err, says, output)
    remedy(output.err)
    if command[0] == "run":
        report = project.load(expect=code, **options)
        error = report.error
        assert error["code"] and re.fullmatch(r"[a-z0-9_]+", error["code"]), error
        assert_says(json.dumps(error, ensure_ascii=False), says, error)
        assert error["hint"], error
        assert report.run()["status"] == "failed"
    return output.err


def test_key_column_not_in_the_table(database, project):
    make_orders(database, 1)
    project.pipeline(database, WHOLE, {**MERGE, "key": ["order_id"]})
    failing(project, 2, "order_id", "public.orders", "penstock.yaml:\\d+:\\d+", "id, customer|columns")


def test_merge_without_any_key(database, project):
    make_orders(database, 1, key=False)
    project.pipeline(database, WHOLE, {"table": "shop.orders", "mode": "merge"})
    failing(project, 2, "key", "public.orders", "primary key", "key:|append|replace")


def test_cursor_column_not_in_the_table(database, project):
    make_orders(database, 1)
    project.pipeline(database, {"table": "public.orders", "cursor": "updated"}, MERGE)
    failing(project, 2, "updated\\b", "public.orders", "did you mean '?updated_at", "penstock.yaml:\\d+:\\d+")


@pytest.mark.parametrize("column", ["note", "status"])
def test_cursor_of_the_wrong_type(column, database, project):
    make_orders(database, 1)
    project.pipeline(database, {"table": "public.orders", "cursor": column}, MERGE)
    failing(project, 2, column, "jsonb" if column == "note" else "text", "cursor", "timestamp", "penstock.yaml:\\d+:\\d+")


def test_no_such_table(database, project):
    make_orders(database, 1)
    project.pipeline(database, {"table": "public.ordres"}, REPLACE)
    failing(project, 1, "public.ordres", "does not exist|no table|no such table", "did you mean.*public.orders", "'shop'")


def test_no_table_matches_a_pattern(database, project):
    project.pipeline(database, {"tables": ["sales.*"]}, {"dataset": "shop", "mode": "replace"})
    failing(project, 1, "sales\\.\\*", "no table|nothing")


def test_broken_where_and_query(database, project):
    make_orders(database, 1)
    project.pipeline(database, {**WHOLE, "where": "statuss = 'x'"}, REPLACE)
    failing(project, 2, "statuss", "does not exist", "where")
    project.pipeline(database, {"query": "SELEC 1"}, REPLACE)
    failing(project, 2, "SELEC", "syntax", "query")


def test_no_privilege(database, project):
    make_orders(database, 1)
    database.execute("REVOKE CONNECT ON DATABASE %s FROM PUBLIC; CREATE ROLE r%s LOGIN PASSWORD 'x'; GRANT CONNECT ON DATABASE %s TO r%s"
                     % (database.name, database.name, database.name, database.name))
    try:
        project.pipeline(database, WHOLE, REPLACE, postgres={"url": database.server.url(database.name, f"r{database.name}", "x")})
        failing(project, 1, "orders", "permission denied|no privilege|may not", "GRANT SELECT ON")
    finally:
        database.execute(f"DROP OWNED BY r{database.name}; DROP ROLE r{database.name}")


def test_connection_refused(database, project):
    port = free_port()
    project.pipeline(database, WHOLE, REPLACE, postgres={"url": f"postgresql://someone:hush@127.0.0.1:{port}/shop"},
                     retries={"max": 1, "delay": "10ms"})
    text = failing(project, 1, f"127\\.0\\.0\\.1.*{port}|{port}", "refused", "connection 'shop'|connection shop|shop", "running|listening|port")
    assert "hush" not in text


def test_host_that_is_not_there(database, project):
    project.pipeline(database, WHOLE, REPLACE, postgres={"url": "postgresql://u@no-such-host.invalid/shop"}, retries={"max": 0})
    failing(project, 1, "no-such-host.invalid", "shop", "name|resolve|translate")


def test_a_server_that_never_answers(database, project):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        project.pipeline(database, WHOLE, REPLACE, retries={"max": 0},
                         postgres={"url": f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/shop", "connect_timeout": "1s"})
        failing(project, 1, "timeout|time out|timed out|did not answer|no answer", "shop", timeout=20)


def test_authentication_failed(database, project):
    project.pipeline(database, WHOLE, REPLACE, postgres={"url": database.server.url(database.name, "loader", "wrong-secret")})
    text = failing(project, 1, "authentication", "loader", "password")
    assert "wrong-secret" not in text


@pytest.mark.parametrize("change,what,hint", [
    ('REVOKE CONNECT ON DATABASE "{database}" FROM PUBLIC', "may not connect", "GRANT CONNECT"),
    ('ALTER DATABASE "{database}" ALLOW_CONNECTIONS false', "takes no connections", "ALLOW_CONNECTIONS true"),
    ('ALTER DATABASE "{database}" CONNECTION LIMIT 0', "all the connections", "CONNECTION LIMIT")])
def test_databases_that_let_nobody_in(change, what, hint, database, project):
    project.pipeline(database, WHOLE, REPLACE, retries={"max": 0})
    with database.server.admin() as admin:
        admin.execute(change.format(database=database.name))
    assert "does not exist" not in failing(project, 1, what, hint)


def test_no_such_database(database, project):
    project.pipeline(database, WHOLE, REPLACE, postgres={"url": database.server.url("no_such_database")})
    failing(project, 1, "no_such_database", "does not exist")


def test_tls_name_mismatch(tls_server, make_database, project):
    database = make_database(tls_server)
    make_orders(database, 1)
    url = tls_server.url(database.name, password=None).replace("localhost", "127.0.0.1")
    project.pipeline(database, WHOLE, REPLACE, postgres={"url": url, "tls": tls_server.tls_options()})
    failing(project, 1, "certificate", "127\\.0\\.0\\.1", "localhost", "verify-full|verify-ca|host")


def test_tls_unknown_authority(tls_server, make_database, project):
    database = make_database(tls_server)
    options = tls_server.tls_options()
    project.pipeline(database, WHOLE, REPLACE, postgres={"url": tls_server.url(database.name, password=None),
                                                         "tls": {**options, "ca": options["ca"].replace("ca.pem", "other-ca.pem")}})
    failing(project, 1, "certificate", "verify", "ca")


def test_tls_missing_client_certificate(tls_server, make_database, project):
    database = make_database(tls_server)
    options = tls_server.tls_options()
    project.pipeline(database, WHOLE, REPLACE, postgres={"url": tls_server.url(database.name, password=None),
                                                         "tls": {"mode": "verify-full", "ca": options["ca"]}})
    failing(project, 1, "client certificate", "cert")


def test_tls_files_that_are_not_there(tls_server, make_database, project):
    database = make_database(tls_server)
    project.pipeline(database, WHOLE, REPLACE, postgres={"url": tls_server.url(database.name, password=None), "tls": {"mode": "verify-full", "ca": "no-such-ca.pem"}})
    assert "no-such-ca.pem" in failing(project, 1, "no-such-ca\\.pem", "ca")


def test_a_server_without_tls(database, project):
    project.pipeline(database, WHOLE, REPLACE, postgres={"tls": {"mode": "require"}})
    failing(project, 1, "TLS|SSL", "shop", "mode|ssl = on")


def test_too_many_connections(own_server, make_database, project):
    database = make_database(own_server)
    make_orders(database, 1)
    database.execute(f'ALTER DATABASE "{database.name}" CONNECTION LIMIT 0')
    project.pipeline(database, WHOLE, REPLACE, retries={"max": 0})
    failing(project, 1, "too many connections", "shop")


# -- what can be wrong at the target ----------------------------------------------------------------------------------------
def test_target_is_not_a_duckdb_file(database, project):
    make_orders(database, 1)
    project.pipeline(database, WHOLE, REPLACE)
    project.warehouse.write_text("this is a shopping list\n" * 1000)
    failing(project, 1, "warehouse.duckdb", "not a (valid )?DuckDB", "path")
    assert project.warehouse.read_text().startswith("this is a shopping list")


def test_target_in_a_folder_that_is_not_there(database, project):
    make_orders(database, 1)
    project.pipeline(database, WHOLE, REPLACE, connections={"warehouse": {"type": "duckdb", "path": "/proc/no/such/w.duckdb"}})
    failing(project, 1, "/proc/no/such", "warehouse|directory|folder")


def test_target_locked_by_another_process(database, project):
    make_orders(database, 1)
    project.pipeline(database, WHOLE, REPLACE, retries={"max": 0})
    project.load()
    holder = subprocess.Popen(["python3", "-c", "import fcntl, sys, time; f = open(sys.argv[1], 'r+b');"
                               "fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)", str(project.warehouse)],
                              stdout=subprocess.PIPE, text=True)
    try:
        holder.stdout.readline()
        failing(project, 1, "warehouse.duckdb", "lock", str(holder.pid), "close|wait|stop|end")
    finally:
        holder.kill()
        holder.wait()


def test_target_that_may_not_be_written(database, project):
    """A file where the folder should be: refused also for root, whom modes do not stop."""
    make_orders(database, 1)
    project.pipeline(database, WHOLE, LAKE_APPEND)
    project.write("in the way", "lake")
    failing(project, 1, "lake", "directory|folder|Not a directory|exists")


def test_a_view_of_the_same_name_in_the_target(database, project):
    make_orders(database, 1)
    with duckdb.connect(str(project.warehouse)) as connection:
        connection.execute("CREATE SCHEMA shop; CREATE VIEW shop.orders AS SELECT 1 AS id")
    project.pipeline(database, WHOLE, REPLACE)
    failing(project, 1, "shop.orders", "view")


def test_rows_with_duplicate_keys(database, project):
    make_orders(database, 3)
    database.execute("UPDATE orders SET customer = 'same'")
    project.pipeline(database, WHOLE, {**MERGE, "key": ["customer"]})
    failing(project, 1, "key", "customer", "same|unique|more than once|twice|duplicate")


def test_of_rows_with_one_key_the_newest_by_cursor_wins(database, project):
    make_orders(database, 3)
    database.execute("UPDATE orders SET customer = 'same', updated_at = '2024-01-01'::timestamptz + (id * 7 % 5) * interval '1 s'")
    project.pipeline(database, INCREMENT, {**MERGE, "key": ["customer"]})
    assert project.load().counts() == (3, 1, 0, 2)
    assert project.duck("SELECT id FROM shop.orders") == database.rows("SELECT id FROM orders ORDER BY updated_at DESC LIMIT 1")


def test_a_null_in_the_key(database, project):
    database.execute("CREATE TABLE orders (id int, v int); INSERT INTO orders VALUES (NULL, 1), (2, 2)")
    project.pipeline(database, WHOLE, MERGE)
    failing(project, 1, "id", "NULL", "key")


def test_update_when_that_is_not_sql(database, project):
    make_orders(database, 1)
    project.pipeline(database, INCREMENT, dict(MERGE))
    project.load()
    database.execute("UPDATE orders SET updated_at = clock_timestamp()")
    project.pipeline(database, INCREMENT, {**MERGE, "update_when": "T.nosuch > S.amount"})
    output = project.run("run", "--all", expect=None)
    assert output.code in (1, 2), output
    assert_says(output.err, ["update_when", "nosuch"])


def test_rejected_values_name_the_line_to_change(database, project):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, amount numeric); INSERT INTO t VALUES (1, 1), (2, 'NaN'), (3, 1e40)")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "replace"})
    failing(project, 1, "public.t", "amount", "NaN|1e\\+?40|10000", "special_numbers|numeric:|on_reject")


# -- the same for machines ------------------------------------------------------------------------------------------------
def test_logs_are_json_where_there_is_no_terminal(database, project):
    make_orders(database, 5)
    project.pipeline(database, WHOLE, REPLACE)
    output = project.run("run", "--all", "--output", "json", log_format=None)
    lines = [json.loads(line) for line in output.err.splitlines() if line.strip()]
    assert lines
    for line in lines:
        assert {"timestamp", "level", "service", "message", "metadata"} <= set(line), line
        assert line["service"] == "penstock"
    assert any(line.get("run_id") == output.json["runs"][0]["run_id"] and line["pipeline"] == "p" for line in lines)


def test_quiet_says_nothing_but_errors(database, project):
    make_orders(database, 5)
    project.pipeline(database, WHOLE, REPLACE)
    assert project.run("run", "--all", "--quiet").err == ""
    project.pipeline(database, {"table": "public.missing"}, REPLACE)
    assert "public.missing" in project.run("run", "--all", "--quiet", expect=1).err
