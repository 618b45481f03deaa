"""The increment: 1% of the rows changed and 1% new since a peer's own full load.

The server is changed once. Every peer loaded everything before that, and a copy of its folder
(target and whatever state it keeps) is put back before each round, so that each round repeats the
same increment. After each increment the same command runs again, with nothing new to read.
"""

import shutil

from .datasets import events_database, mutate_events
from .peers import Job
from .rounds import Outcome, Pair, rotated
from .tables import EVENTS


def newest(server, database):
    return server.sql(database, "SELECT to_char(max(updated_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
                                "FROM events")


def run_increment(stage, peers, rows, rounds, patience, say, results):
    """Appends three Pairs to the results: the full loads, the increments, the runs with nothing new."""
    server, database = stage.server, f"increment_{rows}"
    full = Pair("events to DuckDB, first load of the incremental pipeline")
    changed = Pair(f"events to DuckDB, increment of {rows // 100:,} updated and {rows // 100:,} new rows")
    idle = Pair("events to DuckDB, nothing new")
    results += [full, changed, idle]
    say(f"making database {database}")
    server.create_database(database, template=events_database(rows))
    try:
        able = [peer for peer in peers if peer.increments]
        ready = _load_all(stage, able, database, full)
        for pair in (changed, idle):
            pair.outcomes += [Outcome(peer.name, 1, error="its first load failed or was wrong")
                              for peer in able if peer not in ready]
        start = newest(server, database)
        say("changing 1% of the rows, adding 1%")
        mutate_events(server, database, rows)
        reference = stage.checker.reference(database, EVENTS, cached=False)
        end = newest(server, database)
        for number in range(1, rounds + 1):
            for peer in rotated(ready, number - 1):
                if patience.lasts(changed, peer) and patience.lasts(idle, peer):
                    _one_round(stage, peer, database, number, reference, (start, end), (changed, idle))
    finally:
        server.drop_database(database)
        shutil.rmtree(stage.folder / "increment", ignore_errors=True)


def _folder(stage, peer):
    return stage.folder / "increment" / peer.name


def _job(stage, peer, database, since=None):
    return Job(stage.server.url(database), EVENTS, "duckdb", _folder(stage, peer) / "now", True, since)


def _load_all(stage, peers, database, pair):
    reference = stage.checker.reference(database, EVENTS, cached=False)
    ready = []
    for peer in peers:
        job = _job(stage, peer, database)
        job.out.mkdir(parents=True)
        outcome = stage.run(peer, job, database, 1, reference)
        pair.outcomes.append(outcome)
        if outcome.usable:
            ready.append(peer)
            job.out.rename(_folder(stage, peer) / "loaded")
    return ready


def _one_round(stage, peer, database, number, reference, bounds, pairs):
    start, end = bounds
    changed, idle = pairs
    job = _job(stage, peer, database, start)
    shutil.rmtree(job.out, ignore_errors=True)
    shutil.copytree(_folder(stage, peer) / "loaded", job.out, symlinks=True)
    outcome = stage.run(peer, job, database, number, reference)
    changed.outcomes.append(outcome)
    if outcome.usable:
        job.since = end
        idle.outcomes.append(stage.run(peer, job, database, number, reference))
    else:
        idle.outcomes.append(Outcome(peer.name, number, error="its increment was not right, so there is nothing to repeat"))
    shutil.rmtree(job.out, ignore_errors=True)
