"""What operators do: revoke, and declare what exists already. Every act is audited."""

from __future__ import annotations

import asyncio
import functools
import http
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import define, field

from agents_registry.facts import FUTURE_TOLERANCE, Cause, Lift, fact_id
from streams.http.bodies import body_of, json_object
from streams.http.decisions import take, waits
from streams.http.events import Read, Speakers
from streams.http.problems import unavailable, unreadable
from streams.model import documents
from streams.model.times import rfc3339, typed_time
from streams.services.blast_limit import LimitResult
from streams.services.ingest import Intake
from streams.services.intake import tell
from streams.services.reading import read
from streams.services.secret_names import SecretNames
from streams.services.typed_names import (
    UnhashedError,
    VaultError,
    identifier_of_kind,
    is_plain,
)
from streams.stages.ingest.acts import MAX_REASON, OperatorAct
from streams.stages.ingest.approvals import Pending
from streams.stages.ingest.declared import DeclarationError, facts_of_list
from streams.stages.ingest.entitlement import (
    CONTAINMENT,
    OPERATORS,
    entitled,
    targets,
)
from streams.stages.ingest.ingress import revocation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier, Vocabulary
    from streams.http.auth import CredentialHolder, Tokens
    from streams.http.unknown_targets import FactLookup
    from streams.services.approval_queue import ApprovalQueue
    from streams.services.blast_limit import BlastLimit
    from streams.stages.ingest.admission import Entitlements
    from streams.stages.ingest.ingress import Origin


NOBODY_KNOWS: Final = (
    "nothing is known of {} so far: it is denied from now on; is it spelt right?"
)


