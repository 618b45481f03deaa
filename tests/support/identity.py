"""Who signs push messages: keys by Google's own library for tokens, served as a JWKS document."""

import base64
import http.server
import json
import threading
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

AUDIENCE = "https://etl.example.com/billing"
PUSHER = "pusher@project.iam.gserviceaccount.com"


def _number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


class Key:
    def __init__(self, name: str):
        self.name, self.private = name, rsa.generate_private_key(65537, 2048)
        pem = self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        self.signer = crypt.RSASigner.from_string(pem, name)

    def public(self) -> dict:
        numbers = self.private.public_key().public_numbers()
        return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.name, "n": _number(numbers.n), "e": _number(numbers.e)}

    def token(self, **changed) -> str:
        """As Pub/Sub signs them; `lifetime` and `age` in seconds, claims that are None are left out."""
        now = int(time.time())
        issued = now - changed.pop("age", 0)
        claims = {"iss": "https://accounts.google.com", "aud": AUDIENCE, "email": PUSHER, "email_verified": True, "sub": "1", "azp": "1",
                  "iat": issued, "exp": issued + changed.pop("lifetime", 3600), **changed}
        return jwt.encode(self.signer, {name: value for name, value in claims.items() if value is not None}).decode()


class KeyServer:
    """The issuer's keys at `url`; counts how often it was asked."""

    def __init__(self, *keys: Key):
        self.keys, self.asked, self.status = list(keys), 0, 200
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                owner.asked += 1
                body = json.dumps({"keys": [key.public() for key in owner.keys]}).encode()
                self.send_response(owner.status)
                self.send_header("Cache-Control", "public, max-age=19000")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/certs"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
