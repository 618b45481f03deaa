"""The billing pipeline of examples/billing.yaml: BigQuery to BigQuery for fifty organizations, configuration and jobs in MariaDB,
started by push messages; killed twice, its database gone for a while, five organizations failing each in its own way."""

import json
import shutil
import threading
import time

import pytest
from google.cloud.bigquery import QueryJobConfig

from support.identity import AUDIENCE, PUSHER, Key, KeyServer
from support.mariadb import PASSWORD, USER, MariaServer
from support.program import ROOT
from support.serving import Serving

ORGANIZATIONS = [f"org-{number:02}" for number in range(50)]
NO_PERMISSION, MISSING, BAD_ROWS, TIMEOUT, QUOTA = "org-03", "org-11", "org-19", "org-27", "org-42"
PASSING, LASTING = {TIMEOUT, QUOTA}, {NO_PERMISSION, MISSING, BAD_ROWS}
TABLES = """
CREATE TABLE etl_jobs (id INT AUTO_INCREMENT PRIMARY KEY, organization_id VARCHAR(255), job_id VARCHAR(255),
    status ENUM('IN_PROGRESS', 'SUCCESS', 'FAILED'), created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, error_message TEXT);
CREATE TABLE client_billing_config (id INT AUTO_INCREMENT PRIMARY KEY, organization_id VARCHAR(255), source_dataset VARCHAR(255),
    destination_dataset VARCHAR(255), destination_table VARCHAR(255), last_successful_run TIMESTAMP NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"""


@pytest.fixture(scope="module")
def maria():
    made = MariaServer()
    yield made
    made.destroy()


@pytest.fixture
def keys():
    made = KeyServer(Key("key-1"))
    yield made
    made.close()


def rows_of(organization: str) -> int:
    return 2 + int(organization[-2:]) % 7


