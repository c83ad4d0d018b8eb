"""What an operator sets for ending things at a Microsoft Entra tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from streams.actuators.calls import IssuerApi, path
from streams.actuators.entra.ways import (
    EntraAppWay,
    EntraCredentialWay,
    EntraServiceWay,
    EntraUserWay,
)
from streams.actuators.settings import ServerSettings
from streams.actuators.ways import WayActuator
from streams.model.shared_secret import SharedSecret, check_url
from streams.model.times import SECOND
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import ClientCredentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.actuators.actuator import Actuator


class EntraActuator(ServerSettings):
    """A tenant, and the application that acts in it.

    Attributes:
        login: URL that gives tokens, without a slash at its end.
        tenant: id of the tenant.
        client_id: of the application.
        client_secret: of the application.
    """

    vendor: Literal["entra"]
    url: str = "https://graph.microsoft.com"
    login: str = "https://login.microsoftonline.com"
    tenant: str
    client_id: str
    client_secret: SharedSecret

    @model_validator(mode="after")
    def _over_tls(self) -> EntraActuator:
        check_url(self.login, allow_http=self.allow_http)
        return self

    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it."""
        del name
        self.client_secret.reveal()
        token = ClientCredentials(
            f"{self.login}{path(self.tenant)}/oauth2/v2.0/token",
            self.client_id,
            self.client_secret.reveal,
            lambda: clock() / SECOND,
            f"{self.base}/.default",
        )
        api = IssuerApi(
            HttpClient(authorization=token), self.base, seconds=self.timeout
        )
        ways = {
            "entra.user": EntraUserWay(clock),
            "entra.service_principal": EntraServiceWay(),
            "entra.application": EntraAppWay(),
            "entra.app_credential": EntraCredentialWay(),
        }
        return WayActuator(api, ways, clock)
