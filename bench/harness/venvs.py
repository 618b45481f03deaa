"""Pinned Python environments of the peers, made once under the work folder."""

import hashlib
import pathlib
import shutil
import subprocess
import sys

from .server import BenchError

REQUIREMENTS = pathlib.Path(__file__).resolve().parent.parent / "requirements"


class Venv:
    """One environment, installed on first use and again whenever its pins change."""

    def __init__(self, work, name):
        self.name = name
        self.folder = pathlib.Path(work) / "venvs" / name
        self.python = self.folder / "bin" / "python"
        self._pins = REQUIREMENTS / f"{name}.txt"

    def install(self, say):
        stamp = self.folder / "pins.sha256"
        wanted = hashlib.sha256(self._pins.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        say(f"installing {self.name}")
        shutil.rmtree(self.folder, ignore_errors=True)
        for command in ([sys.executable, "-m", "venv", self.folder],
                        [self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", self._pins]):
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            if done.returncode != 0:
                raise BenchError(f"could not install {self.name}: {(done.stderr or done.stdout).strip()[-600:]}")
        stamp.write_text(wanted)

    def find(self, pattern):
        """A file the environment brought along, by a pattern below site-packages."""
        found = sorted(self.folder.glob(f"lib/python*/site-packages/{pattern}"))
        if not found:
            raise BenchError(f"{self.name} brought no {pattern}")
        return found[0]

    def extension(self, name):
        return self.find(f"duckdb_extension_{name}/extensions/*/{name}.duckdb_extension")

    def versions(self):
        lines = [line.split(";")[0].strip() for line in self._pins.read_text().splitlines()]
        return [line for line in lines if line and not line.startswith("#")]
