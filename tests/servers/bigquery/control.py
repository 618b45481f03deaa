"""What tests tell the server, beside Google's API: POST and GET under /control."""



def routes(engine):
    def reset(call):
        engine.reset()
        return {}

    def fault(call):
        engine.faults.add(call.body)
        return {}

    def faults(call):
        return {"rules": [rule.__dict__ for rule in engine.faults.rules]}

    def clear_faults(call):
        engine.faults.reset()
        return {}

    def lag(call):
        engine.lag.update({name: float(value) for name, value in call.body.items()})
        return engine.lag

    def stats(call):
        return {"queries": engine.queries, "unlimited": engine.unlimited, "billed_bytes": engine.billed_bytes, "failures": engine.failures,
                "requests": len(engine.requests), "methods": counted(request["method"] for request in engine.requests)}

    def requests(call):
        return {"requests": engine.requests}

    return [("POST", "/control/reset", "reset", reset), ("POST", "/control/faults", "fault", fault), ("GET", "/control/faults", "faults", faults),
            ("DELETE", "/control/faults", "clear", clear_faults), ("POST", "/control/lag", "lag", lag), ("GET", "/control/stats", "stats", stats),
            ("GET", "/control/requests", "requests", requests)]


def counted(names) -> dict:
    out: dict[str, int] = {}
    for name in names:
        out[name] = out.get(name, 0) + 1
    return out
