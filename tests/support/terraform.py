"""What can be known of Terraform files without the provider: names of arguments and blocks, what is required, what is referred to."""

import json
import re
from pathlib import Path

import hcl2

from .program import ROOT

SCHEMA = json.loads((ROOT / "tests" / "fixtures" / "google-provider.json").read_text())
META = {"for_each", "count", "depends_on", "lifecycle", "provider", "provisioner", "connection", "timeouts"}
MARKS = {"__is_block__", "__comments__", "__inline_comments__"}
REFERENCE = re.compile(r"\b(data\.)?(google_\w+)\.(\w+)((?:\[[^\]]*\])?)(?:\.(\w+))?")
NAMED = re.compile(r"\b(var|local)\.(\w+)")


def bare(name: str) -> str:
    return name[1:-1] if name.startswith('"') else name


def labelled(block: dict) -> tuple[str, dict]:
    name, body = next((name, body) for name, body in block.items() if name not in MARKS)
    return bare(name), body


class Module:
    """All files of a folder, as Terraform sees them: one."""

    def __init__(self, folder: Path):
        self.resources, self.variables, self.locals, self.outputs, self.texts = {}, {}, {}, {}, []
        for path in sorted(folder.glob("*.tf")):
            with path.open() as file:
                tree = hcl2.load(file)
            self.texts.append(strings(tree))
            for word, prefix in (("resource", ""), ("data", "data_")):
                for block in tree.get(word, []):
                    kind, rest = labelled(block)
                    name, body = labelled(rest)
                    assert (prefix + kind, name) not in self.resources, f"{kind}.{name} is declared twice"
                    self.resources[prefix + kind, name] = body
            for block in tree.get("variable", []):
                name, body = labelled(block)
                self.variables[name] = body
            for block in tree.get("output", []):
                name, body = labelled(block)
                self.outputs[name] = body
            for block in tree.get("locals", []):
                self.locals.update({name: value for name, value in block.items() if name not in MARKS})

    def of(self, kind: str) -> dict[str, dict]:
        return {name: body for (one, name), body in self.resources.items() if one == kind}

    # -- what is wrong ---------------------------------------------------------------------------------------------
    def faults(self) -> list[str]:
        found = []
        for (kind, name), body in self.resources.items():
            if kind not in SCHEMA:
                found.append(f"{kind} is not in tests/fixtures/google-provider.json: run tools/provider_schema.py")
                continue
            found += block_faults(f"{kind}.{name}", body, SCHEMA[kind]["arguments"], SCHEMA[kind]["blocks"])
        return found + self.reference_faults()

    def reference_faults(self) -> list[str]:
        found, used = [], set()
        for text in self.texts:
            for data, kind, name, _, attribute in REFERENCE.findall(text):
                full = ("data_" if data else "") + kind
                if (full, name) not in self.resources:
                    found.append(f"{kind}.{name} is referred to and not declared")
                elif attribute and full in SCHEMA and attribute not in SCHEMA[full]["attributes"]:
                    found.append(f"{kind} has no attribute {attribute}")
            used |= set(NAMED.findall(text))
        declared = {("var", name) for name in self.variables} | {("local", name) for name in self.locals}
        found += [f"{word}.{name} is used and not declared" for word, name in sorted(used - declared)]
        return found + [f"{word}.{name} is declared and not used" for word, name in sorted(declared - used)]


def strings(tree) -> str:
    """Keys and values of a tree, one a line, comments left out."""
    if isinstance(tree, dict):
        return "\n".join(f"{name}\n{strings(value)}" for name, value in tree.items() if name not in MARKS)
    if isinstance(tree, list):
        return "\n".join(map(strings, tree))
    return str(tree)


def block_faults(where: str, body: dict, arguments: dict, blocks: dict) -> list[str]:
    found, given = [], set()
    for name, value in body.items():
        if name in MARKS or name in META:
            continue
        if name == "dynamic":
            for one in value:
                inner_name, inner = labelled(one)
                given.add(inner_name)
                found += nested_faults(f"{where}.{inner_name}", inner_name, inner["content"], arguments, blocks)
            continue
        given.add(name)
        is_block = isinstance(value, list) and value and all(isinstance(one, dict) and one.get("__is_block__") for one in value)
        if is_block:
            found += nested_faults(f"{where}.{name}", name, value, arguments, blocks)
        elif name not in arguments:
            found.append(f"{where} has no argument {name}")
        elif arguments[name][1] is not None:
            found.append(f"{where}.{name} is a block, and written as an argument")
    return found + [f"{where} lacks {name}" for name, (required, _) in arguments.items() if required and name not in given]


def nested_faults(where: str, name: str, bodies: list[dict], arguments: dict, blocks: dict) -> list[str]:
    if name not in arguments:
        return [f"{where}: there is no such block"]
    block = arguments[name][1]
    if block is None:
        return [f"{where} is an argument, and written as a block"]
    return [fault for body in bodies for fault in block_faults(where, body, blocks[block], blocks)]
