"""AppendRows of the Storage Write API."""

from google.cloud.bigquery_storage_v1 import types
from google.rpc import code_pb2, status_pb2

from . import arrow_rows, changes, ndjson, proto_rows
from .errors import ApiError
from .proto_rows import CHANGE, SEQUENCE, SchemaMismatch
from .storage_errors import Codes, Refused
from .storage_schema import table_schema
from .values import check as check_values

REQUEST_LIMIT = 20 * 1000 * 1000  # AppendRowsRequest reference: less than 20 MB
Kind = types.WriteStream.Type
ResponsePb = types.AppendRowsResponse.pb()


class Connection:
    """One AppendRows stream: what the first request said holds for the next."""

    def __init__(self, service, caller):
        self.service, self.store, self.engine, self.caller = service, service.store, service.engine, caller
        self.cursor = service.store.cursor()
        self.name, self.stream, self.schema, self.reader, self.fields = "", None, None, None, None
        self.announced = None

    def handle(self, request):
        try:
            answer = self.work(request)
        except Refused as refused:
            answer = ResponsePb(error=refused.status())
            for index, message in refused.rows:
                answer.row_errors.add(index=index, code=1, message=message)
        except ApiError as error:
            code = code_pb2.PERMISSION_DENIED if error.reason == "accessDenied" else code_pb2.NOT_FOUND if error.reason == "notFound" else code_pb2.INVALID_ARGUMENT
            answer = ResponsePb(error=status_pb2.Status(code=code, message=error.message))
        answer.write_stream = request.write_stream or self.name
        return answer

    def work(self, request):
        if request.ByteSize() >= REQUEST_LIMIT:
            raise Refused(code_pb2.INVALID_ARGUMENT, f"AppendRows request too large: {request.ByteSize()} limit {REQUEST_LIMIT}")
        self.address(request)
        rows = request.WhichOneof("rows")
        if rows is None:
            raise Refused(code_pb2.INVALID_ARGUMENT, "Rows must be specified")
        given = getattr(request, rows)
        if given.HasField("writer_schema"):
            self.schema, self.reader = given.writer_schema, None
        if self.schema is None:
            raise Refused(code_pb2.INVALID_ARGUMENT, "Writer schema must be specified in the first request of a connection")
        if self.stream.kind is None and request.HasField("offset"):
            raise Refused(code_pb2.INVALID_ARGUMENT, "Offset is not allowed on the default stream")
        fields = self.engine.visible_fields(self.stream.table, "write")
        if self.reader is None or fields != self.fields:
            self.open_reader(rows, fields)
        with self.stream.lock:
            offset = self.place(request)
            self.take(rows, given, request)
        answer = ResponsePb()
        answer.append_result.SetInParent()
        if self.stream.kind is not None:
            answer.append_result.offset.value = offset
        if self.announced is not None and self.announced != fields:
            answer.updated_schema.CopyFrom(table_schema(fields))
        self.announced = fields
        return answer

    def address(self, request) -> None:
        if not self.name and not request.write_stream:
            raise Refused(code_pb2.INVALID_ARGUMENT, "write_stream must be specified in the first request")
        if request.write_stream and request.write_stream != self.name:
            # AppendRowsRequest reference: a connection may change its destination for default streams.
            if self.name and not (self.name.endswith("_default") and request.write_stream.endswith("_default")):
                raise Refused(code_pb2.INVALID_ARGUMENT, "Only the default stream may be changed within a connection")
            self.stream = self.service.find(request.write_stream, self.caller)
            self.name, self.reader, self.announced = request.write_stream, None, None
        elif self.stream.kind is None:
            self.stream = self.service.find(self.name, self.caller)
        # A table that was replaced or deleted takes its streams along.
        if not self.store.alive(self.stream.table):
            raise Refused(code_pb2.NOT_FOUND, f"Not found: Table {self.stream.table.full()}", Codes.TABLE_NOT_FOUND, self.name)

    def open_reader(self, rows: str, fields) -> None:
        try:
            if rows == "proto_rows":
                self.reader = proto_rows.Reader(self.schema.proto_descriptor, fields, True)
            else:
                self.reader = arrow_rows.Reader(self.schema.serialized_schema, fields, True)
            if self.reader.specials:
                changes.check(self.stream.table, self.stream.kind is None)
        except SchemaMismatch as error:
            self.reader = None
            raise Refused(code_pb2.INVALID_ARGUMENT, str(error), Codes.SCHEMA_MISMATCH_EXTRA_FIELDS if error.extra else 0, self.name) from None
        except changes.NotAllowed as error:
            self.reader = None
            raise Refused(code_pb2.INVALID_ARGUMENT, str(error)) from None
        self.fields = fields

    def place(self, request) -> int:
        stream = self.stream
        if stream.finalized:
            raise Refused(code_pb2.INVALID_ARGUMENT, f"Stream {stream.name} is finalized", Codes.STREAM_FINALIZED, stream.name)
        if request.HasField("offset"):
            if request.offset.value < stream.length:
                raise Refused(code_pb2.ALREADY_EXISTS, f"The offset is within stream, expected offset {stream.length}, received {request.offset.value}",
                              Codes.OFFSET_ALREADY_EXISTS, stream.name)
            if request.offset.value > stream.length:
                raise Refused(code_pb2.OUT_OF_RANGE, f"The offset is beyond stream, expected offset {stream.length}, received {request.offset.value}",
                              Codes.OFFSET_OUT_OF_RANGE, stream.name)
        return stream.length

    def take(self, rows: str, given, request) -> None:
        stream, table = self.stream, self.stream.table
        segment, last = self.read_protos(given, request) if rows == "proto_rows" else self.read_arrow(given)
        try:
            check_values(self.cursor, segment, self.fields, required=last is None)
        except ApiError as error:
            raise Refused(code_pb2.INVALID_ARGUMENT, error.message) from None
        count = segment.high
        if last is not None:
            changes.apply(self.store, self.cursor, table, segment, last)
            self.store.drop_segment(self.cursor, segment)
        elif stream.kind in (None, Kind.COMMITTED):
            self.store.append_streamed(self.cursor, table, segment)
        else:
            stream.waiting.append((stream.length, segment))
        stream.length += count

    def read_protos(self, given, request):
        rows, bad = [], []
        for index, data in enumerate(given.rows.serialized_rows):
            try:
                rows.append(self.reader.row(data))
            except ndjson.BadValue as error:
                bad.append((index, str(error)))
        if bad:
            # AppendRowsResponse reference, row_errors: no row of the batch is appended.
            raise Refused(code_pb2.INVALID_ARGUMENT, f"Errors found while processing rows. Please refer to the row_errors field for details. "
                          f"Count: {len(bad)}", rows=bad)
        self.defaults(rows, request)
        last = None
        if CHANGE in self.reader.specials:
            try:
                last = changes.newest(self.stream.table, rows)
            except changes.NotAllowed as error:
                raise Refused(code_pb2.INVALID_ARGUMENT, str(error)) from None
        return ndjson.write_rows(self.store, self.cursor, self.fields, rows), last

    def defaults(self, rows, request) -> None:
        """missing_value_interpretations: DEFAULT_VALUE takes the column's default. Only constants are computed here."""
        wanted = {name for name, kind in request.missing_value_interpretations.items() if kind == 2}
        everything = request.default_missing_value_interpretation == 2
        for field in self.fields:
            if field.extra("defaultValueExpression") and (field.name in wanted or everything):
                from .assignment import default_of

                (value,) = self.cursor.execute(f"SELECT {default_of(field)}").fetchone()
                for row in rows:
                    if row.get(field.name) is None:
                        row[field.name] = value

    def read_arrow(self, given):
        try:
            batch = self.reader.batch(given.rows.serialized_record_batch)
            last = None
            if self.reader.specials:
                named = {name.upper(): name for name in self.reader.specials}
                if CHANGE in named:
                    wanted = [*changes.key_of(self.stream.table), *self.reader.specials]
                    rows = batch.select([item.name for item in batch.schema if item.name in wanted]).to_pylist()
                    last = changes.newest(self.stream.table, [{(name.upper() if name.upper() in (CHANGE, SEQUENCE) else name): value
                                                               for name, value in row.items()} for row in rows])
            return self.reader.write(self.store, self.cursor, [batch]), last
        except ndjson.BadValue as error:
            raise Refused(code_pb2.INVALID_ARGUMENT, str(error)) from None
        except changes.NotAllowed as error:
            raise Refused(code_pb2.INVALID_ARGUMENT, str(error)) from None
        except Refused:
            raise
        except Exception as error:
            raise Refused(code_pb2.INVALID_ARGUMENT, f"Errors found while processing rows: {str(error).splitlines()[0]}") from None
