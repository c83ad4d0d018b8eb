"""Lineage: who hangs on whom, in arrays over dense integers.

Every identifier is interned once and is a small integer from then on. The first
parent of a node sits in arrays, further parents (rare) in a dict. The identifiers of
one node form a ring: ``ring[n]`` is the next name of the same node, so two names
cost eight bytes and merging two classes is one swap. Names by integer, and integers by
name: `agents_registry.names`.
"""

from __future__ import annotations

from array import array
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from agents_registry.derived import invert
from agents_registry.facts import Relation
from agents_registry.further_edges import FurtherParents, Makers
from agents_registry.identifiers import LABEL, VOCABULARY, NodeClass
from agents_registry.names import NameTable
from agents_registry.parts import PartedDict
from agents_registry.steps import pieces, rested, restless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Rest, Steps

STEP: Final = 1023  # a mask: names between two yields
NONE: Final = -1
UNKNOWN_TIME: Final = 2**63 - 1

# Flags of a node; LOUD ones make `agents_registry.life.nothing_ends` doubt.
KNOWN: Final = 1
ROOT: Final = 2
CREDENTIAL: Final = 4
MANY_PARENTS: Final = 8
CAUSED: Final = 16
OWNED: Final = 32
SCOPED: Final = 64
LABELLED: Final = 128
LOUD: Final = CAUSED | OWNED
MORE_ABOVE: Final = MANY_PARENTS | LABELLED

RELATIONS: Final = (
    Relation.REQUIRES,
    Relation.ENDS_WITH_PARENT,
    Relation.ENDS_WITH_PARENT_ALWAYS,
)
# By the texts of the relations, since an enum's member is hashed in Python.
_STRENGTH: Final = {of.value: strength for strength, of in enumerate(RELATIONS)}
ROOM: Final = 64  # places in a column for names to come
COLUMNS: Final = 8
APART: Final = ROOM // COLUMNS
_ZEROS: Final = bytes(ROOM)
_NONES: Final = array("i", [NONE] * ROOM)
_UNKNOWN: Final = array("q", [UNKNOWN_TIME] * ROOM)
_EMPTY: Final[dict[str, Any]] = {
    "flags": _ZEROS, "relation": _ZEROS, "parent": _NONES, "issued": _UNKNOWN,
    "expires": _UNKNOWN, "first_child": _NONES, "next_child": _NONES,
}  # fmt: skip
MOST_PARENTS: Final = 1 << 13  # enough to tell that a closure is too large
ENDS: Final = 1
ALWAYS: Final = 2


