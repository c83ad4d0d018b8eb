"""Keycloak's user events and admin events, newest first, by offset.

Events that come in while pages are read push the older ones down: they are read twice
and none is left out. (Oldest first, an event that expires would pull others past the
page that is read next.) Events of one time come in another order with each request, so
a page begins a little before the end of the last one.

Source: Keycloak Admin REST API, ``GET /admin/realms/{realm}/events`` and
``/admin-events``; seen on a running 26.7: dateFrom takes ms and includes it.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

from streams.outbound.answers import HttpAnswer
from streams.pollers.feeds import Cursor, json_of, objects
from streams.pollers.windows import Windows

MAX: Final = 200
TIES: Final = 20  # events that are read twice, since they may have changed places
LOGS: Final = ("events", "admin-events")
_MS: Final = 10**6


class KeycloakLog(Windows):
    """One of the two logs of a realm."""

    source = "keycloak"
    time_field = "time"

    def __init__(self, log: str, realm: str, **values: Any) -> None:
        """Read ``events`` or ``admin-events``; the rest as `Windows` says."""
        super().__init__(**values)
        self._path = f"/admin/realms/{quote(realm, safe='')}/{log}"

    def url(self, cursor: Cursor) -> str:
        """URL of the next page."""
        query = urlencode(
            {
                "dateFrom": cursor["from"] // _MS,
                "first": cursor["place"] or 0,
                "max": MAX,
            }
        )
        return f"{self.base}{self._path}?{query}"

    def page(
        self, cursor: Cursor, answer: HttpAnswer
    ) -> tuple[list[dict[str, Any]], Any]:
        """Events; a page that is not full is the last one."""
        found = objects(json_of(answer))
        if len(found) < MAX:
            return found, None
        return found, (cursor["place"] or 0) + max(1, len(found) - TIES)
