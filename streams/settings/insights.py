"""Settings of a process of insights, on top of those of the server and of Kafka.

From arguments, or from the environment with the prefix ``RESCIND_INSIGHTS_``.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class InsightsSettings(BaseSettings):
    """How a process counts what was revoked and found.

    Attributes:
        days: for which hours are kept.
    """

    model_config = SettingsConfigDict(
        env_prefix="RESCIND_INSIGHTS_", extra="forbid", frozen=True
    )

    days: int = Field(default=7, ge=1, le=90)
