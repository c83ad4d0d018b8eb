"""A throwaway realm on a running Keycloak: clients, users, tokens, revocations.

Where Keycloak is comes from the environment: ``KEYCLOAK_URL`` and the administrator of
its master realm, ``KEYCLOAK_ADMIN`` and ``KEYCLOAK_ADMIN_PASSWORD``. The realm has a
name of its own and is deleted at the end, so nothing else there is touched.
"""

from __future__ import annotations

import asyncio
import base64
import http
import json
import os
import secrets
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OURS: Final = "rescind"  # the client that polls events and receives SETs
RESOURCE: Final = "rs"  # the resource server; it introspects
# Client to the audiences of its tokens; those in the middle exchange.
AUDIENCES: Final = {
    "app": ("svc-b", RESOURCE),
    "svc-a": ("svc-b", RESOURCE),
    "svc-b": ("svc-c", RESOURCE),
    "svc-c": (RESOURCE,),
    "batch": (RESOURCE,),
    "nightly": (RESOURCE,),
    RESOURCE: (),
}
EXCHANGING: Final = ("svc-b", "svc-c")
LIFETIME: Final = 1800  # seconds of an access token
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
_REFRESH_TOKEN: Final = "urn:ietf:params:oauth:token-type:refresh_token"


class KeycloakError(Exception):
    """Keycloak answered what the scenario does not expect."""


@frozen
class Server:
    """Where Keycloak is, and who administers it."""

    url: str
    admin: str
    password: str = field(repr=False)

    @classmethod
    def from_environment(cls) -> Server:
        """Read the environment.

        Raises:
            KeycloakError: a variable is missing; the text says which.
        """
        names = ("KEYCLOAK_URL", "KEYCLOAK_ADMIN", "KEYCLOAK_ADMIN_PASSWORD")
        if missing := [name for name in names if not os.environ.get(name)]:
            text = ", ".join(missing)
            raise KeycloakError(f"set {text} (docs/sources/keycloak.md, Try it)")
        url, admin, password = (os.environ[name] for name in names)
        return cls(url.rstrip("/"), admin, password)


