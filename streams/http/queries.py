"""Questions to the table: verdict and why, blast radius, inventory."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web
from attrs import define

from agents_registry import inventory
from agents_registry.causes import reference
from enforcement.turns import undisturbed
from streams.http.query_values import limit_of, number_of, time_of
from streams.http.table_answers import (
    cause_as_plain,
    explained,
    table_row,
    undeclared_as_plain,
)
from streams.http.table_questions import TableQuestions
from streams.process.aside import collected, walked
from streams.stages.access.agent_kinds import is_account

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.ports.table_reader import Table

T = TypeVar("T")


@define(eq=False, repr=False)
class Queries(TableQuestions):
    """Handlers of the questions to a table as a whole, and to one identifier."""

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/why/{identifier:(?s:.+)}", self.why)
        app.router.add_get("/v1/blast-radius/{identifier:(?s:.+)}", self.blast_radius)
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
