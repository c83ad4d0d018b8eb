"""Keycloak's user events and admin events, newest first, by offset.

Events that come in while pages are read push the older ones down: they are read twice
and none is left out. (Oldest first, an event that expires would pull others past the
page that is read next.) Events of one time come in another order with each request, so
a page begins a little before the end of the last one.

Source: Keycloak Admin REST API, ``GET /admin/realms/{realm}/events`` and
``/admin-events``; seen on a running 26.7: dateFrom takes ms and includes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from pydantic import Field

from streams.outbound.answers import HttpAnswer
from streams.sources.keycloak.keycloak import Keycloak
from streams.sources.polling.feeds import Cursor, seconds
from streams.sources.polling.settings import ClientPoll
from streams.sources.polling.windows import Windows

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
        found = answer.objects()
        if len(found) < MAX:
            return found, None
        return found, (cursor["place"] or 0) + max(1, len(found) - TIES)


class KeycloakPoll(ClientPoll):
    """User events and admin events of a Keycloak realm.

    Attributes:
        realm: whose events; its client reads them with the role ``view-events``.
        issuer: ``iss`` of the realm's tokens: gives users the name that tokens carry
            (``jwt.sub``).
        exchange_lookback: seconds that access tokens of the realm live at most. What
            is exchanged this soon after a revocation may come from a token of before
            it, and is denied.
        retention: days that the realm keeps events, where it is set to expire them.
    """

    vendor: Literal["keycloak"]
    realm: str = Field(pattern=r"^[^/?#%]+$")
    issuer: str | None = None
    exchange_lookback: float = Field(default=300.0, ge=0)
    retention: float | None = Field(default=None, gt=0)

    @property
    def token_url(self) -> str:
        """Of the realm."""
        realm = quote(self.realm, safe="")
        return f"{self.base}/realms/{realm}/protocol/openid-connect/token"

    def feeds(self, name: str) -> Iterator[KeycloakLog]:
        """User events, and admin events."""
        for log in LOGS:
            yield KeycloakLog(log, self.realm, name=f"{name}/{log}", **self.window())

    def reader(self) -> Keycloak:
        """Reader that knows the issuer and the life of tokens."""
        return Keycloak(self.issuer, seconds(self.exchange_lookback))
