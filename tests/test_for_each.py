"""One pipeline for each row of a table in MariaDB, and a table of jobs there: each organization's run stands for itself."""

import itertools
import json
import time

import duckdb
import pytest

from support.mariadb import PASSWORD, PASSWORD_URL, MariaServer

_numbers = itertools.count()
CONFIG_TABLE = """CREATE TABLE client_billing_config (id INT AUTO_INCREMENT PRIMARY KEY, organization_id VARCHAR(255), source_dataset VARCHAR(255),
    destination_dataset VARCHAR(255), destination_table VARCHAR(255), last_successful_run TIMESTAMP NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"""
JOB_TABLE = """CREATE TABLE etl_jobs (id INT AUTO_INCREMENT PRIMARY KEY, organization_id VARCHAR(255), job_id VARCHAR(255),
    status ENUM('IN_PROGRESS', 'SUCCESS', 'FAILED'), created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, error_message TEXT)"""


@pytest.fixture(scope="module")
def maria():
    made = MariaServer()
    yield made
    made.destroy()


class Ops:
    """The database of the billing pipeline: who is billed, and what became of it."""

    def __init__(self, server):
        self.server, self.name = server, f"ops_{next(_numbers)}"
        server.make_database(self.name)
        self.execute(CONFIG_TABLE)
        self.execute(JOB_TABLE)

    def execute(self, sql, parameters=None):
        return self.server.execute(self.name, sql, parameters)

    def add(self, organization, source, table="usage", dataset="billing"):
        self.execute("INSERT INTO client_billing_config (organization_id, source_dataset, destination_dataset, destination_table) VALUES (%s, %s, %s, %s)",
                     [organization, source, dataset, table])

    def jobs(self) -> dict[str, list[str]]:
        found = {}
        for organization, status in self.execute("SELECT organization_id, status FROM etl_jobs ORDER BY id"):
            found.setdefault(organization, []).append(status)
        return found


@pytest.fixture
def ops(maria):
    made = Ops(maria)
    yield made
    maria.drop_database(made.name)


def make_usage(database, schema, rows=20):
    database.execute(f"CREATE SCHEMA {schema}")
    database.execute(f"CREATE TABLE {schema}.usage (id int PRIMARY KEY, service text, cost numeric(12,4), usage_end_time timestamptz NOT NULL)")
    add_usage(database, schema, 1, rows)


def add_usage(database, schema, first, last):
    database.execute(f"INSERT INTO {schema}.usage SELECT i, 'compute', i * 0.5, clock_timestamp() FROM generate_series({first}, {last}) i")


@pytest.fixture
def billing(database, project, ops):
    project.environment["SHOP_URL"], project.environment["OPS_URL"] = database.url, ops.server.url(ops.name)
    project.config(
        connections={"shop": {"type": "postgres", "url": "${SHOP_URL}"}, "warehouse": {"type": "duckdb", "path": "warehouse.duckdb"},
                     "ops": {"type": "mysql", "url": "${OPS_URL}"}},
        pipelines={"billing": {
            "for_each": {"connection": "ops", "table": "client_billing_config", "as": "client"},
            "source": {"connection": "shop", "table": "{client.source_dataset}.usage", "cursor": "usage_end_time"},
            "target": {"connection": "warehouse", "table": "{client.destination_dataset}.{client.destination_table}", "mode": "merge", "key": ["id"]},
            "jobs": {"connection": "ops", "table": "etl_jobs"}, "retries": {"max": 0}}})
    return project


def statuses(report) -> dict[str, str]:
    return {run["pipeline"]: run["status"] for run in report.runs}


