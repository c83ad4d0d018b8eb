"""Feeds of vendors' logs: nothing is left out, and links stay where they belong."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.model.times import SECOND
from streams.outbound.answers import HttpAnswer, UnreadableAnswerError
from streams.outbound.waits import waiting
from streams.sources.entra.poll import GraphLog
from streams.sources.keycloak import poll as keycloak
from streams.sources.keycloak.poll import KeycloakLog
from streams.sources.okta.poll import OktaLog
from streams.sources.polling.feeds import Cursor, next_link, same_origin
from streams.sources.polling.windows import Windows

pytestmark = pytest.mark.unit

BASE = "https://idp.example"
OVERLAP = 10 * SECOND
START = 1_800_000_000 * SECOND
DAY = 86_400 * SECOND
MS = 10**6
LATE = int(OVERLAP / SECOND) - 1

AHEAD = -60
# What happens between two requests: events are stored, each so many seconds late (or
# ahead), and the page that is read next is lost with the process, or is not.
Step = tuple[list[int], bool]
STEPS = st.lists(
    st.tuples(st.lists(st.integers(AHEAD, LATE), max_size=4), st.booleans()),
    max_size=30,
)


def feed() -> KeycloakLog:
    """Give a feed that starts at START."""
    return KeycloakLog(
        "events", "r", name="k/events", base=BASE, first=0, overlap=OVERLAP,
        retention=None,
    )  # fmt: skip


def served(events: list[dict[str, Any]], url: str) -> HttpAnswer:
    """Answer as Keycloak does: newest first, from an offset."""
    query = {key: int(one[0]) for key, one in parse_qs(urlsplit(url).query).items()}
    found = sorted(
        (event for event in events if event["time"] >= query["dateFrom"]),
        key=lambda event: -int(event["time"]),
    )
    page = found[query["first"] : query["first"] + query["max"]]
    return HttpAnswer({}, orjson.dumps(page))


def play(steps: list[Step]) -> None:
    """Check that each event is read exactly once, whatever happens between."""
    log, now, events = feed(), START, list[dict[str, Any]]()
    saved = orjson.dumps(log.start(None, now).cursor)
    read: list[str] = []
    quiet: list[Step] = [([], False)] * (3 + sum(len(late) for late, _ in steps))
    for late, lost in steps + quiet:
        now += 3 * SECOND
        events += [
            {"id": f"e{len(events) + n}", "time": max(now - ago * SECOND, START) // MS}
            for n, ago in enumerate(late)
        ]
        cursor: Cursor = log.start(orjson.loads(saved), now).cursor
        page = log.take(cursor, served(events, log.url(cursor)), now)
        if not lost:
            saved = orjson.dumps(page.cursor)
            read += [event["id"] for event in orjson.loads(page.data or b"[]")]
    assert sorted(read) == sorted(event["id"] for event in events)


def test_events_of_one_time_are_all_read_though_each_request_orders_them_anew() -> None:
    """Keycloak sorts by time alone: at the edge of a page one may be on either side."""
    log, now = feed(), START + DAY
    events = [{"id": f"e{number}", "time": START // MS} for number in range(7)]
    events = [
        {"id": f"f{number}", "time": START // MS + 1}
        for number in range(keycloak.MAX - 3)
    ] + events
    page = log.take(cursor := log.start(None, START).cursor,
                    served(events, log.url(cursor)), now)  # fmt: skip
    read = {event["id"] for event in orjson.loads(page.data)}
    while page.more:
        # The last of those that are alike comes first with the next request.
        events[-7:] = events[-1:] + events[-7:-1]
        page = log.take(page.cursor, served(events, log.url(page.cursor)), now)
        read |= {event["id"] for event in orjson.loads(page.data or b"[]")}
    assert {event["id"] for event in events} == read


@pytest.fixture
def _two_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keycloak, "MAX", 2)


@pytest.mark.usefixtures("_two_a_page")
class TestWindows:
    """Pages of two events."""

    @given(STEPS)
    @settings(deadline=None, max_examples=300)
    def test_every_event_is_read_once(self, steps: list[Step]) -> None:
        """Late, out of order, between two pages, over crashes."""
        play(steps)

    @pytest.mark.parametrize(
        "bug", ["no overlap", "round ends early", "no memory", "page skipped"]
    )
    def test_planted_bugs_are_caught(
        self, bug: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else the property would say nothing."""
        ended, took = Windows._ended, Windows.take

        def wrong_end(self: Windows, cursor: Cursor, now: int) -> Cursor:
            after = ended(self, cursor, now)
            if bug == "no overlap":
                return after | {"from": cursor["newest"] + MS}
            return after | {"seen": {}} if bug == "no memory" else after

        def wrong_take(
            self: Windows, cursor: Cursor, answer: HttpAnswer, now: int
        ) -> Any:
            page = took(self, cursor, answer, now)
            if bug == "round ends early" and page.more:
                return page.__class__(page.data, ended(self, page.cursor | {
                    "place": None}, now), more=False)  # fmt: skip
            if bug == "page skipped" and page.more:
                page.cursor["place"] += keycloak.MAX
            return page

        monkeypatch.setattr(Windows, "_ended", wrong_end)
        monkeypatch.setattr(Windows, "take", wrong_take)
        with pytest.raises(AssertionError):
            play([([0, 0, 0], True), ([9], False), ([0] * 5, False), ([8, 3], False)])


def okta_log() -> OktaLog:
    """Give a feed of an organisation."""
    return OktaLog(name="o", base=BASE, first=DAY, overlap=OVERLAP, retention=90 * DAY)


