"""The house rules hold in this checkout, and each rule finds what it is for."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tidy(root):
    result = subprocess.run([sys.executable, ROOT / "tools/tidy.py", "--root", root], capture_output=True, text=True)
    assert result.stderr == ""
    return result.returncode, result.stdout


def test_this_checkout_is_tidy():
    code, output = tidy(ROOT)
    assert code == 0, output


LONG_BODY = "".join(f"    step({n});\n" for n in range(120))

CASES = [
    ("layers: data (L1) must not include flow/scan.h (L2)", "src/data/a.h", '#include "flow/scan.h"\n'),
    ("layers: data (L1) must not include config/node.h (L1)", "src/data/a.cc", '#include "config/node.h"\n'),
    ("layers: connect/duckdb (L5) must not include connect/postgres/a.h (L5)", "src/connect/duckdb/a.cc", '#include "connect/postgres/a.h"\n'),
    ('layers: "a.h" is not written from src/', "src/data/a.cc", '#include "a.h"\n'),
    ("layers: src/stuff has no layer", "src/stuff/a.cc", "int x;\n"),
    ("heavy-include: <arrow/api.h> belongs into bodies", "src/data/a.h", "#include <arrow/api.h>\n"),
    ("systems: names duckdb", "src/flow/a.cc", "int x = duckdb_open();\n"),
    ("names: 'util' in the name of a file", "src/base/string_util.cc", "int x;\n"),
    ("names: 'Manager' in SessionManager", "src/base/a.h", "class SessionManager {};\n"),
    ("file-length: 501 lines, more than 500", "src/base/a.cc", "int x;\n" * 501),
    ("file-length: 301 lines, more than 300", "src/base/a.cc", "int x;\n" * 301),
    ("function-length: Foo::bar has 120 lines, more than 100", "src/base/a.cc", f"namespace x {{\nint Foo::bar() const {{\n{LONG_BODY}}}\n}}\n"),
    ("function-length: Foo::Foo has 120 lines", "src/base/a.cc", f"Foo::Foo(int a)\n    : a_{{a}},\n      b_{{2}} {{\n{LONG_BODY}}}\n"),
    ("doubles: src/base/0.cc has a quoted as well", "src/base/a.cc", "namespace x {\nnamespace {\n\nint quoted(int b) {\n    return b;\n}\n\n}  // namespace\n}  // namespace x\n"),
    ("doubles: src/base/0.cc has a limit as well", "src/base/a.cc", "namespace x {\nnamespace {\nconstexpr long limit = 2;\n}\n}\n"),
    ("links: missing.md does not exist", "README.md", "[there](missing.md)\n"),
    ("links: README.md has no heading #nowhere", "README.md", "# Here\n[there](#nowhere)\n"),
    ("places: '/ho" "me/s' is a place", "docs/a.md", "see /ho" "me/someone\n"),
    ("places: 'pypi" ".org' is a place", "tools/get", "https://pypi" ".org/simple\n"),
]


BESIDE = "namespace x {\nnamespace {\n\nconstexpr int limit = 1;\nusing T = int;\n\nint quoted(int a) { return a; }\n\n}  // namespace\n}  // namespace x\n"


@pytest.mark.parametrize("expected, file, text", CASES, ids=[f"{case[0][:40]}" for case in CASES])
def test_finds(tmp_path, expected, file, text):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if expected.startswith("doubles"):
        (path.parent / "0.cc").write_text(BESIDE)
    code, output = tidy(tmp_path)
    assert f"{file}:" in output and expected in output
    assert code == (0 if "warning: " in output else 1)


CLEAN = {
    "src/flow/a.cc": '#include "flow/a.h"\n#include "data/b.h"\n#include <nlohmann/json.hpp>\n'
    'int f() { return 1\'000; }  // duckdb\n/* class UtilManager */\nconst char* s = "postgres";\n',
    "src/connect/duckdb/a.cc": '#include "connect/duckdb/b.h"\n#include "engine/c.h"\n',
    "src/base/lengths.h": "class A {\n" + "    int f() { return 1; }\n" * 150 + "};\n",
    "README.md": "# Two words\n[a](#two-words) [b](src/flow) [c](docs/x.md#y) `[d](nowhere)`\n```\n[e](nowhere)\n```\n",
    "docs/x.md": "## Y\n[up](../README.md)\n",
}


def test_finds_nothing_in_a_clean_tree(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for file, text in CLEAN.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    assert tidy(tmp_path) == (0, f"tidy: {len(CLEAN)} files, 0 to mend, 0 warnings\n")
