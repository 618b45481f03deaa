"""Lines of events with orjson: parse, check fields and types by the schema, route by type, write each type's lines to a file of its own.

    orjson_events.py EVENTS.ndjson DIR
"""

import pathlib
import sys
from datetime import datetime

import orjson

NUMBER = (int, float)
SCHEMAS = {
    "order": {"event_type": str, "order_id": str, "customer_id": str, "order_date": "time", "status": str, "items": "items", "shipping_address": dict,
              "total_amount": NUMBER, "ingestion_time": "time"},
    "inventory": {"event_type": str, "inventory_id": str, "product_id": str, "warehouse_id": str, "quantity_change": int, "reason": str, "timestamp": "time",
                  "ingestion_time": "time"},
    "user_activity": {"event_type": str, "user_id": str, "activity_type": str, "ip_address": str, "user_agent": str, "timestamp": "time", "metadata": dict,
                      "ingestion_time": "time"},
}
ITEM = {"product_id": str, "product_name": str, "quantity": int, "price": NUMBER}


def fits(event, schema):
    for name, value in event.items():
        kind = schema.get(name)
        if kind is None:
            return False
        if value is None:
            continue
        if kind == "time":
            datetime.fromisoformat(value)
        elif kind == "items":
            for item in value:
                if not fits(item, ITEM):
                    return False
        elif not isinstance(value, kind):
            return False
    return True


def main(events, folder):
    folder = pathlib.Path(folder)
    outs = {name: open(folder / f"{name}.json", "wb", buffering=1 << 20) for name in [*SCHEMAS, "rejects"]}
    good = bad = 0
    with open(events, "rb") as lines:
        for line in lines:
            try:
                event = orjson.loads(line)
                name = event["event_type"]
                fine = fits(event, SCHEMAS[name])
            except (ValueError, KeyError, TypeError):
                fine = False
            if fine:
                good += 1
                outs[name].write(line)
            else:
                bad += 1
                outs["rejects"].write(line)
    for out in outs.values():
        out.close()
    print(f"{good} {bad}")


main(*sys.argv[1:])
