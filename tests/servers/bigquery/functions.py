"""Functions of GoogleSQL that DuckDB lacks, as macros and Python functions."""

from decimal import Decimal, DefaultContext, setcontext

SCALE = 38

# BIGNUMERIC has 76 digits: all threads reckon with more.
DefaultContext.prec = 120
setcontext(DefaultContext.copy())

MACROS = """
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
CREATE OR REPLACE MACRO farm_fingerprint(t) AS CAST(hash(t) >> 1 AS BIGINT);
CREATE OR REPLACE MACRO trimmed(t) AS CASE WHEN contains(t, '.') THEN rtrim(rtrim(t, '0'), '.') ELSE t END;
CREATE OR REPLACE MACRO decimal_text(x) AS
  CASE WHEN typeof(x) = 'BIGNUM' THEN bignumeric_text(CAST(x AS VARCHAR)) ELSE CAST(x AS VARCHAR) END;
CREATE OR REPLACE MACRO cast_string(x) AS
  CASE WHEN typeof(x) = 'BIGNUM' THEN bignumeric_text(CAST(x AS VARCHAR))
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
