"""What an operator sets for ending things at a LiteLLM proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from streams.actuators.calls import IssuerApi
from streams.actuators.litellm.ways import LiteLlmTeamWay, LiteLlmUserWay
from streams.actuators.settings import ServerSettings
from streams.actuators.ways import WayActuator
from streams.model.shared_secret import SharedSecret
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import StoredHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.actuators.actuator import Actuator


class LiteLlmActuator(ServerSettings):
    """A proxy, and the key that acts in it.

    Attributes:
        key: of a proxy admin; a file is read anew for each request.
    """

    vendor: Literal["litellm"]
    key: SharedSecret

    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it."""
        del name
        self.key.reveal()
        key = self.key
        client = HttpClient(
            authorization=StoredHeader(lambda: f"Bearer {key.reveal()}")
        )
        api = IssuerApi(client, self.base, seconds=self.timeout)
        ways = {"litellm.team": LiteLlmTeamWay(), "litellm.user": LiteLlmUserWay()}
        return WayActuator(api, ways, clock)
