"""The oracle judged: it must see a difference where there is one, and read dates as others do."""

import datetime
import random

import pytest

from support import text_forms as forms
from support.kinds import DUCKDB, PARQUET, Array, Date, Int, Numeric, Range, Text, Timestamp, kind_of
from test_types import compare

TRUTH = [("1", "1.50"), ("2", "NaN"), ("3", None)]
KIND = Numeric(6, 2)
NAN = {"2": {"code": "special_number", "reason": "NaN cannot be held"}}
GOOD = {"1": KIND.parse("1.50"), "3": None}


def test_equal_values_pass():
    compare(TRUTH, GOOD, NAN, KIND, DUCKDB)


@pytest.mark.parametrize("stored, rejected", [
    ({**GOOD, "1": KIND.parse("1.51")}, NAN),
    ({**GOOD, "1": None}, NAN),
    ({**GOOD, "3": KIND.parse("0")}, NAN),
    ({"3": None}, NAN),
    ({**GOOD, "2": "NaN"}, {}),
    ({**GOOD, "2": None}, NAN),
    ({"3": None}, {**NAN, "1": {"code": "x", "reason": "y"}}),
    (GOOD, {"2": {"code": "overflow", "reason": "too long"}}),
    ({**GOOD, "4": None}, NAN),
], ids=["changed", "lost to NULL", "invented", "missing", "kept what cannot be", "both", "needless", "wrong reason", "extra"])
def test_each_kind_of_mistake_is_seen(stored, rejected):
    with pytest.raises(AssertionError):
        compare(TRUTH, stored, rejected, KIND, DUCKDB)


def test_dates_agree_with_python():
    chance = random.Random(1)
    for _ in range(2000):
        moment = datetime.datetime(1, 1, 1) + datetime.timedelta(days=chance.randrange(3652058), microseconds=chance.randrange(86_400_000_000))
        since = moment - datetime.datetime(1970, 1, 1)
        assert forms.parse_timestamp(moment.isoformat(" ")) == since // datetime.timedelta(microseconds=1)
    assert forms.parse_date("0001-12-31 BC") + 1 == forms.parse_date("0001-01-01")
    assert forms.parse_interval("-1 years -2 mons +3 days -04:05:06.000007") == (-14, 3, -14706000007)


def test_nested_texts():
    assert Array(Int(), 2).parse("[0:1][5:6]={{1,NULL},{3,4}}") == ("array", 2, [[1, None], [3, 4]])
    assert Array(Text()).parse(r'{"a,b","c\"d",NULL,"NULL",""}') == ("array", 1, ["a,b", 'c"d', None, "NULL", ""])
    assert kind_of("struct(a=int(), b=array(text()))").parse(r'(1,"{""x y"",NULL}")') == {"a": 1, "b": ("array", 1, ["x y", None])}
    assert kind_of("multirange(timestamp())").parse('{(,"1970-01-01 00:00:00"],[infinity,)}') == [
        (None, 0, False, True), ("infinity", None, True, False)]
    assert forms.parse_hstore(r'"a"=>"1", "b, "=>NULL, "c\""=>"NULL"') == {"a": "1", "b, ": None, 'c"': "NULL"}


def test_what_cannot_be_held():
    assert Numeric(38, 9).problem(Numeric(38, 9).parse("1e-10"), DUCKDB)
    assert not Numeric(38, 9).problem(Numeric(38, 9).parse("99999999999999999999999999999.999999999"), DUCKDB)
    assert Numeric(38, 9).problem(Numeric(38, 9).parse("1e29"), DUCKDB)
    assert Timestamp().problem(Timestamp().parse("294247-01-10 04:00:54.775807"), DUCKDB)
    assert not Timestamp().problem(Timestamp().parse("294247-01-10 04:00:54.775806"), DUCKDB)
    assert Range(Date()).problem(Range(Date()).parse("(,infinity)"), PARQUET)
    assert not Range(Date()).problem(Range(Date()).parse("(,infinity)"), DUCKDB)
