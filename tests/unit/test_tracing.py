"""Traces: when they are made, and what they say."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from enforcement import tracing as guards
from streams.observability import tracing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.unit

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SECOND = 1_000_000_000


@define
class Record:
    """A record of ``facts`` as the client gives it."""

    key: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = 0


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Make traces, and keep them in memory."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing.switch_on(provider)
    yield kept
    tracing.switch_off()
    provider.shutdown()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector/v1/traces"}, True),
        ({ENDPOINT: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({ENDPOINT: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_SERVICE_NAME": "rescind"}, False),
    ],
)
def test_variables_of_opentelemetry_switch_traces_on(
    environment: dict[str, str], *, wanted: bool
) -> None:
    """By where to send them; there is no setting of ours."""
    assert wanted == tracing.wanted(environment)


def test_without_the_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Instead of a process that silently makes no traces."""
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with (
        pytest.raises(tracing.MissingError, match=r"install `rescind\[otel\]`"),
        tracing.traced_process("serve"),
    ):
        pass


def test_what_is_noted_is_bounded(exporter: InMemorySpanExporter) -> None:
    """The oldest is forgotten: nothing but a trace depends on it."""
    for number in range(tracing.MOST + 5):
        tracing.note(str(number), PARENT)
    tracing.note("none", None)
    assert tracing.trace_of("4") is None
    assert PARENT == tracing.trace_of("5")
    assert tracing.trace_of("none") is None
    assert tracing.trace_of(None) is None
    assert {"trace_id": PARENT[3:35]} == tracing.exemplar_of("5")
    assert tracing.exemplar_of("4") is None


def test_causes_bring_their_traces_on_kafka(exporter: InMemorySpanExporter) -> None:
    """Those of a moment ago are marked; what is read again after a start is not."""
    told = (("ce_id", b"x"), ("traceparent", PARENT.encode()))
    now = 1_800_000_000
    records = [
        Record(b"acme/cause/aa/1/k", told, (now - 5) * 1000),
        Record(b"acme/cause/bb/1/k", told, (now - 500) * 1000),
        Record(b"acme/cause/cc/1/k", (), now * 1000),
        Record(b"acme/node/dd/1/k", told, now * 1000),
        Record(None, told, now * 1000),
    ]
    tracing.note_read(records, tracing.REGISTRY, now * SECOND)
    known = [name for name in ("aa", "bb", "cc", "dd") if tracing.trace_of(name)]
    assert ["aa", "bb"] == known
    (span,) = exporter.get_finished_spans()
    assert {"rescind.cause": "aa"} == dict(span.attributes or {})
    tracing.note_read(records)
    assert 1 == len(exporter.get_finished_spans())


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (None, None),
        ((), None),
        ((("traceparent", b"\xff"),), "�"),
        ((("other", b"x"), ("traceparent", PARENT.encode())), PARENT),
    ],
)
def test_headers_are_read_for_the_trace(headers: Any, found: str | None) -> None:
    """Whatever bytes stand there."""
    assert found == tracing.header_of(headers)


@pytest.mark.parametrize(
    "broken", ["", "nonsense", "00-0-0-00", "ff" + PARENT[2:], "�", PARENT[:-3]]
)
def test_what_is_no_traceparent_is_no_parent(
    exporter: InMemorySpanExporter, broken: str
) -> None:
    """A new trace begins; nothing is raised."""
    with tracing.span("x", broken):
        pass
    (span,) = exporter.get_finished_spans()
    assert span.parent is None


def test_a_guard_marks_what_it_applied(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the tracer of the application around it, and never more than it must."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    guards.applied([PARENT, "nonsense", 7, None], "orders")
    (span,) = exporter.get_finished_spans()
    assert guards.NAME == span.name
    assert {"rescind.guard": "orders"} == dict(span.attributes or {})
    assert span.parent is not None
    assert span.parent.span_id == int("b7ad6b7169203331", 16)
    guards.applied([PARENT] * 5000, "orders")
    assert guards.MOST + 1 == len(exporter.get_finished_spans())


def test_a_guard_without_opentelemetry_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency of a guard."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    guards._api.cache_clear()
    guards.applied([PARENT], "orders")
    assert guards._api() is None
    guards._api.cache_clear()
