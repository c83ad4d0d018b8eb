"""What an operator sets for ending things at a GitLab instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from streams.actuators.calls import IssuerApi
from streams.actuators.gitlab.ways import (
    GitLabDeployTokenWay,
    GitLabPersonalTokenWay,
    GitLabResourceTokenWay,
    GitLabUserWay,
)
from streams.actuators.settings import ServerSettings
from streams.actuators.ways import WayActuator
from streams.model.shared_secret import SharedSecret
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import StoredHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.actuators.actuator import Actuator
    from streams.actuators.ways import Way


class GitLabActuator(ServerSettings):
    """An instance, and the access token that acts in it.

    Attributes:
        token: with the scope ``api``; a file is read anew for each request.
        instance: stands before the ids in identifiers, since ids are unique in one
            instance alone; empty: the host of the URL.
    """

    vendor: Literal["gitlab"]
    url: str = "https://gitlab.com"
    token: SharedSecret
    instance: str = ""

    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it."""
        del name
        self.token.reveal()
        header = StoredHeader(self.token.reveal)
        client = HttpClient(authorization=header, header="private-token")
        api = IssuerApi(client, self.base, seconds=self.timeout)
        of = self.instance or urlsplit(self.url).netloc.lower()
        ways: dict[str, Way] = {
            "gitlab.personal_access_token": GitLabPersonalTokenWay(of),
            "gitlab.project_access_token": GitLabResourceTokenWay(of, "projects"),
            "gitlab.group_access_token": GitLabResourceTokenWay(of, "groups"),
            "gitlab.deploy_token": GitLabDeployTokenWay(of),
            "gitlab.user": GitLabUserWay(of),
        }
        return WayActuator(api, ways, clock)
