"""The audit log of a GitHub organisation, newest first, by ``rel="next"``.

A search takes whole days of no certain zone, so a round asks from a day earlier, and
ends with the first page that lies before its window.

Source: GitHub REST API, "Get the audit log for an organization", "Using pagination in
the REST API"; "Reviewing the audit log for your organization" (search by ``created``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlencode

from pydantic import Field

from streams.model.times import SECOND, rfc3339
from streams.outbound.answers import HttpAnswer
from streams.sources.polling.feeds import Cursor, next_link, time_of
from streams.sources.polling.settings import KeyPoll
from streams.sources.polling.windows import Windows

LIMIT: Final = 100  # events of a page, the most that GitHub gives
_DAY: Final = 86_400 * SECOND
_DATE: Final = len("2026-01-31")


class GitHubLog(Windows):
    """The audit log of one organisation, with Git events."""

    source = "github"
    time_field = "@timestamp"

    def __init__(self, organization: str, **values: Any) -> None:
        """Read the log of an organisation; the rest as `Windows` says."""
        super().__init__(**values)
        self._organization = organization

    def url(self, cursor: Cursor) -> str:
        """Next link, or the start of a round."""
        if cursor["place"] is not None:
            return str(cursor["place"])
        day = str(rfc3339(max(0, cursor["from"] - _DAY)))[:_DATE]
        query = urlencode({
            "phrase": f"created:>={day}", "include": "all", "order": "desc",
            "per_page": LIMIT,
        })  # fmt: skip
        return f"{self.base}/orgs/{self._organization}/audit-log?{query}"

    def page(
        self, cursor: Cursor, answer: HttpAnswer
    ) -> tuple[list[dict[str, Any]], Any]:
        """Events of the window, and the next link while there may be more."""
        found = answer.objects()
        link = next_link(answer.headers, self.base)
        inside = [
            event for event in found
            if time_of(event, self.time_field) >= cursor["from"]
        ]  # fmt: skip
        return inside, link if inside else None


class GitHubPoll(KeyPoll):
    """The audit log of a GitHub organisation (Enterprise Cloud).

    Its key is a token that may read it: a classic one with ``read:audit_log``, or one
    with the permission "Administration" of the organisation, to read.

    Attributes:
        organization: its login.
        overlap: as of every poll; events can be minutes late.
        retention: days that the log can be searched.
    """

    vendor: Literal["github"]
    organization: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    url: str = "https://api.github.com"
    interval: float = Field(default=30.0, gt=0)
    overlap: float = Field(default=600.0, ge=0)
    retention: float | None = Field(default=180.0, gt=0)

    more: ClassVar[Mapping[str, str]] = {
        "accept": "application/vnd.github+json",
        "x-github-api-version": "2022-11-28",
    }

    def feeds(self, name: str) -> Iterator[GitHubLog]:
        """Return the audit log."""
        key = f"{name}/{GitHubLog.source}"
        yield GitHubLog(self.organization, name=key, **self.window())
