"""Who gets alerts: how each receiver is, a test of it, and what was given up, again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.console.page import ActResult, PageKind, Rendered
from streams.console.templates import url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.console.page import PageRequest

ROWS: Final = 50
ORDER: Final = {
    name: place
    for place, name in enumerate(("disabled", "failing", "given up", "paused", "good"))
}


async def render(page: PageRequest) -> Rendered:
    """Show the receivers, and the alerts that were given up."""
    answer = await page.api.get("alerts")
    rows = [
        each | {"state": state_of(each)} for each in answer.body.get("endpoints", ())
    ]
    rows.sort(key=lambda each: (ORDER[each["state"]], each["name"]))
    letters = answer.body.get("dead_letters", [])[::-1]
    start = page.place()
    later = start + ROWS < len(letters)
    values: dict[str, Any] = {
        "problem": answer.problem,
        "rows": rows,
        "letters": letters[start : start + ROWS],
        "total": len(letters),
        "more": url("/receivers", after=start + ROWS) if later else "",
        "may_order": page.person.may("restorer"),
    }
    return Rendered("receivers.html", values)


def state_of(row: Mapping[str, Any]) -> str:
    """Word for a receiver, by what the API says of it."""
    if row["disabled"]:
        return "disabled"
    if row["failing"]:
        return "failing"
    if row["dead"]:
        return "given up"
    return "paused" if row["paused"] else "good"


async def test(page: PageRequest, form: Mapping[str, str]) -> ActResult | Rendered:
    """Send a test to one receiver, and say how that went."""
    answer = await page.api.post("alerts/test", body=_to(form))
    if answer.problem is not None:
        return Rendered("problem.html", {"problem": answer.problem}, answer.status)
    told = [
        f"{each['name']} took it."
        if each["accepted"]
        else f"{each['name']} did not take it: {each['error'] or each['status']}."
        for each in answer.body["endpoints"]
    ]
    return ActResult("/receivers", " ".join(told) or "There is no receiver to test.")


async def replay(page: PageRequest, form: Mapping[str, str]) -> ActResult | Rendered:
    """Deliver anew what was given up, to one receiver."""
    answer = await page.api.post("alerts/replay", body=_to(form))
    if answer.problem is not None:
        return Rendered("problem.html", {"problem": answer.problem}, answer.status)
    return ActResult("/receivers", f"{answer.body['replayed']} are on their way again.")


def _to(form: Mapping[str, str]) -> dict[str, str]:
    return {"endpoint": form["endpoint"]} if form.get("endpoint") else {}


KIND: Final = PageKind(
    path="/receivers", title="Receivers", nav=80, render=render,
    acts={"test": test, "replay": replay}, watches=True,
)  # fmt: skip
