"""What ends at issuers: how each actuator is, what it ends, approvals and retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.console.page import ActResult, PageKind, Rendered
from streams.console.templates import below, url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.console.page import PageRequest

ROWS: Final = 50
LISTED: Final = 1000  # ends that the API lists at most
ORDER: Final = {
    name: place for place, name in enumerate(("unreachable", "failing", "off", "well"))
}
COUNTED: Final = (
    "pending", "unreachable", "failed", "no_way", "left_to_guards", "confirmed",
    "ended",
)  # fmt: skip
UNPROVEN: Final = frozenset({"failed", "no_way"})


async def render(page: PageRequest) -> Rendered:
    """Show all actuators, or one with what it ends."""
    answer = await page.api.get("actuators")
    rows = sorted(
        answer.body.get("actuators", ()),
        key=lambda each: (ORDER.get(each["health"], 0), each["name"]),
    )
    values: dict[str, Any] = {
        "problem": answer.problem,
        "rows": rows,
        "shown": [name for name in _counted(rows) if any(each[name] for each in rows)],
        "one": None,
        "may_order": page.person.may("restorer"),
    }
    if page.name:
        modes = {each["name"]: each["mode"] for each in rows}
        values |= await _one(page, modes.get(page.name, ""))
        return Rendered("actuators.html", values, title=f"Actuator {page.name}")
    return Rendered("actuators.html", values)


async def _one(page: PageRequest, mode: str) -> dict[str, Any]:
    given = {n: page.query[n] for n in ("state", "cause") if page.query.get(n)}
    answer = await page.api.get("actuators", page.name, limit=LISTED, **given)
    items = answer.body.get("items", [])
    start = page.place()
    later = start + ROWS < len(items)
    # What waits for an approval is pending; the API says of a cause whether it does.
    waiting = {
        cause
        for each in items
        if each["state"] == "pending" and mode != "automatic"
        for cause in each["causes"]
    }
    return {
        "one": page.name,
        "one_problem": answer.problem,
        "items": items[start : start + ROWS],
        "found": answer.body.get("total", 0),
        "listed": len(items),
        "given": {"state": "", "cause": ""} | given,
        "first": url("/actuators", page.name, **given) if page.place() else "",
        "waiting": sorted(waiting)[:ROWS],
        "unproven": UNPROVEN,
        "more": url("/actuators", page.name, **given, after=start + ROWS)
        if later
        else "",
    }


async def approve(page: PageRequest, form: Mapping[str, str]) -> ActResult | Rendered:
    """Let an actuator end what a revocation reaches there."""
    return await _ordered(
        page, "approvals", {"cause": form.get("cause", ""), **_reason(form)},
        lambda told: f"{told['approved']} ends were approved at {told['actuator']}.",
    )  # fmt: skip


async def retry(page: PageRequest, form: Mapping[str, str]) -> ActResult | Rendered:
    """Have an actuator try again what was given up."""
    return await _ordered(
        page, "retries", _reason(form),
        lambda told: f"{told['retried']} ends are tried again at {told['actuator']}.",
    )  # fmt: skip


async def confirm(page: PageRequest, form: Mapping[str, str]) -> ActResult | Rendered:
    """Say that something is ended there, where no probe could prove it."""

    def words(told: Mapping[str, Any]) -> str:
        if told.get("accepted") is False:
            return "Not confirmed yet: another person has to approve it."
        return f"{told['identifier']} was confirmed as ended at {told['actuator']}."

    body = {"identifier": form.get("identifier", ""), **_reason(form)}
    return await _ordered(page, "confirmations", body, words)


async def _ordered(
    page: PageRequest, order: str, body: dict[str, str], words: Any
) -> ActResult | Rendered:
    answer = await page.api.post("actuators", page.name, order, body=body)
    if answer.problem is not None:
        return Rendered("problem.html", {"problem": answer.problem}, answer.status)
    return ActResult(below("/actuators", page.name), words(answer.body))


def _reason(form: Mapping[str, str]) -> dict[str, str]:
    reason = form.get("reason", "").strip()
    return {"reason": reason} if reason else {}


def _counted(rows: list[dict[str, Any]]) -> list[str]:
    """Names of the counts that the API gives, the known ones in their order."""
    there = [
        name
        for name, value in (rows[0].items() if rows else ())
        if isinstance(value, int) and name != "limit"
    ]
    return sorted(
        there, key=lambda name: COUNTED.index(name) if name in COUNTED else 99
    )


KIND: Final = PageKind(
    path="/actuators", title="Actuators", nav=90, render=render, watches=True
)
ONE: Final = PageKind(
    path="/actuators/{name}", title="Actuator", render=render,
    acts={"approve": approve, "retry": retry, "confirm": confirm}, watches=True,
)  # fmt: skip
