"""Hunt: join the accesses of whole logs with the causes of the same logs.

Pure: records in, a report out. Everything is read before anything is judged, so the
order of lines and files does not matter: an access may stand before its cause, or
before the event that created its credential. Each access is judged as of its own
time: a use between a suspend and its lift is found, one after the lift is not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import define, frozen

from agents_registry.deaths import Deaths
from agents_registry.facts import Cause, Effect, Reach, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.lineage import CREDENTIAL
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from streams.model.records import Access, Lifecycle
from streams.model.times import ABSURD
from streams.services.excerpt_writer import ExcerptWriter
from streams.services.hunt_dead_uses import DeadUses
from streams.services.hunt_excerpts import MOST_RECORDS, places
from streams.services.hunt_findings import finding_of
from streams.services.hunt_lineage import state_lineage
from streams.services.hunt_uses import UseLog, counted
from streams.stages.ingest.ingress import Origin, facts_of

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Mapping

    from agents_registry.identifiers import NodeClass
    from streams.model.records import Record
    from streams.services.hunt_dead_uses import FindingKey, FoundUse
    from streams.services.hunt_excerpts import Excerpt
    from streams.services.hunt_findings import Reuse

REALM: Final = "hunt"
OPERATOR: Final = "operator"
NEIGHBOURS: Final = 64  # presentations


Spread = Callable[[Callable[[int, int], list[Any]]], list[Any]]


@define
class HuntCounts:
    """What was read: events, and the records that they became.

    Attributes:
        idle: events that change no authority; of some a use is a record all the same.
    """

    read: int = 0
    idle: int = 0
    lifecycle: int = 0
    access: int = 0
    duplicate: int = 0
    dead_letter: int = 0


@frozen
class NamedCause:
    """A cause with the event that it came from."""

    fact: Cause
    id: str
    identifiers: tuple[Identifier, ...]
    event_id: str | None
    source: str


@frozen
class Report:
    """The result of a hunt."""

    counts: HuntCounts
    issued: int
    edges: int
    causes: tuple[NamedCause, ...]
    findings: tuple[Reuse, ...]


Beside = Callable[
    [Callable[[], list[Any]]], AbstractContextManager[Callable[[], list[Any]]]
]


def judge_alone(judge: Callable[[int, int], list[Any]]) -> list[Any]:
    """Have the whole judged here."""
    return judge(0, 1)


@contextmanager
def afterwards(work: Callable[[], list[Any]]) -> Iterator[Callable[[], list[Any]]]:
    """Do work once its result is asked for."""
    yield work


class Hunt:
    """Collect excerpts of logs, then report; their order has no say.

    Attributes:
        spread: has all shares of something judged; several processes may do it.
        beside: has something done beside; another process may do it.
    """

    def __init__(self, vocabulary: Mapping[str, NodeClass] | None = None) -> None:
        self.registry = Registry(vocabulary) if vocabulary else Registry()
        self.counts = HuntCounts()
        self.spread: Spread = judge_alone
        self.beside: Beside = afterwards
        self._causes: dict[str, NamedCause] = {}
        self._presented: dict[Presented, int] = {}
        self._uses = UseLog()
        self._repeated = np.empty(0, np.int64)  # hashes of contents, once compared
        self._letters = 0
        self._issued: set[Identifier] = set()
        self._origins: dict[str, Origin] = {}
        self._own, self._own_places = ExcerptWriter(), places()
        self._added = 0

    def add(self, record: Record) -> None:
        """Take one record in; a repeat of the same content is only counted."""
        self._own.add(record)
        self._added += 1
        if not self._added % MOST_RECORDS:
            self.merge(self._own.take(), self._own_places)

    def merge(self, excerpt: Excerpt, places: array[int]) -> None:
        """Take in what a writer gave.

        Args:
            excerpt: the next one of the writer.
            places: where its presentations lie here, in their order; empty at first.

        Raises:
            OSError: there is no room for the file of uses.
        """
        self._letters += excerpt.dead_letters
        presented = self._presented
        for names, issued_at in excerpt.presented:
            each = Presented(names, issued_at)
            places.append(presented.setdefault(each, len(presented)))
        for record in excerpt.said:
            if isinstance(record, Access):
                self._lineage(record)
            else:
                self._lifecycle(record)
        self._uses.add(excerpt, places)

    def revoke(self, identifier: Identifier, at: int) -> None:
        """Add an operator's cause: it ends the identifier and all that hangs on it."""
        cause = Cause(
            authority=OPERATOR,
            version=at,
            received_at=ABSURD,
            target=identifier,
            effect=Effect.REVOKE,
            reach=Reach.SUBTREE,
            at=at,
        )
        self.registry.apply(cause)
        self._name(cause, (identifier,), None, OPERATOR)

    def report(self, *, inclusive: bool = False) -> Report:
        """Judge every access.

        Args:
            inclusive: an access at exactly the time of the cause counts as after it.
        """
        self._complete()
        self._count()
        judge = self._judging(inclusive=inclusive)
        findings = sorted(
            self.spread(judge) if self._causes else [],
            key=lambda reuse: (
                reuse.first.time, reuse.identifiers, reuse.kind.value,
                reuse.death.cause.fact_id,
            ),
        )  # fmt: skip
        return Report(
            counts=self.counts,
            issued=len(self._issued),
            edges=self._count_edges(),
            causes=tuple(
                sorted(self._causes.values(), key=lambda c: (c.fact.at, c.id))
            ),
            findings=tuple(findings),
        )

    def _complete(self) -> None:
        """Take in what was added last, once all is added."""
        self._own.close_event()
        self.merge(self._own.take(), self._own_places)

    def _lifecycle(self, record: Lifecycle) -> None:
        if record.effect == "issue" and record.identifiers:
            self._issued.add(record.identifiers[0])
        origin = self._said_by(record.source)
        if state_lineage(self.registry, record, origin):
            return
        for fact in facts_of(record, origin):
            self.registry.apply(fact)
            if isinstance(fact, Cause):
                self._name(fact, record.identifiers, record.event_id, record.source)

    def _lineage(self, record: Access) -> None:
        origin = self._said_by(record.source)
        if not state_lineage(self.registry, record, origin):
            for fact in facts_of(record, origin):
                self.registry.apply(fact)

    def _said_by(self, source: str) -> Origin:
        """Where a record came from; to be known, as by an issuer, ends nothing."""
        origin = self._origins.get(source)
        if origin is None:
            origin = self._origins[source] = self._origin(source)
        return origin

    def _origin(self, source: str) -> Origin:
        return Origin(authority=source, realm=REALM, received_at=ABSURD)

    def _name(
        self,
        cause: Cause,
        identifiers: tuple[Identifier, ...],
        event_id: str | None,
        source: str,
    ) -> None:
        identity = fact_id(cause).hex()
        named = NamedCause(cause, identity, identifiers, event_id, source)
        known = self._causes.setdefault(identity, named)
        if identifiers < known.identifiers:
            self._causes[identity] = named

    def _count(self) -> None:
        """Count the records, and find what came more than once."""
        duplicates, conflicts, self._repeated = self._uses.compare()
        counts = self.counts
        counts.duplicate, counts.dead_letter = duplicates, self._letters + conflicts
        counts.access = counts.lifecycle = 0
        for _, who in self._uses.kept(self._repeated):
            access, lifecycle = counted(who)
            counts.access += access
            counts.lifecycle += lifecycle

    def _judging(self, *, inclusive: bool) -> Callable[[int, int], list[Reuse]]:
        """Judge of a share of what is presented.

        A fork copies the memory that it touches. So what is made of all is made before,
        and a share has neighbours.
        """
        deaths = Deaths(self.registry, inclusive=inclusive)
        return partial(self._judge, deaths, self._names(), list(self._presented))

    def _judge(
        self,
        deaths: Deaths,
        names: list[int],
        presented: list[Presented],
        share: int,
        shares: int,
    ) -> list[Reuse]:
        """Make the findings of a share of what is presented."""
        dying = [
            deaths.of(presented[place]) if _whose(name, shares) == share else None
            for place, name in enumerate(names)
        ]
        found = DeadUses(dying, names)
        for block, who in self._uses.kept(self._repeated):
            found.look_at(self._uses, block, who)
        return list(self._reuses(found.uses, presented))

    def _names(self) -> list[int]:
        """Place of the first presentation with the same names, for each."""
        first: dict[tuple[Identifier, ...], int] = {}
        return [
            first.setdefault(each.identifiers, place)
            for place, each in enumerate(self._presented)
        ]

    def _reuses(
        self, found: dict[FindingKey, list[FoundUse]], presented: list[Presented]
    ) -> Iterator[Reuse]:
        """Make the findings of dead uses."""
        for (names, denied, cause), uses in found.items():
            named = self._causes.get(cause)
            own = None if named is None else named.event_id
            # A use may be the revocation: a token may revoke itself.
            others = uses if own is None else [use for use in uses if use[1] != own]
            if others:
                yield finding_of(presented[names].identifiers, denied, others)

    def _count_edges(self) -> int:
        """Count the lineage edges between credentials."""
        lineage = self.registry.lineage
        return sum(
            lineage.flags[parent] & CREDENTIAL > 0
            for node in range(len(lineage))
            if lineage.flags[node] & CREDENTIAL
            for parent, _ in lineage.parents(node)
        )


def _whose(name: int, shares: int) -> int:
    """Share that the place of a presentation belongs to.

    The first one is half as large again: it is judged where the findings of the others
    are sent to, and that takes half the time of judging.
    """
    return name // NEIGHBOURS % (2 * shares + 1) // 2 % shares
