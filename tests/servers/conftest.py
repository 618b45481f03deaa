"""Tables for the tests of the stand-in."""

import itertools

import pytest
from google.cloud import bigquery as bq
from google.cloud.bigquery.table import PrimaryKey, TableConstraints

_numbers = itertools.count()


@pytest.fixture
def client(bigquery):
    client = bigquery.client()
    client.create_dataset("ds")
    yield client
    assert bigquery.stats()["failures"] == []


@pytest.fixture
def make_table(client):
    def make(*fields, key=(), **more) -> str:
        table = bq.Table(f"{client.project}.ds.t{next(_numbers)}", [bq.SchemaField(*field) if isinstance(field, tuple) else field for field in fields])
        for name, value in more.items():
            setattr(table, name, value)
        if key:
            table.table_constraints = TableConstraints(primary_key=PrimaryKey(list(key)), foreign_keys=None)
        return str(client.create_table(table).reference)

    return make
