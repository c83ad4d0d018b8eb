"""The table of a realm: facts go in, in any order and any number of times.

Merging is commutative, associative and idempotent, so duplicates, reordering,
replays and a zombie's stale writes are harmless. Nothing stores "active": whether a
node lives is computed from the facts (`agents_registry.life`).

There is no index of fact ids in memory. A fact that takes other facts back
(withdraw, distrust) therefore may ask for a rebuild from the log: `needs_rebuild`.
Until the new table is there, the old one goes on denying.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar

from agents_registry.cause_rows import RecordedCause
from agents_registry.causes import CauseBook
from agents_registry.clearance import Clearance
from agents_registry.dumps import dumped, restore
from agents_registry.facts import (
    Alias,
    Cause,
    Distrust,
    Edge,
    Fact,
    Holds,
    Horizon,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import VOCABULARY, Identifier, owner_in
from agents_registry.lineage import (
    CAUSED,
    KNOWN,
    OWNED,
    ROOT,
    SCOPED,
    UNKNOWN_TIME,
    Lineage,
)
from agents_registry.parts import PartedDict
from agents_registry.registers import ExpiryRegister, Register
from agents_registry.steps import finish, restless
from agents_registry.told import named
from agents_registry.versions import Versions, varies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from agents_registry.identifiers import NodeClass
    from agents_registry.steps import Rest, Steps

STEP = 63  # a mask: facts between two yields
IN_DOUBT = "the labels of a statement whose time changed"  # who owns what by them
_FINAL = frozenset({Withdraw.NAME, Distrust.NAME})  # these cannot be taken back


class Registry:
    """Lineage, causes and registers of one realm.

    Attributes:
        needs_rebuild: the table may hold what was taken back; build it anew from
            every fact of the realm and deny with this one meanwhile.
        horizon: facts on credentials issued before this time may be gone (ns).
        changes: counts the facts that were merged, for walks that let others go on.
        withdrawn, distrusts: what takes facts back.
        versions: those of statements whose copies may differ.
        selecting: by owner, the name that stands for all that it owns, as a target.
        selected: the same the other way round.
    """

    def __init__(self, vocabulary: Mapping[str, NodeClass] = VOCABULARY) -> None:
        """Start with no facts."""
        self.lineage = Lineage(vocabulary)
        self.causes = CauseBook()
        self.owners: Register[frozenset[int]] = Register(strictest=frozenset())
        self.scopes: Register[tuple[str, ...]] = Register(strictest=())
        self.labels: Register[tuple[int, ...]] = Register(strictest=())
        self.expiry = ExpiryRegister(self.lineage.expires)
        self.owned: PartedDict[int, list[int]] = PartedDict()
        self.emptied: PartedDict[int, dict[str, int]] = PartedDict()
        self.holders: PartedDict[int, dict[int, int]] = PartedDict()
        self.attributes: PartedDict[int, dict[int, int]] = PartedDict()
        self.clearance = Clearance(self.lineage, self.owned)
        self.selecting: PartedDict[int, int] = PartedDict()
        self.selected: PartedDict[int, int] = PartedDict()
        self.devices: PartedDict[int, set[str]] = PartedDict()
        self.tenants: PartedDict[int, set[str]] = PartedDict()
        self.horizon: int | None = None
        self.needs_rebuild = False
        self.changes = 0
        self.withdrawn: set[tuple[str, str, Identifier]] = set()
        self.distrusts: list[Distrust] = []
        self.versions = Versions()

    @classmethod
    def build(
        cls,
        facts: Iterable[Fact],
        vocabulary: Mapping[str, NodeClass] = VOCABULARY,
    ) -> Registry:
        """Make the table of all facts of a realm.

        Args:
            facts: every fact, in any order; an iterator is read into a list.
            vocabulary: the class of each kind.
        """
        return finish(cls.building(facts, vocabulary))

    @classmethod
    def building(
        cls,
        facts: Iterable[Fact],
        vocabulary: Mapping[str, NodeClass] = VOCABULARY,
    ) -> Steps[Registry]:
        """Make the table of all facts of a realm in steps; see `build`."""
        registry = cls(vocabulary)
        facts = facts if isinstance(facts, list | tuple) else list(facts)
        for count, fact in enumerate(facts):
            if not count & STEP:
                yield
            if isinstance(fact, Withdraw | Distrust):
                registry.apply(fact)
        for count, fact in enumerate(facts):
            if not count & STEP:
                yield
            if varies(fact) and registry.stands(fact):
                registry.versions.note(fact)
        for count, fact in enumerate(facts):
            if not count & STEP:
                yield
            registry.apply(fact)
        registry.needs_rebuild = False
        return registry

    def dump(self) -> dict[str, Any]:
        """State as plain values: bytes, and lists that JSON can hold.

        Nothing of it changes with the table. One that needs a rebuild has nothing worth
        keeping. See `agents_registry.table_form`.
        """
        return dumped(self)

    @classmethod
    def load(
        cls,
        plain: Mapping[str, Any],
        vocabulary: Mapping[str, NodeClass],
        rest: Rest = restless,
    ) -> Registry:
        """Make the table again that `dump` gave, with the vocabulary that it had.

        Args:
            plain: the dump; `table_form.DERIVED` may be left out.
            vocabulary: kind to class.
            rest: called now and then, so that other threads can have their turn.
        """
        registry = cls(vocabulary)
        restore(registry, plain, rest)
        return registry

    def apply(self, fact: Fact) -> None:
        """Merge one fact."""
        if not (self.withdrawn or self.distrusts) or self.stands(fact):
            self.changes += 1
            self._MERGE[type(fact)](self, fact)

    def hangs_on(self, node: int) -> list[int]:
        """Parents of an identifier, and its owners of all statements."""
        ups = [parent for parent, _ in self.lineage.parents(node)]
        if self.lineage.flags[node] & OWNED:
            ups += (owner for owners in self.owners.of(node) for owner in owners)
        return ups

    def causes_of(self, node: int) -> Iterator[RecordedCause]:
        """Yield the causes on an identifier, on what it owns or an attribute of it."""
        return self._causes_by(self.causes.on, node)

    def standing_causes(self, node: int) -> Iterator[RecordedCause]:
        """Yield what `causes_of` does, without most of what a lift has ended."""
        return self._causes_by(self.causes.standing, node)

    def _causes_by(
        self, on: Callable[[int], Iterator[RecordedCause]], node: int
    ) -> Iterator[RecordedCause]:
        yield from on(node)
        if (selecting := self.selecting.get(node)) is not None:
            yield from on(selecting)
        for attribute, held_from in self.attributes.get(node, {}).items():
            for cause in on(attribute):
                if held_from <= cause.version:
                    yield cause

    def stands(self, fact: Fact) -> bool:
        """Whether this copy was not taken back."""
        if any(distrust.covers(fact) for distrust in self.distrusts):
            return False
        if not self.withdrawn or fact.NAME in _FINAL:
            return True
        identity = _id(fact)
        return not any(
            (identity, fact.NAME, name) in self.withdrawn for name in named(fact)
        )

    def _state(
        self, register: Register[Any] | ExpiryRegister, node: int, fact: Fact, said: Any
    ) -> bool:
        """Merge a statement; one whose time changed puts its node in doubt.

        What it replaced under its old version may be the one that counts.

        Returns:
            Whether it does.
        """
        authority, versions = fact.authority, self.versions
        if not (versions or fact.stamped or fact.ahead):
            register.put(node, authority, fact.version, said)
            return False
        merged = register.version(node, authority)
        version, doubtful = versions.take(fact, merged)
        register.put(node, authority, version, said)
        if doubtful:
            register.doubt(node, authority)
            self.needs_rebuild = True
        versions.forget(fact, version if merged is None else max(version, merged))
        return doubtful

    def _latest(self, fact: Fact, merged: int | None) -> int:
        """Highest version of a register that keeps nothing else."""
        version, doubtful = self.versions.take(fact, merged)
        self.needs_rebuild |= doubtful
        latest = version if merged is None else max(version, merged)
        self.versions.forget(fact, latest)
        return latest

    def _node(self, fact: Node) -> None:
        lineage, clearance = self.lineage, self.clearance
        node = lineage.intern(fact.node)
        issued = lineage.issued[node]
        if not fact.derived:
            lineage.flags[node] |= KNOWN
        if fact.issued_at is not None:
            lineage.issue(node, fact.issued_at, fact.received_at)
        if fact.root:
            lineage.flags[node] |= ROOT
        if fact.device is not None:
            self.devices.setdefault(node, set()).add(fact.device)
        if fact.tenant is not None:
            self.tenants.setdefault(node, set()).add(fact.tenant)
        if clearance.values:  # else nobody asked this table for anything
            if not fact.derived:
                clearance.name(node)
            ends = self.horizon is not None or issued != lineage.issued[node]
            (self.clearance.undo if ends else self.clearance.loosen)(node)

    def _edge(self, fact: Edge) -> None:
        intern = self.lineage.intern
        child = intern(fact.child)
        self.lineage.link(child, intern(fact.parent), fact.relation)
        if self.clearance.values:
            self.clearance.undo(child)

    def _alias(self, fact: Alias) -> None:
        first, second = map(self.lineage.intern, (fact.first, fact.second))
        self.lineage.join(first, second)
        # Of two rings that are one now, each is whole from one of these on.
        ring = self.lineage.ring
        self.clearance.undo(first, second, ring[first], ring[second])

    def _owner_set(self, fact: OwnerSet) -> None:
        node = self.lineage.intern(fact.node)
        if not fact.owners:
            emptied = self.emptied.setdefault(node, {})
            authority = fact.authority
            emptied[authority] = self._latest(fact, emptied.get(authority))
            return
        owners = frozenset(self.lineage.intern(owner) for owner in fact.owners)
        self._state(self.owners, node, fact, owners)
        self.lineage.flags[node] |= OWNED
        for owner in owners:
            owned = self.owned.setdefault(owner, [])
            if node not in owned[-1:]:
                owned.append(node)
        self.clearance.undo(node)

    def _renewal(self, fact: Renewal) -> None:
        node = self.lineage.intern(fact.node)
        expires = UNKNOWN_TIME if fact.expires_at is None else fact.expires_at
        before = self.lineage.expires[node]
        self._state(self.expiry, node, fact, expires)
        if self.lineage.expires[node] < before:
            self.clearance.undo(node)
        else:
            self.clearance.loosen(node)

    def _scope_set(self, fact: ScopeSet) -> None:
        node = self.lineage.intern(fact.node)
        scopes = tuple(sorted(set(fact.scopes)))
        self._state(self.scopes, node, fact, scopes)
        self.lineage.flags[node] |= SCOPED
        self.clearance.undo(node)

    def _label_set(self, fact: LabelSet) -> None:
        lineage = self.lineage
        node = lineage.intern(fact.node)
        labels = tuple(sorted({lineage.intern(label) for label in fact.labels}))
        if self._state(self.labels, node, fact, labels):
            # Labels that count may be missing: nobody owns it until the table is anew.
            self.owners.put(node, IN_DOUBT, 0, frozenset())
            lineage.flags[node] |= OWNED
        lineage.label(node, chain.from_iterable(self.labels.of(node)))
        self.clearance.undo(node)

    def _holds(self, fact: Holds) -> None:
        node = self.lineage.intern(fact.node)
        attribute = self.lineage.intern(fact.attribute)
        version = fact.effective_version  # of the copies the smallest, as of all facts
        for held, key in ((self.attributes, node), (self.holders, attribute)):
            other = attribute if key == node else node
            versions = held.setdefault(key, {})
            versions[other] = min(version, versions.get(other, version))
        self.lineage.flags[node] |= CAUSED  # a cause may hit it by the attribute
        self.clearance.undo(node)

    def _cause(self, fact: Cause) -> None:
        node = self.lineage.intern(fact.target)
        self.causes.add(RecordedCause.read(fact_id(fact), node, fact))
        self.lineage.flags[node] |= CAUSED
        for name in fact.where:
            self.lineage.intern(name)  # it may be presented, and named by nothing else
        self.select(node, fact.target)
        self._causes_changed(node)

    def select(self, node: int, target: Identifier) -> None:
        """Have the causes on what an owner has found where the owner is met."""
        if (owner := owner_in(target)) is not None:
            number = self.lineage.intern(owner)
            self.selecting[number], self.selected[node] = node, number
            self.lineage.flags[number] |= CAUSED

    def _lift(self, fact: Lift) -> None:
        node = self.lineage.intern(fact.target)
        self.causes.lift(_id(fact), node, fact)
        self._causes_changed(node)

    def _causes_changed(self, node: int) -> None:
        """Undo what hangs on a node, and on those that hold it as an attribute."""
        holders = islice(self.holders.get(node, ()), self.clearance.allowed())
        node = self.selected.get(node, node)
        self.clearance.undo(node, *holders)

    def _withdraw(self, fact: Withdraw) -> None:
        if fact.kind in _FINAL:
            return
        self.withdrawn.add((fact.fact_id, fact.kind, fact.target))
        node = self.lineage.find(fact.target)
        if fact.kind not in {Cause.NAME, Lift.NAME}:
            self.needs_rebuild = True
        elif node >= 0:
            self.causes.remove(node, fact.fact_id)
            self._causes_changed(node)

    def _distrust(self, fact: Distrust) -> None:
        if fact not in self.distrusts:
            self.distrusts.append(fact)
            self.needs_rebuild = True

    def _horizon(self, fact: Horizon) -> None:
        self.horizon = self._latest(fact, self.horizon)
        self.clearance.begin()

    _MERGE: ClassVar[dict[type[Fact], Callable[[Registry, Any], None]]] = {
        Node: _node,
        Edge: _edge,
        Alias: _alias,
        OwnerSet: _owner_set,
        Renewal: _renewal,
        ScopeSet: _scope_set,
        LabelSet: _label_set,
        Holds: _holds,
        Cause: _cause,
        Lift: _lift,
        Withdraw: _withdraw,
        Distrust: _distrust,
        Horizon: _horizon,
    }


def _id(fact: Fact) -> str:
    return fact_id(fact).hex()
