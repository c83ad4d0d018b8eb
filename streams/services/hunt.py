"""Hunt: join the accesses of whole logs with the causes of the same logs.

Pure: records in, a report out. Everything is read before anything is judged, so the
order of lines and files does not matter: an access may stand before its cause, or
before the event that created its credential. Each access is judged as of its own
time: a use between a suspend and its lift is found, one after the lift is not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from attrs import define, field, frozen

from agents_registry.death import Death, Fate
from agents_registry.facts import Cause, Effect, Reach, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.inventory import affected
from agents_registry.lineage import CREDENTIAL
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from streams.model.findings import FindingKind
from streams.model.records import Access, DeadLetter, Lifecycle
from streams.model.times import ABSURD
from streams.services.event_id_conflicts import content_of
from streams.stages.ingest.ingress import Origin, facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agents_registry.facts import Fact
    from agents_registry.identifiers import NodeClass
    from streams.model.records import Outcome, Record

REALM: Final = "hunt"
OPERATOR: Final = "operator"
# Sources whose log is kept by the issuer of the credentials that it shows in use.
ISSUER_LOGS: Final = frozenset({"cloudtrail", "keycloak"})


class Use(NamedTuple):
    """One access, as the join needs it."""

    time: int
    outcome: Outcome | None
    event_id: str | None


_Use = tuple[int, "Outcome | None", str | None]


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


@define
class Reuse:
    """Presentations of one dead credential, dead by one cause."""

    kind: FindingKind
    identifiers: tuple[Identifier, ...]
    death: Death
    outcome: Outcome | None
    first: Use
    last: Use
    count: int = 0
    event_ids: list[str] = field(factory=list)

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
    """Collect records, then report."""

    def __init__(self, vocabulary: Mapping[str, NodeClass] | None = None) -> None:
        self.registry = Registry(vocabulary) if vocabulary else Registry()
        self.counts = HuntCounts()
        self._causes: dict[str, NamedCause] = {}
        # Plain tuples: the collector of cycles soon lets go of them, not of `Use`.
        self._uses: dict[Presented, list[_Use]] = {}
        self._issued: set[Identifier] = set()
        self._seen: set[int] = set()
        self._derived: set[int] = set()
        self._origins: dict[str, Origin] = {}
        self._event: object = None
        self._of_event: set[int] = set()

    def add(self, record: Record) -> None:
        """Take one record in; a repeat of the same content is only counted."""
        opens = self._opens_event(record)
        if isinstance(record, DeadLetter):
            self.counts.dead_letter += 1
        elif not self._is_new(record):
            self.counts.duplicate += opens
        elif isinstance(record, Access):
            self._access(record)
        else:
            self._lifecycle(record)

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
        findings = sorted(
            self._reuses(inclusive=inclusive),
            key=lambda reuse: (reuse.first.time, reuse.identifiers, reuse.kind.value),
        )
        return Report(
            counts=self.counts,
            issued=len(self._issued),
            edges=self._count_edges(),
            causes=tuple(
                sorted(self._causes.values(), key=lambda c: (c.fact.at, c.id))
            ),
            findings=tuple(findings),
        )

    def _opens_event(self, record: Record) -> bool:
        """Whether a record is its event's first; the access is always the last.

        No event says a thing twice: one at the same place that does is of another file.
        """
        event = (record.source, record.offset)
        content = hash(record)
        opens = event != self._event or content in self._of_event
        if opens:
            self._of_event.clear()
        self._of_event.add(content)
        self._event = None if isinstance(record, Access) else event
        return opens

    def _is_new(self, record: Lifecycle | Access) -> bool:
        """Identity is the content, not the id: ids repeat with other content.

        Of events that have neither an id nor a time too: what they say is the same, so
        a hunt finds the same, however often they are read.
        """
        content = hash(content_of(record))
        if content in self._seen:
            return False
        self._seen.add(content)
        return True

    def _lifecycle(self, record: Lifecycle) -> None:
        self.counts.lifecycle += 1
        if record.effect == "issue" and record.identifiers:
            self._issued.add(record.identifiers[0])
        for fact in self._facts(record):
            self.registry.apply(fact)
            if isinstance(fact, Cause):
                self._name(fact, record.identifiers, record.event_id, record.source)

    def _access(self, record: Access) -> None:
        self.counts.access += 1
        if record.outcome != "denied":
            lineage = hash(
                (record.identifiers, record.parents, record.ties, record.issued_at)
            )
            if lineage not in self._derived:
                self._derived.add(lineage)
                for fact in self._facts(record):
                    self.registry.apply(fact)
        if record.occurred_at is not None:
            use = (record.occurred_at, record.outcome, record.event_id)
            presented = Presented(record.identifiers, record.issued_at)
            self._uses.setdefault(presented, []).append(use)

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
        self._causes.setdefault(identity, named)

    def _reuses(self, *, inclusive: bool) -> Iterable[Reuse]:
        found: dict[tuple[object, ...], Reuse] = {}
        for presented in self._doomed():
            fate = Fate(self.registry, presented)
            marks = fate.turning_points()
            judged: dict[tuple[int, int], Death | None] = {}
            uses = sorted(self._uses[presented], key=itemgetter(0))
            for use in map(Use._make, uses):
                stretch = (bisect_left(marks, use.time), bisect_right(marks, use.time))
                if stretch not in judged:
                    judged[stretch] = fate.death(at=use.time, inclusive=inclusive)
                dead = judged[stretch]
                if dead is not None and not self._is_its_own_cause(use, dead):
                    _count(found, presented.identifiers, use, dead)
        return found.values()

    def _is_its_own_cause(self, use: Use, dead: Death) -> bool:
        """Whether the use is the revocation: a token may revoke itself."""
        named = self._causes.get(dead.cause.fact_id)
        return (
            named is not None
            and use.event_id is not None
            and named.event_id == use.event_id
        )

    def _doomed(self) -> Iterator[Presented]:
        """Presented identifiers that some cause may reach."""
        reached: set[Identifier] = set()
        for named in self._causes.values():
            if named.fact.target not in reached:
                reached.add(named.fact.target)
                reached.update(
                    other for other, _ in affected(self.registry, named.fact.target)
                )
        for presented in self._uses:
            if not reached.isdisjoint(presented.identifiers):
                yield presented

    def _count_edges(self) -> int:
        """Count the lineage edges between credentials."""
        lineage = self.registry.lineage
        return sum(
            lineage.flags[parent] & CREDENTIAL > 0
            for node in range(len(lineage))
            if lineage.flags[node] & CREDENTIAL
            for parent, _ in lineage.parents(node)
        )


def _count(
    found: dict[tuple[object, ...], Reuse],
    identifiers: tuple[Identifier, ...],
    use: Use,
    dead: Death,
) -> None:
    kind = FindingKind.USE_AFTER_REVOCATION
    if use.outcome == "denied":
        kind = FindingKind.BLOCKED_ATTEMPT
    key = (identifiers, kind, dead.cause.fact_id)
    reuse = found.get(key)
    if reuse is None:
        reuse = found[key] = Reuse(kind, identifiers, dead, use.outcome, use, use)
    reuse.count += 1
    reuse.last = use
    if use.event_id is not None:
        reuse.event_ids.append(use.event_id)
