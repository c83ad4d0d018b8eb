"""What an operator sets for ending things at a GitHub organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from streams.actuators.github.app import AppHeader, InstallationHeader
from streams.actuators.github.bulk import BulkRevocation
from streams.actuators.github.limits import GitHubApi
from streams.actuators.github.ways import (
    GitHubAlertWay,
    GitHubDeployKeyWay,
    GitHubInstallationWay,
    GitHubTokenWay,
)
from streams.actuators.settings import ServerSettings
from streams.actuators.ways import WayActuator
from streams.model.shared_secret import SharedSecret
from streams.model.times import SECOND
from streams.outbound.client import HttpClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.actuators.actuator import Actuator
    from streams.actuators.ways import Way

HEADERS: Mapping[str, str] = {
    "accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28",
}  # fmt: skip


class GitHubActuator(ServerSettings):
    """An organisation, and the GitHub App that acts in it.

    Attributes:
        org: login of the organisation.
        app: id of the app.
        key: private key of the app (PEM); a file is read anew for each request.
        installation: id of its installation in the organisation.
    """

    vendor: Literal["github"]
    url: str = "https://api.github.com"
    org: str = Field(pattern=r"^[A-Za-z0-9-]+$")
    app: str
    key: SharedSecret
    installation: str = Field(pattern=r"^\d+$")

    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it."""
        del name
        self.key.reveal()
        own = AppHeader(self.app, self.key.reveal, lambda: clock() / SECOND)
        installed = InstallationHeader(own, self.base, self.installation)
        api = self._api(HttpClient(authorization=installed))
        app = self._api(HttpClient(authorization=own))
        bare = self._api(HttpClient())
        ways: dict[str, Way] = {
            "github.token": GitHubTokenWay(self.org),
            "github.installation": GitHubInstallationWay(app, self.org, self.app),
            "github.deploy_key": GitHubDeployKeyWay(self.org),
            "github.secret_alert": GitHubAlertWay(self.org, bare, BulkRevocation(bare)),
        }
        return WayActuator(api, ways, clock, others=(app, bare))

    def _api(self, client: HttpClient) -> GitHubApi:
        return GitHubApi(client, self.base, HEADERS, seconds=self.timeout)
