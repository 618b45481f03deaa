"""Functions of GoogleSQL that DuckDB lacks, as macros and Python functions."""

from decimal import Decimal, DefaultContext, setcontext

SCALE = 38

# BIGNUMERIC has 76 digits: all threads reckon with more.
DefaultContext.prec = 120
setcontext(DefaultContext.copy())

MACROS = r"""
CREATE OR REPLACE MACRO bignumeric(s) AS
  CAST(split_part(CAST(s AS VARCHAR), '.', 1) || rpad(split_part(CAST(s AS VARCHAR), '.', 2), 38, '0') AS BIGNUM);
CREATE OR REPLACE MACRO bignumeric_digits(t) AS lpad(ltrim(t, '-'), CAST(greatest(39, length(ltrim(t, '-'))) AS INTEGER), '0');
CREATE OR REPLACE MACRO bignumeric_text(b) AS
  CASE WHEN CAST(b AS VARCHAR) LIKE '-%' THEN '-' ELSE '' END
  || left(bignumeric_digits(CAST(b AS VARCHAR)), greatest(length(bignumeric_digits(CAST(b AS VARCHAR))) - 38, 1)) ||
  CASE WHEN rtrim(right(bignumeric_digits(CAST(b AS VARCHAR)), 38), '0') = '' THEN ''
       ELSE '.' || rtrim(right(bignumeric_digits(CAST(b AS VARCHAR)), 38), '0') END;
CREATE OR REPLACE MACRO cast_bignumeric(x) AS
  CASE WHEN typeof(x) = 'BIGNUM' THEN TRY_CAST(CAST(x AS VARCHAR) AS BIGNUM) ELSE bignumeric(x) END;
CREATE OR REPLACE MACRO signed_part(sign, value) AS CASE WHEN sign = '-' THEN -CAST(value AS BIGINT) ELSE CAST(value AS BIGINT) END;
CREATE OR REPLACE MACRO canonical_interval(p) AS
  to_months(CAST(signed_part(p[1], CAST(p[2] AS BIGINT) * 12 + CAST(p[3] AS BIGINT)) AS INTEGER)) + to_days(CAST(p[4] AS INTEGER))
  + to_microseconds(signed_part(p[5], (CAST(p[6] AS BIGINT) * 3600 + CAST(p[7] AS BIGINT) * 60 + CAST(p[8] AS BIGINT)) * 1000000
                                      + CAST(rpad(p[9], 6, '0') AS BIGINT)));
CREATE OR REPLACE MACRO cast_interval(x) AS
  CASE WHEN x IS NULL THEN NULL
       WHEN regexp_full_match(x, '[-+]?[0-9]+-[0-9]+ [-+]?[0-9]+ [-+]?[0-9]+:[0-9]+:[0-9]+([.][0-9]+)?')
       THEN canonical_interval([
         regexp_extract(x, '^([-+]?)', 1), regexp_extract(x, '^[-+]?([0-9]+)-', 1), regexp_extract(x, '^[-+]?[0-9]+-([0-9]+)', 1),
         regexp_extract(x, ' ([-+]?[0-9]+) ', 1), regexp_extract(x, ' ([-+]?)[0-9]+:', 1), regexp_extract(x, '([0-9]+):[0-9]+:', 1),
         regexp_extract(x, ':([0-9]+):', 1), regexp_extract(x, ':([0-9]+)(?:[.][0-9]+)?$', 1), regexp_extract(x, '[.]([0-9]+)$', 1)])
       ELSE error('Invalid INTERVAL value: ' || x) END;
CREATE OR REPLACE MACRO mantissa(n) AS
  ltrim(replace(regexp_replace(regexp_replace(ltrim(n, '-'), '[eE].*$', ''), '[.]([0-9]*[1-9])?0*$', '.\1'), '.', ''), '0');
CREATE OR REPLACE MACRO json_holds(n) AS
  TRY_CAST(n AS BIGINT) IS NOT NULL AND NOT contains(n, '.') OR TRY_CAST(n AS UBIGINT) IS NOT NULL AND NOT contains(n, '.')
  OR (coalesce(isfinite(TRY_CAST(n AS DOUBLE)), FALSE)
      AND (length(mantissa(n)) <= 15
           OR length(mantissa(n)) <= 17 AND mantissa(n) = mantissa(CAST(TRY_CAST(n AS DOUBLE) AS VARCHAR))));
CREATE OR REPLACE MACRO json_numbers(t) AS
  regexp_extract_all(regexp_replace(t, '"(\\.|[^"\\])*"', '""', 'g'), '-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?');
CREATE OR REPLACE MACRO parse_json_exact(t) AS
  CASE WHEN t IS NULL THEN NULL
       WHEN NOT regexp_matches(t, '[0-9.]{16}|[0-9][eE]') THEN CAST(json(t) AS JSON)
       WHEN len(list_filter(json_numbers(t), lambda n: NOT json_holds(n))) > 0
       THEN CAST(error('Invalid input to PARSE_JSON: number cannot be round-tripped through string representation: ' || t) AS JSON)
       ELSE CAST(json(t) AS JSON) END;
CREATE OR REPLACE MACRO interval_text(i) AS
  CASE WHEN i IS NULL THEN NULL ELSE
    CASE WHEN datepart('year', i) * 12 + datepart('month', i) < 0 THEN '-' ELSE '' END || CAST(abs(datepart('year', i)) AS VARCHAR)
    || '-' || CAST(abs(datepart('month', i)) AS VARCHAR) || ' ' || CAST(datepart('day', i) AS VARCHAR) || ' '
    || CASE WHEN datepart('hour', i) < 0 OR datepart('minute', i) < 0 OR datepart('microsecond', i) < 0 THEN '-' ELSE '' END
    || CAST(abs(datepart('hour', i)) AS VARCHAR) || ':' || CAST(abs(datepart('minute', i)) AS VARCHAR) || ':'
    || CAST(abs(datepart('microsecond', i)) // 1000000 AS VARCHAR)
    || CASE WHEN datepart('microsecond', i) % 1000000 = 0 THEN ''
            ELSE '.' || rtrim(lpad(CAST(abs(datepart('microsecond', i)) % 1000000 AS VARCHAR), 6, '0'), '0') END END;
CREATE OR REPLACE MACRO make_range(low, high) AS
  CASE WHEN low >= high THEN error('RANGE: range start must be less than range end') ELSE struct_pack(_range_start := low, _range_end := high) END;
CREATE OR REPLACE MACRO farm_fingerprint(t) AS CAST(hash(t) >> 1 AS BIGINT);
CREATE OR REPLACE MACRO whole_text(x) AS CAST(x AS VARCHAR);
CREATE OR REPLACE MACRO trimmed(t) AS CASE WHEN contains(t, '.') THEN rtrim(rtrim(t, '0'), '.') ELSE t END;
CREATE OR REPLACE MACRO decimal_text(x) AS
  CASE WHEN typeof(x) = 'BIGNUM' THEN bignumeric_text(CAST(x AS VARCHAR)) ELSE CAST(x AS VARCHAR) END;
CREATE OR REPLACE MACRO cast_string(x) AS
  CASE WHEN typeof(x) = 'BIGNUM' THEN bignumeric_text(CAST(x AS VARCHAR))
       WHEN typeof(x) = 'INTERVAL' THEN interval_text(TRY_CAST(CAST(x AS VARCHAR) AS INTERVAL))
       WHEN typeof(x) LIKE 'DECIMAL%' THEN trimmed(CAST(x AS VARCHAR))
       WHEN typeof(x) = 'DOUBLE' AND CAST(x AS VARCHAR) LIKE '%.0' THEN trimmed(CAST(x AS VARCHAR))
       ELSE CAST(x AS VARCHAR) END;
"""


def define(connection) -> None:
    for statement in MACROS.strip().split(";"):
        if statement.strip():
            connection.execute(statement)


def bignumeric(stored: str | int | None) -> Decimal | None:
    """The value of a stored BIGNUMERIC."""
    if stored is None:
        return None
    return Decimal(str(stored)).scaleb(-SCALE)


def plain(value: Decimal) -> str:
    """Without exponent and without zeros at the end."""
    shown = format(value, "f")
    shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return "0" if shown in ("-0", "") else shown
