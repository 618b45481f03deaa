"""Upserts and deletes of the Storage Write API (page "Stream table updates with change data capture")."""

import re
from dataclasses import replace

from .proto_rows import CHANGE, SEQUENCE
from .schema import quoted


class NotAllowed(Exception):
    pass


def key_of(table) -> list[str]:
    return ((table.meta.get("tableConstraints") or {}).get("primaryKey") or {}).get("columns") or []


def check(table, default_stream: bool) -> None:
    """Page, prerequisites: a primary key, the default stream, at most 2,000 top-level columns."""
    if not default_stream:
        raise NotAllowed("Change data capture is only supported on the default stream")
    if not key_of(table):
        raise NotAllowed(f"Table {table.full()} has no primary key: {CHANGE} needs one")
    if len(table.latest.fields) > 2000:
        raise NotAllowed("Tables with more than 2,000 columns do not support change data capture")


def sequence(text: str | None) -> tuple:
    """Page, "Manage custom ordering": one to four sections of up to 16 hexadecimal digits, separated by slashes."""
    if text is None:
        return ()
    if not re.fullmatch(r"[0-9a-fA-F]{1,16}(/[0-9a-fA-F]{1,16}){0,3}", text):
        raise NotAllowed(f"Invalid {SEQUENCE}: {text}")
    return tuple(int(part, 16) for part in text.split("/"))


def newest(table, rows: list[dict]) -> dict:
    """Key -> (row number, type): what is left of the request where later or higher-numbered changes win."""
    key, last = key_of(table), {}
    for index, row in enumerate(rows):
        if row[CHANGE] not in ("UPSERT", "DELETE"):
            raise NotAllowed(f"Invalid {CHANGE}: {row[CHANGE]}. UPSERT or DELETE is expected")
        value = tuple(str(row.get(name)) for name in key)
        number = sequence(row.get(SEQUENCE))
        if table.sequences.get(value, ()) > number and number:
            continue
        table.sequences[value] = number or table.sequences.get(value, ())
        last[value] = (index, row[CHANGE])
    return last


def apply(store, cursor, table, segment, last: dict) -> None:
    """`segment` holds all rows of the request in their order."""
    if not last:
        return
    key = [quoted(name) for name in key_of(table)]
    numbers = ", ".join(str(index) for index, _ in last.values())
    kept = ", ".join(str(index) for index, kind in last.values() if kind == "UPSERT") or "-1"
    with store.lock:
        latest = table.latest
        same = " AND ".join(f"o.{name} IS NOT DISTINCT FROM n.{name}" for name in key)
        columns = ", ".join(quoted(field.name) for field in latest.fields)
        made = store.write_rows(cursor, latest.fields, f"SELECT {columns} FROM ({latest.select()}) o WHERE NOT EXISTS (SELECT 1 FROM {segment.name} n"
                                f" WHERE n.rowid IN ({numbers}) AND {same}) UNION ALL SELECT {columns} FROM {segment.name} WHERE rowid IN ({kept})")
        store.publish(table, replace(latest, segments=(made,) if made.high else (), mutation=latest.mutation + 1))
        table.captured = True
