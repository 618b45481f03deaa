"""Servers that are backed up, and servers that are started from what was restored."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from .postgres import LOADER_PASSWORD, PostgresServer

KEY = "8f3c1d" + "0a" * 29
PLAIN = "a customer nobody else may read of"


def own_folder(prefix: str) -> Path:
    """A folder that servers can reach, owned as theirs."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    return folder


def remove_meanwhile(folder: Path) -> None:
    """Nobody waits for it: a disk that discards what is removed takes milliseconds for each file that was flushed."""
    subprocess.Popen(["rm", "-rf", folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


class Source(PostgresServer):
    """A server with an archive of its own, a tablespace, and tables of several kinds."""

    def __init__(self, version: int):
        self.aside = own_folder("penstock-aside-")
        self.archive = self.aside / "archive"
        self.space = self.aside / "space"
        for folder in (self.archive, self.space):
            folder.mkdir()
            if os.geteuid() == 0:
                shutil.chown(folder, "postgres", "postgres")
        super().__init__(version=version, settings=f"archive_mode = on\narchive_command = 'cp %p {self.archive}/%f'\nsynchronous_standby_names = ''\n")
        with self.admin() as admin:
            admin.execute(f"CREATE ROLE backuper LOGIN REPLICATION PASSWORD '{LOADER_PASSWORD}'")
            admin.execute(f"CREATE TABLESPACE aside LOCATION '{self.space}'")
            admin.execute("CREATE TABLE witness (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())")
            admin.execute("CREATE TABLE events AS SELECT i AS id, md5(i::text) AS what, now() AS at FROM generate_series(1, 200000) i")
            admin.execute("CREATE TABLE elsewhere TABLESPACE aside AS SELECT i AS id, repeat(md5(i::text), 100) AS long FROM generate_series(1, 5000) i")
            admin.execute(f"INSERT INTO elsewhere VALUES (0, '{PLAIN}')")
            admin.execute("CREATE UNLOGGED TABLE passing AS SELECT 1 AS one")
            admin.execute("SELECT lo_from_bytea(4711, 'large')")

    def destroy(self):
        super().destroy()
        remove_meanwhile(self.aside)


class Restored(PostgresServer):
    """A server started from a restored folder."""

    def __init__(self, source: PostgresServer, folder: Path):
        self.bindir, self.base, self.data, self.log = source.bindir, source.base, folder, folder.parent / "restored.log"
        self.port, self.tls, self._process, self._account = 0, False, None, source._account
        self.start()
        with self.admin() as admin:  # it answers while it still recovers
            for _ in range(600):
                if not admin.execute("SELECT pg_is_in_recovery()").fetchone()[0]:
                    return
                time.sleep(0.05)
        raise RuntimeError("recovery did not end:\n" + self.log.read_text()[-3000:])

    def destroy(self):
        self.stop()


def configure(project, source, key: str = KEY, store: dict | None = None, user: str = "backuper", **more) -> None:
    project.environment |= {"SHOP_URL": source.url("postgres", user=user), "BACKUP_KEY": key}
    project.config(
        connections={"shop": {"type": "postgres", "url": "${SHOP_URL}"}, "lake": store or {"type": "files", "url": "file:lake"}},
        backups={"shop_db": {"connection": "shop", "store": {"connection": "lake", "path": "backups/shop", "encrypt": "${BACKUP_KEY}"}, **more}})


def flip(file: Path, byte: int) -> None:
    content = bytearray(file.read_bytes())
    content[byte] ^= 0x10
    file.write_bytes(content)
