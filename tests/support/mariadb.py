"""Throwaway MariaDB servers: a free port, data in a temporary folder, gone with the process that started them."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql

from .postgres import free_port

USER = "keeper"
PASSWORD = "pa55 w0rd'/never\\shown"  # quotes, blanks and slashes must survive every connection string
PASSWORD_URL = "pa55%20w0rd%27%2Fnever%5Cshown"


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class MariaServer:
    """One server. `root` comes in by the socket; everybody else needs a password. It can show a certificate for `localhost`."""

    def __init__(self):
        self.base = Path(tempfile.mkdtemp(prefix="penstock-maria-"))
        self.socket, self.log, self.port = self.base / "sock", self.base / "log", 0
        self._process = None
        self._account = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("mysql")
            os.chown(self.base, owner.pw_uid, owner.pw_gid)
            self._account = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self.base.chmod(0o755)
        self._make_certificates()
        done = subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={self.base}/data", "--skip-test-db",
                               "--auth-root-authentication-method=normal"], capture_output=True, text=True, cwd="/", **self._account)
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")
        self.start()
        with self.admin() as admin:
            admin.cursor().execute("CREATE USER %s@'%%' IDENTIFIED BY %s", [USER, PASSWORD])

    # -- life ------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        for _ in range(5):
            self.port = self.port or free_port()
            with open(self.log, "ab") as log:
                self._process = subprocess.Popen(
                    ["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.base}/data", f"--socket={self.socket}",
                     f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={self.base}/pid",
                     "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--sync-binlog=0",
                     f"--ssl-cert={self.base}/cert.pem", f"--ssl-key={self.base}/key.pem", f"--ssl-ca={self.base}/ca.pem"],
                    stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", preexec_fn=_die_with_parent, **self._account)
            if self._wait_ready():
                return
            self.port = 0  # somebody else took the port between the probe and the start
        raise RuntimeError("MariaDB did not start:\n" + self.log.read_text()[-3000:])

    def _wait_ready(self) -> bool:
        for _ in range(600):
            if self._process.poll() is not None:
                return False
            try:
                self.admin().close()
                return True
            except pymysql.err.OperationalError:
                time.sleep(0.05)
        return False

    def kill(self) -> None:
        """As a crash; start() brings it back on the same port."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait(30)
        self._process = None

    def destroy(self) -> None:
        self.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    # -- access ----------------------------------------------------------------------------------------------------
    def admin(self, database: str | None = None) -> pymysql.Connection:
        return pymysql.connect(unix_socket=str(self.socket), user="root", database=database, autocommit=True)

    def url(self, database: str, password: str = PASSWORD_URL, host: str = "127.0.0.1", query: str = "") -> str:
        return f"mysql://{USER}:{password}@{host}:{self.port}/{database}{query}"

    def execute(self, database: str, sql: str, parameters=None) -> list[tuple]:
        with self.admin(database) as admin, admin.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())

    def make_database(self, name: str) -> None:
        with self.admin() as admin:
            admin.cursor().execute(f"CREATE DATABASE `{name}`")
            admin.cursor().execute(f"GRANT ALL ON `{name}`.* TO {USER}@'%'")

    def drop_database(self, name: str) -> None:
        with self.admin() as admin:
            admin.cursor().execute(f"DROP DATABASE IF EXISTS `{name}`")

    # -- making ----------------------------------------------------------------------------------------------------
    def _make_certificates(self) -> None:
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.base)

        for authority in ("ca", "other-ca"):
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN=penstock-{authority}",
                    "-keyout", f"{authority}.key", "-out", f"{authority}.pem")
        (self.base / "san").write_text("subjectAltName=DNS:localhost\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "csr")
        openssl("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                "-extfile", "san", "-out", "cert.pem")
        for path in self.base.iterdir():
            if self._account:
                os.chown(path, self._account["user"], self._account["group"])
