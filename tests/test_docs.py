"""The documents do what they say: the tutorial's commands are run, and their output compared.

A fenced block marked `console` is a transcript. Lines that start with `$ ` are commands, run one after the other by one
shell in one folder; what follows up to the next command is their output. `…` stands for anything, within a line or, alone
on a line, for any lines. A command that ends with `# exit N` must end with that code. Blocks marked `yaml` with a first
line `# file: NAME` are files, written as they are passed. `{{url}}` is not used: the tutorial reads SHOP_URL from the
environment, as the reader is told to set it."""

import os
import re
import subprocess
from dataclasses import dataclass

import pytest

from support.program import BINARY, ROOT

FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
TRANSCRIPTS = ["docs/tutorial.md"]


@dataclass
class Step:
    command: str
    expected: list[str]
    code: int


def steps_of(block: str) -> list[Step]:
    steps = []
    for line in block.splitlines():
        if line.startswith("$ "):
            command, _, code = line[2:].partition("# exit ")
            steps.append(Step(command.rstrip(), [], int(code) if code else 0))
        elif steps and steps[-1].command.endswith("\\") and line.startswith("> "):
            steps[-1].command += "\n" + line[2:]
        elif steps:
            steps[-1].expected.append(line)
    return steps


def pattern_of(expected: list[str]) -> str:
    """The expected lines as a regular expression. White space is loose: widths of tables depend on the values in them."""
    parts = []
    for line in expected:
        if line.strip() in ("…", "..."):
            parts.append(r"(?:.*\n)*?")
            continue
        words = [re.escape(word).replace("…", r".*") for word in line.split()]
        parts.append(r"[ \t]*" + r"[ \t]+".join(words) + r"[ \t]*\n")
    return "".join(parts)


def matches(expected: list[str], actual: str) -> bool:
    while expected and not expected[-1].strip():
        expected = expected[:-1]
    return not expected or re.fullmatch(pattern_of(expected), actual.rstrip("\n") + "\n") is not None


def test_the_comparison_itself():
    assert matches(["a   1", "b …"], "a 1\nb 17 rows\n")
    assert matches(["first", "…", "last"], "first\nx\ny\nlast\n")
    assert matches(["took … s"], "took 0.25 s\n")
    assert not matches(["a 1"], "a 2\n")
    assert not matches(["a 1"], "a 1\nb 2\n")


@pytest.mark.parametrize("document", TRANSCRIPTS)
def test_transcripts_run(document, server, database, tmp_path):
    text = (ROOT / document).read_text()
    folder = tmp_path / "tutorial"
    folder.mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "penstock").symlink_to(BINARY)  # whatever the binary under test is called
    environment = {
        "PATH": f"{programs}:{server.bindir}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8", "COLUMNS": "100",
        "SHOP_URL": f"postgresql://postgres@localhost/{database.name}?host={server.base}&port={server.port}",
        "PGHOST": str(server.base), "PGPORT": str(server.port), "PGUSER": "postgres", "PGDATABASE": database.name,
    }
    count = 0
    for kind, block in FENCE.findall(text):
        named = re.match(r"# file: (\S+)\n", block)
        if named:
            (folder / named[1]).write_text(block)
        if kind != "console":
            continue
        for step in steps_of(block):
            done = subprocess.run(["bash", "-c", step.command], cwd=folder, env=environment, capture_output=True, text=True,
                                  timeout=120, stdin=subprocess.DEVNULL)
            report = f"$ {step.command}\nexit {done.returncode}\n{done.stdout}\n-- stderr\n{done.stderr}"
            assert done.returncode == step.code, report
            shown = done.stdout if not step.code else done.stdout + done.stderr
            assert matches(step.expected, shown), f"{report}\n-- {document} says\n" + "\n".join(step.expected)
            count += 1
    assert count >= 5, "a tutorial of fewer than five commands teaches little"


@pytest.mark.parametrize("document", sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]))
def test_commands_in_documents_exist(document):
    """Every `penstock VERB` of the documents is a command of the program."""
    text = (ROOT / document).read_text()
    verbs = {verb for block in re.findall(r"```(?:console|sh|bash)\n(.*?)```", text, re.DOTALL)
             for verb in re.findall(r"(?m)^(?:\$ )?(?:\S*/)?penstock ([a-z][a-z-]*)", block)}
    for verb in verbs:
        done = subprocess.run([BINARY, verb, "--help"], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"{document} names the command '{verb}', which is not one"
