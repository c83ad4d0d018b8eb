"""Anthropic's compliance activity feed: keys, members and MCP servers.

Rules:

- No sample names the key of a key event. An id is read where there is one; else a
  deleted or revoked key gives its record without identifiers and the dead letter
  ``no_target``, and a created one a record that says only that it was.
- An activity by an API key is a use of it; a failed one by a person is a use of the
  user. A failed login is denied; any other failure is of somebody who was let in, and
  may not do this one thing: allowed, with its type as the reason.

Source: samples of the feed; Anthropic's "Compliance API" reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.sources.reading.eventlog import EventHead, EventLog, LogEvent, inside
from streams.sources.reading.fields import identifier, named, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Record

NOT_OURS: Final = (
    "not_anthropic: no type, organization_id and actor; look which system wrote it"
)
_KEY_PATHS: Final = (
    "api_key_id", "admin_api_key_id", "service_key_id", "deleted_api_key_id",
)  # fmt: skip
_KEY: Final = ("anthropic.api_key", _KEY_PATHS)
_USER: Final = ("anthropic.user", ("deleted_user_id",))
_SERVER: Final = ("anthropic.mcp_server", ("mcp_server_id",))
_EFFECTS: Final = {
    "admin_api_key_created": ("issue", *_KEY),
    "admin_api_key_deleted": ("revoke", *_KEY),
    "service_key_created": ("issue", *_KEY),
    "service_key_revoked": ("revoke", *_KEY),
    "org_user_deleted": ("delete_subject", *_USER),
    "mcp_server_created": ("issue", *_SERVER),
    "mcp_server_deleted": ("delete_subject", *_SERVER),
}


class Anthropic(EventLog):
    """Read the activities of one organisation or of many."""

    name = "anthropic"
    foreign = NOT_OURS

    def head(self, body: dict[str, Any]) -> EventHead | None:
        """Find id, type and time of an activity."""
        kind = text(body.get("type"))
        if kind is None or "organization_id" not in body or "actor" not in body:
            return None
        return EventHead(text(body.get("id")), kind, body.get("created_at"))

    def changes(self, heard: LogEvent) -> Iterator[Record]:
        """Return the changes of an activity, and the credential that was presented."""
        body = heard.body
        effect, kind, paths = _EFFECTS.get(heard.event_type, (None, "", ()))
        by = inside(body, "actor")
        user = identifier("anthropic.user", by.get("user_id"))
        key = identifier("anthropic.api_key", by.get("api_key_id"))
        yield heard.change(effect, _target(body, kind, paths), actor=named(user, key))
        failed = heard.event_type.endswith("_failed")
        presented = key or (user if failed else None)
        if presented is not None:
            refused = heard.event_type.endswith("login_failed")
            yield heard.use(
                presented, outcome="denied" if refused else "allowed",
                reason=heard.event_type if failed else None, point="anthropic",
                actor=named(user), address=text(by.get("ip_address")),
                user_agent=text(by.get("user_agent")),
            )  # fmt: skip


def _target(
    body: dict[str, Any], kind: str, paths: tuple[str, ...]
) -> Identifier | None:
    found = (identifier(kind, body.get(path)) for path in paths)
    return next((one for one in found if one is not None), None)
