"""Errors as BigQuery words them. Page "Error messages" (bigquery/docs/error-messages): each reason and its HTTP code."""

# Error messages: the error table.
STATUS = {"accessDenied": 403, "backendError": 503, "billingTierLimitExceeded": 400, "bytesBilledLimitExceeded": 400, "conditionNotMet": 412,
          "duplicate": 409, "internalError": 500, "invalid": 400, "invalidQuery": 400, "jobBackendError": 400, "jobInternalError": 400,
          "jobRateLimitExceeded": 400, "notFound": 404, "notImplemented": 501, "parseError": 400, "quotaExceeded": 403, "rateLimitExceeded": 403,
          "required": 400, "resourceInUse": 400, "resourcesExceeded": 400, "responseTooLarge": 403, "stopped": 200, "timeout": 400,
          "unauthorized": 401, "authError": 401}

# Cloud APIs: google.rpc.Code names, as the `status` member of the error body has them.
CODES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS", 412: "FAILED_PRECONDITION",
         429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE"}


class ApiError(Exception):
    def __init__(self, reason: str, message: str, location: str | None = None, status: int | None = None, retry_after=None):
        super().__init__(message)
        self.reason, self.message, self.location = reason, message, location
        self.status = status or STATUS.get(reason, 400)
        self.retry_after = retry_after

    def proto(self) -> dict:
        """ErrorProto, as jobs carry it (Job reference: status.errorResult)."""
        return {"reason": self.reason, "message": self.message, **({"location": self.location} if self.location else {})}

    def body(self) -> dict:
        one = {"message": self.message, "domain": "global", "reason": self.reason}
        if self.location:
            one |= {"location": self.location, "locationType": "parameter"}
        return {"error": {"code": self.status, "message": self.message, "errors": [one], "status": CODES.get(self.status, "UNKNOWN")}}


def invalid(message: str, location: str | None = None) -> ApiError:
    return ApiError("invalid", message, location)


def bad_query(message: str, location: str | None = "query") -> ApiError:
    return ApiError("invalidQuery", message, location)


def not_found(what: str, name: str, more: str = "") -> ApiError:
    return ApiError("notFound", f"Not found: {what} {name}{more}")


def duplicate(what: str, name: str) -> ApiError:
    return ApiError("duplicate", f"Already Exists: {what} {name}")
