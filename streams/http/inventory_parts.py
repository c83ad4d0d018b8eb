"""Parts of an inventory: ``GET /v1/inventory/{list}``, one list, from a place on."""

from __future__ import annotations

import asyncio
import hashlib
import http
import itertools
import re
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from enforcement.turns import in_turns
from streams.http.problems import ProblemError, unreadable
from streams.http.query_values import limit_of, number_of
from streams.http.table_answers import undeclared_as_plain
from streams.http.table_questions import TableQuestions
from streams.model.times import duration
from streams.process.aside import collected
from streams.services.inventory_rows import (
    ALLOWED,
    DENIED,
    EXPIRING,
    LISTS,
    OWNED,
    InventoryFilter,
    InventoryRows,
)
from streams.services.typed_names import identifier_of

if TYPE_CHECKING:
    from aiohttp import web

    from agents_registry.steps import Steps
    from streams.ports.table_reader import Table

LIMIT: Final = 50
MOST: Final = 1000
LONGEST: Final = 256  # characters of a text that names have to hold
_NUMBER: Final = re.compile("[0-9]{1,19}")
LOOK_SECONDS: Final = 0.5  # that one part may look for rows


@define(eq=False, repr=False)
class InventoryParts(TableQuestions):
    """Handler of the lists; roles as of the whole inventory."""

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        add = app.router.add_get
        add("/v1/inventory/undeclared", self.undeclared, allow_head=False)
        add("/v1/inventory/{list}", self.part, allow_head=False)

    async def part(self, request: web.Request) -> web.Response:
        """Return some rows of a list, and behind what the next part comes."""
        self._let_in(request)
        wanted = _wanted(request)
        limit = number_of(request, "limit", LIMIT)
        if not 0 < limit <= MOST:
            raise unreadable(f"limit is a number from 1 to {MOST}")
        after = request.query.get("after", "")

        async def looked(table: Table) -> dict[str, Any]:
            rows = InventoryRows(table.registry, wanted, self._clock())
            part = _soonest if wanted.list == EXPIRING else _behind
            told = {"list": wanted.list, "names": len(table.registry.lineage)}
            return told | await part(rows, after, limit) | {"as_of": table.as_of}

        return await self._ask(request, looked)

    async def undeclared(self, request: web.Request) -> web.Response:
        """List what is in use and was not declared; null where others know it."""
        self._let_in(request)
        limit = limit_of(request)

        async def looked(table: Table) -> dict[str, Any]:
            shown = self._tables.undeclared(request.query.get("realm"))
            found = () if shown is None else undeclared_as_plain(shown)
            rows = await collected(itertools.islice(found, limit))
            return {
                "undeclared": None if shown is None else rows,
                "as_of": table.as_of,
            }

        return await self._ask(request, looked)


async def _behind(rows: InventoryRows, after: str, limit: int) -> dict[str, Any]:
    """Rows from a place on, as many as there is time for.

    Raises:
        ProblemError: 409, the table is another one; 422, there is no such place.
    """
    start = _place(rows, after)
    time = asyncio.get_running_loop().time
    until, place = time() + LOOK_SECONDS, start
    found: list[dict[str, Any]] = []
    more = False

    def steps() -> Steps[None]:
        nonlocal place, more
        for behind, row in rows.looked(start):
            place = behind
            if row is not None:
                found.append(row)
            yield
            # A part that got nowhere would look like the end of the list.
            if len(found) == limit or (place > start and time() > until):
                more = True
                return

    await in_turns(steps())
    mark = rows.mark(place) if more else None
    return {
        "rows": found,
        "looked": [start, place],
        "after": None if mark is None else f"{place}.{_digest(mark)}",
    }


def _place(rows: InventoryRows, after: str) -> int:
    if not after:
        return 0
    place, digest = _numbered(after)
    mark = rows.mark(place)
    if mark is None or _digest(mark) != digest:
        detail = "the table was built anew since: begin again, without `after`"
        raise ProblemError(http.HTTPStatus.CONFLICT, "another table", detail)
    return place


def _digest(name: str) -> str:
    return hashlib.blake2s(name.encode(), digest_size=6).hexdigest()


async def _soonest(rows: InventoryRows, after: str, limit: int) -> dict[str, Any]:
    """Rows behind an expiry and a name.

    Raises:
        ProblemError: 422, there is no such place.
    """
    behind = None
    if after:
        behind = _numbered(after)
    found = await in_turns(rows.soonest(behind, limit))
    last = found[-1] if len(found) == limit else None
    told = [{k: v for k, v in row.items() if k != "expires_ns"} for row in found]
    return {
        "rows": told,
        "after": None if last is None else f"{last['expires_ns']}.{last['identifier']}",
    }


def _numbered(after: str) -> tuple[int, str]:
    """Read a number and what stands behind it.

    Raises:
        ProblemError: 422, it is none of ours.
    """
    number, _, rest = after.partition(".")
    if not (_NUMBER.fullmatch(number) and rest):
        raise unreadable("after is what the part before this one gave as `after`")
    return int(number), rest


def _wanted(request: web.Request) -> InventoryFilter:
    """Read what is asked for.

    Raises:
        ProblemError: 404, there is no such list; 422, a value cannot be used.
    """
    query, name = request.query, request.match_info["list"]
    if name not in LISTS:
        detail = f"the lists are: {', '.join(sorted(LISTS))}"
        raise ProblemError(http.HTTPStatus.NOT_FOUND, "no such list", detail)
    text, state = query.get("text", ""), query.get("state", "")
    if len(text) > LONGEST:
        raise unreadable(f"text has at most {LONGEST} characters")
    if state not in ("", ALLOWED, DENIED):
        raise unreadable(f"state is {ALLOWED} or {DENIED}")
    owner = query.get("owner")
    if (name == OWNED) == (owner is None):
        raise unreadable(f"owner belongs to the list {OWNED}, and only to that")
    try:
        return InventoryFilter(
            list=name,
            text=text,
            kind=query.get("kind", ""),
            state=state,
            owner=None if owner is None else identifier_of(owner),
            within=duration(query.get("within", "30d")),
        )
    except ValueError as error:
        raise unreadable(str(error)) from error
