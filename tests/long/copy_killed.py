#!/usr/bin/env python3
"""The long form of tests/test_copy_killed.py: a million rows of one COPY share one commit position, and runs are killed at every point.

    .deps/venv/bin/python tests/long/copy_killed.py [--rows 1000000] [--version 18] [--kind drain]

PENSTOCK_BIN names the program. Exit 0 when the target was whole after every kill, and equal to the source in the end.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.copy_kills import PASSED, CopyKills  # noqa: E402
from support.postgres import Database, PostgresServer  # noqa: E402
from support.program import Project  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of one COPY")
    parser.add_argument("--version", type=int, help="major version of the server; the newest of the machine")
    parser.add_argument("--folder", default=None, help="for the targets")
    parser.add_argument("--kind", choices=tuple(PASSED), help="one only")
    options = parser.parse_args()
    server = PostgresServer(version=options.version)
    folder = Path(tempfile.mkdtemp(prefix="penstock-long-", dir=options.folder))
    try:
        for kind in [options.kind] if options.kind else PASSED:
            began = time.monotonic()
            kills = CopyKills(Database(server, f"copy_{kind}"), Project(folder / kind), options.rows)
            for line in kills.run(kind, visits=(1, 2)):
                print(line)
            print(f"{kind}: {kills.copied} rows of {kills.copies} COPY equal the source, {time.monotonic() - began:.0f} s", flush=True)
    finally:
        server.destroy()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
