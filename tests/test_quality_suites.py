"""Suites of Great Expectations, against what Great Expectations itself says of the same data."""

import json
import math
import os
import subprocess
from collections import Counter

import pytest

from support.expectation_samples import case
from support.program import ROOT

PYTHON = ROOT / ".deps/servers/great-expectations/bin/python"
ORACLE = ROOT / "tests/support/great_expectations_oracle.py"
COUNTS = ("element_count", "missing_count", "unexpected_count", "unexpected_percent", "unexpected_percent_total",
          "unexpected_percent_nonmissing", "missing_percent")
TYPES = {"int": "bigint", "float": "double precision", "text": "text", "date": "date"}
TABLES = int(os.environ.get("EXPECTATION_TABLES", "25"))


def oracle(folder, cases: list[dict]) -> list[dict]:
    given, said = folder / "cases.json", folder / "said.json"
    given.write_text(json.dumps(cases))
    subprocess.run([str(PYTHON), str(ORACLE), str(given), str(said)], check=True, cwd=folder)
    return json.loads(said.read_text())


def make_table(database, name: str, columns: dict) -> None:
    database.execute(f"CREATE TABLE {name} (" + ", ".join(f"{column} {TYPES[of['type']]}" for column, of in columns.items()) + ")")
    for row in zip(*(of["values"] for of in columns.values())):
        database.rows(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(columns))}) RETURNING 1", row)


def same(ours, theirs) -> bool:
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)) and not isinstance(ours, bool):
        return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return ours == theirs


def differences(expectation: dict, ours: tuple, theirs: dict) -> list[str]:
    success, result = ours[0], json.loads(ours[1])
    wrong = [] if success == theirs["success"] else [f"success {success} against {theirs['success']}"]
    for count in COUNTS:
        if count in theirs["result"] and not same(result.get(count), theirs["result"][count]):
            wrong.append(f"{count} {result.get(count)} against {theirs['result'][count]}")
    observed = theirs["result"].get("observed_value")
    if isinstance(observed, (int, float)) and not isinstance(observed, bool) and not math.isnan(observed):
        if not same(result.get("observed_value"), observed):
            wrong.append(f"observed {result.get('observed_value')} against {observed}")
    return [f"{expectation['type']} {expectation['kwargs']}: {one}\n  ours {result}\n  theirs {theirs['result']}" for one in wrong]


def test_verdicts_and_counts_are_those_of_great_expectations(database, project, tmp_path):
    cases = [case(number) for number in range(TABLES)]
    said = oracle(tmp_path, cases)
    checks = []
    for number, one in enumerate(cases):
        make_table(database, f"t{number}", one["columns"])
        project.write(json.dumps(one["suite"]), f"s{number}.json")
        checks.append({"suite": f"s{number}.json", "on_fail": "warn", "tables": f"public.t{number}"})
    project.pipeline(database, {"tables": ["public.*"]}, {"dataset": "shop", "mode": "replace"}, checks=checks, parallel=1)
    project.load(timeout=300)
    wrong, asked = [], 0
    for number, one in enumerate(cases):
        ours = project.duck(f"""SELECT success, result FROM penstock.validation_results WHERE "table" = 'public.t{number}'
                                ORDER BY evaluated_at, rowid""")
        theirs = {result["expectation_config"]["id"]: result for result in said[number]["result"]["results"]}
        assert len(ours) == len(one["suite"]["expectations"])
        for expectation, answer in zip(one["suite"]["expectations"], ours):
            if expectation["id"] not in theirs:  # the same but for a default that was written out: it asks that once
                continue
            asked += 1
            wrong += differences(expectation, answer, theirs[expectation["id"]])
    assert asked >= TABLES * 30
    kinds = Counter(one.split()[0] for one in wrong)
    assert not wrong, f"{len(wrong)} of {asked} differ: {kinds}\n" + "\n".join(wrong[:20])


