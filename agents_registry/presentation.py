"""What a caller presents, and the nodes that its names stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import field, frozen

from agents_registry.closure import PRESENTED, STEP, Claims
from agents_registry.identifiers import Identifier, NodeClass, class_of
from agents_registry.kept import NOT_KEPT
from agents_registry.lineage import NONE

if TYPE_CHECKING:
    from collections.abc import Hashable

    from agents_registry.kept import KeptVerdict
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps


MOST_IDENTIFIERS: Final = 64  # of one presentation
MOST_ACTORS: Final = 32


# The nodes of what is presented; numbers of a table stay, so they are noted. Its parts:
# - the last verdict;
# - the token of the table;
# - the nodes of all names;
# - the node, where it is one; NONE of several;
# - bits of its value that say whether something more must be asked;
# - all that a verdict depends on: the node, where nothing else is presented.
FoundNodes: TypeAlias = (
    "tuple[KeptVerdict, object, tuple[int, ...], int, int, Hashable]"
)
KEPT: Final = 0
TABLE: Final = 1
NODES: Final = 2
NOWHERE: Final[FoundNodes] = (NOT_KEPT, None, (), NONE, 0, NONE)


@frozen
class Presented:
    """What a caller presented, after its signature was verified.

    It is one credential, which requires each identifier and each actor. It was issued
    at the earliest of the verified time and of what facts say of the presented
    credentials; where neither is known, before every ``not_before``.

    Attributes:
        identifiers: the credential's names, and whom it speaks for; any denial denies.
        issued_at: verified ``iat`` or ``auth_time``, the earlier one (ns).
        chain: the delegation chain (``act`` claims).
    """

    identifiers: tuple[Identifier, ...]
    issued_at: int | None = None
    chain: tuple[Identifier, ...] = ()
    # Where the names were found last, and the last verdict: `agents_registry.clear`.
    found: FoundNodes = field(default=NOWHERE, init=False, eq=False, repr=False)

    def is_bounded(self) -> bool:
        """Whether it may be judged: names cost time, and callers choose them."""
        return (
            len(self.identifiers) <= MOST_IDENTIFIERS and len(self.chain) <= MOST_ACTORS
        )


def is_credential(registry: Registry, identifier: Identifier) -> bool:
    """Whether a kind is a credential (or not in the vocabulary)."""
    node_class = class_of(identifier.kind, registry.lineage.vocabulary)
    return node_class in {None, NodeClass.CREDENTIAL}


def claims_of(registry: Registry, presented: Presented) -> Claims:
    """Turn names into nodes; those that no fact names get negative numbers."""
    strangers: dict[Identifier, int] = {}

    def node_of(name: Identifier) -> int:
        node = registry.lineage.find(name)
        if node >= 0:
            return node
        return strangers.setdefault(name, PRESENTED - 1 - len(strangers))

    nodes, chain = map(node_of, presented.identifiers), map(node_of, presented.chain)
    named = tuple(nodes), tuple(chain)
    credentials = (n for name, n in strangers.items() if is_credential(registry, name))
    kinds = (n.kind for n in presented.identifiers if is_credential(registry, n))
    return Claims(
        named[0], presented.issued_at, named[1], frozenset(credentials),
        kinds=tuple(kinds),
    )  # fmt: skip


def naming(registry: Registry, nodes: list[int]) -> Steps[tuple[Identifier, ...]]:
    """Turn nodes into names in steps; see `identifiers_of`."""
    names = list[Identifier]()
    for start in range(0, len(nodes), STEP):
        if start:
            yield
        names += identifiers_of(registry, nodes[start : start + STEP])
    return tuple(names)


def identifiers_of(registry: Registry, nodes: list[int]) -> tuple[Identifier, ...]:
    """Turn nodes into names, without those that `claims_of` numbered."""
    named = registry.lineage.identifier
    return tuple([named(n) for n in nodes if n >= 0])
