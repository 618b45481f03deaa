"""Change streams may give values as text. For every type of the contract, the text that PostgreSQL writes must become the
very bytes that a snapshot of the same table reads; text_wire_oracle.cc compares, here are the values and the sessions."""

import json
import subprocess

import pytest

from support.program import BINARY
from test_types import CASES, ROWS, SEED, Case, make_table, oracle  # noqa: F401 (a fixture)

ORACLE = BINARY.parent / "text_wire_oracle"


# Types that a snapshot asks for in pieces or as text, within one another; a target never sees more of them than of others.
REWRITTEN = {case.name: case for case in [
    Case("inet_range", "inet_range", "", "inet_range('10.0.0.0'::inet + r.upto(999), CASE WHEN random() < 0.5 THEN '11.0.0.0'::inet END, '[]')",
         ["empty", "(,)", "(10.0.0.1,)"], setup="CREATE TYPE inet_range AS RANGE (subtype = inet)"),
    Case("inet_multirange", "ip_multirange", "", "ip_multirange(ip_range('10.0.0.0'::inet + r.upto(9), '10.1.0.0'), ip_range('11.0.0.0', '12.0.0.0'::inet + r.upto(99)))",
         ["{}"], setup="CREATE TYPE ip_range AS RANGE (subtype = inet, multirange_type_name = ip_multirange)"),
    Case("shift", "shift[]", "", """ARRAY[ROW(r.inet(), ARRAY[r.time()::timetz, NULL], ARRAY[box(point(r.upto(9), 1), point(2, 3)), '(1,1),(0,0)'],
         r.interval(), ARRAY[r.text(5)]::label[], hstore(r.text(5), r.text(5)))::shift, NULL]""", ["{}", "{\"(,,,,,)\"}"],
         setup="""CREATE EXTENSION IF NOT EXISTS hstore; CREATE DOMAIN label AS text;
         CREATE TYPE shift AS (host inet, starts timetz[], areas box[], length interval, labels label[], more hstore)"""),
    Case("zoned", "zoned_range[]", "", "ARRAY[zoned_range(r.time()::timetz, '23:59:59.999999-15:59', '[]'), NULL, 'empty']", ["{}"],
         setup="CREATE TYPE zoned_range AS RANGE (subtype = timetz)"),
]}


def compare(database, case, *settings) -> None:
    assert ORACLE.exists(), f"{ORACLE} does not exist: build the target text_wire_oracle (make test-integration does)"
    make_table(database, case)
    done = subprocess.run([ORACLE, database.url, case.table, *settings], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    values = database.value(f"SELECT count(v) FROM {case.table}")
    assert values >= ROWS // 2  # else the random values are none
    assert found["compared"] == 2 * values and found["nulls"] >= 2
    assert not found["differing"], f"PENSTOCK_TYPES_SEED={SEED} {settings}\n" + "\n".join(map(str, found["differing"]))


@pytest.mark.parametrize("name", CASES)
def test_text_becomes_the_bytes_of_a_snapshot(name, oracle):  # noqa: F811
    compare(oracle, CASES[name], "extra_float_digits=3")


@pytest.mark.parametrize("name", REWRITTEN)
def test_rewritten_types_within_one_another(name, oracle):  # noqa: F811
    compare(oracle, REWRITTEN[name])


# Offsets of minutes and of seconds (before time zones were agreed on), half a day ahead, and the longest there are.
ZONES = ["America/St_Johns", "Africa/Monrovia", "Asia/Kathmandu", "Pacific/Kiritimati", "XXX15:59", "XXX-15:59"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("name", ["timestamptz", "timestamptz_array", "tstzrange", "tstzmultirange", "composite_nested"])
def test_any_time_zone(name, zone, oracle):  # noqa: F811
    compare(oracle, CASES[name], f"TimeZone={zone}")


@pytest.mark.parametrize("style", ["sql_standard", "postgres_verbose", "iso_8601"])
@pytest.mark.parametrize("name", ["interval", "interval_array", "composite_nested"])
def test_any_interval_style(name, style, oracle):  # noqa: F811
    compare(oracle, CASES[name], f"IntervalStyle={style}")


@pytest.mark.parametrize("name", ["bytea", "bytea_array"])
def test_bytea_escaped(name, oracle):  # noqa: F811
    compare(oracle, CASES[name], "bytea_output=escape")


def test_a_difference_is_seen(oracle):  # noqa: F811
    """DateStyle German is not understood, and must be an error rather than another date."""
    make_table(oracle, CASES["date"])
    done = subprocess.run([ORACLE, oracle.url, "oracle.date", "DateStyle=German"], capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout)
    assert len(found["differing"]) == 10
    assert all("no date" in difference["converted"] for difference in found["differing"])
