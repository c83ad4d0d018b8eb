"""Remembered uses: who presented what, where and when, in buckets of a minute.

A use that was fine when it was seen may be condemned by a fact that comes later, so
uses are kept for a day. The times of the first uses of a minute are kept one by one,
of a burst beyond that only how many, the first and the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from attrs import Factory, define

from agents_registry.identifiers import Identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.records import Access

MINUTE: Final = 60 * 1_000_000_000
SINGLES: Final = 32


class Seen(NamedTuple):
    """One access as the sentinel needs it; ``at`` in ns.

    Attributes:
        applied: the offset of facts that the point had applied, where it says so.
        scopes: those that the use needed, where the log says so.
    """

    identifiers: tuple[Identifier, ...]
    point: str
    outcome: str | None
    at: int
    event_id: str | None
    owner: str | None = None
    applied: int | None = None
    scopes: tuple[str, ...] | None = None

    def to_plain(self) -> list[Any]:
        """Give JSON-ready values, short: an access block holds many."""
        names = [str(identifier) for identifier in self.identifiers]
        return [names, *self[1:]]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Seen:
        """Read what `to_plain` gave."""
        names = tuple(Identifier.parse(name) for name in plain[0])
        use = cls(names, *plain[1:])
        return use if use.scopes is None else use._replace(scopes=tuple(use.scopes))


def seen(access: Access, *, point: str, received_at: int) -> Seen:
    """Take from an access record what the sentinel needs.

    Args:
        access: the record.
        point: the enforcement point, where the record does not say.
        received_at: stands for the time of a record that has none.
    """
    return Seen(
        identifiers=access.identifiers,
        point=access.point or point,
        outcome=access.outcome,
        at=received_at if access.occurred_at is None else access.occurred_at,
        event_id=access.event_id,
        owner=access.owner,
        applied=access.applied,
        scopes=access.scope,
    )


class Single(NamedTuple):
    """One use, or several that are no longer told apart."""

    at: int
    event_id: str | None
    first: int
    times: int = 1
    reported: bool = False


@define
class Bucket:
    """The uses of one credential at one point with one outcome in one minute."""

    identifiers: tuple[Identifier, ...]
    point: str
    outcome: str | None
    minute: int
    seen_at: int
    owner: str | None = None
    singles: list[Single] = Factory(list)

    @property
    def key(self) -> str:
        """Give the bucket's name, unique in the realm."""
        names = "\0".join(str(identifier) for identifier in self.identifiers)
        return f"{names}\0\0{self.point}\0{self.outcome}\0{self.minute}"

    def add(self, use: Seen) -> None:
        """Count one more use; a line that came twice is one use."""
        if use.event_id is not None and any(
            single.event_id == use.event_id for single in self.singles
        ):
            return
        if len(self.singles) < SINGLES:
            self.singles.append(Single(use.at, use.event_id, first=use.at))
            return
        last = self.singles[-1]
        # A burst is judged by its last use; what was reported is not counted again.
        merged = Single(
            at=max(last.at, use.at),
            event_id=use.event_id,
            first=min(last.first, use.at),
            times=1 if last.reported else last.times + 1,
        )
        self.singles[-1] = merged

    def to_plain(self) -> list[Any]:
        """Give JSON-ready values."""
        names = [str(identifier) for identifier in self.identifiers]
        rest = [self.point, self.outcome, self.minute, self.seen_at, self.owner]
        return [names, *rest, [list(single) for single in self.singles]]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Bucket:
        """Read what `to_plain` gave."""
        names = tuple(Identifier.parse(name) for name in plain[0])
        bucket = cls(names, *plain[1:6])
        bucket.singles = [Single(*single) for single in plain[6]]
        return bucket


class Uses:
    """All remembered buckets, by every identifier that was presented."""

    def __init__(self) -> None:
        """Start empty."""
        self._buckets: dict[str, Bucket] = {}
        self._by_identifier: dict[Identifier, set[str]] = {}

    def __len__(self) -> int:
        """Give the number of buckets."""
        return len(self._buckets)

    def restore(self, bucket: Bucket) -> None:
        """Take back a saved bucket."""
        self._buckets[bucket.key] = bucket
        for identifier in bucket.identifiers:
            self._by_identifier.setdefault(identifier, set()).add(bucket.key)

    def add(self, use: Seen, now: int) -> Bucket:
        """Remember a use; give its bucket."""
        minute = use.at // MINUTE
        new = Bucket(use.identifiers, use.point, use.outcome, minute, now, use.owner)
        bucket = self._buckets.get(new.key)
        if bucket is None:
            bucket = new
            self.restore(new)
        bucket.add(use)
        return bucket

    def of(self, identifiers: Iterable[Identifier]) -> Iterator[Bucket]:
        """Yield the buckets in which an identifier was presented, each once."""
        keys = dict.fromkeys(
            key
            for identifier in identifiers
            for key in sorted(self._by_identifier.get(identifier, ()))
        )
        for key in keys:
            yield self._buckets[key]

    def forget(self, seen_before: int) -> list[str]:
        """Drop the buckets seen before a time of our clock; give their keys."""
        old = [b for b in self._buckets.values() if b.seen_at < seen_before]
        for bucket in old:
            del self._buckets[bucket.key]
            for identifier in bucket.identifiers:
                keys = self._by_identifier[identifier]
                keys.discard(bucket.key)
                if not keys:
                    del self._by_identifier[identifier]
        return [bucket.key for bucket in old]
