"""datasets, tables and tabledata methods (REST reference, v2)."""

import time

from . import partitions
from .cost import total
from .errors import ApiError, invalid, not_found
from .ndjson import BadValue, row_of, write_rows
from .rows import fetched, fixed, row
from .schema import Field, check_update, parse_fields
from .values import check as check_values

KEPT = ("description", "friendlyName", "labels", "expirationTime", "timePartitioning", "rangePartitioning", "clustering", "requirePartitionFilter",
        "tableConstraints", "maxStaleness", "defaultRoundingMode", "encryptionConfiguration", "defaultCollation")
DATASET_KEPT = ("description", "friendlyName", "labels", "location", "defaultTableExpirationMs", "defaultPartitionExpirationMs", "access",
                "maxTimeTravelHours", "storageBillingModel", "isCaseInsensitive", "defaultCollation")


def ms(seconds: float) -> str:
    return str(int(seconds * 1000))


class Datasets:
    def __init__(self, engine):
        self.engine, self.store = engine, engine.store

    def shown(self, dataset) -> dict:
        return {"kind": "bigquery#dataset", "etag": dataset.etag(), "id": f"{dataset.project}:{dataset.name}",
                "datasetReference": {"projectId": dataset.project, "datasetId": dataset.name}, "location": dataset.location,
                "creationTime": ms(dataset.created), "lastModifiedTime": ms(dataset.modified), "type": "DEFAULT", **dataset.meta}

    def insert(self, call, project):
        reference = call.body.get("datasetReference") or {}
        name = reference.get("datasetId") or ""
        # Datasets page, "Name datasets".
        if not name or len(name) > 1024 or not all(c.isalnum() or c == "_" for c in name):
            raise invalid(f'Invalid dataset ID "{name}". Dataset IDs must be alphanumeric (plus underscores) and must be at most 1024 characters long.')
        call.caller.check_project(project)
        meta = {key: call.body[key] for key in DATASET_KEPT if call.body.get(key) is not None}
        made = self.store.add_dataset(reference.get("projectId", project), name, {"location": "US", **meta})
        made.meta.setdefault("access", [{"role": "OWNER", "userByEmail": call.caller.email}])
        return self.shown(made)

    def get(self, call, project, name):
        found = self.store.dataset(project, name)
        call.caller.check_dataset(found, False)
        return self.shown(found)

    def list(self, call, project):
        found = [dataset for (home, name), dataset in sorted(self.store.datasets.items()) if home == project and not name.startswith("_")]
        return {"kind": "bigquery#datasetList", "datasets": [
            {"kind": "bigquery#dataset", "id": f"{one.project}:{one.name}", "datasetReference": {"projectId": one.project, "datasetId": one.name},
             "location": one.location, **({"labels": one.meta["labels"]} if one.meta.get("labels") else {})} for one in found]}

    def patch(self, call, project, name, replace=False):
        found = self.store.dataset(project, name)
        call.caller.check_dataset(found, True)
        check_etag(call, found.etag())
        if call.body.get("location") and call.body["location"].upper() != found.location.upper():
            raise invalid("Cannot change the location of a dataset")
        found.meta = {"location": found.location, **changed(found.meta, call.body, DATASET_KEPT, replace)}
        found.modified = time.time()
        return self.shown(found)

    def update(self, call, project, name):
        return self.patch(call, project, name, True)

    def delete(self, call, project, name):
        found = self.store.dataset(project, name)
        call.caller.check_dataset(found, True)
        # datasets.delete reference, deleteContents.
        if found.tables and call.flag("deleteContents") is not True:
            raise ApiError("resourceInUse", f"Dataset {project}:{name} is still in use")
        with self.store.lock:
            del self.store.datasets[project, name]


def changed(meta: dict, body: dict, kept, replace: bool) -> dict:
    """patch: what is given; null removes. update: the whole resource."""
    out = {} if replace else dict(meta)
    for key in kept:
        if key in body:
            if body[key] is None:
                out.pop(key, None)
            elif key == "labels" and not replace:
                labels = {**out.get("labels", {}), **body[key]}
                out["labels"] = {name: value for name, value in labels.items() if value is not None}
            else:
                out[key] = body[key]
    return out


