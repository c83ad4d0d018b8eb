"""What an operator sets for ending things at an OpenAI organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from streams.actuators.calls import IssuerApi
from streams.actuators.openai.ways import (
    OpenAiAccountWay,
    OpenAiKeyWay,
    OpenAiMemberWay,
)
from streams.actuators.settings import ServerSettings
from streams.actuators.ways import WayActuator
from streams.model.shared_secret import SharedSecret
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import StoredHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.actuators.actuator import Actuator


class OpenAiActuator(ServerSettings):
    """An organisation, and the admin key that acts in it.

    Attributes:
        key: an admin key (``sk-admin-..``); a file is read anew for each request.
    """

    vendor: Literal["openai"]
    url: str = "https://api.openai.com"
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
        ways = {
            "openai.api_key": OpenAiKeyWay(),
            "openai.service_account": OpenAiAccountWay(),
            "openai.user": OpenAiMemberWay(),
        }
        return WayActuator(api, ways, clock)
