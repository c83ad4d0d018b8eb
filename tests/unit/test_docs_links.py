"""Every link of the docs leads to a file, and to a heading where it names one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def pages(repository: Path) -> Iterator[Path]:
    """Give the pages that people read."""
    yield from repository.glob("*.md")
    for folder in ("docs", "examples", "wheels", "deploy"):
        yield from repository.glob(f"{folder}/**/*.md")


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text("utf-8"))
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in found)
    return {title.strip().replace(" ", "-") for title in plain}


def test_every_link_leads_somewhere(repository: Path) -> None:
    """Relative ones; those to other hosts are theirs."""
    lost = []
    for page in pages(repository):
        text = FENCE.sub("", page.read_text("utf-8"))
        for path, anchor in LINK.findall(text):
            target = page.parent / path if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                lost.append(f"{page.relative_to(repository)}: {path}#{anchor}")
    assert [] == lost
