"""What waits: for a second person, and for its time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from streams.console.page import ActResult, PageKind, Rendered
from streams.console.templates import below, url

if TYPE_CHECKING:
    from streams.console.api import ApiAnswer, ApiProblem
    from streams.console.page import Form, PageRequest

ROWS: Final = 50
PROPOSALS, ORDERS = "after", "orders"  # where each list is, in the address


async def render(page: PageRequest) -> Rendered:
    """List what waits."""
    return await _shown(page)


async def _shown(
    page: PageRequest, form: Form | None = None, problem: ApiProblem | None = None
) -> Rendered:
    approvals, schedule = await asyncio.gather(
        page.api.get("approvals"), page.api.get("schedule")
    )
    waiting = approvals.body.get("approvals", [])
    orders = schedule.body.get("schedule", [])
    values = {
        "approvals": approvals,
        "proposals": _part(page, PROPOSALS, waiting),
        "proposals_pages": _pages(page, PROPOSALS, len(waiting)),
        "proposals_total": len(waiting),
        "schedule": schedule,
        "orders": _part(page, ORDERS, orders),
        "orders_pages": _pages(page, ORDERS, len(orders)),
        "orders_total": len(orders),
        "me": page.person.person,
        "may_decide": page.person.may("restorer"),
        "may_cancel": page.person.may("revoker", "restorer"),
        "form": form or {},
        "problem": problem,
    }
    return Rendered("approvals.html", values, problem.status if problem else 200)


def _part(page: PageRequest, name: str, rows: list[Any]) -> list[Any]:
    start = page.place(name)
    return rows[start : start + ROWS]


def _pages(page: PageRequest, name: str, count: int) -> tuple[str, str]:
    """Addresses of the pages before and after; "" where there is none."""
    start = page.place(name)

    def at(place: int) -> str:
        return url("/approvals", **{**page.query, name: place})

    before = at(max(0, start - ROWS)) if start else ""
    return before, at(start + ROWS) if start + ROWS < count else ""


async def approve(page: PageRequest, form: Form) -> ActResult | Rendered:
    """Approve what another person proposed; who may, is the API's word."""
    name = form.get("id", "")
    before = await page.api.get("approvals")
    answer = await page.api.post("approvals", name, "approve", body={})
    if answer.problem is not None:
        return await _shown(page, form, answer.problem)
    if not answer.body.get("accepted"):
        return ActResult("/approvals", str(answer.body.get("detail", "")))
    revocation = answer.body.get("revocation") or _revocation(before, name)
    if revocation is None:
        return ActResult("/approvals", "It is approved and done.")
    return ActResult(below("/revocations", revocation), "It is approved and done.")


def _revocation(listed: ApiAnswer, name: str) -> str | None:
    """Id of the revocation that an approval makes; None where it makes none or many."""
    rows: list[dict[str, Any]] = listed.body.get("approvals", [])
    found = [each.get("revocation") for each in rows if each["id"] == name]
    return found[0] if found else None


async def reject(page: PageRequest, form: Form) -> ActResult | Rendered:
    """Drop what waits for a second person."""
    order = {"reason": form.get("reason", "")}
    answer = await page.api.post("approvals", form.get("id", ""), "reject", body=order)
    return await _dropped(page, form, answer, "It is rejected; nothing of it is done.")


async def cancel(page: PageRequest, form: Form) -> ActResult | Rendered:
    """Drop an order that waits for its time."""
    order = {"reason": form.get("reason", "")}
    answer = await page.api.post("schedule", form.get("id", ""), "cancel", body=order)
    return await _dropped(page, form, answer, "It is cancelled; nothing of it is done.")


async def _dropped(
    page: PageRequest, form: Form, answer: ApiAnswer, said: str
) -> ActResult | Rendered:
    if answer.problem is not None:
        return await _shown(page, form, answer.problem)
    return ActResult("/approvals", said)


KIND: Final = PageKind(
    path="/approvals",
    title="Approvals",
    nav=40,
    render=render,
    acts={"approve": approve, "reject": reject, "cancel": cancel},
    watches=True,
)
