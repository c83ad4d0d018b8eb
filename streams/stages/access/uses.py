"""A use: who presented what, where and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agents_registry.identifiers import Identifier
from streams.stages.access.agent_kinds import may_act, rank
from streams.stages.access.caller import Caller, caller

if TYPE_CHECKING:
    from streams.model.records import Access


class AccessEvent(NamedTuple):
    """One access as the sentinel needs it; ``at`` in ns.

    Attributes:
        applied: the offset of facts that the point had applied, where it says so.
        scopes: those that the use needed, where the log says so.
        issued_at: when what was presented was issued (ns), where the log says so.
        caller: where it came from, where the log says so.
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
    caller: Caller | None = None

    def to_plain(self) -> list[Any]:
        """JSON-ready values, short: an access block holds many."""
        names = [str(identifier) for identifier in self.identifiers]
        by = None if self.caller is None else list(self.caller)
        rest = [*self[1:-1], by]
        for _ in ("caller", "issued_at"):
            if rest[-1] is None:
                rest.pop()
        return [names, *rest]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> AccessEvent:
        """Read what `to_plain` gave."""
        names = tuple(Identifier.parse(name) for name in plain[0])
        use = cls(names, *plain[1:])
        if use.scopes is not None:
            use = use._replace(scopes=tuple(use.scopes))
        return use if use.caller is None else use._replace(caller=Caller(*use.caller))


def seen(access: Access, *, point: str, received_at: int) -> AccessEvent:
    """Take from an access record what the sentinel needs.

    Args:
        access: the record.
        point: the enforcement point, where the record does not say.
        received_at: stands for the time of a record that has none.
    """
    return AccessEvent(
        identifiers=access.identifiers,
        point=access.point or point,
        outcome=access.outcome,
        at=received_at if access.occurred_at is None else access.occurred_at,
        event_id=access.event_id,
        owner=access.owner,
        applied=access.applied,
        scopes=access.scope,
        issued_at=access.issued_at,
        caller=_caller(access),
    )


def _caller(access: Access) -> Caller | None:
    """Origin of an access, with the agent that its line names.

    That is whoever made the call, or what the credential hangs on by the line's own
    words, where it is of a kind that acts; agents go before others.
    """
    above = (parent.identifier for parent in access.parents)
    for named in (access.actor, tuple(above)):
        acting = [each for each in named if may_act(each.kind)]
        agent = min(acting, key=lambda each: rank(each.kind), default=None)
        if agent is not None:
            return caller(access.address, access.user_agent, str(agent))
    return caller(access.address, access.user_agent, None)