@define
class Realm:
    """The realm and what was got from it.

    Attributes:
        secrets: of the clients and users, by name.
        users: user name to id.
        tokens: access tokens by their label in the scenario.
        refresh_tokens: those that came with them.
    """

    server: Server
    name: str
    session: aiohttp.ClientSession
    secrets: dict[str, str] = field(factory=dict, repr=False)
    users: dict[str, str] = field(factory=dict)
    clients: dict[str, str] = field(factory=dict)
    tokens: dict[str, str] = field(factory=dict, repr=False)
    refresh_tokens: dict[str, str] = field(factory=dict, repr=False)
    _admin_token: tuple[str, float] = ("", 0.0)

    @property
    def issuer(self) -> str:
        """Give ``iss`` of the realm's tokens."""
        return f"{self.server.url}/realms/{self.name}"

    @property
    def token_url(self) -> str:
        """Give the token endpoint."""
        return f"{self.issuer}/protocol/openid-connect/token"

    @property
    def jwks_url(self) -> str:
        """Give where the realm's public keys are."""
        return f"{self.issuer}/protocol/openid-connect/certs"

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the admin API of the realm; a path ``/`` is the realm itself.

        Raises:
            KeycloakError: it refuses.
        """
        url = f"{self.server.url}/admin/realms/{self.name}{path.rstrip('/')}"
        headers = {"Authorization": f"Bearer {await self._admin()}"}
        async with self.session.request(method, url, json=body, headers=headers) as got:
            return await _answer(got)

    async def token(self, label: str, client: str, **form: str) -> None:
        """Get a token and keep it under a label.

        Raises:
            KeycloakError: there is none.
        """
        own = {"client_id": client, "client_secret": self.secrets[client]}
        async with self.session.post(self.token_url, data=own | form) as got:
            answer = await _answer(got)
        self.tokens[label] = answer["access_token"]
        if "refresh_token" in answer:
            self.refresh_tokens[label] = answer["refresh_token"]

    async def login(self, label: str, user: str) -> None:
        """Log a user in at the client ``app``: a new session."""
        await self.token(label, "app", grant_type="password", username=user,
                         password=self.secrets[user])  # fmt: skip

    async def refresh(self, label: str, old: str, client: str = "app") -> None:
        """Get another access token in the session of an earlier one."""
        await self.token(label, client, grant_type="refresh_token",
                         refresh_token=self.refresh_tokens[old])  # fmt: skip

    async def service(self, label: str, client: str) -> None:
        """Get a token of a client's own service account: no session."""
        await self.token(label, client, grant_type="client_credentials",
                         scope="openid")  # fmt: skip

    async def exchange(
        self, label: str, client: str, subject: str, *, refresh: bool = False
    ) -> None:
        """Have a client exchange a token for one of its own (RFC 8693)."""
        wanted = _REFRESH_TOKEN if refresh else _ACCESS_TOKEN
        await self.token(label, client, grant_type=_EXCHANGE,
                         subject_token=self.tokens[subject],
                         subject_token_type=_ACCESS_TOKEN, scope="openid",
                         requested_token_type=wanted)  # fmt: skip

    async def revoke(self, client: str, token: str) -> None:
        """Have a client revoke a token of its own (RFC 7009)."""
        url = f"{self.issuer}/protocol/openid-connect/revoke"
        form = {"client_id": client, "client_secret": self.secrets[client],
                "token": token}  # fmt: skip
        async with self.session.post(url, data=form) as got:
            await _answer(got)

    async def active(self, label: str) -> bool:
        """Ask Keycloak, as the resource server would, whether it honours a token."""
        url = f"{self.token_url}/introspect"
        form = {"client_id": RESOURCE, "client_secret": self.secrets[RESOURCE],
                "token": self.tokens[label]}  # fmt: skip
        async with self.session.post(url, data=form) as got:
            return bool((await _answer(got))["active"])

    async def userinfo(self, label: str) -> http.HTTPStatus:
        """Present a token at Keycloak's own userinfo endpoint; give the status."""
        url = f"{self.issuer}/protocol/openid-connect/userinfo"
        headers = {"Authorization": f"Bearer {self.tokens[label]}"}
        async with self.session.get(url, headers=headers) as got:
            return http.HTTPStatus(got.status)

    async def jwks(self) -> dict[str, Any]:
        """Give the public keys."""
        async with self.session.get(self.jwks_url) as got:
            answer: dict[str, Any] = await _answer(got)
            return answer

    async def signals(self, method: str, path: str, body: Any = None) -> Any:
        """Call the shared signals API as our client; a URL is taken as it is."""
        url = path if "://" in path else f"{self.issuer}/ssf/transmitter{path}"
        if OURS not in self.tokens:
            await self.token(OURS, OURS, grant_type="client_credentials",
                             scope="ssf.read ssf.manage")  # fmt: skip
        headers = {"Authorization": f"Bearer {self.tokens[OURS]}"}
        async with self.session.request(method, url, json=body, headers=headers) as got:
            return await _answer(got)

    async def stream_id(self) -> str:
        """Give the id of our only stream."""
        found = await self.signals("GET", "/streams")
        stream = found[0] if isinstance(found, list) else found
        return str(stream["stream_id"])

    def claims(self, label: str) -> dict[str, Any]:
        """Give the claims of a token, as a gateway reads them."""
        return claims_of(self.tokens[label])

    async def _admin(self) -> str:
        token, until = self._admin_token
        if time.monotonic() >= until:
            url = f"{self.server.url}/realms/master/protocol/openid-connect/token"
            form = {"grant_type": "password", "client_id": "admin-cli",
                    "username": self.server.admin,
                    "password": self.server.password}  # fmt: skip
            async with self.session.post(url, data=form) as got:
                token = str((await _answer(got))["access_token"])
            self._admin_token = token, time.monotonic() + 30
        return token


