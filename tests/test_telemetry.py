"""OTLP as a collector gets it: traces of runs, and metrics that are those of /metrics."""

import re

import pytest

from support.otlp import Collector, attributes_of, as_exposition
from support.serving import Serving, wait_for
from support.shop import make_orders

NOTHING = {"source": {"table": "public.nowhere"}, "target": {"table": "t.broken"}, "retries": {"max": 0}}
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def shop(database, project):
    make_orders(database, 50)
    project.pipelines(database, {
        "orders": {"source": {"table": "public.orders"}, "target": {"table": "shop.orders"}, "trigger": {"http": "/go"},
                   "checks": [{"row_count": {"min": 1}}, {"not_null": ["id"], "on_fail": "warn"}]},
        "broken": NOTHING})
    return project


def test_a_run_is_a_trace_below_whoever_called(shop, collector):
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=s3cret%2Dkey, x-tenant=shop", "TRACEPARENT": PARENT,
           "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test,service.name=overridden", "OTEL_SERVICE_NAME": "loads"}
    run = shop.load("orders", env=env).run()
    path, headers, _ = collector.got[0]
    assert path == "/v1/traces" and headers["x-key"] == "s3cret-key" and headers["x-tenant"] == "shop"
    resource = attributes_of(collector.traces[0].resource_spans[0].resource)
    assert resource["service.name"] == "loads" and resource["deployment.environment"] == "test" and re.match(r"\d+\.", resource["service.version"])
    spans = {span.name: span for span in collector.spans()}
    assert set(spans) == {"run orders", "plan", "load public.orders"}
    root, load = spans["run orders"], spans["load public.orders"]
    assert all(span.trace_id.hex() == PARENT[3:35] for span in spans.values()) and root.parent_span_id.hex() == PARENT[36:52]
    assert {span.parent_span_id for name, span in spans.items() if span is not root} == {root.span_id} and len({span.span_id for span in spans.values()}) == 3
    for span in spans.values():
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano
    said = attributes_of(root)
    assert (said["penstock.pipeline"], said["penstock.run_id"], said["penstock.status"]) == ("orders", run["run_id"], "success") and root.status.code == 1
    for name in ("rows_read", "rows_written", "rows_rejected", "rows_filtered"):
        assert said[f"penstock.{name}"] == attributes_of(load)[f"penstock.{name}"] == run[name]
    checks = [attributes_of(event) for event in load.events]
    assert len(checks) == 2 and all(event.name == "check" for event in load.events) and all(check["penstock.success"] for check in checks)

    failed = shop.run("run", "broken", expect=None, env={**env, "TRACEPARENT": "", "OTEL_METRICS_EXPORTER": "none"})
    root = next(span for span in collector.spans() if span.name == "run broken")
    assert root.status.code == 2 and "nowhere" in root.status.message and root.parent_span_id == b"" and attributes_of(root)["error.type"]
    assert collector.got[-1][0] == "/v1/traces", "metrics were not wanted"
    assert "s3cret" not in failed.both
    before = len(collector.got)
    shop.run("run", "orders", env={**env, "TRACEPARENT": PARENT[:-1] + "0", "OTEL_METRICS_EXPORTER": "none"})
    shop.run("run", "orders", env={**env, "OTEL_SDK_DISABLED": "true"})
    assert len(collector.got) == before, "not sampled, and not wanted at all"


def test_metrics_are_those_that_prometheus_reads(shop, collector):
    env = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": collector.url + "/custom/v1/metrics", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
    shop.load("orders", env=env)
    shop.run("run", "broken", expect=None, env=env)
    assert [path for path, *_ in collector.got] == ["/custom/v1/metrics"] * 2, "each run tells of its end, and of no trace without an endpoint"
    by_run = as_exposition(collector.metrics[-1])
    server = Serving(shop, env=env)
    try:
        wait_for(lambda: len(collector.metrics) >= 3)
        by_server = as_exposition(collector.metrics[2])
        shown = {name: float(value) for name, value in (line.rsplit(" ", 1) for line in server.get("/metrics").text.splitlines() if not line.startswith("#"))}
    finally:
        server.stop()
    assert by_server.keys() == shown.keys() == by_run.keys() and len(shown) > 20
    for found in (by_run, by_server):
        assert {name: value for name, value in found.items() if "lag" not in name} == {name: value for name, value in shown.items() if "lag" not in name}
    assert shown['penstock_pipeline_runs_total{pipeline="broken",status="failed"}'] == 1


def test_an_endpoint_that_is_away_costs_a_warning(shop, collector):
    collector.close()
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret", "OTEL_EXPORTER_OTLP_TIMEOUT": "2000"}
    output = shop.run("run", "orders", env=env)
    assert output.err.count("OpenTelemetry") == 1 and "traces were not sent" in output.err and "s3cret" not in output.both
    wrong = shop.run("run", "orders", env={**env, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert wrong.err.count("only http/protobuf is spoken") == 2


def test_a_collector_that_is_overloaded_is_asked_again(shop, collector):
    collector.answers = [503, 200]
    shop.run("run", "orders", env={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url + "/v1/traces"})
    assert [status for *_, status in collector.got] == [503, 200] and len(collector.spans()) == 3
