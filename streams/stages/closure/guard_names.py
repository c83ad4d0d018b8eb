"""Which credential may use which guard's name.

A name belongs to the credential that registered first under it, until an operator
removes the guard; the settings may give names to a credential beforehand. So no
guard's credential takes another guard's place, whether that one is connected or not.

- A credential has its own name, and those of its patterns (``*`` for any part).
- A name that stands exactly in the settings of one credential is no other's, whatever
  patterns that one has; a name of its patterns is none of who has no such pattern.
- Who has patterns may use no further names.
- Any other name is bound at its first use.

Pods have new names all the time. Of the names that a credential bound by use only as
many are kept as it may have members; the oldest without a member makes room.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from attrs import Factory, define, frozen

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

Key = TypeVar("Key")

WILDCARDS: Final = frozenset("*?[")


class NameRefusedError(ValueError):
    """A credential may not use a name; the text says what to do.

    Attributes:
        reason: a constant word.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@frozen
class Bearer:
    """A credential that guards connect with.

    Attributes:
        name: of the credential in the settings; of an OIDC token issuer and subject.
        patterns: of the names that its guards may use; none: any free name.
    """

    name: str
    patterns: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Whether a name is its own, or one of its patterns."""
        return name == self.name or any(fnmatchcase(name, one) for one in self.patterns)

    def has_exactly(self, name: str) -> bool:
        """Whether a name is its own, or stands in its settings as it is."""
        return name == self.name or (name in self.patterns and is_exact(name))


def is_exact(pattern: str) -> bool:
    """Whether a pattern is a plain name."""
    return WILDCARDS.isdisjoint(pattern)


@frozen
class GuardKeys(Generic[Key]):
    """The keys that guards sign with.

    Attributes:
        named: the name of a guard, or a pattern of names (``*``), to its key.
        required: a guard without a key proves nothing.
        relays: the keys of relays by their names; each vouches for any guard.
    """

    named: Mapping[str, Key]
    required: bool = False
    relays: Mapping[str, Key] = Factory(dict)

    def entry(self, guard: str) -> str | None:
        """Entry that a guard's name falls under: its own before a pattern."""
        if guard in self.named:
            return guard
        fitting = (each for each in self.named if fnmatchcase(guard, each))
        return next(fitting, None)

    def key(self, guard: str) -> Key | None:
        """Key of a guard."""
        entry = self.entry(guard)
        return None if entry is None else self.named[entry]


@define
class GuardNames:
    """The names of a realm's guards.

    Attributes:
        settled: the credentials of the settings.
        most: members that one credential may have.
        longest_lease: that closure waits for (ns); None: it is the guards' to choose.
    """

    settled: tuple[Bearer, ...] = ()
    most: int = 5000
    longest_lease: int | None = None
    _bound: dict[str, str] = Factory(dict)  # in the order of their first use

    def restore(self, bound: Mapping[str, str]) -> None:
        """Bring back what was bound: name to credential, the oldest first."""
        self._bound = dict(bound)

    def holder(self, name: str) -> str | None:
        """Credential whose a name is: by the settings, or by its use."""
        exactly = (each.name for each in self.settled if each.has_exactly(name))
        fitting = (each.name for each in self.settled if each.has(name))
        return next(exactly, None) or self._bound.get(name) or next(fitting, None)

    def check(self, name: str, bearer: Bearer) -> None:
        """Check that a credential may use a name.

        Raises:
            NameRefusedError: it is another's.
        """
        others = [each for each in self.settled if each.name != bearer.name]
        mine, exactly = bearer.has(name), bearer.has_exactly(name)
        if not exactly and any(each.has_exactly(name) for each in others):
            raise _reserved(name)
        if not mine and bearer.patterns:
            text = f"this credential has the names {', '.join(bearer.patterns)}"
            raise NameRefusedError("name_outside", text)
        if not mine and any(each.has(name) for each in others):
            raise _reserved(name)
        bound = self._bound.get(name)
        if bound in (None, bearer.name):
            return
        if mine and not any(e.name == bound and e.has(name) for e in others):
            return  # the settings gave it to this one meanwhile
        text = f"{name} is another credential's: rescind guards --remove frees it"
        raise NameRefusedError("name_bound", text)

    def bind(self, name: str, bearer: Bearer, members: Container[str]) -> list[str]:
        """Bind a name that `check` lets pass; give the names that it made room for.

        Args:
            name: of the guard.
            bearer: its credential.
            members: names of the guards that are registered.

        Raises:
            NameRefusedError: the credential has too many members.
        """
        self.check(name, bearer)
        if name in members and self._bound.get(name) == bearer.name:
            return []
        theirs = [n for n, of in self._bound.items() if of == bearer.name and n != name]
        if name not in members and sum(n in members for n in theirs) >= self.most:
            text = f"this credential has {self.most} guards: see closure.max_guards"
            raise NameRefusedError("too_many_names", text)
        idle = [each for each in theirs if each not in members]
        room = idle[: max(0, len(theirs) + 1 - self.most)]
        for each in room:
            del self._bound[each]
        if self._bound.get(name) != bearer.name:
            self._bound.pop(name, None)
            self._bound[name] = bearer.name
        return room

    def is_bound(self, name: str) -> bool:
        """Whether a name belongs to who used it first."""
        return name in self._bound

    def free(self, name: str) -> None:
        """Free a name on an operator's word."""
        self._bound.pop(name, None)


@define
class SettledNames(GuardNames):
    """The names of a realm's guards where nobody remembers who came first.

    Who reports has the name of its credential, or one that the settings give to that.
    """

    def bind(self, name: str, bearer: Bearer, members: Container[str]) -> list[str]:
        """Bind a name for as long as this process runs; see `GuardNames.bind`.

        Raises:
            NameRefusedError: it is another's, or nobody's; or there are too many.
        """
        if not bearer.has(name):
            text = f"list {name} under guards of the token {bearer.name}"
            raise NameRefusedError("name_outside", text)
        return super().bind(name, bearer, members)


def bearers(settled: Iterable[tuple[str, Iterable[str]]]) -> tuple[Bearer, ...]:
    """Credentials of the settings: their names and patterns."""
    return tuple(Bearer(name, tuple(patterns)) for name, patterns in settled)


def _reserved(name: str) -> NameRefusedError:
    text = f"the settings give {name} to another credential"
    return NameRefusedError("name_reserved", text)
