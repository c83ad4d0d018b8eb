"""Settings of a relay process, on top of those of the server and of Kafka.

From arguments, or from the environment with the prefix ``RESCIND_RELAY_``.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RelaySettings(BaseSettings):
    """How one relay vouches for its guards.

    Attributes:
        signing_key: file of the private key (Ed25519, PEM) that signs the receipts of
            its guards; all relays may share one.
        key_name: name of that key in ``relay_keys`` of the workers.
        ack_seconds: until a receipt that is not acknowledged is given up.
    """

    model_config = SettingsConfigDict(
        env_prefix="RESCIND_RELAY_", extra="forbid", frozen=True
    )

    signing_key: Path | None = None
    key_name: str = Field(default="relay", min_length=1, max_length=100)
    ack_seconds: float = Field(default=2.0, gt=0, le=60)
