"""The HTTP side: routes, bodies, errors, faults."""

import gzip
import json
import re
import socket
import struct
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from . import auth_rest, control
from .errors import ApiError
from .rest_datasets import Datasets, Tables
from .rest_jobs import JobMethods
from .uploads import Uploads

ROOT = r"(?:/bigquery/v2)?/projects/([^/]+)"
NAME = "([^/]+)"


def routes(engine):
    datasets, tables, jobs, uploads = Datasets(engine), Tables(engine), JobMethods(engine), Uploads(engine)
    one, table = f"{ROOT}/datasets/{NAME}", f"{ROOT}/datasets/{NAME}/tables/{NAME}"
    listed = [
        ("POST", f"{ROOT}/datasets", "datasets.insert", datasets.insert), ("GET", f"{ROOT}/datasets", "datasets.list", datasets.list),
        ("GET", one, "datasets.get", datasets.get), ("PATCH", one, "datasets.patch", datasets.patch),
        ("PUT", one, "datasets.update", datasets.update), ("DELETE", one, "datasets.delete", datasets.delete),
        ("POST", f"{one}/tables", "tables.insert", tables.insert), ("GET", f"{one}/tables", "tables.list", tables.list),
        ("GET", table, "tables.get", tables.get), ("PATCH", table, "tables.patch", tables.patch), ("PUT", table, "tables.update", tables.update),
        ("DELETE", table, "tables.delete", tables.delete), ("GET", f"{table}/data", "tabledata.list", tables.rows),
        ("POST", f"{table}/insertAll", "tabledata.insertAll", tables.insert_all),
        ("POST", f"{ROOT}/jobs", "jobs.insert", jobs.insert), ("GET", f"{ROOT}/jobs", "jobs.list", jobs.list),
        ("GET", f"{ROOT}/jobs/{NAME}", "jobs.get", jobs.get), ("POST", f"{ROOT}/jobs/{NAME}/cancel", "jobs.cancel", jobs.cancel),
        ("DELETE", f"{ROOT}/jobs/{NAME}/delete", "jobs.delete", jobs.delete), ("POST", f"{ROOT}/queries", "jobs.query", jobs.query),
        ("GET", f"{ROOT}/queries/{NAME}", "jobs.getQueryResults", jobs.results),
        ("GET", f"{ROOT}/serviceAccount", "projects.getServiceAccount", jobs.service_account),
        ("POST", rf"/upload{ROOT}/jobs", "jobs.upload", uploads.start), ("PUT", rf"/upload{ROOT}/jobs", "jobs.uploadChunk", uploads.put),
        *control.routes(engine), *auth_rest.routes(engine)]
    return [(method, re.compile(pattern), name, function) for method, pattern, name, function in listed]


class Call:
    """One request, and what the answer needs beside its body."""

    def __init__(self, handler, query: dict):
        self.headers, self.query, self._handler = handler.headers, query, handler
        self.caller = None
        self.status, self.extra, self.raw = 200, {}, None
        self._content = None

    def read(self) -> bytes:
        if self._content is None:
            self._content = self._handler.content()
            if self.headers.get("Content-Encoding") == "gzip":
                self._content = gzip.decompress(self._content)
        return self._content

    @property
    def body(self) -> dict:
        content = self.read()
        if not content:
            return {}
        try:
            return json.loads(content)
        except ValueError as error:
            raise ApiError("parseError", f"Parse Error: {error}") from None

    def flag(self, name: str):
        value = self.query.get(name)
        return None if value is None else str(value).lower() == "true"


class Dropped(Exception):
    pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine = None
    routes = ()
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *_):
        pass

    def content(self) -> bytes:
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            out = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                out += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return out
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle_any(self):
        split = urlsplit(self.path)
        call = Call(self, dict(parse_qsl(split.query, keep_blank_values=True)))
        path = unquote(split.path) if "%" not in split.path else split.path
        slow = None
        try:
            name, function, arguments = self.route(path)
            slow, answer = self.perform(call, name, function, arguments)
        except Dropped:
            return self.drop()
        except ApiError as error:
            call.status, answer = error.status, error.body()
            if error.retry_after is not None:
                call.extra["Retry-After"] = str(error.retry_after)
        except (BrokenPipeError, ConnectionResetError):
            return self.drop()
        except Exception:
            self.engine.failures.append(traceback.format_exc())
            call.status, answer = 400, ApiError("invalid", "stand-in failed: " + traceback.format_exc(limit=-3)).body()
        call.read()
        self.answer(call, answer, slow)

    def route(self, path: str):
        for method, pattern, name, function in self.routes:
            if method == self.command and (found := pattern.fullmatch(path)):
                return name, function, [unquote(part) for part in found.groups()]
        raise ApiError("notFound", f"Not Found: {self.command} {path}")

    def perform(self, call, name, function, arguments):
        """Faults are for the API's methods only, not for control or tokens."""
        if "." not in name:
            return None, function(call, *arguments)
        call.read()
        text = self.path + (call.read()[:4000].decode("utf-8", "replace") if name != "jobs.uploadChunk" else "")
        self.engine.requests.append({"method": name, "path": self.path, "at": time.time(), "user_agent": self.headers.get("User-Agent")})
        faults = self.engine.faults
        if rule := faults.found(name, text, "delay"):
            time.sleep(rule.seconds)
        if faults.found(name, text, "reset"):
            raise Dropped
        if rule := faults.found(name, text, "error"):
            raise ApiError(rule.reason, rule.message, status=rule.status, retry_after=rule.retry_after)
        call.caller = self.engine.accounts.caller(self.headers)
        lost = faults.found(name, text, "lost")
        answer = function(call, *arguments)
        if lost:
            raise Dropped
        return faults.found(name, text, "slow"), answer

    def drop(self):
        """A reset, not an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def answer(self, call, answer, slow):
        content = call.raw if call.raw is not None else b"" if answer is None else json.dumps(answer, ensure_ascii=False).encode()
        if call.status == 200 and answer is None and call.raw is None and self.command == "DELETE":
            call.status = 204
        self.send_response(call.status)
        if call.status != 204:
            zipped = not slow and "gzip" in (self.headers.get("Accept-Encoding") or "") and len(content) > 1024
            if zipped:
                content = gzip.compress(content, 1)
                call.extra["Content-Encoding"] = "gzip"
            call.extra.setdefault("Content-Type", "application/json; charset=UTF-8")
            call.extra["Content-Length"] = str(len(content))
        for key, value in call.extra.items():
            self.send_header(key, value)
        self.end_headers()
        if call.status == 204 or self.command == "HEAD":
            return
        if slow:
            return self.trickle(content, slow.seconds)
        self.wfile.write(content)
        self.wfile.flush()

    def trickle(self, content: bytes, seconds: float):
        pieces = 20
        step = max(1, len(content) // pieces)
        for start in range(0, len(content), step):
            self.wfile.write(content[start:start + step])
            self.wfile.flush()
            time.sleep(seconds / pieces)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, address):
        """Clients go away; that is no news."""


def serve(engine, port: int) -> Server:
    handler = type("Bound", (Handler,), {"engine": engine, "routes": routes(engine)})
    server = Server(("127.0.0.1", port), handler)
    engine.accounts.address = engine.address = f"http://127.0.0.1:{server.server_port}"
    return server
