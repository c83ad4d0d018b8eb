"""What an operator ends, as a fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents_registry.facts import Cause, Effect
from agents_registry.identifiers import REUSABLE_KINDS
from streams.stages.ingest.ingress import told

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from streams.stages.ingest.ingress import Origin


def revocation(
    identifier: Identifier,
    at: int,
    origin: Origin,
    event_id: str,
    *,
    actor: str | None = None,
    reason: str | None = None,
) -> Cause:
    """Cause of an operator's revocation.

    A name that may be given again gets a not_before: what was issued under it until
    then is dead, what is issued later lives.

    Args:
        identifier: what to end.
        at: since when (ns).
        origin: of the request.
        event_id: unique.
        actor: whoever orders it.
        reason: why, empty where that is not said.
    """
    reusable = identifier.kind in REUSABLE_KINDS
    return Cause(
        authority=origin.authority,
        event_id=event_id,
        version=origin.received_at,
        received_at=origin.received_at,
        ingress_key=origin.ingress_key,
        settings=origin.settings,
        target=identifier,
        effect=Effect.NOT_BEFORE if reusable else Effect.REVOKE,
        at=at,
        not_before=at if reusable else None,
        actor=told(actor),
        reason=told(reason),
    )
