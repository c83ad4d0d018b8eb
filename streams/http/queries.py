"""Questions to the table: why, blast radius, inventory; and what was found."""

from __future__ import annotations

import asyncio
import functools
import http
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

import orjson
from aiohttp import web

from agents_registry import inventory
from agents_registry.causes import CauseRef, reference
from agents_registry.death import Fate, latest_mark
from agents_registry.lineage import NONE
from agents_registry.presentation import Presented
from agents_registry.verdict import judging
from streams.engines.embedded.dead_letters import NAMES, row_as_plain
from streams.http.operators import json_object
from streams.http.problems import ProblemError, unreadable
from streams.model.times import rfc3339, typed_time
from streams.process.aside import Aside, collected, here, packed, walked
from streams.process.turns import undisturbed
from streams.services.intake import token_of
from streams.services.secret_names import PlainSecretError, SecretNames
from streams.services.typed_names import (
    UnhashedError,
    VaultError,
    identifier_of,
    is_plain,
    is_plain_secret,
)
from streams.stages.access.agent_kinds import is_account
from streams.stages.notify.silences import Silence, mark
from streams.stages.sentinel import episodes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.engines.embedded.stages import Stages
    from streams.engines.embedded.store import Store
    from streams.http.auth import Tokens
    from streams.stages.sentinel.unknown_agents import Shown

    Naming = Callable[[Identifier], Awaitable[tuple[Identifier, ...]]]

T = TypeVar("T")

LIMIT: Final = 1000
MAKERS: Final = 10  # mostly it is one
MOST: Final = 100_000
TRIES: Final = 5
ANSWER_SECONDS: Final = 60.0
MOST_DIGITS: Final = 19
LARGEST: Final = 2**63 - 1  # what SQLite can count to


class Table(NamedTuple):
    """The table of a realm, and the token of how far it is."""

    registry: Registry
    as_of: str


class TableReader(Protocol):
    """What gives the tables, whatever the engine."""

    def table(self, realm: str | None) -> Table:
        """Give the table of a realm, of the settings' own by default.

        Raises:
            ProblemError: it is not here, or not yet.
        """
        ...

    def undeclared(self, realm: str | None) -> Iterable[Shown] | None:
        """Give what is in use in a realm and nobody declared; None: others know."""
        ...


class StageTables:
    """The one table of the embedded engine."""

    def __init__(self, stages: Stages, store: Store, realm: str) -> None:
        """Give the stages' table."""
        self._stages = stages
        self._store = store
        self._realm = realm

    def table(self, realm: str | None) -> Table:
        """Give it once it is read, to who asks for its realm."""
        if realm not in (None, self._realm):
            raise ProblemError(http.HTTPStatus.NOT_FOUND, "unknown realm")
        if not self._stages.loaded.is_set():
            status = http.HTTPStatus.SERVICE_UNAVAILABLE
            raise ProblemError(status, "loading", "the table is being read; try again")
        as_of = token_of(self._store.genesis, self._stages.applied)
        return Table(self._stages.registry, as_of)

    def undeclared(self, realm: str | None) -> Iterable[Shown] | None:  # noqa: ARG002
        """Give what the sentinel tells of; there is one realm."""
        return self._stages.sentinel.undeclared()

    def knows(self, identifier: Identifier) -> bool | None:
        """Tell whether any fact names it; None: the table is not read yet."""
        if not self._stages.loaded.is_set():
            return None
        return self._stages.registry.lineage.find(identifier) != NONE


async def as_given(identifier: Identifier) -> tuple[Identifier, ...]:
    """Give the name of an audit log where no vault can be asked for it.

    Raises:
        UnhashedError: it is a secret of a vault.
    """
    return (_hashed(identifier),)


IN_A_URL: Final = (
    "a secret stands in no URL: post it to /v1/names as the identifier, and ask for "
    "the name that this gives"
)


