"""Counts the bytes between a peer and a server: a port that passes everything on."""

import selectors
import socket
import threading

CHUNK = 1 << 18


class Wire:
    """Listens on a port of its own, for as long as the program runs; `sent` and `received` are the client's."""

    def __init__(self, port):
        self._to = ("127.0.0.1", port)
        self.sent = self.received = 0
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self):
        with self._lock:
            self.sent = self.received = 0

    def _accept(self):
        while True:
            client, _ = self._listening.accept()
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        with client, socket.create_connection(self._to) as server, selectors.DefaultSelector() as either:
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                either.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in either.select():
                    try:
                        data = key.fileobj.recv(CHUNK)
                        if not data:
                            return
                        (server if key.fileobj is client else client).sendall(data)
                    except OSError:
                        return
                    with self._lock:
                        if key.fileobj is client:
                            self.sent += len(data)
                        else:
                            self.received += len(data)