class Lineage:
    """Interned identifiers with their parents, children and other names.

    Attributes:
        names: the identifiers, each with its integer.
        labels: by node those in force, which it requires; set by `label`.
        count: how many there are; columns may have more places than that.
    """

    def __init__(self, vocabulary: Mapping[str, NodeClass] = VOCABULARY) -> None:
        """Start empty; the vocabulary tells the class of each kind."""
        self.vocabulary = vocabulary
        self.names = NameTable()
        self._recent, self._intern = self.names.recent, self.names.intern
        self.count = 0
        self._first_flags = {
            kind: CREDENTIAL if of is NodeClass.CREDENTIAL else 0
            for kind, of in vocabulary.items()
        }
        self.flags = bytearray()
        self.ring = array("i")
        self.parent = array("i")
        self.relation = bytearray()
        self.issued = array("q")
        self.expires = array("q")
        self._further, self._makers = FurtherParents(), Makers()
        self.more_parents = self._further.edges
        self.creators, self.created = self._makers.creators, self._makers.created
        self.reissued: PartedDict[int, int] = PartedDict()
        self._first_child = array("i")
        self._next_child = array("i")
        self._more_children: PartedDict[int, list[int]] = PartedDict()
        self.labels: PartedDict[int, tuple[int, ...]] = PartedDict()
        self._labelled: PartedDict[int, list[int]] = PartedDict()  # some may have left
        self._left: PartedDict[tuple[int, int], None] = PartedDict()  # (node, label)
        self._make_room(range(COLUMNS))

    def __len__(self) -> int:
        """Return the number of interned identifiers."""
        return self.count

    def dump(self) -> dict[str, Any]:
        """State as plain values: bytes of arrays, lists of pairs."""
        return {
            **self.names.dump(),
            **{name: bytes(of[: self.count]) for name, of in self._arrays().items()},
            **{name: list(of.items()) for name, of in self._sparse().items()},
        }

    def restore(self, plain: Mapping[str, Any], rest: Rest = restless) -> None:
        """Take up what `dump` gave; nothing may be interned yet.

        Args:
            plain: ``created`` and ``more_children`` follow from the rest where they
                are not there.
            rest: called now and then.
        """
        self.names.restore(plain, rest)
        for name, empty in self._arrays().items():
            del empty[:]
            for piece in pieces(plain[name], rest):
                if isinstance(empty, bytearray):
                    empty.extend(piece)
                else:
                    empty.frombytes(piece)
        self.count = len(self.flags)
        self._make_room(range(COLUMNS))
        for name, sparse in self._sparse().items():
            sparse.fill(rested(plain.get(name, ()), rest))
        self._further.restore(rest)
        self._makers.restore(rest, inverted="created" in plain)
        if "more_children" not in plain:
            told = {n: [up for up, _ in of] for n, of in self.more_parents.items()}
            invert(told, self._more_children, rest)

    def _arrays(self) -> dict[str, bytearray | array[int]]:
        return {
            "flags": self.flags,
            "relation": self.relation,
            "ring": self.ring,
            "parent": self.parent,
            "issued": self.issued,
            "expires": self.expires,
            "first_child": self._first_child,
            "next_child": self._next_child,
        }

    def _sparse(self) -> dict[str, PartedDict[int, Any]]:
        return {
            "more_parents": self.more_parents,
            "reissued": self.reissued,
            "created": self.created,
            "creators": self.creators,
            "more_children": self._more_children,
        }

    def find(self, identifier: Identifier) -> int:
        """Integer of an identifier, NONE when no fact named it."""
        return self.names.find(identifier)

    def kind(self, node: int) -> str:
        """Kind of an integer's identifier."""
        return self.names.kind(node)

    def identifier(self, node: int) -> Identifier:
        """Return the identifier of an integer."""
        return self.names.identifier(node)

    def intern(self, identifier: Identifier) -> int:
        """Integer of an identifier, a new one when it is new.

        A kind outside the vocabulary counts as a credential: the strictest class.
        """
        node = self._recent.get(identifier)
        if node is not None:
            return node
        node = self._intern(identifier)
        if node == self.count:
            if not node % APART:
                self._make_room((node // APART % COLUMNS,))
            self.count = node + 1
            flags = self._first_flags.get(identifier[0])
            if flags is None:
                flags = 0 if identifier[0].startswith(LABEL) else CREDENTIAL
            self.flags[node] = flags
        return node

    def recall(self, identifier: Identifier) -> int:
        """Return what `find` does, faster for one that was interned just now."""
        node = self._recent.get(identifier)
        return self.find(identifier) if node is None else node

    def _make_room(self, columns: Iterable[int]) -> None:
        """Have places in some columns for the names to come.

        Columns take turns: a column that grows may move, and all of them in one step
        would hold an event loop.
        """
        every = [*self._arrays().items()]
        for name, places in (every[column] for column in columns):
            missing = range(len(places), self.count + ROOM)
            places.extend(missing if name == "ring" else _EMPTY[name][: len(missing)])

    def issue(self, node: int, stated: int, received: int) -> None:
        """Note an issue time: the earliest one and the latest one count.

        A time ahead of its receipt would make a credential immune to watermarks, so
        the earliest is never later than heard of. The latest is taken as stated.
        """
        earliest = self.issued[node]
        known = earliest != UNKNOWN_TIME
        latest = max(self.latest_issue(node), stated) if known else stated
        self.issued[node] = min(earliest, stated, received)
        if latest != self.issued[node]:
            self.reissued[node] = latest

    def latest_issue(self, node: int) -> int:
        """Latest issue time of the node's own facts, or UNKNOWN_TIME."""
        return self.reissued.get(node, self.issued[node])

    def link(self, child: int, parent: int, relation: Relation) -> None:
        """Hang a child on a parent; of two relations the stronger one stays."""
        strength = _STRENGTH.get(relation._value_)
        if strength is None:  # CREATED_BY
            self._makers.add(child, parent)
            return
        if child == parent:
            return
        if self.parent[child] == NONE:
            self.parent[child] = parent
            self.relation[child] = strength
            self._next_child[child] = self._first_child[parent]
            self._first_child[parent] = child
        elif self.parent[child] == parent:
            self.relation[child] = max(self.relation[child], strength)
        else:
            self.flags[child] |= MANY_PARENTS
            if self._further.add(child, parent, strength):
                self._more_children.setdefault(parent, []).append(child)

    def label(self, node: int, labels: Iterable[int]) -> None:
        """Put the labels of a node in the place of those that it had."""
        before, there = set(self.labels.get(node, ())), set(labels)
        now = tuple(sorted(there))
        self._left.fill(((node, label), None) for label in before - there)
        for label in now:
            if label not in before:
                if (node, label) in self._left:  # it stands among them still
                    del self._left[node, label]
                else:
                    self._labelled.setdefault(label, []).append(node)
        if now:
            self.labels[node] = now
            self.flags[node] |= LABELLED
        elif before:
            del self.labels[node]
            self.flags[node] &= ~LABELLED

    def is_of_labels(self, node: int) -> bool:
        """Whether a name is of a kind of labels."""
        return self.names.kind(node).startswith(LABEL)

    def is_label(self, node: int) -> bool:
        """Whether something had this label once."""
        return node in self._labelled

    def labelled(self, first: int, upto: int) -> list[int]:
        """Those of a range of names that have labels, or are labels."""
        labels, flags = self._labelled, self.flags
        return [
            node
            for node in (range(first, upto) if labels else ())
            if flags[node] & LABELLED or node in labels
        ]

    def join(self, first: int, second: int) -> None:
        """Make two identifiers names of one node."""
        if not self._are_one(first, second):
            ring = self.ring
            ring[first], ring[second] = ring[second], ring[first]

    def _are_one(self, first: int, second: int) -> bool:
        """Whether two identifiers name one node, in the steps of the fewer names.

        Both rings are walked side by side: it is known once one of them is round.
        """
        ring, one, other = self.ring, first, second
        while True:
            if one == second or other == first:
                return True
            one, other = ring[one], ring[other]
            if one == first or other == second:
                return one == second or other == first

    def others(self, node: int, most: int | None = None) -> list[int]:
        """Node and its other names, all or at most some, the node first."""
        names = [node]
        other = self.ring[node]
        while other != node and len(names) != most:
            names.append(other)
            other = self.ring[other]
        return names

    def others_in_steps(self, node: int) -> Steps[list[int]]:
        """Find what `others` gives, all of it, in steps."""
        names = [node]
        other = self.ring[node]
        while other != node:
            if not len(names) & STEP:
                yield
            names.append(other)
            other = self.ring[other]
        return names

    def names_once(self, node: int, named: set[int]) -> list[int]:
        """Names of a node the first time that one of them is asked about.

        Args:
            node: one of its names; of a node with one name nothing is given.
            named: those that were given before; these are added.
        """
        if self.ring[node] == node or node in named:
            return []
        names = self.others(node)
        named.update(names)
        return names

    def parents(self, node: int, most: int | None = None) -> list[tuple[int, int]]:
        """Edges of this name, labels too: (parent, strength of the relation).

        Args:
            node: the name.
            most: of many parents that many are enough, and the labels.
        """
        edges = self.told_parents(node, most)
        if self.flags[node] & LABELLED:
            edges += [(label, 0) for label in self.labels[node]]
        return edges

    def told_parents(self, node: int, most: int | None = None) -> list[tuple[int, int]]:
        """Edges of this name as `parents` has them, without labels."""
        first = self.parent[node]
        if first == NONE:
            return []
        edges = [(first, self.relation[node])]
        if self.flags[node] & MANY_PARENTS:
            edges += self.more_parents[node][:most]
        return edges

    def strengths(self, child: int, parent: int) -> list[int]:
        """Strengths of the edges between two names, as `parents` of the child has."""
        found = [0] if parent in self.labels.get(child, ()) else []
        if self.parent[child] == parent:
            return [*found, self.relation[child]]
        further = self._further.strength(child, parent)
        return found if further is None else [*found, further]

    def is_leaf(self, node: int) -> bool:
        """Whether `children` yields nothing for a name: true of most."""
        return (
            self._first_child[node] == NONE
            and node not in self._more_children
            and node not in self._labelled
        )

    def children(self, node: int) -> Iterator[int]:
        """Yield the names that hang directly on this name, of a label its members.

        A label also gives itself for each member that left it, so that those who
        count their steps count these.
        """
        child = self._first_child[node]
        while child != NONE:
            yield child
            child = self._next_child[child]
        yield from self._more_children.get(node, ())
        for member in self._labelled.get(node, ()):
            yield member if node in self.labels.get(member, ()) else node

    def add_children(self, node: int, names: list[int], most: int) -> None:
        """Add what `children` yields to some names, until these are more than most."""
        if node in self._more_children or node in self._labelled:
            names += islice(self.children(node), most + 1)
            return
        child = self._first_child[node]
        while child != NONE and len(names) <= most:
            names.append(child)
            child = self._next_child[child]

    def counted_children(self, node: int) -> int:
        """Count the names of `children`, as far as that takes no walk over them."""
        further = self._more_children.get(node, ())
        return len(further) + len(self._labelled.get(node, ()))
