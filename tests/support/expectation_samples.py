"""Random tables, and for each a suite of Great Expectations with every expectation that fits its columns."""

import datetime
import json
import random

WORDS = ["new", "paid", "void", "ab@c.de", "x@y", "été", "", "a b", "PAID", "null", '{"a": 1}', "[1, 2]", "17", "o'hara", "100%"]


def column(kind: str, rows: int, generator: random.Random) -> list:
    nulls = generator.choice([0, 0, 0.1, 0.5])
    values = generator.choice([2, 5, rows or 1, 10 * rows + 1])
    made = []
    for number in range(rows):
        if kind != "int" and generator.random() < nulls:
            made.append(None)
        elif kind == "int":
            made.append(generator.randrange(values) - values // 3)
        elif kind == "float":
            made.append(generator.randrange(values) / 4)
        elif kind == "text":
            made.append(generator.choice(WORDS) if values > 5 else generator.choice(WORDS[:values]))
        else:
            made.append((datetime.date(2024, 1, 1) + datetime.timedelta(days=generator.randrange(values) % 900)).isoformat())
    if generator.random() < 0.2:
        made.sort(key=lambda value: (value is None, value))
    return made


def table(generator: random.Random) -> dict:
    rows = generator.choice([0, 1, 2, 7, 30, 200])
    kinds = ["int", "int", "float", "float", "text", "text", "date"]
    return {f"{kind}_{number}": {"type": kind, "values": column(kind, rows, generator)} for number, kind in enumerate(kinds)}


def bounds(values: list, generator: random.Random, strict: bool = True) -> dict:
    there = [value for value in values if value is not None] or [1]
    low, high = sorted((generator.choice(there), generator.choice(there)))
    made = generator.choice([{"min_value": low}, {"max_value": high}, {"min_value": low, "max_value": high}])
    if strict:
        for side in ("min", "max"):
            if f"{side}_value" in made and generator.random() < 0.3:
                made[f"strict_{side}"] = True
    return made


def some(values: list, kind: str, generator: random.Random) -> list:
    there = sorted({value for value in values if value is not None})
    none = {"text": "new", "date": "2024-01-01"}.get(kind, 1)
    return generator.sample(there, generator.randint(1, len(there))) if there else [none]


def of_numbers(name: str, values: list, generator: random.Random) -> list[dict]:
    there = [value for value in values if value is not None] or [0]
    mean = sum(there) / len(there)
    made = [{"type": f"expect_column_{what}_to_be_between", "kwargs": {"column": name, **bounds([mean - 1, mean + 0.5, mean + 3], generator)}}
            for what in ("mean", "median", "stdev", "sum")]
    made.append({"type": "expect_column_quantile_values_to_be_between", "kwargs": {"column": name, "quantile_ranges": {
        "quantiles": [0, 0.1, 0.5, 0.75, 1],
        "value_ranges": [[None, mean], [min(there), max(there)], [mean - 1, mean + 1], [mean, None], [min(there), max(there)]]}}})
    made.append({"type": "expect_column_value_z_scores_to_be_less_than",
                 "kwargs": {"column": name, "threshold": generator.choice([0.5, 1.5, 3]), "double_sided": generator.random() < 0.5}})
    return made


def weights(parts: int, generator: random.Random, total: float = 1) -> list:
    made = [generator.choice([0, 1, 2, 5]) for _ in range(parts)]
    return [total * one / sum(made) for one in made] if sum(made) else [total / parts] * parts


def of_distribution(name: str, values: list, kind: str, generator: random.Random) -> list[dict]:
    there = sorted({value for value in values if value is not None})
    kwargs = {"column": name, "threshold": generator.choice([0.1, 0.5, 3])}
    if kind != "float":
        named = generator.sample(there, generator.randint(1, len(there))) if there else [1 if kind == "int" else "new"]
        named = named[:12] + generator.choice([[], [999 if kind == "int" else "never"]])
        kwargs["tail_weight_holdout"] = generator.choice([0, 0.1, 1])
        kwargs["partition_object"] = {"values": named, "weights": weights(len(named), generator)}
        return [{"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": kwargs}]
    low, high = (there[0], there[-1]) if len(there) > 1 else (0, 1)
    step = (high - low) / 4
    bins = generator.choice([[low + step * i for i in range(5)], [low + step, low + 2 * step, high - step / 2], [low - 1, high + 1]])
    partition = {"bins": bins, "weights": weights(len(bins) - 1, generator)}
    shape = generator.choice(["plain", "tails", "open", "left", "right", "holdouts"])
    if shape == "tails":
        partition |= {"weights": weights(len(bins) - 1, generator, 0.8), "tail_weights": [0.15, 0.05]}
    elif shape in ("open", "left", "right"):
        bins = [*([] if shape == "right" else [float("-inf")]), *bins, *([] if shape == "left" else [float("inf")])]
        partition = {"bins": bins, "weights": weights(len(bins) - 1, generator)}
        kwargs["tail_weight_holdout"] = 0 if shape == "open" else generator.choice([0, 0.1])
    elif shape == "holdouts":
        kwargs |= {"tail_weight_holdout": 0.1, "internal_weight_holdout": 0.05}
    return [{"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {**kwargs, "partition_object": partition}}]


def row_condition(columns: dict, generator: random.Random) -> dict:
    """Of columns without NULL, for Great Expectations has two opinions on NULL, one for pandas and one for SQL."""
    def one() -> dict:
        name = generator.choice([name for name, column in columns.items() if column["type"] == "int"])
        there = columns[name]["values"] or [0]
        sign = generator.choice(["==", "!=", "<", "<=", ">", ">=", "IN", "NOT_IN"])
        value = generator.sample(there, min(3, len(there))) if "IN" in sign else generator.choice(there)
        return {"type": "comparison", "column": {"name": name}, "operator": sign, "parameter": value}
    name = generator.choice(list(columns))
    nullity = {"type": "nullity", "column": {"name": name}, "is_null": generator.random() < 0.3}
    return generator.choice([one(), nullity, {"type": "and", "conditions": [one(), nullity]}, {"type": "or", "conditions": [one(), one()]}])


def of_text(name: str, generator: random.Random) -> list[dict]:
    pattern = generator.choice(["@", "^[a-z]+$", "^.{2,4}$", "[0-9]", "a|x", "^$", "é"])
    patterns = generator.sample(["@", "^[a-z]+$", "[0-9]", "a"], 2)
    on = {"match_on": generator.choice(["any", "all"])}
    return [{"type": "expect_column_values_to_match_regex", "kwargs": {"column": name, "regex": pattern}},
            {"type": "expect_column_values_to_not_match_regex", "kwargs": {"column": name, "regex": pattern}},
            {"type": "expect_column_values_to_match_regex_list", "kwargs": {"column": name, "regex_list": patterns, **on}},
            {"type": "expect_column_values_to_not_match_regex_list", "kwargs": {"column": name, "regex_list": patterns}},
            {"type": "expect_column_value_lengths_to_be_between", "kwargs": {"column": name, **bounds([1, 2, 4], generator)}},
            {"type": "expect_column_value_lengths_to_equal", "kwargs": {"column": name, "value": generator.choice([2, 4])}},
            {"type": "expect_column_values_to_be_json_parseable", "kwargs": {"column": name}}]


def of_any(name: str, values: list, kind: str, generator: random.Random) -> list[dict]:
    chosen = some(values, kind, generator)
    made = [{"type": f"expect_column_values_to_{what}", "kwargs": {"column": name}} for what in ("not_be_null", "be_null", "be_unique")]
    if kind != "date":  # to pandas the text of a day is no day
        made += [{"type": f"expect_column_values_to_{what}_in_set", "kwargs": {"column": name, "value_set": chosen}} for what in ("be", "not_be")]
        made.append({"type": "expect_column_most_common_value_to_be_in_set",
                     "kwargs": {"column": name, "value_set": chosen, "ties_okay": generator.random() < 0.5}})
    made += [{"type": f"expect_column_distinct_values_to_{what}_set", "kwargs": {"column": name, "value_set": chosen}}
             for what in ("be_in", "contain", "equal")]
    made.append({"type": "expect_column_unique_value_count_to_be_between", "kwargs": {"column": name, **bounds([1, 3, 10], generator)}})
    made.append({"type": "expect_column_proportion_of_unique_values_to_be_between", "kwargs": {"column": name, **bounds([0.1, 0.5, 1.0], generator)}})
    made.append({"type": "expect_column_proportion_of_non_null_values_to_be_between", "kwargs": {"column": name, **bounds([0.1, 0.6, 1.0], generator)}})
    if kind in ("int", "float"):
        made.append({"type": "expect_column_values_to_be_between", "kwargs": {"column": name, **bounds(values, generator)}})
        made += [{"type": f"expect_column_{what}_to_be_between", "kwargs": {"column": name, **bounds(values, generator)}} for what in ("min", "max")]
        made += [{"type": f"expect_column_values_to_be_{way}", "kwargs": {"column": name, **generator.choice([{}, {"strictly": True}])}}
                 for way in ("increasing", "decreasing")]
    return made


def of_several(columns: dict, generator: random.Random) -> list[dict]:
    ints = [name for name, column in columns.items() if column["type"] == "int"]
    floats = [name for name, column in columns.items() if column["type"] == "float"]
    texts = [name for name, column in columns.items() if column["type"] == "text"]
    made = []
    for names in (ints, floats, texts):
        ignore = generator.choice([{}, {"ignore_row_if": "both_values_are_missing"}, {"ignore_row_if": "either_value_is_missing"},
                                   {"ignore_row_if": "neither"}])
        pair = {"column_A": names[0], "column_B": names[1], **ignore}
        made.append({"type": "expect_column_pair_values_to_be_equal", "kwargs": pair})
        if names is not texts:
            made.append({"type": "expect_column_pair_values_a_to_be_greater_than_b", "kwargs": {**pair, "or_equal": generator.random() < 0.5}})
        ignore = generator.choice([{}, {"ignore_row_if": "all_values_are_missing"}, {"ignore_row_if": "any_value_is_missing"},
                                   {"ignore_row_if": "never"}])
        several = {"column_list": names, **ignore}
        made += [{"type": f"expect_{what}", "kwargs": dict(several)} for what in
                 ("compound_columns_to_be_unique", "select_column_values_to_be_unique_within_record")]
        if names is ints:
            made.append({"type": "expect_multicolumn_sum_to_equal", "kwargs": {**several, "sum_total": generator.choice([0, 1, 3])}})
    pairs = list(zip(columns[ints[0]]["values"], columns[ints[1]]["values"]))[:3] or [(1, 1)]
    made.append({"type": "expect_column_pair_values_to_be_in_set",
                 "kwargs": {"column_A": ints[0], "column_B": ints[1], "value_pairs_set": [list(pair) for pair in pairs]}})
    return made


def of_table(columns: dict, generator: random.Random) -> list[dict]:
    names, rows = list(columns), len(next(iter(columns.values()))["values"])
    shuffled = generator.sample(names, len(names))
    return [{"type": "expect_table_row_count_to_be_between", "kwargs": bounds([0, 5, rows, 100], generator, strict=False)},
            {"type": "expect_table_row_count_to_equal", "kwargs": {"value": generator.choice([rows, 7])}},
            {"type": "expect_table_column_count_to_equal", "kwargs": {"value": generator.choice([7, 8])}},
            {"type": "expect_table_column_count_to_be_between", "kwargs": bounds([5, 7, 9], generator, strict=False)},
            {"type": "expect_table_columns_to_match_ordered_list", "kwargs": {"column_list": generator.choice([names, shuffled])}},
            {"type": "expect_table_columns_to_match_set",
             "kwargs": {"column_set": generator.choice([shuffled, shuffled[1:], [*shuffled, "more"]]), "exact_match": generator.random() < 0.5}},
            # One of them: of two, Great Expectations asks the second alone.
            {"type": "expect_column_to_exist",
             "kwargs": generator.choice([{"column": generator.choice([*names, "nothing"])}, {"column": names[2], "column_index": generator.choice([2, 3])}])}]


def case(number: int, expectations: int = 40) -> dict:
    """All that fit are too many: so many of them."""
    generator = random.Random(number)
    columns = table(generator)
    made = of_table(columns, generator) + of_several(columns, generator)
    for name, column in columns.items():
        made += of_any(name, column["values"], column["type"], generator)
        if column["type"] in ("int", "float"):
            made += of_numbers(name, column["values"], generator)
        if column["type"] != "date":
            made += of_distribution(name, column["values"], column["type"], generator)
        if column["type"] == "text":
            made += of_text(name, generator)
    made = generator.sample(made, min(expectations, len(made)))
    by_rows = ("values_to", "value_lengths", "z_scores", "pair_values", "compound", "within_record", "multicolumn")
    made = list({json.dumps(one, sort_keys=True): one for one in made}.values())  # said twice, Great Expectations says it once
    for index, one in enumerate(made):
        one["id"] = f"00000000-0000-0000-0000-{index:012}"
        if "table" not in one["type"] and one["type"] != "expect_column_to_exist" and generator.random() < 0.2:
            one["kwargs"]["row_condition"] = row_condition(columns, generator)
        one["severity"] = generator.choice(["critical", "warning", "info"])
        if any(words in one["type"] for words in by_rows) and not any(words in one["type"] for words in ("distinct", "quantile", "proportion")) \
                and generator.random() < 0.4:
            one["kwargs"]["mostly"] = generator.choice([0.2, 0.5, 0.9])
    return {"columns": columns, "suite": {"name": f"s{number}", "expectations": made, "meta": {}}}
