"""Sessions of a realm, and the parts that clients have of them: how they are ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from streams.actuators.calls import Call
from streams.actuators.keycloak.realm import USER
from streams.actuators.keycloak.ways import NO_CLIENT, SUB, KeycloakWay, user_of
from streams.actuators.ways import Look, alive, dead, never, unknown
from streams.model.endings import Alive, Ending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from streams.actuators.calls import IssuerApi
    from streams.actuators.keycloak.realm import KeycloakRealm
    from streams.model.endings import EndTarget

CLIENT_SESSION: Final = "keycloak.client_session"
NO_SESSION: Final = "no list of sessions has it"
NOBODY: Final = (
    "no client's list has it, and no user is known: a session without a client's part "
    "is in its user's list alone"
)
MOST_SEEN: Final = 10_000  # sessions whose users are remembered
NO_PART: Final = "the client has no part of such a session"
PART: Final = (
    "Keycloak ends a client's part of a session by its refresh token alone (RFC 7009); "
    "end the session, or the client"
)


class KeycloakSessionWay(KeycloakWay):
    """A session, online or offline."""

    ending: ClassVar[Ending] = Ending("delete the session", placed=True)

    def __init__(self, realm: KeycloakRealm) -> None:
        super().__init__(realm)
        self._seen: dict[str, str] = {}  # users, by the sessions that a list had

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look for it among the sessions of its user, then of all clients."""
        session = target.identifier.value
        owner = self._seen.get(session)
        users, told = await self._users(api, target, owner)
        found = {}
        for place, offline in (("online", False), ("offline", True)):
            sessions = self.realm.sessions(api, users, offline=offline)
            if await self._has(sessions, session):
                found[place] = True
        if found:
            return alive(f"it is {' and '.join(found)}", **found)
        if owner:
            return dead(NO_SESSION)
        seen = await self.gone(api, target, NO_SESSION)
        if seen.alive is Alive.DEAD and not told:
            return unknown(NOBODY)
        return seen

    async def _users(
        self, api: IssuerApi, target: EndTarget, owner: str | None
    ) -> tuple[Sequence[str], bool]:
        """Users in the realm who may have it, and whether one is known to have had it.

        What a token calls its user need not be the user's id. So it tells nothing if
        the realm has no user of it.
        """
        named = {owner: True} if owner else {}
        for name in target.requires:
            user = user_of(name)
            if name.kind == USER:
                named[user] = True
            elif name.kind == SUB and "|" in name.value and self.realm.issues(name):
                named.setdefault(user, False)
        users = [one for one in named if await self.realm.user(api, one) is not None]
        return users, bool(users) or any(named.values())

    async def _has(self, sessions: AsyncIterator[dict[str, Any]], session: str) -> bool:
        """Whether they have a session; its user is remembered."""
        async for one in sessions:
            if one.get("id") != session:
                continue
            if isinstance(user := one.get("userId"), str) and user:
                self._seen[session] = user
                if len(self._seen) > MOST_SEEN:
                    del self._seen[next(iter(self._seen))]
            return True
        return False

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
            uuid = str(client["id"])
            if await self.realm.has_part(api, uuid, session, offline=offline):
                return never(PART)
        return await self.gone(api, target, NO_PART)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Return none."""
        del target, found
        return ()
