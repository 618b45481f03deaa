"""Checks against the tables of a target: what `quality run` says of DuckDB and of BigQuery, and what is kept there."""

import html.parser
import json

import pytest
from support.bigquery import Warehouse
from test_quality import INTO, WHOLE, make_orders

EVERYTHING = [
    {"not_null": ["id", "email"]}, {"unique": "id"}, {"unique": "email"}, {"unique": ["state", "age"]},
    {"accepted_values": {"column": "state", "values": ["new", "paid"], "mostly": 0.5}},
    {"accepted_values": {"column": "age", "values": [1, 2, 3]}},
    {"accepted_values": {"column": "placed", "values": ["2024-01-02", "2024-02-03"]}},
    {"regex": {"column": "email", "pattern": "^[^@]+@[^@]+\\.com$", "mostly": 0.9}},
    {"between": {"column": "age", "min": 10, "max": 50}}, {"between": {"column": "placed", "min": "2024-03-01"}},
    {"between": {"column": "amount", "max": 100.5}}, {"length": {"column": "state", "min": 4}},
    {"row_count": {"min": 1, "max": 400}}, {"freshness": {"column": "at", "max_age": "1h"}}, {"condition": "age > 5 OR state = 'new'"},
    {"sql": "SELECT age FROM {batch} GROUP BY age HAVING count(*) > 5"},
    *({"expect": expectation} for expectation in (
        {"type": "expect_column_values_to_match_like_pattern", "column": "email", "like_pattern": "p%@example.com"},
        {"type": "expect_column_values_to_not_match_like_pattern_list", "column": "email", "like_pattern_list": ["p1_@%", "bad"]},
        {"type": "expect_column_values_to_match_regex_list", "column": "email", "regex_list": ["^p1", "2@"], "match_on": "any"},
        {"type": "expect_column_values_to_be_json_parseable", "column": "state"},
        {"type": "expect_column_value_z_scores_to_be_less_than", "column": "age", "threshold": 1.5, "double_sided": True},
        {"type": "expect_column_min_to_be_between", "column": "placed", "min_value": "2024-01-01", "max_value": "2024-01-03"},
        {"type": "expect_column_max_to_be_between", "column": "amount", "max_value": 10},
        {"type": "expect_column_mean_to_be_between", "column": "age", "min_value": 44, "max_value": 45},
        {"type": "expect_column_median_to_be_between", "column": "age", "min_value": 44, "max_value": 45},
        {"type": "expect_column_stdev_to_be_between", "column": "age", "min_value": 20, "max_value": 30},
        {"type": "expect_column_sum_to_be_between", "column": "amount", "min_value": 1},
        {"type": "expect_column_unique_value_count_to_be_between", "column": "state", "max_value": 3},
        {"type": "expect_column_proportion_of_unique_values_to_be_between", "column": "age", "max_value": 0.5},
        {"type": "expect_column_proportion_of_non_null_values_to_be_between", "column": "email", "min_value": 0.99},
        {"type": "expect_column_quantile_values_to_be_between", "column": "age",
         "quantile_ranges": {"quantiles": [0.25, 0.5], "value_ranges": [[20, 25], [None, 40]]}},
        {"type": "expect_column_distinct_values_to_equal_set", "column": "state", "value_set": ["new", "paid", "void"]},
        {"type": "expect_column_distinct_values_to_contain_set", "column": "age", "value_set": [1, 2, 300]},
        {"type": "expect_column_most_common_value_to_be_in_set", "column": "state", "value_set": ["new"], "ties_okay": True},
        {"type": "expect_column_pair_values_a_to_be_greater_than_b", "column_A": "id", "column_B": "age"},
        {"type": "expect_column_pair_values_to_be_in_set", "column_A": "age", "column_B": "state", "value_pairs_set": [[1, "paid"], [2, "void"]]},
        {"type": "expect_select_column_values_to_be_unique_within_record", "column_list": ["id", "age"]},
        {"type": "expect_multicolumn_sum_to_equal", "column_list": ["id", "age"], "sum_total": 4},
        {"type": "expect_column_kl_divergence_to_be_less_than", "column": "state", "threshold": 0.1, "tail_weight_holdout": 0.3,
         "partition_object": {"values": ["new", "paid"], "weights": [0.5, 0.5]}},
        {"type": "expect_column_kl_divergence_to_be_less_than", "column": "age", "threshold": 0.01,
         "partition_object": {"bins": [0, 30, 60, 89], "weights": [0.3, 0.3, 0.4]}},
        {"type": "expect_column_mean_to_be_between", "column": "age", "max_value": 20, "row_condition": 'col("age") < 30'},
        {"type": "expect_column_values_to_be_in_set", "column": "state", "value_set": ["new"],
         "row_condition": {"type": "and", "conditions": [{"type": "nullity", "column": {"name": "email"}, "is_null": False},
                                                         {"type": "comparison", "column": {"name": "placed"}, "operator": "IN",
                                                          "parameter": ["2024-01-04", "2024-01-05"]}]}},
        {"type": "expect_table_column_count_to_equal", "value": 7}, {"type": "expect_column_to_exist", "column": "at", "column_index": 6}))]