class Billing:
    """The example as it is shipped, with everything it speaks to on this machine."""

    def __init__(self, project, server, maria, keys):
        self.project, self.server, self.maria, self.keys = project, server, maria, keys
        self.client = server.client(default_query_job_config=QueryJobConfig(maximum_bytes_billed=10**12))
        self.name, self.running = "pulse_billing_etl", None
        maria.drop_database(self.name)
        maria.make_database(self.name)
        for statement in TABLES.split(";"):
            maria.execute(self.name, statement)
        for file in ("billing.yaml", "billing-message.json"):
            shutil.copy(ROOT / "examples" / file, project.folder / file)
        project.environment.update(
            PENSTOCK_FILE="billing.yaml", DB_HOST="127.0.0.1", DB_PORT=str(maria.port), DB_USER=USER, DB_PASSWORD=PASSWORD, DB_NAME=self.name, PROJECT_ID="stand-in",
            SERVICE_ACCOUNT_FILE="keys/ours.json", BATCH_SIZE="3", MAX_RETRIES="1", RETRY_DELAY="1", LOG_LEVEL="INFO", PUSH_AUDIENCE=AUDIENCE,
            PUSH_SERVICE_ACCOUNT=PUSHER, PUSH_KEYS=keys.url, BIGQUERY_ENDPOINT=server.endpoint, BIGQUERY_TIMEOUT="2s", BIGQUERY_RETRY_FOR="1s")
        (project.folder / "keys").mkdir()
        project.write(json.dumps(server.account("ours@stand-in.iam.gserviceaccount.com", projects=["stand-in"])), "keys/ours.json")

    def sql(self, sql: str) -> list[tuple]:
        return [tuple(row.values()) for row in self.client.query(sql).result()]

    def ops(self, sql: str, parameters=None) -> list[tuple]:
        return self.maria.execute(self.name, sql, parameters)

    def add(self, organizations) -> None:
        """Source tables, accounts and rows of the configuration."""
        self.client.create_dataset("billing")
        theirs = self.server.account("theirs@stand-in.iam.gserviceaccount.com", projects=["stand-in"])
        denied = self.server.account("denied@stand-in.iam.gserviceaccount.com", projects=["stand-in"], datasets={})
        for name in organizations:
            dataset = "s_" + name.replace("-", "_")
            self.client.create_dataset(dataset)
            self.project.write(json.dumps(denied if name == NO_PERMISSION else theirs), f"keys/{name}.json")
            self.ops("INSERT INTO client_billing_config (organization_id, source_dataset, destination_dataset, destination_table) VALUES (%s, %s, 'billing', %s)",
                     [name, dataset, "usage_" + name[-2:]])
            if name == MISSING:
                continue
            cost = "BIGNUMERIC '123456789012345678901234567890.123456789012'" if name == BAD_ROWS else "CAST(x AS BIGNUMERIC)"
            self.sql(f"CREATE TABLE {dataset}.usage AS SELECT x AS id, {cost} AS cost,"
                     f" TIMESTAMP_ADD(TIMESTAMP '2026-01-01 00:00:00+00', INTERVAL x SECOND) AS usage_end_time FROM UNNEST(GENERATE_ARRAY(1, {rows_of(name)})) AS x")

    # -- the server ------------------------------------------------------------------------------------------------
    def serve(self) -> None:
        self.running = Serving(self.project)

    def push(self, message, message_id: str):
        return self.running.push("/billing", message, message_id, self.keys.keys[0].token())

    def push_aside(self, message, message_id: str) -> threading.Thread:
        """As Pub/Sub does: it does not mind when the server goes away."""
        def send():
            try:
                self.push(message, message_id)
            except OSError:
                pass
        thread = threading.Thread(target=send)
        thread.start()
        return thread

    # -- what became of it -----------------------------------------------------------------------------------------
    def jobs(self) -> dict[str, list[str]]:
        found = {}
        for organization, status in self.ops("SELECT organization_id, status FROM etl_jobs ORDER BY id"):
            found.setdefault(organization, []).append(status)
        return found

    def wait_for_successes(self, least: int) -> None:
        deadline = time.monotonic() + 60
        while sum("SUCCESS" in statuses for statuses in self.jobs().values()) < least:
            assert self.running.running.process.poll() is None and time.monotonic() < deadline, "".join(self.running.lines)[-3000:]
            time.sleep(0.05)

    def counts(self, organizations) -> dict[str, tuple]:
        tables = {table.table_id for table in self.client.list_tables("billing") if "__staging" not in table.table_id}
        union = " UNION ALL ".join(f"SELECT 'org-{table[-2:]}', COUNT(*), COUNT(DISTINCT id) FROM billing.{table}" for table in sorted(tables))
        return {name: (rows, distinct) for name, rows, distinct in self.sql(union)}


@pytest.fixture
def billing(project, bigquery, maria, keys):
    made = Billing(project, bigquery, maria, keys)
    yield made
    if made.running is not None and made.running.running.process.poll() is None:
        made.running.kill()
    assert bigquery.stats()["unlimited"] == [], "a query job had no maximumBytesBilled"
    made.client.close()


