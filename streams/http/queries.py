"""Questions to the table: why, blast radius, inventory; and what was found."""

from __future__ import annotations

import asyncio
import http
import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

import orjson
from aiohttp import web

from agents_registry import inventory
from agents_registry.verdict import CauseRef, Presented, death, judge, reference
from streams.http.problems import ProblemError, unreadable
from streams.intake import token_of
from streams.stages import episodes
from streams.stages.silences import Silence, mark
from streams.times import AbsurdTimeError, parse_time, rfc3339
from streams.typed_names import identifier_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from streams.engine.stages import Stages
    from streams.engine.store import Store
    from streams.http.auth import Tokens

T = TypeVar("T")

LIMIT: Final = 1000
MOST: Final = 100_000
TRIES: Final = 5
MOST_DIGITS: Final = 19
LARGEST: Final = 2**63 - 1  # what SQLite can count to


class Table(NamedTuple):
    """The table of a realm, and the token of how far it is."""

    registry: Registry
    as_of: str


class Tables(Protocol):
    """What gives the tables, whatever the engine."""

    def table(self, realm: str | None) -> Table:
        """Give the table of a realm, of the settings' own by default.

        Raises:
            ProblemError: it is not here, or not yet.
        """
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


class Queries:
    """Handlers of the questions to a table; all need the role viewer or revoker.

    Each takes ``?realm=``, where an engine has several.
    """

    def __init__(
        self, tokens: Tokens, tables: Tables, clock: Callable[[], int]
    ) -> None:
        """Answer from tables."""
        self._tokens = tokens
        self._tables = tables
        self._clock = clock

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/why/{identifier:.+}", self.why)
        app.router.add_get("/v1/blast-radius/{identifier:.+}", self.blast_radius)
        app.router.add_get("/v1/inventory", self.inventory)
        app.router.add_get("/v1/table", self.table)

    async def why(self, request: web.Request) -> web.Response:
        """Say whether an identifier lives, and why not; ``?at=`` asks for the past."""
        registry, as_of = self._table(request)
        identifier = _identifier(request)
        now = self._clock()
        verdict = judge(registry, Presented((identifier,)), now=now)
        at = _time(request.query.get("at"))
        died = death(registry, identifier, at=at, inclusive=True)
        path = died.path if died is not None else verdict.path
        return _json({
            "identifier": str(identifier),
            "allowed": verdict.allowed,
            "reason": verdict.reason.value,
            "dead": died is not None,
            "via": None if died is None else died.via,
            "path": [str(name) for name in path],
            "cause": _cause(died.cause if died is not None else verdict.cause),
            "ancestors": [
                [str(name), depth]
                for name, depth in itertools.islice(
                    inventory.ancestors(registry, identifier), LIMIT
                )
            ],
            "as_of": as_of,
        })  # fmt: skip

    async def blast_radius(self, request: web.Request) -> web.Response:
        """Count what ending an identifier would reach, and list the nearest."""
        registry, _ = self._table(request)
        identifier = _identifier(request)
        limit = limit_of(request)

        def count() -> dict[str, Any]:
            reached = inventory.blast_radius(registry, identifier)
            nearest = itertools.islice(inventory.affected(registry, identifier), limit)
            return {
                "identifier": str(identifier),
                "total": reached.total,
                "by_kind": reached.by_kind,
                "created": [str(name) for name in reached.created],
                "identifiers": [[str(name), depth] for name, depth in nearest],
            }

        return _json(await _aside(count))

    async def inventory(self, request: web.Request) -> web.Response:
        """List what stands out."""
        registry, _ = self._table(request)
        limit = limit_of(request)

        def look() -> dict[str, Any]:
            first = itertools.islice
            shared = inventory.shared_service_accounts(registry)
            return {
                "identifiers": len(registry.lineage),
                "ownerless": [*map(str, first(inventory.ownerless(registry), limit))],
                "shared_service_accounts": [
                    {"account": str(account), "agents": [*map(str, agents)]}
                    for account, agents in first(shared, limit)
                ],
                "excess_scopes": [
                    {"child": str(child), "ancestor": str(above), "scopes": [*scopes]}
                    for child, above, scopes in first(
                        inventory.excess_scopes(registry), limit
                    )
                ],
                "unmapped": [*map(str, first(inventory.unmapped(registry), limit))],
                "ambiguous_lifts": [
                    _cause(reference(registry, cause))
                    for cause in first(inventory.ambiguous_lifts(registry), limit)
                ],
                "unapplied": [
                    _cause(reference(registry, cause))
                    for cause in first(inventory.unapplied(registry), limit)
                ],
            }

        return _json(await _aside(look))

    async def table(self, request: web.Request) -> web.Response:
        """Give the whole table, sorted, as it is at ``?now=`` (ns)."""
        registry, as_of = self._table(request)
        now = number_of(request, "now", self._clock())

        def rows() -> list[list[Any]]:
            return [table_row(row) for row in inventory.table(registry, now)]

        return _json({"as_of": as_of, "rows": await _aside(rows)})

    def _table(self, request: web.Request) -> Table:
        self._tokens.holder(request, "viewer", "revoker", any_realm=True)
        return self._tables.table(request.query.get("realm"))