def check_etag(call, etag: str) -> None:
    wanted = call.headers.get("If-Match")
    if wanted and wanted != etag:
        raise ApiError("conditionNotMet", "Precondition check failed.", "If-Match")


class Tables:
    def __init__(self, engine):
        self.engine, self.store = engine, engine.store

    def shown(self, table, fields=None) -> dict:
        version = table.latest
        size = total(self.store.cursor(), self.engine.sizes, table, version)
        out = {"kind": "bigquery#table", "etag": table.etag(), "id": table.full(),
               "tableReference": {"projectId": table.project, "datasetId": table.dataset, "tableId": table.name},
               "schema": {"fields": [field.rest() for field in (fields or version.fields)]}, "type": table.kind,
               "numRows": str(version.rows), "numBytes": str(size), "numLongTermBytes": "0", "creationTime": ms(table.created),
               "lastModifiedTime": ms(table.modified), "location": self.store.datasets[table.project, table.dataset].location, **table.meta}
        if table.view:
            out["view"] = {"query": table.view, "useLegacySql": False}
        return out

    def insert(self, call, project, dataset):
        body = call.body
        reference = body.get("tableReference") or {}
        name = reference.get("tableId") or ""
        # Tables page, "Table naming".
        if not name or len(name.encode()) > 1024 or any(not (c.isalnum() or c in "_- ") for c in name):
            raise invalid(f'Invalid table ID "{name}".')
        home = self.store.dataset(project, dataset)
        call.caller.check_dataset(home, True)
        fields = parse_fields((body.get("schema") or {}).get("fields"))
        meta = {key: body[key] for key in KEPT if body.get(key) is not None}
        partitions.check_spec(meta, fields)
        if (meta.get("tableConstraints") or {}).get("primaryKey"):
            from .ddl import check_key

            check_key(fields, meta["tableConstraints"]["primaryKey"]["columns"])
        view = (body.get("view") or {}).get("query")
        return self.shown(self.store.add_table(project, dataset, name, fields, meta, kind="VIEW" if view else "TABLE", view=view))

    def find(self, call, project, dataset, name, write=False):
        found = self.store.table(project, dataset, name)
        call.caller.check_table(found, write)
        return found

    def get(self, call, project, dataset, name):
        found = self.find(call, project, dataset, name)
        return self.shown(found, self.engine.visible_fields(found, "get") if self.engine.lag["get"] else None)

    def list(self, call, project, dataset):
        home = self.store.dataset(project, dataset)
        call.caller.check_dataset(home, False)
        names = sorted(home.tables)
        start = names.index(call.query["pageToken"]) if call.query.get("pageToken") in names else 0
        count = int(call.query.get("maxResults") or 50)
        page = {"kind": "bigquery#tableList", "totalItems": len(names), "tables": [
            {"kind": "bigquery#table", "id": home.tables[name].full(), "type": home.tables[name].kind, "creationTime": ms(home.tables[name].created),
             "tableReference": {"projectId": project, "datasetId": dataset, "tableId": name},
             **{key: home.tables[name].meta[key] for key in ("labels", "timePartitioning", "clustering", "expirationTime") if key in home.tables[name].meta}}
            for name in names[start:start + count]]}
        if start + count < len(names):
            page["nextPageToken"] = names[start + count]
        return page

    def patch(self, call, project, dataset, name, replace=False):
        found = self.find(call, project, dataset, name, True)
        check_etag(call, found.etag())
        with self.store.lock:
            meta = changed(found.meta, call.body, KEPT, replace)
            # tables.patch reference: partitioning cannot be added or changed, but for its expiration.
            for key in ("timePartitioning", "rangePartitioning"):
                old, new = dict(found.meta.get(key) or {}), dict(meta.get(key) or {})
                if {k: old.get(k) for k in ("type", "field", "range")} != {k: new.get(k) for k in ("type", "field", "range")}:
                    raise invalid("Cannot convert non partitioned/clustered table to partitioned/clustered table, nor change its partitioning.")
            fields = found.latest.fields
            if "schema" in call.body:
                fields = parse_fields(call.body["schema"].get("fields"))
                check_update(found.latest.fields, fields)
            partitions.check_spec(meta, fields)
            found.meta = meta
            self.store.set_fields(found, fields)
        return self.shown(found)

    def update(self, call, project, dataset, name):
        return self.patch(call, project, dataset, name, True)

    def delete(self, call, project, dataset, name):
        self.store.drop(self.find(call, project, dataset, name, True))

    # -- rows ----------------------------------------------------------------------------------------------------
    def rows(self, call, project, dataset, name):
        """tabledata.list reference."""
        table = self.find(call, project, dataset, name)
        version = table.latest
        wanted = call.query.get("selectedFields")
        fields = version.fields if not wanted else tuple(f for f in version.fields if f.name in {w.split(".")[0] for w in wanted.split(",")})
        start = int(call.query.get("pageToken") or call.query.get("startIndex") or 0)
        rows, following = page(self.store, version, fields, start, call)
        out = {"kind": "bigquery#tableDataList", "etag": table.etag(), "totalRows": str(version.rows)}
        if rows:
            out["rows"] = rows
        if following is not None:
            out["pageToken"] = str(following)
        return out

    def insert_all(self, call, project, dataset, name):
        """tabledata.insertAll reference."""
        table = self.find(call, project, dataset, name, True)
        if not self.engine.streamable(table):
            raise not_found("Table", table.full())
        fields = self.engine.visible_fields(table, "write")
        good, errors = [], []
        for index, given in enumerate(call.body.get("rows") or []):
            try:
                good.append(row_of(given.get("json") or {}, fields, bool(call.body.get("ignoreUnknownValues"))))
            except BadValue as error:
                errors.append({"index": index, "errors": [{"reason": "invalid", "location": "", "debugInfo": "", "message": str(error)}]})
        # Same page, skipInvalidRows: without it one bad row refuses all.
        if errors and not call.body.get("skipInvalidRows"):
            bad = {error["index"] for error in errors}
            errors += [{"index": index, "errors": [{"reason": "stopped", "message": ""}]} for index in range(len(call.body["rows"])) if index not in bad]
            good = []
        if good:
            cursor = self.store.cursor()
            segment = write_rows(self.store, cursor, fields, good)
            check_values(cursor, segment, fields)
            self.store.append_streamed(cursor, table, segment)
        return {"kind": "bigquery#tableDataInsertAllResponse", **({"insertErrors": errors} if errors else {})}


