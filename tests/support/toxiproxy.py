"""A proxy between the program and its server that can be told to cut, to stall and to slow what goes through it."""

import json
import subprocess
import time
import urllib.request
from urllib.parse import urlsplit, urlunsplit

from .postgres import _die_with_parent, free_port
from .program import ROOT

PROGRAM = ROOT / ".deps" / "servers" / "toxiproxy" / "toxiproxy"


class Toxiproxy:
    """One process; each proxy() is one way through it. Needs tools/bootstrap servers."""

    def __init__(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self._start()
            while self._process.poll() is None and time.monotonic() < deadline:
                try:
                    self.call("GET", "version")
                    return
                except OSError:
                    time.sleep(0.02)
        raise RuntimeError("Toxiproxy did not start")

    def _start(self) -> None:
        """On a port that was free a moment ago; it ends where somebody else was quicker."""
        self.port = free_port()
        self._process = subprocess.Popen([PROGRAM, "-host", "127.0.0.1", "-port", str(self.port)], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent)

    def call(self, method: str, path: str, body: dict | None = None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", method=method,
                                         data=json.dumps(body).encode() if body is not None else None)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def proxy(self, port: int) -> "Proxy":
        return Proxy(self, port)

    def destroy(self) -> None:
        self._process.kill()
        self._process.wait()


class Proxy:
    """A port of its own in front of `port`."""

    def __init__(self, toxiproxy: Toxiproxy, port: int):
        self.toxiproxy = toxiproxy
        self.port = free_port()
        self.name = f"to{port}_{self.port}"
        toxiproxy.call("POST", "proxies", {"name": self.name, "listen": f"127.0.0.1:{self.port}", "upstream": f"127.0.0.1:{port}", "enabled": True})

    def url(self, url: str) -> str:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition(":")[0] + f":{self.port}"))

    def cut(self) -> None:
        """Ends all connections, and refuses new ones until mend()."""
        self.toxiproxy.call("POST", f"proxies/{self.name}", {"enabled": False})

    def mend(self) -> None:
        self.toxiproxy.call("POST", f"proxies/{self.name}", {"enabled": True})

    def poison(self, kind: str, stream: str = "downstream", **attributes) -> str:
        """Adds a toxic: latency, bandwidth, timeout (bytes vanish), reset_peer, limit_data, slicer. Downstream is towards the program."""
        name = f"{kind}_{stream}"
        self.toxiproxy.call("POST", f"proxies/{self.name}/toxics", {"name": name, "type": kind, "stream": stream, "attributes": attributes})
        return name

    def heal(self, name: str) -> None:
        self.toxiproxy.call("DELETE", f"proxies/{self.name}/toxics/{name}")

    def destroy(self) -> None:
        self.toxiproxy.call("DELETE", f"proxies/{self.name}")
