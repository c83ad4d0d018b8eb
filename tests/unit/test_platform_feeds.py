"""Feeds of agent platforms and M365: nothing is left out, links stay where they belong.

Between two requests events are stored, late ones too, and the page that is read next
is lost with the process, or is not.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.model.times import SECOND, parse_time, rfc3339
from streams.outbound.answers import HttpAnswer, UnreadableAnswerError
from streams.sources.anthropic.poll import AnthropicLog
from streams.sources.entra.m365_poll import M365Log
from streams.sources.github.poll import GitHubLog
from streams.sources.litellm.poll import LiteLlmLog
from streams.sources.openai.poll import OpenAiLog
from streams.sources.polling.feeds import Cursor, VendorFeed

pytestmark = pytest.mark.unit

BASE = "https://api.example"
OVERLAP = 60 * SECOND
START = 1_800_000_000 * SECOND
LATE = 50
LIMIT = 2
NAMES = ["openai", "anthropic", "litellm", "m365", "github"]
VALUES: dict[str, Any] = {"name": "f", "base": BASE, "first": 0}
STEPS = st.lists(
    st.tuples(st.lists(st.integers(0, LATE), max_size=3), st.booleans()), max_size=12
)


class Vendor:
    """Answers a feed's requests out of a list of events, as the vendor does."""

    def __init__(self, feed: VendorFeed) -> None:
        """Serve one feed."""
        self.feed = feed
        self.times: list[int] = []

    def store(self, time: int) -> None:
        """Store an event that happened at a time (whole seconds)."""
        self.times.append(time - time % SECOND)

    def answer(self, url: str) -> HttpAnswer:
        """Answer a GET."""
        query = {key: one[0] for key, one in parse_qs(urlsplit(url).query).items()}
        if isinstance(self.feed, M365Log):
            return self._m365(urlsplit(url).path, query)
        if isinstance(self.feed, GitHubLog):
            return self._github(url, query)
        field = str(getattr(self.feed, "time_field", ""))
        since = next(query[one] for one in query if "gte" in one or "start" in one)
        start = parse_time(int(since) if since.isdigit() else since) or 0
        found = sorted(
            (
                {"id": f"e{place}", field: rfc3339(time)}
                for place, time in enumerate(self.times) if time >= start
            ),
            key=lambda one: (one[field], one["id"]), reverse=True,
        )  # fmt: skip
        if isinstance(self.feed, LiteLlmLog):
            first = (int(query["page"]) - 1) * LIMIT
            pages = -(-len(found) // LIMIT)
            page = {"audit_logs": found[first : first + LIMIT], "total_pages": pages}
            return HttpAnswer({}, orjson.dumps(page))
        after = query.get("after", query.get("after_id"))
        if after is not None:
            found = found[[one["id"] for one in found].index(after) + 1 :]
        page = {"data": found[:LIMIT], "has_more": len(found) > LIMIT}
        last = found[:LIMIT][-1]["id"] if found else None
        return HttpAnswer({}, orjson.dumps(page | {"last_id": last}))

    def _github(self, url: str, query: dict[str, str]) -> HttpAnswer:
        """Search from midnight on; a page goes on after a time and an id."""
        start = parse_time(query["phrase"].removeprefix("created:>=") + "T00:00:00Z")
        found = sorted(
            ((time, place) for place, time in enumerate(self.times)
             if time >= (start or 0)),
            reverse=True,
        )  # fmt: skip
        if "after" in query:
            last = tuple(int(one) for one in query["after"].split("-"))
            found = [one for one in found if one < last]
        page = [
            {"_document_id": f"e{place}", "id": f"e{place}",
             "@timestamp": time // 10**6}
            for time, place in found[:LIMIT]
        ]  # fmt: skip
        headers = {}
        if len(found) > LIMIT:
            time, place = found[LIMIT - 1]
            plain = url.partition("&after=")[0]
            headers["link"] = f'<{plain}&after={time}-{place}>; rel="next"'
        return HttpAnswer(headers, orjson.dumps(page))

    def _m365(self, path: str, query: dict[str, str]) -> HttpAnswer:
        if path.endswith("/list"):
            active = [{"contentType": "Audit.General", "status": "enabled"}]
            return HttpAnswer({}, orjson.dumps(active))
        if "/audit/" in path:
            return HttpAnswer({}, orjson.dumps([{"id": path.rpartition("/")[2]}]))
        start, end = (
            parse_time(query[one]) or 0 for one in ("startTime", "endTime")
        )  # fmt: skip
        found = [
            {"contentId": f"e{place}", "contentUri": f"{BASE}/audit/e{place}",
             "contentCreated": rfc3339(time)}
            for place, time in enumerate(self.times) if start <= time < end
        ]  # fmt: skip
        first = int(query.get("next", 0))
        headers = {}
        if len(found) > first + LIMIT:
            pair = f"startTime={query['startTime']}&endTime={query['endTime']}"
            headers["nextpageuri"] = f"{BASE}/content?{pair}&next={first + LIMIT}"
        return HttpAnswer(headers, orjson.dumps(found[first : first + LIMIT]))


def feeds(overlap: int = OVERLAP) -> list[VendorFeed]:
    """Give one of each."""
    values = VALUES | {"overlap": overlap}
    return [
        OpenAiLog(**values, retention=None), AnthropicLog(**values, retention=None),
        LiteLlmLog(**values, retention=None),
        M365Log(**values, tenant="t", content="Audit.General",
                retention=7 * 86_400 * SECOND),
        GitHubLog("acme", **values, retention=None),
    ]  # fmt: skip


def play(feed: VendorFeed, steps: list[tuple[list[int], bool]]) -> list[str]:
    """Give the ids that were read, and those that were stored."""
    vendor, now, read = Vendor(feed), START, list[str]()
    saved = orjson.dumps(feed.start(None, now).cursor)
    quiet: list[tuple[list[int], bool]]
    quiet = [([], False)] * (6 + 3 * sum(len(late) for late, _ in steps))
    for late, lost in steps + quiet:
        now += 3 * SECOND
        for ago in late:
            vendor.store(max(now - ago * SECOND, START))
        cursor: Cursor = feed.start(orjson.loads(saved), now).cursor
        page = feed.take(cursor, vendor.answer(feed.url(cursor)), now)
        if not lost:
            saved = orjson.dumps(page.cursor)
            read += [one["id"] for one in orjson.loads(page.data or b"[]")]
    assert sorted(f"e{place}" for place in range(len(vendor.times))) == sorted(read)
    return read


@pytest.mark.parametrize("place", range(len(NAMES)), ids=NAMES)
@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_each_event_is_read_exactly_once(
    place: int, steps: list[tuple[list[int], bool]]
) -> None:
    """Late ones within the overlap, over pages, over crashes."""
    play(feeds()[place], steps)


@pytest.mark.parametrize("place", range(len(NAMES)), ids=NAMES)
def test_a_feed_without_an_overlap_would_be_caught(place: int) -> None:
    """The planted fault: the next round starts where the last one ended."""
    steps: list[tuple[list[int], bool]] = [([], False)] * 9
    steps += [([0], False), ([], False), ([], False), ([20], False)]
    play(feeds()[place], steps)
    with pytest.raises(AssertionError):
        play(feeds(0)[place], steps)


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", b"<html>", b'{"data": [7]}',
     b'{"data": [], "has_more": true}',
     b'{"data": [], "has_more": true, "last_id": 7}'],
)  # fmt: skip
def test_what_is_no_page_is_not_used(body: bytes) -> None:
    """Neither by id nor by number."""
    for feed in feeds()[:3]:
        cursor = feed.start(None, START).cursor
        with pytest.raises(UnreadableAnswerError):
            feed.take(cursor, HttpAnswer({}, body), START)


