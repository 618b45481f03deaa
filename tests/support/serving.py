"""`penstock serve` of a project, and a client to it."""

import base64
import http.client
import json
import signal
import threading
import time
from dataclasses import dataclass


@dataclass
class Answer:
    status: int
    headers: dict
    text: str

    @property
    def json(self):
        return json.loads(self.text)


class Serving:
    """A running server. Its log goes to a file, so that it never waits for a reader."""

    def __init__(self, project, *options, env=None, listen="127.0.0.1:0"):
        self.running = project.start("serve", "--listen", listen, *(() if "--grace-period" in options else ("--grace-period", "5")), *options, env=env, log_format="json")
        self.lines = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(self.running.process.stderr), daemon=True)
        self._reader.start()
        first = self.running.process.stdout.readline()
        if not first.startswith("listening on "):
            self.running.process.wait(10)
            self._reader.join(5)
            raise AssertionError(f"the server did not start: {first}{''.join(self.lines)}")
        self.port = int(first.rsplit(":", 1)[1])

    # -- asking ----------------------------------------------------------------------------------------------------
    def request(self, method: str, path: str, body=None, headers=None, timeout: float = 60, to: str = "127.0.0.1") -> Answer:
        connection = http.client.HTTPConnection(to, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode())
        finally:
            connection.close()

    def get(self, path: str, token: str | None = None) -> Answer:
        return self.request("GET", path, headers=bearer(token))

    def post(self, path: str, message, token: str | None = None, **headers) -> Answer:
        """`message` as JSON, or as it is when it is text."""
        body = message if isinstance(message, (str, bytes)) else json.dumps(message)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, body, {"Content-Type": "application/json", **bearer(token), **named})

    def push(self, path: str, message, message_id: str, token: str | None = None) -> Answer:
        """As a push subscription sends it."""
        return self.post(path, envelope(message, message_id), token)

    # -- ending ----------------------------------------------------------------------------------------------------
    def log(self) -> list[dict]:
        return [json.loads(line) for line in list(self.lines)]

    def kill(self) -> None:
        self.running.process.kill()
        self._end()

    def stop(self) -> int:
        self.running.signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        code = self.running.process.wait(30)
        self._reader.join(5)
        self.running.process.stdout.close()
        return code


def wait_for(what, seconds: float = 40):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)
    return found


def bearer(token: str | None) -> dict:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def envelope(message, message_id: str) -> dict:
    data = message if isinstance(message, (str, bytes)) else json.dumps(message)
    data = data.encode() if isinstance(data, str) else data
    return {"message": {"data": base64.b64encode(data).decode(), "messageId": message_id, "message_id": message_id,
                        "publishTime": "2026-11-21T20:00:00Z", "attributes": {}},
            "subscription": "projects/p/subscriptions/billing-push", "deliveryAttempt": 1}
