"""Answers to what may need a second person: it is written, or it waits."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from agents_registry.facts import Cause, fact_id
from streams.http.problems import too_many, unreadable
from streams.model.times import rfc3339
from streams.services.approval_queue import FullError
from streams.stages.ingest.acts import ActError
from streams.stages.ingest.approvals import Pending, Scheduled

if TYPE_CHECKING:
    from streams.http.auth import CredentialHolder
    from streams.services.approval_queue import ApprovalQueue
    from streams.services.intake import Acceptance
    from streams.stages.ingest.acts import OperatorAct
    from streams.stages.ingest.ingress import Origin

NOT_ACCEPTED: Final = (
    "what is held is not accepted: nothing is revoked by it until a person approves it"
)


async def take(
    desk: ApprovalQueue, act: OperatorAct, origin: Origin, holder: CredentialHolder
) -> Acceptance | Pending | Scheduled:
    """Have an act written, or kept until a second person approves it or for its time.

    Raises:
        ProblemError: 422, it does not fit the log; 429, too many wait.
    """
    try:
        taken = await desk.take(act, origin, holder.name, holder.person)
    except FullError as error:
        raise too_many("too many wait", str(error)) from error
    except ActError as error:
        raise unreadable(str(error)) from error
    if not isinstance(taken, Pending | Scheduled) and taken.dead_letters:
        raise unreadable("what this says does not fit the log's schema")
    return taken


def waits(*pending: Pending) -> web.Response:
    """Answer that nothing has changed yet."""
    detail = "not accepted: nothing has changed until another person approves it"
    waiting = [shown(each) for each in pending]
    answer = {"accepted": False, "detail": detail, "pending": waiting}
    return web.json_response(answer, status=http.HTTPStatus.ACCEPTED)


def later(order: Pending) -> web.Response:
    """Answer that nothing has changed yet, and when it does."""
    at = rfc3339(order.due_at)
    detail = f"nothing has changed yet: it is carried out at {at}"
    answer = {"accepted": False, "detail": detail, "scheduled": shown(order)}
    return web.json_response(answer, status=http.HTTPStatus.ACCEPTED)


def held(count: int) -> web.Response:
    """Answer a source that revocations are held, and not accepted."""
    answer = {"accepted": False, "held": count, "detail": NOT_ACCEPTED}
    return web.json_response(answer, status=http.HTTPStatus.ACCEPTED)


def written(facts: int, token: str, **more: Any) -> web.Response:
    """Answer that it is in the log."""
    answer = {"accepted": True, "facts": facts, "token": token, **more}
    return web.json_response(answer, status=http.HTTPStatus.CREATED)


def shown(pending: Pending) -> dict[str, Any]:
    """Return the waiting act as an answer shows it."""
    until = pending.expires_at
    return {
        "id": pending.id,
        "kind": pending.kind,
        "summary": pending.summary,
        "reason": pending.reason,
        "proposed_by": pending.person,
        "proposed_at": rfc3339(pending.proposed_at),
        "expires_at": None if until is None else rfc3339(until),
        "facts": pending.count,
        "due_at": rfc3339(pending.due_at),
        "revocation": _revocation(pending),
    }


def _revocation(pending: Pending) -> str | None:
    """Id that the revocation of what waits will have; None where it has several."""
    facts = pending.facts
    if pending.count != 1 or not isinstance(facts[0], Cause):
        return None
    return fact_id(facts[0]).hex()