class Queries:
    """Handlers of the questions to a table; all need the role viewer or revoker.

    Each takes ``?realm=``, where an engine has several.
    """

    def __init__(
        self,
        tokens: Tokens,
        tables: TableReader,
        clock: Callable[[], int],
        secrets: SecretNames,
        aside: Aside = here,
        in_logs: Naming = as_given,
    ) -> None:
        """Answer from tables.

        Args:
            tokens: who may ask.
            tables: give the table of a realm.
            clock: gives the time (ns).
            secrets: names those that are asked about.
            aside: gets to the event loop that the tables belong to.
            in_logs: gives the names that audit logs have for one in plain text.
        """
        self._in_logs = in_logs
        self._secrets = secrets
        self._tokens = tokens
        self._tables = tables
        self._clock = clock
        self._aside = aside

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_post("/v1/names", self.names)
        app.router.add_get("/v1/why/{identifier:.+}", self.why)
        app.router.add_get("/v1/blast-radius/{identifier:.+}", self.blast_radius)
        app.router.add_get("/v1/inventory", self.inventory)
        app.router.add_get("/v1/table", self.table)

    async def names(self, request: web.Request) -> web.Response:
        """Give the names of what somebody names, by value where it is a secret.

        A secret must stand in no URL, where the questions have their identifier.
        """
        holder = self._tokens.holder(
            request, "viewer", "revoker", "restorer", any_realm=True
        )
        self._tables.table(request.query.get("realm"))  # a realm that is not here
        body = await json_object(request, holder, named=True)
        text = body.get("identifier")
        if not isinstance(text, str):
            raise unreadable("identifier is a text, kind:value")
        try:
            secret = self._secrets.plain(text)
            given = identifier_of(text) if secret is None else secret
            found: tuple[Identifier, ...]
            if is_plain(given):
                found = await self._in_logs(given)
            else:
                found = (given,) if secret is None else self._secrets.names(secret)
        except VaultError as error:
            raise _silent(error) from error
        except ValueError as error:
            raise unreadable(str(error)) from error
        hashed = secret is not None
        return _json({"identifiers": [*map(str, found)], "hashed": hashed})

    async def why(self, request: web.Request) -> web.Response:
        """Say whether an identifier lives, and why not; ``?at=`` asks for the past."""
        self._let_in(request)
        identifier = await self._identifier(request)
        at = _time(request.query.get("at"))

        async def judged(table: Table) -> dict[str, Any]:
            registry, as_of = table
            now = self._clock()
            told = await undisturbed(
                registry, lambda: explained(registry, identifier, now, at)
            )
            return told | {"as_of": as_of}

        return await self._ask(request, judged)

    async def blast_radius(self, request: web.Request) -> web.Response:
        """Count what ending an identifier would reach, and list the nearest."""
        self._let_in(request)
        identifier = await self._identifier(request)
        limit = limit_of(request)

        async def counted(table: Table) -> dict[str, Any]:
            registry = table.registry
            by_kind: Counter[str] = Counter()
            nearest: list[list[Any]] = []

            def reached() -> Iterator[None]:
                for name, depth in inventory.affected(registry, identifier):
                    by_kind[name.kind] += 1
                    if len(nearest) < limit:
                        nearest.append([str(name), depth])
                    yield

            await walked(reached())
            made: list[str] = []
            left = 0

            def alive() -> Iterator[None]:
                nonlocal left
                for name in inventory.created_below(registry, identifier):
                    left += name is not None
                    if name is not None and len(made) < limit:
                        made.append(str(name))
                    yield

            await walked(alive())
            return {
                "identifier": str(identifier),
                "total": by_kind.total(),
                "by_kind": by_kind,
                "created": made,
                "created_total": left,
                "identifiers": nearest,
            }

        return await self._ask(request, counted)

    async def inventory(self, request: web.Request) -> web.Response:
        """List what stands out."""
        self._let_in(request)
        limit = limit_of(request)

        async def looked(table: Table) -> dict[str, Any]:
            registry = table.registry

            async def first(found: Iterable[T]) -> list[T]:
                return await collected(itertools.islice(found, limit))

            shown = self._tables.undeclared(request.query.get("realm"))
            return {
                "identifiers": len(registry.lineage),
                "undeclared": None
                if shown is None
                else await first(_undeclared(shown)),
                "ownerless": [*map(str, await first(inventory.ownerless(registry)))],
                "shared_service_accounts": [
                    {"account": str(account), "agents": [*map(str, agents)]}
                    for account, agents in await first(
                        inventory.shared_service_accounts(registry, is_account)
                    )
                ],
                "excess_scopes": [
                    {"child": str(child), "ancestor": str(above), "scopes": [*scopes]}
                    for child, above, scopes in await first(
                        inventory.excess_scopes(registry)
                    )
                ],
                "unmapped": [*map(str, await first(inventory.unmapped(registry)))],
                "ambiguous_lifts": [
                    _cause(reference(registry, cause))
                    for cause in await first(inventory.ambiguous_lifts(registry))
                ],
                "unapplied": [
                    _cause(reference(registry, cause))
                    for cause in await first(inventory.unapplied(registry))
                ],
            }

        return await self._ask(request, looked)

    async def table(self, request: web.Request) -> web.Response:
        """Give the whole table, sorted, as it is at ``?now=`` (ns)."""
        self._let_in(request)
        now = number_of(request, "now", self._clock())

        async def rows(table: Table) -> dict[str, Any]:
            found = await collected(inventory.rows(table.registry, now))
            sort = functools.partial(sorted, found)
            ordered = await asyncio.to_thread(sort)
            told = await collected(map(table_row, ordered))
            return {"as_of": table.as_of, "rows": told}

        return await self._ask(request, rows)

    async def _identifier(self, request: web.Request) -> Identifier:
        text = request.match_info["identifier"]
        try:
            if self._secrets.plain(text) is not None:
                raise PlainSecretError(IN_A_URL)
            name, *_ = await self._in_logs(_hashed(identifier_of(text)))
            return name
        except VaultError as error:
            raise _silent(error) from error
        except ValueError as error:
            raise unreadable(str(error)) from error

    def _let_in(self, request: web.Request) -> None:
        self._tokens.holder(request, "viewer", "revoker", "restorer", any_realm=True)

    async def _ask(
        self,
        request: web.Request,
        question: Callable[[Table], Coroutine[Any, Any, dict[str, Any]]],
    ) -> web.Response:
        """Ask a table in its event loop, in slices between which facts are applied.

        Where that disturbs a walk, it is done again.
        """
        realm = request.query.get("realm")
        self._tables.table(realm)  # where there is none, nobody has to be asked

        async def answer() -> bytes:
            for _ in range(TRIES):
                try:
                    found = await question(self._tables.table(realm))
                except (RuntimeError, IndexError):
                    continue
                return await packed(found)
            raise _busy("the table changes too fast; try again")

        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                body = await self._aside(answer)
        except TimeoutError as error:
            raise _busy("the analysis is busy; try again, or ask for less") from error
        return web.Response(body=body, content_type="application/json")


