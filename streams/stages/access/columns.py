"""Accesses in columns: what a block of them is looked up by, and the rest as text.

A line can be looked at in bulk by its numbers: the prints of its identifiers, outcome
and time. All else of it is one JSON array, read only where somebody has to know. A
print is half of a 128-bit hash of the identifier, its check the other half: prints
find, and are never believed where a collision would change what is found.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.ma
import orjson
from attrs import Factory, evolve, frozen

from agents_registry.identifiers import Identifier
from streams.stages.access import callers as callers_of_lines
from streams.stages.access.callers import Callers
from streams.stages.access.uses import AccessEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[Any]

# `numpy.unique` loads it at its first call, for 60 ms in the midst of a step.
_: Final = numpy.ma
OUTCOMES: Final = (None, "unknown", "allowed", "denied")
DENIED: Final = OUTCOMES.index("denied")
U16, U32, U64 = np.dtype("<u2"), np.dtype("<u4"), np.dtype("<u8")
I64, U8 = np.dtype("<i8"), np.dtype("u1")
# Values behind the identifiers; those at the end that are null are left out.
_REST: Final = 3
LATEST: Final = 2**63 - 1  # ns; nobody acts on a log of another century
# The columns as they lie in a record, with their types; all little-endian.
COLUMNS: Final[dict[str, np.dtype[Any]]] = {
    "point": U16,
    "outcome": U8,
    "at": I64,
    "event": U64,
    "names": U16,
    "prints": U64,
    "checks": U64,
    "ends": U32,
}


def prints_of(identifier: Identifier) -> tuple[int, int]:
    """Print of an identifier, and its check."""
    text = f"{identifier[0]}:{identifier[1]}".encode()
    digest = hashlib.blake2b(text, digest_size=16, person=b"rescind.use").digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def event_print(event_id: str | None) -> int:
    """Print of an event's id; 0 where it has none."""
    if event_id is None:
        return 0
    digest = hashlib.blake2b(event_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


@frozen(eq=False)
class AccessColumns:
    """Some accesses, a row each.

    Attributes:
        points: the enforcement points that rows name by number.
        point: number in ``points`` of each row.
        outcome: of each row, as a number of `OUTCOMES`.
        at: when it was, ns.
        event: print of the event's id, 0 without one.
        names: how many identifiers it presents, at least one.
        prints: of the identifiers, those of a row after those of the one before.
        checks: the other halves; empty where rows are only remembered.
        ends: where the text of each row ends in ``texts``.
        texts: two JSON arrays a row, the second on a line of its own: identifiers;
            event id, owner, applied offset, time of issue (ns), scopes. A time of issue
        that is not told is left out, so that scopes are the only array.
        callers: of the rows.
    """

    points: tuple[str, ...]
    point: Numbers
    outcome: Numbers
    at: Numbers
    event: Numbers
    names: Numbers
    prints: Numbers
    checks: Numbers
    ends: Numbers
    texts: bytes
    callers: Callers = Factory(Callers)

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(cls, uses: Iterable[AccessEvent]) -> AccessColumns:
        """Put accesses into columns.

        Raises:
            ValueError: one cannot be written as text, or presents nothing.
        """
        uses = list(uses)
        points = {point: n for n, point in enumerate(dict.fromkeys(u[1] for u in uses))}
        texts = [_text(use) for use in uses]
        both = [prints_of(name) for use in uses for name in use.identifiers]
        return cls(
            points=tuple(points),
            point=np.array([points[use.point] for use in uses], U16),
            outcome=np.array([OUTCOMES.index(use.outcome) for use in uses], U8),
            at=np.array([max(-LATEST, min(use.at, LATEST)) for use in uses], I64),
            event=np.array([event_print(use.event_id) for use in uses], U64),
            names=np.array([len(use.identifiers) for use in uses], U16),
            prints=np.array([one for one, _ in both], U64),
            checks=np.array([check for _, check in both], U64),
            ends=np.cumsum([len(text) for text in texts], dtype=U32),
            texts=b"".join(texts),
            callers=Callers.of([use.caller for use in uses]),
        )

    @classmethod
    def read(
        cls, points: tuple[str, ...], columns: Mapping[str, bytes]
    ) -> AccessColumns:
        """Take up columns as they lie in a record.

        Args:
            points: those that the column ``point`` names; of a single one no column
                is needed.
            columns: by their names, and ``texts``; ``callers`` where there are any.

        Raises:
            ValueError: they do not belong together.
        """
        if len(points) == 1:
            columns = {**columns, "point": bytes(2 * len(columns["outcome"]))}
        read = {name: np.frombuffer(columns[name], of) for name, of in COLUMNS.items()}
        callers = Callers.read(columns.get("callers"), len(read["at"]))
        lines = cls(points=points, texts=columns["texts"], callers=callers, **read)
        lines._check()
        return lines

    def columns(self) -> dict[str, bytes]:
        """Columns as they lie in a record."""
        columns = {name: getattr(self, name).tobytes() for name in COLUMNS}
        if len(self.points) == 1:
            del columns["point"]
        callers = self.callers.written()
        told = {} if callers is None else {"callers": callers}
        return columns | {"texts": self.texts} | told

    def _check(self) -> None:
        count = len(self.at)
        per_row = (self.point, self.outcome, self.event, self.names, self.ends)
        if any(len(column) != count for column in per_row):
            raise ValueError("the columns are not of one length")
        if count == 0:
            return
        ends = self.ends.astype(I64)
        whole = ends[-1] == len(self.texts) and (np.diff(ends, prepend=0) > 0).all()
        named = self.names.min() > 0 and self.names.sum(dtype=I64) == len(self.prints)
        known = self.point.max() < len(self.points)
        if not (whole and named and known and self.outcome.max() < len(OUTCOMES)):
            raise ValueError("the columns do not belong together")
        if len(self.checks) not in {0, len(self.prints)}:
            raise ValueError("not every print has its check")

    def whom(self, row: int) -> bytes:
        """Bytes that name the credential of a row: equal for the same credential."""
        return self.text(row).partition(b"\n")[0]

    def text(self, row: int) -> bytes:
        """Text of a row."""
        start = int(self.ends[row - 1]) if row else 0
        return self.texts[start : int(self.ends[row])]

    def use(self, row: int) -> AccessEvent:
        """Access of a row.

        Raises:
            ValueError: its text cannot be read.
        """
        names, _, rest = self.text(row).partition(b"\n")
        try:
            told = orjson.loads(rest)
            event_id, owner, applied, *rest = told + [None] * (_REST - len(told))
            issued_at = rest.pop(0) if rest and isinstance(rest[0], int) else None
            scopes = rest[0] if rest else None
            return AccessEvent(
                identifiers=tuple(map(Identifier.parse, orjson.loads(names))),
                point=self.points[self.point[row]],
                outcome=OUTCOMES[self.outcome[row]],
                at=int(self.at[row]),
                event_id=event_id,
                owner=owner,
                applied=applied,
                scopes=None if scopes is None else tuple(scopes),
                issued_at=issued_at,
                caller=self.callers.at(row),
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError("a row holds no access") from error

    def scopes(self, row: int) -> str:
        """Bytes that name the scopes that a row needed; empty where none are known."""
        text = self.text(row)
        if not text.endswith(b"]]"):
            return ""
        try:
            return str(orjson.loads(text.partition(b"\n")[2])[-1])
        except ValueError:
            return ""

    def scoped(self) -> list[AccessEvent]:
        """Return the accesses of which the needed scopes are known.

        Raises:
            ValueError: the text of one cannot be read.
        """
        return [self.use(row) for row in np.flatnonzero(self.tells_scopes()).tolist()]

    def tells_scopes(self) -> Numbers:
        """For each row, whether its needed scopes are known."""
        # They are the last value of a text, and the only one that is an array.
        before_last = np.frombuffer(self.texts, U8)[self.ends.astype(I64) - 2]
        told: Numbers = before_last == ord("]")
        return told

    def rows(self) -> Numbers:
        """Row of each print."""
        return np.repeat(np.arange(len(self)), self.names)

    def every(self, of_prints: Numbers) -> Numbers:
        """For each row, whether something holds for all its identifiers."""
        if len(of_prints) == len(self):
            return of_prints
        return np.logical_and.reduceat(of_prints, self.starts())

    def any(self, of_prints: Numbers) -> Numbers:
        """For each row, whether something holds for one of its identifiers."""
        if len(of_prints) == len(self):
            return of_prints
        return np.logical_or.reduceat(of_prints, self.starts())

    def starts(self) -> Numbers:
        """Index of each row's first print."""
        return np.cumsum(self.names, dtype=I64) - self.names

    def unchecked(self) -> AccessColumns:
        """Rows without checks, which only a first look needs."""
        return evolve(self, checks=np.empty(0, U64))

    def chosen(self, rows: Sequence[int] | Numbers) -> AccessColumns:
        """Return some of the rows, in the order asked for."""
        rows = np.asarray(rows, I64)
        names = self.names[rows]
        # Print k of the i-th chosen row stands k places behind that row's first.
        places = np.repeat(self.starts()[rows], names)
        first = np.cumsum(names, dtype=I64) - names
        places += np.arange(len(places)) - np.repeat(first, names)
        texts = [self.text(row) for row in rows.tolist()]
        return AccessColumns(
            points=self.points,
            point=self.point[rows],
            outcome=self.outcome[rows],
            at=self.at[rows],
            event=self.event[rows],
            names=names,
            prints=self.prints[places],
            checks=self.checks[places] if len(self.checks) else self.checks,
            ends=np.cumsum([len(text) for text in texts], dtype=U32),
            texts=b"".join(texts),
            callers=self.callers.chosen(rows),
        )


def joined(blocks: Sequence[AccessColumns]) -> AccessColumns:
    """Rows of some blocks in sequence."""
    if len(blocks) == 1:
        return blocks[0]
    points = dict.fromkeys(point for block in blocks for point in block.points)
    numbers = {point: number for number, point in enumerate(points)}
    point, ends, before = [], [], 0
    for block in blocks:
        renumbered = np.array([numbers[name] for name in block.points], U16)
        point.append(renumbered[block.point])
        ends.append(block.ends + np.uint32(before))
        before += len(block.texts)
    rest = {
        name: np.concatenate([getattr(block, name) for block in blocks])
        for name in ("outcome", "at", "event", "names", "prints", "checks")
    }
    return AccessColumns(
        points=tuple(points),
        point=np.concatenate(point),
        ends=np.concatenate(ends),
        texts=b"".join(block.texts for block in blocks),
        callers=callers_of_lines.joined((each.callers, len(each)) for each in blocks),
        **rest,
    )


def gathered(blocks: Iterable[AccessColumns], enough: int) -> Iterator[AccessColumns]:
    """Join blocks while they are small: a step costs the same for few lines as many."""
    some: list[AccessColumns] = []
    count = 0
    for block in blocks:
        some.append(block)
        count += len(block)
        if count >= enough:
            yield joined(some)
            some, count = [], 0
    if some:
        yield joined(some)


def _text(use: AccessEvent) -> bytes:
    if not use.identifiers:
        raise ValueError("an access presents something")
    names = [f"{kind}:{value}" for kind, value in use.identifiers]
    issued = () if use.issued_at is None else (use.issued_at,)
    rest = [use.event_id, use.owner, use.applied, *issued, use.scopes]
    while rest and rest[-1] is None:
        rest.pop()
    try:
        return orjson.dumps(names) + b"\n" + orjson.dumps(rest)
    except TypeError as error:
        raise ValueError("a use holds what is no text") from error
