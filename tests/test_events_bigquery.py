"""The shipped event pipeline into BigQuery (the strict stand-in), read back by Google's client: tables as their statements have them, every
event once, whatever was killed."""

import json
import shutil
import signal
from collections import Counter
from datetime import timezone

import pytest
import yaml
from google.cloud.bigquery import QueryJobConfig

from support.event_samples import BRANCHES, Events
from support.program import ROOT
from test_events import kafka, moment, send, topic  # noqa: F401  (fixtures)

DATES = {"order": "order_date", "inventory": "timestamp", "user_activity": "timestamp"}
CLUSTERS = {"order": ["status", "customer_id"], "inventory": ["product_id", "warehouse_id"], "user_activity": ["user_id", "activity_type"]}
OWN = ("ingestion_time", "_penstock_position", "_penstock_schema_version")


def shipped(project, bigquery, kafka, topic):
    """The example, with Kafka and a folder in place of Pub/Sub and a bucket."""
    shutil.copytree(ROOT / "examples" / "ddl", project.folder / "ddl")
    config = yaml.safe_load((ROOT / "examples" / "backend-events.yaml").read_text())
    config["connections"]["events"] = {"type": "kafka", "brokers": kafka.brokers}
    config["connections"]["lake"] = {"type": "files", "url": "file:lake"}
    config["connections"]["bq"] = {"type": "bigquery", "project": "stand-in", "endpoint": bigquery.endpoint, "max_bytes_billed": "10GiB"}
    pipeline = config["pipelines"]["backend_events"]
    pipeline["source"] = {"connection": "events", "topics": [topic], "format": "json"}
    pipeline["archive"]["every"] = "1s"
    pipeline["retries"] = {"delay": "100ms"}
    (project.folder / "penstock.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def reading(bigquery):
    return bigquery.client(default_query_job_config=QueryJobConfig(maximum_bytes_billed=10**12))


def comparable(row, date):
    out = {name: value for name, value in row.items() if name not in OWN}
    value = out[date]
    out[date] = moment(value) if isinstance(value, str) else value.astimezone(timezone.utc)
    return json.dumps(out, sort_keys=True, default=str)


def assert_arrived(bigquery, events):
    client = reading(bigquery)
    for name, table in BRANCHES.items():
        found = [dict(row) for row in client.query(f"SELECT * FROM `stand-in.{table}`").result()]
        expected = [{"items": [], "metadata": None, **event} if name == "order" else event for event in events.good[name]]
        for event in expected:
            event.pop("metadata", None) if name == "order" else None
        assert Counter(comparable(row, DATES[name]) for row in found) == Counter(comparable(row, DATES[name]) for row in expected), name
        assert len({row["_penstock_position"] for row in found}) == len(found)
    rejected = [dict(row) for row in client.query("SELECT * FROM `stand-in.penstock.rejects`").result()]
    assert Counter((row["code"], row["route"] or None) for row in rejected) == Counter((code, route) for code, route, _ in events.bad)
    assert bigquery.stats()["unlimited"] == []


def test_tables_are_as_their_statements_have_them(project, bigquery, kafka, topic):
    shipped(project, bigquery, kafka, topic)
    events = Events(2_000, seed=21)
    send(kafka, topic, events.messages)
    run = project.load("--drain").run()
    assert (run["rows_read"], run["rows_rejected"]) == (2_000, 20)
    assert_arrived(bigquery, events)
    client = reading(bigquery)
    for name, table in BRANCHES.items():
        made = client.get_table(f"stand-in.{table}")
        assert made.time_partitioning.type_ == "DAY" and made.time_partitioning.field == DATES[name]
        assert made.clustering_fields == CLUSTERS[name]
        described = [field for field in made.schema if field.name not in OWN[1:]]
        assert all(field.description for field in described), [field.name for field in described if not field.description]
    orders = {field.name: field for field in client.get_table("stand-in.backend_events_data.order_events").schema}
    assert orders["order_id"].description == "Unique identifier for the order"
    assert orders["items"].mode == "REPEATED" and [field.description for field in orders["items"].fields][1] == "Name of the product"
    assert client.get_table("stand-in.backend_events_data.inventory_events").description == "Stores inventory-related events for tracking stock levels"


@pytest.mark.parametrize("failpoint", ["target_stage_after", "target_commit_before", "target_commit_after", "source_confirm_before"])
def test_killed_anywhere_each_event_is_there_once(project, bigquery, kafka, topic, failpoint):
    shipped(project, bigquery, kafka, topic)
    events = Events(900, seed=22)
    for part in range(3):
        send(kafka, topic, events.messages[part * 300:(part + 1) * 300])
        killed = project.run("run", "--all", "--drain", expect=None, env={"PENSTOCK_FAILPOINT": f"{failpoint}@{1 + part % 2}=kill"})
        assert killed.code in (0, -signal.SIGKILL), killed
    project.load("--drain")
    assert_arrived(bigquery, events)


def test_rows_that_are_gone_come_back_from_the_archive(project, bigquery, kafka, topic):
    shipped(project, bigquery, kafka, topic)
    events = Events(900, seed=23)
    send(kafka, topic, events.messages)
    project.load("--drain")
    client = reading(bigquery)

    def everything():
        return {table: sorted(str(dict(row)) for row in client.query(f"SELECT * FROM `stand-in.{table}`").result()) for table in BRANCHES.values()}

    before = everything()
    client.query(f"DELETE FROM `stand-in.{BRANCHES['order']}` WHERE true").result()
    client.query(f"DELETE FROM `stand-in.{BRANCHES['inventory']}` WHERE quantity_change > 0").result()
    for _ in range(2):
        project.run("replay", "backend_events", "--from", "2026-01-01")
        assert everything() == before
    assert len(before[BRANCHES["order"]]) == len(events.good["order"])
    assert_arrived(bigquery, events)
