"""Indices of status lists, and how what is at each one stands, whatever the engine.

An index is given once, durably, at random. What is at an index is never stored: it is
judged from the table whenever a list is asked for, so that a revoked ancestor is in
the list with nothing to keep in step.

Indices are claimed, and nobody locks: a claim is a body under a name of its own. Of
several claims of one index the first one in the store has it, which every process sees
alike, and the others draw again. A process that ended between its claim and its look
leaves a claim behind: what is at the index is the worst of both then, which may deny
too much.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import orjson
from attrs import define, field, frozen

from enforcement.turns import undisturbed
from streams.ports.fact_log import NotWrittenError
from streams.ports.findings_log import BehindError
from streams.ports.keyed_store import STATUS_ENTRY, STATUS_LIST
from streams.process.aside import here
from streams.stages.status.status_list import (
    Status,
    StatusEntry,
    StatusList,
    judging_at,
    judging_now,
    policy_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.ports.keyed_store import KeyedStore
    from streams.process.aside import Aside

_RANKED: Final = (Status.VALID, Status.SUSPENDED, Status.INVALID)  # the worst one last


class StatusPlace(NamedTuple):
    """Where a credential's status stands."""

    list: str
    idx: int


@frozen
class Known:
    """A list that exists.

    Attributes:
        name: unique over all logs.
        genesis: of the log in which it was begun.
        bits: of one status.
        size: how many indices.
        created_at: ns.
    """

    name: str
    genesis: str
    bits: int
    size: int
    created_at: int


class JudgingTable(Protocol):
    """The table of the realm that entries are judged with."""

    @property
    def genesis(self) -> str:
        """Id of the log that this process writes to."""

    @property
    def registry(self) -> Registry:
        """Table as it is now, however old."""

    async def catch_up(self) -> str:
        """Wait until the table holds all that was accepted by now.

        Returns:
            The consistency token of that.

        Raises:
            BehindError: that cannot be known now.
        """