def _undeclared(shown: Iterable[Shown]) -> Iterator[dict[str, Any]]:
    """Give what is in use and undeclared as JSON-ready values, each name once."""
    found: dict[str, Shown] = {}
    for each in shown:
        before = found.get(each.name)
        found[each.name] = each if before is None else _both(before, each)
    for each in found.values():
        yield {
            "identifier": each.name,
            "what": each.what,
            "first_seen": rfc3339(each.first_seen),
            "last_seen": rfc3339(each.last_seen),
            "points": each.points,
            "credentials": each.credentials,
        }


def _both(one: Shown, other: Shown) -> Shown:
    return one._replace(
        first_seen=min(one.first_seen, other.first_seen),
        last_seen=max(one.last_seen, other.last_seen),
        points=sorted({*one.points, *other.points}),
    )


def _hashed(identifier: Identifier) -> Identifier:
    """Give an identifier that is no secret of a vault, whose HMAC only a vault knows.

    Raises:
        UnhashedError: it is one.
    """
    if is_plain_secret(identifier):
        raise UnhashedError(identifier.kind)
    return identifier


class Lists:
    """Handlers of what the embedded engine keeps in lists; all need the role viewer."""

    def __init__(
        self,
        tokens: Tokens,
        store: Store,
        silences: Callable[[], tuple[Silence, ...]] = tuple,
        aside: Aside = here,
    ) -> None:
        """Answer from the store; ``silences`` gives those in force."""
        self._aside = aside
        self._tokens = tokens
        self._store = store
        self._silences = silences

    async def findings(self, request: web.Request) -> web.Response:
        """List findings by their last change; ``?after=`` continues a list.

        An open one that is not told now says which silence covers it, and why.
        """
        self._tokens.holder(request, "viewer")
        after = number_of(request, "after", 0)
        query = (
            "SELECT changed, body FROM findings WHERE changed > ?"
            " ORDER BY changed LIMIT ?"
        )
        limit = limit_of(request)

        async def listed() -> bytes:
            rows = await self._store.read(query, after, limit)
            silences = self._silences()
            found = await collected(
                _finding(changed, each, silences) for changed, each in rows
            )
            last = rows[-1][0] if rows else after
            return await packed({"findings": found, "after": last})

        body = await self._aside(listed)
        return web.Response(body=body, content_type="application/json")

    async def dlq(self, request: web.Request) -> web.Response:
        """List dead letters by their last change; ``?after=`` continues a list."""
        self._tokens.holder(request, "viewer")
        after = number_of(request, "after", -1)
        query = (
            f"SELECT {', '.join(NAMES)} FROM dlq"  # noqa: S608 - constant names
            " WHERE offset > ? ORDER BY offset LIMIT ?"
        )
        rows = await self._store.read(query, after, limit_of(request))
        letters = [row_as_plain(row) for row in rows]
        for letter in letters:
            letter |= {name: rfc3339(letter[name]) for name in ("at", "last_at")}
        last = rows[-1][0] if rows else after
        return _json({"dead_letters": letters, "after": last})


