"""The audit log of an OpenAI organisation.

Source: OpenAI API reference, "List audit logs".
"""

from __future__ import annotations

from typing import Literal

from streams.model.times import SECOND
from streams.sources.polling.by_id import ById
from streams.sources.polling.settings import KeyPoll


class OpenAiLog(ById):
    """The audit log of an OpenAI organisation."""

    source = "openai"
    time_field = "effective_at"
    path = "/v1/organization/audit_logs"
    since = "effective_at[gte]"
    after = "after"
    limit = 100

    def moment(self, time: int) -> str:
        """Write whole seconds, and none too late."""
        return str(time // SECOND)


class OpenAiPoll(KeyPoll):
    """The audit log of an OpenAI organisation; the key is an admin key."""

    vendor: Literal["openai"]
    url: str = "https://api.openai.com"
    log = OpenAiLog