@define(eq=False)
class StatusEntries:
    """The lists of a realm, as any process began them.

    Attributes:
        kept: the entries of the realm.
        table: judges.
        clock: gives the time (ns).
        fresh_id: gives unique names.
        draw: gives an unpredictable number below another one.
        aside: gets to the event loop of the table, in which alone it is read: a fact
            that is half applied could hide a cause.
    """

    _kept: KeyedStore
    _table: JudgingTable
    _clock: Callable[[], int]
    _fresh_id: Callable[[], str]
    _draw: Callable[[int], int]
    _aside: Aside = here
    _lists: dict[str, Known] = field(factory=dict, init=False)
    # List to index to names of claims, in the order of the store.
    _claims: dict[str, dict[int, tuple[str, ...]]] = field(
        factory=lambda: defaultdict(dict), init=False
    )
    # Indices that this process claims and has not heard of yet.
    _drawn: dict[str, set[int]] = field(factory=lambda: defaultdict(set), init=False)
    _opening: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    # Looks at the end of the store: begun, and the last one that came to its end.
    _looks: int = field(default=0, init=False)
    _looked: int = field(default=0, init=False)
    _looking: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._kept.follow(STATUS_LIST, self._heard_list)
        self._kept.follow(STATUS_ENTRY, self._heard_claim)

    async def give(self, entry: StatusEntry, bits: int, size: int) -> StatusPlace:
        """Assign an index to an entry; the same is never assigned again.

        A list is closed when half of it is given: a free index is then found in two
        draws, and the rest hides how many there are. It is closed by a restore, too:
        the indices that were given since the backup are not known any more.

        Args:
            entry: the credential.
            bits: of a status, where a new list is begun.
            size: how many indices a new list has.

        Raises:
            NotWrittenError: it is not durable, or what others wrote is not told; an
                index may be lost by it.
        """
        body = orjson.dumps(entry.to_plain())
        while True:
            known = await self._open(bits, size)
            index, drawn = self._draw(known.size), self._drawn[known.name]
            if index in self._claims[known.name] or index in drawn:
                continue
            drawn.add(index)
            try:
                if await self._claim(known, index, body):
                    return StatusPlace(known.name, index)
            finally:
                drawn.discard(index)

    async def _claim(self, known: Known, index: int, body: bytes) -> bool:
        claim = f"{known.name}/{index}/{self._fresh_id()}"
        await self._kept.put(STATUS_ENTRY, claim, body)
        await self._kept.catch_up()
        if self._claims[known.name][index][0] == claim:
            return True
        await self._kept.forget(STATUS_ENTRY, claim)
        return False

    async def lists(self) -> Sequence[Known]:
        """Every list, the oldest first.

        Raises:
            BehindError: not all is read that any process began.
        """
        await self._catch_up()
        return sorted(self._lists.values(), key=lambda known: known.created_at)

    async def find(self, name: str) -> Known | None:
        """List of a name, if there is one.

        Raises:
            BehindError: not all is read that any process began.
        """
        if name not in self._lists:
            await self._catch_up()
        return self._lists.get(name)

    async def catch_up(self) -> str:
        """Wait until table and entries hold all that was accepted by now.

        Returns:
            The consistency token that the table stands at, or is beyond.

        Raises:
            BehindError: that cannot be known now.
        """
        await self._catch_up()
        return await self._table.catch_up()

    async def statuses(self, known: Known, at: int | None) -> StatusList:
        """Judge every entry of a list; others get their turn while it is judged.

        Args:
            known: the list.
            at: as of a past time (ns); None: as of now.
        """
        claims = list(self._claims[known.name].items())

        async def judge() -> StatusList:
            return await self._judged(known, claims, at)

        return await self._aside(judge)

    async def _judged(
        self,
        known: Known,
        claims: Iterable[tuple[int, tuple[str, ...]]],
        at: int | None,
    ) -> StatusList:
        found, now = StatusList(known.bits, known.size), self._clock()
        policy = policy_for(self._table.registry)
        for index, names in claims:
            worst: Status = Status.VALID
            for name in names:
                body = self._kept.get(STATUS_ENTRY, name)
                if body is None:
                    continue  # it lost its index meanwhile
                registry = self._table.registry
                entry = StatusEntry.from_plain(orjson.loads(body))

                def walk(
                    registry: Registry = registry, entry: StatusEntry = entry
                ) -> Steps[Status]:
                    if at is None:
                        return judging_now(registry, entry, now, policy)
                    return judging_at(registry, entry, at)

                status = await undisturbed(registry, walk)
                worst = max(worst, status, key=_RANKED.index)
            if worst is not Status.VALID:
                # One bit cannot tell what may be lifted from what is for good.
                found[index] = Status.INVALID if known.bits == 1 else worst
        return found

    async def _catch_up(self) -> None:
        """Wait until all is heard that is there now; all who ask at once wait for one.

        Everybody may ask, so the store is not asked once for each of them.

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
        async with self._opening:
            for known in reversed(self._lists.values()):
                taken = len(self._claims[known.name]) + len(self._drawn[known.name])
                if 2 * taken < known.size and known.genesis == self._table.genesis:
                    return known
            name = self._fresh_id()
            plain = [self._table.genesis, bits, size, self._clock()]
            await self._kept.put(STATUS_LIST, name, orjson.dumps(plain))
            await self._kept.catch_up()
            return self._lists[name]

    def _heard_list(self, name: str, body: bytes | None) -> None:
        if body is not None:
            self._lists.setdefault(name, Known(name, *orjson.loads(body)))

    def _heard_claim(self, name: str, body: bytes | None) -> None:
        of, number, _ = name.split("/")
        claims, index = self._claims[of], int(number)
        names = claims.get(index, ())
        if body is None:
            names = tuple(each for each in names if each != name)
        elif name not in names:
            names = (*names, name)
        if names:
            claims[index] = names
        else:
            claims.pop(index, None)
