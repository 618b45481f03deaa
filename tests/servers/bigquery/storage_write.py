"""The Storage Write API (BigQueryWrite, google.cloud.bigquery.storage.v1): its streams."""

import re
import threading
import time
import uuid
from dataclasses import replace

from google.cloud.bigquery_storage_v1 import types
from google.rpc import code_pb2

from .errors import ApiError
from .storage_append import Connection
from .storage_errors import Codes, Refused, StorageErrorPb
from .storage_schema import table_schema

STREAM = re.compile(r"projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)/(?:streams/)?([^/]+)")
Kind = types.WriteStream.Type


class Stream:
    def __init__(self, name: str, table, kind):
        self.name, self.table, self.kind = name, table, kind
        self.lock = threading.Lock()
        self.made = time.time()
        self.length = 0
        self.waiting: list = []  # (first offset, segment): not yet visible
        self.visible = 0
        self.finalized = self.committed = False


class WriteService:
    def __init__(self, engine):
        self.engine, self.store = engine, engine.store
        self.lock = threading.Lock()
        self.streams: dict[str, Stream] = {}

    def reset(self) -> None:
        with self.lock:
            self.streams.clear()

    def table(self, path: str, caller, location=None):
        found = re.fullmatch(r"projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)", path)
        if not found:
            raise Refused(code_pb2.INVALID_ARGUMENT, f"Invalid table name: {path}")
        try:
            table = self.store.table(*found.groups())
            if not self.engine.streamable(table):
                raise ApiError("notFound", f"Not found: Table {table.full()}")
            caller.check_table(table, True)
        except ApiError as error:
            if error.reason == "notFound":
                raise Refused(code_pb2.NOT_FOUND, error.message, Codes.TABLE_NOT_FOUND, path) from None
            raise Refused(code_pb2.PERMISSION_DENIED, error.message) from None
        return table

    def find(self, name: str, caller) -> Stream:
        found = STREAM.fullmatch(name)
        if not found:
            raise Refused(code_pb2.INVALID_ARGUMENT, f"Invalid stream name: {name}")
        project, dataset, table, short = found.groups()
        if short == "_default":
            made = self.table(f"projects/{project}/datasets/{dataset}/tables/{table}", caller)
            return Stream(name, made, None)
        with self.lock:
            stream = self.streams.get(name)
        if stream is None:
            raise Refused(code_pb2.NOT_FOUND, f"Requested entity was not found. Entity: {name}", Codes.STREAM_NOT_FOUND, name)
        caller.check_table(stream.table, True)
        return stream

    # -- calls ---------------------------------------------------------------------------------------------------
    def create(self, request, caller):
        table = self.table(request.parent, caller)
        kind = Kind(request.write_stream.type_)
        if kind not in (Kind.COMMITTED, Kind.PENDING, Kind.BUFFERED):
            raise Refused(code_pb2.INVALID_ARGUMENT, "Stream type must be COMMITTED, PENDING or BUFFERED", Codes.INVALID_STREAM_TYPE)
        stream = Stream(f"{request.parent}/streams/{uuid.uuid4().hex}", table, kind)
        with self.lock:
            self.streams[stream.name] = stream
        return self.shown(stream)

    def shown(self, stream: Stream):
        made = types.WriteStream.pb()(name=stream.name, type_=int(stream.kind or Kind.COMMITTED), write_mode=1,
                                      location=self.store.datasets[stream.table.project, stream.table.dataset].location)
        made.create_time.FromMicroseconds(int(stream.made * 1e6))
        made.table_schema.CopyFrom(table_schema(self.engine.visible_fields(stream.table, "write")))
        return made

    def get(self, request, caller):
        return self.shown(self.find(request.name, caller))

    def finalize(self, request, caller):
        stream = self.find(request.name, caller)
        if stream.kind is None:
            raise Refused(code_pb2.INVALID_ARGUMENT, "Finalize is not supported on the '_default' stream", Codes.INVALID_STREAM_TYPE, request.name)
        with stream.lock:
            stream.finalized = True
            return types.FinalizeWriteStreamResponse.pb()(row_count=stream.length)

    def flush(self, request, caller):
        """FlushRows reference: rows before the offset, and the one at it, become visible."""
        stream = self.find(request.write_stream, caller)
        if stream.kind != Kind.BUFFERED:
            raise Refused(code_pb2.INVALID_ARGUMENT, "FlushRows is only supported on BUFFERED streams", Codes.INVALID_STREAM_TYPE, stream.name)
        with stream.lock:
            end = request.offset.value + 1
            if end > stream.length:
                raise Refused(code_pb2.OUT_OF_RANGE, f"Offset {request.offset.value} is beyond the end of the stream", Codes.OFFSET_OUT_OF_RANGE, stream.name)
            if end <= stream.visible:
                raise Refused(code_pb2.ALREADY_EXISTS, f"Offset {request.offset.value} was flushed already", Codes.OFFSET_ALREADY_EXISTS, stream.name)
            self.reveal(stream, end)
            return types.FlushRowsResponse.pb()(offset=request.offset.value)

    def reveal(self, stream: Stream, end: int) -> None:
        parts, left = [], []
        for first, segment in stream.waiting:
            count = segment.high - segment.low
            take = min(count, end - first)
            if take > 0:
                parts.append(replace(segment, high=segment.low + take))
            if take < count:
                left.append((first + max(take, 0), replace(segment, low=segment.low + max(take, 0))))
        stream.waiting, stream.visible = left, end
        self.store.append(stream.table, parts)

    def commit(self, request, caller):
        """BatchCommitWriteStreams reference: all or none, each stream once, finalized before."""
        errors, streams = [], []
        for name in dict.fromkeys(request.write_streams):
            def bad(code, message):
                errors.append(StorageErrorPb(code=int(code), entity=name, error_message=message))

            try:
                stream = self.find(name, caller)
            except Refused as refused:
                bad(Codes.STREAM_NOT_FOUND, refused.message)
                continue
            if not name.startswith(request.parent + "/"):
                raise Refused(code_pb2.INVALID_ARGUMENT, f"Stream {name} does not belong to {request.parent}")
            if stream.kind != Kind.PENDING:
                bad(Codes.INVALID_STREAM_TYPE, f"Stream {name} is not a PENDING stream")
            elif stream.committed:
                bad(Codes.STREAM_ALREADY_COMMITTED, f"Stream {name} is already committed")
            elif not stream.finalized:
                bad(Codes.INVALID_STREAM_STATE, f"Stream {name} is not finalized")
            else:
                streams.append(stream)
        answer = types.BatchCommitWriteStreamsResponse.pb()()
        if errors:
            answer.stream_errors.extend(errors)
            return answer
        with self.store.lock:
            if any(stream.committed for stream in streams):
                raise Refused(code_pb2.ABORTED, "Streams are being committed by another call")
            table = self.table(request.parent, caller)
            self.store.append(table, [segment for stream in streams for _, segment in stream.waiting])
            for stream in streams:
                stream.committed, stream.waiting = True, []
            answer.commit_time.FromMicroseconds(int(table.latest.at * 1e6))
        return answer

    # -- AppendRows ------------------------------------------------------------------------------------------------
    def append(self, requests, caller, fault):
        connection = Connection(self, caller)
        for request in requests:
            lost = fault(request.write_stream)
            response = connection.handle(request)
            if lost:
                raise Refused(code_pb2.UNAVAILABLE, "Connection reset by peer")
            yield response
