"""Entra's audit events and sign-ins through Microsoft Graph, by ``@odata.nextLink``.

Source: Microsoft Graph, "List directoryAudits", "List signIns", "Paging".
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

from streams.model.times import rfc3339
from streams.outbound.answers import HttpAnswer
from streams.pollers.feeds import (
    Cursor,
    UnreadablePageError,
    json_of,
    objects,
    same_origin,
)
from streams.pollers.windows import Windows

TOP: Final = 500
TIMES: Final = {"directoryAudits": "activityDateTime", "signIns": "createdDateTime"}


class GraphLog(Windows):
    """One of the logs of a tenant."""

    source = "entra"

    def __init__(self, log: str, **values: Any) -> None:
        """Read ``directoryAudits`` or ``signIns``; the rest as `Windows` says."""
        super().__init__(**values)
        self._log = log
        self.time_field = TIMES[log]

    def url(self, cursor: Cursor) -> str:
        """Next link, or the start of a round."""
        if cursor["place"] is not None:
            return str(cursor["place"])
        start = f"{self.time_field} ge {rfc3339(cursor['from'])}"
        query = urlencode({"$filter": start, "$top": TOP}, safe="$:", quote_via=quote)
        return f"{self.base}/v1.0/auditLogs/{self._log}?{query}"

    def page(
        self, cursor: Cursor, answer: HttpAnswer
    ) -> tuple[list[dict[str, Any]], Any]:
        """Events and the next link, which must stay at Graph."""
        del cursor
        body = json_of(answer)
        if not isinstance(body, dict):
            raise UnreadablePageError("the answer is no object")
        link = body.get("@odata.nextLink")
        if link is not None and not isinstance(link, str):
            raise UnreadablePageError("the next link is no text")
        place = None if link is None else same_origin(self.base, link)
        return objects(body.get("value")), place
