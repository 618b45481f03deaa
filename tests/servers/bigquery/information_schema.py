"""INFORMATION_SCHEMA views (introduction page): a few columns of those that tools ask."""

import json

from sqlglot import exp

from .schema import text


def _parts(table: exp.Table) -> list[str]:
    return [part for name in (table.catalog, table.db, table.name) if name for part in name.split(".")]


def is_virtual(table: exp.Table) -> bool:
    return any(part.upper() == "INFORMATION_SCHEMA" for part in _parts(table))


def select(table: exp.Table, names) -> str | None:
    parts = _parts(table)
    where = next((index for index, part in enumerate(parts) if part.upper() == "INFORMATION_SCHEMA"), None)
    if where is None:
        return None
    before, view = parts[:where], parts[where + 1].upper()
    project, dataset = names.project, None
    if before and not before[-1].startswith("region-"):
        dataset = before[-1]
        project = before[-2] if len(before) > 1 else project
        names.store.dataset(project, dataset)
    columns, rows = VIEWS[view](names.store, project, dataset) if view in VIEWS else (None, None)
    if columns is None:
        from .errors import not_found

        raise not_found("Table", f"{project}:{dataset}.INFORMATION_SCHEMA.{view}")
    return values(columns, rows)


def values(columns: dict, rows: list) -> str:
    if not rows:
        return "(SELECT " + ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.items()) + " WHERE FALSE)"
    lines = ["(" + ", ".join(f"CAST({constant(value)} AS {kind})" for value, kind in zip(row, columns.values())) + ")" for row in rows]
    return f"(SELECT * FROM (VALUES {', '.join(lines)}) v({', '.join(columns)}))"


def constant(value) -> str:
    if value is None:
        return "NULL"
    return text(value) if isinstance(value, str) else str(value)


def _tables(store, project, dataset):
    for (home, name), found in list(store.datasets.items()):
        if home == project and dataset in (None, name) and not name.startswith("_"):
            yield from found.tables.values()


def tables(store, project, dataset):
    columns = {"table_catalog": "VARCHAR", "table_schema": "VARCHAR", "table_name": "VARCHAR", "table_type": "VARCHAR", "creation_time": "TIMESTAMPTZ"}
    return columns, [(t.project, t.dataset, t.name, "VIEW" if t.view else "BASE TABLE", _time(t.created)) for t in _tables(store, project, dataset)]


def _time(seconds: float) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()


def columns(store, project, dataset):
    names = {"table_catalog": "VARCHAR", "table_schema": "VARCHAR", "table_name": "VARCHAR", "column_name": "VARCHAR", "ordinal_position": "BIGINT",
             "is_nullable": "VARCHAR", "data_type": "VARCHAR", "is_partitioning_column": "VARCHAR", "clustering_ordinal_position": "BIGINT",
             "column_default": "VARCHAR"}
    rows = []
    for table in _tables(store, project, dataset):
        by = (table.meta.get("timePartitioning") or table.meta.get("rangePartitioning") or {}).get("field")
        clustering = (table.meta.get("clustering") or {}).get("fields") or []
        for position, field in enumerate(table.latest.fields, 1):
            rows.append((table.project, table.dataset, table.name, field.name, position, "NO" if field.mode == "REQUIRED" else "YES", field.sql(),
                         "YES" if field.name == by else "NO", clustering.index(field.name) + 1 if field.name in clustering else None,
                         field.extra("defaultValueExpression") or "NULL"))
    return names, rows


def field_paths(store, project, dataset):
    names = {"table_catalog": "VARCHAR", "table_schema": "VARCHAR", "table_name": "VARCHAR", "column_name": "VARCHAR", "field_path": "VARCHAR",
             "data_type": "VARCHAR", "description": "VARCHAR"}
    rows = []

    def add(table, column, path, field):
        rows.append((table.project, table.dataset, table.name, column, path, field.sql(), field.description))
        for child in field.fields:
            add(table, column, f"{path}.{child.name}", child)

    for table in _tables(store, project, dataset):
        for field in table.latest.fields:
            add(table, field.name, field.name, field)
    return names, rows


def options(store, project, dataset):
    names = {"table_catalog": "VARCHAR", "table_schema": "VARCHAR", "table_name": "VARCHAR", "option_name": "VARCHAR", "option_type": "VARCHAR",
             "option_value": "VARCHAR"}
    return names, [(t.project, t.dataset, t.name, "description", "STRING", json.dumps(t.meta["description"])) for t in _tables(store, project, dataset)
                   if t.meta.get("description")]


def partition_rows(store, project, dataset):
    from . import partitions

    names = {"table_catalog": "VARCHAR", "table_schema": "VARCHAR", "table_name": "VARCHAR", "partition_id": "VARCHAR", "total_rows": "BIGINT"}
    rows = []
    for table in _tables(store, project, dataset):
        version = table.latest
        field = partitions.column(table.meta, version.fields)
        found = [(None, version.rows)]
        if field is not None:
            found = store.cursor().execute(f"SELECT {partitions.identifier(table.meta, 'p')}, count(*) FROM (SELECT {partitions.low(table.meta, field)} AS p"
                                           f" FROM ({version.select()})) GROUP BY 1 ORDER BY 1").fetchall()
        rows += [(table.project, table.dataset, table.name, name, count) for name, count in found]
    return names, rows


def key_columns(store, project, dataset):
    names = {"constraint_catalog": "VARCHAR", "constraint_schema": "VARCHAR", "constraint_name": "VARCHAR", "table_name": "VARCHAR",
             "column_name": "VARCHAR", "ordinal_position": "BIGINT"}
    rows = []
    for table in _tables(store, project, dataset):
        key = ((table.meta.get("tableConstraints") or {}).get("primaryKey") or {}).get("columns") or []
        rows += [(table.project, table.dataset, f"{table.name}.pk$", table.name, name, place) for place, name in enumerate(key, 1)]
    return names, rows


def schemata(store, project, dataset):
    names = {"catalog_name": "VARCHAR", "schema_name": "VARCHAR", "location": "VARCHAR"}
    return names, [(home, name, found.location) for (home, name), found in store.datasets.items() if home == project and not name.startswith("_")]


def jobs(store, project, dataset):
    names = {"job_id": "VARCHAR", "job_type": "VARCHAR", "state": "VARCHAR", "user_email": "VARCHAR", "creation_time": "TIMESTAMPTZ",
             "total_bytes_processed": "BIGINT", "total_bytes_billed": "BIGINT", "total_slot_ms": "BIGINT", "parent_job_id": "VARCHAR"}
    return names, [(job.id, job.kind.upper(), job.state, job.user, _time(job.created), job.processed, job.billed, 0, job.parent)
                   for job in store.jobs_of(project)]


VIEWS = {"TABLES": tables, "COLUMNS": columns, "COLUMN_FIELD_PATHS": field_paths, "TABLE_OPTIONS": options, "PARTITIONS": partition_rows,
         "KEY_COLUMN_USAGE": key_columns, "SCHEMATA": schemata, "JOBS": jobs, "JOBS_BY_PROJECT": jobs}
