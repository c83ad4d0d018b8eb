"""Whether an issuer may be acted on: by the mode, an approval, or the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.services.actuated_issuer import ActuatedIssuer
    from streams.services.ending_ports import EndingRecords
    from streams.stages.ending.queue import EndingQueue


def may_act_for(
    issuer: ActuatedIssuer,
    queue: EndingQueue,
    records: EndingRecords,
    causes: Iterable[str],
) -> bool:
    """Whether one of some causes (ids) lets an issuer be acted on now."""
    mode = issuer.settings.mode
    if mode in ("off", "plan"):
        return False
    approved = records.approvals(issuer.name)
    return any(
        cause in approved
        or (
            mode == "automatic"
            and queue.count(issuer.name, cause) <= issuer.settings.limit
        )
        for cause in causes
    )
