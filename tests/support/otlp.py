"""A receiver of OTLP over HTTP that decodes by OpenTelemetry's own Python classes, and spans and metrics in a form to compare."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def value_of(value):
    return getattr(value, value.WhichOneof("value"))


def attributes_of(one) -> dict:
    return {attribute.key: value_of(attribute.value) for attribute in one.attributes}


class Collector:
    """`answers` are the statuses of the next requests; 200 afterwards."""

    def __init__(self):
        self.traces, self.metrics, self.got, self.answers = [], [], [], []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.answers.pop(0) if collector.answers else 200
                collector.got.append((self.path, dict(self.headers), status))
                assert self.headers["Content-Type"] == "application/x-protobuf"
                made, into = (ExportTraceServiceRequest, collector.traces) if self.path.endswith("/v1/traces") else (ExportMetricsServiceRequest, collector.metrics)
                if status == 200:
                    into.append(made.FromString(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def spans(self) -> list:
        return [span for request in self.traces for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def as_exposition(request) -> dict[str, float]:
    """What Prometheus' text would have: by name with labels."""
    found = {}

    def put(name, labels, value):
        inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
        found[name + (f"{{{inside}}}" if inside else "")] = float(value)

    for metric in (metric for resource in request.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics):
        kind = metric.WhichOneof("data")
        if kind in ("sum", "histogram"):
            assert getattr(metric, kind).aggregation_temporality == 2, "counters go on"
        if kind == "sum":
            assert metric.sum.is_monotonic
        for point in getattr(metric, kind).data_points:
            labels = attributes_of(point)
            if kind != "histogram":
                put(metric.name, labels, getattr(point, point.WhichOneof("value")))
                continue
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
            up_to = 0
            for bound, count in zip([f"{bound:g}" for bound in point.explicit_bounds] + ["+Inf"], point.bucket_counts):
                up_to += count
                put(metric.name + "_bucket", {**labels, "le": bound}, up_to)
            put(metric.name + "_sum", labels, point.sum)
            put(metric.name + "_count", labels, point.count)
    return found
