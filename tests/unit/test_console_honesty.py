"""Pages and files of the console call nothing whole, and nothing well, that is not."""

from __future__ import annotations

from typing import Any, Final

import pytest

from streams.console import templates
from streams.console.api import ApiAnswer, ApiProblem
from streams.console.assets import assets
from streams.console.page import Exported, PageRequest, Person, Streamed
from streams.console.pages import (
    findings,
    inventory,
    now,
    revocations,
)
from tests.unit.test_console_incident_pages import FINDING, FRAME, Answers

pytestmark = pytest.mark.unit

PERSON: Final = Person("ann", "ann", frozenset({"viewer"}), "r", ("r",), "csrf")
GUARD: Final = {
    "guard": "edge", "standing": "heard", "mode": "enforce", "lease_ms": 1000,
    "heard_ms_ago": 10, "behind": 0,
}  # fmt: skip
NOW: Final[dict[str, dict[str, Any]]] = {
    "revocations": {"revocations": [], "before": None, "whole": True},
    "findings": {"findings": [], "before": None, "looked": 0},
    "guards": {"guards": [GUARD]},
    "sources": {"sources": []},
    "actuators": {"actuators": []},
}


async def first_page(**changed: dict[str, Any]) -> str:
    """Give the first page of some answers."""
    data = NOW | changed
    api = Answers(lambda path: ApiAnswer(200, data[path[0]]))
    made = await now.render(_request(api))
    values = FRAME | {"person": PERSON} | {**made.values}
    page = templates.rendered(templates.environment(assets()), made.template, values)
    return page.decode()


def _request(api: Any, **query: str) -> PageRequest:
    return PageRequest(api, query, "", 0, PERSON)


async def test_a_guard_without_a_lease_is_never_well() -> None:
    """Not when it was not heard within its lease, nor where nobody knows."""
    assert "Every guard has its lease." in await first_page()
    late = GUARD | {"heard_ms_ago": 1001}
    text = await first_page(guards={"guards": [late, GUARD]})
    assert "Every guard has its lease." not in text
    assert "<strong>1 of 2</strong>" in text
    assert "lapsed" in text
    fed = {"guard": "fed", "standing": "unknown", "connected": True}
    text = await first_page(guards={"guards": [GUARD, fed]})
    assert "Every guard has its lease." not in text
    assert "1 of 2 send no receipts" in text


async def test_a_search_that_stopped_found_not_all() -> None:
    """The first page says of how many findings it speaks."""
    assert "No finding is open." in await first_page()
    stopped = {"findings": [], "before": 7, "looked": 4000}
    text = await first_page(findings=stopped)
    assert "No finding is open." not in text
    assert "None of the 4000 findings" in text
    assert "<strong>0 or more</strong>" in text
    some = {"findings": [FINDING], "before": 7, "looked": 4000}
    text = await first_page(findings=some)
    assert "<strong>1 or more</strong>" in text
    assert "of those looked at" in text


async def test_what_is_under_way_is_never_missing_without_a_word() -> None:
    """Nor are the ends at issuers: a dash stands where there are none."""
    closed = {
        "id": "f", "identifier": "agent.id:x", "effect": "revoke", "state": "closed",
        "by": "", "authority": "", "reason": "", "accepted_at": "", "seconds": None,
        "applied": 1, "fenced": 0, "laggards": 0,
    }  # fmt: skip
    latest = {"revocations": [closed], "before": None, "whole": True}
    busy = ApiAnswer(503, {}, ApiProblem("too busy", "", "Again.", 503))

    async def shown(failing: str, rows: dict[str, Any]) -> str:
        lists = iter((busy if failing == "opened" else ApiAnswer(200, rows), None))

        def answer(path: tuple[str, ...]) -> ApiAnswer:
            if path[0] == "revocations":
                return next(lists) or ApiAnswer(200, rows)
            return busy if path[0] == failing else ApiAnswer(200, NOW[path[0]])

        made = await now.render(_request(Answers(answer)))
        values = FRAME | {"person": PERSON} | {**made.values}
        made_by = templates.environment(assets())
        return templates.rendered(made_by, made.template, values).decode()

    for rows in (latest, NOW["revocations"]):
        text = await shown("opened", rows)
        assert "could not be asked for, and may be missing: too busy" in text
        assert "Nothing was revoked yet" not in text
    assert "<td>could not be asked</td>" in await shown("actuators", latest)
    assert "could not be asked" not in await shown("none", latest)


