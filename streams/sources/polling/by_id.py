"""Logs that are read newest first, from one page to the next older one, by its id.

A page is named by the last id of the one before it, so events that come in meanwhile
move nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode

from streams.model.times import rfc3339
from streams.outbound.answers import HttpAnswer, UnreadableAnswerError, objects
from streams.sources.polling.feeds import Cursor
from streams.sources.polling.windows import Windows


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
        body = answer.object()
        found, more = objects(body.get("data")), body.get("has_more") is True
        last = body.get("last_id")
        if not more:
            return found, None
        # A page that does not move on would be asked for ever.
        before = None if cursor["place"] is None else cursor["place"]["id"]
        if not isinstance(last, str) or not last or last == before:
            raise UnreadableAnswerError("there is more, and no last_id to go on from")
        return found, {"id": last}
