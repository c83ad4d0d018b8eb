"""The audit log of a LiteLLM proxy, by numbered pages, newest first.

Events that come in meanwhile push older ones down: those are read twice, and none is
left out.

Source: LiteLLM, ``GET /audit``.
"""

from __future__ import annotations

from typing import Any, Final, Literal
from urllib.parse import urlencode

from streams.model.times import rfc3339
from streams.outbound.answers import HttpAnswer, UnreadableAnswerError, objects
from streams.sources.polling.feeds import Cursor
from streams.sources.polling.settings import KeyPoll
from streams.sources.polling.windows import Windows

FIRST: Final = 1  # the number of the first page


class LiteLlmLog(Windows):
    """The audit log of a LiteLLM proxy, by numbered pages."""

    source = "litellm"
    time_field = "updated_at"

    def url(self, cursor: Cursor) -> str:
        """URL of the next page."""
        query = {
            "page": cursor["place"] or FIRST, "page_size": 100,
            "start_date": rfc3339(cursor["from"]), "sort_by": "updated_at",
            "sort_order": "desc",
        }  # fmt: skip
        return f"{self.base}/audit?{urlencode(query)}"

    def page(
        self, cursor: Cursor, answer: HttpAnswer
    ) -> tuple[list[dict[str, Any]], Any]:
        """Events, and the number of the next page."""
        body = answer.object()
        number, pages = cursor["place"] or FIRST, body.get("total_pages")
        if not isinstance(pages, int):
            raise UnreadableAnswerError("the answer has no total_pages")
        found = objects(body.get("audit_logs"))
        return found, number + 1 if found and number < pages else None


class LiteLlmPoll(KeyPoll):
    """The audit log of a LiteLLM proxy; the key is a proxy admin's.

    Virtual keys are named by a keyed hash: without ``peppers`` the end of one cannot
    be applied.
    """

    vendor: Literal["litellm"]
    log = LiteLlmLog