async def test_a_dash_stands_for_no_issuer_that_nobody_asked() -> None:
    """Of many revocations the last ones say where that is told."""
    row = {
        "identifier": "agent.id:x", "effect": "revoke", "state": "closed",
        "by": "", "authority": "", "reason": "", "accepted_at": "", "seconds": None,
        "applied": 1, "fenced": 0, "laggards": 0,
    }  # fmt: skip
    rows = [row | {"id": f"c{number}"} for number in range(now.ASKED + 2)]
    data = NOW | {
        "revocations": {"revocations": rows, "before": None, "whole": True},
        "actuators": {"actuators": [{"actuator": "a"}]},
    }

    async def shown(**changed: Any) -> str:
        def answer(path: tuple[str, ...]) -> ApiAnswer:
            if path[-1] == "issuers":
                return ApiAnswer(200, {"state": "pending", "ended": 1})
            return ApiAnswer(200, (data | changed)[path[0]])

        made = await now.render(_request(Answers(answer)))
        values = FRAME | {"person": PERSON} | {**made.values}
        made_by = templates.environment(assets())
        return templates.rendered(made_by, made.template, values).decode()

    text = await shown()
    assert (text.count("1 ended"), text.count(">on its page</a>")) == (now.ASKED, 2)
    assert "on its page" not in await shown(actuators={"actuators": []})


async def test_ends_that_an_actuator_does_not_tell_are_missed() -> None:
    """The page of a revocation says that its list is not whole."""
    busy = ApiAnswer(503, {}, ApiProblem("too busy", "", "Again.", 503))
    issuers = ApiAnswer(200, {"actuators": [{"actuator": "a", "ended": 1}]})
    page = _request(Answers(lambda _: busy))
    assert await revocations._ends(page, issuers) == ([], busy.problem)


@pytest.mark.parametrize("page", [now.KIND, revocations.LIST])
async def test_a_worker_that_began_late_does_not_say_nothing_was_ended(
    page: Any,
) -> None:
    """It knows what is open, and what was closed since."""
    data = NOW | {"revocations": {"revocations": [], "before": None, "whole": False}}
    made = await page.render(
        _request(Answers(lambda path: ApiAnswer(200, data[path[0]])))
    )
    values = FRAME | {"person": PERSON} | {**made.values}
    text = templates.rendered(
        templates.environment(assets()), made.template, values
    ).decode()
    assert "since this worker follows the realm" in text
    for word in ("Nothing was revoked yet", "Nothing was ended yet"):
        assert word not in text


async def saved(page: Any, *bodies: dict[str, Any], **query: str) -> list[str]:
    """Give the lines of a file that is made of some answers."""
    left = [ApiAnswer(200, body) for body in bodies]
    api = Answers(lambda _: left.pop(0) if left[1:] else left[0])
    made = await page.exports["csv"](_request(api, **query))
    if isinstance(made, Exported):
        text = made.body
    else:
        assert isinstance(made, Streamed)
        text = b"".join([part async for part in made.parts])
    return text.decode().rstrip("\r\n").split("\r\n")


async def test_a_file_of_findings_goes_on_where_a_search_stopped() -> None:
    """And says in its last line that it is not whole."""
    none = {"findings": [], "before": 9, "looked": 4000}
    some = {"findings": [FINDING], "before": None, "looked": 10}
    lines = await saved(findings.LIST, none, some)
    assert "NOT COMPLETE" not in lines[-1]
    assert any("use_after_revocation" in line for line in lines)
    assert "NOT COMPLETE" in (await saved(findings.LIST, none))[-1]


async def test_a_saved_list_says_where_it_was_cut() -> None:
    """A bound is told, and so is what nobody knows."""
    seen = {"identifier": "agent.id:x", "points": [], "credentials": []}
    many = {"undeclared": [seen] * inventory.UNKNOWN}
    for body, is_cut in (
        (many, True), ({"undeclared": None}, True), ({"undeclared": [seen]}, False),
    ):  # fmt: skip
        lines = await saved(inventory.KIND, body, list="undeclared")
        assert ("NOT COMPLETE" in lines[-1]) == is_cut
