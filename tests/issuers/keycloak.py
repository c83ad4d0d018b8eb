"""A Keycloak realm in memory.

Source: Keycloak Admin REST API 26; answers as those of 26.7.3
(tests/recordings/keycloak).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from streams.model.times import SECOND
from tests.issuers.fake import FakeIssuer, json

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.outbound.answers import HttpAnswer
    from tests.issuers.fake import Asked

REALM = "/admin/realms/main"
REALM_ID = "6fa005ec-3575-4d36-baef-f4767e66afe1"
CLIENT = {
    "id": "c-1", "clientId": "batch", "enabled": True, "serviceAccountsEnabled": True,
}  # fmt: skip


@define
class FakeKeycloak(FakeIssuer):
    """A user with a session, and a client with a service account.

    Attributes:
        meanwhile: what happens after each page of a client's sessions.
    """

    users: dict[str, dict[str, Any]] = field(
        factory=lambda: {name: {"id": name, "enabled": True} for name in ("u", "sa")}
    )
    clients: dict[str, dict[str, Any]] = field(factory=lambda: {"c-1": dict(CLIENT)})
    sessions: list[dict[str, Any]] = field(
        factory=lambda: [
            {"id": "s", "userId": "u", "start": 1000, "clients": {"c-1": "batch"}}
        ]
    )
    offline: list[dict[str, Any]] = field(
        factory=lambda: [{"id": "s", "userId": "u", "start": 1000}]
    )
    consents: list[dict[str, Any]] = field(
        factory=lambda: [{"clientId": "batch", "createdDate": 1000}]
    )
    meanwhile: Callable[[], None] = lambda: None

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as the admin API does."""
        assert asked.path.startswith(REALM)
        match asked.path.removeprefix(REALM).strip("/").split("/"):
            case [""]:
                return json({"id": REALM_ID, "realm": "main"})
            case ["client-session-stats"]:
                count = {
                    "active": str(len(_of_client(self.sessions, "c-1"))),
                    "offline": str(len(_of_client(self.offline, "c-1"))),
                }
                return json([{"id": "c-1"} | count])
            case ["sessions", session]:
                return self._delete(asked, session)
            case ["users", user, *rest]:
                return self._user(asked, user, rest)
            case ["clients"]:
                wanted = asked.query["clientId"]
                found = [c for c in self.clients.values() if c["clientId"] == wanted]
                return json(found)
            case ["clients", client, *rest]:
                return self._client(asked, client, rest)
        raise AssertionError(asked)

    def _delete(self, asked: Asked, session: str) -> HttpAnswer:
        assert asked.method == "DELETE"
        own = self.offline if asked.query["isOffline"] == "true" else self.sessions
        if not any(one["id"] == session for one in own):
            return json({"error": "Sessions not found"}, 404)
        own[:] = [one for one in own if one["id"] != session]
        return self.yes(asked)

    def _user(self, asked: Asked, user: str, rest: list[str]) -> HttpAnswer:
        if user not in self.users:
            return json({"error": "User not found"}, 404)
        found = self.users[user]
        match asked.method, rest:
            case "GET", []:
                return json(found)
            case "PUT", []:
                found |= asked.body
            case "POST", ["logout"]:
                found["notBefore"] = self.now // SECOND
                self.sessions = [s for s in self.sessions if s["userId"] != user]
            case "GET", ["sessions"]:
                return json([s for s in self.sessions if s["userId"] == user])
            case "GET", ["offline-sessions", _]:
                return json([s for s in self.offline if s["userId"] == user])
            case "GET", ["consents"]:
                return json(self.consents)
            case "DELETE", ["consents", client]:
                self._revoke_consent(user, client)
            case _:
                raise AssertionError(asked)
        return self.yes(asked)

    def _revoke_consent(self, user: str, client: str) -> None:
        """Forget it, and the client's parts of sessions: the sessions stay."""
        self.consents = [c for c in self.consents if c["clientId"] != client]
        for one in self.sessions:
            if one["userId"] == user:
                parts: dict[str, str] = one.get("clients", {})
                one["clients"] = {k: v for k, v in parts.items() if v != client}

    def _client(self, asked: Asked, client: str, rest: list[str]) -> HttpAnswer:
        if client not in self.clients:
            return json({"error": "Could not find client"}, 404)
        match asked.method, rest:
            case "GET", []:
                return json(self.clients[client])
            case "PUT", []:
                self.clients[client] |= asked.body
            case "POST", ["push-revocation"]:
                return json({})
            case "GET", ["service-account-user"]:
                return json(self.users["sa"])
            case "GET", [("user-sessions" | "offline-sessions") as kind]:
                every = self.sessions if kind == "user-sessions" else self.offline
                own = _of_client(every, client)
                first = int(asked.query["first"])
                page = own[first : first + int(asked.query["max"])]
                self.meanwhile()
                return json(page)
            case _:
                raise AssertionError(asked)
        return self.yes(asked)


def _of_client(sessions: list[dict[str, Any]], client: str) -> list[dict[str, Any]]:
    """Sessions that a client has a part of, as its list has them."""
    return [one for one in sessions if client in one.get("clients", {"c-1": "batch"})]
