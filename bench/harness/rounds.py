"""Runs peers against each other, round by round, one process tree at a time."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import time

from .check import Verdict
from .measure import Run, measure
from .peers import QUIET
from .server import BenchError

SETTLE_SECONDS = 0.5


@dataclasses.dataclass
class Outcome:
    """What one peer did in one round. `error` says why there is no usable run."""
    peer: str
    round: int
    run: Run | None = None
    rows_sent: int = 0
    verdict: Verdict | None = None
    error: str = ""

    @property
    def usable(self):
        return not self.error and self.run is not None and (self.verdict is None or not self.verdict.wrong)


@dataclasses.dataclass
class Pair:
    """One table into one target, and the outcomes of all peers on it."""
    title: str
    outcomes: list = dataclasses.field(default_factory=list)

    def of(self, peer):
        return [outcome for outcome in self.outcomes if outcome.peer == peer]

    def usable(self, peer):
        return [outcome.run for outcome in self.of(peer) if outcome.usable]


def last_words(run):
    """The end of what a failed command said, on one line."""
    lines = [line.strip() for line in (run.log + "\n" + run.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error|exception|fatal|failed|fail ", line, re.IGNORECASE)]
    words = re.sub(r"\x1b\[[0-9;]*m", "", " | ".join((errors or lines)[-3:]))
    return re.sub(r"postgres(ql)?(\+\w+)?://\S+", "postgres://…", words)[:500]


def penstock_says(run):
    """Penstock's own account of its run, as far as it printed one."""
    try:
        told = json.loads(run.stdout)["runs"][0]
        return {name: told.get(name) for name in ("rows_read", "duration_seconds", "peak_memory_bytes")}
    except (ValueError, LookupError, TypeError):
        return {}


class Stage:
    """The place where runs happen: fresh output folders, a settled disk, a bound on time."""

    def __init__(self, server, checker, work, timeout, say):
        self.server = server
        self.checker = checker
        self.folder = pathlib.Path(work) / "runs"
        self._timeout = timeout
        self._say = say
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def fresh(self, name):
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def run(self, peer, job, database, number, reference):
        """Measure one command, then check what it left."""
        outcome = Outcome(peer.name, number)
        home = job.out / "home"
        home.mkdir(exist_ok=True)
        environment = {**os.environ, **QUIET, "HOME": str(home), "TZ": "UTC", **peer.environment(job)}
        try:
            peer.prepare(job)
            command = peer.command(job)
        except BenchError as problem:
            outcome.error = str(problem)
            return self._told(outcome, job, database)
        self.server.forget_rows_sent(database)
        # What an earlier run left to be written must not be written on this one's time.
        os.sync()
        time.sleep(SETTLE_SECONDS)
        outcome.run = measure(command, job.out, environment, self._timeout)
        outcome.rows_sent = self.server.rows_sent(database)
        if outcome.run.timed_out:
            outcome.error = f"stopped after {self._timeout} s"
        elif outcome.run.exit_code != 0:
            outcome.error = f"exit code {outcome.run.exit_code}: {last_words(outcome.run)}"
        elif peer.relation(job):
            outcome.verdict = self.checker.check(peer, job, reference)
        return self._told(outcome, job, database)

    def _told(self, outcome, job, database):
        what = f"{database} to {job.to}, round {outcome.round}, {outcome.peer}"
        if outcome.error:
            self._say(f"{what}: FAILED, {outcome.error}")
        else:
            state = ""
            if outcome.verdict:
                state = "WRONG: " + "; ".join(outcome.verdict.wrong) if outcome.verdict.wrong else "values equal"
            self._say(f"{what}: {outcome.run.wall:.2f} s, {outcome.run.cpu:.2f} CPU s, "
                      f"{outcome.run.peak_bytes / 1e6:.0f} MB {state}")
        return outcome


def rotated(items, by):
    """Nobody is always first, or always after the same one."""
    by %= max(len(items), 1)
    return items[by:] + items[:by]


class Patience:
    """Decides who still runs: a peer slower than the patience, or failing, has shown enough."""

    def __init__(self, seconds):
        self._seconds = seconds

    def lasts(self, pair, peer):
        earlier = pair.of(peer.name)
        if any(outcome.error for outcome in earlier):
            return False
        return all(outcome.run.wall <= self._seconds for outcome in earlier)
