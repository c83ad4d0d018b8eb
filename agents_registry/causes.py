"""Causes and their lifts: why a node is dead, and until when.

A lift ends a suspend or narrow of the same authority, identifier and aspect when its
version is greater by more than the uncertainty of the two clocks. It never ends a
revoke or a not_before. Several copies of a fact count once, with the smallest time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from attrs import frozen

from agents_registry.cause_rows import CauseRows, RecordedCause
from agents_registry.facts import FUTURE_TOLERANCE, Effect, Reach
from agents_registry.identifiers import Identifier
from agents_registry.names import ABSENT
from agents_registry.parts import PartedDict
from agents_registry.steps import rested, restless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agents_registry.facts import Lift
    from agents_registry.registry import Registry
    from agents_registry.steps import Rest

_FIELDS = (
    "fact_id", "node", "authority", "at", "mark", "version", "uncertainty", "aspect",
    "scopes", "device", "tenant",
)  # fmt: skip
_LIMITS = (
    "until",
    "kinds",
    "where",
    "of_owner",
)  # in an object behind the others, where there are some
_PLAIN: Final = len(_FIELDS) + 2
FEW: Final = 8  # lifts of one target, put in order whenever they are looked at
SIFTED_AT_ONCE: Final = 1024  # causes of a target: about 2 ms
FALLING_AT_ONCE: Final = 64  # of those that stand
_FINAL = (Effect.REVOKE, Effect.NOT_BEFORE)  # a tuple: enums hash slowly


def plain_cause(cause: RecordedCause) -> list[Any]:
    """Cause as JSON can hold it."""
    values = [getattr(cause, name) for name in _FIELDS]
    values += [cause.effect.value, cause.reach.value]
    limits = {name: getattr(cause, name) for name in _LIMITS}
    limits = {  # an end may be at 0
        name: of
        for name, of in limits.items()
        if not (of is None or of is False or of == ())
    }
    if "where" in limits:
        limits["where"] = list(map(str, cause.where))
    return [*values, limits] if limits else values


def cause_of(plain: Iterable[Any]) -> RecordedCause:
    """Read what `plain_cause` gave.

    Raises:
        ValueError, TypeError: it is of another shape.
    """
    values = list(plain)
    limits = values.pop() if len(values) > _PLAIN else {}
    *values, effect, reach = values
    fields = dict(zip(_FIELDS, values, strict=True))
    fields["digest"] = bytes.fromhex(fields.pop("fact_id"))
    fields["scopes"] = tuple(fields["scopes"])
    if limits:
        kinds, where = limits.get("kinds", ()), limits.get("where", ())
        names = tuple(map(Identifier.parse, where))
        limits = {**limits, "kinds": tuple(kinds), "where": names}
    return RecordedCause(**fields, effect=Effect(effect), reach=Reach(reach), **limits)


_LiftStamp = tuple[int, int, int]  # version, uncertainty, version as claimed
_Lifts = dict[str, _LiftStamp]
_LiftKey = tuple[str, int, str]  # authority, node, aspect


def _earlier(first: _LiftStamp, second: _LiftStamp) -> _LiftStamp:
    """Smaller of two versions; of equal ones that with the larger uncertainty."""
    return min(first, second, key=lambda stamp: (stamp[0], -stamp[1]))


class _Ordered(NamedTuple):
    """Lifts of one target, found by their versions.

    Attributes:
        versions: sorted, by uncertainty; there are two of these.
        ahead: those dated ahead of their receipt.
    """

    versions: dict[int, list[int]]
    ahead: list[_LiftStamp]

    def add(self, stamp: _LiftStamp) -> None:
        """Take one lift in."""
        version, uncertainty, claimed = stamp
        insort(self.versions.setdefault(uncertainty, []), version)
        if claimed != version:
            self.ahead.append(stamp)


_NO_LIFTS: Final = _Ordered({}, [])


class CauseBook:
    """All causes and lifts of a realm, by target.

    Attributes:
        of_owners: targets that stand for what an owner has, ``owner.of``.
        marked: there is a ``not_before``, or was one.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.of_owners: PartedDict[int, None] = PartedDict()
        self.marked = False
        # Most targets have one cause; a dict for each would be most of the table.
        self._rows = CauseRows()
        self._further: PartedDict[int, dict[bytes, int]] = PartedDict()
        self._lifts: PartedDict[_LiftKey, _Lifts] = PartedDict()
        self._lifted: PartedDict[int, list[_LiftKey]] = PartedDict()
        # Where they are many.
        self._ordered: PartedDict[_LiftKey, _Ordered] = PartedDict()
        # Rows that no lift has ended; of nodes with lifts, once somebody asked.
        self._standing: PartedDict[int, list[int]] = PartedDict()

    def dump(self) -> dict[str, Any]:
        """State as plain values."""
        return {
            "causes": list(map(plain_cause, self.all())),
            "lifts": [
                [*key, list(lifts.items())] for key, lifts in self._lifts.items()
            ],
        }

    def dump_of(self, node: int) -> dict[str, Any]:
        """State of one identifier, in the form of `dump`."""
        return {
            "causes": list(map(plain_cause, self.on(node))),
            "lifts": [
                [*key, list(self._lifts[key].items())]
                for key in self._lifted.get(node, ())
            ],
        }

    def dump_of_fact(self, node: int, fact_id: str) -> dict[str, Any]:
        """State of one identifier by one fact alone, in the form of `dump`."""
        rows, row = self._rows, self._rows.first(node)
        digest = bytes.fromhex(fact_id)
        if row != ABSENT and rows.digest(row) != digest:
            row = self._further.get(node, {}).get(digest, ABSENT)
        return {
            "causes": [] if row == ABSENT else [plain_cause(rows.cause(row))],
            "lifts": [
                [*key, [(fact_id, self._lifts[key][fact_id])]]
                for key in self._lifted.get(node, ())
                if fact_id in self._lifts[key]
            ],
        }

    def restore(self, plain: Mapping[str, Any], rest: Rest = restless) -> None:
        """Take up what `dump` gave."""
        for cause in map(cause_of, rested(plain["causes"], rest)):
            self.add(cause)
        for authority, node, aspect, lifts in rested(plain["lifts"], rest):
            of_target = self._lifts[authority, node, aspect] = {}
            self._lifted.setdefault(node, []).append((authority, node, aspect))
            of_target.update({name: tuple(stamp) for name, stamp in lifts})

    def add(self, cause: RecordedCause) -> None:
        """Merge one cause or one more copy of it."""
        rows, node = self._rows, cause.node
        self.marked |= cause.effect is Effect.NOT_BEFORE
        if cause.of_owner:
            self.of_owners[node] = None
        row = rows.first(node)
        if row == ABSENT:
            rows.begin(node, rows.add(cause))
            self._note_row(cause, len(rows) - 1)
            return
        if rows.digest(row) != cause.digest:
            further = self._further.setdefault(node, {})
            row = further.setdefault(cause.digest, len(rows))
            if row == len(rows):
                rows.add(cause)
                self._note_row(cause, row)
                return
        known = rows.cause(row)
        if (merged := known.merged(cause)) != known:
            rows.put(row, merged)
            self._standing.pop(node, None)

    def _note_row(self, cause: RecordedCause, row: int) -> None:
        """Put a new row among those that stand, where these are known."""
        standing = self._standing.get(cause.node)
        if standing is not None and self.in_force(cause):
            standing.append(row)

    def lift(self, fact_id: str, node: int, fact: Lift) -> None:
        """Merge one lift; one that claims a time far ahead is refused.

        A time a little ahead counts as the receipt: a lift ends nothing said later.
        """
        if fact.version > fact.received_at + FUTURE_TOLERANCE:
            return
        key = (fact.authority, node, fact.aspect)
        lifts = self._lifts.setdefault(key, {})
        if not lifts:
            self._lifted.setdefault(node, []).append(key)
        stamp = (fact.effective_version, fact.uncertainty, fact.version)
        known = lifts.get(fact_id)
        lifts[fact_id] = stamp if known is None else _earlier(known, stamp)
        if known is None:
            if key in self._ordered:
                self._ordered[key].add(stamp)
            self._note_lift(node)
        elif known != lifts[fact_id]:
            self._ordered.pop(key, None)
            self._standing.pop(node, None)  # an earlier lift may end fewer

    def _note_lift(self, node: int) -> None:
        """Leave out what a new lift has ended of the rows that stand."""
        standing = self._standing.get(node, ())
        if len(standing) > FALLING_AT_ONCE:
            del self._standing[node]
        elif standing:
            self._standing[node] = self._not_lifted(standing)

    def _not_lifted(self, rows: Iterable[int]) -> list[int]:
        cause = self._rows.cause
        return [row for row in rows if self.in_force(cause(row))]

    def remove(self, node: int, fact_id: str) -> bool:
        """Take a cause or lift back; tell whether it was there."""
        # Nothing empty stays: a table taken up from a dump would not have it.
        rows, first = self._rows, self._rows.first(node)
        further = self._further.get(node, {}).values()
        standing = [] if first == ABSENT else [first, *further]
        left = [row for row in standing if rows.digest(row).hex() != fact_id]
        if len(left) < len(standing):
            self._standing.pop(node, None)
            # They move up: targets are told in the order of their first rows, which
            # a table taken up from a dump has as well.
            for row, other in zip(standing, left, strict=False):
                rows.copy(other, row)
            kept = standing[: len(left)]
            rows.begin(node, kept[0] if kept else ABSENT)
            self._further.pop(node, None)
            if kept[1:]:
                self._further[node] = {rows.digest(row): row for row in kept[1:]}
            return True
        keys = self._lifted.get(node, [])
        for key in keys:
            if self._lifts[key].pop(fact_id, None) is not None:
                self._ordered.pop(key, None)
                self._standing.pop(node, None)
                if not self._lifts[key]:
                    del self._lifts[key]
                    keys.remove(key)
                if not keys:
                    del self._lifted[node]
                return True
        return False

    def on(self, node: int) -> Iterator[RecordedCause]:
        """Yield the causes that name this very identifier."""
        return map(self._rows.cause, self._rows_on(node))

    def standing(self, node: int) -> Iterator[RecordedCause]:
        """Yield the causes that name this very identifier, few that a lift has ended.

        Orders come and go, and what was sifted out takes no time. Of very many none is.
        """
        further = self._further.get(node, ())
        if node not in self._lifted or len(further) >= SIFTED_AT_ONCE:
            return self.on(node)
        rows = self._standing.get(node)
        if rows is None:
            rows = self._standing[node] = self._not_lifted(self._rows_on(node))
        return map(self._rows.cause, rows)

    def _rows_on(self, node: int) -> Iterator[int]:
        row = self._rows.first(node)
        if row != ABSENT:
            yield row
            yield from self._further.get(node, {}).values()

    def all(self) -> Iterator[RecordedCause]:
        """Yield every cause."""
        for node in self._rows.nodes():
            yield from self.on(node)

    def in_force(
        self,
        cause: RecordedCause,
        at: int | None = None,
        *,
        inclusive: bool = False,
        now: int | None = None,
    ) -> bool:
        """Whether a cause counts at a time.

        Args:
            cause: a cause of this book.
            at: judge as of this event time (ns); None judges now, with every fact.
            inclusive: a cause at exactly that time counts.
            now: the clock (ns), by which one with an end is over where it is judged
                now; None: none is.
        """
        if at is not None and (cause.at > at or (cause.at == at and not inclusive)):
            return False
        if cause.until is not None and cause.is_over(at, now):
            return False
        for uncertainty, versions in self._lifts_of(cause).versions.items():
            near = max(cause.uncertainty, uncertainty)
            first = bisect_right(versions, cause.version + near)
            if first < len(versions) and (at is None or versions[first] <= at):
                return False
        return True

    def turning_points(self, causes: Iterable[RecordedCause]) -> set[int]:
        """Return the times at which some causes may begin or cease to count (ns)."""
        times: set[int] = set()
        keys: set[tuple[str, int, str]] = set()
        for cause in causes:
            times.add(cause.at)
            if cause.until is not None:
                times.add(cause.until)
            if cause.effect not in _FINAL:
                keys.add((cause.authority, cause.node, cause.aspect))
        for key in keys:
            times.update(version for version, *_ in self._lifts.get(key, {}).values())
        return times

    def ambiguous(self, cause: RecordedCause) -> bool:
        """Whether a lift came so close that the order is not known.

        A lift dated ahead claims to be later than it can be shown to be.
        """
        if not self.in_force(cause):
            return False
        lifts = self._lifts_of(cause)
        for uncertainty, versions in lifts.versions.items():
            near = max(cause.uncertainty, uncertainty)
            first = bisect_left(versions, cause.version - near)
            if first < len(versions) and versions[first] <= cause.version + near:
                return True
        return any(
            version - near <= cause.version <= claimed + near
            for version, uncertainty, claimed in lifts.ahead
            for near in (max(cause.uncertainty, uncertainty),)
        )

    def _lifts_of(self, cause: RecordedCause) -> _Ordered:
        """Lifts of a cause's target, oldest first where there are many."""
        key = (cause.authority, cause.node, cause.aspect)
        lifts = None if cause.effect in _FINAL else self._lifts.get(key)
        if lifts is None:
            return _NO_LIFTS
        known = self._ordered.get(key)
        if known is None:
            known = _Ordered({}, [])
            for stamp in sorted(lifts.values()):
                known.add(stamp)
            if len(lifts) > FEW:
                self._ordered[key] = known
        return known


@frozen
class CauseRef:
    """A cause, for people and outputs. ``at`` and ``until`` are in ns."""

    fact_id: str
    target: Identifier
    effect: Effect
    reach: Reach
    authority: str
    at: int
    until: int | None = None


def reference(registry: Registry, cause: RecordedCause) -> CauseRef:
    """Cause in the form that leaves the core."""
    return CauseRef(
        fact_id=cause.fact_id,
        target=registry.lineage.identifier(cause.node),
        effect=cause.effect,
        reach=cause.reach,
        authority=cause.authority,
        at=cause.at,
        until=cause.until,
    )
