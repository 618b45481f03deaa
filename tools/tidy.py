#!/usr/bin/env python3
"""House rules a compiler does not know: layers, names, lengths, links, machine paths, generated pages.

    tools/tidy.py --write           writes the pages that the program generates
    tools/tidy.py [--root DIR]      prints one finding a line (file:line: rule: sentence); exit 1 if any must be mended

A rule that has to be broken gets an entry in WAIVERS with its reason; an entry nothing needs any more is a finding too.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass

HOME = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME / "tools"))

from tidy_cpp import function_lengths, unnamed_definitions, without_comments

# An include may name its own folder or a lower layer. Folders of connect/ are all on one layer: none sees another.
LAYERS = {
    "base": 0,
    "data": 1, "config": 1,
    "flow": 2, "io": 2, "schedule": 2,
    "engine": 3, "state": 3,
    "transform": 4, "check": 4, "verify": 4,
    "connect": 5,
    "plan": 6, "backup": 6,
    "app": 7,
}

# The systems flow must not know by name.
SYSTEMS = r"postgres\w*|duckdb\w*|parquet\w*|bigquery\w*|kafka\w*|pubsub\w*|mysql\w*"
NAMELESS = ("flow", "base", "config")

BANNED = {"manager": "name what it owns or decides", "helper": "name what it does", "util": "name what it does",
          "utils": "name what it does", "common": "name what is shared", "misc": "split it by what it is"}

# Headers that cost every includer a second or more: they belong into bodies.
HEAVY = {"nlohmann/json.hpp": "nlohmann/json_fwd.hpp", "arrow/api.h": "arrow/type_fwd.h", "spdlog/spdlog.h": "base/log.h",
         "yaml-cpp/yaml.h": "config/node.h", "CLI/CLI.hpp": "a forward declaration", "soci/soci.h": "a forward declaration"}

FILE_WARN, FILE_FAIL = 300, 500
FUNCTION_WARN, FUNCTION_FAIL = 70, 100

# Pages the program writes: `penstock docs` names them, `penstock docs NAME` prints one. `make docs` writes them all.
REFERENCE = "docs/reference"
PROGRAM = os.environ.get("PENSTOCK_BIN", str(HOME / "build/penstock"))
# More of the kind: (arguments of penstock, file).
GENERATED: list[tuple[list[str], str]] = []

# (rule, file, reason)
WAIVERS: list[tuple[str, str, str]] = [
    ("heavy-include", "src/state/soci.h", "the one include of SOCI, warnings silenced, for the bodies of state alone"),
]


@dataclass(order=True)
class Finding:
    file: str
    line: int
    rule: str
    text: str
    fatal: bool = True

    def __str__(self):
        return f"{self.file}:{self.line}: {'' if self.fatal else 'warning: '}{self.rule}: {self.text}"


class Tree:
    """The files git knows or would add."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, check=True, capture_output=True)
        names = sorted(set(listed.stdout.decode().split("\0")) - {""})
        self.files = [name for name in names if (root / name).is_file()]

    def text(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def sources(self):
        return [f for f in self.files if f.endswith((".cc", ".h")) and f.startswith(("src/", "fuzz/", "bench/", "cmake/"))]


def layer_folder(path: str) -> str:
    """connect/postgres for connect, the first folder for the rest."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "connect" and len(parts) > 2 else parts[0]


def check_layers(tree: Tree):
    include = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)
    for name in tree.sources():
        if not name.startswith("src/"):
            continue
        own = layer_folder(name.removeprefix("src/"))
        own_layer = LAYERS.get(own.split("/")[0])
        text = tree.text(name)
        if own_layer is None:
            yield Finding(name, 1, "layers", f"src/{own} has no layer: add it to LAYERS in tools/tidy.py")
            continue
        for match in include.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            bracket, target = match.groups()
            if name.endswith(".h") and target in HEAVY:
                yield Finding(name, line, "heavy-include", f"<{target}> belongs into bodies; a header takes {HEAVY[target]}")
            if bracket == "<":
                continue
            if "/" not in target:
                yield Finding(name, line, "layers", f'"{target}" is not written from src/')
                continue
            theirs = layer_folder(target)
            layer = LAYERS.get(theirs.split("/")[0])
            if theirs != own and (layer is None or layer >= own_layer):
                yield Finding(name, line, "layers", f"{own} (L{own_layer}) must not include {target} (L{layer}): includes point downward only")


def check_systems(tree: Tree):
    names = re.compile(rf"\b(?:{SYSTEMS})\b", re.I)
    for name in tree.sources():
        if not name.startswith(tuple(f"src/{folder}/" for folder in NAMELESS)) or name.endswith("_test.cc"):
            continue
        for number, line in enumerate(without_comments(tree.text(name), keep_strings=False).splitlines(), 1):
            if match := names.search(line):
                yield Finding(name, number, "systems", f"names {match[0]}: a system stands in its folder of connect/ and in the component list")


def check_names(tree: Tree):
    word = re.compile(rf"(?:^|[_\W])({'|'.join(BANNED)})s?(?:$|[_\W])", re.I)
    declared = re.compile(r"\b(?:class|struct|enum(?:\s+class)?|concept|namespace|using)\s+(?:\[\[\w+\]\]\s*)?(\w+)")
    for name in tree.files:
        if not name.startswith(("src/", "tests/", "fuzz/", "bench/", "tools/", "cmake/")):
            continue
        for part in pathlib.PurePosixPath(name).parts:
            if match := word.search(part):
                yield Finding(name, 1, "names", f"'{match[1]}' in the name of a file says nothing: {BANNED[match[1].lower()]}")
                break
        if not name.endswith((".cc", ".h")):
            continue
        for number, line in enumerate(without_comments(tree.text(name), keep_strings=False).splitlines(), 1):
            for match in declared.finditer(line):
                words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", match[1])
                if banned := word.search(words):
                    yield Finding(name, number, "names", f"'{banned[1]}' in {match[1]} says nothing: {BANNED[banned[1].lower()]}")


def check_doubles(tree: Tree):
    """What two files of a layer both define for themselves; several of them are compiled as one."""
    seen = {}
    for name in tree.sources():
        if not name.startswith("src/") or not name.endswith(".cc") or name.endswith(("_test.cc", "/main.cc")):
            continue
        for namespace, word, line, what in unnamed_definitions(tree.text(name)):
            others = seen.setdefault((layer_folder(name.removeprefix("src/")), namespace, word), [])
            for other, theirs in others:
                overload = what != theirs and what[0] == theirs[0] == "("
                same_alias = what == theirs and what[0] == "="
                if other != name and not overload and not same_alias:
                    yield Finding(name, line, "doubles", f"{other} has a {word} as well: one place, or another name")
                    break
            others.append((name, what))


def check_lengths(tree: Tree):
    for name in tree.sources():
        text = tree.text(name)
        lines = text.count("\n")
        if lines > FILE_WARN:
            fatal = lines > FILE_FAIL
            yield Finding(name, 1, "file-length", f"{lines} lines, more than {FILE_FAIL if fatal else FILE_WARN}: split it by what it is about", fatal)
        for function, line, length in function_lengths(text):
            if length > FUNCTION_WARN:
                fatal = length > FUNCTION_FAIL
                limit = FUNCTION_FAIL if fatal else FUNCTION_WARN
                yield Finding(name, line, "function-length", f"{function} has {length} lines, more than {limit}", fatal)


def heading_anchors(text: str) -> set[str]:
    """As GitHub makes them."""
    seen: dict[str, int] = {}
    anchors = set()
    for match in re.finditer(r"^#{1,6}\s+(.*?)\s*#*$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1])
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = seen.get(anchor, 0)
        seen[anchor] = count + 1
        anchors.add(anchor if count == 0 else f"{anchor}-{count}")
    return anchors | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def check_links(tree: Tree):
    link = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\s*\[[^\]]+\]:\s*(\S+)", re.M)
    known = set(tree.files) | {str(p) for f in tree.files for p in pathlib.PurePosixPath(f).parents}
    for name in tree.files:
        if not name.endswith(".md"):
            continue
        text = tree.text(name)
        prose = re.sub(r"^```.*?^```|`[^`\n]*`", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.M | re.S)
        for match in link.finditer(prose):
            target = match[1] or match[2]
            line = prose.count("\n", 0, match.start()) + 1
            if re.match(r"[a-z][a-z0-9+.-]*:", target, re.I):
                continue
            path, _, anchor = target.partition("#")
            resolved = name if not path else resolve(name, path)
            if resolved not in known:
                yield Finding(name, line, "links", f"{target} does not exist")
            elif anchor and resolved.endswith(".md") and anchor not in heading_anchors(tree.text(resolved)):
                yield Finding(name, line, "links", f"{resolved} has no heading #{anchor}")


def resolve(name: str, path: str) -> str:
    parts = [] if path.startswith("/") else list(pathlib.PurePosixPath(name).parent.parts)
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return path  # outside of the repository
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."


def check_places(tree: Tree):
    """The tree names no machine: whoever builds it has mirrors, homes and folders of their own."""
    hosts = ("registry.npmjs" ".org", "pypi" ".org", "pythonhosted" ".org", "static.crates" ".io", "index.crates" ".io",
             "deb.debian" ".org", "proxy.golang" ".org", "repo1.maven" ".org", "repo.maven.apache" ".org")
    paths = ("/wo" "rk/", "/ro" "ot/", "/ho" "me/", "/Us" "ers/")
    place = re.compile("|".join(map(re.escape, hosts)) + "|" + "|".join(rf"(?<![\w.~$\}}/-]){re.escape(p)}\w" for p in paths))
    for name in tree.files:
        if name.endswith((".png", ".svg", ".ico", ".gz", ".zst", ".parquet", ".bin")) or "/corpus/" in name:
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            if match := place.search(line):
                yield Finding(name, number, "places", f"'{match[0]}' is a place of one machine or a registry's host")


def printed(*arguments: str) -> str:
    """What the program prints, or OSError, or CalledProcessError."""
    return subprocess.run([PROGRAM, *arguments], check=True, capture_output=True, text=True).stdout


def generated_files() -> dict[str, list[str]]:
    """{file: arguments of penstock that print it}."""
    pages = {f"{REFERENCE}/{page}.md": ["docs", page] for page in printed("docs").split()}
    return pages | {file: arguments for arguments, file in GENERATED}


def check_generated(tree: Tree):
    if tree.root != HOME:
        return
    try:
        pages = generated_files()
        for file, arguments in pages.items():
            if not (tree.root / file).is_file() or tree.text(file) != printed(*arguments):
                yield Finding(file, 1, "generated", "is not what the program prints: make docs")
    except (OSError, subprocess.CalledProcessError) as error:
        yield Finding(REFERENCE, 1, "generated", f"cannot be compared, the program must be built first: {error}")
        return
    for file in tree.files:
        if file.startswith(f"{REFERENCE}/") and file not in pages and not file.endswith("/README.md"):
            yield Finding(file, 1, "generated", "is a page the program does not know: remove it")


def write_generated() -> int:
    for file, arguments in generated_files().items():
        path = HOME / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(printed(*arguments), encoding="utf-8")
        print(f"tidy: wrote {file}")
    return 0


CHECKS = [check_layers, check_systems, check_names, check_doubles, check_lengths, check_links, check_places, check_generated]


def waived(findings: list[Finding], waivers) -> list[Finding]:
    used = set()
    left = []
    for finding in findings:
        waiver = next((w for w in waivers if w[:2] == (finding.rule, finding.file)), None)
        if waiver:
            used.add(waiver[:2])
        else:
            left.append(finding)
    for rule, file, _ in waivers:
        if (rule, file) not in used:
            left.append(Finding(file, 1, "waivers", f"the waiver for '{rule}' is not needed any more: remove it"))
    return left


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--root", type=pathlib.Path, default=HOME)
    options.add_argument("--write", action="store_true", help="write the generated pages")
    chosen = options.parse_args()
    if chosen.write:
        return write_generated()
    tree = Tree(chosen.root.resolve())
    findings = sorted(finding for check in CHECKS for finding in check(tree))
    findings = waived(findings, WAIVERS if tree.root == HOME else [])
    for finding in findings:
        print(finding)
    fatal = sum(finding.fatal for finding in findings)
    print(f"tidy: {len(tree.files)} files, {fatal} to mend, {len(findings) - fatal} warnings")
    return 1 if fatal else 0


if __name__ == "__main__":
    sys.exit(main())
