"""Who calls."""

from .errors import ApiError


class Caller:
    def __init__(self, accounts, email: str):
        self.accounts, self.email = accounts, email

    def check_project(self, project: str) -> None:
        pass

    def check_dataset(self, dataset, write: bool) -> None:
        pass

    def check_table(self, table, write: bool) -> None:
        pass


class Accounts:
    def __init__(self):
        self.reset()

    def reset(self) -> None:
        self.required = False

    def caller(self, headers) -> Caller:
        if self.required and not (headers.get("Authorization") or "").startswith("Bearer "):
            raise ApiError("required", "Request is missing required authentication credential.", "Authorization", status=401)
        return Caller(self, "anonymous@example.com")
