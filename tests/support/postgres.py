"""Throwaway PostgreSQL servers: a free port, data in a temporary folder, gone with the process that started them."""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

LOADER = "loader"
LOADER_PASSWORD = "pa55-w0rd.never/shown"  # the '/' must be escaped in a URL, so both spellings are looked for
LOADER_PASSWORD_URL = "pa55-w0rd.never%2Fshown"

SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
wal_level = logical
max_connections = 120
max_prepared_transactions = 20
shared_buffers = 256MB
max_wal_size = 4GB
log_line_prefix = '%m [%p] %u@%d '
"""


DEPS = Path(os.environ.get("PENSTOCK_DEPS", Path(__file__).resolve().parents[2] / ".deps"))


def find_bindir(version: int | None = None) -> Path:
    """The newest installed, or that of a major version: Debian's, else what tools/servers/postgres has fetched."""
    if version:
        for bindir in (Path(f"/usr/lib/postgresql/{version}/bin"), DEPS / f"servers/postgres-{version}/bin"):
            if (bindir / "initdb").exists():
                return bindir
        raise RuntimeError(f"no PostgreSQL {version} here: tools/bootstrap servers installs it")
    named = os.environ.get("PENSTOCK_PG_BIN")
    if named:
        return Path(named)
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    for bindir in versions:
        if (bindir / "initdb").exists():
            return bindir
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    raise RuntimeError("no PostgreSQL server programs found: install postgresql, or name their folder in PENSTOCK_PG_BIN")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _die_with_parent():
    """Runs in the child: a killed pytest must not leave servers behind. SIGQUIT is PostgreSQL's immediate shutdown."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


class PostgresServer:
    """One cluster. Superuser `postgres` is trusted; everybody else needs a password (or a certificate, with tls)."""

    def __init__(self, encoding: str = "UTF8", tls: bool = False, settings: str = "", version: int | None = None, copy_of: "PostgresServer | None" = None):
        self.bindir = copy_of.bindir if copy_of else find_bindir(version)
        self.base = Path(tempfile.mkdtemp(prefix="penstock-pg-"))
        self.data = self.base / "data"
        self.log = self.base / "log"
        self.port = 0
        self.tls = tls
        self._process = None
        self._account = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.base, owner.pw_uid, owner.pw_gid)
            self._account = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self.base.chmod(0o755)
        if copy_of:
            self._copy(copy_of, settings)
            return
        self._tool("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", encoding,
                   "--locale=C" if encoding == "SQL_ASCII" else "--locale=C.UTF-8", "--no-sync")
        if tls:
            self._make_certificates()
        self._append("postgresql.conf", SETTINGS + f"unix_socket_directories = '{self.base}'\n" + settings)
        self._write_hba()
        self.start()
        with self.admin() as admin:
            admin.execute(f"CREATE ROLE {LOADER} LOGIN PASSWORD '{LOADER_PASSWORD}' IN ROLE pg_read_all_data")

    # -- life ------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        for _ in range(5):
            if not self.port:
                self.port = free_port()
            log = open(self.log, "ab")
            self._process = subprocess.Popen(
                [self.bindir / "postgres", "-D", self.data, "-p", str(self.port)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", preexec_fn=_die_with_parent, **self._account)
            log.close()
            if self._wait_ready():
                return
            self.port = 0  # somebody else took the port between the probe and the start
        raise RuntimeError("PostgreSQL did not start:\n" + self.log.read_text()[-3000:])

    def _wait_ready(self) -> bool:
        for _ in range(600):
            if self._process.poll() is not None:
                return False
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.05)
        return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is fast shutdown, SIGQUIT immediate; the port stays reserved for start()."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(30)
        self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def destroy(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.base, ignore_errors=True)

    # -- access ----------------------------------------------------------------------------------------------------
    def dsn(self, database: str) -> str:
        return f"host={self.base} port={self.port} user=postgres dbname={database}"

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.dsn(database), autocommit=True)

    def url(self, database: str, user: str = LOADER, password: str | None = LOADER_PASSWORD_URL) -> str:
        secret = f":{password}" if password else ""
        host = "localhost" if self.tls else "127.0.0.1"
        return f"postgresql://{user}{secret}@{host}:{self.port}/{database}"

    def backends(self, database: str) -> list[int]:
        """Process ids of the connections Penstock holds to a database."""
        with self.admin() as admin:
            found = admin.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename <> 'postgres'",
                                  [database]).fetchall()
        return [row[0] for row in found]

    def terminate_backends(self, database: str) -> int:
        with self.admin() as admin:
            return admin.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                 " WHERE datname = %s AND usename <> 'postgres'", [database]).fetchone()[0]

    # -- copies ----------------------------------------------------------------------------------------------------
    def standby(self, slot: str, database: str = "postgres", settings: str = "") -> "PostgresServer":
        """A streaming standby of this server, on a physical slot; `database` is for the synchronisation of slots (17 and later)."""
        with self.admin() as admin:
            admin.execute("SELECT pg_create_physical_replication_slot(%s, true)", [slot])
        upstream = f"host={self.base} port={self.port} user=postgres dbname={database}"
        return PostgresServer(copy_of=self, settings=f"primary_conninfo = '{upstream}'\nprimary_slot_name = '{slot}'\nhot_standby_feedback = on\n{settings}")

    def _copy(self, source: "PostgresServer", settings: str) -> None:
        """A base backup by SQL, for servers that come without pg_basebackup."""
        with source.admin() as admin:
            admin.execute("SELECT pg_backup_start('copy', fast => true)")
            shutil.copytree(source.data, self.data, ignore=lambda folder, names: [n for n in names if n in ("postmaster.pid", "postmaster.opts") or (
                Path(folder).name == "pg_replslot")], ignore_dangling_symlinks=True)
            label = admin.execute("SELECT labelfile FROM pg_backup_stop(wait_for_archive => false)").fetchone()[0]
        (self.data / "backup_label").write_text(label)
        (self.data / "standby.signal").touch()
        self._append("postgresql.conf", f"unix_socket_directories = '{self.base}'\n{settings}")
        self.data.chmod(0o700)
        if self._account:
            for path in [self.data, *self.data.rglob("*")]:
                os.chown(path, self._account["user"], self._account["group"], follow_symlinks=False)
        self.start()

    def promote(self) -> None:
        with self.admin() as admin:
            assert admin.execute("SELECT pg_promote(true, 30)").fetchone()[0], "the standby was not promoted in 30 s"

    # -- making ----------------------------------------------------------------------------------------------------
    def _tool(self, name: str, *arguments) -> None:
        done = subprocess.run([self.bindir / name, *map(str, arguments)], capture_output=True, text=True, cwd="/",
                              env={**os.environ, "LC_ALL": "C.UTF-8"}, **self._account)
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr}")

    def _append(self, name: str, text: str) -> None:
        with open(self.data / name, "a") as out:
            out.write(text)

    def _write_hba(self) -> None:
        remote = ("hostssl all all 127.0.0.1/32 cert clientcert=verify-full\n" if self.tls
                  else "host all all 127.0.0.1/32 scram-sha-256\n")
        (self.data / "pg_hba.conf").write_text("local all all trust\nlocal replication all trust\n" + remote)
        if self._account:
            os.chown(self.data / "pg_hba.conf", self._account["user"], self._account["group"])

    def _make_certificates(self) -> None:
        """An authority of our own, a server certificate for `localhost`, a client certificate for the loader role."""
        folder = self.base / "tls"
        folder.mkdir()

        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

        for authority in ("ca", "other-ca"):
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN=penstock-{authority}",
                    "-keyout", f"{authority}.key", "-out", f"{authority}.pem")
        self._issue("server", "localhost")
        self._issue("client", LOADER)
        if self._account:
            os.chown(folder / "server-key.pem", self._account["user"], self._account["group"])
        self._append("postgresql.conf", f"ssl = on\nssl_ca_file = '{folder}/ca.pem'\n"
                     f"ssl_cert_file = '{folder}/server-cert.pem'\nssl_key_file = '{folder}/server-key.pem'\n")

    def _issue(self, name: str, subject: str) -> None:
        folder = self.base / "tls"

        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{subject}\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={subject}", "-keyout", f"{name}-key.pem", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                "-extfile", f"{name}.ext", "-out", f"{name}-cert.pem")
        (folder / f"{name}-key.pem").chmod(0o600)

    def tls_options(self, user: str | None = None) -> dict:
        """A client certificate of the loader, or of another role: made when it is first asked for."""
        folder, name = self.base / "tls", user or "client"
        if not (folder / f"{name}-cert.pem").exists():
            self._issue(name, user)
        return {"mode": "verify-full", "ca": f"{folder}/ca.pem", "cert": f"{folder}/{name}-cert.pem", "key": f"{folder}/{name}-key.pem"}

    def allow_only(self, *lines: str) -> None:
        """pg_hba.conf: these lines, beside the trusted socket."""
        (self.data / "pg_hba.conf").write_text("local all all trust\n" + "".join(f"{line}\n" for line in lines))
        with self.admin() as admin:
            admin.execute("SELECT pg_reload_conf()")


class Database:
    """A fresh database, and an autocommit superuser session in it."""

    def __init__(self, server: PostgresServer, name: str, template: str = "template0"):
        self.server = server
        self.name = name
        with server.admin() as admin:
            admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {template} STRATEGY file_copy')
        self._session = server.admin(name)

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def execute(self, sql: str, parameters=None) -> psycopg.Cursor:
        """Runs in one superuser session, opened again when the server was restarted in between."""
        try:
            return self._session.execute(sql, parameters)
        except psycopg.OperationalError:
            if not self._session.closed:
                raise
            self._session = self.connect()
            return self._session.execute(sql, parameters)

    def rows(self, sql: str, parameters=None) -> list[tuple]:
        return self.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters=None):
        return self.execute(sql, parameters).fetchone()[0]

    def connect(self) -> psycopg.Connection:
        return self.server.admin(self.name)

    def drop(self) -> None:
        self._session.close()
        try:
            with self.server.admin() as admin:
                admin.execute(f'DROP DATABASE "{self.name}" WITH (FORCE)')
        except psycopg.OperationalError:
            pass  # the server of this database is already gone