def test_each_organization_is_run_into_its_own_table(billing, database, ops):
    for organization in ("acme", "betas", "Größe & Co"):
        schema = f"s_{len(organization)}"
        make_usage(database, schema, 20 + len(organization))
        ops.add(organization, schema, f"usage_{len(organization)}")
    assert "1 pipeline" in billing.run("check").out
    report = billing.load()
    names = list(statuses(report))
    assert names[:2] == ["billing--acme", "billing--betas"] and names[2].startswith("billing--") and set(statuses(report).values()) == {"success"}
    assert [billing.duck_value(f"SELECT count(*) FROM billing.usage_{n}") for n in (4, 10)] == [24, 30]
    assert ops.jobs() == {"acme": ["SUCCESS"], "betas": ["SUCCESS"], "Größe & Co": ["SUCCESS"]}
    assert {job for (job,) in ops.execute("SELECT job_id FROM etl_jobs")} == {run["run_id"] for run in report.runs}
    # An increment of one of them, by its own name; all of them, by the pipeline's.
    add_usage(database, "s_10", 31, 33)
    assert billing.load(names[2]).counts()[1] >= 3
    assert billing.duck_value("SELECT count(*) FROM billing.usage_10") == 33
    assert len(billing.load("billing").runs) == 3
    assert [len(rows) for rows in ops.jobs().values()] == [2, 2, 3]
    assert {p["pipeline"] for p in billing.run("status", "--output", "json").json["pipelines"]} == set(names)


def test_an_organization_may_have_a_connection_of_its_own(billing, database, ops):
    config = json.loads((billing.folder / "penstock.yaml").read_text())
    config["connections"]["warehouse"]["path"] = "{client.organization_id}.duckdb"
    billing.write(json.dumps(config))
    for organization in ("acme", "betas"):  # the same table in two files is not the same table
        make_usage(database, organization, len(organization))
        ops.add(organization, organization)
    billing.load()
    for organization in ("acme", "betas"):
        with duckdb.connect(str(billing.folder / f"{organization}.duckdb"), read_only=True) as file:
            assert file.execute("SELECT count(*) FROM billing.usage").fetchone() == (len(organization),)


def test_one_that_fails_does_not_touch_the_others(billing, database, ops):
    make_usage(database, "good_one")
    make_usage(database, "good_two")
    make_usage(database, "secret")
    make_usage(database, "bad_rows")
    database.execute("REVOKE pg_read_all_data FROM loader")
    try:
        database.execute("GRANT USAGE ON SCHEMA good_one, good_two, bad_rows TO loader; GRANT SELECT ON good_one.usage, good_two.usage, bad_rows.usage TO loader")
        database.execute("ALTER TABLE bad_rows.usage ALTER cost TYPE numeric; UPDATE bad_rows.usage SET cost = 'NaN' WHERE id = 7;"
                         "ALTER TABLE bad_rows.usage ADD happened timestamptz; UPDATE bad_rows.usage SET happened = 'infinity' WHERE id = 8;"
                         "UPDATE bad_rows.usage SET happened = '294276-01-01' WHERE id = 9")
        ops.add("a_missing", "no_such_schema", "t1")
        ops.add("b_good", "good_one", "t2")
        ops.add("c_no_permission", "secret", "t3")
        ops.add("d_null", None, "t4")
        ops.add("e_evil", "good_one; DROP TABLE x", "t5")
        ops.add("f_bad_rows", "bad_rows", "t6")
        ops.add("g_good", "good_two", "t7")
        report = billing.load(expect=None)
    finally:
        database.execute("GRANT pg_read_all_data TO loader")
    assert report.code != 0
    good = {"b_good", "g_good"}
    assert {name.removeprefix("billing--") for name, status in statuses(report).items() if status == "success"} == good
    assert ops.jobs() == {run["pipeline"].removeprefix("billing--"): ["SUCCESS" if run["status"] == "success" else "FAILED"] for run in report.runs}
    messages = dict(ops.execute("SELECT organization_id, error_message FROM etl_jobs"))
    assert messages["b_good"] is None and "NULL" in messages["d_null"] and "no_such_schema" in messages["a_missing"]
    assert [billing.duck_value(f"SELECT count(*) FROM billing.{table}") for table in ("t2", "t7")] == [20, 20]
    # The row mended, the next run makes up for it.
    ops.execute("UPDATE client_billing_config SET source_dataset = 'good_one' WHERE organization_id = 'a_missing'")
    assert billing.load("billing--a_missing").run()["status"] == "success"
    assert ops.jobs()["a_missing"] == ["FAILED", "SUCCESS"]


