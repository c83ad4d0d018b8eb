"""Settings of a notify process, on top of those of the server and of Kafka.

From arguments, or from the environment with the prefix ``RESCIND_NOTIFY_``.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class NotifySettings(BaseSettings):
    """How one notify process works.

    Attributes:
        name: stable over restarts and unique among the notify processes; its place in
            the group goes by it.
        data_dir: of the schedule of deliveries. When it is lost, what was not settled
            is delivered at once, with the same ids.
        session_seconds: of silence until another process takes its partitions over.
    """

    model_config = SettingsConfigDict(
        env_prefix="RESCIND_NOTIFY_", extra="forbid", frozen=True
    )

    name: str = Field(default="notify-0", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    data_dir: Path = Path("rescind-notify")
    session_seconds: float = Field(default=6.0, ge=1)