def test_fifty_organizations_killed_twice(billing, maria, bigquery):
    billing.add(ORGANIZATIONS)
    bigquery.fault("*", "delay", seconds=4, contains="s_" + TIMEOUT.replace("-", "_"))
    bigquery.fault("*", "error", status=403, reason="quotaExceeded", message="Quota exceeded: Your project exceeded quota for imports",
                   contains="s_" + QUOTA.replace("-", "_"))
    # Killed in the middle, and what Pub/Sub delivers again goes on.
    billing.serve()
    sender = billing.push_aside({}, "m-1")
    billing.wait_for_successes(8)
    billing.running.kill()
    sender.join()
    # The database goes away for a while and comes back; then the second kill.
    billing.serve()
    sender = billing.push_aside({}, "m-1")
    billing.wait_for_successes(15)
    maria.kill()
    time.sleep(3)
    maria.start()
    billing.wait_for_successes(22)
    billing.running.kill()
    sender.join()
    # What may be better another time is answered so that the message comes again; the others are not touched by it.
    billing.serve()
    first = billing.push({}, "m-1")
    assert (first.status, first.json["will_be_retried"]) == (503, True)
    good = [name for name in ORGANIZATIONS if name not in PASSING | LASTING]
    last = {name: statuses[-1] for name, statuses in billing.jobs().items()}
    assert last == {name: "SUCCESS" if name in good else "FAILED" for name in ORGANIZATIONS}
    messages = dict(billing.ops("SELECT organization_id, error_message FROM etl_jobs WHERE status = 'FAILED' AND error_message <> 'interrupted by a crash' ORDER BY id"))
    assert set(messages) == PASSING | LASTING and len(set(messages.values())) == 5
    assert "denied" in messages[NO_PERMISSION].lower() and "uota" in messages[QUOTA], messages
    bigquery.clear_faults()
    before = {name: len(statuses) for name, statuses in billing.jobs().items()}
    done = billing.push({}, "m-1")
    assert (done.status, done.json["status"]) == (200, "failed"), "what lasts is on record, and will not be better when it comes again"
    after = {name: len(statuses) for name, statuses in billing.jobs().items()}
    assert {name for name in ORGANIZATIONS if after[name] > before[name]} == PASSING
    assert {run["pipeline"]: run["status"] for run in done.json["runs"]} == {
        f"billing--{name}": "failed" if name in LASTING else "success" for name in ORGANIZATIONS}
    assert {name: rows for name, rows in billing.counts(ORGANIZATIONS).items() if name not in LASTING} == {
        name: (rows_of(name), rows_of(name)) for name in ORGANIZATIONS if name not in LASTING}
    assert {name for (name,) in billing.ops("SELECT organization_id FROM client_billing_config WHERE last_successful_run IS NOT NULL")} == set(ORGANIZATIONS) - LASTING
    # Delivered once more it does nothing at all.
    calls = bigquery.stats()["methods"]
    assert billing.push({}, "m-1").json == done.json
    assert bigquery.stats()["methods"] == calls and {name: len(statuses) for name, statuses in billing.jobs().items()} == after
    lines = [line for line in billing.running.log() if line["pipeline"] == f"billing--{QUOTA}"]
    assert lines and {(line["organization_id"], bool(line["job_id"])) for line in lines if "begins" in line["message"]} == {(QUOTA, True)}
    assert PASSWORD not in "".join(billing.running.lines)


def test_a_message_names_the_organizations_it_means(billing):
    billing.add(ORGANIZATIONS[:3])
    billing.serve()
    one = billing.push({"organization_id": "org-01"}, "m-1")
    assert (one.status, [run["pipeline"] for run in one.json["runs"]]) == (200, ["billing--org-01"])
    two = billing.push({"organization_id": ["org-00", "org-02"], "requested_by": "tests"}, "m-2")
    assert [(run["status"], run["rows_written"]) for run in two.json["runs"]] == [("success", 2), ("success", 4)]
    assert billing.jobs() == {name: ["SUCCESS"] for name in ORGANIZATIONS[:3]}
    unknown = billing.push({"organization_id": "org-77"}, "m-3")
    assert (unknown.status, unknown.json["status"]) == (200, "rejected") and "org-77" in unknown.json["error"]["message"]
    wrong = billing.push({"organisation": "org-01"}, "m-4")
    assert wrong.json["violations"][0]["reason"] and wrong.status == 200
    rejects = billing.project.run("rejects", "list", "--output", "json").json["rejects"]
    assert [(reject["pipeline"], reject["source_position"]) for reject in rejects] == [("billing", "m-3"), ("billing", "m-4")]
    assert billing.project.load("billing", "--param", "organization_id=org-01").run()["pipeline"] == "billing--org-01"
    assert billing.running.stop() == 0
