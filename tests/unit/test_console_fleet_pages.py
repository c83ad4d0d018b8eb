"""Pages on the fleet as functions of answers: words, charts, and files to save."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from streams.console import downloads, templates
from streams.console.api import ApiAnswer, ApiProblem
from streams.console.assets import assets
from streams.console.charts import ceiling, lined, plain, stacked
from streams.console.guard_standing import ORDER, standing_of
from streams.console.page import PageRequest, Person, Streamed
from streams.console.pages import actuators, guards, insights, inventory, receivers
from streams.http.peer_routes import alerts
from streams.process.aside import here
from streams.stages.notify.deliveries import AttemptOutcome, LastAttempts
from tests.unit.test_console_incident_pages import FRAME

pytestmark = pytest.mark.unit

HOURS = ("00", "01", "02")
HOSTILE = ('=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1")


class Asked:
    """An API that gives prepared answers, and notes what it was asked."""

    def __init__(self, *answers: ApiAnswer) -> None:
        """Give these in turn."""
        self.answers = list(answers)
        self.asked: list[Any] = []

    async def get(self, *path: str, **query: Any) -> ApiAnswer:
        """Give the next one."""
        self.asked.append((path, query))
        return self.answers.pop(0)


def request(api: Asked, **query: str) -> Any:
    """Give a request for a page."""
    person = Person("ann", "ann", frozenset({"viewer"}), "r", ("r",), "csrf")
    return PageRequest(api, query, "", 0, person)  # type: ignore[arg-type] # a fake


async def saved(api: Asked, **query: str) -> str:
    """Give the file of a list."""
    made = await inventory.export(request(api, **query))
    assert isinstance(made, Streamed)
    return b"".join([part async for part in made.parts]).decode()


def row(**more: Any) -> dict[str, Any]:
    """Give a row as the API does."""
    plain_row = {
        "identifier": "jwt.jti:x", "allowed": True, "reason": "lives", "owners": [],
        "owners_total": 0, "scopes": [], "scopes_total": 0, "expires_at": None,
    }  # fmt: skip
    return plain_row | more


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_cell_of_a_saved_list_is_a_formula(text: str) -> None:
    """In whatever field it came, of each list that can be saved."""
    rows = [row(identifier=text), row(owners=[text]), row(scopes=[text], reason=text)]
    part = {"rows": rows, "after": None}
    found = await saved(Asked(ApiAnswer(200, part)), list="all")
    undeclared = dict.fromkeys(("identifier", "what", "first_seen", "last_seen"), text)
    undeclared_part = {"undeclared": [undeclared | {"points": [text]}], "as_of": ""}
    found += await saved(Asked(ApiAnswer(200, undeclared_part)), list="undeclared")
    scope = {"scope": text, "last_used": text, "watched_since": "", "parts": []}
    scopes = {"rows": [{"identifier": text, "last_use": text, "scopes": [scope]}]}
    found += await saved(Asked(ApiAnswer(200, scopes)), list="scopes")
    for line in found.split("\r\n"):
        for cell in line.split(","):
            assert not cell.startswith(('"=', '"+', '"-', '"@', '"\t', '"\r', '"\n'))


async def test_declared_scopes_are_saved_with_their_last_use() -> None:
    """Also those that were never used, and since when that is known."""
    used = {"scope": "api|a", "last_used": "2027-01-02", "watched_since": "2027-01-01"}
    idle = used | {"scope": "api|b", "last_used": None}
    line = {"identifier": "jwt.jti:x", "last_use": "2027-01-02", "scopes": [used, idle]}
    found = await saved(Asked(ApiAnswer(200, {"rows": [line]})), list="scopes")
    assert '"api|a: 2027-01-02; api|b: not used since 2027-01-01;"' in found
    none = Asked(ApiAnswer(200, {"rows": None, "after": None}))
    shown = await inventory.render(request(none, list="scopes", unused="true"))
    assert (shown.values["rows"], shown.values["note"]) == ((), inventory.ELSEWHERE)
    assert none.asked[0][1]["unused"] == "true"


async def test_a_file_of_many_parts_holds_each_row_once() -> None:
    """One part at a time is asked for, and is in memory."""
    parts = [
        ApiAnswer(200, {"rows": [row(identifier=f"a:{n}")], "after": f"{n}.x"})
        for n in range(3)
    ]
    last = ApiAnswer(200, {"rows": [row(identifier="a:3")], "after": None})
    api = Asked(*parts, last)
    made = await inventory.export(request(api, list="all", kind="a"))
    assert isinstance(made, Streamed)
    heads, first = await anext(made.parts), await anext(made.parts)
    assert (heads[:12], first[:5]) == (b'"identifier"', b'"a:0"')
    assert len(api.asked) == 1
    rest = b"".join([part async for part in made.parts]).decode()
    assert [line[:5] for line in rest.split("\r\n") if line] == [
        '"a:1"', '"a:2"', '"a:3"',
    ]  # fmt: skip
    assert [query["after"] for _, query in api.asked] == [None, "0.x", "1.x", "2.x"]
    assert {query["kind"] for _, query in api.asked} == {"a"}


async def test_a_file_that_broke_off_says_so() -> None:
    """In its last line, as the only cell of it."""
    problem = ApiProblem("busy", "=1", "", 503)
    parts = {"rows": [row()], "after": "1.x"}
    api = Asked(ApiAnswer(200, parts), ApiAnswer(503, {}, problem))
    *_, last, end = (await saved(api, list="all")).split("\r\n")
    assert (last, end) == ('"NOT COMPLETE: busy: =1"', "")


async def test_a_page_asks_on_where_a_part_has_no_row() -> None:
    """Once; a page with a row is shown at once, and says how far it looked."""
    none = {"rows": [], "after": "9.x", "looked": [0, 9], "names": 100}
    some = none | {"rows": [row()], "looked": [9, 18], "after": "18.x"}
    api = Asked(ApiAnswer(200, none), ApiAnswer(200, some))
    shown = await inventory.render(request(api, list="all"))
    assert (1, 18, 100) == (
        len(shown.values["rows"]), shown.values["looked"],
        shown.values["names_in_table"],
    )  # fmt: skip
    assert shown.values["more"].endswith("after=18.x")
    assert [query["after"] for _, query in api.asked] == [None, "9.x"]
    api = Asked(ApiAnswer(200, none), ApiAnswer(200, none))
    shown = await inventory.render(request(api, list="all"))
    assert ([], "/console/inventory?list=all&after=9.x") == (
        shown.values["rows"], shown.values["more"],
    )  # fmt: skip


def test_guards_without_a_lease_have_words_of_their_own() -> None:
    """By what the API says of them, and in their order."""
    base = {"standing": "heard", "heard_ms_ago": 10, "lease_ms": 1000, "behind": 0,
            "mode": "fail_closed"}  # fmt: skip
    for more, word in (
        ({}, "heard"), ({"behind": 3}, "behind"), ({"heard_ms_ago": 1001}, "lapsed"),
        ({"mode": "observe"}, "observe"), ({"standing": "silent"}, "silent"),
        ({"standing": "gone"}, "gone"), ({"standing": "other"}, "unknown"),
    ):  # fmt: skip
        assert standing_of(base | more) == word
        assert word in guards.WORDS
    assert set(guards.WORDS) == set(ORDER)


def test_receivers_have_a_word_for_what_is_worst() -> None:
    """Disabled before failing, failing before what was given up."""
    base: dict[str, Any] = {"disabled": None, "failing": 0, "dead": 0, "paused": None}
    for more, word in (
        ({}, "good"), ({"paused": "x"}, "paused"), ({"dead": 1}, "given up"),
        ({"failing": 1, "dead": 1}, "failing"), ({"disabled": "x"}, "disabled"),
    ):  # fmt: skip
        assert receivers.state_of(base | more) == word
    assert actuators.ORDER["unreachable"] < actuators.ORDER["well"]


def test_a_stack_is_as_high_as_its_numbers() -> None:
    """The first series at the bottom; what is nought is not drawn."""
    chart = stacked("t", HOURS, {"a": [1, 0, 3], "b": [1, 0, 0]})
    low, upper, third = chart.bars
    assert (low.title, upper.title, third.title) == ("00, a: 1", "00, b: 1", "02, a: 3")
    assert low.y == upper.y + upper.height
    assert third.height == pytest.approx(3 * low.height, abs=0.2)
    assert chart.summary == "5 in all; at most 3 at one time"
    assert [name for _, name in chart.legend] == ["a", "b"]
    assert stacked("t", (), {"a": []}).bars == ()


def test_a_line_breaks_where_there_is_no_number() -> None:
    """And nothing is drawn below the lowest or above the highest."""
    chart = lined("t", HOURS, {"a": [1.5, None, 2.0], "b": [None, None, None]})
    assert chart.lines == ()
    assert [point.title for point in chart.points] == ["00, a: 1.5 s", "02, a: 2 s"]
    whole = lined("t", HOURS, {"a": [0.0, 1.0, 0.5]})
    ((colour, points),) = whole.lines
    assert (colour, len(points.split())) == (0, 3)
    assert lined("t", HOURS, {}).summary == "no numbers yet"


def test_a_scale_ends_above_its_numbers() -> None:
    """With a round number."""
    for value, top in ((0, 1), (0.03, 0.05), (1, 1), (3, 5), (11, 20), (501, 1000)):
        assert ceiling(value) == pytest.approx(top)
    assert (plain(3.0), plain(0.12345), plain(1234567)) == ("3", "0.123", "1234567")


def test_many_series_are_few_and_the_sum_of_all_others() -> None:
    """So a chart has no more colours than can be told apart."""
    times = insights.columns("2027-01-15T07:00:00Z", insights.SPANS["7d"])
    assert len(times) == 28
    assert times[1] == "2027-01-15T13:00:00Z"
    series = {f"a{n:02}": [float(n), 1.0] for n in range(12)}
    few = insights._few(series, 2)
    assert len(few) == insights.SERIES + 1
    assert sum(map(sum, few.values())) == sum(map(sum, series.values()))
    assert insights._few({}, 2) == {"none": [0.0, 0.0]}


def test_everything_here_can_run_without_a_server() -> None:
    """The pages are functions of answers."""
    answer = ApiAnswer(503, {}, ApiProblem("busy", "", "", 503))
    shown = asyncio.run(guards.render(request(Asked(answer))))
    assert shown.values["problem"].title == "busy"


def test_a_receiver_keeps_its_last_success_and_its_last_error() -> None:
    """Of several processes the later one counts."""
    known = LastAttempts().after(AttemptOutcome(status=500), 5)
    known = known.after(AttemptOutcome(status=204), 7)
    assert known == LastAttempts(delivered=7, failed=5, error="status 500")
    assert known.after(AttemptOutcome(error="timeout"), 9).error == "timeout"
    base = {"name": "hook", "waiting": 1, "failing": 0, "dead": 0, "disabled": None,
            "paused": None, "last_delivered": "2027-01-01T00:00:00Z",
            "last_error": "timeout",
            "last_error_at": "2027-01-02T00:00:00Z"}  # fmt: skip
    later = base | {"last_error": "status 500", "last_delivered": None,
                    "last_error_at": "2027-01-03T00:00:00Z"}  # fmt: skip
    for parts in ((base, later), (later, base)):
        told = alerts([{"endpoints": [part], "dead_letters": []} for part in parts])
        (merged,) = told["endpoints"]
        assert (merged["last_error"], merged["last_delivered"], merged["waiting"]) == (
            "status 500", "2027-01-01T00:00:00Z", 2,
        )  # fmt: skip
    never = base | {"last_error": None, "last_error_at": None}
    (merged,) = alerts([{"endpoints": [base, never], "dead_letters": []}])["endpoints"]
    assert merged["last_error"] == "timeout"


async def test_a_browser_that_takes_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What makes the file is closed, and the connection too."""
    done: list[str] = []

    class Stuck:
        def __init__(self, **_: Any) -> None:
            """Take nothing."""

        async def prepare(self, _: Any) -> None:
            """Begin."""

        async def write(self, _: bytes) -> None:
            """Never end."""
            await asyncio.Event().wait()

    async def parts() -> Any:
        try:
            while True:
                yield b"x"
        finally:
            done.append("closed")

    monkeypatch.setattr(web, "StreamResponse", Stuck)
    monkeypatch.setattr(downloads, "WRITE_SECONDS", 0.01)
    request: Any = SimpleNamespace(
        transport=SimpleNamespace(abort=lambda: done.append("aborted"))
    )
    async with asyncio.timeout(5):
        await downloads.sent(request, Streamed("x", "text/csv", parts()), here)
    assert done == ["aborted", "closed"]


def test_ends_that_are_not_looked_at_are_told() -> None:
    """What waits behind the listed ones has no row: a sentence says so."""
    item = {
        "identifier": "a:b", "state": "pending", "wanted": "x", "act": "", "acts": 0,
        "changed": None, "reason": "", "causes": ["c"],
    }  # fmt: skip
    values = FRAME | {
        "person": request(Asked()).person, "problem": None, "one": "okta", "rows": [],
        "one_problem": None, "items": [item], "listed": 1000, "found": 1200,
        "given": {"state": "", "cause": ""}, "first": "", "waiting": [], "more": "",
        "may_order": False, "shown": [],
    }  # fmt: skip
    made = templates.environment(assets())
    text = templates.rendered(made, "actuators.html", values).decode()
    assert "among the last 1000 of 1200 ends" in text
    few = templates.rendered(made, "actuators.html", values | {"found": 1000})
    assert "among the last" not in few.decode()
