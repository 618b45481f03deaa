"""The HTTP API against its own description, by schemathesis: what is right is taken, what is wrong is refused, nothing is a server's error,
and nobody does what his token does not allow."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from test_operate_api import TOKENS, api, get  # noqa: F401: a project with a good, a rejecting and a failing pipeline

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "5")
SEED = os.environ.get("SCHEMATHESIS_SEED", "20261122")
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
# What fits the description and is wrong all the same, such as the 31st of February.
WRONG_DATES = """
[[operations]]
include-operation-id = "backfillPipeline"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 403, 404, 409, 429]
"""


def known(server) -> str:
    """Free texts hardly ever name something that is there."""
    run = get(server, "/runs").json["runs"][0]["run_id"]
    return f'[parameters]\n"path.pipeline" = "bad"\n"path.run" = "{run}"\n"query.table" = "t.bad"\n'


def fuzz(server, role: str, folder: Path, settings: str, phases: str) -> str:
    (folder / "schemathesis.toml").write_text(settings + WRONG_DATES)
    done = subprocess.run(
        [SCHEMATHESIS, "--config-file", folder / "schemathesis.toml", "run", f"http://127.0.0.1:{server.port}/api/v1/openapi.json", "--header", f"Authorization: Bearer {TOKENS[role]}",
         "--checks", "all", "--max-examples", EXAMPLES, "--seed", SEED, "--generation-database", "none", "--no-color", "--workers", "2", "--phases", phases,
         "--continue-on-failure", "--suppress-health-check", "all"], capture_output=True, text=True, timeout=200, cwd=folder, env={**os.environ, "COLUMNS": "200"})
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-15_000:]
    return said


PHASES = os.environ.get("SCHEMATHESIS_PHASES", "fuzzing")  # "coverage,fuzzing" takes a minute more


@pytest.mark.parametrize("role,named,phases", [("admin", True, PHASES), ("viewer", True, "fuzzing")])
def test_the_api_keeps_to_its_description(api, project, tmp_path, role, named, phases):  # noqa: F811
    looked = lambda: [(one["pipeline"], one["paused"], one["open_intervals"], one["last_run"]["run_id"]) for one in get(api, "/pipelines").json["pipelines"]]
    before = looked()
    said = fuzz(api, role, tmp_path, known(api) if named else "", phases)
    tested = re.search(r"Tested: (\d+)", said)
    assert tested and int(tested[1]) >= 17, said  # all but the description itself
    if role == "viewer":
        assert get(api, "/audit", "admin").json == {"audit": []} and looked() == before, "a viewer did something"
    else:
        assert get(api, "/audit", "admin").json["audit"], "nothing was done: nothing was tested"
