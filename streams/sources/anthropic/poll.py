"""The activity feed of Anthropic's Compliance API.

Source: Claude documentation, "Query the Activity Feed".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from streams.sources.polling.by_id import ById
from streams.sources.polling.settings import KeyPoll


class AnthropicLog(ById):
    """The activity feed of Anthropic's Compliance API."""

    source = "anthropic"
    time_field = "created_at"
    path = "/v1/compliance/activities"
    since = "created_at.gte"
    after = "after_id"
    limit = 1000


class AnthropicPoll(KeyPoll):
    """The activity feed of Anthropic's Compliance API.

    Its key is a Compliance Access Key or an Admin API key with the scope
    ``read:compliance_activities``. An activity can be read a minute after it happened.
    """

    vendor: Literal["anthropic"]
    url: str = "https://api.anthropic.com"
    interval: float = Field(default=30.0, gt=0)
    overlap: float = Field(default=300.0, ge=0)

    header = "x-api-key"
    scheme = ""
    more: ClassVar[Mapping[str, str]] = {"anthropic-version": "2023-06-01"}
    log = AnthropicLog
