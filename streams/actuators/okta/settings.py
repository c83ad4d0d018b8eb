"""What an operator sets for ending things at an Okta org."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from streams.actuators.calls import IssuerApi
from streams.actuators.okta.ways import (
    OktaAppWay,
    OktaSessionsWay,
    OktaTokenWay,
    OktaUserWay,
)
from streams.actuators.settings import ServerSettings
from streams.actuators.ways import WayActuator
from streams.model.shared_secret import SharedSecret
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import StoredHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.actuators.actuator import Actuator


class OktaActuator(ServerSettings):
    """An org, and the API token that acts in it.

    Attributes:
        token: of an administrator whose role has the rights alone that acting needs; a
            file is read anew for each request.
    """

    vendor: Literal["okta"]
    token: SharedSecret

    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it."""
        del name
        self.token.reveal()
        token = self.token
        header = StoredHeader(lambda: f"SSWS {token.reveal()}")
        client = HttpClient(authorization=header)
        api = IssuerApi(client, self.base, seconds=self.timeout)
        ways = {
            "okta.user": OktaUserWay(),
            "okta.user_sessions": OktaSessionsWay(),
            "okta.api_token": OktaTokenWay(),
            "okta.app": OktaAppWay(),
        }
        return WayActuator(api, ways, clock)
