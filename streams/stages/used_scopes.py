"""Which of the scopes that credentials declare are used: days, not uses, are kept.

Of a credential that declares scopes, and whose log tells which ones a use needed, the
last day is kept for each scope that it declares. That is at most `MOST_SCOPES` days a
credential, of at most `MOST` credentials; of what is beyond, nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import Factory, define

from agents_registry.scope import covers
from streams.times import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier

MOST: Final = 100_000
MOST_SCOPES: Final = 64


def namespace(scope: str) -> str:
    """Give the namespace of a scope."""
    return scope.partition("|")[0]


@define
class Usage:
    """The days on which a credential was used; all are numbers of days since 1970.

    Attributes:
        known: of each scope, the day of the first use that found it declared.
        last: the last day of a use that told its scopes, by namespace.
        used: the last day on which each declared scope was used.
    """

    known: dict[str, int] = Factory(dict)
    last: dict[str, int] = Factory(dict)
    used: dict[str, int] = Factory(dict)

    def take(self, declared: Iterable[str], scope: str, day: int) -> None:
        """Note a use."""
        space = namespace(scope)
        self.last[space] = max(day, self.last.get(space, day))
        for each in declared:
            if namespace(each) == space:
                self.known.setdefault(each, day)
                if covers((each,), scope):
                    self.used[each] = max(day, self.used.get(each, day))

    def body(self) -> bytes:
        """Give it as it is kept."""
        return orjson.dumps([self.known, self.last, self.used])

    @classmethod
    def of(cls, body: bytes) -> Usage:
        """Read what `body` gave."""
        return cls(*orjson.loads(body))


class UsedScopes:
    """The usage of the credentials of a realm."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._of: dict[Identifier, Usage] = {}

    def restore(self, name: Identifier, body: bytes) -> None:
        """Take up what was kept."""
        self._of[name] = Usage.of(body)

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
        body = usage.body()
        return None if body == before else body

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

    def forget(self, before: int) -> list[Identifier]:
        """Drop what was not used since a time (ns); give the names."""
        day = before // DAY
        old = [name for name, each in self._of.items() if max(each.last.values()) < day]
        for name in old:
            del self._of[name]
        return old

    def plain(self) -> dict[str, Any]:
        """Give everything, for comparing."""
        return {str(name): usage.body() for name, usage in self._of.items()}
