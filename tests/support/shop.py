"""The sample table most tests move, and its rows as both sides show them."""

PG_ROW = "id, customer, amount::text, status, (extract(epoch FROM updated_at) * 1000000)::bigint, note::text"
DUCK_ROW = "id, customer, amount::VARCHAR, status, epoch_us(updated_at), note::VARCHAR"


def make_orders(database, rows: int = 1000, name: str = "orders", key: bool = True) -> None:
    database.execute(f"""
        CREATE TABLE {name} (id bigserial {'PRIMARY KEY' if key else ''}, customer text NOT NULL, amount numeric(12,2),
                             status text, updated_at timestamptz NOT NULL DEFAULT clock_timestamp(), note jsonb)""")
    add_orders(database, rows, name)


def add_orders(database, rows: int, name: str = "orders") -> None:
    database.execute(f"""
        INSERT INTO {name} (customer, amount, status, updated_at, note)
        SELECT 'customer ' || i % 97, i * 1.01, CASE i % 3 WHEN 0 THEN 'new' WHEN 1 THEN 'paid' END, clock_timestamp(),
               jsonb_build_object('n', i) FROM generate_series(1, {rows}) i""")


def source_rows(database, name: str = "orders", where: str = "true") -> list[tuple]:
    return database.rows(f"SELECT {PG_ROW} FROM {name} WHERE {where} ORDER BY id, customer, amount")


def target_rows(project, table: str = "shop.orders", where: str = "true") -> list[tuple]:
    return project.duck(f"SELECT {DUCK_ROW} FROM {table} WHERE {where} ORDER BY id, customer, amount")


def lake_rows(project, below: str = "orders", where: str = "true") -> list[tuple]:
    return project.parquet(below, f"SELECT {DUCK_ROW} FROM data WHERE {where} ORDER BY id, customer, amount, 5")


def stored_rows(project, target: dict, where: str = "true") -> list[tuple]:
    """The rows of `orders` where the target put them; of a history the current ones."""
    if target["mode"] == "history":
        where = "_penstock_valid_to IS NULL"
    return lake_rows(project, where=where) if "format" in target else target_rows(project, where=where)


def assert_same(project, database, name: str = "orders", table: str = "shop.orders", where: str = "true") -> None:
    expected, stored = source_rows(database, name, where), target_rows(project, table)
    assert_equal_rows(expected, stored)


def assert_equal_rows(expected: list[tuple], stored: list[tuple]) -> None:
    """Row lists are equal; when not, says what differs rather than printing both."""
    if expected == stored:
        return
    missing, extra = _minus(expected, stored), _minus(stored, expected)
    raise AssertionError(f"{len(expected)} rows expected, {len(stored)} stored; {len(missing)} missing, such as "
                         f"{missing[:3]}; {len(extra)} unexpected, such as {extra[:3]}")


def _minus(left: list, right: list) -> list:
    from collections import Counter
    return list((Counter(map(repr, left)) - Counter(map(repr, right))).elements())


MERGE = {"table": "shop.orders", "mode": "merge", "key": ["id"]}
APPEND = {"table": "shop.orders", "mode": "append"}
REPLACE = {"table": "shop.orders", "mode": "replace"}
HISTORY = {"table": "shop.orders", "mode": "history", "key": ["id"]}
LAKE_APPEND = {"format": "parquet", "path": "orders/", "mode": "append"}
LAKE_MERGE = {"format": "parquet", "path": "orders/", "mode": "merge", "key": ["id"]}
LAKE_HISTORY = {"format": "parquet", "path": "orders/", "mode": "history", "key": ["id"]}
LAKE_REPLACE = {"format": "parquet", "path": "orders/", "mode": "replace"}
INCREMENT = {"table": "public.orders", "cursor": "updated_at"}
WHOLE = {"table": "public.orders"}
