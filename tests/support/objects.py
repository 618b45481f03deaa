"""An S3 that checks who asks (Moto), and a look into its buckets."""

import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml
from pathlib import Path

from .postgres import _die_with_parent, free_port
from .program import ROOT

PROGRAM = Path(os.environ.get("PENSTOCK_DEPS", ROOT / ".deps")) / "servers/moto/bin/moto_server"
BUCKET = "lake-bucket"


class S3Server:
    """One bucket, and one key that may use it. Needs tools/bootstrap servers."""

    # The server asks for no signature until this many calls were made: those below.
    _UNSIGNED = 4

    def __init__(self):
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen([PROGRAM, "-H", "127.0.0.1", "-p", str(self.port)], stdin=subprocess.DEVNULL, stdout=self._log,
                                         stderr=self._log, preexec_fn=_die_with_parent,
                                         env={"PATH": os.environ["PATH"], "INITIAL_NO_AUTH_ACTION_COUNT": str(self._UNSIGNED)})
        self._wait()
        self._call("iam", "/", {"Action": "CreateUser", "UserName": "loader"})
        key = self._call("iam", "/", {"Action": "CreateAccessKey", "UserName": "loader"})
        self.access_key = key.find(".//{*}AccessKeyId").text
        self.secret_key = key.find(".//{*}SecretAccessKey").text
        policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
        self._call("iam", "/", {"Action": "PutUserPolicy", "UserName": "loader", "PolicyName": "all", "PolicyDocument": policy})
        self._call("s3", f"/{BUCKET}", method="PUT")

    def _wait(self) -> None:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.endpoint}/moto-api/", timeout=2).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("Moto did not start")

    def _call(self, service: str, path: str, form: dict | None = None, method: str = "POST"):
        """Unsigned; the credential says which service is meant."""
        credential = f"AWS4-HMAC-SHA256 Credential=none/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=none"
        body = urllib.parse.urlencode(form).encode() if form else b""
        request = urllib.request.Request(self.endpoint + path, method=method, data=body, headers={
            "Authorization": credential, "Content-Type": "application/x-www-form-urlencoded"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return xml.fromstring(text) if text.strip() else None

    def connection(self, **more) -> dict:
        """Of type files, below a prefix of the bucket."""
        return {"type": "files", "url": f"s3://{BUCKET}/lake", "endpoint": self.endpoint, "access_key": self.access_key,
                "secret_key": "${S3_SECRET}", **more}

    def destroy(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._log.close()
