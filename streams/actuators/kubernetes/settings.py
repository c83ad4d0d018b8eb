"""What an operator sets for ending things at a Kubernetes cluster."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from streams.actuators.calls import IssuerApi
from streams.actuators.kubernetes.ways import (
    BY_ITSELF,
    PodWay,
    ServiceAccountWay,
    Settling,
    TokenSecretWay,
)
from streams.actuators.settings import ServerSettings
from streams.actuators.ways import AboveWay, WayActuator
from streams.model.shared_secret import SharedSecret
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import StoredHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.actuators.actuator import Actuator
    from streams.actuators.ways import Way


class KubernetesActuator(ServerSettings):
    """A cluster, and the service account that acts in it.

    Attributes:
        token: of that account; a file is read anew for each request, as kubelet
            renews it.
        ca: file with the certificates that sign the API server's own.
        cluster: name of the cluster, a prefix of its identifiers; needed if one realm
            has several clusters.
    """

    vendor: Literal["kubernetes"]
    token: SharedSecret
    ca: Path | None = None
    cluster: str = ""

    def actuator(self, name: str, clock: Callable[[], int]) -> Actuator:
        """Make it."""
        del name
        self.token.reveal()
        tls = None
        if self.ca is not None:
            tls = ssl.create_default_context(cafile=self.ca)
        token = self.token
        header = StoredHeader(lambda: f"Bearer {token.reveal()}")
        api = IssuerApi(
            HttpClient(authorization=header, tls=tls), self.base, seconds=self.timeout
        )
        settling = Settling(clock)
        ways: dict[str, Way] = {
            "k8s.service_account": ServiceAccountWay(self.cluster, settling),
            "k8s.secret": TokenSecretWay(self.cluster, settling),
            "k8s.pod": PodWay(self.cluster, settling),
        }
        for kind in ("k8s.credential", "jwt.jti"):
            ways[kind] = AboveWay(dict(ways), BY_ITSELF)
        return WayActuator(api, ways, clock, dry="dryRun=All")
