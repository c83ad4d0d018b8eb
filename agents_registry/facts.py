"""Facts: the immutable statements that make up the state of a realm.

All times are integer nanoseconds since 1970 (UTC); ``None`` means unknown.
A fact's id is the hash of what it says (who said it, about what, when by the
authority's own clock), so repeats collapse and differing content survives.
How a copy reached us (receive time, ingress key) is not part of the id.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Final

import attrs
from attrs import field, frozen

from agents_registry.fact_base import (
    COPY,
    FOR_PEOPLE,
    FUTURE_TOLERANCE,
    HOUR,
    SECOND,
    SELDOM,
    STAMP_UNCERTAINTY,
    UNTIL_TOLERANCE,
    Effect,
    Fact,
    Reach,
    Relation,
    plain_value,
)
from agents_registry.identifiers import LABEL, Identifier
from agents_registry.limits_of_causes import SELECTING, check_limits

__all__ = [
    "COPY", "FACTS", "FOR_PEOPLE", "FUTURE_TOLERANCE", "HOUR", "SECOND", "SELDOM",
    "STAMP_UNCERTAINTY", "UNTIL_TOLERANCE", "Alias", "Cause", "Distrust", "Edge",
    "Effect", "Fact", "Holds", "Horizon", "LabelSet", "Lift", "Node", "OwnerSet",
    "Reach", "Relation", "Renewal", "ScopeSet", "Withdraw", "canonical", "copy_key",
    "fact_id", "fact_key", "from_plain", "to_plain",
]  # fmt: skip


@frozen(kw_only=True, slots=True)
class Node(Fact):
    """An identifier exists, issued at a time.

    Attributes:
        derived: read off a use, so it does not make the identifier known.
        root: the credential is declared to have no parent.
        device: the device that the credential is bound to (complex subjects).
        tenant: the tenant that the credential is bound to.
    """

    NAME: ClassVar[str] = "node"

    node: Identifier
    issued_at: int | None = None
    derived: bool = False
    root: bool = False
    device: str | None = None
    tenant: str | None = None


@frozen(kw_only=True, slots=True)
class Edge(Fact):
    """A child hangs on a parent."""

    NAME: ClassVar[str] = "edge"

    child: Identifier
    parent: Identifier
    relation: Relation = Relation.REQUIRES
    derived: bool = False


@frozen(kw_only=True, slots=True)
class Alias(Fact):
    """Two identifiers name one node; the fact has no direction."""

    NAME: ClassVar[str] = "alias"

    first: Identifier
    second: Identifier


@frozen(kw_only=True, slots=True)
class OwnerSet(Fact):
    """The owners of a node as its authority sees them; an empty set changes nothing."""

    NAME: ClassVar[str] = "owner_set"

    node: Identifier
    owners: tuple[Identifier, ...]


@frozen(kw_only=True, slots=True)
class Renewal(Fact):
    """The time when a node expires; None means never."""

    NAME: ClassVar[str] = "renewal"

    node: Identifier
    expires_at: int | None


@frozen(kw_only=True, slots=True)
class ScopeSet(Fact):
    """The scopes that a node declares: ``namespace|value``; empty covers nothing."""

    NAME: ClassVar[str] = "scope_set"

    node: Identifier
    scopes: tuple[str, ...]


@frozen(kw_only=True, slots=True)
class LabelSet(Fact):
    """The labels of a node as its authority sees them; an empty set takes all away.

    Attributes:
        labels: each of a kind ``label.<key>``; the node requires them.
    """

    NAME: ClassVar[str] = "label_set"

    node: Identifier
    labels: tuple[Identifier, ...]

    def __attrs_post_init__(self) -> None:
        """Refuse what is no label.

        Raises:
            ValueError: a name is of another kind.
        """
        for label in self.labels:
            if not label.kind.startswith(LABEL) or label.kind == LABEL:
                message = f"{label} is no label: write it as label.<key>:<value>"
                raise ValueError(message)


@frozen(kw_only=True, slots=True)
class Holds(Fact):
    """A node holds an attribute value, kept as a keyed hash.

    Attributes:
        attribute: kind ``attribute.<name>``, value the keyed hash in hex.
    """

    NAME: ClassVar[str] = "holds"

    node: Identifier
    attribute: Identifier


@frozen(kw_only=True, slots=True)
class Cause(Fact):
    """Authority ends or is limited.

    Attributes:
        target: an identifier, or ``attribute.<name>:<keyed hash>``.
        at: when it happened by the authority's clock; for reach self the time T.
        not_before: T of effect not_before: what was issued up to T is dead.
        aspect: what a lift must name to end it (account, key, risk, lock, ...).
        scopes: what effect narrow leaves.
        device: spare credentials whose node facts name another device.
        tenant: spare credentials whose node facts name another tenant.
        until: a suspend or narrow has no effect once this time is past (ns).
        kinds: a suspend or narrow acts on what hangs on the target and is of one of
            these kinds, and on what hangs on that; empty: on all.
        where: a suspend or narrow acts on what also requires each of these names, or is
            owned by each ``owner.of:<identifier>``, and on what hangs on that. An owner
            may be the target too; it then stands here as well.
        actor: whoever ended it, as this copy tells: an operator, or ``kind:value``.
        reason: why, as this copy tells.
    """

    NAME: ClassVar[str] = "cause"
    TOLERATED_AHEAD: ClassVar[int] = FUTURE_TOLERANCE

    target: Identifier
    effect: Effect
    reach: Reach = Reach.SUBTREE
    at: int
    not_before: int | None = None
    aspect: str = ""
    scopes: tuple[str, ...] = ()
    device: str | None = None
    tenant: str | None = None
    until: int | None = None
    kinds: tuple[str, ...] = ()
    where: tuple[Identifier, ...] = ()
    actor: str | None = field(default=None, metadata=COPY)
    reason: str | None = field(default=None, metadata=COPY)

    def __attrs_post_init__(self) -> None:
        """Refuse limits that the cause cannot have.

        Raises:
            ValueError: what ends for good has an end, or is limited; or a condition is
                none.
        """
        if self.target.kind in SELECTING or self.where:
            # A reader that does not know of owners must see that there is a condition.
            of_owner = self.target.kind in SELECTING
            where = {*self.where, self.target} if of_owner else set(self.where)
            object.__setattr__(self, "where", tuple(sorted(where)))
        elif self.until is None and not self.kinds:
            return
        check_limits(self)


@frozen(kw_only=True, slots=True)
class Lift(Fact):
    """A suspend or narrow ends."""

    NAME: ClassVar[str] = "lift"

    target: Identifier
    aspect: str = ""


@frozen(kw_only=True, slots=True)
class Withdraw(Fact):
    """An operator takes one fact back.

    Attributes:
        fact_id: hex id of the fact that ends.
        kind: its NAME; withdraw and distrust cannot be withdrawn.
        target: the identifier that it spoke of.
    """

    NAME: ClassVar[str] = "withdraw"

    fact_id: str
    kind: str
    target: Identifier


@frozen(kw_only=True, slots=True)
class Distrust(Fact):
    """An operator takes back all that a stolen ingress key said in an interval."""

    NAME: ClassVar[str] = "distrust"

    suspect: str
    suspect_key: str
    received_from: int
    received_to: int

    def covers(self, fact: Fact) -> bool:
        """Whether this copy of a fact falls under the predicate."""
        return (
            fact.authority == self.suspect
            and fact.ingress_key == self.suspect_key
            and self.received_from <= fact.received_at <= self.received_to
            and not isinstance(fact, Withdraw | Distrust)
        )


@frozen(kw_only=True, slots=True)
class Horizon(Fact):
    """Facts about credentials issued before ``version`` may have been pruned."""

    NAME: ClassVar[str] = "horizon"
    TOLERATED_AHEAD: ClassVar[int] = FUTURE_TOLERANCE


FACTS: Final[dict[str, type[Fact]]] = {
    fact.NAME: fact
    for fact in (
        Node, Edge, Alias, OwnerSet, Renewal, ScopeSet, Holds,
        Cause, Lift, Withdraw, Distrust, Horizon, LabelSet,
    )
}  # fmt: skip


def to_plain(fact: Fact) -> dict[str, Any]:
    """Fact as JSON-ready values; ``fact`` names its kind."""
    plain = {
        a.name: plain_value(getattr(fact, a.name)) for a in attrs.fields(type(fact))
    }
    for name in (*FOR_PEOPLE, *SELDOM):
        if plain.get(name, 0) in (None, []):
            del plain[name]
    return {"fact": fact.NAME, **plain}


def from_plain(plain: dict[str, Any]) -> Fact:
    """Read what `to_plain` gave.

    Raises:
        ValueError: an unknown kind of fact, or a missing, unknown or bad field.
    """
    values = dict(plain)
    fact_class = FACTS.get(values.pop("fact", ""))
    if fact_class is None:
        message = f"unknown kind of fact: {plain.get('fact')!r}"
        raise ValueError(message)
    try:
        for name, read in _READERS.items():
            if values.get(name) is not None:
                values[name] = read(values[name])
        return fact_class(**values)
    except (TypeError, AttributeError) as error:
        message = f"not a {fact_class.NAME} fact: {error}"
        raise ValueError(message) from error


def canonical(fact: Fact) -> bytes:
    """Bytes that the fact's id is made of: its meaning, sorted.

    The times of a stamped fact are left out: they are our clock's, and differ on a
    redelivery.
    """
    plain: dict[str, Any] = {"fact": fact.NAME}
    for name in _MEANING[type(fact)]:
        value = getattr(fact, name)
        plain[name] = value if type(value) in _PLAIN else plain_value(value)
    if fact.stamped:
        plain.pop("version")
        plain.pop("at", None)
    for name in SELDOM:
        if plain.get(name, 0) in (None, []):
            del plain[name]  # what does not say it has the id that it always had
    if isinstance(fact, Alias):
        plain["first"], plain["second"] = sorted((plain["first"], plain["second"]))
    for name in ("owners", "scopes", "kinds", "labels", "where"):
        if name in plain:
            plain[name] = sorted(set(plain[name]))
    return _CANONICAL.encode(plain).encode()


_PLAIN: Final = frozenset({str, int, bool, type(None)})
# The fields that say something, not those that tell copies apart.
_MEANING: Final = {
    kind: tuple(a.name for a in attrs.fields(kind) if not a.metadata.get("copy"))
    for kind in FACTS.values()
}
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def fact_id(fact: Fact) -> bytes:
    """Id of a fact, 32 bytes; who asks for that of the same object again waits less."""
    known = _last_id[0]
    if known[0] is not fact:
        known = _last_id[0] = (fact, hashlib.sha256(canonical(fact)).digest())
    return known[1]


_last_id: list[tuple[Fact | None, bytes]] = [(None, b"")]


def fact_key(realm: str, fact: Fact) -> str:
    """Record key for a log that keeps the first copy of a fact in an hour.

    It is realm / kind / id / UTC hour of acceptance / ingress key. The hour keeps a
    replay from standing for the genuine copy.
    """
    return _key(realm, fact, fact.received_at // HOUR)


def copy_key(realm: str, fact: Fact) -> str:
    """Record key for a log that keeps the last copy, as a compacted topic does.

    It has the receive time (ns) in place of the hour: the earliest copy counts, and a
    later one of the same hour must not take its place.
    """
    return _key(realm, fact, fact.received_at)


def _key(realm: str, fact: Fact, time: int) -> str:
    return f"{realm}/{fact.NAME}/{fact_id(fact).hex()}/{time}/{fact.ingress_key}"


def _texts(values: Any) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError("a list of texts is no text")
    return tuple(values)


def _identifiers(values: list[str]) -> tuple[Identifier, ...]:
    return tuple(Identifier.parse(value) for value in values)


_READERS: Final[dict[str, Any]] = {
    **dict.fromkeys(
        ("node", "child", "parent", "first", "second", "target", "attribute"),
        Identifier.parse,
    ),
    "owners": _identifiers,
    "labels": _identifiers,
    "where": _identifiers,
    "scopes": tuple,
    "kinds": _texts,
    "relation": Relation,
    "effect": Effect,
    "reach": Reach,
}
