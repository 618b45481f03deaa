"""Backend events of three types as lines of JSON, in the shapes of examples/ddl, some of them bad; the same for the same number."""

import json
import pathlib
import random

TYPES = ("order", "inventory", "user_activity")
BAD_EVERY = 700  # 0.15% of the events
BAD = (b'{"event_type": "order", "order_id": ', b'{"event_type": "refund", "order_id": "1"}', b'{"event_type": "inventory", "quantity_change": "many"}')


def _id(rng):
    bits = f"{rng.getrandbits(128):032x}"
    return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-a{bits[17:20]}-{bits[20:]}"


def _order(rng, time):
    return {"event_type": "order", "order_id": _id(rng), "customer_id": _id(rng), "order_date": time, "status": rng.choice(("pending", "processing", "shipped", "delivered")),
            "items": [{"product_id": _id(rng), "product_name": f"Product {rng.randrange(1000)}", "quantity": rng.randrange(1, 10), "price": rng.randrange(10**5) / 100}
                      for _ in range(rng.randrange(1, 4))],
            "shipping_address": {"street": f"{rng.randrange(999)} Main St", "city": "Anytown", "country": "USA"}, "total_amount": rng.randrange(10**6) / 100}


def _inventory(rng, time):
    return {"event_type": "inventory", "inventory_id": _id(rng), "product_id": _id(rng), "warehouse_id": _id(rng), "quantity_change": rng.randrange(-100, 101),
            "reason": rng.choice(("restock", "sale", "return", "damage")), "timestamp": time}


def _user_activity(rng, time):
    return {"event_type": "user_activity", "user_id": _id(rng), "activity_type": rng.choice(("login", "logout", "view_product", "add_to_cart")), "ip_address": "192.168.1.17",
            "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36", "timestamp": time,
            "metadata": {"session_id": _id(rng), "platform": rng.choice(("web", "mobile", "tablet"))}}


def make_events(work, count, say):
    """The file with `count` events of one day, made on first use; how many of them are good is beside it."""
    file = pathlib.Path(work) / f"events-{count}.ndjson"
    if file.exists():
        return file
    say(f"making {count:,} events")
    rng, makers = random.Random(7), (_order, _inventory, _user_activity)
    part = file.with_suffix(".part")
    with open(part, "wb") as out:
        for number in range(count):
            if number % BAD_EVERY == 7:
                out.write(BAD[number // BAD_EVERY % len(BAD)] + b"\n")
                continue
            second = number * 86400 // count
            time = f"2026-11-20T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{number % 10**6:06}Z"
            out.write(json.dumps(rng.choice(makers)(rng, time), separators=(", ", ": ")).encode() + b"\n")
    part.rename(file)
    return file


def good_and_bad(count):
    bad = sum(number % BAD_EVERY == 7 for number in range(count)) if count < BAD_EVERY else (count - 8) // BAD_EVERY + 1
    return count - bad, bad
