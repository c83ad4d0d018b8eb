"""Settings of the actuator for OpenBao and Vault."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from streams.actuators.openbao.endings import OpenBaoEndings
from streams.actuators.openbao.tokens import TokenNames
from streams.actuators.openbao.vault import VaultRequests
from streams.actuators.settings import ServerSettings
from streams.model.shared_secret import SharedSecret

if TYPE_CHECKING:
    from collections.abc import Callable


class OpenBaoActuator(ServerSettings):
    """Ends tokens, leases and entities of an OpenBao or Vault cluster.

    Attributes:
        token: for acting alone; a file is read anew for each request. It may list
            ``auth/token/accessors`` (sudo), update ``auth/token/lookup-accessor``,
            ``auth/token/revoke-accessor``, ``sys/audit-hash/DEVICE``,
            ``sys/leases/lookup`` and ``sys/leases/revoke``, and read and update
            ``identity/entity/id/*``. It may also list ``sys/namespaces``: without that
            right, nothing is proven dead by its absence. Where there are namespaces, it
            needs the same rights in each of them.
        device: path of the audit device that is read: its HMACs name the tokens.
        hmac_accessor: false where the device writes accessors in plain text.
        namespace: of the token; empty: the root namespace, which alone can make the
            names of an audit device.
        ca: file with the certificates that sign the API's own.
    """

    vendor: Literal["openbao"]
    token: SharedSecret
    per_second: float = Field(default=200.0, gt=0)  # the name of each token is one
    device: str = Field(default="file", pattern=r"^[^/?#%]+$")
    hmac_accessor: bool = True
    namespace: str = ""
    ca: Path | None = None

    def actuator(self, name: str, clock: Callable[[], int]) -> OpenBaoEndings:
        """Make it."""
        del name, clock
        self.token.reveal()
        tls = None
        if self.ca is not None:
            tls = ssl.create_default_context(cafile=self.ca)
        asked = VaultRequests(
            base=self.base,
            token=self.token.reveal,
            namespace=self.namespace,
            seconds=self.timeout,
            tls=tls,
        )
        names = TokenNames(asked, self.device, hashed=self.hmac_accessor)
        return OpenBaoEndings(asked, names)