def verdicts(output) -> list[tuple]:
    (validation,) = output.json["validations"]
    return [(one["expectation_config"]["meta"]["name"], one["success"], one["result"].get("unexpected_count"),
             one["result"].get("missing_count")) for one in validation["results"]]


@pytest.fixture
def warehouse(bigquery):
    made = Warehouse(bigquery)
    yield made
    assert bigquery.stats()["unlimited"] == [], "a query job had no maximumBytesBilled"
    made.client.close()


def test_the_tables_of_duckdb_and_of_bigquery_get_the_same_verdicts(database, make_project, warehouse):
    make_orders(database, 360)
    found = []
    for target, connections in ((INTO, {}), ({**INTO, "connection": "bq"}, warehouse.connection())):
        project = make_project()
        project.pipeline(database, WHOLE, dict(target), connections=connections)
        project.load()
        project.pipeline(database, WHOLE, dict(target), connections=connections, checks=EVERYTHING)
        found.append(verdicts(project.run("quality", "run", "--output", "json", expect=3)))
    assert len(found[0]) == len(EVERYTHING) + 1
    assert {success for _, success, *_ in found[0]} == {True, False}
    assert found[0] == found[1]
    rows = "SELECT `check`, success, unexpected_count, published FROM penstock.validation_results"
    assert len(warehouse.rows(rows)) == len(found[0])


def test_a_failed_check_publishes_nothing_into_bigquery_and_is_on_record_there(database, project, warehouse):
    make_orders(database, 100)
    target = {**INTO, "connection": "bq"}
    project.pipeline(database, WHOLE, dict(target), connections=warehouse.connection(), checks=[{"not_null": "id"}])
    project.load()
    database.execute("UPDATE orders SET state = 'lost' WHERE id = 7")
    checks = [{"accepted_values": {"column": "state", "values": ["new", "paid", "void"]}}, {"row_count": {"min": 1}}]
    project.pipeline(database, WHOLE, dict(target), connections=warehouse.connection(), checks=checks)
    for _ in range(2):
        assert "nothing was published" in project.load(expect=3).run()["error"]["hint"]
    assert warehouse.value("SELECT COUNT(*) FROM shop.orders WHERE state = 'lost'") == 0
    assert warehouse.rows("SELECT `check`, success, unexpected_count, published FROM penstock.validation_results "
                          "ORDER BY evaluated_at, `check`") == [
        ("not_null of id", True, 0, True), *2 * [("accepted_values of state", False, 1, False), ("row_count", True, 0, False)]]


def test_bigquery_is_asked_about_the_whole_table_after_the_commit(database, project, warehouse):
    make_orders(database, 10)
    project.pipeline(database, WHOLE, {"connection": "bq", "table": "shop.orders", "mode": "append"}, connections=warehouse.connection(),
                     checks=[{"unique": "id", "rows": "table"}])
    project.load()
    failed = project.load(expect=3).run()
    assert "unique of id: 20 of 20 rows" in failed["error"]["message"] and "the rows are in the target" in failed["error"]["hint"]
    assert warehouse.value("SELECT COUNT(*) FROM shop.orders") == 20
    assert warehouse.rows("SELECT success, unexpected_count, published FROM penstock.validation_results ORDER BY evaluated_at") == [
        (True, 0, True), (False, 20, True)]


def test_quality_run_asks_and_loads_nothing(database, project):
    make_orders(database, 100)
    project.pipeline(database, WHOLE, INTO, checks=[{"row_count": {"max": 100}}, {"not_null": "email", "on_fail": "warn"}])
    early = project.run("quality", "run", "p", expect=1).err
    assert "no check was asked" in early and "penstock run p" in early, "nothing asked is nothing proven"
    project.load()
    database.execute("INSERT INTO orders (id) VALUES (1000)")
    said = project.run("quality", "run", "p")
    assert "row_count" in said.out and "not_null of email" in said.out and "failed" in said.out
    assert project.duck_value("SELECT count(*) FROM shop.orders") == 100
    assert project.duck("SELECT count(*), count(DISTINCT run_id) FROM penstock.validation_results") == [(4, 2)]
    shown = project.run("quality", "run", "--output", "json").json["validations"][0]
    assert shown["statistics"] == {"evaluated_expectations": 2, "successful_expectations": 1, "unsuccessful_expectations": 1,
                                   "success_percent": 50.0}
    project.pipeline(database, WHOLE, INTO)
    assert "has no checks" in project.run("quality", "run", "p", expect=2).err


