"""What the sentinel reads, in the order of its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.identifiers import Identifier
    from streams.stages.access.columns import AccessColumns


@frozen
class Accesses:
    """A block of accesses.

    Attributes:
        after: judge it once every fact below this offset is applied.
    """

    realm: str
    after: int
    lines: AccessColumns


@frozen
class Signal:
    """What ingress saw by itself; ``values`` are the sentinel's."""

    realm: str
    values: Mapping[str, Any]


@frozen
class ScopeUse:
    """A credential used some scopes, at a time (ns).

    Attributes:
        after: take it in once every fact below this offset is applied.
    """

    realm: str
    name: Identifier
    scopes: tuple[str, ...]
    at: int
    after: int = 0


AccessRecord = Accesses | Signal | ScopeUse
