"""Who enforces, and how far each guard is; those without a lease come first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.console.guard_standing import NO_LEASE, ORDER, standing_of
from streams.console.page import ActResult, PageKind, Rendered
from streams.console.templates import url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.console.page import PageRequest

ROWS: Final = 50
WORDS: Final = {
    "gone": "It left without a word; it denies all, where it fails closed.",
    "silent": "It has not been heard for ten leases; it denies all by now, where it "
    "fails closed.",
    "lapsed": "It was not heard within its lease.",
    "unknown": "It is fed and sends no receipts: nobody knows what it applied.",
    "behind": "It has its lease, and facts that it has not confirmed yet.",
    "observe": "It counts what it would deny, and denies nothing.",
    "heard": "It has its lease, and confirmed all facts.",
}


async def render(page: PageRequest) -> Rendered:
    """Show the guards of the realm."""
    answer = await page.api.get("guards")
    rows = [
        each | {"shown": standing_of(each)} for each in answer.body.get("guards", ())
    ]
    wanted = page.query.get("state", "")
    text = page.query.get("text", "").casefold()
    counts = dict.fromkeys(ORDER, 0)
    for each in rows:
        counts[each["shown"]] += 1
    found = [
        each
        for each in rows
        if (not wanted or each["shown"] == wanted) and text in each["guard"].casefold()
    ]
    found.sort(key=lambda each: (ORDER[each["shown"]], each["guard"]))
    start = page.place()
    given = {
        name: page.query[name] for name in ("state", "text") if page.query.get(name)
    }
    later = start + ROWS < len(found)
    values: dict[str, Any] = {
        "problem": answer.problem,
        "rows": found[start : start + ROWS],
        "total": len(rows),
        "found": len(found),
        "counts": {name: count for name, count in counts.items() if count},
        "words": WORDS,
        "given": {"state": "", "text": ""} | given,
        "end": answer.body.get("end"),
        "more": url("/guards", **given, after=start + ROWS) if later else "",
        "without": sum(counts[name] for name in NO_LEASE),
        "may_remove": page.person.may("restorer"),
    }
    return Rendered("guards.html", values)


async def remove(page: PageRequest, form: Mapping[str, str]) -> ActResult | Rendered:
    """Let a guard go that will not come back."""
    name = form.get("guard", "")
    answer = await page.api.delete("guards", name)
    if answer.problem is not None:
        return Rendered("problem.html", {"problem": answer.problem}, answer.status)
    return ActResult("/guards", f"{name} was let go: revocations wait for it no more.")


KIND: Final = PageKind(
    path="/guards", title="Guards", nav=60, render=render, acts={"remove": remove},
    filters=("state", "text"), watches=True,
)  # fmt: skip
