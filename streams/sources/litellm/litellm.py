"""LiteLLM's audit log (``store_audit_logs``): virtual keys, users and teams.

A virtual key is named there by the plain SHA-256 of itself, which is never kept: it is
keyed first, by functions of the caller, one a pepper. Without one an ending event
gives its record without identifiers and the dead letter ``needs_pepper``.

Source: LiteLLM docs, "Audit Logs"; the table names are those of its database schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import Identifier
from streams.model.keyed_names import keyed_by
from streams.model.records import ENDING_EFFECTS, Lifecycle
from streams.model.times import sound_time
from streams.sources.reading.eventlog import EventHead, EventLog, LogEvent, inside
from streams.sources.reading.fields import (
    identifier,
    mapping,
    named,
    nested,
    requires,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.model.records import Record
    from streams.sources.descriptor import ReaderSettings

Keyed = Callable[[bytes], str]
NOT_OURS: Final = (
    "not_litellm: no action, table_name and object_id; look which system wrote it"
)
NEEDS_PEPPER: Final = (
    "needs_pepper: the key is named by its plain hash, and no pepper is at hand to key "
    "it; revoke it by hand"
)
KEYS: Final = "LiteLLM_VerificationToken"
_TABLES: Final = {
    "LiteLLM_UserTable": "litellm.user", "LiteLLM_TeamTable": "litellm.team",
}  # fmt: skip
_KEY_EFFECTS: Final = {
    "created": "issue", "deleted": "revoke", "blocked": "suspend",
    "unblocked": "restore", "rotated": "rotate", "regenerated": "rotate",
}  # fmt: skip
_OTHER_EFFECTS: Final = _KEY_EFFECTS | {"deleted": "delete_subject"}
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")


class LiteLlm(EventLog):
    """Read the audit records, as the table or a callback writes them."""

    name = "litellm"
    foreign = NOT_OURS

    def __init__(self, *keyed: Keyed) -> None:
        """Read; each ``keyed`` makes a ``secret`` of a raw SHA-256 digest."""
        super().__init__()
        self._keyed = keyed

    def head(self, body: dict[str, Any]) -> EventHead | None:
        """Find id, action and time of an audit record."""
        action, table = text(body.get("action")), text(body.get("table_name"))
        if action is None or table is None or "object_id" not in body:
            return None
        return EventHead(
            text(body.get("id")), f"{table} {action}", body.get("updated_at")
        )

    def changes(self, heard: LogEvent) -> Iterator[Record]:
        """Return the changes that a record reports."""
        body = heard.body
        action = str(body["action"]).casefold()
        is_key = body["table_name"] == KEYS
        effect = (_KEY_EFFECTS if is_key else _OTHER_EFFECTS).get(action)
        after = mapping(nested(body.get("updated_values")))
        if is_key and action == "updated" and after.get("blocked") is not None:
            effect = "suspend" if after["blocked"] in (True, "true") else "restore"
        change = self._change(heard, effect, after)
        yield change
        if is_key and effect in ENDING_EFFECTS and not change.identifiers:
            yield heard.letter(NEEDS_PEPPER)

    def _change(
        self, heard: LogEvent, effect: str | None, after: dict[str, Any]
    ) -> Lifecycle:
        body = heard.body
        if body["table_name"] == KEYS:
            targets = self._secret(body["object_id"])
        else:
            kind = _TABLES.get(body["table_name"])
            targets = named(identifier(kind, body["object_id"]) if kind else None)
            effect = None if kind is None else effect
        user = identifier("litellm.user", after.get("user_id"))
        issued = effect == "issue" and body["table_name"] == KEYS
        team = identifier("litellm.team", after.get("team_id"))
        return heard.change(
            effect,
            *targets,
            parents=requires(user, team) if issued else (),
            owners=named(user) if issued else (),
            owner=text(inside(after, "metadata").get("owner")),
            expires_at=sound_time(after.get("expires")) if issued else None,
            aspect="blocked" if effect in ("suspend", "restore") else "",
            actor=named(*self._secret(body.get("changed_by_api_key")),
                        identifier("litellm.user", body.get("changed_by"))),
        )  # fmt: skip

    def _secret(self, value: Any) -> tuple[Identifier, ...]:
        """Name a key; by two names while two peppers are in use."""
        digest = text(value)
        if digest is None or not _SHA256.fullmatch(digest):
            return ()
        raw = bytes.fromhex(digest)
        return named(*(identifier("secret", keyed(raw)) for keyed in self._keyed))


def configured(settings: ReaderSettings) -> LiteLlm:
    """Make a reader that names virtual keys as guards do that are shown one."""
    return LiteLlm(*keyed_by("secret", settings.peppers))
