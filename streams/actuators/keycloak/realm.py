"""What all ways ask of a realm: its id, its clients, its users' sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from streams.actuators.calls import Call, object_of, path, strange
from streams.outbound.answers import RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from agents_registry.identifiers import Identifier
    from streams.actuators.calls import IssuerApi, Missing
    from streams.outbound.answers import HttpAnswer

PAGE: Final = 100
OVERLAP: Final = 10  # sessions of a page that stand on the page before too
MOST_PASSES: Final = 6  # through a list that moves while it is read
MOST: Final = 20_000  # sessions of one client that are looked through
REALM: Final = "keycloak.realm"
USER: Final = "keycloak.user"
SESSION: Final = "session.id"
CLIENT: Final = "keycloak.client"
CLIENT_UUID: Final = "keycloak.client_uuid"

Item = dict[str, Any]


NO_USER: Final = "User not found"
NO_CLIENT: Final = "Could not find client"
NO_CLIENT_OF_USER: Final = "Client not found"  # below a user's path
SAYS: Final = ("error", "error_description", "errorMessage")  # one of them has the text


def missing(*texts: str) -> Missing:
    """Whether Keycloak says in its own words that it has none of what is asked for.

    A gateway has errors in JSON too, and Keycloak says of a wrong realm that this is
    not found: neither is a word on what is in the realm.
    """

    def says(answer: HttpAnswer) -> bool:
        said = object_of(answer)
        return any(said.get(member) in texts for member in SAYS)

    return says


class KeycloakRealm:
    """One realm, by its name.

    Args:
        name: of the realm.
        issuer: as its tokens name it; empty: by the realm's name alone.
    """

    def __init__(self, name: str, issuer: str = "") -> None:
        self._name = name
        self._issuer = issuer.rstrip("/")
        self._id = ""

    def path(self, *parts: str) -> str:
        """Path below the realm in the admin API."""
        return path("admin", "realms", self._name, *parts)

    def issues(self, name: Identifier) -> bool:
        """Whether the issuer that stands before a user is this realm."""
        issuer = name.value.rpartition("|")[0].rstrip("/")
        if issuer and self._issuer:
            return issuer == self._issuer
        return not issuer or issuer.endswith(f"/realms/{quote(self._name, safe='')}")

    async def has(self, api: IssuerApi, names: Iterable[Identifier]) -> bool | None:
        """Whether some names are of this realm; None: they do not tell.

        Raises:
            RequestError: there is no answer to use.
        """
        told = None
        for name in names:
            if name.kind == "jwt.sub" and "|" in name.value:
                here = self.issues(name)
            elif name.kind in (REALM, CLIENT, CLIENT_UUID):
                here = name.value.partition("|")[0] == await self._own_id(api)
            elif await self._knows(api, name):
                here = True
            else:
                continue
            if here:
                return True
            told = False
        return told

    async def _knows(self, api: IssuerApi, name: Identifier) -> bool:
        """Whether the realm has a user, or a session, of a name without a realm."""
        if name.kind == USER:
            return await self.user(api, name.value) is not None
        for offline in (False, True) if name.kind == SESSION else ():
            async for one in self.sessions(api, (), offline=offline):
                if one.get("id") == name.value:
                    return True
        return False

    async def check(self, api: IssuerApi, realm_id: str) -> None:
        """Make sure that a name is of this realm.

        Raises:
            RequestError: it is not, or the realm cannot be read.
        """
        if await self._own_id(api) != realm_id:
            raise RequestError("another_realm", "its name has another realm's id")

    async def _own_id(self, api: IssuerApi) -> str:
        if not self._id:
            self._id = await self._read_id(api)
        return self._id

    async def _read_id(self, api: IssuerApi) -> str:
        call = Call("read the realm", "GET", self.path())
        found = (await api.object(call) or {}).get("id")
        if isinstance(found, str) and found:
            return found
        raise strange(call, None, "it has no id: may the credential view the realm?")

    async def _stands(self, api: IssuerApi) -> None:
        """Make sure that a 404 is of the realm that was asked before.

        Raises:
            RequestError: there is no such realm, or it is another one by now.
        """
        found = await self._read_id(api)
        if found != (self._id or found):
            raise RequestError(
                "another_realm", "it has another id than before; was it made anew?"
            )
        self._id = found

    async def _one(self, api: IssuerApi, call: Call, *none: str) -> Item | None:
        """Read an object; None: the realm has none, in these words."""
        found = await api.object(call, missing(*none))
        if found is None:
            await self._stands(api)
        return found

    async def _list(self, api: IssuerApi, call: Call, *none: str) -> list[Item]:
        """Read a list; empty where the realm has not what it is of, in these words."""
        gone = missing(*none)
        said: list[bool] = []

        def noted(answer: HttpAnswer) -> bool:
            said.append(gone(answer))
            return said[-1]

        found = await api.objects(call, missing=noted)
        if any(said):
            await self._stands(api)
        return found

    async def client(self, api: IssuerApi, name: Identifier) -> Item | None:
        """Client that an identifier names; None: the realm has none.

        Raises:
            RequestError: there is no answer to use, or it is of another realm.
        """
        realm_id, _, value = name.value.partition("|")
        await self.check(api, realm_id)
        if name.kind == CLIENT_UUID:
            call = Call("read the client", "GET", self.path("clients", value))
            return await self._one(api, call, NO_CLIENT)
        return await self.client_named(api, value)

    async def client_named(self, api: IssuerApi, client_id: str) -> Item | None:
        """Client of a client id; None: the realm has none."""
        query = f"?clientId={quote(client_id, safe='')}"
        call = Call("find the client", "GET", self.path("clients") + query)
        found = await api.objects(call)
        return next((one for one in found if one.get("clientId") == client_id), None)

    async def user(self, api: IssuerApi, user: str) -> Item | None:
        """User of an id; None: the realm has none."""
        call = Call("read the user", "GET", self.path("users", user))
        return await self._one(api, call, NO_USER)

    async def user_sessions(self, api: IssuerApi, user: str) -> list[Item]:
        """Sessions of a user that are online; none of a user that is gone."""
        call = Call("list its sessions", "GET", self.path("users", user, "sessions"))
        return await self._list(api, call, NO_USER)

    async def offline_of(self, api: IssuerApi, user: str) -> AsyncIterator[Item]:
        """Yield offline sessions of a user; one of several clients comes with each."""
        for client in await self._with_sessions(api, "offline"):
            below = self.path("users", user, "offline-sessions", client)
            call = Call("list its offline sessions", "GET", below)
            for one in await self._list(api, call, NO_USER, NO_CLIENT_OF_USER):
                yield one

    async def sessions(
        self, api: IssuerApi, users: Iterable[str], *, offline: bool
    ) -> AsyncIterator[Item]:
        """Yield sessions of users, then of all clients; some come several times.

        A client's list may miss one that moves between two pages, and lacks what no
        client has a part of. A user's own list is whole.

        Raises:
            RequestError: there are too many to look through.
        """
        for user in users:
            if offline:
                async for one in self.offline_of(api, user):
                    yield one
            else:
                for one in await self.user_sessions(api, user):
                    yield one
        counted = "offline" if offline else "active"
        for client in await self._with_sessions(api, counted):
            async for page in self._pages(api, client, offline=offline):
                for one in page:
                    yield one

    async def has_part(
        self, api: IssuerApi, client: str, session: str, *, offline: bool
    ) -> bool:
        """Whether a client, by its internal id, has a part of a session.

        Keycloak sorts by the last refresh and then pages, so whatever is refreshed or
        logged out between two pages moves others over their border. Such a pass does
        not count, and two that do must agree, unless all is on one page.

        Raises:
            RequestError: the list does not rest, or is too long.
        """
        whole = 0
        for _ in range(MOST_PASSES):
            last: list[Any] = []
            pages, moved = 0, False
            async for page in self._pages(api, client, offline=offline):
                names = [one.get("id") for one in page]
                if session in names:
                    return True
                moved = moved or last[-OVERLAP:] != names[: OVERLAP if last else 0]
                last, pages = names, pages + 1
            whole += not moved
            if whole and (pages == 1 or whole > 1):
                return False
        raise RequestError("moving", "a client's sessions change while they are listed")

    async def _pages(
        self, api: IssuerApi, client: str, *, offline: bool
    ) -> AsyncIterator[list[Item]]:
        """Yield pages of a client's sessions; each begins with the end of the last."""
        kind = "offline-sessions" if offline else "user-sessions"
        below = self.path("clients", client, kind)
        for first in range(0, MOST, PAGE - OVERLAP):
            query = f"?first={first}&max={PAGE}"
            call = Call("list the client's sessions", "GET", below + query)
            page = await self._list(api, call, NO_CLIENT)
            yield page
            if len(page) < PAGE:
                return
        raise RequestError("too_many", f"a client has more than {MOST} sessions")

    async def _with_sessions(self, api: IssuerApi, counted: str) -> list[str]:
        """Clients with sessions, by their internal ids."""
        call = Call("count the sessions", "GET", self.path("client-session-stats"))
        found = await api.objects(call)
        return [str(one["id"]) for one in found if str(one.get(counted, "1")) != "0"]
