"""What a realm's standing facts say: lineage, causes, times of issue and registers.

The second part of the second model (`tests.second_model`); DESIGN.md, section 2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeVar

from attrs import define, field, frozen

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Holds,
    Horizon,
    Lift,
    Node,
    OwnerSet,
    Reach,
    Relation,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import (
    VOCABULARY,
    Identifier,
    NodeClass,
)
from agents_registry.verdict import UnknownPolicy
from tests.second_standing import Said

Names = frozenset[Identifier]
Link = Literal["requires", "ends_with_parent", "ends_with_parent_always", "alias"]

Register = TypeVar("Register")
OF_TOKENS: Final[Mapping[str, UnknownPolicy]] = {"jwt.jti": "allow_if_principal_known"}


@frozen
class Question:
    """What is presented at a guard, and what the guard knows of it."""

    identifiers: tuple[Identifier, ...]
    now: int
    chain: tuple[Identifier, ...] = ()
    issued_at: int | None = None
    scope: str | None = None
    unknown: Mapping[str, UnknownPolicy] = OF_TOKENS

    @property
    def presented(self) -> tuple[Identifier, ...]:
        """Return everything that p requires."""
        return self.identifiers + self.chain


# ------------------------------------------------------------ the table of one moment


def class_of(identifier: Identifier) -> NodeClass:
    """Return the class that follows from the kind."""
    return VOCABULARY[identifier.kind]


def is_credential(identifier: Identifier) -> bool:
    """Tell whether not_before and the policy of unknown ones act on it."""
    return class_of(identifier) is NodeClass.CREDENTIAL


@frozen
class Ending:
    """A cause that stands and was not lifted, with the nodes that it hits."""

    cause: Cause
    nodes: Names
    at: int
    not_before: int | None


@define
class Realm:
    """Everything that stands, as it is read off the facts for one presentation."""

    said: list[Said]
    question: Question
    parents: dict[Identifier, set[tuple[Identifier, Link]]] = field(init=False)
    endings: list[Ending] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.parents = self.links()
        self.endings = [e for e in map(self.ending, self.said) if e is not None]

    def links(self) -> dict[Identifier, set[tuple[Identifier, Link]]]:
        """Return who requires whom; `created_by` is administrative and left out.

        Reading ("edge"): nothing is its own parent.
        """
        parents: dict[Identifier, set[tuple[Identifier, Link]]] = defaultdict(set)
        for said in self.said:
            fact = said.fact
            if (
                isinstance(fact, Edge)
                and fact.relation is not Relation.CREATED_BY
                and fact.child != fact.parent
            ):
                parents[fact.child].add((fact.parent, fact.relation.value))
            if isinstance(fact, Alias):
                self.link_names(parents, fact)
        return parents

    @staticmethod
    def link_names(
        parents: dict[Identifier, set[tuple[Identifier, Link]]], alias: Alias
    ) -> None:
        """Add two requires edges, one each way.

        Reading (section 1, alias): that a reusable name never joins a class is kept by
        ingress, which says an edge of it; an alias fact that exists is one.
        """
        parents[alias.first].add((alias.second, "alias"))
        parents[alias.second].add((alias.first, "alias"))

    def up(self, start: Iterable[Identifier], *links: Link) -> Names:
        """Return what is reachable from the start over these links, or over any."""
        seen = set(start)
        todo = list(seen)
        while todo:
            for parent, link in self.parents.get(todo.pop(), ()):
                if parent not in seen and (not links or link in links):
                    seen.add(parent)
                    todo.append(parent)
        return frozenset(seen)

    def lineage(self, node: Identifier) -> Names:
        """Return R(n)."""
        return self.up([node])

    def ends_with(self, node: Identifier) -> Names:
        """Return the nodes whose expiry ends this one too."""
        return self.up([node], "ends_with_parent", "ends_with_parent_always", "alias")

    def names(self, node: Identifier) -> Names:
        """Return the alias class."""
        return self.up([node], "alias")

    # ---------------------------------------------------------------- causes and lifts

    def ending(self, said: Said) -> Ending | None:
        """Return the cause that this fact is, unless it is none or was lifted."""
        cause = said.fact
        if not isinstance(cause, Cause) or self.lifted(said, cause):
            return None
        return Ending(
            cause, frozenset(self.hit(said, cause)), said.at or 0, said.not_before
        )

    def lifted(self, said: Said, cause: Cause) -> bool:
        """Tell whether a lift ends it: suspend and narrow alone, later by more than u.

        Reading ("Versions"): u of the pair is the larger of the two.
        """
        return cause.effect in {Effect.SUSPEND, Effect.NARROW} and any(
            isinstance(lift.fact, Lift)
            and lift.fact.authority == cause.authority
            and lift.fact.target == cause.target
            and lift.fact.aspect == cause.aspect
            and lift.version > said.version + max(said.doubt, lift.doubt)
            for lift in self.said
        )

    def hit(self, said: Said, cause: Cause) -> set[Identifier]:
        """Return the target, or each node that held the attribute's value by then."""
        if not cause.target.kind.startswith("attribute."):
            return {cause.target}
        return {
            held.fact.node
            for held in self.said
            if isinstance(held.fact, Holds)
            and held.fact.attribute == cause.target
            and held.version <= said.version
        }

    def reaches(self, ending: Ending, node: Identifier) -> bool:
        """Tell whether a cause gets to a node, by its reach.

        Reading ("reach self"): it is said of what is dead, so of revoke and suspend;
        "not_before, narrow and scope pass along `requires`", whatever their reach.
        """
        ends = ending.cause.effect in {Effect.REVOKE, Effect.SUSPEND}
        if not ends or ending.cause.reach is Reach.SUBTREE:
            return not ending.nodes.isdisjoint(self.lineage(node))
        return any(
            node in self.names(target) or self.cut_off(ending, target, node)
            for target in ending.nodes
        )

    def cut_off(self, ending: Ending, target: Identifier, node: Identifier) -> bool:
        """Tell whether an edge into the class of a cause of reach self is dead above.

        Reading ("reach self"): T is no later than its arrival, as for not_before.
        "Every other edge" is every one but the aliases, also between two of the class.
        """
        names = self.names(target)
        return any(
            parent in names
            and link != "alias"
            and (link == "ends_with_parent_always" or self.born_after(child, ending.at))
            for child in self.lineage(node)
            for parent, link in self.parents.get(child, ())
        )

    def born_after(self, node: Identifier, time: int) -> bool:
        """Tell whether its own node facts tell a time of issue from then on, or none.

        Reading ("reach self"): the latest time is taken as it was told, since a clamp
        could only spare it.
        """
        told = [fact.issued_at for fact in self.node_facts(node)]
        times = [issued for issued in told if issued is not None]
        return not times or max(times) >= time

    # --------------------------------------------------------- what node facts tell

    def node_facts(self, node: Identifier) -> list[Node]:
        """Return the node facts of one identifier."""
        return [
            said.fact
            for said in self.said
            if isinstance(said.fact, Node) and said.fact.node == node
        ]

    def own_times(self, node: Identifier) -> list[int]:
        """Return the times of issue in the node facts of this identifier itself.

        Reading ("Times ahead"): a first node fact is a grant, and nothing was issued
        later than it was told of, so the time is clamped as that of a grant.
        """
        return [
            said.issued
            for said in self.said
            if isinstance(said.fact, Node)
            and said.fact.node == node
            and said.issued is not None
        ]

    def known(self, node: Identifier) -> bool:
        """Tell whether a node fact that is no use names it."""
        return any(not fact.derived for fact in self.node_facts(node))

    def claims(self, node: Identifier) -> list[int]:
        """Return the verified time, for every name of the presented credentials."""
        if self.question.issued_at is None:
            return []
        presented = filter(is_credential, self.question.identifiers)
        mine = any(node in self.names(identifier) for identifier in presented)
        return [self.question.issued_at] if mine else []

    def issue_time(self, node: Identifier) -> int | None:
        """Return the earliest of alias class and claim; an alias lifts no doubt."""
        if not self.own_times(node) and not self.claims(node):
            return None
        told = [time for name in self.names(node) for time in self.own_times(name)]
        return min(told + self.claims(node))

    def spared(self, cause: Cause, nodes: Iterable[Identifier]) -> bool:
        """Tell whether own node facts name another device or tenant, never this one."""
        facts = [fact for node in nodes for fact in self.node_facts(node)]
        devices = {fact.device for fact in facts} - {None}
        tenants = {fact.tenant for fact in facts} - {None}
        return bool(
            (cause.device and devices and cause.device not in devices)
            or (cause.tenant and tenants and cause.tenant not in tenants)
        )

    # -------------------------------------------------------------------- registers

    def owner_sets(self, node: Identifier) -> list[Names]:
        """Return every authority's sets in force: the highest non-empty, all ties."""
        told: dict[str, list[tuple[int, Names]]] = defaultdict(list)
        for said in self.said:
            fact = said.fact
            if isinstance(fact, OwnerSet) and fact.node == node and fact.owners:
                told[fact.authority].append((said.version, frozenset(fact.owners)))
        return [owners for sets in told.values() for owners in highest(sets)]

    def scope_sets(self, node: Identifier) -> list[tuple[str, ...]]:
        """Return the declared scopes in force, of every authority.

        Reading ("Scope"): sets tied in version each have to cover a request.
        """
        told: dict[str, list[tuple[int, tuple[str, ...]]]] = defaultdict(list)
        for said in self.said:
            fact = said.fact
            if isinstance(fact, ScopeSet) and fact.node == node:
                told[fact.authority].append((said.version, fact.scopes))
        return [scopes for sets in told.values() for scopes in highest(sets)]

    def past_expiry(self, node: Identifier) -> bool:
        """Tell whether any authority's expiry has come; ties take the earlier.

        Reading ("Expiry"): it has come at that very time.
        """
        told: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
        for said in self.said:
            fact = said.fact
            if isinstance(fact, Renewal) and fact.node == node:
                told[fact.authority].append((said.version, fact.expires_at))
        return any(
            time is not None and time <= self.question.now
            for times in told.values()
            for time in highest(times)
        )

    def horizon(self) -> int | None:
        """Return the latest horizon."""
        told = [said.version for said in self.said if isinstance(said.fact, Horizon)]
        return max(told, default=None)


def highest(told: list[tuple[int, Register]]) -> list[Register]:
    """Return what the highest version says; more than one where versions tie."""
    top = max(version for version, _ in told)
    return [content for version, content in told if version == top]
