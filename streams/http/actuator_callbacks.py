"""Answers of issuers that were asked and answer later, by a signed request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web
from attrs import define

from streams.http.answers import json_answer
from streams.http.bodies import unproven_body_of
from streams.http.problems import ProblemError, not_found, unauthorized, unreadable
from streams.outbound.standard_webhooks import is_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.model.shared_secret import SharedSecret
    from streams.services.late_answers import KeptQuestions

MOST: Final = 16 << 10  # bytes of an answer
KEPT: Final = ("id", "identifier", "state", "reason")
MOST_TEXT: Final = 1000  # characters of each
CONFLICT: Final = 409
NONE: Final = (
    "no actuator of this name takes answers later: set callback in its settings"
)
PROOF: Final = (
    "sign it as Standard Webhooks with the secret of callback, at most 5 minutes ago"
)
NOT_ASKED: Final = "it was not asked, or too long ago, or was asked again since"


@define(eq=False)
class ActuatorCallbacks:
    """The handler of ``/v1/actuators/{name}/callbacks``.

    Attributes:
        questions: of the actuators that take answers later, by name.
        secrets: that answers are signed with, by name of the actuator.
        clock: gives the time (ns).
    """

    _questions: Mapping[str, KeptQuestions]
    _secrets: Mapping[str, SharedSecret]
    _clock: Callable[[], int]

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_post("/v1/actuators/{name}/callbacks", self.answer)

    async def answer(self, request: web.Request) -> web.Response:
        """Take the answer to one question, once."""
        name = request.match_info["name"]
        if name not in self._questions:
            raise not_found("no callbacks", NONE)
        body = await unproven_body_of(request, MOST)
        secret = self._secrets[name].reveal()
        if body is None or not is_signed(secret, request.headers, self._clock(), body):
            raise unauthorized("not signed", PROOF)
        answer = _read(body)
        taken = await self._questions[name].answer(answer["id"], answer)
        if taken is None:
            raise not_found("no such question", NOT_ASKED)
        if not taken:
            raise ProblemError(CONFLICT, "answered already", "one answer counts")
        return json_answer({"id": answer["id"]})


def _read(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise unreadable("the body is no JSON") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
        raise unreadable("the answer is an object with the id of the question")
    return {
        name: text[:MOST_TEXT]
        for name in KEPT
        if isinstance(text := answer.get(name), str)
    }
