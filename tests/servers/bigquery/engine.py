"""Everything a server holds."""

import time

from .auth import Accounts
from .cost import Sizes
from .faults import Faults
from .jobs import Jobs
from .store import Store


class Engine:
    def __init__(self):
        self.store = Store()
        self.sizes = Sizes()
        self.faults = Faults()
        self.accounts = Accounts()
        self.jobs = Jobs(self)
        self.failures: list[str] = []  # bugs of the stand-in
        self.address = ""
        self.reset()

    def reset(self) -> None:
        self.store.reset()
        self.sizes = Sizes()
        self.jobs.reset()
        self.faults.reset()
        self.accounts.reset()
        self.lag = {"create": 0.0, "get": 0.0, "load": 0.0, "write": 0.0}
        self.requests: list[dict] = []
        self.billed_bytes = 0
        self.queries = 0
        self.unlimited: list[dict] = []  # query jobs without maximumBytesBilled
        self.failures.clear()
        self.on_reset()

    def on_reset(self) -> None:
        """The gRPC services put theirs here."""

    def count_query(self, project: str, config: dict, caller) -> None:
        self.queries += 1
        if not config["query"].get("maximumBytesBilled") and not config.get("dryRun"):
            self.unlimited.append({"project": project, "user": caller.email, "query": config["query"].get("query", "")[:200]})

    def visible_fields(self, table, use: str):
        """Columns as one kind of call sees them while metadata lags: `get` (tables.get), `load`, `write` (Storage Write, insertAll)."""
        before = time.time() - self.lag[use]
        for version in reversed(table.versions):
            if version.at <= before:
                return version.fields
        return table.versions[0].fields

    def streamable(self, table) -> bool:
        """Storage Write API page: a table just created may not be found by streaming calls."""
        return time.time() - table.created >= self.lag["create"]

    def pause(self, run, kind: str) -> None:
        self.faults.before_statement(run, kind)