def test_the_suite_that_great_expectations_wrote_is_read_as_it_is(database, project):
    fixtures = ROOT / "tests/fixtures/great-expectations"
    project.write((fixtures / "suite.json").read_text(), "suite.json")
    database.execute("CREATE TABLE orders (id int, email text, age int, state text); INSERT INTO orders VALUES (1,'a@b.co',5,'new'),"
                     "(2,'c@d.org',20,'paid'),(3,NULL,33,'new'),(4,'bad',150,'void'),(4,'e@f.net',41,'??')")
    project.pipeline(database, {"table": "public.orders"}, {"table": "shop.orders", "mode": "replace"}, checks=[{"suite": "suite.json"}])
    project.load(expect=3)
    theirs = {result["expectation_config"]["type"]: result
              for result in json.loads((fixtures / "validation_result_SUMMARY.json").read_text())["results"]}
    found = project.duck('SELECT expectation, success, result, severity, on_fail FROM penstock.validation_results')
    assert len(found) == len(theirs) == 6
    for expectation, success, result, severity, on_fail in found:
        said = dict(theirs[expectation]["result"])
        said.pop("partial_unexpected_index_list", None)
        assert success == theirs[expectation]["success"] and json.loads(result) == said
        assert severity == theirs[expectation]["expectation_config"]["severity"] and on_fail == ("stop" if severity == "critical" else "warn")


CONDITIONS = [("col(\"age\") > 20", 3), ('col("state") == "new"', 2), ("col('x') >= 1", None), ('col("state")!=\'new\'', 3), ('col("email").notNull()', 4),
              ('col("day") > date("2024-01-02")', 2), ("col(\"age\") <= 2e1", 2)]


def test_conditions_as_great_expectations_writes_them_for_sql(database, project):
    """In text, which its engine for pandas does not take."""
    database.execute("CREATE TABLE t (age int, state text, email text, day date); INSERT INTO t VALUES (5,'new','a','2024-01-01'),"
                     "(20,'paid',NULL,'2024-01-02'),(33,'new','b','2024-01-03'),(150,'void','c','2024-02-01'),(41,'O''Hara','d',NULL)")
    for condition, rows in CONDITIONS:
        kwargs = {"row_condition": condition, "condition_parser": "great_expectations"}
        project.write(json.dumps({"name": "s", "expectations": [
            {"type": "expect_table_row_count_to_equal", "kwargs": {"value": rows or 1, **kwargs}},
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "state", **kwargs}}]}), "s.json")
        project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "replace"}, checks=[{"suite": "s.json"}])
        if not rows:
            assert "is not understood" in project.run("run", "p", expect=2).err
        else:
            loaded = project.load()
            assert [one["element_count"] for one in loaded.run()["tables"][0]["checks"]] == [rows, rows], condition
    kwargs = {"column": "state", "value_set": ["new"], "row_condition": 'col("age") < 100', "condition_parser": "great_expectations"}
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t", "mode": "replace"},
                     checks=[{"expect": {"type": "expect_column_values_to_be_in_set", **kwargs}, "on_fail": "reject"}])
    assert project.load().counts() == (5, 3, 2, 0)
    assert project.duck("SELECT age FROM shop.t ORDER BY 1") == [(5,), (33,), (150,)]


@pytest.mark.parametrize("suite, says", [
    ({"name": "s"}, ["no list of `expectations`"]),
    ({"expectations": [{"expectation_type": "expect_column_to_exist", "kwargs": {"column": "id"}}]}, ["versions before 1.0"]),
    ({"expectations": [{"type": "expect_column_to_exits", "kwargs": {"column": "id"}}]}, ["did you mean 'expect_column_to_exist'", "s.json:"]),
    ({"expectations": [{"type": "expect_column_values_to_be_dateutil_parseable", "kwargs": {"column": "id"}}]}, ["is not available", "s.json:"]),
    *(({"expectations": [{"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id", "row_condition": condition, **more}}]}, says)
      for condition, more, says in (
          ("x", {}, ["`row_condition` of unique of id is not understood: 'x'", "s.json:"]),
          ("col(\"a\") > 1; DROP TABLE t", {}, ["is not understood", "col("]),
          ("a > 1", {"condition_parser": "pandas"}, ["is for the parser 'pandas'", "condition_parser: great_expectations"]),
          ({"type": "pass_through", "pass_through_filter": "a > 1"}, {}, ["pandas or Spark"]),
          ({"type": "comparison", "column": {"name": "a"}, "operator": "LIKE", "parameter": 1}, {}, ["no condition of Great Expectations"]))),
    ({"expectations": [{"type": "expect_table_column_count_to_equal", "kwargs": {"value": 1, "row_condition": "col(\"a\") > 1"}}]},
     ["`row_condition` has no meaning for column_count"])])
def test_what_of_a_suite_cannot_be_asked_is_refused_by_name(suite, says, database, project):
    project.write(json.dumps(suite, indent=1), "s.json")
    project.pipeline(database, {"table": "public.t"}, {"table": "shop.t"}, checks=[{"suite": "s.json"}])
    error = project.run("check", expect=2)
    assert all(words in error.both for words in says), error