# tabledata.list reference: a page holds at most 10 MB; maxResults less.
PAGE_ROWS, PAGE_BYTES = 100_000, 10 * 1024 * 1024


def page(store, version, fields: tuple[Field, ...], start: int, call, limit=None):
    count = min(int(call.query.get("maxResults") or PAGE_ROWS), PAGE_ROWS)
    int64 = str(call.query.get("formatOptions.useInt64Timestamp", "")).lower() == "true"
    total_rows, out, size, position, skipped = version.rows, [], 0, start, 0
    cursor = store.cursor()
    for segment in version.segments:
        length = segment.high - segment.low
        if start >= skipped + length or len(out) >= count:
            skipped += length
            continue
        low = segment.low + max(0, start - skipped)
        from dataclasses import replace

        part = replace(version, segments=(replace(segment, low=low, high=min(segment.high, low + count - len(out))),))
        cursor.execute(f"SELECT {', '.join(fetched(field) for field in fields)} FROM ({part.select(fields)})")
        while batch := cursor.fetchmany(1000):
            for values in batch:
                out.append(row(fixed(values, fields), fields, int64))
                size += sum(len(str(value)) for value in values)
                position += 1
                if size > PAGE_BYTES:
                    return out, position if position < total_rows else None
        skipped += length
    return out, position if position < total_rows and out else None
