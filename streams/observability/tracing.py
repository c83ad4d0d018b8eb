"""Traces: one for each revocation, from the request to the guards and the alert.

Off unless OpenTelemetry's own variables name an exporter (`switch_on`), and then the
only thing each call here does is to look at one variable. The SDK is set up by the
program alone; guards continue a trace with what their own process has set up
(`enforcement.tracing`).

What travels is a W3C ``traceparent``: in the headers of requests and of records on
Kafka, and beside the facts on the feed. Within a process a trace is found again by what
it is about, the id of the fact or of the finding (`note`, `trace_of`); that is kept for
the last `MOST` of them and lost with the process, since nothing depends on it.

The names of spans are constants of this module: the semantic conventions for messaging
are not stable yet.
"""

from __future__ import annotations

import functools
import os
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Coroutine,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractContextManager
    from typing import Protocol

    class Raw(Protocol):
        """A record of Kafka as the client gives it."""

        key: bytes | None
        headers: Sequence[tuple[str, bytes]]
        timestamp: int

    class Named(Protocol):
        """A fact with the key of its record."""

        @property
        def key(self) -> str:
            """Realm, kind, id, time and ingress key, with slashes."""


P = ParamSpec("P")
T = TypeVar("T")
Async: TypeAlias = "Callable[P, Coroutine[Any, Any, T]]"

ACCEPT: Final = "rescind.accept"
REGISTRY: Final = "rescind.registry"
CLOSURE: Final = "rescind.closure"
FINDING: Final = "rescind.finding"
DELIVER: Final = "rescind.deliver"
READ_RAW: Final = "rescind.raw"
HEADER: Final = "traceparent"

MOST: Final = 10_000
FRESH: Final = 60_000  # ms; what is read again after a restart makes no spans
MILLISECOND: Final = 1_000_000
ENDPOINTS: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
_CAUSE: Final = b"/cause/"

_tracer: Any = None
_traces: dict[str, str] = {}
_noting = threading.Lock()


class MissingError(Exception):
    """Traces are wanted, and OpenTelemetry is not installed."""


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether variables of OpenTelemetry ask for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    return any(environment.get(name) for name in ENDPOINTS)


@contextmanager
def traced_process(role: str) -> Iterator[None]:
    """Send traces for the length of a block, where the environment wants them.

    Args:
        role: part of the name of the service, unless OTEL_SERVICE_NAME is set.

    Raises:
        MissingError: OpenTelemetry is not installed.
    """
    if not wanted(os.environ):
        yield
        return
    try:
        from opentelemetry import trace  # noqa: PLC0415 - only where it is wanted
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - as above
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace.export import (  # noqa: PLC0415 - as above
            BatchSpanProcessor,
        )
    except ImportError as error:
        text = f"{ENDPOINTS[0]} is set: install `rescind[otel]`, or unset it"
        raise MissingError(text) from error
    os.environ.setdefault("OTEL_SERVICE_NAME", f"rescind-{role}")
    provider = TracerProvider(resource=Resource.create())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)  # a guard in this process goes by it
    switch_on(provider)
    try:
        yield
    finally:
        switch_off()
        provider.shutdown()


def switch_on(provider: Any) -> None:
    """Make spans with a tracer provider of OpenTelemetry from now on."""
    global _tracer  # noqa: PLW0603 - as the provider of OpenTelemetry itself
    _tracer = provider.get_tracer("rescind")


def switch_off() -> None:
    """Make no more spans, and forget all traces."""
    global _tracer  # noqa: PLW0603 - as above
    _tracer = None
    _traces.clear()


def on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def span(
    name: str, parent: str | None = None, **attributes: Any
) -> AbstractContextManager[Any]:
    """Make a span of a block; with ``parent``, a traceparent, it continues that."""
    if _tracer is None:
        return nullcontext()
    opened: AbstractContextManager[Any] = _tracer.start_as_current_span(
        name, context=_context(parent), attributes=_plain(attributes)
    )
    return opened


def mark(
    name: str,
    parent: str | None,
    start: int | None = None,
    end: int | None = None,
    **attributes: Any,
) -> str | None:
    """Make a span of what is over, and give its traceparent; None without a parent.

    Args:
        name: of the span.
        parent: a traceparent.
        start: when it began (ns since 1970); now by default.
        end: when it ended.
        **attributes: of the span.
    """
    if _tracer is None or parent is None:
        return None
    made = _tracer.start_span(
        name, context=_context(parent), start_time=start, attributes=_plain(attributes)
    )
    made.end(end)
    return _text(made)


def spanned(name: str) -> Callable[[Async[P, T]], Async[P, T]]:
    """Make a span of each call of a coroutine function."""

    def decorated(function: Async[P, T]) -> Async[P, T]:
        @functools.wraps(function)
        async def called(*args: P.args, **kwargs: P.kwargs) -> T:
            if _tracer is None:
                return await function(*args, **kwargs)
            with span(name):
                return await function(*args, **kwargs)

        return called

    return decorated


def current() -> str | None:
    """Traceparent of the span that is open here."""
    if _tracer is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415 - only where it is wanted

    return _text(trace.get_current_span())


def note(identity: str, traceparent: str | None) -> None:
    """Remember the trace of a fact or a finding by its id."""
    if _tracer is None or traceparent is None:
        return
    with _noting:
        _traces[identity] = traceparent
        if len(_traces) > MOST:
            del _traces[next(iter(_traces))]


def trace_of(identity: str | None) -> str | None:
    """Traceparent of a fact or a finding, where it is known."""
    return None if identity is None else _traces.get(identity)


def exemplar_of(identity: str) -> dict[str, str] | None:
    """Exemplar of a fact's trace for a histogram."""
    traceparent = _traces.get(identity)
    return None if traceparent is None else {"trace_id": traceparent.split("-")[1]}


def note_written(facts: Iterable[Named]) -> None:
    """Remember the trace that is open here for the causes among some facts."""
    if _tracer is None:
        return
    traceparent = current()
    for each in facts:
        if "/cause/" in each.key:
            note(each.key.split("/")[2], traceparent)


def note_read(records: Iterable[Raw], name: str = "", now: int = 0) -> None:
    """Remember the traces that causes on Kafka came with.

    Args:
        records: of the topic ``facts``.
        name: of a span for each that was written a moment ago; none by default.
        now: ns since 1970.
    """
    if _tracer is None:
        return
    for record in records:
        if record.key and _CAUSE in record.key:
            traceparent = header_of(record.headers)
            identity = record.key.split(b"/")[2].decode("ascii", "replace")
            note(identity, traceparent)
            if name and now // MILLISECOND - record.timestamp < FRESH:
                mark(name, traceparent, cause=identity)


def header_of(headers: Iterable[tuple[str, bytes]] | None) -> str | None:
    """Traceparent among the headers of a record."""
    for name, value in headers or ():
        if name == HEADER:
            return bytes(value).decode("ascii", "replace")
    return None


def _context(parent: str | None) -> Any:
    if parent is None:
        return None  # the one that is open here
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - only where it is wanted
        TraceContextTextMapPropagator,
    )

    # What is no traceparent begins a new trace.
    return TraceContextTextMapPropagator().extract({HEADER: parent})


def _text(made: Any) -> str | None:
    of = made.get_span_context()
    if not of.is_valid:
        return None
    return f"00-{of.trace_id:032x}-{of.span_id:016x}-{of.trace_flags:02x}"


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"rescind.{name}": value
        for name, value in attributes.items()
        if value is not None
    }
