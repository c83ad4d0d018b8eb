"""Settings of a relay process, on top of those of the server and of Kafka.

From arguments, or from the environment with the prefix ``RESCIND_RELAY_``.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.settings.peers import PeerUrl


class RelaySettings(BaseSettings):
    """What one relay reads, how it vouches for its guards, and what it starts from.

    Attributes:
        signing_key: file of the private key (Ed25519, PEM) that signs the receipts of
            its guards; all relays may share one.
        key_name: name of that key in ``relay_keys`` of the workers.
        ack_seconds: until a receipt that is not acknowledged is given up.
        peers: other relays, ``https://HOST:PORT``, e.g. the Service of all of them. The
            first one that has a table of a realm gives it to a relay that starts.
        peers_token: file of the credential that is presented to them, of a guard.
        peers_ca: those who may have signed their certificates, PEM; the system's by
            default.
        upstream: a server or another relay, ``https://HOST:PORT``, whose feed is read
            in place of Kafka. Guards' tokens are passed on to it; it registers the
            guards and takes their receipts, so `signing_key` and `peers` are not used.
        upstream_token: file of the credential that reads the facts, of a guard.
        upstream_ca: those who may have signed its certificate, PEM; the system's by
            default.
    """

    model_config = SettingsConfigDict(
        env_prefix="RESCIND_RELAY_", extra="forbid", frozen=True
    )

    signing_key: Path | None = None
    key_name: str = Field(default="relay", min_length=1, max_length=100)
    ack_seconds: float = Field(default=2.0, gt=0, le=60)
    peers: tuple[PeerUrl, ...] = ()
    peers_token: Path | None = None
    peers_ca: Path | None = None
    upstream: PeerUrl | None = None
    upstream_token: Path | None = None
    upstream_ca: Path | None = None
