"""Handlers for callers that hold a token: AuthZEN and introspection (RFC 7662)."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import orjson
from aiohttp import web

from streams.http.bodies import body_of
from streams.http.problems import ProblemError, bad_request
from streams.model.documents import MOST_VALUES, crowded
from streams.pdp.authzen import (
    TOKEN,
    Evaluation,
    MalformedRequestError,
    answer,
    failure,
    split,
)
from streams.pdp.decider import Decision

if TYPE_CHECKING:
    from streams.pdp.callers import PdpCallers
    from streams.pdp.decider import Decider
    from streams.pdp.metrics import DecisionMetrics
    from streams.pdp.settings import PdpCaller

REQUEST_ID: Final = "X-Request-ID"
EVALUATION: Final = "/access/v1/evaluation"
EVALUATIONS: Final = "/access/v1/evaluations"
DISCOVERY: Final = "/.well-known/authzen-configuration"
INTROSPECT: Final = "/v1/introspect"
MOST_PARAMETERS: Final = 16
DEAR: Final = 0.001  # seconds; most take a hundredth of it
FORM: Final = "application/x-www-form-urlencoded"
# RFC 7662 section 2.2, and the actors of RFC 8693 section 4.1: nothing else of a token
# is anybody's business who only wants to know whether it is good.
_TOLD: Final = (
    "scope", "client_id", "username", "exp", "iat", "nbf", "sub", "aud", "iss", "jti",
    "act",
)  # fmt: skip


class _Questions:
    """What answers with a decider the callers that may ask."""

    def __init__(
        self, decider: Decider, callers: PdpCallers, metrics: DecisionMetrics
    ) -> None:
        self._decider = decider
        self._callers = callers
        self._metrics = metrics


class AuthZen(_Questions):
    """Handlers of the Authorization API 1.0."""

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get(DISCOVERY, self.discovery)
        app.router.add_post(EVALUATION, self.evaluation)
        app.router.add_post(EVALUATIONS, self.evaluations)
        app.on_response_prepare.append(echo)

    async def discovery(self, request: web.Request) -> web.Response:
        """Metadata (section 9); without a base URL, as it was asked for."""
        reached = f"{request.scheme}://{request.host}"
        base = (self._decider.settings.base_url or reached).rstrip("/")
        return web.json_response(
            {
                "policy_decision_point": base,
                "access_evaluation_endpoint": base + EVALUATION,
                "access_evaluations_endpoint": base + EVALUATIONS,
            }
        )

    async def evaluation(self, request: web.Request) -> web.Response:
        """Answer one question.

        Raises:
            ProblemError: 400 for what is no question, 401 for a stranger.
        """
        body = await _json(request, self._callers.admit(request))
        return web.json_response(await self._one(body))

    async def evaluations(self, request: web.Request) -> web.Response:
        """Answer several questions in their order, as the semantic says.

        Raises:
            ProblemError: 400 for what is no request, 401 for a stranger.
        """
        body = await _json(request, self._callers.admit(request))
        try:
            several = split(body)
        except MalformedRequestError as error:
            raise _malformed(error) from error
        if several is None:
            return web.json_response(await self._one(body))
        answers = []
        for each in several[0]:
            began = monotonic()
            try:
                answers.append(await self._answer(Evaluation.read(each)))
            except MalformedRequestError as error:
                answers.append(failure(str(error)))
            if answers[-1]["decision"] is several[1]:
                break
            # A long list must not cost the guard its lease: where a question is dear,
            # the guard gets as long as it took.
            took = monotonic() - began
            await asyncio.sleep(took if took > DEAR else 0.0)
        return web.json_response({"evaluations": answers})

    async def _one(self, body: Any) -> dict[str, Any]:
        try:
            return await self._answer(Evaluation.read(body))
        except MalformedRequestError as error:
            raise _malformed(error) from error

    async def _answer(self, asked: Evaluation) -> dict[str, Any]:
        decision = await self._decide(asked)
        self._metrics.count("authzen", decision)
        return answer(decision)

    async def _decide(self, asked: Evaluation) -> Decision:
        decider = self._decider
        scope = asked.scope(decider.settings)
        if asked.subject_type == TOKEN:
            return await decider.decide(asked.subject_id, scope=scope)
        name = asked.identifier(decider.settings.subjects, decider.vocabulary)
        if name is None:
            return Decision(allowed=False, reason="unknown_subject")
        return await decider.decide_name(name, scope=scope)


class Introspection(_Questions):
    """The handler of RFC 7662."""

    def add_to(self, app: web.Application) -> None:
        """Put the handler behind its route."""
        app.router.add_post(INTROSPECT, self.introspect)

    async def introspect(self, request: web.Request) -> web.Response:
        """Whether a token is active, and its claims only if it is.

        Raises:
            ProblemError: 400 without one token, 401 for a stranger.
        """
        form = await body_of(request, self._callers.admit(request))
        tokens = _parameters(form).get("token", [])
        if request.content_type != FORM or len(tokens) != 1:
            error = "invalid_request"  # RFC 6749 section 5.2
            detail = f"send one parameter, token, as {FORM}"
            raise bad_request(error, detail, error=error)
        decision = await self._decider.decide(tokens[0])
        self._metrics.count("introspect", decision)
        return web.json_response(
            introspected(decision), headers={"Cache-Control": "no-store"}
        )


def introspected(decision: Decision) -> dict[str, Any]:
    """Answer about a token (RFC 7662 section 2.2).

    A route that only observes lets a refused token pass; it is not active for that.
    """
    if not decision.allowed or decision.verdict is None:
        return {"active": False}
    claims = decision.claims or {}
    told = {name: claims[name] for name in _TOLD if name in claims}
    return {"active": True, "token_type": "Bearer"} | told


async def echo(request: web.Request, response: web.StreamResponse) -> None:
    """Caller's id of the request back (AuthZEN section 10.1.3)."""
    if REQUEST_ID in request.headers:
        response.headers[REQUEST_ID] = request.headers[REQUEST_ID]


async def _json(request: web.Request, caller: PdpCaller) -> Any:
    if request.content_type != "application/json":
        raise _malformed("the content type is application/json")
    body = await body_of(request, caller)
    if crowded(body):
        raise _malformed(f"more than {MOST_VALUES} values: ask in several requests")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _malformed("the body is not JSON") from error


def _parameters(form: bytes) -> dict[str, list[str]]:
    try:
        text = form.decode()
        return parse_qs(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        return {}


def _malformed(why: object) -> ProblemError:
    return bad_request("malformed request", str(why))
