"""Registers: per (node, authority) the statement with the highest version counts.

Owners, declared scope and expiry are such statements. Sets tied in version all
stand (each must hold); an expiry tie takes the earlier time.
"""

from __future__ import annotations

from array import array
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from agents_registry.parts import PartedDict
from agents_registry.steps import pieces, rested, restless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from agents_registry.steps import Rest

Content = TypeVar("Content")
# By authority, the version and the statements that tie in it.
_Entries = dict[str, tuple[int, tuple[Content, ...]]]
SHARED: Final = 0xFFFF  # authority number of a node with several authorities
_LONG_AGO: Final = -(1 << 63)  # ns; before every clock


class Register(Generic[Content]):
    """The standing statements about nodes, sparse."""

    def __init__(self, strictest: Content) -> None:
        """Start empty.

        Args:
            strictest: the statement that allows nothing.
        """
        self._strictest = strictest
        self._entries: PartedDict[int, _Entries[Content]] = PartedDict()

    def put(self, node: int, authority: str, version: int, content: Content) -> None:
        """Merge one statement: newer replaces, tied joins, older changes nothing."""
        entries = self._entries.setdefault(node, {})
        standing = entries.get(authority)
        if standing is None or version > standing[0]:
            entries[authority] = (version, (content,))
        elif version == standing[0] and content not in standing[1]:
            entries[authority] = (version, (*standing[1], content))

    def doubt(self, node: int, authority: str) -> None:
        """Let the strictest stand, until something newer or a table built anew."""
        version, tied = self._entries[node][authority]
        self._entries[node][authority] = (version, (*tied, self._strictest))

    def dump(self) -> list[Any]:
        """Node, authority, version and statements of every entry."""
        return [
            (node, authority, version, [_plain(content) for content in tied])
            for node, entries in self._entries.items()
            for authority, (version, tied) in entries.items()
        ]

    def restore(
        self,
        plain: Iterable[Any],
        read: Callable[[Any], Content],
        rest: Rest = restless,
    ) -> None:
        """Take up what `dump` gave.

        Args:
            plain: the entries.
            read: gives a statement from its plain form.
            rest: called now and then.
        """
        for node, authority, version, tied in rested(plain, rest):
            entries = self._entries.setdefault(node, {})
            entries[authority] = (version, tuple(map(read, tied)))

    def of(self, node: int) -> list[Content]:
        """Standing statements about a node, over all authorities."""
        entries = self._entries.get(node)
        if entries is None:
            return []
        return [content for _, tied in entries.values() for content in tied]

    def said(self, node: int) -> Iterator[tuple[int, Content]]:
        """Yield every standing statement about a node with its version."""
        for version, tied in self._entries.get(node, {}).values():
            for content in tied:
                yield version, content

    def by_authority(self, node: int) -> Iterator[tuple[str, tuple[Content, ...]]]:
        """Yield each authority with its standing statements about a node."""
        for authority, (_, tied) in self._entries.get(node, {}).items():
            yield authority, tied

    def version(self, node: int, authority: str) -> int | None:
        """Standing version, None where there is no statement."""
        standing = self._entries.get(node, {}).get(authority)
        return None if standing is None else standing[0]

    def authorities(self, node: int) -> Iterable[str]:
        """Return the authorities with a statement about a node."""
        return self._entries.get(node, ())

    def nodes(self) -> list[int]:
        """Nodes that have a statement."""
        return list(self._entries)


class ExpiryRegister:
    """The expiry of many nodes: nearly all have one authority, kept in arrays.

    Attributes:
        earliest: by node, the expiry that stands (ns); the lineage's own array.
    """

    def __init__(self, earliest: array[int]) -> None:
        """Start empty, over an array with one entry a node."""
        self.earliest = earliest
        self._authorities: dict[str, int] = {}
        self._authority = array("H")
        self._version = array("q")
        self._shared: Register[int] = Register(strictest=_LONG_AGO)

    def dump(self) -> dict[str, Any]:
        """State as plain values; the array of expiries is the lineage's."""
        return {
            "authorities": list(self._authorities),
            "authority": bytes(self._authority),
            "version": bytes(self._version),
            "shared": self._shared.dump(),
        }

    def restore(self, plain: Mapping[str, Any], rest: Rest = restless) -> None:
        """Take up what `dump` gave."""
        numbers = enumerate(plain["authorities"], 1)
        self._authorities = {name: number for number, name in numbers}
        for piece in pieces(plain["authority"], rest):
            self._authority.frombytes(piece)
        for piece in pieces(plain["version"], rest):
            self._version.frombytes(piece)
        self._shared.restore(plain["shared"], int, rest)

    def put(self, node: int, authority: str, version: int, expires: int) -> None:
        """Merge one statement."""
        number = self._authorities.setdefault(authority, len(self._authorities) + 1)
        missing = node + 1 - len(self._authority)
        if missing > 0:
            self._authority.frombytes(bytes(2 * missing))
            self._version.frombytes(bytes(8 * missing))
        holder = self._authority[node]
        if holder not in {0, number, SHARED}:
            self._share(node, holder)
            holder = SHARED
        if holder == SHARED:
            self._shared.put(node, authority, version, expires)
            self.earliest[node] = min(self._shared.of(node))
        elif holder == 0 or version > self._version[node]:
            self._authority[node] = number
            self._version[node], self.earliest[node] = version, expires
        elif version == self._version[node]:
            self.earliest[node] = min(self.earliest[node], expires)

    def version(self, node: int, authority: str) -> int | None:
        """Standing version, None where there is no statement."""
        holder = self._authority[node] if node < len(self._authority) else 0
        if holder == SHARED:
            return self._shared.version(node, authority)
        mine = holder != 0 and holder == self._authorities.get(authority)
        return self._version[node] if mine else None

    def authorities(self, node: int) -> Iterable[str]:
        """Return the authorities with a statement about a node."""
        holder = self._authority[node] if node < len(self._authority) else 0
        if holder == SHARED:
            return self._shared.authorities(node)
        return islice(self._authorities, holder - 1, holder) if holder else ()

    def doubt(self, node: int, authority: str) -> None:
        """Let the node have expired, until something newer or a table built anew."""
        if self._authority[node] == SHARED:
            self._shared.doubt(node, authority)
        self.earliest[node] = _LONG_AGO

    def _share(self, node: int, holder: int) -> None:
        """Move a node that got a second authority to the sparse register."""
        name = next(n for n, number in self._authorities.items() if number == holder)
        self._shared.put(node, name, self._version[node], self.earliest[node])
        self._authority[node] = SHARED


def _plain(content: Any) -> Any:
    """Statement as JSON can hold it: a set sorted, a tuple as a list."""
    return sorted(content) if isinstance(content, frozenset) else content
