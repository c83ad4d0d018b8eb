"""OpenAI's organisation audit log: API keys, service accounts, users and projects.

Rules:

- The details stand under a key named after the type, with its dot or (in SDKs and
  exports) with an underscore.
- A key that made another one is its administrative creator, never its lineage: the
  new key lives on when the old one is deleted, at OpenAI too.
- A call by an API key is a use of it, and tells whose it is.
- An archived project cannot be restored, so it is an end; so is a deleted user.

Source: OpenAI API reference, "Audit logs".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import Relation
from streams.model.records import Lifecycle, Parent
from streams.sources.reading.eventlog import EventHead, EventLog, LogEvent, inside
from streams.sources.reading.fields import identifier, listed, named, requires, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Record

NOT_OURS: Final = (
    "not_openai: no type, effective_at and actor; look which system wrote it"
)
_KINDS: Final = {
    "api_key": "openai.api_key", "service_account": "openai.service_account",
    "user": "openai.user", "project": "openai.project",
}  # fmt: skip
_EFFECTS: Final = {
    "api_key.created": "issue", "api_key.deleted": "revoke",
    "service_account.created": "issue", "service_account.deleted": "delete_subject",
    "user.added": "issue", "user.deleted": "delete_subject",
    "project.created": "issue", "project.archived": "delete_subject",
    "project.deleted": "delete_subject",
}  # fmt: skip


class OpenAi(EventLog):
    """Read the audit log's objects, as pages or one a line."""

    name = "openai"
    foreign = NOT_OURS

    def head(self, body: dict[str, Any]) -> EventHead | None:
        """Find id, type and time (seconds) of an audit log object."""
        kind = text(body.get("type"))
        if kind is None or "effective_at" not in body or "actor" not in body:
            return None
        return EventHead(text(body.get("id")), kind, body.get("effective_at"))

    def changes(self, heard: LogEvent) -> Iterator[Record]:
        """Return the changes of an event, and the API key that made it."""
        yield _change(heard)
        key, owner = _caller(heard.body)
        if key is not None:
            yield heard.use(
                key, outcome="allowed", parents=requires(owner), point="openai"
            )


def _change(heard: LogEvent) -> Lifecycle:
    body, kind = heard.body, heard.event_type
    details = inside(body, kind) or inside(body, kind.replace(".", "_"))
    effect = _EFFECTS.get(kind)
    noun = kind.partition(".")[0]
    key, owner = _caller(body)
    name = _KINDS.get(noun)
    target = None if name is None else identifier(name, details.get("id"))
    project = identifier("openai.project", inside(body, "project").get("id"))
    parents: tuple[Parent, ...] = ()
    scope = None
    if effect == "issue" and noun in ("api_key", "service_account"):
        parents = requires(project)
        if key is not None:
            parents += (Parent(*key, Relation.CREATED_BY),)
        scope = _scopes(details)
    actor = inside(body, "actor", "session", "user")
    return heard.change(
        effect,
        target,
        parents=parents,
        scope=scope,
        actor=named(owner, key, identifier("openai.user", actor.get("id"))),
    )


def _scopes(details: dict[str, Any]) -> tuple[str, ...] | None:
    scopes = inside(details, "data").get("scopes")
    if not isinstance(scopes, list):
        return None
    return tuple(f"openai|{one}" for one in listed(scopes) if text(one))


def _caller(body: dict[str, Any]) -> tuple[Identifier | None, Identifier | None]:
    """Return the aPI key that called, and the user or service account it belongs to."""
    used = inside(body, "actor", "api_key")
    account = inside(used, "service_account").get("id")
    owner = identifier("openai.user", inside(used, "user").get("id"))
    return (
        identifier("openai.api_key", used.get("id")),
        owner or identifier("openai.service_account", account),
    )
