"""What the stages do with a revocation, as spans of its trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents_registry.facts import Cause, fact_id
from streams.observability import tracing

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from streams.stages.closure.results import Result
    from streams.stages.sentinel.episode import Episode


def trace_applied(fact: Fact) -> None:
    """Say that the registry has a cause in its table."""
    if tracing.on() and isinstance(fact, Cause):
        identity = fact_id(fact).hex()
        tracing.mark(tracing.REGISTRY, tracing.trace_of(identity), cause=identity)


def trace_closure(result: Result) -> None:
    """Say what became of a cause, from its acceptance until then."""
    if not tracing.on():
        return
    cause, outcome = result.cause, result.outcome
    tracing.mark(
        tracing.CLOSURE,
        tracing.trace_of(cause.id),
        cause.accepted_at,
        result.settled_at,
        cause=cause.id,
        state=outcome.state.value,
    )


def trace_finding(episode: Episode) -> str | None:
    """Say that a finding came of a cause; give the traceparent for its alert.

    A finding that is kept up to date goes on with the trace that it has.
    """
    if not tracing.on():
        return None
    finding = episode.finding
    known = tracing.trace_of(finding.id)
    if known is None:
        parent = tracing.trace_of(finding.cause)
        known = tracing.mark(
            tracing.FINDING, parent, kind=finding.kind.value, finding=finding.id
        )
        tracing.note(finding.id, known)
    return known
