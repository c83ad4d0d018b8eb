"""What a system lists: entries as `streams.stages.ingest.declared` reads them.

Rules:

- A name counts once. Pages shift while they are read, so an item may come twice; the
  one that came last, and so was read last, counts.
- What cannot be declared is counted with its reason, never dropped in silence.
- A time that no clock can have is taken as unknown, which denies in doubt.
- What limits others comes first, credentials come last: an order that stops half way
  must not make a credential known whose limits are still to come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from agents_registry.identifiers import VOCABULARY, Identifier, NodeClass
from streams.model.declared_entry import LISTS, TIMES
from streams.model.times import rfc3339, sound_time
from streams.outbound.answers import UnreadableAnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping

Entry = dict[str, Any]
UNNAMED: Final = "without a name that can be used"
TOO_MANY: Final = "with more names or parents than Rescind keeps"


class ListingError(UnreadableAnswerError):
    """What was read is not what the system documents; nothing of it is declared."""


@define
class Listing:
    """Entries to declare, and what was not made one.

    Attributes:
        left_out: why, and how often.
        notes: what a person should know.
        implied: names that no item is about, such as the path of a token: no news when
            they are listed no more.
    """

    left_out: Counter[str] = field(factory=Counter)
    notes: list[str] = field(factory=list)
    implied: set[str] = field(factory=set)
    repeated: int = 0
    _entries: dict[str, Entry] = field(factory=dict)

    def add(self, identifier: Identifier | None, **values: Any) -> None:
        """Take an item in.

        Args:
            identifier: its name; None where the system gives none that can be used.
            values: fields of an entry. Times as the system wrote them; identifiers
                may be None; what is empty says nothing, except that an empty ``scope``
                covers nothing.
        """
        if identifier is None:
            self.left_out[UNNAMED] += 1
            return
        entry: Entry = {"identifier": str(identifier)}
        for name, value in values.items():
            told = _READ[name](value) if name in _READ else value
            if told or (name == "scope" and told is not None):
                entry[name] = told
        if any(most and len(entry.get(key, ())) > most for key, most in LISTS.items()):
            self.left_out[TOO_MANY] += 1
            return
        name = entry["identifier"]
        if name in self.implied:
            self.implied.remove(name)
        else:
            self.repeated += name in self._entries
        self._entries[name] = entry

    def imply(self, identifier: Identifier | None, **values: Any) -> None:
        """Take in what items name, once, unless it is an item itself."""
        if identifier is not None and str(identifier) not in self._entries:
            self.add(identifier, **values)
            self.implied.add(str(identifier))

    def entries(self) -> list[Entry]:
        """Entries, in the order in which they may be declared."""
        return sorted(self._entries.values(), key=_rank)


def _time(value: Any) -> str | None:
    return rfc3339(sound_time(value))


def _names(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(one) for one in values if one is not None))


def _scope(values: Iterable[str] | None) -> list[str] | None:
    return None if values is None else sorted(set(values))


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(LISTS, _names),
    "scope": _scope,
    **dict.fromkeys(TIMES, _time),
}


def _rank(entry: Entry) -> tuple[bool, bool]:
    kind = entry["identifier"].partition(":")[0]
    credential = VOCABULARY.get(kind) in (None, NodeClass.CREDENTIAL)
    return not ("suspended" in entry or "not_before" in entry), credential
