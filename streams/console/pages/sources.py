"""Where events come from: whether each source is heard, and what could not be read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from streams.console.page import PageKind, Rendered
from streams.console.templates import url

if TYPE_CHECKING:
    from streams.console.page import PageRequest

ROWS: Final = 50
LAST: Final = 2**63 - 1  # in front of it lie all dead letters
ORDER: Final = {
    name: place
    for place, name in enumerate(("stopped", "silent", "failing", "waiting", "good"))
}


async def render(page: PageRequest) -> Rendered:
    """Show the sources, and the dead letters, the newest first."""
    before = page.query.get("before") or str(LAST)
    sources, letters = await asyncio.gather(
        page.api.get("sources"), page.api.get("dlq", before=before, limit=ROWS)
    )
    rows = sorted(
        sources.body.get("sources", ()),
        key=lambda each: (ORDER.get(each["state"], 0), each["name"]),
    )
    start = page.place()
    dead = letters.body.get("dead_letters", ())
    older = dead[-1]["offset"] if len(dead) == ROWS else None
    values: dict[str, Any] = {
        "sources_problem": sources.problem,
        "letters_problem": letters.problem,
        "rows": rows[start : start + ROWS],
        "total": len(rows),
        "bad": sum(not each["good"] for each in rows),
        "letters": dead,
        "newest": "before" not in page.query,
        "more": url("/sources", after=start + ROWS) if start + ROWS < len(rows) else "",
        "older": "" if older is None else url("/sources", before=older),
        "latest": "" if "before" not in page.query else url("/sources"),
    }
    return Rendered("sources.html", values)


KIND: Final = PageKind(
    path="/sources", title="Sources", nav=70, render=render, watches=True
)
