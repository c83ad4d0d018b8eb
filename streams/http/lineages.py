"""Questions about one node: what is around it, what is stated about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from agents_registry.lineage import NONE
from enforcement.turns import in_turns, undisturbed
from streams.http.problems import unreadable
from streams.http.query_values import number_of, texts_of
from streams.http.table_questions import TableQuestions
from streams.stages.lineage.answer import WalkWithUses, alone, telling
from streams.stages.lineage.node import stating
from streams.stages.lineage.ranking import printing, shortlisting
from streams.stages.lineage.walk import walking

if TYPE_CHECKING:
    from aiohttp import web

    from agents_registry.identifiers import Identifier
    from streams.http.reach import LastUses
    from streams.ports.table_reader import Table

SHOWN: Final = 100
MOST_SHOWN: Final = 300
MOST_EXPANDED: Final = 32
MOST_LATE: Final = 32


@define(eq=False, repr=False)
class Lineages(TableQuestions):
    """Handlers of ``/v1/lineage`` and ``/v1/nodes``.

    Attributes:
        uses: finds last uses.
    """

    _uses: LastUses = field(kw_only=True)

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/lineage/{identifier:(?s:.+)}", self.lineage)
        app.router.add_get("/v1/nodes/{identifier:(?s:.+)}", self.node)

    async def lineage(self, request: web.Request) -> web.Response:
        """Show what is around an identifier, and count what is left out."""
        self._let_in(request)
        identifier = await self._identifier(request)
        limit = number_of(request, "limit", SHOWN)
        if not 0 < limit <= MOST_SHOWN:
            raise unreadable(f"limit is a number from 1 to {MOST_SHOWN}")
        expand, late = await self._expanded(request), _late(request)

        async def looked(table: Table) -> dict[str, Any]:
            shown = await self._around(request, table, identifier, expand, late, limit)
            return {
                "identifier": str(identifier),
                "as_of": table.as_of,
                "limit": limit,
                **shown,
            }

        return await self._ask(request, looked)

    async def node(self, request: web.Request) -> web.Response:
        """Say what is stated about an identifier."""
        self._let_in(request)
        identifier = await self._identifier(request)

        async def stated(table: Table) -> dict[str, Any]:
            registry, now = table.registry, self._clock()
            told = await undisturbed(
                registry, lambda: stating(registry, identifier, now)
            )
            return told | {"as_of": table.as_of}

        return await self._ask(request, stated)

    async def _expanded(self, request: web.Request) -> list[Identifier]:
        texts = texts_of(request, "expand", MOST_EXPANDED)
        return [await self._named(request, text) for text in texts]

    async def _around(
        self,
        request: web.Request,
        table: Table,
        identifier: Identifier,
        expand: list[Identifier],
        late: frozenset[bytes],
        limit: int,
    ) -> dict[str, Any]:
        registry = table.registry
        start = registry.lineage.find(identifier)
        if start == NONE:
            return alone()
        around = await in_turns(walking(registry, identifier, start))
        shortlist = await in_turns(shortlisting(around, expand))
        prints = await in_turns(printing(around, shortlist.places))
        uses, missing = await self._uses(request, prints)
        looked = WalkWithUses(around, shortlist, prints, uses, late)
        now = self._clock()
        told = await undisturbed(registry, lambda: telling(looked, limit, now))
        incomplete = [{"of": "uses", "detail": missing}] if missing else []
        return {"known": True, **told, "incomplete": incomplete}


def _late(request: web.Request) -> frozenset[bytes]:
    """Read which revocations are not at every guard yet: whoever asks knows that.

    Raises:
        ProblemError: 422, these are no ids of revocations.
    """
    try:
        return frozenset(map(bytes.fromhex, texts_of(request, "late", MOST_LATE)))
    except ValueError as error:
        raise unreadable("late holds ids of revocations") from error
