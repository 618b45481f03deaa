"""Errors on command. A rule names a method, which calls of it, and what happens."""

import threading
import time
from dataclasses import dataclass, field

from .errors import ApiError


@dataclass
class Rule:
    """`method`: "jobs.insert", "tables.get", … or "*"; `calls`: which (1 is the next), or all where empty; `kind`:
    error     answers with status, reason, message and Retry-After
    reset     cuts the connection before anything is done
    lost      does the work, then cuts the connection
    slow      sends the answer's body in pieces over `seconds`
    delay     waits `seconds` first
    job       the job fails with reason and message, once it runs
    statement waits `seconds` before a statement of this kind ("MERGE") of a query job
    """

    method: str
    kind: str
    calls: list[int] = field(default_factory=list)
    status: int = 503
    reason: str = "backendError"
    message: str = "Error encountered during execution. Retrying may solve the problem."
    retry_after: str | None = None
    seconds: float = 0.0
    contains: str = ""
    seen: int = 0
    hits: int = 0

    def matches(self, method: str, text: str) -> bool:
        if self.method not in ("*", method) or self.contains not in text:
            return False
        self.seen += 1
        if self.calls and self.seen not in self.calls:
            return False
        self.hits += 1
        return True


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.rules: list[Rule] = []

    def reset(self) -> None:
        with self.lock:
            self.rules = []

    def add(self, given: dict) -> None:
        with self.lock:
            self.rules.append(Rule(**given))

    def found(self, method: str, text: str, *kinds: str) -> Rule | None:
        with self.lock:
            return next((rule for rule in self.rules if rule.kind in kinds and rule.matches(method, text)), None)

    def before_job(self, job) -> None:
        rule = self.found(job.kind, str(job.config), "job")
        if rule is not None:
            time.sleep(rule.seconds)
            raise ApiError(rule.reason, rule.message)

    def after_job(self, job) -> None:
        rule = self.found(job.kind, str(job.config), "job_lost")
        if rule is not None:
            raise ApiError(rule.reason, rule.message)

    def before_statement(self, run, kind: str) -> None:
        rule = self.found(kind, "", "statement")
        if rule is not None:
            time.sleep(rule.seconds)
