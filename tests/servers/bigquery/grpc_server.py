"""The gRPC side: which call goes where, who calls, and faults."""

import time
import traceback
from concurrent import futures

import grpc
from google.cloud.bigquery_storage_v1 import types
from google.rpc import code_pb2
from grpc_status import rpc_status

from .errors import ApiError
from .storage_read import ReadService
from .storage_errors import Refused
from .storage_write import WriteService

PACKAGE = "google.cloud.bigquery.storage.v1"


class Service:
    def __init__(self, engine):
        self.engine = engine
        self.write, self.read = WriteService(engine), ReadService(engine)
        engine.on_reset = lambda: (self.write.reset(), self.read.reset())

    def handlers(self):
        write, read = self.write, self.read
        return [grpc.method_handlers_generic_handler(f"{PACKAGE}.BigQueryWrite", {
            "CreateWriteStream": self.unary("CreateWriteStream", write.create, types.CreateWriteStreamRequest),
            "GetWriteStream": self.unary("GetWriteStream", write.get, types.GetWriteStreamRequest),
            "FinalizeWriteStream": self.unary("FinalizeWriteStream", write.finalize, types.FinalizeWriteStreamRequest),
            "BatchCommitWriteStreams": self.unary("BatchCommitWriteStreams", write.commit, types.BatchCommitWriteStreamsRequest),
            "FlushRows": self.unary("FlushRows", write.flush, types.FlushRowsRequest),
            "AppendRows": grpc.stream_stream_rpc_method_handler(self.append, types.AppendRowsRequest.pb().FromString, _bytes)}),
            grpc.method_handlers_generic_handler(f"{PACKAGE}.BigQueryRead", {
                "CreateReadSession": self.unary("CreateReadSession", read.create, types.CreateReadSessionRequest),
                "SplitReadStream": self.unary("SplitReadStream", lambda request, caller: types.SplitReadStreamResponse.pb()(), types.SplitReadStreamRequest),
                "ReadRows": grpc.unary_stream_rpc_method_handler(self.read_rows, types.ReadRowsRequest.pb().FromString, _bytes)})]

    def unary(self, name: str, function, kind):
        def call(request, context):
            try:
                lost = self.before(name, str(request)[:2000])
                answer = function(request, self.caller(context))
                if lost:
                    raise Refused(code_pb2.UNAVAILABLE, "Connection reset by peer")
                return answer
            except Exception as error:
                self.fail(context, error)

        return grpc.unary_unary_rpc_method_handler(call, kind.pb().FromString, _bytes)

    def append(self, requests, context):
        try:
            yield from self.write.append(requests, self.caller(context), lambda stream: self.before("AppendRows", stream))
        except Exception as error:
            self.fail(context, error)

    def read_rows(self, request, context):
        try:
            self.caller(context)
            lost = self.before("ReadRows", request.read_stream)
            yield from self.read.read(request, lambda: lost)
        except Exception as error:
            self.fail(context, error)

    def before(self, name: str, text: str) -> bool:
        """Faults as for REST; `status` is a google.rpc code. True: the answer is to be lost."""
        self.engine.requests.append({"method": name, "path": text[:200], "at": time.time(), "user_agent": "grpc"})
        faults = self.engine.faults
        if rule := faults.found(name, text, "delay"):
            time.sleep(rule.seconds)
        if faults.found(name, text, "reset"):
            raise Refused(code_pb2.UNAVAILABLE, "Connection reset by peer")
        if rule := faults.found(name, text, "error"):
            raise Refused(rule.status if rule.status < 20 else code_pb2.UNAVAILABLE, rule.message)
        return faults.found(name, text, "lost") is not None

    def caller(self, context):
        headers = {key.title(): value for key, value in context.invocation_metadata()}
        return self.engine.accounts.caller(headers)

    def fail(self, context, error: Exception):
        if isinstance(error, ApiError):
            codes = {401: code_pb2.UNAUTHENTICATED, 403: code_pb2.PERMISSION_DENIED, 404: code_pb2.NOT_FOUND}
            error = Refused(codes.get(error.status, code_pb2.INVALID_ARGUMENT), error.message)
        if not isinstance(error, Refused):
            if not isinstance(error, grpc.RpcError) and context.is_active():
                self.engine.failures.append("".join(traceback.format_exception(error)))
            error = Refused(code_pb2.INTERNAL, f"stand-in failed: {type(error).__name__}: {error}")
        context.abort_with_status(rpc_status.to_status(error.status()))


def _bytes(message) -> bytes:
    return message.SerializeToString()


def serve(engine, port: int):
    server = grpc.server(futures.ThreadPoolExecutor(64), options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers(Service(engine).handlers())
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound
