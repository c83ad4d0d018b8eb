"""How many identifiers a batch of facts would newly end, counted up to a limit.

A cause ends what hangs below its target. An edge, alias, owner set, attribute or time
of issue ends what it puts under something that has ended already. The facts of a batch
count together: a new name that a cause in the same batch names may be another name of
something large.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, TypeAlias

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    LabelSet,
    Node,
    OwnerSet,
    Reach,
    Relation,
    Renewal,
    fact_id,
)
from agents_registry.flaws import finding_flaws
from agents_registry.identifiers import Identifier, owner_in
from agents_registry.life import Reason, nothing_ends
from agents_registry.lineage import NONE
from streams.model.findings import FindingKind
from streams.stages.ingest.approvals import HELD, Pending

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

OURS: Final = "blast limit"  # the point of the findings
STEP: Final = 127  # a mask: facts or names between two yields
MOST_BELOW: Final = 10_000  # names under a condition that are looked through

Name: TypeAlias = "int | Identifier"  # a node of the table, or a name that is new


class BatchReach:
    """Counts what the facts of a batch would newly end, beside what they name.

    A superset, as in ``rescind blast-radius``: another owner may live, an older child
    may be spared. What the causes of the batch themselves name is not counted.

    Attributes:
        over: positions of the facts that end something, once the batch as a whole is
            over its limit.
    """

    def __init__(
        self, registry: Registry, facts: Sequence[Fact], limit: int, now: int
    ) -> None:
        """Set up; `steps` counts.

        Args:
            registry: the table that does not have the facts yet.
            facts: of one batch.
            limit: how many identifiers it may end.
            now: ns.
        """
        self._registry = registry
        self._facts = facts
        self._limit = limit
        self._now = now
        self._added: dict[Name, list[Name]] = defaultdict(list)
        self.over: set[int] = set()

    def steps(self) -> Steps[set[int]]:
        """Count; give `over`."""
        for count, fact in enumerate(self._facts):
            if not count & STEP:
                yield
            self._add(fact)
        seen: set[Name] = set()
        starting: set[int] = set()
        total = 0
        for position, fact in enumerate(self._facts):
            yield
            start = yield from self._start(fact)
            if start is None:
                continue
            own, most = isinstance(fact, Cause), self._limit - total
            chosen = (yield from self._chosen(fact)) if own else None
            if chosen is None:
                reached = yield from self._reached(start, seen, most, own=own)
            else:
                reached = yield from self._all_reached(chosen, seen, most)
            total += reached
            if reached or not own or any(True for _ in self._below(start)):
                starting.add(position)
        if total > self._limit:
            self.over = starting
        return self.over

    def _chosen(self, fact: Fact) -> Steps[list[Name] | None]:
        """Names that a cause acts on by its conditions, or more; None: on all below.

        A condition that very many meet is left out where another one is narrower.
        """
        if not isinstance(fact, Cause) or not (fact.kinds or fact.where):
            return None
        meeting: set[Name] | None = None
        for condition in dict.fromkeys((fact.target, *fact.where)):
            name = self._name(owner_in(condition) or condition)
            below = yield from self._few_below(name)
            if below is not None:
                meeting = below if meeting is None else meeting & below
        if meeting is None:
            return None
        kinds, chosen = frozenset(fact.kinds), list[Name]()
        for count, each in enumerate(meeting):
            if not count & STEP:
                yield
            if not kinds or self._kind(each) in kinds:
                chosen.append(each)
        return chosen

    def _kind(self, name: Name) -> str:
        lineage = self._registry.lineage
        return lineage.names.kind(name) if isinstance(name, int) else name.kind

    def _few_below(self, start: Name) -> Steps[set[Name] | None]:
        """Names that hang on one, where they are no more than `MOST_BELOW`."""
        found: set[Name] = set()
        count, todo = 0, [start]
        for name in todo:
            for other in self._below(name):
                count += 1
                if not count & STEP:
                    yield
                if other not in found:
                    found.add(other)
                    todo.append(other)
                if len(found) > MOST_BELOW:
                    return None
        return found

    def _all_reached(
        self, names: Iterable[Name], seen: set[Name], most: int
    ) -> Steps[int]:
        """Count names and what hangs on them as `_reached` does."""
        reached = 0
        for name in names:
            more = yield from self._reached(name, seen, most - reached, own=False)
            reached += more
            if reached > most:
                break
        return reached

    def _name(self, identifier: Identifier) -> Name:
        node = self._registry.lineage.find(identifier)
        return identifier if node == NONE else node

    def _add(self, fact: Fact) -> None:
        """Note what hangs where by a fact of the batch."""
        pairs: list[tuple[Identifier, Identifier]] = []
        if isinstance(fact, Edge) and fact.relation is not Relation.CREATED_BY:
            pairs = [(fact.parent, fact.child)]
        elif isinstance(fact, Alias):
            pairs = [(fact.first, fact.second), (fact.second, fact.first)]
        elif isinstance(fact, OwnerSet):
            pairs = [(owner, fact.node) for owner in fact.owners]
        elif isinstance(fact, LabelSet):
            pairs = [(label, fact.node) for label in fact.labels]
        elif isinstance(fact, Holds):
            pairs = [(fact.attribute, fact.node)]
        for above, below in pairs:
            self._added[self._name(above)].append(self._name(below))

    def _start(self, fact: Fact) -> Steps[Name | None]:
        """Name from which a fact may newly end something, or None."""
        if isinstance(fact, Cause):
            known = stands(self._registry, fact)
            known = known or (yield from self._final(fact.target))
            return None if known else self._name(owner_in(fact.target) or fact.target)
        for name, ends in (yield from self._put_under(fact)):
            if ends and not (yield from self._final(name)):
                return self._name(name)
        return None

    def _put_under(self, fact: Fact) -> Steps[list[tuple[Identifier, bool]]]:
        """Names and whether a fact puts them under something that has ended."""
        match fact:
            case Edge(child=child, parent=parent, relation=relation):
                if relation is not Relation.CREATED_BY:
                    expires = relation is not Relation.REQUIRES
                    return [(child, (yield from self._ended(parent, expires=expires)))]
            case Alias(first=first, second=second):
                return [
                    (second, (yield from self._ended(first, expires=True))),
                    (first, (yield from self._ended(second, expires=True))),
                ]
            case OwnerSet(node=node, owners=owners):
                living = yield from self._living(owners, expires=True)
                return [(node, bool(owners) and not living)]
            case LabelSet(node=node, labels=labels):
                living = yield from self._living(labels, expires=False)
                return [(node, living < len(labels))]
            case Holds(node=node, attribute=attribute):
                return [(node, bool(self._causes(attribute)))]
            case Node(node=node, issued_at=issued) if issued is not None:
                return [(node, self._outdates(node, issued))]
            case Renewal(node=node, expires_at=expires_at) if expires_at is not None:
                return [(node, expires_at <= self._now)]
        return []

    def _living(self, names: Iterable[Identifier], *, expires: bool) -> Steps[int]:
        """Count those of some names that are not `_ended`."""
        living = 0
        for name in names:
            living += not (yield from self._ended(name, expires=expires))
        return living

    def _ended(self, name: Identifier, *, expires: bool) -> Steps[bool]:
        """Whether what hangs on a name is dead."""
        yield
        node = self._registry.lineage.find(name)
        if node == NONE or nothing_ends(self._registry, (node,), self._now):
            return False
        flaws = yield from finding_flaws(self._registry, name, self._now)
        marked = any(cause.effect is Effect.NOT_BEFORE for cause in self._causes(name))
        return marked or any(
            expires or flaw.reason is not Reason.EXPIRED for flaw in flaws
        )

    def _final(self, name: Identifier) -> Steps[bool]:
        """Whether a name, with all below it, is ended for good already."""
        yield
        node = self._registry.lineage.find(name)
        if node == NONE or nothing_ends(self._registry, (node,), -1):
            return False
        return any(
            flaw.reason is Reason.REVOKED
            and flaw.cause is not None
            and flaw.cause.reach is Reach.SUBTREE
            for flaw in (yield from finding_flaws(self._registry, name, self._now))
        )

    def _outdates(self, name: Identifier, issued: int) -> bool:
        """Whether a time of issue may bring a name under a ``not_before``."""
        node = self._registry.lineage.find(name)
        if node == NONE or nothing_ends(self._registry, (node,), -1):
            return False
        known = self._registry.lineage.issued[node]
        return issued < known

    def _causes(self, name: Identifier) -> list[RecordedCause]:
        node = self._registry.lineage.find(name)
        return [] if node == NONE else list(self._registry.causes_of(node))

    def _below(self, name: Name) -> Iterator[Name]:
        """Yield what hangs directly on a name, by the table and by the batch."""
        if isinstance(name, int):
            lineage = self._registry.lineage
            yield from lineage.children(name)
            yield from lineage.others(name)[1:]
            yield from self._registry.owned.get(name, ())
            yield from self._registry.holders.get(name, ())
        yield from self._added.get(name, ())

    def _reached(
        self, start: Name, seen: set[Name], most: int, *, own: bool
    ) -> Steps[int]:
        """Count what hangs on a name and was not seen before, to one above ``most``.

        The name itself counts, but where it is a cause's own.
        """
        if start in seen:
            return 0
        seen.add(start)
        todo, reached, count = [start], int(not own), 0
        for name in todo:
            for other in self._below(name):
                if reached > most:
                    return reached
                count += 1
                if not count & STEP:
                    yield
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
                    reached += 1
            count += 1
            if not count & STEP:
                yield
        return reached


def stands(registry: Registry, cause: Cause) -> bool:
    """Whether the table holds this very cause: then a copy changes nothing."""
    node = registry.lineage.find(cause.target)
    identity = fact_id(cause).hex()
    return any(one.fact_id == identity for one in registry.causes.on(node))


def held(fact: Fact, limit: int) -> Pending:
    """Fact that waits; a redelivery gives the same.

    It never becomes void: dropping it in silence would be to allow.

    Args:
        fact: what was said.
        limit: of its authority.
    """
    return Pending(
        id=fact_id(fact).hex()[:32],
        kind=HELD,
        summary=f"{_told(fact)}, which reaches more than {limit} identifiers",
        reason="over the blast limit of its authority",
        person=fact.ingress_key,
        credential=fact.ingress_key,
        proposed_at=fact.received_at,
        expires_at=None,
        authority=fact.authority,
        facts=(fact,),
    )


def _told(fact: Fact) -> str:
    if isinstance(fact, Cause):
        return f"{fact.effect.value} {fact.target} by {fact.authority}"
    put = {Edge: "parent", Alias: "second", Holds: "attribute"}
    under = getattr(fact, put.get(type(fact), ""), None)
    below = "" if under is None else f" under {under}"
    return f"{fact.NAME} of {_named(fact)}{below} by {fact.authority}"


def _named(fact: Fact) -> Identifier:
    """Name that a fact ends, or puts under what has ended."""
    for name in ("target", "child", "node", "first"):
        named = getattr(fact, name, None)
        if isinstance(named, Identifier):
            return named
    raise ValueError(f"a {fact.NAME} fact ends nothing")


def notice(fact: Fact, detail: str) -> dict[str, Any]:
    """Signal of a fact over its limit, for a finding."""
    return _signal(fact) | {
        "at": fact.received_at,
        "event_ids": [fact.event_id] if fact.event_id else [],
        "detail": f"{detail}, the limit of {fact.authority}",
        "ended_by": getattr(fact, "actor", None),
        "authority": fact.authority,
        "reason": getattr(fact, "reason", None),
    }


def over(fact: Fact) -> dict[str, Any]:
    """Signal that ends the finding: somebody decided."""
    return _signal(fact) | {"at": fact.received_at, "over": True}


def _signal(fact: Fact) -> dict[str, Any]:
    kind = FindingKind.BLAST_LIMIT.value
    return {"kind": kind, "presented": list(_named(fact)), "point": OURS}
