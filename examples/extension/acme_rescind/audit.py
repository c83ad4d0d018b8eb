"""ACME's audit log: tokens of agents, and their uses.

An agent's token requires the agent, so it ends with it. A use with a status below 400
was allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.reading.eventlog import EventHead, EventLog, LogEvent
from streams.sources.reading.fields import identifier, requires, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.model.records import Record

_REFUSED = 400


class AcmeAudit(EventLog):
    """Reads the log, one JSON object a line."""

    name = "acme"
    foreign = "not_acme: there is no act; look which system wrote it"

    def head(self, body: dict[str, Any]) -> EventHead | None:
        """Find id, type and time of an event."""
        act = text(body.get("act"))
        if act is None:
            return None
        return EventHead(text(body.get("id")), act, body.get("time"))

    def changes(self, heard: LogEvent) -> Iterator[Record]:
        """Return what an event does to a token, or that one was used."""
        body = heard.body
        token = identifier("acme.token", body.get("token"))
        if heard.event_type == "token.created":
            agent = identifier("agent.id", body.get("agent"))
            yield heard.change("issue", token, parents=requires(agent))
        elif heard.event_type == "token.revoked":
            yield heard.change("revoke", token)
        elif heard.event_type == "token.used":
            refused = int(body.get("status") or 0) >= _REFUSED
            outcome = "denied" if refused else "allowed"
            yield heard.use(
                token, point="acme", outcome=outcome, address=text(body.get("ip"))
            )
        else:
            yield heard.change(None)
