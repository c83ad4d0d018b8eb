"""Hunt: join the accesses of whole logs with the causes of the same logs.

Pure: records in, a report out. Everything is read before anything is judged, so the
order of lines and files does not matter: an access may stand before its cause, or
before the event that created its credential. Each access is judged as of its own
time: a use between a suspend and its lift is found, one after the lift is not.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from itertools import starmap
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from attrs import define, frozen

from agents_registry.death import Death
from agents_registry.deaths import Deaths
from agents_registry.facts import Cause, Effect, Reach, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.lineage import CREDENTIAL
from agents_registry.registry import Registry
from streams.model.findings import FindingKind
from streams.model.records import Access, Lifecycle
from streams.model.times import ABSURD
from streams.services.hunt_excerpts import (
    LIFECYCLE,
    OUTCOMES,
    TIMELESS,
    Excerpt,
    ExcerptWriter,
)
from streams.stages.ingest.ingress import Origin, facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.facts import Fact
    from agents_registry.identifiers import NodeClass
    from agents_registry.presentation import Presented
    from streams.model.records import Outcome, Record

REALM: Final = "hunt"
OPERATOR: Final = "operator"
# Sources whose log is kept by the issuer of the credentials that it shows in use.
ISSUER_LOGS: Final = frozenset({"cloudtrail", "keycloak"})


Places = list[int]
_Key = tuple[tuple[Identifier, ...], bool, str]  # names, denied, id of the cause


class Use(NamedTuple):
    """One access, as the join needs it."""

    time: int
    outcome: Outcome | None
    event_id: str | None


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


_DeadUse = tuple[Use, Death]


@frozen
class Reuse:
    """Presentations of one dead credential, dead by one cause."""

    kind: FindingKind
    identifiers: tuple[Identifier, ...]
    death: Death
    outcome: Outcome | None
    first: Use
    last: Use
    count: int
    event_ids: list[str]

    @property
    def via(self) -> Literal["direct", "ancestor"]:
        """Whether the credential itself ended or an ancestor."""
        return self.death.via


@frozen
class Report:
    """The result of a hunt."""

    counts: HuntCounts
    issued: int
    edges: int
    causes: tuple[NamedCause, ...]
    findings: tuple[Reuse, ...]


class Hunt:
    """Collect excerpts of logs, then report; their order has no say."""

    def __init__(self, vocabulary: Mapping[str, NodeClass] | None = None) -> None:
        self.registry = Registry(vocabulary) if vocabulary else Registry()
        self.counts = HuntCounts()
        self._causes: dict[str, NamedCause] = {}
        self._presented: dict[Presented, int] = {}
        self._excerpts: list[Excerpt] = []
        self._issued: set[Identifier] = set()
        self._opening: set[int] = set()  # contents of records that open an event
        self._inner: set[int] = set()  # and of those that do not
        self._contents: dict[int, int] = {}  # the first, by the hash of an event's id
        self._conflicts: set[tuple[int, int]] = set()
        self._derived: set[int] = set()
        self._origins: dict[str, Origin] = {}
        self._own = ExcerptWriter()
        self._own_places: Places = []

    def add(self, record: Record) -> None:
        """Take one record in; a repeat of the same content is only counted."""
        self._own.add(record)

    def merge(self, excerpt: Excerpt, places: Places) -> None:
        """Take in what a writer gave.

        Args:
            excerpt: the next one of the writer.
            places: where its presentations lie here, in their order; empty at first.
        """
        self.counts.dead_letter += excerpt.dead_letters
        presented = self._presented
        for each in excerpt.presented:
            places.append(presented.setdefault(each, len(presented)))
        for record in excerpt.said:
            if isinstance(record, Access):
                self._lineage(record)
            else:
                self._lifecycle(record)
        self._compare(excerpt.marks)
        who, none = self._counted(excerpt, places), array("q")
        self._excerpts.append(
            excerpt._replace(who=who, contents=none, marks=none, said=[], presented=[])
        )

    def _compare(self, marks: array[int]) -> None:
        """Count the further contents of one id; see `event_id_conflicts`."""
        known, pairs = self._contents, iter(marks)
        for key, content in zip(pairs, pairs, strict=True):
            if known.setdefault(key, content) != content:
                before = len(self._conflicts)
                self._conflicts.add((key, content))
                self.counts.dead_letter += len(self._conflicts) - before

    def _counted(self, excerpt: Excerpt, places: Places) -> array[int]:
        """Count the records; return what each presents, of repeats nothing."""
        opening, inner, counts = self._opening, self._inner, self.counts
        columns = excerpt.contents, excerpt.opens, excerpt.who
        found = array("i")
        for content, opens, who in zip(*columns, strict=True):
            known = content in opening
            if opens:
                counts.duplicate += known
                opening.add(content)
                known = known or (bool(inner) and content in inner)
            else:
                known = known or content in inner
                inner.add(content)
            if known:
                found.append(LIFECYCLE)
            elif who >= 0:
                counts.access += 1
                found.append(places[who])
            else:
                counts.access += who == TIMELESS
                counts.lifecycle += who == LIFECYCLE
                found.append(LIFECYCLE)
        return found

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
        self._own.close_event()
        self.merge(self._own.take(), self._own_places)
        found = self._dead_uses(inclusive=inclusive) if self._causes else {}
        findings = sorted(
            starmap(_reuse, found.items()),
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

    def _lifecycle(self, record: Lifecycle) -> None:
        if record.effect == "issue" and record.identifiers:
            self._issued.add(record.identifiers[0])
        for fact in self._facts(record):
            self.registry.apply(fact)
            if isinstance(fact, Cause):
                self._name(fact, record.identifiers, record.event_id, record.source)

    def _lineage(self, record: Access) -> None:
        content = hash(record)
        if content not in self._derived:
            self._derived.add(content)
            for fact in self._facts(record):
                self.registry.apply(fact)

    def _facts(self, record: Lifecycle | Access) -> tuple[Fact, ...]:
        origin = self._origins.get(record.source)
        if origin is None:
            origin = self._origins[record.source] = Origin(
                authority=record.source,
                realm=REALM,
                received_at=ABSURD,
                issuer_log=record.source in ISSUER_LOGS,
            )
        return facts_of(record, origin)

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

    def _dead_uses(self, *, inclusive: bool) -> dict[_Key, list[_DeadUse]]:
        """Find the uses of what was dead, by what is one finding."""
        found: dict[_Key, list[_DeadUse]] = defaultdict(list)
        deaths = Deaths(self.registry, inclusive=inclusive)
        presented = list(self._presented)
        dying = [deaths.of(each) for each in presented]
        for excerpt in self._excerpts:
            ids: list[str | None] | None = None
            for place, who in enumerate(excerpt.who):
                death = dying[who] if who >= 0 else None
                dead = None if death is None else death(excerpt.times[place])
                if dead is None:
                    continue
                ids = excerpt.ids() if ids is None else ids
                outcome = OUTCOMES[excerpt.outcomes[place]]
                use = Use(excerpt.times[place], outcome, ids[place])
                if not self._is_its_own_cause(use, dead):
                    names, denied = presented[who].identifiers, outcome == "denied"
                    found[names, denied, dead.cause.fact_id].append((use, dead))
        return found

    def _is_its_own_cause(self, use: Use, dead: Death) -> bool:
        """Whether the use is the revocation: a token may revoke itself."""
        named = self._causes.get(dead.cause.fact_id)
        return (
            named is not None
            and use.event_id is not None
            and named.event_id == use.event_id
        )

    def _count_edges(self) -> int:
        """Count the lineage edges between credentials."""
        lineage = self.registry.lineage
        return sum(
            lineage.flags[parent] & CREDENTIAL > 0
            for node in range(len(lineage))
            if lineage.flags[node] & CREDENTIAL
            for parent, _ in lineage.parents(node)
        )


def _reuse(key: _Key, uses: list[_DeadUse]) -> Reuse:
    """Make the finding of all dead uses of one name by one cause."""
    identifiers, denied, _ = key
    uses.sort(key=_order)
    (first, death), (last, _) = uses[0], uses[-1]
    return Reuse(
        kind=FindingKind.BLOCKED_ATTEMPT
        if denied
        else FindingKind.USE_AFTER_REVOCATION,
        identifiers=identifiers,
        death=death,
        outcome=first.outcome,
        first=first,
        last=last,
        count=len(uses),
        event_ids=[use.event_id for use, _ in uses if use.event_id is not None],
    )


def _order(dead: _DeadUse) -> tuple[int, str, str, tuple[Identifier, ...]]:
    """Order of dead uses: of one time and id, whatever tells them apart."""
    (time, outcome, event_id), death = dead
    return time, event_id or "", outcome or "", death.path
