"""The pages of an incident as functions of answers: hostile, empty, broken."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final

import pytest

from streams.console import templates
from streams.console.api import ApiAnswer, ApiProblem
from streams.console.assets import assets
from streams.console.page import PageRequest, Person, Rendered
from streams.console.pages import approvals, contain, findings, revocations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.console.page import PageKind

pytestmark = pytest.mark.unit

HOSTILE: Final = "\"'><script>x</script><img src=x onerror=y>\u202e\x1b\x00{{7*7}}=1"
AT: Final = "2026-11-29T23:50:30.123456789Z"
ID: Final = "f" * 64
ALL: Final = frozenset({"viewer", "revoker", "restorer", "admin"})
BROKEN: Final = ApiProblem("It is broken", HOSTILE, "Try again.", 503)
# What the frame gives to each template, and reads from none but its own.
FRAME: Final = {
    "title": "T", "layout": templates.LAYOUT, "alone": False, "menu": [], "now": 0,
    "theme": "auto", "told": "", "here": "/console", "content_url": "", "live_url": "",
    "is_skeleton": False,
}  # fmt: skip

FINDING: Final = {
    "id": HOSTILE, "kind": "use_after_revocation", "severity": 4, "presented": HOSTILE,
    "point": HOSTILE, "open": True, "count": 2, "message": HOSTILE * 30,
    "first_seen": AT, "last_seen": AT, "address": HOSTILE, "user_agent": HOSTILE,
    "owner": HOSTILE, "agent": HOSTILE + "2", "outcome": HOSTILE, "cause": ID,
    "cause_at": AT, "cause_effect": HOSTILE, "ended_by": HOSTILE, "authority": HOSTILE,
    "reason": HOSTILE, "path": [HOSTILE, HOSTILE + "3"], "event_ids": [HOSTILE],
    "related": [HOSTILE],
    "acknowledged": {"by": HOSTILE, "at": AT, "note": HOSTILE, "worse": True},
    "silenced": {"id": HOSTILE, "by": HOSTILE, "reason": HOSTILE, "until": AT},
    "alert": {
        "title": HOSTILE, "lines": [HOSTILE, f"Who: {HOSTILE}"], "closing": HOSTILE,
        "details": {HOSTILE: HOSTILE},
    },
}  # fmt: skip
ROW: Final = {
    "id": ID, "identifier": HOSTILE, "effect": "suspend", "state": "partial",
    "by": HOSTILE, "authority": HOSTILE, "reason": HOSTILE, "aspect": HOSTILE, "at": AT,
    "until": AT, "accepted_at": AT, "deadline": AT, "closed_at": None, "seconds": None,
    "applied": 1, "fenced": 1, "laggards": 1, "left": 0,
}  # fmt: skip
REVOCATION: Final = ROW | {
    "fenced": [HOSTILE], "laggards": [HOSTILE] * 60, "observing": [HOSTILE],
    "unknown": [HOSTILE],
    "arrivals": {
        "curve": [[0.1, 1]], "slowest": [{"guard": HOSTILE, "seconds": 0.1}],
        "untimed": 2,
    },
}  # fmt: skip
ENDS: Final = {
    "actuator": HOSTILE, "ended": 1, "pending": 1, "unreachable": 0, "failed": 1,
}  # fmt: skip
ISSUERS: Final = {
    "state": "partial", "actuators": [ENDS],
    "not_ended": [{
        "identifier": HOSTILE, "actuator": HOSTILE, "state": "failed",
        "reason": HOSTILE, "changed": AT, "act": HOSTILE,
    }],
}  # fmt: skip
NODE: Final = {
    "identifier": HOSTILE, "depth": 1, "via": None, "allowed": True, "last_use": AT,
    "used_since_end": True,
}  # fmt: skip
NAMED: Final = {"total": 1, "first": [HOSTILE]}
PLAN: Final = {
    "id": HOSTILE, "act": "suspend", "order": {"reason": HOSTILE}, "summary": HOSTILE,
    "count": 1, "planned_at": AT, "applied": None, "live_on": 0,
    "ends": {
        "total": 1, "by_kind": {HOSTILE: 1},
        "by_owner": [{"owner": HOSTILE, "count": 1}],
        "by_last_use": {"hour": 1, "never": 0},
    },
    "denied_already": {"total": 0}, "unknown": NAMED, "lose_last_owner": NAMED,
    "acting_now": {
        "total": 1, "first": [{"agent": HOSTILE, "last_use": AT, "ends": True}],
    },
    "shared_accounts": [{"account": HOSTILE, "agents": [HOSTILE]}],
    "incomplete": [{"of": "uses", "detail": HOSTILE}],
    "first": [{"identifier": HOSTILE, "owners": [HOSTILE], "last_use": None}],
}  # fmt: skip
PENDING: Final = {
    "id": HOSTILE, "summary": HOSTILE, "reason": HOSTILE, "proposed_by": HOSTILE,
    "proposed_at": AT, "expires_at": None, "facts": 1, "due_at": AT, "revocation": None,
}  # fmt: skip
DATA: Final[dict[tuple[str, ...], dict[str, Any]]] = {
    ("findings",): {"findings": [FINDING], "before": 7, "looked": 9},
    ("findings", "x"): FINDING,
    ("revocations",): {"revocations": [ROW], "before": 3, "whole": False},
    ("revocations", "x"): REVOCATION,
    ("revocations", "x", "issuers"): ISSUERS,
    ("actuators", HOSTILE): {"items": ISSUERS["not_ended"]},
    ("lineage",): {"nodes": [NODE], "total": {"below": 1}},
    ("plans", "x"): PLAN,
    ("approvals",): {"approvals": [PENDING]},
    ("schedule",): {"schedule": [PENDING]},
}
EMPTY: Final[dict[tuple[str, ...], dict[str, Any]]] = {
    ("findings",): {"findings": [], "before": None, "looked": 0},
    ("revocations",): {"revocations": [], "before": None, "whole": True},
    ("approvals",): {"approvals": []},
    ("schedule",): {"schedule": []},
}
PAGES: Final[dict[str, tuple[PageKind, dict[str, str], str]]] = {
    "findings": (findings.LIST, {"kind": HOSTILE, "identifier": HOSTILE}, ""),
    "finding": (findings.ONE, {}, "x"),
    "revocations": (revocations.LIST, {}, ""),
    "revocation": (revocations.ONE, {}, "x"),
    "contain": (contain.KIND, {"names": HOSTILE, "where": HOSTILE}, ""),
    "plan": (contain.KIND, {"plan": "x", "finding": HOSTILE}, ""),
    "approvals": (approvals.KIND, {}, ""),
}


class Answers:
    """An API that answers by the path."""

    def __init__(self, answer: Callable[[tuple[str, ...]], ApiAnswer]) -> None:
        self.answer = answer

    async def get(self, *path: str, **query: Any) -> ApiAnswer:
        """Answer a question."""
        del query
        return self.answer(path[:1] if path[0] == "lineage" else path)

    async def post(
        self, *path: str, body: Mapping[str, Any] | None = None
    ) -> ApiAnswer:
        """Answer an order."""
        del body
        return self.answer(path)


def told(data: Mapping[tuple[str, ...], dict[str, Any]]) -> Answers:
    """Give an API that has data."""
    return Answers(lambda path: ApiAnswer(200, data[path]))


def refusing() -> Answers:
    """Give an API that refuses everything."""
    return Answers(lambda _: ApiAnswer(503, {}, BROKEN))


class Tags(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.names += [name for name, _ in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]


async def shown(
    name: str,
    api: Answers,
    roles: frozenset[str] = ALL,
    query: Mapping[str, str] | None = None,
) -> tuple[Rendered, str]:
    """Render a page as the frame does; give what it said, and the HTML."""
    kind, own, of = PAGES[name]
    person = Person(HOSTILE, HOSTILE + "me", roles, "r", ("r", HOSTILE), "csrf")
    given = own if query is None else query
    page = PageRequest(api, given, of, 1, person)  # type: ignore[arg-type] # a fake
    made = await kind.render(page)
    assert not made.values.keys() & {*FRAME, "person"}
    made_of = templates.environment(assets())
    values = FRAME | {"person": person, "title": made.title or "T"} | {**made.values}
    return made, templates.rendered(made_of, made.template, values).decode()


@pytest.mark.parametrize("name", PAGES)
async def test_text_of_others_runs_nothing_and_is_seen(name: str) -> None:
    """In whatever field it came; each id stands once."""
    made, text = await shown(name, told(DATA))

    assert made.status == 200
    tags = Tags(text)
    assert tags.tags.count("script") == text.count('<script src="/console/static/')
    assert not {"img", "iframe"} & {*tags.tags}
    assert not [each for each in tags.names if each.startswith("on")]
    assert "style" not in tags.names
    # What stands in a form comes back as it was.
    seen = re.sub(r'value="[^"]*"|<textarea.*?</textarea>', "", text, flags=re.DOTALL)
    assert not {"\u202e", "\x1b", "\x00"} & {*seen}
    assert "{{7*7}}" in text
    assert len(tags.ids) == len({*tags.ids}), sorted(tags.ids)


@pytest.mark.parametrize("name", ["findings", "revocations", "contain", "approvals"])
async def test_an_empty_page_says_what_to_do_next(name: str) -> None:
    """It is never blank."""
    _, text = await shown(name, told(EMPTY))
    assert 'class="empty"' in text or 'method="post"' in text


@pytest.mark.parametrize("name", [name for name in PAGES if name != "contain"])
async def test_a_page_without_an_answer_says_why(name: str) -> None:
    """And what to do; nothing of it is markup."""
    _, text = await shown(name, refusing())
    assert "It is broken" in text
    assert "Try again." in text
    assert "<script>x" not in text


@pytest.mark.parametrize("name", PAGES)
async def test_a_reader_has_no_form_that_acts(name: str) -> None:
    """Only theme, realm, logout and the filter."""
    _, text = await shown(name, told(DATA), frozenset({"viewer"}))
    acts = {*re.findall(r'<form method="post" action="([^"]*)"', text)}
    own = {"/console/theme", "/console/realm", "/console/logout"}
    assert acts <= own | {"/console/findings/look"}


async def test_a_rare_finding_is_looked_for_further_back() -> None:
    """Until one is found, or for long enough: then the page says how far it looked."""
    places = iter(range(9, 0, -1))

    def answer(_: tuple[str, ...]) -> ApiAnswer:
        place = next(places)
        found = [FINDING] if place == 7 else []
        body = {"findings": found, "before": place, "looked": 4000}
        return ApiAnswer(200, body)

    made, _ = await shown("findings", Answers(answer))
    assert (made.values["looked"], len(made.values["rows"])) == (12_000, 1)
    nothing = Answers(
        lambda _: ApiAnswer(200, {"findings": [], "before": 5, "looked": 4000})
    )
    made, text = await shown("findings", nothing)
    assert made.values["looked"] == 32_000
    assert "None of the 32000 findings" in text
    assert 'rel="next"' in text


async def test_what_waits_is_all_there_page_by_page() -> None:
    """Each list has a place of its own in the address."""
    many = [PENDING | {"id": f"p{number:03}"} for number in range(120)]
    data = DATA | {("approvals",): {"approvals": many}}
    seen: list[str] = []
    for start in (0, 50, 100):
        query = {"after": str(start)} if start else {}
        _, text = await shown("approvals", told(data), query=query)
        seen += sorted({*re.findall(r'name="id" value="(p\d+)"', text)})
        assert ("after=" + str(start + 50) in text) == (start < 100)
        assert ('rel="prev"' in text) == bool(start)
    assert seen == [each["id"] for each in many]
    _, text = await shown("approvals", told(data), query={"after": "500"})
    assert "Nothing stands here any more." in text
