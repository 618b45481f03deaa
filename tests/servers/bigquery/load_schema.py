"""Which schema a load job writes by: the job's, the table's, the file's (JobConfigurationLoad reference: schema, autodetect, schemaUpdateOptions)."""

from .errors import invalid, not_found
from .schema import check_update, find


def effective_fields(config: dict, table, seen, given, reader) -> tuple:
    """`seen`: the table's columns as load jobs see them. Self-describing files (Parquet) need no schema."""
    truncate = config.get("writeDisposition") == "WRITE_TRUNCATE"
    options = config.get("schemaUpdateOptions") or []
    # Same reference: schemaUpdateOptions only with WRITE_APPEND, or WRITE_TRUNCATE of a partition.
    if options and config.get("writeDisposition") not in ("WRITE_APPEND", "WRITE_TRUNCATE"):
        raise invalid("Schema update options should only be specified with WRITE_APPEND disposition, or with WRITE_TRUNCATE disposition on a table partition.")
    if set(options) - {"ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"}:
        raise invalid(f"Invalid schemaUpdateOptions: {options}")
    if table is None:
        if config.get("createDisposition") == "CREATE_NEVER":
            target = config["destinationTable"]
            raise not_found("Table", f"{target.get('projectId', '')}:{target['datasetId']}.{target['tableId']}")
        fields = given or reader.inferred(config.get("autodetect"))
        if not fields:
            raise invalid("No schema specified on job or table.")
        return fields
    if truncate and (given or reader.self_describing):
        return given or reader.inferred(True, seen)
    wanted = given or (reader.inferred(config.get("autodetect"), seen) if reader.self_describing or config.get("autodetect") else seen)
    present = tuple(field for field in wanted)
    additions, relaxation = "ALLOW_FIELD_ADDITION" in options, "ALLOW_FIELD_RELAXATION" in options
    full = tuple(missing(field, find(present, field.name), bool(given), relaxation) for field in seen)
    full += tuple(field for field in present if find(seen, field.name) is None)
    check_update(seen, full, additions=additions, relaxation=relaxation)
    return full


def missing(old, new, explicit: bool, relaxation: bool):
    """A column of the table as the load finds it: descriptions stay, and a file never makes a column stricter or laxer by itself."""
    from dataclasses import replace

    if new is None:
        if old.mode == "REQUIRED" and not relaxation:
            raise invalid(f"Provided Schema does not match Table. Field {old.name} is missing in new schema")
        return replace(old, mode="NULLABLE") if old.mode == "REQUIRED" else old
    mode = new.mode
    if old.mode != "REPEATED" and new.mode != "REPEATED":
        mode = old.mode if not explicit or old.mode == "NULLABLE" else new.mode
        if explicit and old.mode == "REQUIRED" and new.mode == "NULLABLE" and not relaxation:
            raise invalid(f"Provided Schema does not match Table. Field {old.name} has changed mode from REQUIRED to NULLABLE")
    if new.type == "RECORD" and old.type == "RECORD":
        fields = tuple(missing(field, _find(new, field), explicit, relaxation) for field in old.fields)
        fields += tuple(field for field in new.fields if find(old.fields, field.name) is None)
        return replace(old, mode=mode, fields=fields)
    return replace(old, type=new.type, element=new.element, mode=mode) if (new.type, new.element) != (old.type, old.element) else replace(old, mode=mode)


def _find(new, field):
    return find(new.fields, field.name)