def claims_of(token: str) -> dict[str, Any]:
    """Decode the claims of a JWT that came from the server itself."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * 3))
    return claims


async def next_second() -> None:
    """Wait for the next whole second: ``iat`` of tokens and times of SETs have none."""
    await asyncio.sleep(1.05 - time.time() % 1)


async def _answer(got: aiohttp.ClientResponse) -> Any:
    text = await got.text()
    if got.status >= http.HTTPStatus.MULTIPLE_CHOICES:
        raise KeycloakError(f"{got.method} {got.url.path}: {got.status} {text[:300]}")
    return json.loads(text) if text else None


@asynccontextmanager
async def throwaway(server: Server) -> AsyncIterator[Realm]:
    """Make a realm, with shared signals and events on; delete it at the end."""
    name = f"rescind-{secrets.token_hex(4)}"
    async with aiohttp.ClientSession(trust_env=False) as session:
        realm = Realm(server, name, session)
        await _make(realm)
        try:
            yield realm
        finally:
            await realm.admin("DELETE", "/")


async def _make(realm: Realm) -> None:
    headers = {"Authorization": f"Bearer {await realm._admin()}"}
    body = {
        "realm": realm.name, "enabled": True, "sslRequired": "none",
        "accessTokenLifespan": LIFETIME, "eventsEnabled": True,
        "adminEventsEnabled": True, "adminEventsDetailsEnabled": True,
        "attributes": {"ssf.transmitterEnabled": "true"},
    }  # fmt: skip
    url = f"{realm.server.url}/admin/realms"
    async with realm.session.post(url, json=body, headers=headers) as got:
        await _answer(got)
    events = await realm.admin("GET", "/events/config")
    types = [*events["enabledEventTypes"], "REFRESH_TOKEN"]
    events |= {"enabledEventTypes": types}
    await realm.admin("PUT", "/events/config", events)
    await _make_ours(realm)


async def _make_ours(realm: Realm) -> None:
    """Make the client that docs/sources/keycloak.md asks an operator for."""
    await make_client(realm, OURS, attributes={
        "ssf.enabled": "true", "ssf.defaultSubjects": "ALL",
        "ssf.minVerificationInterval": "0",
    })  # fmt: skip
    ours = realm.clients[OURS]
    scopes = {
        one["name"]: one["id"] for one in await realm.admin("GET", "/client-scopes")
    }
    for scope in ("ssf.read", "ssf.manage"):
        path = f"/clients/{ours}/optional-client-scopes/{scopes[scope]}"
        await realm.admin("PUT", path)
    (management,) = await realm.admin("GET", "/clients?clientId=realm-management")
    role = await realm.admin("GET", f"/clients/{management['id']}/roles/view-events")
    account = await realm.admin("GET", f"/clients/{ours}/service-account-user")
    path = f"/users/{account['id']}/role-mappings/clients/{management['id']}"
    await realm.admin("POST", path, [role])


async def make_client(realm: Realm, name: str, **more: Any) -> None:
    """Make a confidential client with a service account."""
    realm.secrets[name] = secrets.token_urlsafe(24)
    mappers = [
        {
            "name": f"to-{each}", "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper",
            "config": {
                "included.client.audience": each, "access.token.claim": "true",
                "introspection.token.claim": "true",
            },
        }
        for each in AUDIENCES.get(name, ())
    ]  # fmt: skip
    client = {
        "clientId": name, "secret": realm.secrets[name], "publicClient": False,
        "serviceAccountsEnabled": True, "standardFlowEnabled": False,
        "directAccessGrantsEnabled": name == "app", "protocolMappers": mappers,
    }  # fmt: skip
    if name in EXCHANGING:
        more["attributes"] = {
            "standard.token.exchange.enabled": "true",
            "standard.token.exchange.enableRefreshRequestedTokenType": "SAME_SESSION",
        }
    await realm.admin("POST", "/clients", client | more)
    (made,) = await realm.admin("GET", f"/clients?clientId={name}")
    realm.clients[name] = made["id"]


async def make_user(realm: Realm, name: str) -> None:
    """Make a user with a password."""
    realm.secrets[name] = secrets.token_urlsafe(24)
    password = {"type": "password", "value": realm.secrets[name], "temporary": False}
    await realm.admin("POST", "/users", {
        "username": name, "enabled": True, "firstName": name, "lastName": "Example",
        "email": f"{name}@example.test", "emailVerified": True,
        "credentials": [password],
    })  # fmt: skip
    (made,) = await realm.admin("GET", f"/users?exact=true&username={name}")
    realm.users[name] = made["id"]
