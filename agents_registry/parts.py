"""Tables that grow without a pause.

A dict that makes room moves all that it holds: with 700,000 entries that takes 40 ms,
in which an event loop stands still. One in parts moves a 256th of it at a time.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping
from itertools import chain, islice
from typing import Any, Final, TypeVar, overload

Key = TypeVar("Key")
Value = TypeVar("Value")
Other = TypeVar("Other")

WHOLE: Final = 1024  # entries that one part may have before there are more
PARTS: Final = 256
NEAR: Final = 10  # bits of a hash: numbers that follow each other lie in one part
_MISSING: Final = object()


class PartedDict(MutableMapping[Key, Value]):
    """A dict in parts once it is large; then in no order.

    Keys of one part stand in the order in which they came. Threads may read while one
    writes, and find either the whole or all of its parts; two may not write. Each
    method finds its part by itself: a call for that would take as long as the rest.
    """

    def __init__(self, of: Mapping[Key, Value] | None = None) -> None:
        self._parts: list[dict[Key, Value]] = [{}]
        if of:
            self.fill(of.items())

    def __getitem__(self, key: Key) -> Value:
        parts = self._parts
        return parts[(hash(key) >> NEAR) % len(parts)][key]

    def __setitem__(self, key: Key, value: Value) -> None:
        parts = self._parts
        parts[(hash(key) >> NEAR) % len(parts)][key] = value
        if len(parts) == 1 and len(parts[0]) > WHOLE:
            self._divide()

    def __delitem__(self, key: Key) -> None:
        parts = self._parts
        del parts[(hash(key) >> NEAR) % len(parts)][key]

    def __contains__(self, key: object) -> bool:
        parts = self._parts
        return key in parts[(hash(key) >> NEAR) % len(parts)]

    def __iter__(self) -> Iterator[Key]:
        return chain.from_iterable(self._parts)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __bool__(self) -> bool:
        return any(self._parts)

    @overload
    def get(self, key: Key) -> Value | None: ...
    @overload
    def get(self, key: Key, default: Value | Other) -> Value | Other: ...
    def get(self, key: Key, default: Any = None) -> Any:
        """Value of a key, the default where it is not there."""
        parts = self._parts
        return parts[(hash(key) >> NEAR) % len(parts)].get(key, default)

    def setdefault(self, key: Key, default: Value) -> Value:
        """Value of a key, which becomes the default where it is not there."""
        parts = self._parts
        value = parts[(hash(key) >> NEAR) % len(parts)].setdefault(key, default)
        if len(parts) == 1 and len(parts[0]) > WHOLE:
            self._divide()
        return value

    @overload
    def pop(self, key: Key) -> Value: ...
    @overload
    def pop(self, key: Key, default: Value | Other) -> Value | Other: ...
    def pop(self, key: Key, default: Any = _MISSING) -> Any:
        """Value of a key, which is not there any more."""
        parts = self._parts
        part = parts[(hash(key) >> NEAR) % len(parts)]
        return part.pop(key) if default is _MISSING else part.pop(key, default)

    def items(self) -> ItemsView[Key, Value]:
        """Keys with their values."""
        return _Items(self, self._parts)

    def fill(self, entries: Iterable[tuple[Key, Value]]) -> None:
        """Take entries in; in less time than `update` does."""
        parts = self._parts
        for key, value in entries:
            parts[(hash(key) >> NEAR) % len(parts)][key] = value
            if len(parts) == 1 and len(parts[0]) > WHOLE:
                self._divide()
                parts = self._parts

    def clear(self) -> None:
        """Hold nothing."""
        self._parts = [{}]

    def oldest(self, most: int) -> list[Key]:
        """So many keys, or a few more: those that stand first in each part."""
        each = -(-most // len(self._parts))
        return [key for part in self._parts for key in islice(part, each)]

    def _divide(self) -> None:
        (whole,) = self._parts
        parts: list[dict[Key, Value]] = [{} for _ in range(PARTS)]
        for key, value in whole.items():
            parts[(hash(key) >> NEAR) % PARTS][key] = value
        self._parts = parts


class _Items(ItemsView[Key, Value]):
    """The entries of all parts, without a search for each key."""

    def __init__(
        self, of: PartedDict[Key, Value], parts: list[dict[Key, Value]]
    ) -> None:
        super().__init__(of)
        self._parts = parts

    def __iter__(self) -> Iterator[tuple[Key, Value]]:
        return chain.from_iterable(map(dict.items, self._parts))
