"""Full copies: every peer, every table, every target, interleaved."""

from .peers import Job
from .rounds import Pair, rotated


def run_copies(stage, peers, sources, targets, rounds, patience):
    """`sources` are (database, table, title); gives a Pair for each of them and each target."""
    pairs = {}
    references = {database: stage.checker.reference(database, table) for database, table, _ in sources}
    for number in range(1, rounds + 1):
        for database, table, title in sources:
            for to in targets:
                pair = pairs.setdefault((database, to), Pair(f"{title} to {'DuckDB' if to == 'duckdb' else 'Parquet (zstd)'}"))
                able = [peer for peer in peers if to in peer.targets]
                for peer in rotated(able, number - 1):
                    if not patience.lasts(pair, peer):
                        continue
                    job = _job(stage, peer, database, table, to)
                    pair.outcomes.append(stage.run(peer, job, database, number, references[database]))
                    stage.fresh(job.out.name)
    return list(pairs.values())


def _job(stage, peer, database, table, to):
    return Job(stage.server.url(database), table, to, stage.fresh(f"{peer.name}-{table.name}-{to}"))
