"""What Keycloak's admin events do: users, clients, sessions and realms that change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.model.attributes import email, login_names
from streams.model.records import Lifecycle
from streams.model.times import sound_time
from streams.sources.keycloak.names import client, client_uuid, pair, realm, users
from streams.sources.reading.eventlog import LogEvent, inside
from streams.sources.reading.fields import (
    identifier,
    mapping,
    named,
    nested,
    requires,
    text,
    tied,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Record

NO_DETAILS: Final = (
    "no_details: an update without its representation may be a disable that nobody "
    'sees; turn on "Include representation" in the event settings of the realm'
)


@frozen
class _Event:
    """One admin event, with the parts of its path."""

    heard: LogEvent
    issuer: str | None
    path: tuple[str, ...]
    after: dict[str, Any]

    @property
    def operation(self) -> Any:
        return self.heard.body.get("operationType")

    def part(self, index: int) -> str | None:
        return self.path[index] if index < len(self.path) else None

    def change(self, effect: str | None, *targets: Any, **values: Any) -> Lifecycle:
        by = inside(self.heard.body, "authDetails")
        actor = named(identifier("keycloak.user", by.get("userId")))
        name = text(self.after.get("username"))
        return self.heard.change(effect, *targets, actor=actor, owner=name, **values)


def admin_changes(heard: LogEvent, issuer: str | None) -> Iterator[Record]:
    """Return changes of an admin event; effect None for one that changes nothing."""
    body = heard.body
    path = tuple((text(body.get("resourcePath")) or "").strip("/").split("/"))
    event = _Event(heard, issuer, path, mapping(nested(body.get("representation"))))
    read = EFFECTS.get(str(body.get("resourceType")))
    yield from (event.change(None),) if read is None else read(event)


def _user(event: _Event) -> Iterator[Record]:
    user_id, action = event.part(1), event.part(2)
    target = users(user_id, event.issuer)
    match event.operation, action:
        case "CREATE", None:
            yield _held(event, event.change("issue", *target))
        case "UPDATE", None:
            for position, record in enumerate(_enabled(event, target)):
                yield record if position else _held(event, record)
        case "DELETE", None:
            # Of what is gone nobody else can tell of which realm it was.
            top = realm(event.heard.body)
            ties = tied(target[0] if target else None, top)
            yield event.change("delete_subject", *target, ties=ties)
        case "ACTION", "logout":
            yield event.change("not_before", *target)
        case (("ACTION" | "DELETE"), "credentials") if len(event.path) == 4:  # noqa: PLR2004
            credential = identifier("keycloak.credential", event.part(3))
            yield event.change("revoke", credential)
        case (("ACTION" | "DELETE"), "consents"):
            body = event.heard.body
            granted = pair("keycloak.grant", body, event.part(3), user_id)
            yield event.change("not_before", granted)
        case _:
            yield event.change(None, *target)


def _held(event: _Event, record: Record) -> Record:
    """Add what the user is looked up by, where the event has its representation."""
    if not isinstance(record, Lifecycle) or not record.identifiers:
        return record
    found = (*login_names(event.after.get("username")), email(event.after.get("email")))
    return record._replace(attributes=named(*found))


def _enabled(event: _Event, target: tuple[Identifier, ...]) -> Iterator[Record]:
    """Read an update: of ``enabled`` and of ``notBefore``, where they are in it."""
    changed = False
    enabled = event.after.get("enabled")
    if enabled is not None:
        changed = True
        effect = "restore" if enabled in (True, "true") else "suspend"
        yield event.change(effect, *target, aspect="enabled")
    not_before = event.after.get("notBefore")
    if isinstance(not_before, int) and not_before > 0:
        changed = True
        # Of one that cannot be the time of the event counts.
        yield event.change("not_before", *target, not_before=sound_time(not_before))
    if not changed:
        yield event.change(None, *target)
    if event.heard.body.get("representation") is None:
        yield event.heard.letter(NO_DETAILS)


def _session(event: _Event) -> Iterator[Record]:
    ended = event.operation == "DELETE"
    session = identifier("session.id", event.part(1))
    yield event.change("revoke" if ended else None, session)


def _client(event: _Event) -> Iterator[Record]:
    """Read a client: the path has its internal id, the details its name, or not.

    Tokens carry the name, and the name requires the internal id, which is never given
    again. So an update that leaves the name out reaches the tokens too.
    """
    body = event.heard.body
    name = client(body, event.after.get("clientId"))
    uuid = client_uuid(body, event.part(1))
    target = named(uuid or name)
    match event.operation, event.part(2):
        case (("CREATE" | "UPDATE"), None):
            if name is not None:
                yield event.change("issue", uuid)
                yield event.change("issue", name, parents=requires(uuid))
            yield from _enabled(event, target)
            if event.after.get("enabled") in (True, "true"):
                yield from _freed(event, name)
        case "DELETE", None:
            yield event.change("delete_subject", name)
            # The name may be given to a client that is not disabled.
            yield from _freed(event, uuid, name)
        case _:
            yield event.change(None, *target)


def _freed(event: _Event, *targets: Identifier | None) -> Iterator[Record]:
    """Lift a disabling; a list of clients may have told of it by the name alone."""
    for target in named(*targets):
        yield event.change("restore", target, aspect="enabled")


def _realm(event: _Event) -> Iterator[Record]:
    target = named(realm(event.heard.body))
    match event.operation, event.path[0]:
        case "UPDATE", "":
            yield from _enabled(event, target)
        case "DELETE", _:
            yield event.change("delete_subject", *target)
        case "ACTION", "logout-all":
            yield event.change("not_before", *target)
        case _:
            yield event.change(None, *target)


EFFECTS: Final[dict[str, Callable[[_Event], Iterator[Record]]]] = {
    "USER": _user,
    "USER_SESSION": _session,
    "CLIENT": _client,
    "REALM": _realm,
}
