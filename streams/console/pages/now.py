"""The first page: what is under way, and what needs somebody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from streams.console.page import PageKind, Rendered

if TYPE_CHECKING:
    from streams.console.page import PageRequest


async def render(page: PageRequest) -> Rendered:
    """Ask for guards, sources and findings, and show what stands out."""
    guards, sources, findings = await asyncio.gather(
        page.api.get("guards"),
        page.api.get("sources"),
        page.api.get("findings", limit=1000),
    )
    rows = guards.body.get("guards", [])
    values = {
        "guards": guards,
        "sources": sources,
        "findings": findings,
        "without_lease": [each for each in rows if each["standing"] != "heard"],
        "silent": [
            each for each in sources.body.get("sources", []) if not each["good"]
        ],
        "open": [each for each in findings.body.get("findings", []) if each["open"]],
    }
    return Rendered("now.html", values)


KIND: Final = PageKind(path="/", title="Now", nav=1, render=render)