def _finding(changed: int, body: bytes, silences: tuple[Silence, ...]) -> Any:
    episode = orjson.loads(body)
    finding = episode["finding"] | {"open": episode["open"], "changed": changed}
    known = episodes.from_plain(episode["finding"])
    finding["silenced"] = mark(known, silences) if episode["open"] else None
    for name in ("first_seen", "last_seen", "cause_at"):
        finding[name] = rfc3339(finding[name])
    return finding


def table_row(row: inventory.Row) -> list[Any]:
    """Give a row of the table as JSON-ready values."""
    return [
        str(row.identifier),
        row.allowed,
        row.reason,
        list(row.causes),
        row.expires_at,
        [list(scopes) for scopes in row.scopes],
        [[str(owner) for owner in owners] for owners in row.owners],
    ]


def _json(document: Any) -> web.Response:
    body = orjson.dumps(document)
    return web.Response(body=body, content_type="application/json")


def _silent(error: VaultError) -> ProblemError:
    status = http.HTTPStatus.SERVICE_UNAVAILABLE
    detail = f"{error}; try again, or name it as its audit log does"
    return ProblemError(status, "a vault does not answer", detail)


def _busy(detail: str) -> ProblemError:
    return ProblemError(http.HTTPStatus.SERVICE_UNAVAILABLE, "busy", detail)


def number_of(request: web.Request, name: str, default: int) -> int:
    """Read a natural number of the query.

    Raises:
        ProblemError: 422, it is none.
    """
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS:
        raise unreadable(f"{name} is a natural number of up to {MOST_DIGITS} digits")
    if int(text) > LARGEST:
        raise unreadable(f"{name} is at most {LARGEST}")
    return int(text)


def explained(
    registry: Registry, identifier: Identifier, now: int, at: int | None
) -> Steps[dict[str, Any]]:
    """Say whether an identifier lives, and why not, as JSON-ready values.

    Args:
        registry: the table.
        identifier: that is asked about.
        now: ns.
        at: a time in the past, if it is asked about that (ns).
    """
    verdict = yield from judging(registry, Presented((identifier,)), now=now)
    fate = Fate(registry, identifier)
    died = yield from fate.dying(at=at, inclusive=True)
    watermark = latest_mark((yield from fate.causes_above()))
    path = died.path if died is not None else verdict.path
    above = []
    for name, depth in itertools.islice(
        inventory.ancestors(registry, identifier), LIMIT
    ):
        yield
        above.append([str(name), depth])
    makers = []
    for maker in inventory.creators(registry, identifier)[:MAKERS]:
        judged = yield from judging(registry, Presented((maker,)), now=now)
        makers.append({"identifier": str(maker), "allowed": judged.allowed})
    return {
        "identifier": str(identifier),
        "allowed": verdict.allowed,
        "reason": verdict.reason.value,
        "dead": died is not None,
        "via": None if died is None else died.via,
        "path": [str(name) for name in path],
        "cause": _cause(died.cause if died is not None else verdict.cause),
        "lives_if_issued_after": None if watermark is None else rfc3339(watermark),
        "ancestors": above,
        "created_by": makers,
        "created": len(inventory.created_by(registry, identifier)),
    }


def limit_of(request: web.Request) -> int:
    """Read how much an answer may list.

    Raises:
        ProblemError: 422, it is not from 1 to MOST.
    """
    limit = number_of(request, "limit", LIMIT)
    if not 0 < limit <= MOST:
        raise unreadable(f"limit is a number from 1 to {MOST}")
    return limit


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return typed_time(text)
    except ValueError as error:
        raise unreadable(f"at {error}") from error


def _cause(cause: CauseRef | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    return {
        "id": cause.fact_id,
        "target": str(cause.target),
        "effect": cause.effect.value,
        "reach": cause.reach.value,
        "authority": cause.authority,
        "at": rfc3339(cause.at),
    }
