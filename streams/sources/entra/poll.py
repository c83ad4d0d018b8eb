"""Entra's audit events and sign-ins through Microsoft Graph, by ``@odata.nextLink``.

Source: Microsoft Graph, "List directoryAudits", "List signIns", "Paging".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from pydantic import Field, model_validator

from streams.model.shared_secret import check_url
from streams.model.times import rfc3339
from streams.outbound.answers import HttpAnswer, UnreadableAnswerError, objects
from streams.sources.polling.feeds import Cursor, same_origin
from streams.sources.polling.settings import ClientPoll
from streams.sources.polling.windows import Windows

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
        body = answer.object()
        link = body.get("@odata.nextLink")
        if link is not None and not isinstance(link, str):
            raise UnreadableAnswerError("the next link is no text")
        place = None if link is None else same_origin(self.base, link)
        return objects(body.get("value")), place


class TenantPoll(ClientPoll):
    """A log of a tenant.

    Attributes:
        tenant: its id or domain.
        login: where tokens are given.
    """

    tenant: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    login: str = "https://login.microsoftonline.com"

    @model_validator(mode="after")
    def _login(self) -> TenantPoll:
        check_url(self.login, allow_http=self.allow_http)
        return self

    @property
    def token_url(self) -> str:
        """Of the tenant."""
        return f"{self.login.rstrip('/')}/{self.tenant}/oauth2/v2.0/token"

    @property
    def scope(self) -> str:
        """All that the application was granted."""
        return f"{self.base}/.default"


class EntraPoll(TenantPoll):
    """Directory audits, and sign-ins, of an Entra tenant through Microsoft Graph.

    Attributes:
        logs: which of them; sign-ins need a P1 licence.
        retention: days that Entra keeps events: 7 without a licence, else 30.
    """

    vendor: Literal["entra"]
    logs: tuple[Literal["directoryAudits", "signIns"], ...] = ("directoryAudits",)
    url: str = "https://graph.microsoft.com"
    interval: float = Field(default=60.0, gt=0)
    overlap: float = Field(default=900.0, ge=0)
    retention: float = Field(default=7.0, gt=0)

    def feeds(self, name: str) -> Iterator[GraphLog]:
        """One of each log."""
        for log in self.logs:
            yield GraphLog(log, name=f"{name}/{log}", **self.window())
