"""Backend events of three types as the event pipeline's documents show them, with bad ones of many kinds among them, and what must become of each."""

import json
import random
import uuid

BRANCHES = {"order": "backend_events_data.order_events", "inventory": "backend_events_data.inventory_events",
            "user_activity": "backend_events_data.user_activity_events"}


def _id(rng):
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _time(rng):
    return f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(10**6):06}Z"


def order(rng):
    return {"event_type": "order", "order_id": _id(rng), "customer_id": _id(rng), "order_date": _time(rng),
            "status": rng.choice(["pending", "processing", "shipped", "delivered"]),
            "items": [{"product_id": _id(rng), "product_name": f"Thing \"{n}\" – größer\n", "quantity": rng.randrange(1, 10), "price": rng.randrange(10**5) / 100}
                      for n in range(rng.randrange(4))],
            "shipping_address": {"street": "Gasse 1", "city": "Wien", "country": "AT"}, "total_amount": rng.randrange(10**6) / 100}


def inventory(rng):
    return {"event_type": "inventory", "inventory_id": _id(rng), "product_id": _id(rng), "warehouse_id": _id(rng), "quantity_change": rng.randrange(-100, 101),
            "reason": rng.choice(["restock", "sale", "return", "damage"]), "timestamp": _time(rng)}


def user_activity(rng):
    return {"event_type": "user_activity", "user_id": _id(rng), "activity_type": rng.choice(["login", "logout", "view_product"]), "ip_address": "10.0.0.1",
            "user_agent": "Mozilla/5.0", "timestamp": _time(rng), "metadata": {"session_id": _id(rng), "platform": rng.choice(["web", "ios"])}}


MAKERS = {"order": order, "inventory": inventory, "user_activity": user_activity}


def _set(event, **values):
    return {**event, **values}


def _without(event, name):
    return {key: value for key, value in event.items() if key != name}


def _text(event):
    return json.dumps(event, ensure_ascii=False).encode()


# Each kind of bad event: its code, the route it is counted under, and its bytes.
BAD = [
    ("bad_json", "order", lambda rng: b'{"event_type": "order", "order_id": '),
    ("bad_json", None, lambda rng: b"not json at all"),
    ("bad_json", None, lambda rng: b""),
    ("bad_json", None, lambda rng: b'{"event_type": "order", "order_id": "\xff\xfe"}'),
    ("bad_json", "order", lambda rng: _text(order(rng)) + b" {}"),
    ("bad_json", "inventory", lambda rng: _text(inventory(rng)).replace(b'"reason": "', b'"reason": "\\q')),
    ("bad_json", "inventory", lambda rng: _text(inventory(rng)).replace(b'"quantity_change": ', b'"quantity_change": +')),
    ("not_an_object", None, lambda rng: b'["order"]'),
    ("not_an_object", None, lambda rng: b"17"),
    ("no_routing_field", None, lambda rng: _text(_without(order(rng), "event_type"))),
    ("no_routing_field", None, lambda rng: _text(_set(order(rng), event_type=5))),
    ("no_route", None, lambda rng: _text(_set(order(rng), event_type="refund"))),
    ("unknown_field", "order", lambda rng: _text(_set(order(rng), coupon="X"))),
    ("unknown_field", "user_activity", lambda rng: _text(_set(user_activity(rng), metadata={"session_id": "1", "browser": "x"}))),
    ("missing_field", "order", lambda rng: _text(_without(order(rng), "customer_id"))),
    ("null_value", "inventory", lambda rng: _text(_set(inventory(rng), product_id=None))),
    ("wrong_type", "order", lambda rng: _text(_set(order(rng), total_amount="12.50"))),
    ("wrong_type", "order", lambda rng: _text(_set(order(rng), items={"product_id": "1"}))),
    ("wrong_type", "user_activity", lambda rng: _text(_set(user_activity(rng), ip_address=167772161))),
    ("not_an_integer", "order", lambda rng: _text(_set(order(rng), items=[{"product_id": "1", "quantity": 1.5}]))),
    ("number_out_of_range", "inventory", lambda rng: _text(_set(inventory(rng), quantity_change=2**63))),
    ("number_out_of_range", "order", lambda rng: _text(order(rng)).replace(b'"total_amount": ', b'"total_amount": 1e999, "x": ')),
    ("integer_not_exact", "order", lambda rng: _text(_set(order(rng), total_amount=2**53 + 1))),
    ("bad_time", "inventory", lambda rng: _text(_set(inventory(rng), timestamp="yesterday"))),
    ("bad_time", "inventory", lambda rng: _text(_set(inventory(rng), timestamp="2026-02-30T00:00:00Z"))),
    ("bad_time", "order", lambda rng: _text(_set(order(rng), order_date="2026-01-01T00:00:00.123456789Z"))),
    ("time_out_of_range", "order", lambda rng: _text(_set(order(rng), order_date="0000-01-01T00:00:00Z"))),
    ("value_not_accepted", "order", lambda rng: _text(_set(order(rng), status="lost"))),
    ("value_not_accepted", "inventory", lambda rng: _text(_set(inventory(rng), reason=""))),
    ("field_twice", "user_activity", lambda rng: _text(user_activity(rng))[:-1] + b', "user_id": "again"}'),
    ("too_large", "order", lambda rng: _text(_set(order(rng), status="x" * (1 << 20)))),
]


class Events:
    """`count` events, every hundredth bad; `messages` are their bytes in order."""

    def __init__(self, count: int, seed: int, large=False):
        rng = random.Random(seed)
        kinds = [kind for kind in BAD if large or kind[0] != "too_large"]
        self.messages, self.good, self.bad = [], {name: [] for name in MAKERS}, []
        for number in range(count):
            if number % 100 == 7:
                code, route, make = kinds[number // 100 % len(kinds)]
                payload = make(rng)
                self.bad.append((code, route, payload))
            else:
                name = rng.choice(list(MAKERS))
                event = MAKERS[name](rng)
                payload = _text(event)
                self.good[name].append(event)
            self.messages.append(payload)
