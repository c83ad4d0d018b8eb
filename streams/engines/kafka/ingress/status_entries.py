"""Status lists of a realm in the topic `sources`: any ingress gives indices and judges.

Indices are claimed, and nobody locks: a claim is an entry under a name of its own. Of
several claims of one index the first one in the topic has it, which every process sees
alike, and the others draw again. A process that ended between its claim and its look
leaves a claim behind: what is at the index is the worst of both then, which may deny
too much.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from streams.services.intake import NotWrittenError
from streams.services.read_models import BehindError
from streams.services.status_entries import Known, StatusPlace, judged
from streams.stages.status.status_list import StatusEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from streams.engines.kafka.ingress.current import FollowedTable
    from streams.ports.keyed_store import KeyedStore
    from streams.stages.status.status_list import StatusList

LIST: Final = "status_list"
ENTRY: Final = "status_entry"

log = structlog.get_logger()


class KafkaStatusEntries:
    """The lists of a realm, as any process began them."""

    def __init__(
        self,
        kept: KeyedStore,
        table: FollowedTable,
        clock: Callable[[], int],
        fresh_id: Callable[[], str],
        draw: Callable[[int], int],
    ) -> None:
        """Follow the topic from what is there.

        Args:
            kept: the entries of the realm.
            table: judges.
            clock: gives the time (ns).
            fresh_id: gives unique names.
            draw: gives an unpredictable number below another one.
        """
        self._kept = kept
        self._table = table
        self._clock = clock
        self._fresh_id = fresh_id
        self._draw = draw
        self._lists: dict[str, Known] = {}
        self._genesis: dict[str, str] = {}
        # List to index to claims and what they are of, in the order of the topic.
        self._claims: dict[str, dict[int, dict[str, bytes]]] = defaultdict(dict)
        # Looks at the end of the topic: begun, and the last one that came to its end.
        self._looks = self._looked = 0
        self._looking = asyncio.Lock()
        kept.follow(LIST, self._heard_list)
        kept.follow(ENTRY, self._heard_claim)

    async def give(self, entry: StatusEntry, bits: int, size: int) -> StatusPlace:
        """Assign an index to an entry; see `StatusEntries.give`.

        A list is closed when half of it is given: a free index is then found in two
        draws, and the rest hides how many there are.

        Raises:
            NotWrittenError: it is not acked, or how far the topic goes is not told.
        """
        body = orjson.dumps(entry.to_plain())
        while True:
            known = await self._open(bits, size)
            index = self._draw(known.size)
            if index in self._claims[known.name]:
                continue
            claim = f"{known.name}/{index}/{self._fresh_id()}"
            await self._kept.put(ENTRY, claim, body)
            await self._kept.catch_up()
            if next(iter(self._claims[known.name][index])) == claim:
                return StatusPlace(known.name, index)
            await self._kept.forget(ENTRY, claim)

    async def lists(self) -> list[Known]:
        """Return every list, the oldest first; see `StatusEntries.lists`."""
        await self._catch_up()
        return list(self._lists.values())

    async def find(self, name: str) -> Known | None:
        """Return a list by its name; see `StatusEntries.find`."""
        if name not in self._lists:
            await self._catch_up()
        return self._lists.get(name)

    async def catch_up(self) -> str:
        """Wait until table and entries hold all that was accepted by now.

        Raises:
            BehindError: that cannot be known now.
        """
        await self._catch_up()
        return await self._table.catch_up()

    async def statuses(self, known: Known, at: int | None) -> StatusList:
        """Judge every entry of a list; see `StatusEntries.statuses`."""
        entries = self._entries(known)
        return await judged(
            known, entries, lambda: self._table.registry, self._clock(), at
        )

    async def _entries(self, known: Known) -> AsyncIterator[tuple[int, StatusEntry]]:
        for index, claims in list(self._claims[known.name].items()):
            for body in list(claims.values()):
                yield index, StatusEntry.from_plain(orjson.loads(body))

    async def _catch_up(self) -> None:
        """Wait until all is heard that is there now; all who ask at once wait for one.

        Everybody may ask, so the broker is not asked once for each of them.

        Raises:
            BehindError: how far that is cannot be told.
        """
        asked_after = self._looks
        async with self._looking:
            if self._looked > asked_after:
                return  # that began after we came
            self._looks = begun = self._looks + 1
            try:
                await self._kept.catch_up()
            except NotWrittenError as error:
                raise BehindError(str(error)) from error
            self._looked = begun

    async def _open(self, bits: int, size: int) -> Known:
        """List that is not full; a new one where there is none of this log."""
        for known in reversed(self._lists.values()):
            given = len(self._claims[known.name])
            if 2 * given < known.size and (
                self._genesis[known.name] == self._table.genesis
            ):
                return known
        name = self._fresh_id()
        plain = [self._table.genesis, bits, size, self._clock()]
        await self._kept.put(LIST, name, orjson.dumps(plain))
        await self._kept.catch_up()
        return self._lists[name]

    def _heard_list(self, name: str, body: bytes | None) -> None:
        if body is not None:
            genesis, bits, size, at = orjson.loads(body)
            number = len(self._lists)
            self._lists.setdefault(name, Known(number, name, bits, size, at))
            self._genesis[name] = genesis

    def _heard_claim(self, name: str, body: bytes | None) -> None:
        of, index, _ = name.split("/")
        claims = self._claims[of].setdefault(int(index), {})
        if body is not None:
            claims.setdefault(name, body)
        else:
            claims.pop(name, None)
            if not claims:
                del self._claims[of][int(index)]
