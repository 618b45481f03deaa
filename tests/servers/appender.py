"""Rows sent through the Storage Write API with Google's client."""

import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

T = descriptor_pb2.FieldDescriptorProto


def descriptor(fields, name="Row"):
    """(name, type or nested fields, repeated) -> a self-contained descriptor."""
    made = descriptor_pb2.DescriptorProto(name=name)
    for number, (field, kind, *more) in enumerate(fields, 1):
        item = made.field.add(name=field, number=number, label=3 if more and more[0] else 1)
        if isinstance(kind, list):
            made.nested_type.add().CopyFrom(descriptor(kind, field.title()))
            item.type, item.type_name = T.TYPE_MESSAGE, field.title()
        else:
            item.type = kind
    return made


def message_type(made):
    file = descriptor_pb2.FileDescriptorProto(name="client.proto", package="client", syntax="proto2")
    file.message_type.add().CopyFrom(made)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"client.{made.name}"))


def path_of(table: str) -> str:
    project, dataset, name = table.split(".")
    return f"projects/{project}/datasets/{dataset}/tables/{name}"


class Appender:
    """One AppendRows connection per call of `send`, as a retry would open one."""

    def __init__(self, writer, stream: str, made=None, schema=None):
        self.writer, self.stream, self.made, self.schema = writer, stream, made, schema
        self.type = message_type(made) if made is not None else None

    def request(self, rows, offset=None, first=True):
        request = types.AppendRowsRequest(write_stream=self.stream if first else "", offset=offset)
        if self.made is not None:
            request.proto_rows = types.AppendRowsRequest.ProtoData(rows=types.ProtoRows(serialized_rows=[self.type(**row).SerializeToString() for row in rows]))
            if first:
                request.proto_rows.writer_schema = types.ProtoSchema(proto_descriptor=self.made)
        else:
            batch = pa.RecordBatch.from_pylist(rows, schema=self.schema)
            request.arrow_rows = types.AppendRowsRequest.ArrowData(rows=types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes()))
            if first:
                request.arrow_rows.writer_schema = types.ArrowSchema(serialized_schema=self.schema.serialize().to_pybytes())
        return request

    def send(self, *requests):
        return list(self.writer.append_rows(iter([self.request(*given, first=index == 0) for index, given in enumerate(requests)]), retry=None))
