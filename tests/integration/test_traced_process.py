"""Traces of a process: what they cost where they are off, and where they go."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from streams.observability import tracing

pytestmark = pytest.mark.integration

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def test_off_nothing_is_made_nor_imported() -> None:
    """Neither a process nor a guard in somebody's application loads OpenTelemetry."""
    program = (
        "import sys, enforcement, streams.apps.embedded\n"
        "from streams.observability import tracing\n"
        "with tracing.traced_process('serve'), tracing.span('x') as made:\n"
        "    tracing.note('a', tracing.current()); assert made is None\n"
        "assert tracing.mark('x', 'y') is tracing.trace_of('a') is None\n"
        "tracing.note_read([1], 'x'); tracing.note_written([1])\n"
        "assert not [name for name in sys.modules if 'opentelemetry' in name]\n"
    )
    environment = {"PATH": "", "OTEL_SDK_DISABLED": "true", ENDPOINT: "http://x"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_spans_go_to_the_collector_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As OTLP over HTTP, all of them by the end of the process, with our name."""
    got: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    provided: list[Any] = []
    monkeypatch.setattr(trace, "set_tracer_provider", provided.append)
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{server.server_port}")
            monkeypatch.setenv("OTEL_SERVICE_NAME", "")
            monkeypatch.delenv("OTEL_SERVICE_NAME")
            with tracing.traced_process("worker"):
                assert tracing.on()
                tracing.mark(tracing.REGISTRY, PARENT, cause="a")
        finally:
            server.shutdown()
            thread.join()
    assert not tracing.on()
    assert 1 == len(provided)
    (told,) = ExportTraceServiceRequest.FromString(b"".join(got)).resource_spans
    names = {a.key: a.value.string_value for a in told.resource.attributes}
    assert "rescind-worker" == names["service.name"]
    (span,) = told.scope_spans[0].spans
    assert tracing.REGISTRY == span.name
    assert span.trace_id.hex() in PARENT
