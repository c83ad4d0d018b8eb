"""Okta's System Log: follow ``rel="next"`` for ever.

Without ``until`` Okta gives events in the order in which they were stored, and the last
page has a next link too: what comes later is found behind it, however old its
``published`` is. Where Okta refuses the link, the log is read again from the newest
event less the overlap.

Source: Okta developer documentation, "System Log API", "Polling requests".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import urlencode

from attrs import frozen
from pydantic import Field

from streams.model.shared_secret import SharedSecret
from streams.model.times import rfc3339
from streams.outbound.answers import HttpAnswer
from streams.sources.polling.feeds import (
    Cursor,
    Page,
    Start,
    encoded,
    newest_of,
    next_link,
    still_ours,
    time_of,
)
from streams.sources.polling.settings import PollSettings

LIMIT: Final = 1000  # events of a page, the most that Okta gives


@frozen(kw_only=True)
class OktaLog:
    """The feed of one organisation; times in ns.

    Attributes:
        base: ``https://ORG.okta.com``.
        first: how far back the first round reaches.
        retention: how long Okta keeps events.
    """

    name: str
    base: str
    first: int
    overlap: int
    retention: int
    source: str = "okta"

    def start(self, saved: Cursor | None, now: int) -> Start:
        """Begin, or go on; a place older than the retention is gone."""
        if saved is None:
            since = max(0, now - self.first)
            return Start({"since": since, "next": None, "asked": now})
        if not still_ours(self.base, saved["next"]):
            saved = saved | {"next": None}
        kept = now - self.retention
        if saved["asked"] >= kept:
            return Start(saved)
        lost = (saved["asked"], kept)
        return Start({"since": kept, "next": None, "asked": now}, lost)

    def url(self, cursor: Cursor) -> str:
        """Next page's URL."""
        if cursor["next"] is not None:
            return str(cursor["next"])
        query = urlencode({
            "since": rfc3339(cursor["since"]), "sortOrder": "ASCENDING", "limit": LIMIT,
        })  # fmt: skip
        return f"{self.base}/api/v1/logs?{query}"

    def take(self, cursor: Cursor, answer: HttpAnswer, now: int) -> Page:
        """Read a page; an empty one is the end for now."""
        found = answer.objects()
        times = [time_of(one, "published") for one in found]
        newest = newest_of(times, 0, now)
        link = next_link(answer.headers, self.base)
        after = {
            "since": max(cursor["since"], newest - self.overlap),
            "next": link,
            "asked": now if len(found) < LIMIT else cursor["asked"],
        }
        return Page(encoded(found) if found else b"", after, more=bool(found and link))

    def again(self, cursor: Cursor) -> Cursor | None:
        """Forget the link, keep the time."""
        return None if cursor["next"] is None else cursor | {"next": None}


class OktaPoll(PollSettings):
    """The System Log of an Okta organisation (``GET /api/v1/logs``).

    Attributes:
        token: an API token (SSWS) of a read-only administrator.
        retention: days that Okta keeps events.
    """

    vendor: Literal["okta"]
    token: SharedSecret
    retention: float = Field(default=90.0, gt=0)

    scheme = "SSWS "

    @property
    def secret(self) -> SharedSecret:
        """The API token."""
        return self.token

    def feeds(self, name: str) -> Iterator[OktaLog]:
        """Return the System Log."""
        yield OktaLog(name=f"{name}/logs", **self.window())
