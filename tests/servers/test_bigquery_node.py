"""The stand-in judged with Google's Node client (tools/servers/bigquery-client installs it)."""

import json
import os
import subprocess
from pathlib import Path

from support.postgres import DEPS

HOME = DEPS / "servers/bigquery-client"


def test_node_client(bigquery, tmp_path):
    lines = tmp_path / "rows.json"
    lines.write_text('{"id": 1, "at": "2024-01-01T00:00:00Z", "n": "1.5", "items": [{"sku": "a"}]}\n{"id": 2}\n')
    run = subprocess.run([HOME / "node", Path(__file__).with_name("bigquery_client.js"), bigquery.endpoint, lines], capture_output=True, text=True,
                         timeout=60, env={**os.environ, "NODE_PATH": str(HOME / "node_modules")})
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["metadata"] == {"partitioning": {"type": "DAY", "field": "at"}, "clustering": {"fields": ["id"]}, "description": "made by node"}
    assert said["twice"]["code"] == 409 and said["twice"]["reason"] == "duplicate"
    assert said["loaded"] == "2" and said["bad"] == "invalid"
    assert said["rows"] == [{"id": 1, "n": "1.5", "items": [{"sku": "a"}]}, {"id": 2, "n": None, "items": []}, {"id": 3, "n": "2.5", "items": []}]
    assert said["dry"] == "24" and said["listed"] == [1, 2, 3]
    assert said["duplicate"]["code"] == 409 and "Already Exists: Job" in said["duplicate"]["message"]
    assert "at most one source row" in said["merge"]["message"]
    assert said["budget"]["reason"] == "bytesBilledLimitExceeded"
    assert bigquery.stats()["failures"] == []
