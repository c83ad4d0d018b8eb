"""Keeping: notes a verdict in what was presented; see `agents_registry.kept`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents_registry.clear import note
from agents_registry.clearance import FINE, SCOPES_ABOVE
from agents_registry.kept import LONGEST_PATH, NO_SCOPE, joined
from agents_registry.lineage import UNKNOWN_TIME
from agents_registry.presentation import KEPT, NODES

if TYPE_CHECKING:
    from agents_registry.answers import Answer
    from agents_registry.presentation import FoundNodes, Presented
    from agents_registry.registry import Registry
    from agents_registry.verdict import Judgement


def keep_clear(
    registry: Registry,
    presented: Presented,
    found: FoundNodes,
    now: int,
    scope: str | None,
    verdict: Judgement,
) -> None:
    """Keep a verdict on what `lives` holds of.

    Args:
        registry: the table.
        presented: was asked about.
        found: what this table noted of it. Another one may note what it found at any
            moment, in another thread.
        now: the clock (ns).
        scope: was asked for.
        verdict: that it lives.
    """
    clearance = registry.clearance
    if not clearance.answers.takes(found[NODES][0]) or _keeps(registry, found, now):
        return
    bits, until = 0, UNKNOWN_TIME
    for node in found[NODES]:
        value = clearance.values[node]
        bits |= value
        until = min(until, value)
    span = clearance.since, until & ~FINE
    asked = _asked(scope) if bits & SCOPES_ABOVE else None
    _keep(registry, presented, found, asked, span, verdict)


def keep_answer(
    registry: Registry,
    presented: Presented,
    found: FoundNodes,
    now: int,
    scope: str | None,
    answer: Answer,
) -> None:
    """Keep the verdict of an answer that holds; see `keep_clear`."""
    settled = answer.settled
    answers = registry.clearance.answers
    if not answers.takes(found[NODES][0]) or _keeps(registry, found, now):
        return
    if settled is not None and len(settled.path) <= LONGEST_PATH:
        span = answer.since, answer.until
        _keep(registry, presented, found, _asked(scope), span, settled)


def _asked(scope: str | None) -> object:
    return NO_SCOPE if scope is None else scope


def _keeps(registry: Registry, found: FoundNodes, now: int) -> bool:
    """Whether a verdict is kept that holds.

    It is of another scope: who asks for several in turn keeps the first.
    """
    seal, others, since, until, _, _ = found[KEPT]
    lasts = seal.era is others.era is registry.clearance.answers.era
    return lasts and since <= now < until


def _keep(
    registry: Registry,
    presented: Presented,
    found: FoundNodes,
    scope: object,
    span: tuple[int, int],
    verdict: Judgement,
) -> None:
    _, token, nodes, only, wanted, asked = found
    seals = registry.clearance.answers.sealed(nodes)
    if seals is not None:
        others = joined(seals[1:] or seals)
        kept = (seals[0], others, *span, scope, verdict)
        note(presented, (kept, token, nodes, only, wanted, asked))
