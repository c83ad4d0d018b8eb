"""Continue the trace of a revocation where this process makes traces.

A server that makes traces gives each revocation's ``traceparent`` along. If this
process has OpenTelemetry, one span says when the guard applied it; which SDK makes
something of it, and whether, is the application's choice. Nothing is imported before
the first ``traceparent`` comes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME: Final = "rescind.guard.apply"
MOST: Final = 1000  # of one message


def applied(traceparents: Iterable[Any], guard: str) -> None:
    """Say that a guard applied the revocations of these traces.

    Args:
        traceparents: W3C Trace Context; what is none is passed over.
        guard: its name.
    """
    for traceparent, _ in zip(traceparents, range(MOST), strict=False):
        if isinstance(traceparent, str):
            _mark(traceparent, guard)


def _mark(traceparent: str, guard: str) -> None:
    api = _api()
    if api is None:
        return
    trace, propagator = api
    context = propagator.extract({"traceparent": traceparent})
    if trace.get_current_span(context).get_span_context().is_valid:
        tracer = trace.get_tracer("rescind.guard")
        attributes = {"rescind.guard": guard}
        tracer.start_span(NAME, context=context, attributes=attributes).end()


@functools.cache
def _api() -> tuple[Any, Any] | None:
    try:
        from opentelemetry import trace  # noqa: PLC0415 - only where it is there
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - as above
            TraceContextTextMapPropagator,
        )
    except ImportError:
        return None
    return trace, TraceContextTextMapPropagator()