@define(eq=False, repr=False)
class Operators:
    """Handlers of ``POST /v1/revocations`` and ``POST /v1/adopt``.

    Attributes:
        tokens: who may give orders.
        speakers: give origin and rights.
        ingest: writes.
        vocabulary: kind to class.
        names: gives the names that the logs have for what an operator names.
        desk: takes what may need a second person.
        limit: holds back what reaches too much.
        known: tells whether any fact names something; None: there is no table.
        logged: finds facts of the log, where one process has all of it.
        secrets: names those that somebody names by value.
        apart: reads long documents, where nobody waits for this event loop meanwhile.
    """

    _tokens: Tokens
    _speakers: Speakers
    _ingest: Intake
    _vocabulary: Vocabulary
    _names: Callable[[Identifier], Awaitable[tuple[Identifier, ...]]]
    _desk: ApprovalQueue
    limit: BlastLimit | None = field(default=None, init=False)
    known: Callable[[Identifier], bool | None] = field(
        default=lambda _: None, init=False
    )
    logged: FactLookup | None = field(default=None, init=False)
    secrets: SecretNames = field(factory=SecretNames, init=False)
    apart: Read = field(default=read, init=False)

    async def revoke(self, request: web.Request) -> web.Response:
        """End an identifier and everything under it."""
        token = self._tokens.holder(request, "revoker")
        body = await json_object(request, token, named=True)
        unknown = set(body) - {"identifier", "reason", "at"}
        if unknown:
            raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
        reason = body.get("reason") or ""
        if not isinstance(reason, str) or len(reason) > MAX_REASON:
            raise unreadable(f"reason is a text of at most {MAX_REASON} characters")
        origin = self._speakers.origin(OPERATORS, token.name)
        at = _moment(body.get("at"), origin.received_at)
        names = await self.named(body.get("identifier"))
        causes = [
            revocation(
                name, at, origin, self._desk.fresh_id(), actor=token.name, reason=reason
            )
            for name in names
        ]
        nobody_knows = self._unknown(names)
        sifted = await self._sifted(causes, origin, token)
        if sifted.held:  # the names are of one thing: all of them wait
            return waits(*sifted.held)
        called = ", ".join(map(str, names))
        action = f"revoke {called} at {rfc3339(at)}: {reason}"
        receipt = await self._ingest.facts(
            causes, origin, actor=token.name, action=action
        )
        if receipt.dead_letters:
            raise unreadable("the revocation does not fit the log's schema")
        await tell(self._ingest, sifted.signals, self._speakers.own())
        cause = causes[0]
        answer = {
            "id": fact_id(cause).hex(),
            "identifiers": [str(name) for name in names],
            "effect": cause.effect.value,
            "at": rfc3339(at),
            "token": receipt.token,
            "unknown": nobody_knows,
        }
        if nobody_knows:
            answer["detail"] = NOBODY_KNOWS.format(", ".join(nobody_knows))
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    def _unknown(self, names: Iterable[Identifier]) -> list[str] | None:
        """Return the identifiers without any fact; None where there is no table."""
        found = [(name, self.known(name)) for name in names]
        if any(known is None for _, known in found):
            return None
        return [str(name) for name, known in found if not known]

    async def adopt(self, request: web.Request) -> web.Response:
        """Declare existing credentials: ``{"credentials": [...]}``.

        With ``authority`` it is the word of that authority, within its grants, so
        that later events of the same one supersede it; else that of the operators.
        ``listed`` says for the audit record where the list is from.
        """
        token = self._tokens.holder(request, "restorer")
        data = await body_of(request, token)
        body, entries = await self._opened(data)
        unknown = set(body) - {"authority", "listed"}
        if unknown:
            raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
        listed = body.get("listed") or ""
        if not isinstance(listed, str) or len(listed) > MAX_REASON:
            raise unreadable(f"listed is a text of at most {MAX_REASON} characters")
        origin = self.origin_as(body.get("authority"), token)
        authority = origin.authority
        rights = self._speakers.rights(authority)
        declare = functools.partial(_declared, entries, origin, self.identifier, rights)
        try:
            # Guards must get their pongs while a long list is read.
            many = len(data) > documents.MOST
            facts = await asyncio.to_thread(declare) if many else declare()
        except DeclarationError as error:
            raise unreadable(str(error)) from error
        summary = f"adopt {len(entries)} credentials as {authority}"
        act = OperatorAct("adopt", summary, listed, facts)
        signals = await self.limit.paged(facts, origin) if self.limit else []
        receipt = await take(self._desk, act, origin, token)
        if isinstance(receipt, Pending):
            return waits(receipt)
        await tell(self._ingest, signals, self._speakers.own())
        if receipt.dead_letters:
            raise unreadable("a credential does not fit the log's schema")
        answer = {
            "accepted": len(entries),
            "facts": receipt.facts,
            "token": receipt.token,
        }
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    async def _opened(self, body: bytes) -> tuple[dict[str, Any], list[Any]]:
        """Members around a list of declarations, and its entries.

        Raises:
            ProblemError: 422, it cannot be used; 503, it could not be read.
        """
        reader = documents.Declarations()
        found: Iterable[Any] = reader.records(body)
        if len(body) > documents.MOST:
            found = await self.apart(reader, body, "adopt")
        opened, *entries = found
        if not isinstance(opened, documents.Opened):
            raise unavailable("not read", "send it again, in smaller parts")
        if opened.fault:
            raise unreadable(opened.fault)
        return opened.members, entries

    async def _sifted(
        self, causes: list[Cause], origin: Origin, holder: CredentialHolder
    ) -> LimitResult:
        if self.limit is None:
            return LimitResult()
        sifted = await self.limit.sift(causes, origin, holder.person)
        if sifted.held:
            await tell(self._ingest, sifted.signals, self._speakers.own())
        return sifted

    async def _in_logs(self, identifier: Identifier) -> tuple[Identifier, ...]:
        try:
            return await self._names(identifier)
        except UnhashedError as error:
            raise unreadable(str(error)) from error
        except VaultError as error:
            detail = (
                f"{error}; nothing is revoked: try again, or name it as its audit log "
                "does"
            )
            raise unavailable("a vault does not answer", detail) from error

    def origin_as(self, name: Any, holder: CredentialHolder) -> Origin:
        """Origin of an operator's statement in the name of an authority.

        Args:
            name: of the authority; None is that of the operators.
            holder: of the operator's credential.

        Raises:
            ProblemError: 422, there is no such authority.
        """
        return self._speakers.origin(self._authority(name), holder.name)

    async def named(self, given: Any) -> tuple[Identifier, ...]:
        """Names in the logs for the identifier that an operator gives.

        Raises:
            ProblemError: 422, it cannot be read; 503, a vault does not answer.
        """
        try:
            secret = self.secrets.plain(given)
            if secret is not None and not is_plain(secret):
                return self.secrets.names(secret)
            identifier = secret or identifier_of_kind(
                given, self._vocabulary, self.secrets, plain=True
            )
        except ValueError as error:
            raise unreadable(str(error)) from error
        # From here on only what the logs call it: the name given may be a secret.
        return await self._in_logs(identifier)

    def check_entitled(self, facts: Iterable[Fact], origin: Origin) -> None:
        """Refuse what goes beyond the grants of the authority that is spoken for.

        Raises:
            ProblemError: 422.
        """
        try:
            _check_entitled(facts, origin, self._speakers.rights(origin.authority))
        except DeclarationError as error:
            raise unreadable(str(error)) from error

    def identifier(self, text: Any) -> Identifier:
        """Read an identifier of a known kind, which is no secret.

        Raises:
            ValueError: it is none.
        """
        return identifier_of_kind(text, self._vocabulary, self.secrets)

    @property
    def authorities(self) -> frozenset[str]:
        """Names of the authorities of the settings."""
        return frozenset(self._speakers.settings.authorities)

    def _authority(self, name: Any) -> str:
        if name is None or name == OPERATORS:
            return OPERATORS
        if name == CONTAINMENT:  # a lift ends what a rule suspended
            return CONTAINMENT
        known = self._speakers.settings.authorities
        if not isinstance(name, str) or name not in known:
            names = ", ".join(sorted({*known, OPERATORS}))
            raise unreadable(f"no authority is called {name!r}: there are {names}")
        return name


def _declared(
    entries: list[Any],
    origin: Origin,
    read: Callable[[Any], Identifier],
    rights: Entitlements,
) -> tuple[Fact, ...]:
    """Read a list, and hold it against what its authority may say.

    Raises:
        DeclarationError: an entry cannot be read, or goes beyond that.
    """
    facts = facts_of_list(entries, origin, read)
    _check_entitled(facts, origin, rights)
    return facts


def _check_entitled(
    facts: Iterable[Fact], origin: Origin, rights: Entitlements
) -> None:
    if origin.authority == OPERATORS:
        return
    if origin.authority == CONTAINMENT:
        if all(isinstance(fact, Lift) for fact in facts):
            return
        raise DeclarationError(f"{CONTAINMENT} speaks by its rules: it can be lifted")
    for fact in facts:
        if not entitled(fact, rights.grants):
            names = ", ".join(map(str, targets(fact) or ()))
            message = f"the authority {origin.authority} may not speak of {names}"
            raise DeclarationError(message)


def _moment(value: Any, now: int) -> int:
    """Read the time of a revocation; without one it is now.

    A clock that is a little ahead is none that lies.
    """
    if value is None:
        return now
    try:
        at = typed_time(value if isinstance(value, str) else None)
    except ValueError as error:
        raise unreadable(f"at {error}") from error
    if at > now + FUTURE_TOLERANCE:
        raise unreadable(
            f"at lies ahead of this server's {rfc3339(now)}, and a revocation holds at "
            "once: leave at out, or give the order then"
        )
    return min(at, now)
