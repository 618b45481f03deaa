"""Latencies of the rows of a DuckDB file: run inside the duckdb environment.

usage: latency_probe.py FOLDER TABLE SINCE
FOLDER holds out.duckdb and log.jsonl, whose lines "… is committed" tell when each commit was over.
"""

import json
import sys

import duckdb

folder, table, since = sys.argv[1:]
commits = []
with open(f"{folder}/log.jsonl") as log:
    for line in log:
        if '"level":"debug"' in line and "is committed" in line:
            commits.append((json.loads(line)["timestamp"],))
con = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
con.execute(f"SET TimeZone='UTC'; ATTACH '{folder}/out.duckdb' AS out (READ_ONLY)")
con.execute("CREATE TABLE commits (done TIMESTAMPTZ)")
con.executemany("INSERT INTO commits VALUES (?::TIMESTAMPTZ)", commits)
sampled, p50, p99, most = con.execute(f"""
    SELECT count(*), quantile_cont(ms, 0.5), quantile_cont(ms, 0.99), max(ms) FROM (
      SELECT epoch_us(C.done) / 1000.0 - epoch_us(T.updated_at) / 1000.0 AS ms
      FROM out.main.{table} T ASOF JOIN commits C ON T._penstock_synced_at <= C.done WHERE T.updated_at >= ?::TIMESTAMPTZ)""", [since]).fetchone()
if not sampled:
    sys.exit("no row was sampled")
print(json.dumps({"sampled": sampled, "p50": p50, "p99": p99, "most": most}))
