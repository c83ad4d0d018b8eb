"""What an operator sets for ending things at an Anthropic organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from streams.actuators.anthropic.ways import AnthropicKeyWay, AnthropicMemberWay
from streams.actuators.calls import IssuerApi
from streams.actuators.settings import ServerSettings
from streams.actuators.ways import WayActuator
from streams.model.shared_secret import SharedSecret
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import StoredHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.actuators.actuator import Actuator

VERSION = {"anthropic-version": "2023-06-01"}


class AnthropicActuator(ServerSettings):
    """An organisation, and the admin key that acts in it.

    Attributes:
        key: an Admin API key (``sk-ant-admin..``); a file is read anew for each
            request.
    """

    vendor: Literal["anthropic"]
    url: str = "https://api.anthropic.com"
    key: SharedSecret

    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it."""
        del name
        self.key.reveal()
        client = HttpClient(
            authorization=StoredHeader(self.key.reveal), header="x-api-key"
        )
        api = IssuerApi(client, self.base, VERSION, seconds=self.timeout)
        ways = {
            "anthropic.api_key": AnthropicKeyWay(),
            "anthropic.user": AnthropicMemberWay(),
        }
        return WayActuator(api, ways, clock)
