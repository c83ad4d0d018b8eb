"""A use: who presented what, where and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agents_registry.identifiers import Identifier

if TYPE_CHECKING:
    from streams.records import Access


class Seen(NamedTuple):
    """One access as the sentinel needs it; ``at`` in ns.

    Attributes:
        applied: the offset of facts that the point had applied, where it says so.
        scopes: those that the use needed, where the log says so.
        issued_at: when what was presented was issued (ns), where the log says so.
    """

    identifiers: tuple[Identifier, ...]
    point: str
    outcome: str | None
    at: int
    event_id: str | None
    owner: str | None = None
    applied: int | None = None
    scopes: tuple[str, ...] | None = None
    issued_at: int | None = None

    def to_plain(self) -> list[Any]:
        """Give JSON-ready values, short: an access block holds many."""
        names = [str(identifier) for identifier in self.identifiers]
        rest = self[1:] if self.issued_at is not None else self[1:-1]
        return [names, *rest]

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
        issued_at=access.issued_at,
    )
