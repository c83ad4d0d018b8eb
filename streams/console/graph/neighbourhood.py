"""A neighbourhood as the API answers it, read into values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.console.graph.states import State, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST: Final = 300  # nodes of one picture, whatever an answer holds


@frozen
class LeftOut:
    """What is not shown: counts by kind.

    Attributes:
        used: how many of those that were looked at were used since their end.
    """

    total: int = 0
    by_kind: tuple[tuple[str, int], ...] = ()
    used: int = 0

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> LeftOut:
        """Read it of an answer, the largest count first."""
        counts = sorted(plain["by_kind"].items(), key=lambda each: (-each[1], each[0]))
        return cls(plain["total"], tuple(counts), plain["used_since_end"])

    @property
    def text(self) -> str:
        """Counts by kind as text."""
        return ", ".join(f"{count:,} {kind}" for kind, count in self.by_kind)


@frozen
class ShownNode:
    """One node of a picture.

    Attributes:
        depth: its distance; below 0 above the one that is asked about.
        via: the shown node that leads to it; empty for the one asked about.
        last_use: RFC 3339, empty where none is known.
        used_since_end: it was used after it had ended.
        late: it ended, and not every guard denies it yet.
        above, below: what is left out there.
    """

    identifier: str
    kind: str
    depth: int
    via: str
    state: State
    cause: Mapping[str, Any] | None
    issued_at: str
    expires_at: str
    last_use: str
    used_since_end: bool
    late: bool
    other_names: tuple[str, ...]
    above: LeftOut
    below: LeftOut
    expanded: bool

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> ShownNode:
        """Read one of an answer."""
        name = plain["identifier"]
        return cls(
            identifier=name,
            kind=plain["kind"],
            depth=plain["depth"],
            via=plain["via"] or "",
            state=state_of(plain["kind"], plain["reason"], allowed=plain["allowed"]),
            cause=plain["cause"],
            issued_at=plain["issued_at"] or "",
            expires_at=plain["expires_at"] or "",
            last_use=plain["last_use"] or "",
            used_since_end=plain["used_since_end"],
            late=plain.get("late", False),  # older servers rank none
            other_names=tuple(each for each in plain["names"] if each != name),
            above=LeftOut.read(plain["above"]),
            below=LeftOut.read(plain["below"]),
            expanded=plain["expanded"],
        )

    @property
    def value(self) -> str:
        """Identifier without its kind."""
        return self.identifier[len(self.kind) + 1 :]

    @property
    def place(self) -> str:
        """Where it stands, as text."""
        if self.depth == 0:
            return "asked about"
        return f"{abs(self.depth)} {'above' if self.depth < 0 else 'below'}"

    @property
    def left_out(self) -> Iterator[tuple[str, LeftOut]]:
        """Yield what is left out here, with where: above, below."""
        for side, left in (("above", self.above), ("below", self.below)):
            if left.total:
                yield side, left


@frozen
class ShownEdge:
    """A child that hangs on a parent; both are shown."""

    child: str
    parent: str
    relation: str


@frozen
class Neighbourhood:
    """What a picture shows.

    Attributes:
        nodes: the one that is asked about among them, where any fact names it.
        total: how many there are above and below, in all.
        looked_at: how many of them were ranked.
        edges_left_out: edges between shown nodes that are not listed.
        incomplete: what is not known, in sentences.
    """

    identifier: str
    known: bool
    nodes: tuple[ShownNode, ...]
    edges: tuple[ShownEdge, ...]
    total: int
    left_out: LeftOut
    looked_at: int
    edges_left_out: int
    incomplete: tuple[str, ...]

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Neighbourhood:
        """Read the answer of ``/v1/lineage``; an edge without both ends is none."""
        nodes = tuple(ShownNode.read(each) for each in plain["nodes"][:MOST])
        names = {node.identifier for node in nodes}
        return cls(
            identifier=plain["identifier"],
            known=plain["known"],
            nodes=nodes,
            edges=tuple(
                ShownEdge(each["child"], each["parent"], each["relation"])
                for each in plain["edges"]
                if each["child"] in names and each["parent"] in names
            ),
            total=plain["total"]["above"] + plain["total"]["below"],
            left_out=LeftOut.read(plain["left_out"]),
            looked_at=plain["looked_at"],
            edges_left_out=plain["edges_left_out"],
            incomplete=tuple(each["detail"] for each in plain.get("incomplete", ())),
        )
