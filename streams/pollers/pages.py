"""Logs that are read newest first, from one page to the next older one.

Where a page is named by the last id before it (OpenAI, Anthropic), events that come in
meanwhile move nothing. Where it has a number (LiteLLM), they push older events down:
those are read twice, and none is left out.

Sources: OpenAI API reference, "List audit logs"; Claude documentation, "Query the
Activity Feed"; LiteLLM, ``GET /audit``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from streams.model.times import SECOND, rfc3339
from streams.outbound.answers import HttpAnswer
from streams.pollers.feeds import (
    Cursor,
    UnreadablePageError,
    json_of,
    objects,
)
from streams.pollers.windows import Windows

FIRST: Final = 1  # the number of LiteLLM's first page


class ById(Windows):
    """A log whose pages are named by the last id of the one before."""

    path: ClassVar[str]
    since: ClassVar[str]
    after: ClassVar[str]
    limit: ClassVar[int]

    def moment(self, time: int) -> str:
        """Write a time as the query wants it."""
        return str(rfc3339(time))

    def url(self, cursor: Cursor) -> str:
        """URL of the next page."""
        query = {"limit": str(self.limit), self.since: self.moment(cursor["from"])}
        if cursor["place"] is not None:
            query[self.after] = cursor["place"]["id"]
        return f"{self.base}{self.path}?{urlencode(query)}"

    def page(
        self, cursor: Cursor, answer: HttpAnswer
    ) -> tuple[list[dict[str, Any]], Any]:
        """Events, and the last id where there are more."""
        body = _object(answer)
        found, more = objects(body.get("data")), body.get("has_more") is True
        last = body.get("last_id")
        if not more:
            return found, None
        # A page that does not move on would be asked for ever.
        before = None if cursor["place"] is None else cursor["place"]["id"]
        if not isinstance(last, str) or not last or last == before:
            raise UnreadablePageError("there is more, and no last_id to go on from")
        return found, {"id": last}


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


class AnthropicLog(ById):
    """The activity feed of Anthropic's Compliance API."""

    source = "anthropic"
    time_field = "created_at"
    path = "/v1/compliance/activities"
    since = "created_at.gte"
    after = "after_id"
    limit = 1000


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
        body = _object(answer)
        number, pages = cursor["place"] or FIRST, body.get("total_pages")
        if not isinstance(pages, int):
            raise UnreadablePageError("the answer has no total_pages")
        found = objects(body.get("audit_logs"))
        return found, number + 1 if found and number < pages else None


def _object(answer: HttpAnswer) -> dict[str, Any]:
    body = json_of(answer)
    if not isinstance(body, dict):
        raise UnreadablePageError("the answer is no object")
    return body
