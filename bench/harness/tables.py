"""The tables of the benchmark: shape, how they are made, and what a faithful copy of them is.

Every column carries two canonical texts, one written by PostgreSQL and one by DuckDB from whatever
type a peer chose to write. A copy is right when both give the same text in every row; that the type
is another than the expected one is no error but is reported as what the peer bends.
"""

import dataclasses


JSON_KEYS = ("page", "device", "session", "duration_ms", "tags")


def json_text(text):
    """A document's content whatever the order of its keys and the blanks between them."""
    members = ", ".join(f"json_extract({text}, '$.{key}')::VARCHAR" for key in JSON_KEYS)
    return f"CASE WHEN {text} IS NOT NULL THEN concat_ws('|', list_sort(json_keys({text}))::VARCHAR, {members}) END"


@dataclasses.dataclass(frozen=True)
class Column:
    name: str
    postgres: str
    duckdb: str

    def postgres_text(self):
        if self.postgres.startswith("timestamptz"):
            return f"(extract(epoch FROM {self.name}) * 1000000)::bigint::text"
        if self.postgres.startswith("char("):
            return f"rtrim({self.name}::text)"
        return f"{self.name}::text"

    def duckdb_text(self, kind):
        """The canonical text of this column in DuckDB, where it arrived as type `kind`."""
        if self.duckdb == "TIMESTAMP WITH TIME ZONE":
            # Microseconds of 1970: the same instant whether or not the type still knows its zone.
            value = self.name if kind == self.duckdb else f"{self.name}::TIMESTAMP"
            return f"epoch_us({value})::VARCHAR"
        if self.duckdb == "JSON":
            return json_text(f"{self.name}::VARCHAR")
        if self.postgres.startswith("char("):
            return f"rtrim({self.name}::VARCHAR)"
        if self.duckdb.startswith("DECIMAL"):
            # Through a wider scale, so that a value with more digits than it should have is noticed.
            return f"{self.name}::DECIMAL(18,6)::VARCHAR"
        if self.duckdb == "VARCHAR":
            return f"{self.name}::VARCHAR"
        return f"{self.name}::{self.duckdb}::VARCHAR"

    def reference_text(self):
        """The same for PostgreSQL's canonical text once DuckDB has read it as VARCHAR."""
        if self.duckdb == "JSON":
            return json_text(self.name)
        if self.duckdb.startswith("DECIMAL"):
            return f"{self.name}::DECIMAL(18,6)::VARCHAR"
        return self.name


@dataclasses.dataclass(frozen=True)
class Table:
    name: str
    key: tuple
    split: str
    cursor: str | None
    columns: tuple
    numbers: tuple
    distinct: tuple


EVENTS = Table(
    name="events", key=("id",), split="id", cursor="updated_at",
    columns=(
        Column("id", "bigint", "BIGINT"),
        Column("event_timestamp", "timestamptz", "TIMESTAMP WITH TIME ZONE"),
        Column("updated_at", "timestamptz", "TIMESTAMP WITH TIME ZONE"),
        Column("event_type", "text", "VARCHAR"),
        Column("user_id", "text", "VARCHAR"),
        Column("properties", "jsonb", "JSON"),
        Column("amount", "numeric(12,2)", "DECIMAL(12,2)"),
        Column("is_active", "boolean", "BOOLEAN"),
        Column("event_uuid", "uuid", "UUID"),
    ),
    numbers=("id", "amount"), distinct=("id", "event_type", "user_id", "event_uuid"))

LINEITEM = Table(
    name="lineitem", key=("l_orderkey", "l_linenumber"), split="l_orderkey", cursor=None,
    columns=(
        Column("l_orderkey", "bigint", "BIGINT"),
        Column("l_partkey", "integer", "INTEGER"),
        Column("l_suppkey", "integer", "INTEGER"),
        Column("l_linenumber", "integer", "INTEGER"),
        Column("l_quantity", "numeric(15,2)", "DECIMAL(15,2)"),
        Column("l_extendedprice", "numeric(15,2)", "DECIMAL(15,2)"),
        Column("l_discount", "numeric(15,2)", "DECIMAL(15,2)"),
        Column("l_tax", "numeric(15,2)", "DECIMAL(15,2)"),
        Column("l_returnflag", "char(1)", "VARCHAR"),
        Column("l_linestatus", "char(1)", "VARCHAR"),
        Column("l_shipdate", "date", "DATE"),
        Column("l_commitdate", "date", "DATE"),
        Column("l_receiptdate", "date", "DATE"),
        Column("l_shipinstruct", "char(25)", "VARCHAR"),
        Column("l_shipmode", "char(10)", "VARCHAR"),
        Column("l_comment", "varchar(44)", "VARCHAR"),
    ),
    numbers=("l_orderkey", "l_partkey", "l_suppkey", "l_linenumber", "l_quantity", "l_extendedprice",
             "l_discount", "l_tax"),
    distinct=("l_orderkey", "l_shipmode", "l_shipdate"))

NARROW = Table(
    name="narrow", key=("id",), split="id", cursor=None,
    columns=(
        Column("id", "bigint", "BIGINT"),
        Column("v", "integer", "INTEGER"),
        Column("ts", "timestamptz", "TIMESTAMP WITH TIME ZONE"),
    ),
    numbers=("id", "v"), distinct=("v",))

TABLES = {table.name: table for table in (EVENTS, LINEITEM, NARROW)}


def create_sql(table):
    columns = ", ".join(f"{column.name} {column.postgres} NOT NULL" if column.name not in ("properties", "amount")
                        else f"{column.name} {column.postgres}" for column in table.columns)
    return f"CREATE TABLE {table.name} ({columns})"


def events_select(first, last, updated_at=None):
    """Rows first..last, each a function of its id alone, so that every machine makes the same ones."""
    stamp = "timestamptz '2024-01-01 00:00:00+00' + (i * 6300000 + h1 % 6000000) * interval '1 microsecond'"
    updated = updated_at or f"{stamp} + (h2 % 86400000000) * interval '1 microsecond'"
    return f"""
      SELECT i, {stamp}, {updated},
        (ARRAY['page_view','page_view','page_view','page_view','session_start','session_start','search',
               'add_to_cart','purchase','logout','signup','refund'])[1 + h3 % 12],
        'user' || (h2 % 200000) || '@example.com',
        CASE WHEN h1 % 50 = 0 THEN NULL ELSE jsonb_build_object(
          'page', '/products/' || (h3 % 5000), 'device', (ARRAY['ios','android','web'])[1 + h1 % 3],
          'session', substr(md5(i::text), 1, 12), 'duration_ms', h2 % 90000, 'tags', jsonb_build_array(h1 % 7, 'b')) END,
        CASE WHEN h2 % 33 = 0 THEN NULL ELSE ((h3 % 9999999) / 100.0)::numeric(12,2) END,
        h1 % 10 < 8,
        md5('event' || i)::uuid
      FROM generate_series({first}::bigint, {last}::bigint) AS i,
        LATERAL (SELECT hashint8extended(i, 1) & 9223372036854775807 AS h1,
                        hashint8extended(i, 2) & 9223372036854775807 AS h2,
                        hashint8extended(i, 3) & 9223372036854775807 AS h3) AS hashes"""
