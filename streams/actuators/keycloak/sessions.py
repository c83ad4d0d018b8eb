"""Sessions of a realm, and the parts that clients have of them: how they are ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from streams.actuators.calls import Call
from streams.actuators.keycloak.ways import NO_CLIENT, KeycloakWay
from streams.actuators.ways import Look, alive, never
from streams.model.endings import Ending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from streams.actuators.calls import IssuerApi
    from streams.model.endings import EndTarget

CLIENT_SESSION: Final = "keycloak.client_session"
NO_SESSION: Final = "no list of sessions has it"
NO_PART: Final = "the client has no part of such a session"
PART: Final = (
    "Keycloak ends a client's part of a session by its refresh token alone (RFC 7009); "
    "end the session, or the client"
)


class KeycloakSessionWay(KeycloakWay):
    """A session, online or offline."""

    ending: ClassVar[Ending] = Ending("delete the session", placed=True)

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for it among the sessions of all clients."""
        found = {}
        for place, offline in (("online", False), ("offline", True)):
            sessions = self.realm.sessions(api, offline=offline)
            if await _has(sessions, target.identifier.value):
                found[place] = True
        if not found:
            return await self.gone(api, target, NO_SESSION)
        return alive(f"it is {' and '.join(found)}", **found)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Delete it where it was seen."""
        below = self.realm.path("sessions", target.identifier.value)
        for place, offline in (("online", "false"), ("offline", "true")):
            if place in found:
                name = f"delete the {place} session"
                yield Call(name, "DELETE", f"{below}?isOffline={offline}")


class KeycloakPartWay(KeycloakWay):
    """A client's part of a session: it can be looked at, and not ended alone."""

    ending: ClassVar[Ending] = Ending(
        "it ends with its session", dated=True, placed=True
    )

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for the session among those of the client."""
        session, _, client_id = target.identifier.value.partition("|")
        client = await self.realm.client_named(api, client_id)
        if client is None:
            return await self.gone(api, target, NO_CLIENT)
        for offline in (False, True):
            own = self.realm.client_sessions(api, str(client["id"]), offline=offline)
            if await _has(own, session):
                return never(PART)
        return await self.gone(api, target, NO_PART)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Return none."""
        del target, found
        return ()


async def _has(sessions: AsyncIterator[dict[str, Any]], session: str) -> bool:
    async for one in sessions:
        if one.get("id") == session:
            return True
    return False
