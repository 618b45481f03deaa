"""Debezium's events folded back into tables, and compared with the source by PostgreSQL itself."""

import base64
import json
from collections import Counter

from .changes import captured_columns, difference
from .postgres import LOADER

EXACT = {"decimals": "string", "times": "isostring", "intervals": "string"}


def publish(database, project, broker, tables, source=None, settings=None, name=None, **target):
    """A pipeline from the tables to the broker, with topics, slot and bookkeeping named after the database."""
    with database.server.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
    names = [table if "." in table else f"public.{table}" for table in tables]
    if not database.rows("SELECT 1 FROM pg_publication"):
        database.execute(f"CREATE PUBLICATION pub FOR TABLE {', '.join(names)} WITH (publish_via_partition_root = true)")
    changes = {"tables": names, "publication": "pub", "slot": f"slot_{database.name}", "create": True, **(source or {})}
    project.pipeline(database, {"changes": changes},
                     {"connection": "bus", "server": database.name, "bookkeeping": f"books_{database.name}", **target},
                     name=name or database.name, connections={"bus": {"type": "kafka", "brokers": broker.brokers, "timeout": "20s"}},
                     **(settings or {}))


def topic_of(database, table):
    return f"{database.name}.{table if '.' in table else 'public.' + table}"


def canonical(value):
    return json.dumps(value, sort_keys=True)


def fold(events):
    """What the events of one topic of one partition amount to: rows by key, or, without key, rows as often as they are there."""
    rows, leaving, loose = {}, {}, Counter()
    for event in events:
        if event.value is None:
            assert canonical(event.key) not in rows, f"a tombstone for a row that is there: {event}"
            continue
        before, after = event.value["before"], event.value["after"]
        missing = json.loads(event.headers.get("__penstock.unavailable", "[]"))
        if event.op == "t":
            rows.clear(), loose.clear()
        elif event.key is None:
            if before is not None:
                assert loose[canonical(before)] > 0, f"nothing to take away: {event}"
                loose[canonical(before)] -= 1
            if after is not None:
                loose[canonical(after)] += 1
        elif event.op == "d":
            gone = rows.pop(canonical(event.key), None)
            assert gone is not None, f"deleted twice, or never there: {event}"
            if "__debezium.newkey" in event.headers:
                leaving[canonical(json.loads(event.headers["__debezium.newkey"]))] = gone
        else:
            key = canonical(event.key)
            assert event.op == "u" or key not in rows, f"there already: {event}"
            old = rows.get(key) or leaving.pop(key, None)
            rows[key] = {name: old[name] if name in missing else value for name, value in after.items()}
    return list(rows.values()) + [json.loads(row) for row, times in loose.items() for _ in range(times)]


def assert_same_rows(database, table, events):
    """Of events in the EXACT modes."""
    columns = captured_columns(database, table)
    listed = ", ".join(f'"{name}"' for name, _ in columns)

    def value(row, name, kind):
        held = row[name]
        return base64.b64decode(held) if kind == "bytea" and held is not None else held

    back = [[value(row, name, kind) for name, kind in columns] for row in fold(events)]
    with database.connect() as session:
        session.execute(f"CREATE TEMP TABLE back AS SELECT {listed} FROM {table} LIMIT 0")
        with session.cursor() as cursor:
            cursor.executemany(f"INSERT INTO back VALUES ({', '.join(f'%s::{kind}' for _, kind in columns)})", back)
        missing = session.execute(difference(table, "back", listed)).fetchall()
        extra = session.execute(difference("back", table, listed)).fetchall()
    assert not missing and not extra, f"{table}: missing in the topic {missing}, too many {extra}"


def assert_each_once(events):
    """With `position_header`: no change twice, and those of one key in order."""
    seen, newest = set(), {}
    for event in events:
        position, key = event.headers["__penstock.position"], canonical(event.key)
        mark = (position, key if event.op == "r" else "", event.value is None)
        assert mark not in seen, f"twice: {event}"
        seen.add(mark)
        assert newest.get(key, "") <= position, f"out of order: {event}"
        newest[key] = position
