"""A real Airflow with a database of its own, for exported DAGs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from .program import BINARY, ROOT

INSTALLED = Path(os.environ.get("PENSTOCK_DEPS", ROOT / ".deps")) / "servers" / "airflow"
ORACLE = ROOT / "tests" / "support" / "airflow_oracle.py"


class Airflow:
    """`dags` is its folder of DAGs. Tasks get the environment of `project`, and the program under test as PENSTOCK_BIN."""

    def __init__(self, folder: Path, environment: dict | None = None):
        self.home = folder / "airflow"
        self.dags = folder / "dags"
        self.dags.mkdir(parents=True)
        self.home.mkdir()
        self.answer = self.home / "answer.json"
        shutil.copy(INSTALLED / "home" / "airflow.db", self.home)
        self.environment = {**os.environ, **(environment or {}), "AIRFLOW_HOME": str(self.home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags), "PENSTOCK_BIN": str(BINARY), "ANSWER": str(self.answer),
                            "NO_PROXY": "*", "PYTHONWARNINGS": "ignore", "HOME": str(folder)}

    def start(self, *words: str) -> subprocess.Popen:
        self.log = (self.home / "log").open("w+")
        return subprocess.Popen([str(INSTALLED / "bin" / "python"), str(ORACLE), *map(str, words)], env=self.environment, cwd=self.home,
                                stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)

    def ended(self, process: subprocess.Popen, timeout: float = 180):
        """What the oracle answered."""
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            code = "killed, still running"
        assert code == 0, f"Airflow: {code}\n{self.said()[-8000:]}"
        return json.loads(self.answer.read_text())

    def said(self) -> str:
        return (self.home / "log").read_text()

    def ask(self, *words: str):
        return self.ended(self.start(*words))