def test_a_page_that_names_itself_ends_the_round_in_words() -> None:
    """Else it would be asked for without end."""
    feed = feeds()[0]
    body = orjson.dumps({"data": [], "has_more": True, "last_id": "e1"})
    page = feed.take(feed.start(None, START).cursor, HttpAnswer({}, body), START)
    with pytest.raises(UnreadableAnswerError, match="last_id"):
        feed.take(page.cursor, HttpAnswer({}, body), START)


def test_githubs_round_ends_at_its_window() -> None:
    """What a search by days gives beyond it is neither read nor gone through."""
    feed = feeds()[4]
    cursor = feed.start(None, START).cursor
    assert "created%3A%3E%3D2027-01-14&" in feed.url(cursor)
    link = {"link": f'<{BASE}/orgs/acme/audit-log?after=x>; rel="next"'}
    at = START // 10**6
    mixed = orjson.dumps([{"@timestamp": at, "id": 1}, {"@timestamp": at - 1}])
    page = feed.take(cursor, HttpAnswer(link, mixed), START)
    assert ([{"@timestamp": at, "id": 1}], True) == (orjson.loads(page.data), page.more)
    older = orjson.dumps([{"@timestamp": at - 2}])
    page = feed.take(page.cursor, HttpAnswer(link, older), START)
    assert (b"", False) == (page.data, page.more)
    elsewhere = {"link": '<https://evil.example/x>; rel="next"'}
    with pytest.raises(UnreadableAnswerError, match="another host"):
        feed.take(cursor, HttpAnswer(elsewhere, mixed), START)


@pytest.mark.parametrize("link", ["https://evil.example/x", "http://api.example/x"])
def test_m365_follows_no_link_elsewhere(link: str) -> None:
    """Neither to a blob nor to a next page; nor one that was saved for another host."""
    feed = feeds()[3]
    cursor = feed.start(None, START).cursor | {"stage": "read"}
    blob = [{"contentId": "b", "contentUri": link, "contentCreated": "x"}]
    for answer in (
        HttpAnswer({}, orjson.dumps(blob)),
        HttpAnswer({"nextpageuri": link}, b"[]"),
    ):
        with pytest.raises(UnreadableAnswerError, match="another host"):
            feed.take(cursor, answer, START)
    saved = cursor | {"blobs": [link]}
    assert [] == feed.start(saved, START).cursor["blobs"]
