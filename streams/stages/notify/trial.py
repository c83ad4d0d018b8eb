"""A message that tries a receiver out, and says that nothing happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.identifiers import Identifier
from streams.model.findings import SEVERITY, Finding, FindingKind
from streams.stages.notify.deliveries import Delivery

if TYPE_CHECKING:
    from streams.stages.notify.deliveries import Activity

_KIND: Final = FindingKind.TEST


def trial(
    route: str, realm: str, activity: Activity, now: int, by: str | None = None
) -> Delivery:
    """Message that tries a receiver out.

    Args:
        route: to whom.
        realm: of the server.
        activity: a test begins with CREATE and ends with CLOSE.
        now: when it begins (ns); what has one beginning is one finding.
        by: who tries the receiver.
    """
    finding = Finding(
        id=f"test-{now:x}",
        kind=_KIND,
        severity=SEVERITY[_KIND],
        realm=realm,
        presented=Identifier("rescind.test", route),
        first_seen=now,
        last_seen=now,
        ended_by=by,
        message="it was tried whether alerts arrive.",
    )
    return Delivery(
        id=f"{finding.id}.{int(activity)}",
        number=int(activity),
        route=route,
        activity=activity,
        finding=finding,
        created_at=now,
        next_at=now,
    )
