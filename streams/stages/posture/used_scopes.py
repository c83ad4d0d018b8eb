"""Which of the scopes that credentials declare are used: days, not uses, are kept.

Of a credential that declares scopes, and whose log tells which ones a use needed, the
last day is kept for each scope that it declares, and for the few that it used of one
that ends in ``:*``. That is at most `MOST_SCOPES` declared scopes a credential, of at
most `MOST` credentials; of what is beyond, nothing is said. Of one that was never used
the day is kept from which on it was watched, once a log tells of its scopes at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import Factory, define

from agents_registry.scope import WILDCARD, covers
from streams.model.times import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier

MOST: Final = 100_000
MOST_SCOPES: Final = 64
NARROW: Final = 3  # scopes: who uses no more of a ``:*`` needs no more


def namespace(scope: str) -> str:
    """Namespace of a scope."""
    return scope.partition("|")[0]


@define
class Usage:
    """The days on which a credential was used; all are numbers of days since 1970.

    Attributes:
        known: of each scope, the day of the first use that found it declared.
        last: the last day of a use that told its scopes, by namespace.
        used: the last day on which each declared scope was used.
        parts: of a declared scope that ends in ``:*``, the scopes of it that were used,
            at most one more than `NARROW`, each with the last day.
    """

    known: dict[str, int] = Factory(dict)
    last: dict[str, int] = Factory(dict)
    used: dict[str, int] = Factory(dict)
    parts: dict[str, dict[str, int]] = Factory(dict)

    def take(self, declared: Iterable[str], scope: str, day: int) -> None:
        """Note a use."""
        space = namespace(scope)
        self.last[space] = max(day, self.last.get(space, day))
        for each in declared:
            if namespace(each) == space:
                self.known.setdefault(each, day)
                if covers((each,), scope):
                    self.used[each] = max(day, self.used.get(each, day))
                    if each.endswith(WILDCARD):
                        self._take_part(self.parts.setdefault(each, {}), scope, day)

    def _take_part(self, parts: dict[str, int], scope: str, day: int) -> None:
        parts[scope] = max(day, parts.get(scope, day))
        if len(parts) > NARROW + 1:
            del parts[min(parts, key=parts.__getitem__)]

    def watch(self, declared: Iterable[str], day: int) -> None:
        """Note that it is watched from a day on, whether it is used or not."""
        for each in declared:
            self.known.setdefault(each, day)

    def body(self) -> bytes:
        """Bytes to keep."""
        return orjson.dumps([self.known, self.last, self.used, self.parts])

    @classmethod
    def of(cls, body: bytes) -> Usage:
        """Read what `body` gave."""
        return cls(*orjson.loads(body))


class UsedScopes:
    """The usage of the credentials of a realm."""

    def __init__(self) -> None:
        self._of: dict[Identifier, Usage] = {}
        self._heard: dict[str, int] = {}  # the last day of any use, by namespace

    def usages(self) -> list[tuple[Identifier, Usage]]:
        """Return what is known, by credential."""
        return [*self._of.items()]

    def restore(self, name: Identifier, body: bytes) -> None:
        """Take up what was kept."""
        usage = self._of[name] = Usage.of(body)
        self._hear(usage)

    def _hear(self, usage: Usage) -> bool:
        """Note of which namespaces logs tell; tell whether one is new."""
        before = len(self._heard)
        for space, day in usage.last.items():
            self._heard[space] = max(day, self._heard.get(space, day))
        return len(self._heard) > before

    @property
    def spaces(self) -> int:
        """Count the namespaces of which logs tell."""
        return len(self._heard)

    def take(
        self, name: Identifier, declared: Iterable[str], scopes: Iterable[str], at: int
    ) -> bytes | None:
        """Note a use; give what is to be kept where it is news.

        Args:
            name: of the credential.
            declared: the scopes that it declares.
            scopes: that the use needed.
            at: when it was (ns).
        """
        usage = self._of.get(name)
        if usage is None:
            if len(self._of) >= MOST:
                return None
            usage = self._of[name] = Usage()
        known, before = sorted(declared)[:MOST_SCOPES], usage.body()
        for scope in scopes:
            usage.take(known, scope, at // DAY)
        self._hear(usage)
        body = usage.body()
        return None if body == before else body

    def watch(
        self, names: Iterable[Identifier], declared: Iterable[str], now: int
    ) -> tuple[Identifier, bytes] | None:
        """Watch a credential that was never used, where logs tell of its scopes.

        Give what is to be kept where that is news.
        """
        names = sorted(names)
        if any(name in self._of for name in names) or len(self._of) >= MOST:
            return None
        told = [each for each in sorted(declared) if namespace(each) in self._heard]
        if not told:
            return None
        usage = self._of[names[0]] = Usage()
        usage.watch(told[:MOST_SCOPES], now // DAY)
        return names[0], usage.body()

    def unused(
        self, names: Iterable[Identifier], now: int, span: int
    ) -> Iterator[tuple[str, int]]:
        """Yield the scopes of a credential that was never used, as `idle` does."""
        usages = [usage for name in names if (usage := self._of.get(name)) is not None]
        if not usages or any(usage.last for usage in usages):
            return
        days = span // DAY
        known = {scope: day for usage in usages for scope, day in usage.known.items()}
        for scope, day in sorted(known.items()):
            if self._heard.get(namespace(scope), 0) >= now // DAY - days:
                yield scope, (day + days) * DAY

    def partly(
        self,
        names: Iterable[Identifier],
        declared: Iterable[str],
        now: int,
        span: int,
    ) -> Iterator[tuple[str, list[str], int]]:
        """Yield the scopes of which only few parts are used, and these; as `idle`."""
        usages = [usage for name in names if (usage := self._of.get(name)) is not None]
        days = span // DAY
        for scope in sorted(declared)[:MOST_SCOPES] if usages else ():
            known = [usage.known[scope] for usage in usages if scope in usage.known]
            parts: dict[str, int] = {}
            for usage in usages:
                for part, day in usage.parts.get(scope, {}).items():
                    parts[part] = max(day, parts.get(part, day))
            lately = sorted(
                (day, part) for part, day in parts.items() if day >= now // DAY - days
            )
            if not known or not lately or scope in parts:
                continue
            # With that day the parts that are too many are used no more.
            free = lately[-NARROW - 1][0] + 1 if len(lately) > NARROW else 0
            few = sorted(part for _, part in lately[-NARROW:])
            yield scope, few, (max(min(known), free) + days) * DAY

    def idle(
        self,
        names: Iterable[Identifier],
        declared: Iterable[str],
        now: int,
        span: int,
    ) -> Iterator[tuple[str, int]]:
        """Yield the scopes that may be idle, with the time from when on they are (ns).

        Args:
            names: of the credential.
            declared: its scopes.
            now: ns.
            span: for how long a scope must not have been used (ns).
        """
        usages = [usage for name in names if (usage := self._of.get(name)) is not None]
        days = span // DAY
        for scope in sorted(declared)[:MOST_SCOPES] if usages else ():
            known = [usage.known[scope] for usage in usages if scope in usage.known]
            last = max(usage.last.get(namespace(scope), 0) for usage in usages)
            if not known or last < now // DAY - days:
                continue  # nobody tells, or nothing is used: that is no excess
            used = (usage.used.get(scope, 0) for usage in usages)
            yield scope, (max(min(known), *used) + days) * DAY

    def in_use(
        self,
        names: Iterable[Identifier],
        declared: Iterable[str],
        now: int,
        span: int,
    ) -> list[str]:
        """Return the declared scopes that were used within a span before now (ns)."""
        usages = [usage for name in names if (usage := self._of.get(name)) is not None]
        since = (now - span) // DAY
        return [
            scope
            for scope in sorted(declared)[:MOST_SCOPES]
            if any(usage.used.get(scope, since - 1) >= since for usage in usages)
        ]

    def forget(self, before: int) -> list[Identifier]:
        """Drop what was not used since a time (ns); give the names."""
        day = before // DAY
        old = [
            name
            for name, each in self._of.items()
            if each.last and max(each.last.values()) < day
        ]
        for name in old:
            del self._of[name]
        return old

    def plain(self) -> dict[str, Any]:
        """Everything, for comparing."""
        return {str(name): usage.body() for name, usage in self._of.items()}
