"""Rounds of draining one backlog: every contestant from its own copy of a slot, one process tree at a time."""

import dataclasses
import os
import shutil
import time

from . import contestants as roster
from .check import Verdict
from .measure import Run
from .peers import QUIET
from .rounds import SETTLE_SECONDS, last_words
from .server import BenchError


@dataclasses.dataclass
class Drained:
    contestant: object
    round: int
    run: Run | None = None
    verdict: Verdict | None = None
    error: str = ""
    folder: object = None

    @property
    def usable(self):
        return not self.error and self.run is not None and self.verdict is not None and not self.verdict.wrong


@dataclasses.dataclass
class Backlog:
    """One stream and what everybody made of it."""
    stream: object
    drained: list = dataclasses.field(default_factory=list)
    left_out: dict = dataclasses.field(default_factory=dict)

    def of(self, name):
        return [one for one in self.drained if one.contestant.name == name]

    def usable(self, name):
        return [one.run for one in self.of(name) if one.usable]


class Course:
    """A stream made ready: contestants have begun, the changes are there. `drain` may then be called as often as wanted."""

    def __init__(self, source, contestants, checker, work, timeout, say):
        self.source = source
        self._checker = checker
        self.backlog = Backlog(source.stream)
        self._work, self._timeout, self._say = work, timeout, say
        self._ready = []
        self._seeds = {}
        source.make_base()
        for contestant in contestants:
            self._begin(contestant)
        source.make_changes()

    def _begin(self, contestant):
        most = contestant.most_changes
        if most and self.source.stream.changes > most:
            self.backlog.left_out[contestant.name] = f"takes at most {most:,} changes"
            return
        folder = roster.fresh_folder(self._work, self.source.stream, contestant)
        job = roster.Job(self.source, self.source.slot(contestant.name), folder)
        try:
            contestant.begin(job)
            self.source.keep_slot(job.slot)
        except (BenchError, OSError) as problem:
            self._say(f"{contestant.name}: FAILED, {problem}")
            self.backlog.drained.append(Drained(contestant, 1, error=str(problem)))
            return
        self.source.drop_slots(f"^{job.slot}$")
        # Some keep their paths in their state: every round runs where the first run was.
        self._seeds[contestant.name] = folder.rename(folder.with_name(folder.name + "-seed"))
        self._ready.append(contestant)

    def drain(self, number, patience):
        """One round. The first contestant is another one each time."""
        turn = number % max(len(self._ready), 1)
        for contestant in self._ready[turn:] + self._ready[:turn]:
            earlier = self.backlog.of(contestant.name)
            if number > 1 and (not earlier or earlier[0].error or earlier[0].run.wall > patience):
                continue
            self.backlog.drained.append(self._measure(contestant, number))

    def _measure(self, contestant, number):
        folder = roster.fresh_folder(self._work, self.source.stream, contestant)
        shutil.copytree(self._seeds[contestant.name], folder, dirs_exist_ok=True)
        job = roster.Job(self.source, self.source.slot(contestant.name), folder, round=number)
        one = Drained(contestant, number)
        self.source.give_slot(job.slot)
        os.sync()
        time.sleep(SETTLE_SECONDS)
        environment = {**os.environ, **QUIET, "HOME": str(folder / "home"), "TZ": "UTC", **contestant.environment(job)}
        one.run = contestant.measure(job, environment, self._timeout)
        self.source.drop_slots(f"^{job.slot}$")
        one.folder = folder.rename(folder.with_name(f"{folder.name}-{number}"))
        if one.run.timed_out:
            one.error = f"stopped after {self._timeout:.0f} s"
        elif one.run.exit_code != 0:
            one.error = f"ended with {one.run.exit_code}: {last_words(one.run)}"
        self._say(f"{self.source.stream.name}, {contestant.name}, round {number}: " +
                  (f"FAILED, {one.error}" if one.error else f"{one.run.wall:.1f} s wall, {one.run.cpu:.1f} s CPU"))
        return one

    def check(self):
        """After all rounds, so that nothing is measured beside it."""
        reference = self._checker.reference(self.source.database, roster.EVENTS, cached=False)
        for one in self.backlog.drained:
            if one.error or one.verdict:
                continue
            job = roster.Job(self.source, "", one.folder, round=one.round)
            one.verdict = one.contestant.check(job, one.run, self._checker, reference)
            if one.verdict.wrong:
                self._say(f"{self.source.stream.name}, {one.contestant.name}, round {one.round}: WRONG, {'; '.join(one.verdict.wrong)}")
            shutil.rmtree(one.folder, ignore_errors=True)
