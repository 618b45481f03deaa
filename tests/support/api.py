"""A small HTTP API on this machine: what it answers, and how it fails, is up to a test."""

import gzip
import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    params: dict
    headers: dict
    body: str = ""


@dataclass
class Answer:
    """`body` that is no text or bytes is sent as JSON; `cut` bytes of it are sent, whatever its head promises."""

    body: object = None
    status: int = 200
    headers: dict = field(default_factory=dict)
    packed: bool = False
    chunked: bool = False
    cut: int | None = None

    def bytes(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


class Api:
    """Answers by `answer`, a function of a request; remembers each."""

    def __init__(self, answer):
        self.answer = answer
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are several writes: with Nagle's algorithm each answer would wait for an acknowledgement.
            disable_nagle_algorithm = True

            def do_GET(self):
                try:
                    api.serve(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # who asked has gone meanwhile

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def serve(self, handler):
        parts = urlsplit(handler.path)
        length = int(handler.headers.get("Content-Length") or 0)
        asked = Asked(handler.command, parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()},
                      {name.lower(): value for name, value in handler.headers.items()}, handler.rfile.read(length).decode())
        with self._lock:
            self.asked.append(asked)
        answer = self.answer(asked)
        if not isinstance(answer, Answer):
            answer = Answer(answer)
        body = answer.bytes()
        handler.send_response_only(answer.status)
        headers = {"Content-Type": "application/json", **answer.headers}
        if answer.packed:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        if answer.chunked:
            headers["Transfer-Encoding"] = "chunked"
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:100], body[100:]) if part) + b"0\r\n\r\n"
        else:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                handler.send_header(name, one)
        handler.end_headers()
        handler.wfile.write(body if answer.cut is None else body[:answer.cut])
        if answer.cut is not None:
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
