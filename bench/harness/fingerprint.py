"""What a table holds, in a form that does not depend on row order: run inside the duckdb environment.

Reads one JSON request from the file named on the command line, prints one JSON answer:
  {"csv": true, "columns": …}                   rows as PostgreSQL wrote them, CSV on standard input
  {"database": path | null, "relation": sql, …} rows a peer wrote
"""

import json
import sys

import duckdb

request = json.load(open(sys.argv[1]))
con = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
con.execute("SET TimeZone='UTC'; SET preserve_insertion_order=false")

if request.get("csv"):
    columns = "{" + ", ".join(f"'{column['name']}': 'VARCHAR'" for column in request["columns"]) + "}"
    relation = ("read_csv('/dev/stdin', header=false, auto_detect=false, quote='\"', escape='\"', nullstr='', "
                f"allow_quoted_nulls=false, columns={columns})")
else:
    relation = request["relation"]
    if request["database"]:
        con.execute(f"ATTACH '{request['database']}' AS out (READ_ONLY)")

found = {} if request.get("csv") else {
    name.lower(): kind for name, kind, *_ in con.execute(f"DESCRIBE FROM {relation}").fetchall()}
answer = {"types": found, "compression": None}
if relation.startswith("read_parquet"):
    glob = relation.replace("read_parquet", "parquet_metadata")
    answer["compression"] = [row[0] for row in con.execute(f"SELECT DISTINCT compression FROM {glob}").fetchall()]

missing = [column["name"] for column in request["columns"] if found and column["name"] not in found]
if missing:
    answer["error"] = f"column {', '.join(missing)} is missing; there are {', '.join(found)}"
else:
    texts = {}
    for column in request["columns"]:
        texts[column["name"]] = column["text"].get(found.get(column["name"]), column["text"]["*"])
    selected = ", ".join(f"{text} AS {name}" for name, text in texts.items())
    hashes = ", ".join(f"sum(hash({name})::HUGEINT)::VARCHAR" for name in texts)
    numbers = "".join(f", sum({name}::DECIMAL(18,6))::VARCHAR, min({name}::DECIMAL(18,6))::VARCHAR, "
                      f"max({name}::DECIMAL(18,6))::VARCHAR" for name in request["numbers"])
    distinct = "".join(f", count(DISTINCT {name})" for name in request["distinct"])
    verbatim = [column["name"] for column in request["columns"] if column["json"]]
    raw = "".join(f", {name}::VARCHAR AS {name}_raw" for name in verbatim)
    raw_hashes = "".join(f", sum(hash({name}_raw)::HUGEINT)::VARCHAR" for name in verbatim)
    row = con.execute(f"SELECT count(*), sum(hash({', '.join(texts)})::HUGEINT)::VARCHAR, {hashes}{numbers}{distinct}"
                      f"{raw_hashes} FROM (SELECT {selected}{raw} FROM {relation})").fetchone()
    values = iter(row)
    answer["rows"], answer["row_hash"] = next(values), next(values)
    answer["hashes"] = {name: next(values) for name in texts}
    answer["numbers"] = {name: [next(values), next(values), next(values)] for name in request["numbers"]}
    answer["distinct"] = {name: next(values) for name in request["distinct"]}
    answer["verbatim"] = {name: next(values) for name in verbatim}
print(json.dumps(answer))
