"""A decision as a line of an access log, for Rescind's sentinel and for people.

With `applied` in it the sentinel can tell a guard that was late from one that is
broken, whatever the clocks say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents_registry.secret_shapes import HIDDEN, is_secret, without_secrets
from enforcement.names import Names, read_presented
from enforcement.verdict import Mode

if TYPE_CHECKING:
    from agents_registry.presentation import Presented
    from enforcement.token import Token
    from enforcement.verdict import Verdict

OBSERVING: Final = "/observing"


def decision(
    presented: Presented | Names,
    verdict: Verdict,
    *,
    point: str,
    at: int,
    event_id: str,
    applied: Token | None,
) -> dict[str, Any]:
    """Decision as JSON-ready values; it names identifiers and never a secret.

    A route that only observes lets through what it knows to be dead. That is no
    failure, so its lines are of a point of their own and say nothing of what was
    applied.

    Args:
        presented: as `check` got it.
        verdict: what it answered.
        point: where; the guard's name, unless the server's settings bind others.
        at: ns since 1970 (UTC).
        event_id: unique; a line that comes twice counts once.
        applied: what the guard had applied when it answered.
    """
    read = read_presented(presented)
    names: dict[str, list[str]] = {}
    for identifier in () if read is None else read.identifiers:
        # Whoever presents a secret by value asks about nothing that anybody knows.
        value = HIDDEN if is_secret(identifier) else identifier.value
        names.setdefault(without_secrets(identifier.kind), []).append(value)
    observes = verdict.mode is Mode.OBSERVE
    told = {} if applied is None or observes else {"applied": str(applied)}
    return {
        "id": event_id,
        "at": at,
        "type": "decision",
        "point": point + OBSERVING if observes else point,
        "outcome": "allowed" if verdict.allowed else "denied",
        "reason": verdict.reason.value,
        "presented": names,
        **told,
    }
