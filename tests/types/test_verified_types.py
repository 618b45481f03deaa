"""`penstock verify` over every source type: right after a load all values are equal, and one value changed in the target is found.
A column that cannot be compared is named, and not among those that are equal."""

import os
import random

import duckdb
import pytest

from support.bigquery import Warehouse
from support.kinds import DUCKDB, PARQUET
from test_types import CASES, SEED, load, make_table, oracle  # noqa: F401 (a fixture)


def verify(project, expect=0):
    table, = project.run("verify", "p", "--output", "json", expect=expect).json["tables"]
    return table


def told(table):
    return [(one["kind"], one["key"]["id"], [column["column"] for column in one["columns"]]) for one in table["shown"]]


# The oracle has compared every type in each of these targets: every fourth says whether verify can. VERIFIED_TYPES=1 takes all.
BESIDE = sorted(CASES)[:: int(os.environ.get("VERIFIED_TYPES", "4"))]


@pytest.mark.parametrize("name", CASES)
def test_a_type_is_equal_after_its_load_and_one_changed_value_is_found(name, oracle, project):  # noqa: F811
    case = CASES[name]
    print(f"PENSTOCK_TYPES_SEED={SEED}")
    make_table(oracle, case)
    load(project, oracle, case, DUCKDB)
    table = verify(project)
    assert table["equal"] and table["columns"] == ["id", "v"] and not table["not_compared"], table
    rejected = len({reject["key"] for reject in project.rejects()})
    assert table["rejected"] == rejected

    chance = random.Random(SEED)
    with duckdb.connect(str(project.warehouse)) as warehouse:
        warehouse.execute("SET TimeZone = 'UTC'")
        rows = warehouse.execute("SELECT id, v::VARCHAR FROM types.v WHERE v IS NOT NULL").fetchall()
        values = sorted({text for _, text in rows})
        victim, text = chance.choice(rows)
        others = [row for row, other in rows if other.replace("-0.0", "0.0") != text.replace("-0.0", "0.0")]
        by = "NULL" if not others or len(values) < 2 else f"(SELECT v FROM types.v WHERE id = {chance.choice(others)})"
        warehouse.execute(f"UPDATE types.v SET v = {by} WHERE id = {victim}")
    table = verify(project, expect=3)
    assert told(table) == [("changed", str(victim), ["v"])], table


@pytest.mark.parametrize("name", BESIDE)
def test_a_type_in_bigquery_is_equal_or_said_not_to_be_compared(name, oracle, project, bigquery):  # noqa: F811
    case = CASES[name]
    make_table(oracle, case)
    warehouse = Warehouse(bigquery)
    project.pipeline(oracle, {"table": case.table, "where": "id < 1200"}, {"connection": "bq", "table": "types.v", "mode": "append"},
                     on_reject="continue", connections=warehouse.connection(), **case.options)
    project.load()
    table = verify(project)
    assert table["equal"] and table["complete"] == ("v" in table["columns"])
    assert [one["column"] for one in table["not_compared"]] == [name for name in ("id", "v") if name not in table["columns"]], table
    warehouse.client.close()


@pytest.mark.parametrize("name", BESIDE)
def test_a_type_is_equal_in_parquet(name, oracle, project):  # noqa: F811
    case = CASES[name]
    make_table(oracle, case)
    load(project, oracle, case, PARQUET)
    table = verify(project)
    assert table["equal"] and table["columns"] == ["id", "v"] and not table["not_compared"], table
