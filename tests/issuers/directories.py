"""Okta and Microsoft Entra in memory, written after their documentation.

Source: Okta API reference (Users, User Lifecycle, User Sessions, API Tokens,
Applications, System Log); Microsoft Graph v1.0 reference (user, servicePrincipal,
application, federatedIdentityCredential). None of them was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from streams.model.times import rfc3339
from tests.issuers.fake import BASE, FakeIssuer, json

if TYPE_CHECKING:
    from streams.outbound.answers import HttpAnswer
    from tests.issuers.fake import Asked

OLD = "2026-01-01T00:00:00.000Z"
GRAPH = "/v1.0"
STATES = {
    "deactivate": "DEPROVISIONED", "suspend": "SUSPENDED", "unsuspend": "ACTIVE",
}  # fmt: skip


@define
class FakeOkta(FakeIssuer):
    """A user with a refresh token, an API token, and an app."""

    user: dict[str, Any] = field(factory=lambda: {"id": "00u1", "status": "ACTIVE"})
    app: str = "ACTIVE"
    api_tokens: set[str] = field(factory=lambda: {"00T1"})
    refresh_tokens: list[dict[str, Any]] = field(
        factory=lambda: [{"id": "oar1", "created": OLD}]
    )
    log: list[dict[str, Any]] = field(factory=list)

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as the management API does."""
        parts = asked.path.removeprefix("/api/v1/").split("/")
        match asked.method, parts:
            case "GET", ["logs"]:
                assert 'target.id eq "00u1"' in asked.query["filter"]
                return json(self.log)
            case _, ["users", "00u1", *rest]:
                return self._user(asked, rest)
            case "GET", ["apps", "0oa1"]:
                return json({"id": "0oa1", "status": self.app})
            case "POST", ["apps", "0oa1", "lifecycle", verb]:
                self.app = "ACTIVE" if verb == "activate" else "INACTIVE"
                return json({})
            case "GET", ["api-tokens", token] if token in self.api_tokens:
                return json({"id": token})
            case "DELETE", ["api-tokens", token] if token in self.api_tokens:
                self.api_tokens.remove(token)
                return self.yes(asked)
        return json({"errorCode": "E0000007", "errorSummary": "Not found"}, 404)

    def _user(self, asked: Asked, rest: list[str]) -> HttpAnswer:
        match asked.method, rest:
            case "GET", []:
                return json(self.user)
            case "POST", ["lifecycle", verb]:
                self.user["status"] = STATES[verb]
            case "DELETE", ["sessions"]:
                assert asked.query["oauthTokens"] == "true"
                self.refresh_tokens.clear()
                self.log.append({
                    "eventType": "user.session.clear", "published": rfc3339(self.now),
                    "outcome": {"result": "SUCCESS"}, "target": [{"id": "00u1"}],
                })  # fmt: skip
            case "GET", ["clients"]:
                return json([{"client_id": "0oa1"}])
            case "GET", ["clients", "0oa1", "tokens"]:
                return json(self.refresh_tokens)
            case _:
                raise AssertionError(asked)
        return self.yes(asked)


@define
class FakeEntra(FakeIssuer):
    """A user, a service principal, and two applications on two pages.

    The second application has a service principal, `principal`.
    """

    users: dict[str, Any] = field(
        factory=lambda: {
            "accountEnabled": True, "signInSessionsValidFromDateTime": OLD,
        }
    )  # fmt: skip
    service: dict[str, Any] = field(factory=lambda: {"accountEnabled": True})
    app: dict[str, Any] = field(
        factory=lambda: {
            "id": "app-2",
            "appId": "aaaa-2",
            "passwordCredentials": [{"keyId": "k-1"}, {"keyId": "k-2"}],
            "keyCredentials": [{"keyId": "k-3"}, {"keyId": "k-4"}],
        }
    )
    principal: dict[str, Any] = field(
        factory=lambda: {
            "id": "sp-2",
            "passwordCredentials": [{"keyId": "k-5"}],
            "keyCredentials": [{"keyId": "k-6"}],
        }
    )
    federated: list[dict[str, Any]] = field(factory=lambda: [{"id": "f-1"}])

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as Graph does."""
        match asked.method, asked.path.removeprefix(GRAPH).strip("/").split("/"):
            case "GET", ["applications"]:
                return self._applications(asked)
            case "GET", ["servicePrincipals"]:
                assert asked.query.get("$filter") in (None, "appId eq 'aaaa-2'")
                return json({"value": [self.principal]})
            case _, ["applications", "app-2", *rest]:
                return self._application(asked, rest)
            case _, ["servicePrincipals", "sp-2", *rest]:
                return self._credentials(asked, self.principal, rest)
            case "GET", [_, "elsewhere"]:
                return json({"error": {"code": "Request_ResourceNotFound"}}, 404)
            case "GET", ["users" | "servicePrincipals" as kind, _]:
                return json(self.users if kind == "users" else self.service)
            case "PATCH", ["users" | "servicePrincipals" as kind, _]:
                (self.users if kind == "users" else self.service).update(asked.body)
            case "POST", ["users", _, "revokeSignInSessions"]:
                self.users["signInSessionsValidFromDateTime"] = rfc3339(self.now)
            case _:
                raise AssertionError(asked)
        return self.yes(asked)

    def _applications(self, asked: Asked) -> HttpAnswer:
        if "$skiptoken" in asked.query:
            return json({"value": [self.app]})
        link = f"{BASE}{GRAPH}/applications?$skiptoken=2"
        one = {"id": "app-1", "passwordCredentials": [], "keyCredentials": []}
        return json({"value": [one], "@odata.nextLink": link})

    def _application(self, asked: Asked, rest: list[str]) -> HttpAnswer:
        match asked.method, rest:
            case "GET", ["federatedIdentityCredentials"]:
                return json({"value": self.federated})
            case "DELETE", ["federatedIdentityCredentials", one]:
                self.federated = [f for f in self.federated if f["id"] != one]
            case _:
                return self._credentials(asked, self.app, rest)
        return self.yes(asked)

    def _credentials(
        self, asked: Asked, holder: dict[str, Any], rest: list[str]
    ) -> HttpAnswer:
        match asked.method, rest:
            case "GET", []:
                return json(holder)
            case "PATCH", []:
                holder |= asked.body
            case "POST", ["removePassword"]:
                key = asked.body["keyId"]
                left = [k for k in holder["passwordCredentials"] if k["keyId"] != key]
                holder["passwordCredentials"] = left
            case _:
                raise AssertionError(asked)
        return self.yes(asked)
