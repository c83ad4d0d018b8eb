"""The replica: a realm's table, kept equal to the log by snapshot and deltas.

Rules:

- A position P means: every fact with an offset below P is applied. It moves only
  when a whole message is applied, so a check between two slices sees too much
  denied at worst, never a position that is ahead of the table.
- A delta must start at the position. Anything else is a gap: a fact may be missing,
  and only a snapshot mends that.
- A log is known by its genesis. Positions of two logs have nothing in common.
- A fact that takes other facts back may ask for a rebuild. A table keeps no facts,
  so the replica's successor is made from a fresh snapshot, seeded with every such
  correction seen so far (they must be merged before what they correct). Meanwhile
  this replica goes on denying, and proves nothing beyond the correction: it may
  have taken back what makes something live.

Pure: messages in, table out. Long messages are applied in slices; whoever drives
decides what happens between two of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from agents_registry.facts import (
    Distrust,
    Fact,
    Withdraw,
    from_plain,
)
from agents_registry.identifiers import VOCABULARY, NodeClass
from agents_registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from agents_registry.steps import Steps

SLICE: Final = 8  # facts merged between two looks at the clock


class FeedBrokenError(Exception):
    """The feed cannot be continued from here; the server or the log is at fault."""


class MalformedError(FeedBrokenError):
    """A message is not of the protocol, or holds a fact that this guard cannot read."""


class GapError(FeedBrokenError):
    """Facts between the position and the delta are missing."""


class GenesisError(FeedBrokenError):
    """The server now serves another log."""


class PastEndError(FeedBrokenError):
    """The replica has applied more than the log holds: the log lost its tail."""


class Replica:
    """One table and where in which log it stands.

    Attributes:
        registry: the table.
        genesis: the log's id; None before the first message.
        partition: of the log, as tokens name it.
        position: everything below is applied; None until a snapshot is complete.
        corrections: the facts that must be merged before all others.
        peppers: keys to hash presented secrets, as the handshake brought them; kept
            in memory alone.
        observer: told of each fact once it is merged.
    """

    def __init__(
        self, genesis: str | None = None, seeds: tuple[Fact, ...] = ()
    ) -> None:
        """Start empty.

        Args:
            genesis: the log that the seeds come from.
            seeds: corrections known from an earlier snapshot of that log.
        """
        self.registry = Registry()
        self.genesis: str | None = None
        self.partition = 0
        self.position: int | None = None
        self.corrections: dict[Fact, None] = {}
        self.peppers: Mapping[str, str] = {}
        self.observer: Callable[[Fact], None] | None = None
        self._seeds = (genesis, seeds)
        self._merged: frozenset[Fact] = frozenset()
        self._corrected_at: int | None = None

    @property
    def complete(self) -> bool:
        """Whether the table is a whole one."""
        return self.position is not None

    @property
    def proven(self) -> int:
        """Position up to which the table says all that the log says."""
        if self.position is None:
            return -1
        if self._corrected_at is None:
            return self.position
        return min(self.position, self._corrected_at)

    @property
    def needs_successor(self) -> bool:
        """Whether the table must be built anew from a snapshot."""
        return self.registry.needs_rebuild

    @property
    def urgent(self) -> bool:
        """Whether the table proves nothing more until it is built anew."""
        return self._corrected_at is not None

    def successor(self) -> Self:
        """Empty replica that is to replace this one."""
        return type(self)(self.genesis, tuple(self.corrections))

    def snapshot(self, message: Mapping[str, Any]) -> Iterator[None]:
        """Apply one chunk of a snapshot; yields between slices.

        Raises:
            GapError: a snapshot is complete already.
            GenesisError: the chunk is of another log than the first.
            MalformedError: the chunk cannot be read.
        """
        if self.complete:
            raise GapError("a snapshot on top of a complete one")
        genesis, offset = text(message, "genesis"), number(message, "offset")
        facts, more = message.get("facts"), message.get("more")
        if not isinstance(facts, list) or not isinstance(more, bool):
            raise MalformedError("a snapshot has a list of facts, and more or not")
        if self.genesis not in {None, genesis}:
            raise GenesisError(f"{self.genesis} became {genesis} within a snapshot")
        read = yield from _read(facts)
        if self.genesis is None:
            yield from self._open(genesis, message, read)
        yield from self._merge(read, at=0)
        if not more:
            self.position = offset

    def adopt(
        self, genesis: str, offset: int, registry: Registry, peppers: Any
    ) -> None:
        """Take up a table that holds everything below an offset.

        It holds every correction, too: the server that sent it had built it anew.

        Raises:
            GapError: a snapshot is complete already.
            GenesisError: it is of another log than what came before.
        """
        if self.complete:
            raise GapError("a table on top of a complete one")
        if self.genesis not in {None, genesis}:
            raise GenesisError(f"{self.genesis} became {genesis} within a snapshot")
        seeded, seeds = self._seeds
        if genesis == seeded:
            self.corrections = dict.fromkeys(seeds)
        self._take_peppers(peppers)
        self.registry, self.genesis, self.position = registry, genesis, offset

    def delta(self, message: Mapping[str, Any]) -> Iterator[None]:
        """Apply the facts of the offsets ``from`` to ``to`` - 1; yields between slices.

        A server sends only the facts of the guard's realm, so there may be fewer
        facts than offsets.

        Raises:
            GapError: the delta does not start at the position.
            MalformedError: the delta cannot be read.
        """
        start, end = number(message, "from"), number(message, "to")
        facts = message.get("facts")
        if not isinstance(facts, list) or end < start:
            raise MalformedError("a delta has a list of facts and goes forward")
        if start != self.position:
            raise GapError(f"the delta starts at {start}, not at {self.position}")
        yield from self._merge((yield from _read(facts)), at=start)
        self.position = end

    def _open(
        self, genesis: str, message: Mapping[str, Any], facts: list[Fact]
    ) -> Steps[None]:
        """Begin a table with every correction that is known or in the first chunk."""
        seeded, seeds = self._seeds
        known = seeds if genesis == seeded else ()
        merged: set[Fact] = set()
        self.corrections = {}
        for count, fact in enumerate((*known, *filter(_corrects, facts)), 1):
            self.corrections[fact] = None
            merged.add(fact)
            if count % SLICE == 0:
                yield
        self._merged = frozenset(merged)
        self.registry = yield from Registry.building(
            list(self.corrections), vocabulary_of(message.get("vocabulary"))
        )
        self._take_peppers(message.get("peppers"))
        self.partition = partition_of(message)
        self.genesis = genesis

    def _take_peppers(self, peppers: Any) -> None:
        self.peppers = dict(peppers) if isinstance(peppers, dict) else {}

    def _merge(self, facts: list[Fact], at: int) -> Iterator[None]:
        for count, fact in enumerate(facts, 1):
            if _corrects(fact):
                if fact in self._merged:
                    continue
                self.corrections[fact] = None
            self._apply(fact, at)
            if count % SLICE == 0:
                yield

    def _apply(self, fact: Fact, at: int) -> None:
        registry = self.registry
        asked, registry.needs_rebuild = registry.needs_rebuild, False
        registry.apply(fact)
        if registry.needs_rebuild:
            # The successor must merge it first, or it would want a successor as well.
            self.corrections[fact] = None
            if self._corrected_at is None and isinstance(fact, Withdraw | Distrust):
                self._corrected_at = at
        registry.needs_rebuild |= asked
        if self.observer is not None:
            self.observer(fact)


def text(message: Mapping[str, Any], name: str) -> str:
    """Read a field that is a text.

    Raises:
        MalformedError: it is none.
    """
    value = message.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedError(f"{name} is {value!r}, not a text")
    return value


def number(message: Mapping[str, Any], name: str) -> int:
    """Read a field that is a natural number.

    Raises:
        MalformedError: it is none.
    """
    value = message.get(name)
    if type(value) is not int or value < 0:
        raise MalformedError(f"{name} is {value!r}, not a natural number")
    return value


def partition_of(message: Mapping[str, Any]) -> int:
    """Partition that a log is, as tokens name it; a server of one need not say it.

    Raises:
        MalformedError: it is no number.
    """
    return number(message, "partition") if "partition" in message else 0


def _corrects(fact: Fact) -> bool:
    """Whether a fact takes others back, and so must be merged before them."""
    return isinstance(fact, Withdraw | Distrust)


def _read(facts: list[Any]) -> Generator[None, None, list[Fact]]:
    """Read facts, all or none, and yield between slices."""
    read: list[Fact] = []
    for count, plain in enumerate(facts, 1):
        if not isinstance(plain, dict):
            raise MalformedError("a fact is an object")
        try:
            read.append(from_plain(plain))
        except ValueError as error:
            raise MalformedError(str(error)) from error
        if count % SLICE == 0:
            yield
    return read


def vocabulary_of(plain: Any) -> Mapping[str, NodeClass]:
    """Read the class of each kind, as a snapshot brings them; ours without any.

    Raises:
        MalformedError: it is no vocabulary.
    """
    if plain is None:
        return VOCABULARY
    try:
        return {str(kind): NodeClass(name) for kind, name in dict(plain).items()}
    except (TypeError, ValueError) as error:
        raise MalformedError(f"not a vocabulary: {error}") from error
