"""The unified audit log through the Office 365 Management Activity API.

A feed of one content type goes through these stages, one request each: look whether
the type is subscribed, subscribe it, list the blobs of at most a day (page by page,
``NextPageUri``), read every blob. A round lists what became available since the last
one, less the overlap; a blob is known by its contentId.

A blob that is gone before it was read is a gap, and said to be one.

Source: Microsoft, "Office 365 Management Activity API reference".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import quote, urlencode

from attrs import frozen
from pydantic import Field

from streams.model.times import SECOND, rfc3339
from streams.outbound.answers import HttpAnswer, UnreadableAnswerError
from streams.sources.entra.poll import TenantPoll
from streams.sources.polling.feeds import (
    Cursor,
    Page,
    Start,
    encoded,
    same_origin,
    still_ours,
    time_of,
)

DAY: Final = 86_400 * SECOND  # the longest window that may be asked for
NEXT: Final = "nextpageuri"
LOOK: Final = "look"
SUBSCRIBE: Final = "subscribe"
READ: Final = "read"
MOST_SEEN: Final = 20_000


@frozen(kw_only=True)
class M365Log:
    """The feed of one content type of a tenant; times in ns.

    Attributes:
        base: ``https://manage.office.com``.
        content: such as ``Audit.AzureActiveDirectory``.
        first: how far back the first round reaches.
        retention: how long blobs can be listed.
    """

    name: str
    base: str
    tenant: str
    content: str
    first: int
    overlap: int
    retention: int
    source: str = "entra"

    def start(self, saved: Cursor | None, now: int) -> Start:
        """Begin, or go on; a round gets its end here."""
        kept = now - self.retention
        if saved is None:
            return Start(self._round(max(kept, now - self.first), LOOK, {}, now))
        pending = [saved["next"], *saved["blobs"]]
        if not all(one is None or still_ours(self.base, one) for one in pending):
            return Start(self._round(saved["from"], LOOK, saved["seen"], now))
        if saved["lost"] is not None:
            since, until = saved["lost"]
            return Start(saved | {"lost": None}, (since, until))
        if saved["from"] < kept:
            again = self._round(kept, LOOK, saved["seen"], now)
            return Start(again, (saved["from"], kept))
        if saved["to"] is None:
            return Start(saved | {"to": min(now, saved["from"] + DAY)})
        return Start(saved)

    def _round(self, since: int, stage: str, seen: dict[str, int], now: int) -> Cursor:
        return {
            "from": since, "to": min(now, since + DAY), "next": None, "blobs": [],
            "seen": seen, "stage": stage, "lost": None,
        }  # fmt: skip

    def url(self, cursor: Cursor) -> str:
        """URL of the next request."""
        if cursor["stage"] == LOOK:
            return self._url("list")
        if cursor["stage"] == SUBSCRIBE:
            return self._url("start", contentType=self.content)
        if cursor["blobs"]:
            return str(cursor["blobs"][0])
        if cursor["next"] is not None:
            return str(cursor["next"])
        return self._url(
            "content", contentType=self.content, startTime=_moment(cursor["from"]),
            endTime=_moment(cursor["to"]),
        )  # fmt: skip

    def _url(self, what: str, **query: str) -> str:
        tenant = quote(self.tenant, safe="")
        text = urlencode(query | {"PublisherIdentifier": self.tenant}, safe=":")
        path = f"api/v1.0/{tenant}/activity/feed/subscriptions/{what}"
        return f"{self.base}/{path}?{text}"

    def take(self, cursor: Cursor, answer: HttpAnswer, now: int) -> Page:
        """Read an answer of any stage."""
        if cursor["stage"] == LOOK:
            active = any(
                one.get("contentType") == self.content
                and one.get("status") == "enabled"
                for one in answer.objects()
            )
            return self._staged(cursor, READ if active else SUBSCRIBE)
        if cursor["stage"] == SUBSCRIBE:
            return self._staged(cursor, READ)
        data = b""
        if cursor["blobs"]:
            found = answer.objects()
            data = encoded(found) if found else b""
            after = cursor | {"blobs": cursor["blobs"][1:]}
        else:
            after = self._listed(cursor, answer)
        if after["blobs"] or after["next"] is not None:
            return Page(data, after, more=True)
        return Page(data, self._ended(after), more=after["to"] < now - DAY // 24)

    def _staged(self, cursor: Cursor, stage: str) -> Page:
        method = {"method": "POST"} if stage == SUBSCRIBE else {"method": "GET"}
        return Page(b"", cursor | {"stage": stage} | method, more=True)

    def _listed(self, cursor: Cursor, answer: HttpAnswer) -> Cursor:
        seen, blobs = dict(cursor["seen"]), []
        for one in answer.objects():
            name, link = one.get("contentId"), one.get("contentUri")
            if not isinstance(name, str) or not isinstance(link, str):
                raise UnreadableAnswerError("a blob without contentId and contentUri")
            if name not in seen:
                seen[name] = min(time_of(one, "contentCreated"), cursor["to"])
                blobs.append(same_origin(self.base, link))
        link = answer.headers.get(NEXT)
        following = None if link is None else same_origin(self.base, link)
        return cursor | {"seen": seen, "blobs": blobs, "next": following}

    def _ended(self, cursor: Cursor) -> Cursor:
        since = max(cursor["from"], cursor["to"] - self.overlap)
        kept = [(name, at) for name, at in cursor["seen"].items() if at >= since]
        return cursor | {"from": since, "to": None, "seen": dict(kept[-MOST_SEEN:])}

    def again(self, cursor: Cursor) -> Cursor | None:
        """Look at the subscription again; a blob that is gone is left out as lost."""
        if cursor["stage"] == READ and cursor["blobs"]:
            lost = [cursor["from"], cursor["to"]]
            return cursor | {"blobs": cursor["blobs"][1:], "lost": lost}
        return cursor | {"stage": LOOK, "method": "GET", "next": None}


def _moment(time: int) -> str:
    """Write whole seconds, without a zone: it is UTC."""
    return str(rfc3339(time - time % SECOND)).removesuffix("Z")


KEPT_DAYS: Final = 7.0
Content = Literal[
    "Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint",
    "Audit.General", "DLP.All",
]  # fmt: skip


class M365Poll(TenantPoll):
    """The unified audit log through the Office 365 Management Activity API.

    Attributes:
        content: the content types to be read; each is subscribed where it is not.
        retention: days that blobs can be listed.
    """

    vendor: Literal["m365"]
    content: tuple[Content, ...] = ("Audit.AzureActiveDirectory",)
    url: str = "https://manage.office.com"
    interval: float = Field(default=60.0, gt=0)
    overlap: float = Field(default=3600.0, ge=0, le=43_200)
    retention: float = Field(default=KEPT_DAYS, gt=0, le=KEPT_DAYS)

    def feeds(self, name: str) -> Iterator[M365Log]:
        """One of each content type."""
        for content in self.content:
            yield M365Log(
                name=f"{name}/{content}", tenant=self.tenant, content=content,
                **self.window(),
            )  # fmt: skip
