"""Dead letters in bounded room: repeats become one, and an authority has a quota.

Letters of one batch, source and reason are one letter that counts them. An authority
may give so many different reasons a day; what comes beyond that is counted under a
reason of its own.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import define

from streams.model.times import DAY, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from streams.model.records import DeadLetter, Record
    from streams.stages.ingest.ingress import Origin

REASONS: Final = 200  # different ones of an authority a day
MOST_AUTHORITIES: Final = 10_000  # whose reasons are remembered
SHOWN: Final = 5  # reasons that an answer lists
MOST_REASON: Final = 1024  # characters
REPEAT: Final = 60 * SECOND  # within it a letter of the same reason is counted only
OVER_QUOTA: Final = (
    f"over_quota: more than {REASONS} reasons in a day; only counted, see the others"
)
_Kind = tuple[str, str]


class Refused(NamedTuple):
    """Pieces of a request that could not be taken in, as its answer tells of them.

    Attributes:
        offset: of the first; last: of the last.
    """

    reason: str
    pieces: int
    offset: int
    last: int


def number(letters: Iterable[DeadLetter]) -> int:
    """Count the pieces that letters stand for."""
    return sum(letter.pieces for letter in letters)


def refused(letters: Iterable[DeadLetter]) -> tuple[Refused, ...]:
    """First reasons of some letters."""
    told = [
        Refused(each.reason, each.pieces, each.offset, each.offset + each.span)
        for each, _ in zip(letters, range(SHOWN), strict=False)
    ]
    return tuple(told)


def together(first: DeadLetter, second: DeadLetter) -> DeadLetter:
    """One letter for two of the same source and reason."""
    last = max(first.offset + first.span, second.offset + second.span)
    span = max(0, last - first.offset)
    return first._replace(pieces=first.pieces + second.pieces, span=span)


def folded(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """One letter for all of the same source and reason."""
    found: dict[_Kind, DeadLetter] = {}
    for letter in letters:
        kind = letter.source, letter.reason[:MOST_REASON]
        known = found.get(kind)
        if known is not None:
            found[kind] = together(known, letter)
        elif len(letter.reason) > MOST_REASON:
            found[kind] = letter._replace(reason=kind[1])
        else:
            found[kind] = letter
    return list(found.values())


class Collected:
    """Records as they are read; nameless broken pieces of one reason are one."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._places: dict[tuple[str, str, str | None], int] = {}

    def add(self, record: Record, letter: DeadLetter | None) -> None:
        """Add a record, which is ``letter`` where it is a dead letter.

        Those with an event id stay single: a finding may have to name them.
        """
        if letter is None or letter.event_id is not None:
            self._records.append(record)
            return
        kind = letter.source, letter.reason, letter.event_type
        place = self._places.setdefault(kind, len(self._records))
        if place == len(self._records):
            self._records.append(letter)
        else:
            first: DeadLetter = self._records[place]  # type: ignore[assignment]
            self._records[place] = together(first, letter)

    def records(self) -> list[Record]:
        """Letters in their order."""
        return self._records


@define
class _Written:
    """When a letter of a kind was written last, and what came since."""

    at: int
    held: DeadLetter | None = None
    origin: Origin | None = None


class Repeats:
    """Letters of one authority, source and reason, where each is a record of a log.

    The first is written at once. What comes within `REPEAT` of it is counted, and is
    one letter afterwards: a flood of broken requests writes one in that time.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, str], _Written] = {}

    def new(
        self, letters: Iterable[DeadLetter], origin: Origin, now: int
    ) -> list[DeadLetter]:
        """Letters to write now; the others are held.

        Args:
            letters: folded.
            origin: of the batch that they stood in.
            now: ns.
        """
        found = []
        for letter in letters:
            kind = origin.authority, letter.source, letter.reason
            told = self._told.get(kind)
            if told is None:
                self._told[kind] = _Written(now)
                found.append(letter)
                continue
            before = told.held
            told.held = letter if before is None else together(before, letter)
            told.origin = origin
        return found

    def due(
        self, now: int, *, all_of_it: bool = False
    ) -> list[tuple[DeadLetter, Origin]]:
        """Letters held for long enough, or all; each is to be written once.

        Kinds of which nothing came for that time are forgotten.
        """
        found = []
        for kind, told in list(self._told.items()):
            if now - told.at < REPEAT and not all_of_it:
                continue
            if told.held is None or told.origin is None:
                del self._told[kind]
                continue
            found.append((told.held, told.origin))
            self._told[kind] = _Written(now)
        return found

    def keep(self, letter: DeadLetter, origin: Origin) -> None:
        """Hold a letter again that could not be written."""
        kind = origin.authority, letter.source, letter.reason
        told = self._told.setdefault(kind, _Written(origin.received_at))
        held = told.held
        told.held = letter if held is None else together(letter, held)
        told.origin = origin


class Reasons:
    """The different reasons that each authority gave today, within its quota.

    Attributes:
        exceeded: pieces whose reason was beyond it, by authority.
    """

    def __init__(self, most: int = REASONS) -> None:
        """Allow an authority so many a day."""
        self.exceeded: Counter[str] = Counter()
        self._most = most
        self._day = -1
        self._given: dict[str, set[_Kind]] = {}

    def within(
        self, letters: Sequence[DeadLetter], authority: str, now: int
    ) -> list[DeadLetter]:
        """Folded letters; those of a reason beyond the quota under another one."""
        if now // DAY != self._day:
            self._day, self._given = now // DAY, {}
        if authority not in self._given and len(self._given) >= MOST_AUTHORITIES:
            authority = ""
        given = self._given.setdefault(authority, set())
        named = folded(self._named(folded(letters), given))
        over = number(each for each in named if each.reason == OVER_QUOTA)
        if over:
            self.exceeded[authority] += over
        return named

    def _named(
        self, letters: Iterable[DeadLetter], given: set[_Kind]
    ) -> Iterator[DeadLetter]:
        for letter in letters:
            kind = letter.source, letter.reason
            if kind in given or len(given) < self._most:
                given.add(kind)
                yield letter
            else:
                yield letter._replace(reason=OVER_QUOTA, event_id=None)
