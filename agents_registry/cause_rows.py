"""Causes as rows of columns: what each one says by itself, and what it shares.

The times and the id of a cause are its own; who said it, what it does and for which
reason is the same for many, and is held once. A cause is made of its row when it is
asked for.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from agents_registry.facts import UNTIL_TOLERANCE, Effect
from agents_registry.names import ABSENT
from agents_registry.parts import PartedDict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.facts import Cause, Reach
    from agents_registry.identifiers import Identifier

_DIGEST: Final = 32  # bytes
_PAGE: Final = 256  # nodes
_OWN: Final = 5  # fields of a cause, before those that many share


class CauseLimit(NamedTuple):
    """What a cause is limited to, as `RecordedCause` has it."""

    kinds: tuple[str, ...]
    where: tuple[Identifier, ...]
    of_owner: bool


class RecordedCause(NamedTuple):
    """A cause in the table, merged over its copies.

    Attributes:
        digest: the fact's id in bytes; half of what its hex would take.
        node: the target.
        at: when it happened, never later than the receipt (ns).
        mark: T of a not_before, never later than the receipt; else 0.
        uncertainty: of the version (ns).
        until: it has no effect once this time is past (ns); None: it has no end.
        kinds: it acts on nodes of these alone, sorted; empty: on all.
        where: names that they require too, or ``owner.of`` them, sorted.
        of_owner: the target is an owner of what it acts on, and one of these.
    """

    digest: bytes
    node: int
    at: int
    mark: int
    version: int
    authority: str
    effect: Effect
    reach: Reach
    uncertainty: int
    aspect: str
    scopes: tuple[str, ...]
    device: str | None
    tenant: str | None
    until: int | None = None
    kinds: tuple[str, ...] = ()
    where: tuple[Identifier, ...] = ()
    of_owner: bool = False

    @classmethod
    def read(cls, digest: bytes, node: int, fact: Cause) -> Self:
        """Take a cause in, with its times clamped to the receipt."""
        claimed = fact.at if fact.not_before is None else fact.not_before
        mark = claimed if fact.effect is Effect.NOT_BEFORE else 0
        return cls(
            digest=digest,
            node=node,
            authority=fact.authority,
            effect=fact.effect,
            reach=fact.reach,
            at=min(fact.at, fact.received_at),
            mark=min(mark, fact.received_at),
            version=fact.effective_version,
            uncertainty=fact.uncertainty,
            aspect=fact.aspect,
            scopes=fact.scopes,
            device=fact.device,
            tenant=fact.tenant,
            until=fact.until,
            kinds=tuple(sorted(set(fact.kinds))),
            where=fact.where,
            of_owner=fact.target in fact.where,
        )

    @property
    def limit(self) -> CauseLimit | None:
        """What it is limited to; None where it acts on all that hangs on the target."""
        if not (self.kinds or self.where):
            return None
        return CauseLimit(self.kinds, self.where, self.of_owner)

    @property
    def over_at(self) -> int | None:
        """First time of a clock at which it has no effect (ns); None: it has no end.

        The clock may be ahead of the time, and what has ended allows.
        """
        return None if self.until is None else self.until + UNTIL_TOLERANCE

    def is_over(self, at: int | None, now: int | None) -> bool:
        """Whether its end is past.

        Args:
            at: an event time (ns), which is judged as it stands.
            now: where there is none, the clock (ns); None: nothing is over.
        """
        over_at = self.until if at is not None else self.over_at
        time = now if at is None else at
        return over_at is not None and time is not None and time >= over_at

    @property
    def fact_id(self) -> str:
        """Fact's id in hex."""
        return self.digest.hex()

    def merged(self, other: RecordedCause) -> RecordedCause:
        """Take in another copy of the same cause."""
        version, minus = min(
            (one.version, -one.uncertainty) for one in (self, other)
        )  # of equal versions that with the larger uncertainty
        return self._replace(
            at=min(self.at, other.at),
            mark=min(self.mark, other.mark),
            version=version,
            uncertainty=-minus,
        )


_Shared = tuple[
    str, Effect, "Reach", int, str, tuple[str, ...], str | None, str | None,
    int | None, tuple[str, ...], "tuple[Identifier, ...]", bool,
]  # fmt: skip


class CauseRows:
    """The rows, by number, and by node the first one on it.

    A row that was taken back is lost until the table is taken up anew.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._digests = bytearray()
        self._nodes = array("i")
        self._at = array("q")
        self._marks = array("q")
        self._versions = array("q")
        self._which = array("I")  # of what is shared
        self._shared: list[_Shared] = []
        self._numbers: PartedDict[_Shared, int] = PartedDict()
        self._last: _Shared | None = None
        self._last_number = 0
        self._pages: list[array[int] | None] = []  # the first row, by node

    def __len__(self) -> int:
        """Return how many there are, those that were taken back too."""
        return len(self._nodes)

    def add(self, cause: RecordedCause) -> int:
        """Return the number of a new row.

        Raises:
            ValueError: what should be the id of a fact is none.
        """
        if len(cause.digest) != _DIGEST:
            raise ValueError(f"{cause.fact_id} is not the id of a fact")
        self._digests += cause.digest
        self._nodes.append(cause.node)
        for column in (self._at, self._marks, self._versions, self._which):
            column.append(0)
        row = len(self._nodes) - 1
        self.put(row, cause)
        return row

    def put(self, row: int, cause: RecordedCause) -> None:
        """Put what copies of a cause were merged to."""
        _, _, at, mark, version, *_ = cause
        shared = cause[_OWN:]
        if shared != self._last:  # to compare takes less time than to hash enums
            number = self._numbers.setdefault(shared, len(self._shared))
            if number == len(self._shared):
                self._shared.append(shared)
            self._last, self._last_number = shared, number
        self._at[row], self._marks[row] = at, mark
        self._versions[row], self._which[row] = version, self._last_number

    def copy(self, row: int, to: int) -> None:
        """Copy a row over another one of the same node."""
        digest = slice(to * _DIGEST, (to + 1) * _DIGEST)
        self._digests[digest] = self.digest(row)
        for column in (self._at, self._marks, self._versions, self._which):
            column[to] = column[row]

    def cause(self, row: int) -> RecordedCause:
        """Return the cause of a row."""
        return RecordedCause(
            self.digest(row), self._nodes[row],
            self._at[row], self._marks[row], self._versions[row],
            *self._shared[self._which[row]],
        )  # fmt: skip

    def digest(self, row: int) -> bytes:
        """Return the id of a row's fact."""
        return bytes(self._digests[row * _DIGEST : (row + 1) * _DIGEST])

    def first(self, node: int) -> int:
        """Return the first row on a node, ABSENT where there is none."""
        number = node // _PAGE
        page = self._pages[number] if 0 <= number < len(self._pages) else None
        return ABSENT if page is None else page[node % _PAGE]

    def begin(self, node: int, row: int) -> None:
        """Put the first row on a node, or ABSENT."""
        number = node // _PAGE
        while number >= len(self._pages):
            self._pages.append(None)
        page = self._pages[number]
        if page is None:
            page = self._pages[number] = array("i", [ABSENT]) * _PAGE
        page[node % _PAGE] = row

    def nodes(self) -> Iterator[int]:
        """Yield the nodes that have a cause, as the first rows on them came."""
        for row in range(len(self._nodes)):
            node = self._nodes[row]
            if self.first(node) == row:
                yield node