class Lists:
    """Handlers of what the embedded engine keeps in lists; all need the role viewer."""

    def __init__(
        self,
        tokens: Tokens,
        store: Store,
        silences: Callable[[], tuple[Silence, ...]] = tuple,
    ) -> None:
        """Answer from the store; ``silences`` gives those in force."""
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
        rows = await self._store.read(query, after, limit_of(request))
        found, silences = [], self._silences()
        for changed, body in rows:
            episode = orjson.loads(body)
            finding = episode["finding"] | {"open": episode["open"], "changed": changed}
            known = episodes.from_plain(episode["finding"])
            finding["silenced"] = mark(known, silences) if episode["open"] else None
            for name in ("first_seen", "last_seen", "cause_at"):
                finding[name] = rfc3339(finding[name])
            found.append(finding)
        return _json({"findings": found, "after": rows[-1][0] if rows else after})

    async def dlq(self, request: web.Request) -> web.Response:
        """List dead letters; ``?after=`` continues a list."""
        self._tokens.holder(request, "viewer")
        after = number_of(request, "after", -1)
        names = ("offset", "at", "source", "authority", "reason", "position", "length",
                 "digest", "event_id")  # fmt: skip
        query = (
            f"SELECT {', '.join(names)} FROM dlq"  # noqa: S608 - constant names
            " WHERE offset > ? ORDER BY offset LIMIT ?"
        )
        rows = await self._store.read(query, after, limit_of(request))
        letters = [dict(zip(names, row, strict=True)) for row in rows]
        for letter in letters:
            letter["at"] = rfc3339(letter["at"])
        last = rows[-1][0] if rows else after
        return _json({"dead_letters": letters, "after": last})


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


async def _aside(question: Callable[[], T]) -> T:
    """Ask the table in another thread, so that guards get their pongs meanwhile.

    Facts go on being applied: where that disturbs a walk, it is done again.
    """
    for _ in range(TRIES):
        try:
            return await asyncio.to_thread(question)
        except (RuntimeError, IndexError):
            continue
    status = http.HTTPStatus.SERVICE_UNAVAILABLE
    raise ProblemError(status, "busy", "the table changes too fast; try again")


def _json(document: Any) -> web.Response:
    body = orjson.dumps(document)
    return web.Response(body=body, content_type="application/json")


def _identifier(request: web.Request) -> Identifier:
    try:
        return identifier_of(request.match_info["identifier"])
    except ValueError as error:
        raise unreadable(str(error)) from error


def number_of(request: web.Request, name: str, default: int) -> int:
    """Read a natural number of the query.

    Raises:
        ProblemError: 422, it is none.
    """
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS:
        raise unreadable(f"{name} is a natural number")
    if int(text) > LARGEST:
        raise unreadable(f"{name} is at most {LARGEST}")
    return int(text)


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
        time = parse_time(text)
    except AbsurdTimeError as error:
        raise unreadable(f"at: {error}") from error
    if time is None:
        raise unreadable("at is a time: write it as RFC 3339")
    return time


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
