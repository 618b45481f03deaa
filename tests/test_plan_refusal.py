"""A plan that finds what a run would refuse ends as that run would."""

import pytest

from support.shop import make_orders

TARGETS = {"duckdb": {"table": "shop.orders", "mode": "merge", "key": ["id"]},
           "parquet": {"format": "parquet", "path": "orders/", "mode": "append"}}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("output", ["text", "json"])
def test_a_refused_change_fails_the_plan_as_it_fails_the_run(target, output, database, project):
    make_orders(database, 10)
    source = {"table": "public.orders", "cursor": "updated_at"}
    project.pipeline(database, source, {**TARGETS[target], "schema_change": "reject"})
    project.load()
    project.run("plan", "p", expect=0)
    database.execute("ALTER TABLE orders ADD COLUMN extra int")  # and not a row that is new
    planned = project.run("plan", "p", "--output", output, expect=None)
    report = project.load(expect=1)
    assert report.error["code"] == "schema_change_refused"
    assert planned.code == 1, planned
    assert "extra" in planned.err
    if output == "json":
        refusal = planned.json["pipelines"][0]["tables"][0]["refusal"]
        assert refusal["code"] == "schema_change_refused"
        assert refusal["message"] == report.error["message"]
    else:
        assert "refused" in planned.out
