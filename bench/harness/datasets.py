"""Fills the server with the tables of the benchmark, once for each size."""

import subprocess

from .server import ROLE, BenchError
from .tables import EVENTS, LINEITEM, NARROW, create_sql, events_select

DBGEN = """
import sys, duckdb
extension, scale = sys.argv[1:]
con = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
con.load_extension(extension)
con.execute("SET enable_progress_bar = false")  # it would be printed into the data
con.execute(f"CALL dbgen(sf={scale})")
con.execute("COPY (FROM lineitem) TO '/dev/stdout' (FORMAT csv, HEADER false)")
"""


def events_database(rows):
    return f"events_{rows}"


def lineitem_database(scale):
    return f"lineitem_sf{scale:g}".replace(".", "_")


def narrow_database(rows):
    return f"narrow_{rows}"


def make_events(server, rows, say):
    return _once(server, events_database(rows), say, lambda name: server.sql(name, f"""
        {create_sql(EVENTS)};
        INSERT INTO events {events_select(1, rows)};
        ALTER TABLE events ADD PRIMARY KEY (id);
        CREATE INDEX ON events (updated_at);
        ALTER TABLE events OWNER TO {ROLE};"""), "events")


def make_lineitem(server, scale, duckdb_venv, say):
    return _once(server, lineitem_database(scale), say,
                 lambda name: _load_lineitem(server, name, scale, duckdb_venv), "lineitem")


def make_narrow(server, rows, say):
    return _once(server, narrow_database(rows), say, lambda name: server.sql(name, f"""
        {create_sql(NARROW)};
        INSERT INTO narrow SELECT i, (hashint8(i) & 65535), timestamptz '2024-01-01 00:00:00+00'
            + (i * 1000003) * interval '1 microsecond' FROM generate_series(1, {rows}::bigint) AS i;
        ALTER TABLE narrow ADD PRIMARY KEY (id);
        ALTER TABLE narrow OWNER TO {ROLE};"""), "narrow")


def mutate_events(server, database, rows):
    """1% of the rows changed, 1% new; every one with a time of its own, as single statements would leave."""
    last = rows + rows // 100
    server.sql(database, f"""
        UPDATE events SET updated_at = clock_timestamp(), amount = coalesce(amount, 0) + 1 WHERE id % 100 = 37;
        INSERT INTO events {events_select(rows + 1, last, "clock_timestamp()")};
        ANALYZE events;""")


def _load_lineitem(server, name, scale, duckdb_venv):
    server.sql(name, create_sql(LINEITEM))
    extension = duckdb_venv.extension("tpch")
    generator = subprocess.Popen([str(duckdb_venv.python), "-c", DBGEN, str(extension), f"{scale:g}"],
                                 stdout=subprocess.PIPE)
    load = subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-h", server.sockets, "-p", str(server.port),
                           "-U", "postgres", "-d", name, "-c", "COPY lineitem FROM STDIN (FORMAT csv)"],
                          stdin=generator.stdout)
    generator.stdout.close()
    if generator.wait() != 0 or load.returncode != 0:
        raise BenchError("lineitem could not be generated: see the messages above")
    server.sql(name, "ALTER TABLE lineitem ADD PRIMARY KEY (l_orderkey, l_linenumber); "
                     f"ALTER TABLE lineitem OWNER TO {ROLE};")


def _once(server, name, say, fill, table):
    if not server.is_complete(name):
        say(f"making database {name}")
        server.create_database(name)
        fill(name)
        server.sql(name, f"VACUUM (FREEZE, ANALYZE) {table}; CHECKPOINT")
        server.mark_complete(name)
    # Brings the table into memory, and the first reader pays nothing the others do not.
    server.sql(name, f"SELECT sum(length(t::text)) FROM {table} t WHERE ctid < '(100,0)'; SELECT count(*) FROM {table}")
    return name
