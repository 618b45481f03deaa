#!/usr/bin/env python3
"""Line coverage of src/ from a build folder of the coverage preset, a line a file, the least covered first.

    tools/coverage.py build-coverage
"""

import collections
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def hits(build: pathlib.Path):
    """{file: {line: times run}}, summed over the programs that ran it."""
    counted = collections.defaultdict(collections.Counter)
    for notes in sorted(build.rglob("*.gcno")):
        ran = subprocess.run(["gcov", "--json-format", "--stdout", notes.name], cwd=notes.parent, check=True, capture_output=True)
        for document in ran.stdout.splitlines():
            for file in json.loads(document)["files"]:
                path = (ROOT / file["file"]).resolve()
                if path.is_relative_to(ROOT / "src") and not path.name.endswith("_test.cc"):
                    for line in file["lines"]:
                        counted[path][line["line_number"]] += line["count"]
    return counted


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    rows = []
    for path, lines in hits(pathlib.Path(sys.argv[1])).items():
        rows.append((sum(count > 0 for count in lines.values()) / len(lines), len(lines), str(path.relative_to(ROOT))))
    if not rows:
        print("coverage: nothing was measured", file=sys.stderr)
        return 1
    for share, lines, path in sorted(rows):
        print(f"{share:7.1%} {lines:6} {path}")
    total = sum(lines for _, lines, _ in rows)
    print(f"coverage: {sum(share * lines for share, lines, _ in rows) / total:.1%} of {total} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