def test_killed_in_the_middle_and_triggered_again(billing, database, ops):
    for number in range(5):
        make_usage(database, f"s{number}")
        ops.add(f"org{number}", f"s{number}", f"t{number}")
    assert billing.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": "target_commit_before=kill"}).code == -9
    assert ops.jobs() == {"org0": ["IN_PROGRESS"]}
    assert billing.run("run", "--all", expect=None, env={"PENSTOCK_FAILPOINT": "state_run_ended_before=kill"}).code == -9
    assert ops.jobs() == {"org0": ["FAILED", "IN_PROGRESS"]}
    billing.load()
    assert ops.jobs() == {"org0": ["FAILED", "FAILED", "SUCCESS"], **{f"org{n}": ["SUCCESS"] for n in range(1, 5)}}
    assert [billing.duck_value(f"SELECT count(*) FROM billing.t{n}") for n in range(5)] == [20] * 5


def test_the_server_of_the_jobs_may_be_away_for_a_while(billing, database, ops):
    make_usage(database, "s", 3000)
    ops.add("acme", "s")
    running = billing.start("run", "--all", "--output", "json", env={"PENSTOCK_FAILPOINT": "source_read_during=delay"})
    deadline = time.monotonic() + 30
    while ops.jobs() != {"acme": ["IN_PROGRESS"]}:
        assert running.process.poll() is None and time.monotonic() < deadline, running.wait()
        time.sleep(0.05)
    ops.server.kill()
    time.sleep(5)
    ops.server.start()
    output = running.wait()
    assert output.code == 0, output
    assert ops.jobs() == {"acme": ["SUCCESS"]}


def test_steps_and_log_lines_carry_the_organization(billing, database, ops):
    make_usage(database, "s")
    ops.add("acme", "s")
    ops.execute("DROP TABLE etl_jobs")  # made when there is none, with a column for steps
    output = billing.run("run", "--all", log_format="json")
    ((organization, job, status, steps),) = ops.execute("SELECT organization_id, job_id, status, steps FROM etl_jobs")
    assert (organization, status) == ("acme", "SUCCESS")
    assert [(step["step"], step["status"], step["rows_written"]) for step in json.loads(steps)] == [("s.usage", "SUCCESS", 20)]
    lines = [json.loads(line) for line in output.err.splitlines()]
    begins = next(line for line in lines if "begins" in line["message"])
    assert (begins["organization_id"], begins["job_id"], begins["pipeline"]) == ("acme", job, "billing--acme")


def test_what_is_wrong_is_said_before_anything_runs(billing, ops):
    assert "has no rows" in billing.run("run", "--all", expect=2).err
    ops.add("acme", "s")
    ops.add("beta", "t")
    assert "billing--beta" in billing.run("run", "--all", expect=2).err, "both write one table"
    ops.execute("UPDATE client_billing_config SET organization_id = 'acme'")
    assert "the same in two rows" in billing.run("run", "--all", expect=2).err
    config = (billing.folder / "penstock.yaml").read_text()
    billing.write(config.replace('"connection": "ops",\n    "table": "client', '"connection": "shop",\n    "table": "client'))
    assert "kept in mysql" in billing.run("check", expect=2).err
    billing.write(config.replace('"client_billing_config"', '"nowhere"'))
    refused = billing.run("run", "--all", expect=1)
    assert "nowhere" in refused.err
    billing.write(config)
    billing.environment["OPS_URL"] = ops.server.url(ops.name, password="wr0ng-secret")
    refused = billing.run("run", "--all", expect=1)
    assert "Access denied" in refused.err and "wr0ng" not in refused.both
    found = billing.run("doctor", "ops", "--output", "json", expect=3).json["findings"]
    assert found[0]["severity"] == "problem"
    billing.environment["OPS_URL"] = ops.server.url(ops.name)
    found = billing.run("doctor", "ops", "--output", "json").json["findings"]
    assert "MariaDB" in found[0]["detail"]
    assert PASSWORD not in refused.both and PASSWORD_URL not in refused.both
    assert not ops.jobs() and not billing.warehouse.exists()
