"""The type oracle for BigQuery (the strict stand-in), read back with Google's client: every case file, as in test_types.py."""

import os

import pytest

from support.bigquery import Warehouse
from support.kinds import BIGQUERY, kind_of
from support.program import key_of
from test_types import CASES, SEED, compare, ground_truth, make_table, oracle  # noqa: F401 (a fixture)

# One run a case: of the random rows fewer than the embedded targets get.
ROWS = int(os.environ.get("PENSTOCK_TYPES_ROWS", 300))
TARGET = {"connection": "bq", "table": "types.v", "mode": "append"}


@pytest.fixture
def warehouse(bigquery):
    made = Warehouse(bigquery)
    yield made
    assert bigquery.stats()["failures"] == [] and bigquery.stats()["unlimited"] == []
    made.client.close()


def declared_type(field) -> str:
    """Of a SchemaField, in GoogleSQL's names."""
    names = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
    kind = names.get(field.field_type, field.field_type)
    if kind == "RECORD":
        kind = f"STRUCT<{', '.join(f'{child.name} {declared_type(child)}' for child in field.fields)}>"
    if kind == "RANGE":
        kind = f"RANGE<{field.range_element_type.element_type}>"
    return f"ARRAY<{kind}>" if field.mode == "REPEATED" else kind


def stored_values(warehouse, kind) -> dict:
    rows = warehouse.rows(f"SELECT id, {kind.google('t.v')} AS v FROM types.v AS t")
    ids = [row for row, _ in rows]
    assert len(ids) == len(set(ids)), "a row was stored twice"
    return {str(row): None if value is None else kind.value(value, BIGQUERY) for row, value in rows}


def rejects(warehouse) -> list[dict]:
    names = ["pipeline", "run_id", "`key`", "`column`", "code", "reason"]
    return [dict(zip([name.strip("`") for name in names], row)) for row in warehouse.rows(f"SELECT {', '.join(names)} FROM penstock.rejects")]


@pytest.mark.parametrize("publish", ["load_job", "storage_write"])
@pytest.mark.parametrize("name", CASES)
def test_type(name, publish, oracle, project, warehouse):  # noqa: F811
    case, kind = CASES[name], kind_of(CASES[name].kind)
    make_table(oracle, case)
    few = f"id < {1000 + ROWS}"
    project.pipeline(oracle, {"table": case.table, "where": few}, {**TARGET, "publish": publish}, on_reject="continue",
                     connections=warehouse.connection(storage_endpoint=f"http://{warehouse.server.grpc_address}"), **case.options)
    report = project.load()
    truth = ground_truth(oracle, f"SELECT id, v FROM {case.table} WHERE {few} ORDER BY id")
    stored, found = stored_values(warehouse, kind), rejects(warehouse)
    rejected = {key_of(reject)["id"]: reject for reject in found}
    assert len(found) == len(rejected), "a value was rejected twice"
    compare(truth, stored, rejected, kind, BIGQUERY)
    assert report.counts() == (len(truth), len(stored), len(rejected), 0)
    for reject in found:
        assert reject["column"] == "v" and reject["code"] and reject["reason"] and reject["pipeline"] == "p", reject
        assert reject["run_id"] == report.run()["run_id"]
    column = next(field for field in warehouse.client.get_table("types.v").schema if field.name == "v")
    assert declared_type(column) == kind.bigquery
