"""Schemas by number as Confluent's API gives them, and messages that name theirs. The values are encoded by fastavro and by Google's protobuf, not by us."""

import io
import json
import struct
import subprocess
from pathlib import Path

import fastavro
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from .api import Answer, Api


class Registry:
    def __init__(self, token=None):
        self.answers = {}  # by path
        self.token = token
        self.broken = 0  # answers of 503 to come
        self.api = Api(self._answer)
        self.url = self.api.url

    def close(self):
        self.api.close()

    def _answer(self, asked):
        if self.broken:
            self.broken -= 1
            return Answer({"error_code": 50301, "message": "not now"}, status=503)
        if self.token and asked.headers.get("authorization") != f"Bearer {self.token}":
            return Answer({"error_code": 40101, "message": "Unauthorized"}, status=401)
        known = self.answers.get(asked.path)
        return Answer({"error_code": 40403, "message": "Schema not found"}, status=404) if known is None else known

    def add(self, number, schema, kind=None, references=None):
        body = {"schema": schema if isinstance(schema, str) else json.dumps(schema)}
        if kind:
            body["schemaType"] = kind
        if references:
            body["references"] = references
        self.answers[f"/schemas/ids/{number}"] = body

    def add_subject(self, subject, version, schema, references=()):
        self.answers[f"/subjects/{subject}/versions/{version}"] = {"subject": subject, "version": version, "id": 1, "schema": schema, "references": list(references)}


def framed(number, payload: bytes) -> bytes:
    return struct.pack(">bI", 0, number) + payload


def avro(schema, value) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def message_classes(folder: Path, text: str) -> dict:
    """Python's classes of a .proto file's messages, by name."""
    (folder / "m.proto").write_text(text)
    subprocess.run(["protoc", f"-I{folder}", "--include_imports", f"--descriptor_set_out={folder / 'm.pb'}", "m.proto"], check=True)
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString((folder / "m.pb").read_bytes())
    for file in files.file:
        pool.Add(file)
    return {name: message_factory.GetMessageClass(found) for name, found in pool.FindFileByName("m.proto").message_types_by_name.items()}
