#!/usr/bin/env python3
"""Writes tests/fixtures/google-provider.json: which arguments, blocks and attributes the resources of deploy/terraform have.

Terraform's own `validate` needs the provider itself, which comes from HashiCorp's registry alone. Its schema is in npm as well, as the
types that were generated from it (@cdktf/provider-google): an interface a block, `readonly name?:` where an argument is optional.
Run by hand when a resource is added or the provider's version is raised: python3 tools/provider_schema.py
"""

import json
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "@cdktf/provider-google@16.12.1"
INTO = ROOT / "tests" / "fixtures" / "google-provider.json"
INTERFACE = re.compile(r"export interface (\w+)(?: extends [\w.]+)? \{\n(.*?)\n\}", re.DOTALL)
ARGUMENT = re.compile(r"/docs/[\w-]+/\w+#(\w+) \w+#\w+\}(?:(?!\*/).)*?\*/\s+readonly (\w+)(\??): ([^;]+);", re.DOTALL)
GETTER = re.compile(r"^    get (\w+)\(\): ", re.MULTILINE)


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def excerpt(text: str) -> dict:
    """`arguments` by name: [required, block or null]; `blocks` by name: the same of each; `attributes`: what can be read."""
    blocks = {}
    for interface, body in INTERFACE.findall(text):
        arguments = {}
        for name, _, optional, kind in ARGUMENT.findall(body):
            nested = re.search(r"\b([A-Z]\w+)", kind.replace("cdktf.IResolvable", ""))
            arguments[name] = [not optional, nested.group(1) if nested else None]
        blocks[interface] = arguments
    top = re.search(r"export interface (\w+Config) extends cdktf\.TerraformMetaArguments", text).group(1)
    whole = text[text.index("export declare class " + top.removesuffix("Config") + " "):]
    reached, todo = {}, [block for _, block in blocks[top].values() if block]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached[name] = blocks[name]
            todo += [block for _, block in blocks[name].values() if block]
    attributes = {snake(name) for name in GETTER.findall(whole) if not name.endswith("Input")}
    return {"arguments": blocks[top], "blocks": reached, "attributes": sorted(attributes | set(blocks[top]) | {"id"})}


def main() -> None:
    used = set()
    for file in (ROOT / "deploy" / "terraform").glob("*.tf"):
        used |= {kind if word == "resource" else "data_" + kind
                 for word, kind in re.findall(r'^(resource|data) "(\w+)"', file.read_text(), re.MULTILINE)}
    with tempfile.TemporaryDirectory() as folder:
        name = subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True, text=True).stdout.split()[-1]
        with tarfile.open(Path(folder) / name) as package:
            def schema(kind: str) -> dict:
                place = (kind if kind.startswith("data_") else kind.removeprefix("google_")).replace("_", "-")
                return excerpt(package.extractfile(f"package/lib/{place}/index.d.ts").read().decode())

            found = {kind: schema(kind) for kind in sorted(used)}
    lines = ",\n".join(f"  {json.dumps(kind)}: {json.dumps(one, sort_keys=True)}" for kind, one in found.items())
    INTO.write_text("{\n" + f'  "package": {json.dumps(PACKAGE)},\n' + lines + "\n}\n")


if __name__ == "__main__":
    main()
