"""Refusals of the Storage APIs, as google.rpc.Status with a StorageError."""

from google.cloud.bigquery_storage_v1 import types
from google.protobuf.any_pb2 import Any
from google.rpc import status_pb2

Codes = types.StorageError.StorageErrorCode
StorageErrorPb = types.StorageError.pb()


class Refused(Exception):
    """An error for one request, or for a call."""

    def __init__(self, code: int, message: str, storage: int = 0, entity: str = "", rows=()):
        super().__init__(message)
        self.code, self.message, self.storage, self.entity, self.rows = code, message, storage, entity, rows

    def status(self) -> status_pb2.Status:
        made = status_pb2.Status(code=self.code, message=self.message)
        if self.storage:
            detail = Any()
            detail.Pack(StorageErrorPb(code=int(self.storage), entity=self.entity, error_message=self.message))
            made.details.append(detail)
        return made
