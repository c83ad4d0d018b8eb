"""What operators do: revoke, and declare what exists already. Every act is audited."""

from __future__ import annotations

import asyncio
import functools
import http
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from agents_registry.facts import Cause, Effect, fact_id
from agents_registry.identifiers import REUSABLE_KINDS
from streams.http.bodies import body_of
from streams.http.events import Log, Speakers
from streams.http.problems import ProblemError
from streams.intake import MANY
from streams.stages.declared import DeclarationError, facts_of_list
from streams.stages.entitlement import entitled, targets
from streams.times import AbsurdTimeError, parse_time, rfc3339
from streams.typed_names import (
    PlainSecretError,
    VaultError,
    identifier_of,
    is_plain_secret,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier, Vocabulary
    from streams.http.auth import Tokens
    from streams.settings import Token
    from streams.stages.admission import Rights
    from streams.stages.ingress import Origin

OPERATORS: Final = "operators"  # the authority of what people decide
MAX_REASON: Final = 1000


def revocation(identifier: Identifier, at: int, origin: Origin, event_id: str) -> Cause:
    """Give the cause of an operator's revocation.

    A name that may be given again gets a not_before: what was issued under it until
    then is dead, what is issued later lives.

    Args:
        identifier: what to end.
        at: since when (ns).
        origin: of the request.
        event_id: unique.
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
    )


class Operators:
    """Handlers of ``POST /v1/revocations`` and ``POST /v1/adopt``."""

    def __init__(
        self,
        tokens: Tokens,
        speakers: Speakers,
        ingest: Log,
        vocabulary: Vocabulary,
        fresh_id: Callable[[], str],
        names: Callable[[Identifier], Awaitable[tuple[Identifier, ...]]],
    ) -> None:
        """Set up.

        Args:
            tokens: who may give orders.
            speakers: give origin and rights.
            ingest: writes.
            vocabulary: kind to class.
            fresh_id: gives unique ids.
            names: gives the names that the logs have for what an operator names.
        """
        self._tokens = tokens
        self._speakers = speakers
        self._ingest = ingest
        self._vocabulary = vocabulary
        self._fresh_id = fresh_id
        self._names = names

    async def revoke(self, request: web.Request) -> web.Response:
        """End an identifier and everything under it."""
        token = self._tokens.holder(request, "revoker")
        body = await json_object(request, token)
        unknown = set(body) - {"identifier", "reason", "at"}
        if unknown:
            raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
        try:
            given = body.get("identifier")
            identifier = identifier_of_kind(given, self._vocabulary, plain=True)
        except ValueError as error:
            raise unreadable(str(error)) from error
        reason = body.get("reason") or ""
        if not isinstance(reason, str) or len(reason) > MAX_REASON:
            raise unreadable(f"reason is a text of at most {MAX_REASON} characters")
        origin = self._speakers.origin(OPERATORS, token.name)
        at = _moment(body.get("at"), origin.received_at)
        # From here on only what the logs call it: the name given may be a secret.
        names = await self._in_logs(identifier)
        causes = [revocation(name, at, origin, self._fresh_id()) for name in names]
        called = ", ".join(map(str, names))
        action = f"revoke {called} at {rfc3339(at)}: {reason}"
        receipt = await self._ingest.facts(
            causes, origin, actor=token.name, action=action
        )
        if receipt.dead_letters:
            raise unreadable("the revocation does not fit the log's schema")
        cause = causes[0]
        answer = {
            "id": fact_id(cause).hex(),
            "identifiers": [str(name) for name in names],
            "effect": cause.effect.value,
            "at": rfc3339(at),
            "token": receipt.token,
        }
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    async def adopt(self, request: web.Request) -> web.Response:
        """Declare existing credentials: ``{"credentials": [...]}``.

        With ``authority`` it is the word of that authority, within its grants, so
        that later events of the same one supersede it; else that of the operators.
        ``listed`` says for the audit record where the list is from.
        """
        token = self._tokens.holder(request, "restorer")
        body = await json_object(request, token)
        unknown = set(body) - {"credentials", "authority", "listed"}
        if unknown:
            raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
        entries = body.get("credentials")
        if not isinstance(entries, list):
            raise unreadable("credentials is a list of objects")
        listed = body.get("listed") or ""
        if not isinstance(listed, str) or len(listed) > MAX_REASON:
            raise unreadable(f"listed is a text of at most {MAX_REASON} characters")
        authority = self._authority(body.get("authority"))
        origin = self._speakers.origin(authority, token.name)
        rights = self._speakers.rights(authority)
        declare = functools.partial(
            _declared, entries, origin, self._identifier, rights
        )
        try:
            # Guards must get their pongs while a long list is read.
            many = len(entries) > MANY
            facts = await asyncio.to_thread(declare) if many else declare()
        except DeclarationError as error:
            raise unreadable(str(error)) from error
        action = f"adopt {len(entries)} credentials as {authority}"
        action += f": {listed}" if listed else ""
        receipt = await self._ingest.facts(
            facts, origin, actor=token.name, action=action
        )
        if receipt.dead_letters:
            raise unreadable("a credential does not fit the log's schema")
        answer = {
            "accepted": len(entries),
            "facts": receipt.facts,
            "token": receipt.token,
        }
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    async def _in_logs(self, identifier: Identifier) -> tuple[Identifier, ...]:
        try:
            return await self._names(identifier)
        except PlainSecretError as error:
            raise unreadable(str(error)) from error
        except VaultError as error:
            status = http.HTTPStatus.SERVICE_UNAVAILABLE
            detail = (
                f"{error}; nothing is revoked: try again, or name it as its audit log "
                "does"
            )
            raise ProblemError(status, "a vault does not answer", detail) from error

    def _authority(self, name: Any) -> str:
        if name is None or name == OPERATORS:
            return OPERATORS
        known = self._speakers.settings.authorities
        if not isinstance(name, str) or name not in known:
            names = ", ".join(sorted({*known, OPERATORS}))
            raise unreadable(f"no authority is called {name!r}: there are {names}")
        return name

    def _identifier(self, text: Any) -> Identifier:
        return identifier_of_kind(text, self._vocabulary)


def _declared(
    entries: list[Any],
    origin: Origin,
    read: Callable[[Any], Identifier],
    rights: Rights,
) -> tuple[Fact, ...]:
    """Read a list, and hold it against what its authority may say.

    Raises:
        DeclarationError: an entry cannot be read, or goes beyond that.
    """
    facts = facts_of_list(entries, origin, read)
    if origin.authority != OPERATORS:
        for fact in facts:
            if not entitled(fact, rights.grants):
                names = ", ".join(map(str, targets(fact) or ()))
                message = f"the authority {origin.authority} may not speak of {names}"
                raise DeclarationError(message)
    return facts


def identifier_of_kind(
    text: Any, vocabulary: Vocabulary, *, plain: bool = False
) -> Identifier:
    """Read an identifier of a known kind.

    Args:
        text: what somebody gave.
        vocabulary: kind to class.
        plain: it may be a secret that stands for its HMAC, and is not stored.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str):
        raise ValueError("identifier is a text, kind:value")  # noqa: TRY004 - JSON
    identifier = identifier_of(text)
    if identifier.kind not in vocabulary:
        message = f"no kind is called {identifier.kind!r}; a typing error?"
        raise ValueError(message)
    if not plain and is_plain_secret(identifier):
        raise PlainSecretError(identifier.kind)
    return identifier


def unreadable(detail: str) -> ProblemError:
    """Give the problem of a body that cannot be used."""
    status = http.HTTPStatus.UNPROCESSABLE_ENTITY
    return ProblemError(status, "unreadable request", detail)


async def json_object(request: web.Request, holder: Token) -> dict[str, Any]:
    """Read the JSON object that a token's holder sends.

    Raises:
        ProblemError: 422, the body is none.
    """
    try:
        body = orjson.loads(await body_of(request, holder))
    except orjson.JSONDecodeError as error:
        raise unreadable("the body is not JSON") from error
    if not isinstance(body, dict):
        raise unreadable("the body is not an object")
    return body


def _moment(value: Any, now: int) -> int:
    """Read the time of a revocation; without one, and for a future one, it is now."""
    if value is None:
        return now
    try:
        at = parse_time(value) if isinstance(value, str) else None
    except AbsurdTimeError as error:
        raise unreadable(str(error)) from error
    if at is None:
        raise unreadable("at is a time: write it as RFC 3339")
    return min(at, now)