def test_what_is_gone_is_said_once() -> None:
    """From the last complete look to the oldest event that is still kept."""
    for log in (
        okta_log(),
        GraphLog("signIns", name="g", base=BASE, first=DAY, overlap=0,
                 retention=90 * DAY),
    ):  # fmt: skip
        begun = log.start(None, START)
        assert begun.lost is None
        later = START + 100 * DAY
        again = log.start(begun.cursor, later)
        assert (START, later - 90 * DAY) == again.lost
        assert log.start(again.cursor, later + SECOND).lost is None
        assert log.start(begun.cursor, START + 89 * DAY).lost is None


def test_a_busy_okta_is_never_taken_for_a_gap() -> None:
    """A page that is not full is the end for now, though it has events."""
    log, cursor = okta_log(), okta_log().start(None, START).cursor
    event = {"published": "2026-01-01T00:00:00Z"}
    link = {"link": f'<{BASE}/api/v1/logs?after=1>; rel="next"'}
    page = log.take(cursor, HttpAnswer(link, orjson.dumps([event])), START + DAY)
    assert START + DAY == page.cursor["asked"]
    assert page.more


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/api",
        "http://idp.example/api",
        "https://idp.example:8443/api",
        "https://idp.example@evil.example/api",
        "https://user@idp.example/api",
        "//evil.example/api",
        "https://idp.example.evil.example/",
        "https://evil.example\\@idp.example/",
        "\\\\evil.example/api",
        "file:///etc/passwd",
        "https://[::1",
        "https://idp.example:port/",
        "https://idp.example/a b",
        "https://idp.example/\u00e4",
        "https://idp.example/\x7f",
    ],
)
def test_links_to_elsewhere_are_refused(link: str) -> None:
    """The token would go with them."""
    with pytest.raises(UnreadableAnswerError):
        same_origin(BASE, link)
    with pytest.raises(UnreadableAnswerError):
        next_link({"link": f'<{link}>; rel="next"'}, BASE)


def test_a_saved_link_is_not_followed_to_a_host_of_the_past() -> None:
    """The settings name another one now, and another token."""
    graph = GraphLog(
        "directoryAudits", name="g", base=BASE, first=0, overlap=0, retention=None
    )
    for log, key in ((okta_log(), "next"), (graph, "place")):
        begun = log.start(None, START).cursor
        for link, kept in (("https://old.example/x", False), (f"{BASE}/x", True)):
            again = log.start(begun | {key: link}, START).cursor
            assert kept is (log.url(again) == link)
            assert log.url(again).startswith(BASE)


def test_an_event_that_has_no_time_is_read_once() -> None:
    """Though it comes in every round."""
    log, event = feed(), {"id": "e", "time": "99999999999999999999999"}
    cursor, read = log.start(None, START).cursor, b""
    for later in range(5):
        now = START + later * DAY
        page = log.take(cursor, HttpAnswer({}, orjson.dumps([event])), now)
        cursor, read = page.cursor, read + page.data
    assert [event] == orjson.loads(read)


def test_links_of_the_same_place_are_followed() -> None:
    """Absolute or relative, in whatever order of relations and parameters."""
    wanted = f"{BASE}/a?after=1,2;3"
    for header in (
        f'<{wanted}>; rel="next"',
        f'<{BASE}/a>; rel="self", <{wanted}>; rel="next"',
        f'<{BASE}/a>; rel="self",<{wanted}>;rel=next',
        f'<{wanted}>; title="x, y; rel=prev"; rel="next"',
        '</a?after=1,2;3>; rel="next"',
    ):
        assert wanted == next_link({"link": header}, BASE)
    for header in ("", "nonsense", f'<{BASE}>; rel="nextish"', f"<{BASE}>"):
        assert next_link({"link": header}, BASE) is None


def test_the_start_of_a_round_is_asked_for_as_graph_reads_it() -> None:
    """A blank is %20: a plus sign is not one for every reader of OData."""
    log = GraphLog("signIns", name="g", base=BASE, first=0, overlap=0, retention=None)
    url = log.url(log.start(None, START).cursor)
    assert f"{BASE}/v1.0/auditLogs/signIns?$filter=createdDateTime%20ge%202027" in url


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[1]", b'{"value": 1}'])
def test_an_answer_that_is_no_page_is_not_used(body: bytes) -> None:
    """Whatever it is."""
    graph = GraphLog(
        "directoryAudits", name="g", base=BASE, first=0, overlap=0, retention=None
    )
    for log in (feed(), okta_log(), graph):
        cursor = log.start(None, START).cursor
        with pytest.raises(UnreadableAnswerError):
            log.take(cursor, HttpAnswer({}, body), START)


def test_an_event_too_deep_to_write_is_an_unreadable_page() -> None:
    """It ends no server."""
    deep = b'[{"time": 1, "x": ' + b"[" * 500 + b"]" * 500 + b"}]"
    for log in (feed(), okta_log()):
        with pytest.raises(UnreadableAnswerError):
            log.take(log.start(None, START).cursor, HttpAnswer({}, deep), START)


def test_vendors_say_how_long_to_wait() -> None:
    """Retry-After in both forms; Okta's limit by Okta's own clock."""
    date = "Thu, 01 Jan 2026 00:00:00 GMT"
    later = "Thu, 01 Jan 2026 00:00:09 GMT"
    epoch = 1_767_225_600
    limit = {"date": date, "x-rate-limit-reset": str(epoch + 7)}
    for headers, expected in (
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "99999999"}, 3600.0),
        ({"retry-after": later, "date": date}, 9.0),
        ({"retry-after": "soon"}, None),
        (limit | {"x-rate-limit-remaining": "0"}, 7.0),
        (limit | {"x-rate-limit-remaining": "5"}, None),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "inf"}, None),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "1"}, 0.0),
        (
            {
                "date": date,
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": str(epoch + 9),
            },
            9.0,
        ),
    ):
        assert expected == waiting(headers, START)
