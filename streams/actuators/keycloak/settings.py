"""What an operator sets for ending things at a Keycloak realm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from streams.actuators.calls import IssuerApi, path
from streams.actuators.keycloak.realm import (
    CLIENT,
    CLIENT_UUID,
    SESSION,
    USER,
    KeycloakRealm,
)
from streams.actuators.keycloak.sessions import (
    CLIENT_SESSION,
    KeycloakPartWay,
    KeycloakSessionWay,
)
from streams.actuators.keycloak.ways import (
    BY_ITSELF,
    EXCHANGE,
    GRANT,
    SUB,
    SUBJECT_TOKEN,
    TOKEN,
    KeycloakClientWay,
    KeycloakExchangeWay,
    KeycloakGrantWay,
    KeycloakUserWay,
)
from streams.actuators.settings import ServerSettings
from streams.actuators.ways import AboveWay, WayActuator
from streams.model.shared_secret import SharedSecret
from streams.model.times import SECOND
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import ClientCredentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.actuators.actuator import Actuator
    from streams.actuators.ways import Way


class KeycloakActuator(ServerSettings):
    """A realm, and the client that acts in it.

    Attributes:
        realm: its name.
        client_id: of a client with a service account.
        client_secret: of that client.
        client_realm: realm of that client; empty: the same.
        issuer: URL that the realm's tokens have as ``iss``; empty: any that ends with
            the realm's name.
    """

    vendor: Literal["keycloak"]
    realm: str
    per_second: float = Field(default=100.0, gt=0)  # one for each client's sessions
    client_id: str
    client_secret: SharedSecret
    client_realm: str = ""
    issuer: str = ""

    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it."""
        del name
        self.client_secret.reveal()
        of = path("realms", self.client_realm or self.realm)
        token = ClientCredentials(
            f"{self.base}{of}/protocol/openid-connect/token",
            self.client_id,
            self.client_secret.reveal,
            lambda: clock() / SECOND,
        )
        api = IssuerApi(
            HttpClient(authorization=token), self.base, seconds=self.timeout
        )
        realm = KeycloakRealm(self.realm, self.issuer)
        ways: dict[str, Way] = {
            SESSION: KeycloakSessionWay(realm),
            USER: KeycloakUserWay(realm),
            SUB: KeycloakUserWay(realm),
            CLIENT: KeycloakClientWay(realm),
            CLIENT_UUID: KeycloakClientWay(realm),
            GRANT: KeycloakGrantWay(realm),
            CLIENT_SESSION: KeycloakPartWay(realm),
        }
        holders = {kind: ways[kind] for kind in (SESSION, USER, CLIENT, CLIENT_UUID)}
        exchanged = KeycloakExchangeWay(realm)
        ways[TOKEN] = AboveWay(holders, BY_ITSELF)
        ways[EXCHANGE] = exchanged
        ways[SUBJECT_TOKEN] = AboveWay({EXCHANGE: exchanged}, BY_ITSELF)
        return WayActuator(api, ways, clock)