class Page(html.parser.HTMLParser):
    """Refuses what a page may not need, and what is not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "img", "iframe") and not {"src", "href"} & {name for name, _ in attributes}
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_shows_every_check_and_needs_nothing_else(database, project):
    make_orders(database, 100)
    database.execute("UPDATE orders SET state = '<b>&' WHERE id = 1")
    project.pipeline(database, WHOLE, INTO, checks=[{"accepted_values": {"column": "state", "values": ["new", "paid", "void"]}, "on_fail": "warn"},
                                                    {"row_count": {"min": 1}, "name": "<there>"}])
    project.load()
    project.load()
    project.run("quality", "docs", "--into", "report.html")
    text = (project.folder / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == [] and "url(" not in text and "<there>" in page.text and '["<b>&"]' in page.text
    assert "1 of 2 checks passed" in page.text and page.text.count("○○") == 1 and page.text.count("●●") == 1
    assert project.run("quality", "docs").out.startswith("<!doctype html>")


def test_an_imported_suite_asks_the_same(database, project):
    make_orders(database, 100)
    suite = {"name": "s", "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "email"}, "severity": "warning"},
        {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["id", "state"]}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "state", "value_set": ["new", "paid", "void"], "mostly": 0.9}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "age", "min_value": 0, "max_value": 89}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "age", "min_value": -1, "strict_min": True}},
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "email", "regex": "'@|\\d"}, "severity": "info"},
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1, "max_value": None}},
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "age", "min_value": 1.5, "max_value": 100}}]}
    project.write(json.dumps(suite), "suite.json")
    imported = project.run("quality", "import", "suite.json").out
    assert imported.startswith("checks:") and 'not_null: "email"' in imported and "strict_min: true" in imported
    import yaml
    seen = []
    for checks in ([{"suite": "suite.json"}], yaml.safe_load(imported)["checks"]):
        project.pipeline(database, WHOLE, INTO, checks=checks)
        project.load()
        seen.append(project.duck("""SELECT expectation, kwargs, severity, on_fail, success, result FROM penstock.validation_results
                                    WHERE run_id = (SELECT max(run_id) FROM penstock.validation_results) ORDER BY rowid"""))
    assert len(seen[0]) == 8 and seen[0] == seen[1]


# -- streams ------------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def kafka():
    from support.kafka import KafkaBroker

    made = KafkaBroker()
    yield made
    made.destroy()


def test_events_are_checked_commit_by_commit(kafka, project):
    from test_events import send

    kafka.create("checked", partitions=3)
    project.write("CREATE TABLE d.orders (id INT64, amount FLOAT64, state STRING)", "orders.sql")
    checks = [{"between": {"column": "amount", "min": 0}, "on_fail": "reject", "tables": "d.orders"},
              {"accepted_values": {"column": "state", "values": ["new"]}, "on_fail": "warn"}]
    pipeline = {"source": {"connection": "bus", "topics": ["checked"], "format": "json"},
                "route": {"order": {"schema": "orders.sql", "table": "d.orders"}},
                "target": {"connection": "w", "mode": "append"}, "checks": checks}

    def configure():
        project.config(connections={"bus": {"type": "kafka", "brokers": kafka.brokers}, "w": {"type": "duckdb", "path": "warehouse.duckdb"}},
                       pipelines={"p": pipeline})

    configure()
    send(kafka, "checked", [json.dumps({"id": i, "amount": -1 if i % 100 == 7 else i, "state": "old" if i == 3 else "new"}).encode()
                            for i in range(3000)])
    loaded = project.load("--drain")
    assert loaded.counts() == (3000, 2970, 30, 0)
    assert project.duck_value("SELECT count(*) FROM d.orders") == 2970 and project.duck_value("SELECT min(amount) FROM d.orders") == 0
    rejects = project.rejects()
    assert {(reject["code"], reject["reason"], reject["column"]) for reject in rejects} == {("check_failed", "check between of amount", "amount")}
    assert {json.loads(reject["payload"])["id"] for reject in rejects} == set(range(7, 3000, 100))
    shown = {one["check"]: one for one in next(table for table in loaded.run()["tables"] if table["table"] == "d.orders")["checks"]}
    assert (shown["between of amount"]["unexpected_count"], shown["between of amount"]["element_count"]) == (30, 3000)
    assert (shown["accepted_values of state"]["success"], shown["accepted_values of state"]["unexpected_count"]) == (False, 1)
    assert project.duck_value('SELECT sum(element_count) FROM penstock.validation_results WHERE "check" = \'between of amount\'') == 3000

    checks[0]["on_fail"] = "stop"
    configure()
    send(kafka, "checked", [json.dumps({"id": 5000, "amount": -5, "state": "new"}).encode()])
    assert "between of amount: 1 of 1 rows" in project.load("--drain", expect=3).run()["error"]["message"]
    checks[0]["on_fail"] = "reject"
    configure()
    assert project.load("--drain").counts() == (1, 0, 1, 0)


def test_captured_changes_are_not_checked_on_their_way(database, project):
    source = {"changes": {"tables": ["public.t"], "publication": "p", "slot": "s"}}
    project.pipeline(database, source, {"dataset": "shop"}, checks=[{"not_null": "id"}])
    said = project.run("check", expect=2).both
    assert "checks of changes on their way are not there in this version (check not_null of id)" in said and "rows: table" in said
    project.pipeline(database, source, {"dataset": "shop"}, checks=[{"not_null": "id", "rows": "table"}])
    project.run("check")
