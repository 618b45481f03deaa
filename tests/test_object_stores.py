"""Buckets as the place of a files connection: who may use them, what is said when they cannot be used."""

import json
import threading

import pytest

from support.objects import BUCKET
from support.postgres import free_port
from support.toxiproxy import Toxiproxy


@pytest.fixture
def examine(project, s3):
    """`penstock doctor` of one connection: its findings, and that the secret is in none."""

    def run(connection: dict, expect: int, env: dict | None = None) -> list[dict]:
        project.config(connections={"lake": connection}, pipelines={})
        output = project.run("doctor", "lake", "--output", "json", expect=expect, env={"S3_SECRET": s3.secret_key, **(env or {})})
        assert s3.secret_key not in output.both
        return json.loads(output.out)["findings"]

    return run


def test_a_bucket_that_can_be_used(examine, s3):
    found, = examine(s3.connection(), 0)
    assert found["severity"] == "ok" and f"s3://{BUCKET}/lake/" in found["detail"]


def test_keys_of_the_environment(examine, s3):
    connection = {"type": "files", "url": f"s3://{BUCKET}", "endpoint": s3.endpoint}
    found, = examine(connection, 0, {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key})
    assert found["severity"] == "ok"


def test_a_wrong_secret(examine, s3):
    found, = examine(s3.connection(secret_key="wrong-secret"), 3)
    assert found["severity"] == "problem" and "credentials" in found["fix"]
    assert "wrong-secret" not in json.dumps(found)


def test_no_such_bucket(examine, s3):
    found, = examine(s3.connection(url="s3://another-bucket/x"), 3)
    assert "another-bucket" in found["detail"] and "make the bucket" in found["fix"]


def test_a_store_that_is_down(examine, s3):
    found, = examine(s3.connection(endpoint=f"http://127.0.0.1:{free_port()}", retry_for="1s"), 3)
    assert found["severity"] == "problem" and "try again" in found["fix"]


def test_a_store_that_cuts_connections_for_a_while(examine, s3):
    proxy_server = Toxiproxy()
    try:
        proxy = proxy_server.proxy(s3.port)
        proxy.poison("limit_data", bytes=10)
        threading.Timer(3, lambda: proxy.heal("limit_data_downstream")).start()
        found, = examine(s3.connection(endpoint=f"http://127.0.0.1:{proxy.port}", retry_for="30s"), 0)
        assert found["severity"] == "ok"
    finally:
        proxy_server.destroy()


def test_tables_are_not_written_to_buckets(project):
    project.config(connections={"shop": {"type": "postgres", "url": "postgresql://localhost/shop"},
                                "lake": {"type": "files", "url": "gs://bucket/lake"}},
                   pipelines={"p": {"source": {"connection": "shop", "table": "public.t"}, "target": {"connection": "lake", "format": "parquet"}}})
    output = project.run("check", expect=2)
    assert "gs:" in output.err and "archive" in output.err and "file:" in output.err
