"""How much a revocation would reach, counted no further than a limit."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from agents_registry.facts import Cause, fact_id
from agents_registry.inventory import affected
from streams.findings import FindingKind
from streams.stages.approvals import HELD, Pending

if TYPE_CHECKING:
    from typing import Any

    from agents_registry.registry import Registry

OURS: Final = "blast limit"  # the point of the findings


def exceeds(registry: Registry, cause: Cause, limit: int) -> bool:
    """Tell whether a cause may reach more than ``limit`` identifiers besides its own.

    Owners' dependents count, and what another owner or an older issue spares does too:
    it is what ``rescind blast-radius`` counts.
    """
    names = affected(registry, cause.target)
    return sum(1 for _ in itertools.islice(names, limit + 1)) > limit


def stands(registry: Registry, cause: Cause) -> bool:
    """Tell whether the table holds this very cause: then a copy changes nothing."""
    node = registry.lineage.find(cause.target)
    identity = fact_id(cause).hex()
    return any(one.fact_id == identity for one in registry.causes.on(node))


def held(cause: Cause, limit: int, person: str | None) -> Pending:
    """Give a cause that waits; a redelivery gives the same.

    It never becomes void: dropping it in silence would be to allow.

    Args:
        cause: what was said.
        limit: of its authority.
        person: who said it, if it was a person.
    """
    what = f"{cause.effect.value} {cause.target} by {cause.authority}"
    return Pending(
        id=fact_id(cause).hex()[:32],
        kind=HELD,
        summary=f"{what}, which reaches more than {limit} identifiers",
        reason="over the blast limit of its authority",
        person=person or cause.ingress_key,
        credential=cause.ingress_key,
        proposed_at=cause.received_at,
        expires_at=None,
        authority=cause.authority,
        facts=(cause,),
    )


def notice(cause: Cause, detail: str) -> dict[str, Any]:
    """Give the signal of a cause over its limit, for a finding."""
    return _signal(cause) | {
        "at": cause.received_at,
        "event_ids": [cause.event_id] if cause.event_id else [],
        "detail": detail,
    }


def over(cause: Cause) -> dict[str, Any]:
    """Give the signal that ends the finding: somebody decided."""
    return _signal(cause) | {"at": cause.received_at, "over": True}


def _signal(cause: Cause) -> dict[str, Any]:
    kind = FindingKind.BLAST_LIMIT.value
    return {"kind": kind, "presented": list(cause.target), "point": OURS}
