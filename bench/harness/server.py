"""The throwaway PostgreSQL that every peer reads from.

One cluster is kept under the work folder between invocations, because making five million rows
takes longer than reading them. Each data set is a database of its own, named by its size; a
database whose comment is not 'complete' was interrupted while being made and is made again.
"""

import glob
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

ROLE = "bench"
# pg_stat_statements counts the rows the server handed out, the same way for every peer.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "maintenance_work_mem": "512MB",
    "max_connections": "60",
    "timezone": "UTC",
    "shared_preload_libraries": "pg_stat_statements",
    "logging_collector": "off",
}


class BenchError(Exception):
    """A reason the benchmark cannot go on, worded for whoever started it."""


def find_binaries():
    """The folder of PostgreSQL 15's server programs."""
    named = os.environ.get("BENCH_PG_BIN")
    for folder in [named] if named else ["/usr/lib/postgresql/15/bin", *sorted(glob.glob("/usr/lib/postgresql/*/bin"))]:
        if os.path.exists(os.path.join(folder, "initdb")):
            return folder
    raise BenchError("no PostgreSQL server programs in /usr/lib/postgresql/15/bin: "
                     "apt install postgresql-15, or name their folder in BENCH_PG_BIN")


def quarter_of_memory_mb():
    """PostgreSQL's usual advice for shared_buffers, at most 6 GB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total // 4, 6 << 30) >> 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Started by entering the context, stopped by leaving it; its data folder stays."""

    def __init__(self, work, folder="pg15", settings=None):
        self.bin = find_binaries()
        self.data = pathlib.Path(work) / folder
        self._settings = settings or {}
        self.port = free_port()
        self.sockets = None
        self.version = ""
        self.shared_buffers_mb = quarter_of_memory_mb()

    def __enter__(self):
        self.sockets = tempfile.mkdtemp(prefix="bench-pg-")
        if os.geteuid() == 0:
            shutil.chown(self.sockets, "postgres", "postgres")
        try:
            if not (self.data / "PG_VERSION").exists():
                self._create()
            # A server left behind by an invocation that was killed: the folder is ours alone.
            self._as_owner("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop", check=False)
            self._start()
        except BaseException:
            shutil.rmtree(self.sockets, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_):
        self._as_owner("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop", check=False)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def url(self, database):
        """A password is in it only because some peers refuse a URL without one; the server trusts."""
        return f"postgres://{ROLE}:throwaway@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def sql(self, database, statement, role="postgres"):
        """Run SQL, give back what psql prints: rows by line, columns by tab."""
        command = ["psql", "-qAtX", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", self.sockets,
                   "-p", str(self.port), "-U", role, "-d", database]
        done = subprocess.run(command, input=statement, text=True, capture_output=True)
        if done.returncode != 0:
            raise BenchError(f"psql on {database}: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def is_complete(self, database):
        found = self.sql("postgres", "SELECT shobj_description(oid, 'pg_database') FROM pg_database "
                                     f"WHERE datname = '{database}'")
        return found == "complete"

    def mark_complete(self, database):
        self.sql("postgres", f"COMMENT ON DATABASE {database} IS 'complete'")

    def create_database(self, database, template=None):
        self.sql("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        source = f"TEMPLATE {template} STRATEGY file_copy" if template else ""
        self.sql("postgres", f"CREATE DATABASE {database} OWNER {ROLE} {source}")
        if not template:
            self.sql(database, "CREATE EXTENSION pg_stat_statements; GRANT pg_read_all_stats TO bench")

    def drop_database(self, database):
        self.sql("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def forget_rows_sent(self, database):
        self.sql(database, "SELECT pg_stat_statements_reset() IS NULL")

    def rows_sent(self, database):
        """Rows the server gave to the bench role in this database since forget_rows_sent()."""
        total = self.sql(database, "SELECT coalesce(sum(rows), 0) FROM pg_stat_statements s, pg_roles r, pg_database d "
                                   f"WHERE r.oid = s.userid AND r.rolname = '{ROLE}' AND d.oid = s.dbid "
                                   f"AND d.datname = '{database}' "
                                   "AND (query ~* '^\\s*copy' OR "
                                   "query !~* '(pg_catalog|information_schema|pg_class|pg_type|pg_attribute|pg_namespace)')")
        return int(total)

    def _create(self):
        self.data.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.data, "postgres", "postgres")
            reach = subprocess.run(["runuser", "-u", "postgres", "--", "test", "-x", str(self.data)])
            if reach.returncode != 0:
                raise BenchError(f"user postgres cannot reach {self.data} (PostgreSQL does not run as root): "
                                 "give a folder it can reach by --work")
        self._as_owner("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync",
                       "--encoding=UTF8", "--locale=C.UTF-8")

    def _start(self):
        options = dict(SETTINGS | self._settings, shared_buffers=f"{self.shared_buffers_mb}MB", port=self.port,
                       unix_socket_directories=self.sockets)
        flags = " ".join(f"-c {name}={value}" for name, value in options.items())
        log = self.data / "server.log"
        self._as_owner("pg_ctl", "-D", self.data, "-l", log, "-o", flags, "-w", "-t", "120", "start")
        self.version = self.sql("postgres", "SHOW server_version")
        self.sql("postgres", f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') "
                             f"THEN CREATE ROLE {ROLE} LOGIN; END IF; END $$")

    def _as_owner(self, program, *arguments, check=True):
        command = [os.path.join(self.bin, program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # pg_ctl's child keeps the descriptors it inherits, so its output goes to a file, not a pipe.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if check and done.returncode != 0:
            raise BenchError(f"{program} ended with {done.returncode}: {said[-800:]}; see {self.data}/server.log")
