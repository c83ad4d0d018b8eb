"""Questions to the table: verdict and why, blast radius, inventory."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohttp import web
from attrs import define

from agents_registry import inventory
from agents_registry.causes import reference
from agents_registry.identifiers import ATTRIBUTE, class_of
from agents_registry.lineage import NONE
from enforcement.turns import undisturbed
from streams.http.names import as_given, hashed, vault_silent
from streams.http.problems import unavailable, unreadable
from streams.http.query_values import limit_of, number_of, time_of
from streams.http.table_answers import (
    cause_as_plain,
    explained,
    table_row,
    undeclared_as_plain,
)
from streams.process.aside import Aside, collected, here, packed, walked
from streams.services.secret_names import PlainSecretError, SecretNames
from streams.services.typed_names import VaultError, identifier_of, unknown_kind
from streams.stages.access.agent_kinds import is_account

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from streams.http.auth import Tokens
    from streams.http.names import Naming
    from streams.ports.table_reader import Table, TableReader

T = TypeVar("T")

TRIES: Final = 5
ANSWER_SECONDS: Final = 60.0
IN_A_URL: Final = (
    "a secret stands in no URL: post it to /v1/names as the identifier, and ask for "
    "the name that this gives"
)


@define(eq=False, repr=False)
class Queries:
    """Handlers of the questions to a table; all need the role viewer or revoker.

    Each takes ``?realm=``, where an engine has several.

    Attributes:
        tokens: who may ask.
        tables: give the table of a realm.
        clock: gives the time (ns).
        secrets: names those that are asked about.
        aside: gets to the event loop that the tables belong to.
        in_logs: gives the names that audit logs have for one in plain text.
    """

    _tokens: Tokens
    _tables: TableReader
    _clock: Callable[[], int]
    _secrets: SecretNames
    _aside: Aside = here
    _in_logs: Naming = as_given

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/why/{identifier:.+}", self.why)
        app.router.add_get("/v1/blast-radius/{identifier:.+}", self.blast_radius)
        app.router.add_get("/v1/inventory", self.inventory)
        app.router.add_get("/v1/table", self.table)

    async def why(self, request: web.Request) -> web.Response:
        """Say whether an identifier lives, and why not; ``?at=`` asks for the past."""
        self._let_in(request)
        identifier = await self._identifier(request)
        at = time_of(request.query.get("at"))

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
            acting = None if shown is None else await first(undeclared_as_plain(shown))
            told = {each["identifier"] for each in acting or ()}
            unmapped = (u for u in inventory.unmapped(registry) if str(u) not in told)
            return {
                "identifiers": len(registry.lineage),
                "undeclared": acting,
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
                "unmapped": [*map(str, await first(unmapped))],
                "ambiguous_lifts": [
                    cause_as_plain(reference(registry, cause))
                    for cause in await first(inventory.ambiguous_lifts(registry))
                ],
                "unapplied": [
                    cause_as_plain(reference(registry, cause))
                    for cause in await first(inventory.unapplied(registry))
                ],
            }

        return await self._ask(request, looked)

    async def table(self, request: web.Request) -> web.Response:
        """Return the the whole table, sorted, as it is at ``?now=`` (ns)."""
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
            name, *_ = await self._in_logs(hashed(identifier_of(text)))
            self._check_kind(name, request)
            return name
        except VaultError as error:
            raise vault_silent(error) from error
        except ValueError as error:
            raise unreadable(str(error)) from error

    def _check_kind(self, name: Identifier, request: web.Request) -> None:
        """Refuse what no source can ever tell of: mostly it is a slip of the pen."""
        lineage = self._tables.table(request.query.get("realm")).registry.lineage
        kind = name.kind
        known = class_of(kind, lineage.vocabulary) is not None
        declared = known or kind.startswith(ATTRIBUTE)
        # Of a mapping that was taken out of the settings the table may know names.
        if not declared and lineage.find(name) == NONE:
            raise ValueError(unknown_kind(kind, lineage.vocabulary))

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
            raise unavailable("busy", "the table changes too fast; try again")

        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                body = await self._aside(answer)
        except TimeoutError as error:
            detail = "the analysis is busy; try again, or ask for less"
            raise unavailable("busy", detail) from error
        return web.Response(body=body, content_type="application/json")
