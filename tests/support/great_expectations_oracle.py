"""Run by the Python that tools/servers/great-expectations installs: what Great Expectations says of tables.

Reads a JSON list of {"columns": {name: {"type": …, "values": […]}}, "suite": {…}} and writes the validation results as it gives them.
"""

import json
import logging
import sys
import time
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import great_expectations as gx  # noqa: E402
import pandas as pd  # noqa: E402

TYPES = {"int": "int64", "float": "float64", "text": "object", "date": "datetime64[us]"}


def frame_of(columns: dict) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(column["values"], dtype=TYPES[column["type"]]) for name, column in columns.items()})


def main() -> None:
    cases = json.load(open(sys.argv[1]))
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("tables")
    results = []
    for number, case in enumerate(cases):
        frame = frame_of(case["columns"])
        batch = source.add_dataframe_asset(f"t{number}").add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        suite = gx.ExpectationSuite(name=f"s{number}")
        suite.add_expectation_configurations([gx.expectations.expectation_configuration.ExpectationConfiguration(**one)
                                              for one in case["suite"]["expectations"]])
        began = time.perf_counter()
        result = batch.validate(suite, result_format="SUMMARY")
        results.append({"result": result.to_json_dict(), "seconds": time.perf_counter() - began})
    json.dump(results, open(sys.argv[2], "w"), default=lambda value: value.item() if hasattr(value, "item") else str(value))


main()
