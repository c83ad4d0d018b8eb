"""Name what Keycloak's events are about: realm, user, client, grant and exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.reading.eventlog import qualified
from streams.sources.reading.fields import identifier, named

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier


def realm(body: dict[str, Any]) -> Identifier | None:
    """Name the realm of an event."""
    return identifier("keycloak.realm", body.get("realmId"))


def users(user_id: Any, issuer: str | None) -> tuple[Identifier, ...]:
    """Name a user: by its id, and as tokens do where the issuer is known."""
    return named(
        identifier("keycloak.user", user_id),
        None if issuer is None else qualified("jwt.sub", issuer, user_id),
    )


def client(body: dict[str, Any], client_id: Any) -> Identifier | None:
    """Name a client of the event's realm."""
    return qualified("keycloak.client", body.get("realmId"), client_id)


def client_uuid(body: dict[str, Any], uuid: Any) -> Identifier | None:
    """Name a client by its internal id, which admin events have and tokens have not."""
    return qualified("keycloak.client_uuid", body.get("realmId"), uuid)


def client_session(session_id: Any, client_id: Any) -> Identifier | None:
    """Name a client's part of a session; it may get another one in the same session."""
    return qualified("keycloak.client_session", session_id, client_id)


def pair(
    kind: str, body: dict[str, Any], client_id: Any, user_id: Any
) -> Identifier | None:
    """Name what a client holds for a user: its grant, or what was exchanged from it."""
    return qualified(kind, body.get("realmId"), client_id, user_id)
