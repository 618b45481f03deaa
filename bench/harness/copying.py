"""Full copies: every peer, every table, every target, interleaved."""

from .peers import Job
from .rounds import Pair, rotated

TARGETS = {"duckdb": "DuckDB", "parquet": "Parquet (zstd)"}


def run_copies(stage, peers, sources, targets, rounds, patience, results):
    """`sources` are (database, table, title); appends a Pair to the results for each of them and each target."""
    pairs = {(database, to): Pair(f"{title} to {TARGETS[to]}") for database, _, title in sources for to in targets}
    results.extend(pairs.values())
    references = {database: stage.checker.reference(database, table) for database, table, _ in sources}
    for number in range(1, rounds + 1):
        for database, table, _ in sources:
            for to in targets:
                pair = pairs[database, to]
                able = [peer for peer in peers if to in peer.targets]
                for peer in rotated(able, number - 1):
                    if not patience.lasts(pair, peer):
                        continue
                    job = _job(stage, peer, database, table, to)
                    pair.outcomes.append(stage.run(peer, job, database, number, references[database]))
                    stage.fresh(job.out.name)


def _job(stage, peer, database, table, to):
    return Job(stage.server.url(database), table, to, stage.fresh(f"{peer.name}-{table.name}-{to}"))
