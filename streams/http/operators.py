"""What operators name, and what they declare that exists already."""

from __future__ import annotations

import asyncio
import functools
import http
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import define, field

from agents_registry.facts import Lift
from agents_registry.identifiers import Identifier
from agents_registry.steps import finish
from enforcement.turns import in_turns
from streams.http.bodies import body_of
from streams.http.decisions import take, waits
from streams.http.events import Read, Speakers
from streams.http.problems import ProblemError, unavailable, unreadable
from streams.model import documents
from streams.services.ingest import Intake
from streams.services.intake import tell
from streams.services.reading import read
from streams.services.secret_names import SecretNames
from streams.services.typed_names import (
    UnhashedError,
    VaultError,
    identifier_of_kind,
    is_plain,
    unknown_kind,
)
from streams.stages.ingest.acts import MAX_REASON, OperatorAct
from streams.stages.ingest.approvals import Pending, Scheduled
from streams.stages.ingest.declared import DeclarationError, facts_of_list
from streams.stages.ingest.entitlement import (
    CONTAINMENT,
    OPERATORS,
    entitled,
    targets,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Vocabulary
    from agents_registry.steps import Steps
    from streams.http.auth import CredentialHolder, Tokens
    from streams.http.unknown_targets import FactLookup
    from streams.model.selectors import Selector
    from streams.services.approval_queue import ApprovalQueue
    from streams.services.blast_limit import BlastLimit
    from streams.services.reading import RecordReader
    from streams.stages.ingest.admission import Entitlements
    from streams.stages.ingest.ingress import Origin

    # Of an identifier alone a vault has to be asked what its logs call it.
    Named = Identifier | tuple[Identifier, ...]

MOST_NAMED: Final = 10_000  # identifiers of one order
MOST_WRONG: Final = 20  # lines that an answer names


@define(eq=False, repr=False)
class Operators:
    """Handler of ``POST /v1/adopt``, and reader of the names in all orders.

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

    async def adopt(self, request: web.Request) -> web.Response:
        """Declare existing credentials: ``{"credentials": [...]}``.

        With ``authority`` it is the word of that authority, within its grants, so
        that later events of the same one supersede it; else that of the operators.
        ``listed`` says for the audit record where the list is from.
        """
        token = self._tokens.holder(request, "restorer")
        data = await body_of(request, token)
        body, entries = await self._opened(data, documents.Declarations(), "adopt")
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
        if isinstance(receipt, Pending | Scheduled):
            return waits(receipt if isinstance(receipt, Pending) else receipt.order)
        await self.tell(signals)
        if receipt.dead_letters:
            raise unreadable("a credential does not fit the log's schema")
        answer = {
            "accepted": len(entries),
            "facts": receipt.facts,
            "token": receipt.token,
        }
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    async def tell(self, signals: Sequence[dict[str, Any]]) -> None:
        """Write signals about orders, for findings."""
        await tell(self._ingest, signals, self._speakers.own())

    async def _opened(
        self, body: bytes, reader: RecordReader, what: str
    ) -> tuple[dict[str, Any], list[Any]]:
        """Members around a list, and its entries.

        Raises:
            ProblemError: 422, it cannot be used; 503, it could not be read.
        """
        found: Iterable[Any] = reader.records(body)
        if len(body) > documents.MOST:
            found = await self.apart(reader, body, what)
        opened, *entries = found
        if not isinstance(opened, documents.Opened):
            raise unavailable("not read", "send it again, in smaller parts")
        if opened.fault:
            raise unreadable(opened.fault)
        return opened.members, entries

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
            read = self._read(given)
        except ValueError as error:
            raise unreadable(str(error)) from error
        # From here on only what the logs call it: the name given may be a secret.
        return await self._in_logs(read) if isinstance(read, Identifier) else read

    def check_selector(self, where: Selector) -> None:
        """Refuse a selector that names what the settings do not have.

        Raises:
            ProblemError: 422.
        """
        for kind in (*where.kinds, *(owner.kind for owner in where.owners)):
            if kind not in self._vocabulary:
                raise unreadable(f"where: {unknown_kind(kind, self._vocabulary)}")

    async def all_named(
        self, entries: Sequence[Any]
    ) -> tuple[tuple[Identifier, ...], int]:
        """Names in the logs for all that an order names, each once.

        Empty lines and those that begin with # are left out.

        Returns:
            The names, and how many identifiers were given.

        Raises:
            ProblemError: 422, it names the lines that cannot be read; 503, a vault
                does not answer.
        """
        if len(entries) == 1:
            return await self.named(entries[0]), 1
        found, wrong = await in_turns(self._read_all(entries))
        if wrong:
            raise _wrong_lines(wrong)
        if not 0 < len(found) <= MOST_NAMED:
            raise unreadable(
                f"the order names {len(found)} identifiers: give 1 to {MOST_NAMED}"
            )
        names: dict[Identifier, None] = {}
        for each in found:
            more = await self._in_logs(each) if isinstance(each, Identifier) else each
            names.update(dict.fromkeys(more))
        return tuple(names), len(found)

    def _read_all(
        self, entries: Sequence[Any]
    ) -> Steps[tuple[list[Named], dict[int, str]]]:
        """Read lines; what cannot be read is named by the number of its line."""
        found: dict[Named, None] = {}
        wrong: dict[int, str] = {}
        for number, entry in enumerate(entries, 1):
            yield
            if not entry.strip() or entry.lstrip().startswith("#"):
                continue
            try:
                found[self._read(entry)] = None
            except ValueError as error:
                wrong[number] = str(error)
        return list(found), wrong

    def _read(self, given: Any) -> Named:
        """Names of what is given; an identifier alone that a vault has to be asked for.

        Raises:
            ValueError: it cannot be read.
        """
        secret = self.secrets.plain(given)
        if secret is not None and not is_plain(secret):
            return self.secrets.names(secret)
        identifier = secret or identifier_of_kind(
            given, self._vocabulary, self.secrets, plain=True
        )
        return identifier if is_plain(identifier) else (identifier,)

    async def opened_order(
        self, request: web.Request, holder: CredentialHolder
    ) -> tuple[dict[str, Any], list[Any]]:
        """Members of an order but for those whom it names, and these.

        Raises:
            ProblemError: 422, it cannot be used; 503, it could not be read.
        """
        data = await body_of(request, holder)
        if len(data) > documents.MOST:
            return await self._opened(data, documents.OrderNames(), "order")
        try:
            body = documents.object_of(data, named=True)
            listed = body.pop(documents.IDENTIFIERS, None)
            if listed is None:
                return body, [body.pop(documents.IDENTIFIER, None)]
            return body, documents.texts_of(listed)
        except documents.DocumentError as error:
            raise unreadable(str(error)) from error

    async def check_entitled(self, facts: Iterable[Fact], origin: Origin) -> None:
        """Refuse what goes beyond the grants of the authority that is spoken for.

        Raises:
            ProblemError: 422.
        """
        rights = self._speakers.rights(origin.authority)
        try:
            await in_turns(_checking(facts, origin, rights))
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


def _wrong_lines(wrong: Mapping[int, str]) -> ProblemError:
    """Problem of an order of which some lines cannot be read: nothing of it is done."""
    shown = [f"line {number}: {why}" for number, why in wrong.items()][:MOST_WRONG]
    more = len(wrong) - len(shown)
    shown += [f"and {more} lines more"] if more else []
    detail = f"nothing is done, for some lines cannot be read: {'; '.join(shown)}"
    status = http.HTTPStatus.UNPROCESSABLE_ENTITY
    return ProblemError(status, "unreadable request", detail, lines=[*wrong][:1000])


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
    finish(_checking(facts, origin, rights))
    return facts


def _checking(
    facts: Iterable[Fact], origin: Origin, rights: Entitlements
) -> Steps[None]:
    if origin.authority == OPERATORS:
        return
    if origin.authority == CONTAINMENT:
        if all(isinstance(fact, Lift) for fact in facts):
            return
        raise DeclarationError(f"{CONTAINMENT} speaks by its rules: it can be lifted")
    for fact in facts:
        yield
        if not entitled(fact, rights.grants):
            names = ", ".join(map(str, targets(fact) or ()))
            message = f"the authority {origin.authority} may not speak of {names}"
            raise DeclarationError(message)
