"""One revocation is one trace: request, registry, guard, closure, finding, alert."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from enforcement import Guard
from enforcement import tracing as guards_tracing
from enforcement.kafka import KafkaGuard
from streams.apps.notify import deliver
from streams.observability import tracing
from streams.settings.notify import NotifySettings
from streams.settings.server import Settings
from tests.integration.serving import (
    created_key,
    deleted_key,
    receiving,
    running,
    until,
    used_key,
    values,
    webhook,
)
from tests.integration.working import lay_out, pipeline, records, task_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

KEY = "AKIAEXAMPLE000000001"
REQUEST = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{REQUEST}-b7ad6b7169203331-01"
CREATED = created_key(KEY, "bob", "2026-01-01T10:00:00Z", "e1")
DELETED = deleted_key(KEY, "bob", "2026-01-01T12:00:00Z", "e2")
USED = used_key(KEY, "bob", "2026-01-01T13:00:00Z", "e3")
WAY = {
    "POST /v1/events/{source}",
    tracing.ACCEPT,
    tracing.REGISTRY,
    guards_tracing.NAME,
    tracing.CLOSURE,
    tracing.FINDING,
    tracing.DELIVER,
}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Make traces, of the program and of guards, and keep them in memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    tracing.switch_on(provider)
    yield exporter
    tracing.switch_off()
    provider.shutdown()


def of_request(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """Give the spans that belong to the trace of the request."""
    wanted = int(REQUEST, 16)
    return [
        each
        for each in exporter.get_finished_spans()
        if each.context is not None and each.context.trace_id == wanted
    ]


def check_connected(found: list[ReadableSpan]) -> None:
    """Hold that every span hangs on another one, and one on the request's."""
    assert {each.name for each in found} == WAY
    ids = {each.context.span_id for each in found if each.context is not None}
    parents = Counter(each.parent.span_id for each in found if each.parent is not None)
    assert len(found) == parents.total()
    assert parents.keys() - ids == {int("b7ad6b7169203331", 16)}


async def post(made: Any, event: dict[str, Any], **headers: str) -> None:
    """Post one event."""
    url = getattr(made, "url", "") or made.ingress.url
    body = json.dumps({"Records": [event]}).encode()
    headers = {"Authorization": "Bearer aws", **headers}
    path = f"{url}/v1/events/cloudtrail"
    async with made.session.post(path, data=body, headers=headers) as got:
        assert got.status == 202


async def test_a_revocation_is_one_trace_on_the_server(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    """It continues the trace of the request, and the histogram names it."""
    async with (
        receiving() as receiver,
        running(tmp_path, webhook=webhook(receiver)) as server,
    ):
        async with Guard(server.url, "guard", name="g1") as guard:
            assert await guard.ready(50)
            await post(server, CREATED)
            await post(server, DELETED, traceparent=PARENT)
            closed = tracing.CLOSURE
            await until(lambda: closed in {e.name for e in of_request(spans)})
            await post(server, USED)
            await until(lambda: receiver.got)
            await until(lambda: WAY == {e.name for e in of_request(spans)})
        wanted = {"Accept": "application/openmetrics-text"}
        async with server.session.get(f"{server.url}/metrics", headers=wanted) as got:
            text = await got.text()
    check_connected(of_request(spans))
    assert f'# {{trace_id="{REQUEST}"}}' in text


@asynccontextmanager
async def guarding(kafka: KafkaSettings) -> AsyncIterator[KafkaGuard]:
    """Run a guard on Kafka."""
    async with KafkaGuard(
        kafka.client(), name="g1", realm="default", prefix=kafka.prefix
    ) as guard:
        assert await guard.ready(50)
        yield guard


async def test_a_revocation_is_one_trace_on_kafka(
    tmp_path: Path, kafka_settings: KafkaSettings, spans: InMemorySpanExporter
) -> None:
    """It travels in the headers of facts and of findings."""
    kafka = kafka_settings
    await lay_out(kafka)
    async with receiving() as receiver:
        settings = Settings(**values(tmp_path, webhook=webhook(receiver)))
        notify = NotifySettings(name="n0", data_dir=tmp_path / "notify")
        async with (
            pipeline(tmp_path, kafka) as run,
            guarding(kafka),
            task_of(
                lambda stop, told: deliver(
                    settings, kafka, notify, stop=stop, started=told
                )
            ),
        ):
            await post(run, CREATED)
            await post(run, DELETED, traceparent=PARENT)
            closed = tracing.CLOSURE
            await until(lambda: closed in {e.name for e in of_request(spans)})
            await post(run, USED)
            await until(lambda: receiver.got)
            await until(lambda: WAY <= {e.name for e in of_request(spans)})
    check_connected(of_request(spans))
    for topic, key in (("facts", b"default/cause/"), ("findings", b"default/")):
        told = [r for r in await records(kafka, topic) if r.key.startswith(key)]
        assert told
        for each in told:
            assert REQUEST in (tracing.header_of(each.headers) or "")


async def test_what_is_no_trace_begins_a_new_one(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    """A header that cannot be read is no error."""
    async with running(tmp_path) as server:
        await post(server, CREATED, traceparent="nonsense")
    (root,) = (e for e in spans.get_finished_spans() if e.name.startswith("POST"))
    assert root.parent is None
    assert root.attributes is not None
    assert root.attributes["http.response.status_code"] == 202
