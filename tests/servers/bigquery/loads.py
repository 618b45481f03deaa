"""Load jobs of uploaded files (JobConfigurationLoad reference)."""

import os

import duckdb

from . import ndjson, parquet, partitions
from .errors import ApiError, invalid
from .load_schema import effective_fields
from .schema import find, parse_fields
from .values import check as check_values


def run(engine, job, caller, media) -> None:
    config = job.config["load"]
    if media is None:
        raise ApiError("notImplemented", "Load jobs from sourceUris are not implemented")
    store = engine.store
    target = config.get("destinationTable") or {}
    if not target.get("tableId"):
        raise ApiError("required", "Required parameter is missing: destinationTable")
    home = store.dataset(target.get("projectId", job.project), target["datasetId"], job.location)
    caller.check_dataset(home, True)
    table = home.tables.get(target["tableId"])
    given = parse_fields((config.get("schema") or {}).get("fields"))
    cursor = store.cursor()
    reader = open_file(config, media)
    seen = engine.visible_fields(table, "load") if table is not None else ()
    fields = effective_fields(config, table, seen, given, reader)
    try:
        segment = reader.write(store, cursor, fields)
    except ApiError as error:
        job.errors = [error, *getattr(reader, "warnings", ())]
        raise
    except duckdb.Error as error:
        raise invalid(f"Error while reading data, error message: {str(error).splitlines()[0]}") from None
    check_values(cursor, segment, fields)
    finish(engine, job, caller, table, fields, segment, cursor, config, target, media, reader)


def open_file(config: dict, media: str):
    kind = config.get("sourceFormat") or "CSV"
    if kind == "PARQUET":
        return parquet.File(media, config)
    if kind == "NEWLINE_DELIMITED_JSON":
        return ndjson.File(media, config)
    raise ApiError("notImplemented", f"sourceFormat {kind} is not implemented")


def finish(engine, job, caller, table, fields, segment, cursor, config, target, media, reader) -> None:
    from .jobs import described, place

    store = engine.store
    meta = described(config)
    spec = {**(table.meta if table is not None else {}), **meta}
    partitions.check_spec(spec, fields)
    if table is not None:
        # JobConfigurationLoad reference, timePartitioning: must match the table's where the table has one.
        for name in ("timePartitioning", "rangePartitioning", "clustering"):
            if meta.get(name) and differs(meta[name], table.meta.get(name)) and config.get("writeDisposition") != "WRITE_TRUNCATE":
                raise invalid(f"Incompatible table partitioning specification. Expected partitioning specification {table.meta.get(name)}, "
                              f"but input partitioning specification is {meta[name]}")
    probe = table if table is not None and not meta else _Probe(spec)
    partitions.check_job(cursor, probe, f"SELECT * FROM {segment.name}", fields, "load job")
    if table is not None and config.get("writeDisposition") != "WRITE_TRUNCATE":
        partitions.check_table(cursor, table, table.latest, f"SELECT * FROM {segment.name}")
    with store.lock:
        if table is not None and config.get("writeDisposition") not in ("WRITE_TRUNCATE",) and config.get("schemaUpdateOptions"):
            latest = table.latest
            if fields != latest.fields:
                store.set_fields(table, merged_modes(latest.fields, fields))
        placed = place(engine, job, caller, target, fields, [segment], config, "load", meta)
        if table is not None and config.get("writeDisposition") == "WRITE_TRUNCATE" and meta:
            placed.meta = {**placed.meta, **meta}
    size = os.path.getsize(media)
    job.statistics = {"load": {"inputFiles": "1", "inputFileBytes": str(size), "outputRows": str(segment.high),
                               "outputBytes": str(engine.sizes.segment(cursor, placed, placed.latest, segment, fields, "TRUE")),
                               "badRecords": str(getattr(reader, "bad", 0))}}
    job.errors = getattr(reader, "warnings", [])


def merged_modes(old, new):
    return tuple(find(new, field.name) or field for field in old) + tuple(field for field in new if find(old, field.name) is None)


class _Probe:
    def __init__(self, meta):
        self.meta = meta

    def full(self):
        return "the destination table"


def differs(one: dict, other: dict | None) -> bool:
    keys = ("type", "field", "fields", "range")
    return {key: one.get(key) for key in keys} != {key: (other or {}).get(key) for key in keys}


