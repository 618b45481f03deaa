"""A shop whose tables change in every way a captured table can, and the comparison of source and target."""

import json
import random
import time

from .postgres import LOADER

TABLES = ("customers", "orders", "notes", "logs", "parts")

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, name text, balance numeric(12,2), joined timestamptz DEFAULT now());
CREATE TABLE orders (region text, number bigint, amount numeric(12,2), tags text[], document jsonb, PRIMARY KEY (region, number));
CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), title text, body text, picture bytea);
ALTER TABLE notes ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE notes ALTER COLUMN picture SET STORAGE EXTERNAL;
CREATE TABLE logs (at timestamptz, line text, level int);
ALTER TABLE logs REPLICA IDENTITY FULL;
CREATE TABLE parts (id int, day date, value float8, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO customers SELECT i, 'customer ' || i, i * 1.25 FROM generate_series(1, 200) i;
INSERT INTO orders SELECT 'r' || i % 3, i, i, ARRAY['a' || i], jsonb_build_object('n', i) FROM generate_series(1, 300) i;
INSERT INTO notes SELECT gen_random_uuid(), 'note ' || i, repeat(md5(i::text), 200), decode(repeat(md5(i::text), 200), 'hex') FROM generate_series(1, 60) i;
INSERT INTO logs SELECT now(), 'line ' || i, i % 3 FROM generate_series(1, 50) i;
INSERT INTO parts SELECT i, '2026-01-01'::date + i % 59, i / 7.0 FROM generate_series(1, 120) i;
"""


def capture(database, project, tables=TABLES, mode="merge", target=None, publish=True, connections=None, settings=None, **changes):
    """Tables of the shop captured into the warehouse, by a role that may replicate and read."""
    with database.server.admin() as admin:
        admin.execute(f"ALTER ROLE {LOADER} REPLICATION")
    names = [table if "." in table else f"public.{table}" for table in tables]
    slot = f"slot_{database.name}"
    if publish:
        database.execute(f"CREATE PUBLICATION pub FOR TABLE {', '.join(names)} WITH (publish_via_partition_root = true)")
    project.pipeline(database, {"changes": {"tables": names, "publication": "pub", "slot": slot, "create": True, **changes}},
                     {"dataset": "main", "mode": mode, **(target or {})}, connections=connections, **(settings or {}))
    return slot


def drop_slots(database):
    """A database with a slot cannot be dropped."""
    for _ in range(100):
        left = database.rows("SELECT slot_name, active FROM pg_replication_slots WHERE database = current_database()")
        for name, active in left:
            if not active:
                database.execute("SELECT pg_drop_replication_slot(%s)", [name])
        if not left:
            return
        time.sleep(0.1)


def captured_columns(database, table):
    return database.rows("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
                         " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum", [table])


def target_rows(project, columns, table, where):
    """Times as text, which PostgreSQL reads exactly; Python's own would lose their range."""
    listed = ", ".join(f'"{name}"::VARCHAR' if kind.startswith(("time", "date", "interval")) else f'"{name}"' for name, kind in columns)
    return project.duck(f"SELECT {listed} FROM {table} WHERE {where}")


def warehouse_rows(warehouse, columns, table, where, dataset="shop"):
    """The same out of BigQuery, by Google's client. Arrays are JSON there, so that NULLs in them and of them are kept."""
    def shown(name, kind):
        if kind.startswith("json") or kind.endswith("[]"):
            return f"TO_JSON_STRING(`{name}`)"
        if kind.startswith("time") and "with time zone" in kind:
            return f"FORMAT_TIMESTAMP('%F %H:%M:%E6S+00', `{name}`)"
        return f"CAST(`{name}` AS STRING)" if kind.startswith(("time", "date", "interval")) else f"`{name}`"

    listed = ", ".join(f"{shown(name, kind)} AS `{name}`" for name, kind in columns)
    rows = warehouse.rows(f"SELECT {listed} FROM {dataset}.{table} WHERE {where}")
    arrays = [kind.endswith("[]") for _, kind in columns]
    return [tuple(json.loads(value) if array and value is not None else value for array, value in zip(arrays, row)) for row in rows]


def assert_mirrored(database, project, tables=TABLES, where="true", rows=None):
    """Source and target are equal row by row. The target is read with its own system's client, and its rows go back into a table of
    the source's types, so that PostgreSQL itself compares."""
    for table in tables:
        columns = captured_columns(database, table)
        listed = ", ".join(f'"{name}"' for name, _ in columns)
        values = ", ".join(f"%s::{kind}" for _, kind in columns)
        with database.connect() as session:
            session.execute(f"CREATE TEMP TABLE back AS SELECT {listed} FROM {table} LIMIT 0")
            with session.cursor() as cursor:
                cursor.executemany(f"INSERT INTO back VALUES ({values})", (rows or target_rows)(project, columns, table, where))
            missing = session.execute(difference(table, "back", listed)).fetchall()
            extra = session.execute(difference("back", table, listed)).fetchall()
        assert not missing and not extra, f"{table}: missing in the target {missing}, too many {extra}"


def difference(left, right, listed):
    return f"SELECT left(t::text, 300) FROM (SELECT {listed} FROM {left} EXCEPT ALL SELECT {listed} FROM {right}) t LIMIT 3"


class Workload:
    """Statements of every kind, seeded; each call of `step` is one transaction."""

    def __init__(self, database, seed):
        self.database = database
        self.chance = random.Random(seed)
        self.next_customer = 1000
        self.next_order = 1000

    def run(self, steps):
        with self.database.connect() as session:
            session.autocommit = False
            for _ in range(steps):
                self.step(session)

    def step(self, session):
        for _ in range(self.chance.choice((1, 1, 2, 5))):
            self.chance.choice(self.kinds())(session)
        if self.chance.random() < 0.07:
            session.rollback()
        else:
            session.commit()

    def kinds(self):
        return (self.insert, self.insert, self.update, self.update, self.update, self.delete, self.move_key, self.swap_keys, self.toast,
                self.toast_moves, self.logs, self.partitions, self.savepoint, self.same_row_again, self.many, self.truncate_sometimes)

    def insert(self, session):
        self.next_customer += 1
        session.execute("INSERT INTO customers (id, name, balance) VALUES (%s, %s, %s)", [self.next_customer, "néw\n" + chr(0x1F600), self.chance.randrange(10**6) / 100])
        self.next_order += 1
        session.execute("INSERT INTO orders VALUES (%s, %s, %s, %s, %s)", [f"r{self.chance.randrange(3)}", self.next_order, self.chance.randrange(100),
                                                                         self.chance.choice(([], ["x", None, 'q"'], None)), '{"a": [1, 2.50, null]}'])

    def update(self, session):
        session.execute("UPDATE customers SET balance = balance + 1, name = %s WHERE id %% 17 = %s", [self.chance.choice(("", "x", None)), self.chance.randrange(17)])
        session.execute("UPDATE orders SET amount = amount * 2 WHERE number %% 23 = %s AND amount < 1000", [self.chance.randrange(23)])

    def delete(self, session):
        session.execute("DELETE FROM customers WHERE id %% 31 = %s AND id > 5", [self.chance.randrange(31)])
        session.execute("DELETE FROM orders WHERE number %% 41 = %s", [self.chance.randrange(41)])

    def move_key(self, session):
        self.next_customer += 1
        session.execute("UPDATE customers SET id = %s WHERE id = (SELECT id FROM customers WHERE id > 5 ORDER BY md5(id::text || %s) LIMIT 1)",
                        [self.next_customer, str(self.chance.random())])

    def swap_keys(self, session):
        for old, new in ((1, -1), (2, 1), (-1, 2)):
            session.execute("UPDATE customers SET id = %s WHERE id = %s", [new, old])

    def toast(self, session):
        session.execute("UPDATE notes SET title = title || '.' WHERE id IN (SELECT id FROM notes ORDER BY md5(id::text || %s) LIMIT 3)", [str(self.chance.random())])
        session.execute("UPDATE notes SET body = repeat(md5(%s), 220) WHERE id = (SELECT id FROM notes ORDER BY md5(id::text || %s) LIMIT 1)",
                        [str(self.chance.random())] * 2)
        session.execute("INSERT INTO notes (title, body) VALUES ('t', repeat(md5(%s), 100))", [str(self.chance.random())])

    def toast_moves(self, session):
        """The key changes, the long values do not and are not sent; sometimes twice, sometimes with a change before."""
        pick = "(SELECT id FROM notes ORDER BY md5(id::text || %s) LIMIT 1)"
        salt = str(self.chance.random())
        if self.chance.random() < 0.4:
            session.execute(f"UPDATE notes SET picture = decode(repeat(md5(%s), 210), 'hex') WHERE id = {pick}", [salt, salt])
        moved = session.execute(f"UPDATE notes SET id = gen_random_uuid() WHERE id = {pick} RETURNING id", [salt]).fetchone()
        if moved and self.chance.random() < 0.5:
            session.execute("UPDATE notes SET id = gen_random_uuid(), title = 'moved twice' WHERE id = %s", [moved[0]])

    def logs(self, session):
        session.execute("INSERT INTO logs SELECT now(), 'l' || i % 3, i FROM generate_series(1, 4) i")
        session.execute("UPDATE logs SET line = line || '+' WHERE ctid = (SELECT ctid FROM logs ORDER BY md5(line || %s) LIMIT 1)", [str(self.chance.random())])
        session.execute("DELETE FROM logs WHERE ctid = (SELECT ctid FROM logs ORDER BY md5(line || %s) LIMIT 1)", [str(self.chance.random())])

    def partitions(self, session):
        day = f"2026-0{self.chance.choice((1, 2))}-{self.chance.randrange(1, 28):02}"
        session.execute("UPDATE parts SET day = %s, value = value + 1 WHERE (id, day) = (SELECT id, day FROM parts WHERE id >= %s ORDER BY id, day LIMIT 1)"
                        " AND NOT EXISTS (SELECT FROM parts p WHERE p.id = parts.id AND p.day = %s)", [day, self.chance.randrange(1, 121), day])
        session.execute("INSERT INTO parts VALUES (%s, '2026-01-20', %s) ON CONFLICT DO NOTHING", [self.chance.randrange(1, 500), self.chance.random()])

    def savepoint(self, session):
        session.execute("SAVEPOINT s")
        self.insert(session)
        session.execute("UPDATE customers SET name = 'never' WHERE id < 50")
        session.execute("SAVEPOINT inner_s")
        session.execute("DELETE FROM customers WHERE id < 10")
        session.execute("ROLLBACK TO s" if self.chance.random() < 0.7 else "ROLLBACK TO inner_s")
        self.update(session)

    def same_row_again(self, session):
        session.execute("INSERT INTO customers VALUES (7777, 'a', 1) ON CONFLICT (id) DO UPDATE SET name = 'b'")
        session.execute("UPDATE customers SET balance = 2 WHERE id = 7777")
        if self.chance.random() < 0.6:
            session.execute("DELETE FROM customers WHERE id = 7777")
        if self.chance.random() < 0.5:
            session.execute("INSERT INTO customers VALUES (7777, 'c', 3) ON CONFLICT DO NOTHING")

    def many(self, session):
        if self.chance.random() < 0.3:
            session.execute("INSERT INTO logs SELECT now(), 'bulk ' || i, i FROM generate_series(1, 300) i")

    def truncate_sometimes(self, session):
        if self.chance.random() < 0.06:
            session.execute("TRUNCATE orders, logs")
            session.execute("INSERT INTO orders VALUES ('after', 1, 1, NULL, NULL)")
        elif self.chance.random() < 0.03:
            session.execute("TRUNCATE parts")  # of one partition PostgreSQL streams nothing
