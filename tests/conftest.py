"""Fixtures: real servers, a fresh database and a fresh folder for every test."""

import itertools
import os

import pytest

from support.objects import S3Server
from support.postgres import Database, PostgresServer
from support.program import BINARY, Project

_numbers = itertools.count()


def pytest_sessionstart(session):
    if not BINARY.exists() and not session.config.option.collectonly:
        pytest.exit(f"{BINARY} does not exist: build it first (make build), or name it in PENSTOCK_BIN", returncode=4)


def pytest_xdist_auto_num_workers(config):
    """More than cores: a test waits for its servers most of the time, and two workers leave two cores idle for half of it."""
    return (os.cpu_count() or 1) + 3


@pytest.fixture(scope="session")
def server():
    made = PostgresServer()
    yield made
    made.destroy()


@pytest.fixture
def own_server():
    """A server this test may stop, restart and kill."""
    made = PostgresServer()
    yield made
    made.destroy()


@pytest.fixture(scope="session")
def tls_server():
    made = PostgresServer(tls=True)
    yield made
    made.destroy()


@pytest.fixture(scope="session")
def ascii_server():
    made = PostgresServer(encoding="SQL_ASCII")
    yield made
    made.destroy()


@pytest.fixture(scope="session")
def broker():
    from support.kafka import KafkaBroker

    made = KafkaBroker()
    yield made
    made.destroy()


@pytest.fixture(scope="session")
def bigquery_server():
    """Shared: tests use `bigquery`, or reset it themselves."""
    from support.bigquery import BigQueryServer

    made = BigQueryServer()
    yield made
    made.destroy()


@pytest.fixture
def bigquery(bigquery_server):
    bigquery_server.reset()
    return bigquery_server


@pytest.fixture(scope="module")
def s3():
    made = S3Server()
    yield made
    made.destroy()


@pytest.fixture
def make_database():
    made = []

    def make(server, **options) -> Database:
        made.append(Database(server, f"t{os.getpid()}_{next(_numbers)}", **options))
        return made[-1]

    yield make
    for database in made:
        database.drop()


@pytest.fixture
def database(server, make_database):
    return make_database(server)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


@pytest.fixture
def make_project(tmp_path):
    numbers = itertools.count()
    return lambda: Project(tmp_path / f"project{next(numbers)}")
