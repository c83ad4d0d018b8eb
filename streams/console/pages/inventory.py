"""What there is, and what stands out: owners, accounts, scopes, unknown agents."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.console.page import PageKind, Rendered, Streamed
from streams.console.templates import url
from streams.console.text import csv_file
from streams.model.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from streams.console.api import ApiAnswer
    from streams.console.page import PageRequest

    Row = Mapping[str, Any]

ROWS: Final = 50
PART: Final = 500  # rows of an export that are asked for at once
LINES: Final = 50  # rows that are written before others have their turn
UNKNOWN: Final = 5000  # names in use that are listed
MOST_ASKED: Final = 2  # parts that a page without rows waits for, half a second each
UNDECLARED, SCOPES, EXPIRING, OWNED = "undeclared", "scopes", "expiring", "owned"
FILTERS: Final = ("text", "kind", "state", "owner", "within", "unused")


@frozen
class ListKind:
    """A list of the inventory.

    Attributes:
        says: what stands in it.
        next: what to do where nothing does.
    """

    name: str
    title: str
    says: str
    next: str


LISTS: Final = {
    each.name: each
    for each in (
        ListKind(
            "ownerless", "Without owner",
            "Known names that nobody owns and that hang on nothing.",
            "Every name has an owner, or hangs on something.",
        ),
        ListKind(
            "owners", "Owners", "Names that own something, and how much.",
            "Name owners in the lists that you adopt: see docs/adopt.md.",
        ),
        ListKind(
            OWNED, "Owned by one", "What one name owns.",
            "Choose an owner in the list of owners.",
        ),
        ListKind(
            "shared", "Shared service accounts",
            "Accounts that more than one agent uses: what one does, all do.",
            "No account is used by two agents, as far as sources tell.",
        ),
        ListKind(
            "excess", "Beyond what is above",
            "Names that declare scopes which something above them does not cover.",
            "Nothing declares more than what it hangs on.",
        ),
        ListKind(
            SCOPES, "Declared and used",
            "Scopes that credentials declare, and the last day on which each was used.",
            "Scopes are compared with uses once access logs tell which a call needed.",
        ),
        ListKind(
            UNDECLARED, "Unknown agents",
            "Agents and credentials that are in use, and that no system declared.",
            "They are found in access logs: connect one, see docs/sentinel.md.",
        ),
        ListKind(
            "unmapped", "Only named",
            "Parents that something hangs on, and that no system vouches for.",
            "Every parent is known.",
        ),
        ListKind(
            EXPIRING, "Expire soon", "What expires within a span, the soonest first.",
            "Nothing expires in this span: ask for a longer one.",
        ),
        ListKind(
            "all", "All names", "Everything that a system declared.",
            "Nothing is known yet: connect a source, or run `rescind adopt`.",
        ),
    )
}  # fmt: skip
ELSEWHERE: Final = "The process that was asked does not know this: name its peers."
SHOWN_IN_TABS: Final = tuple(each for each in LISTS.values() if each.name != OWNED)


async def render(page: PageRequest) -> Rendered:
    """Show a part of one list."""
    kind, given = _kind(page), _filters(page)
    values: dict[str, Any] = {
        "kind": kind,
        "given": {name: given.get(name, "") for name in FILTERS},
        "filtered": bool(given),
        "tabs": SHOWN_IN_TABS,
        "tab": "owners" if kind.name == OWNED else kind.name,
        "csv": url("/inventory", list=kind.name, **given, export="csv"),
        "first": url("/inventory", list=kind.name, **given),
        "continued": "after" in page.query,
        "owned_url": _owned_url,
    }
    if kind.name == UNDECLARED:
        return Rendered("inventory.html", values | await _undeclared(page, given))
    if kind.name == SCOPES:
        return Rendered("inventory.html", values | await _scopes(page, given))
    return Rendered("inventory.html", values | await _part(page, kind.name, given))


async def _part(
    page: PageRequest, name: str, given: Mapping[str, str]
) -> dict[str, Any]:
    """Rows of a list of the table; a part may have to be asked for in several."""
    rows: list[Row] = []
    after = page.query.get("after") or None
    turns = 0
    while True:
        answer = await _ask(page, name, given, after, ROWS - len(rows))
        if answer.problem is not None:
            return _nothing(answer)
        rows += answer.body["rows"]
        after, turns = answer.body["after"], turns + 1
        if after is None or rows or turns >= MOST_ASKED:
            break
    more = after and url("/inventory", list=name, **given, after=after)
    looked = answer.body.get("looked")
    return {
        "problem": None,
        "rows": rows,
        "more": more or "",
        "names_in_table": answer.body["names"],
        "looked": looked[1] if looked and after and len(rows) < ROWS else None,
        "note": "",
    }


async def _undeclared(page: PageRequest, given: Mapping[str, str]) -> dict[str, Any]:
    answer = await page.api.get("inventory", UNDECLARED, limit=UNKNOWN)
    if answer.problem is not None:
        return _nothing(answer)
    found = answer.body["undeclared"]
    note = ""
    if found is None:
        note = ELSEWHERE
    elif len(found) == UNKNOWN:
        note = f"There are {UNKNOWN} or more: the rest is not listed."
    text, kind = given.get("text", "").casefold(), given.get("kind", "")
    rows = [
        each
        for each in found or ()
        if text in each["identifier"].casefold() and _is_of(each["identifier"], kind)
    ]
    start = page.place()
    later = start + ROWS < len(rows)
    return {
        "problem": None,
        "rows": rows[start : start + ROWS],
        "more": url("/inventory", list=UNDECLARED, **given, after=start + ROWS)
        if later
        else "",
        "names_in_table": None,
        "looked": None,
        "note": note,
    }


async def _scopes(page: PageRequest, given: Mapping[str, str]) -> dict[str, Any]:
    after = page.query.get("after") or None
    answer = await page.api.get("inventory", SCOPES, after=after, limit=ROWS, **given)
    if answer.problem is not None:
        return _nothing(answer)
    rows, later = answer.body["rows"], answer.body["after"]
    more = later and url("/inventory", list=SCOPES, **given, after=later)
    return {
        "problem": None,
        "rows": rows or (),
        "more": more or "",
        "names_in_table": None,
        "looked": None,
        "note": ELSEWHERE if rows is None else "",
    }


async def _ask(
    page: PageRequest,
    name: str,
    given: Mapping[str, str],
    after: str | None,
    limit: int,
) -> ApiAnswer:
    return await page.api.get("inventory", name, after=after, limit=limit, **given)


def _nothing(answer: ApiAnswer) -> dict[str, Any]:
    return {
        "problem": answer.problem,
        "rows": [],
        "more": "",
        "names_in_table": None,
        "looked": None,
        "note": "",
    }


def _kind(page: PageRequest) -> ListKind:
    name = page.query.get("list", "ownerless")
    if name == OWNED and not page.query.get("owner"):
        name = "owners"
    return LISTS.get(name, LISTS["ownerless"])


def _filters(page: PageRequest) -> dict[str, str]:
    """Return the filters that are set and that the API takes for this list."""
    kind = _kind(page).name
    given = {name: page.query[name] for name in FILTERS if page.query.get(name)}
    if kind != OWNED:
        given.pop("owner", None)
    if kind != EXPIRING:
        given.pop("within", None)
    if kind in (UNDECLARED, SCOPES):
        given.pop("state", None)
    if kind == SCOPES:
        given.pop("kind", None)
    else:
        given.pop("unused", None)
    return given


def _owned_url(owner: str) -> str:
    return url("/inventory", list=OWNED, owner=owner)


def _is_of(identifier: str, kind: str) -> bool:
    named = identifier.partition(":")[0]
    below = kind.endswith(".*") and named.startswith(kind[:-1])
    return not kind or named == kind or below


# -------------------------------------------------------------------- export

_HEADS: Final = ("identifier", "allowed", "reason", "owners", "scopes", "expires_at")
_MORE: Final[Mapping[str, tuple[str, ...]]] = {
    "owners": ("owns",),
    "shared": ("agents",),
    "excess": ("beyond",),
}
_OF_UNDECLARED: Final = (
    "identifier", "what", "first_seen", "last_seen", "points", "credentials",
)  # fmt: skip
_OF_SCOPES: Final = ("identifier", "last_use", "scopes")


async def export(page: PageRequest) -> Streamed | Rendered:
    """Return the whole list as a file for a spreadsheet, however long it is.

    One part of it is in memory at a time. A file that could not be finished says so in
    its last line.
    """
    kind, given = _kind(page), _filters(page)
    heads, ask = _exported(page, kind.name, given)
    first = await ask(None)
    if first.problem is not None:
        return Rendered("problem.html", {"problem": first.problem}, first.status)
    day = str(rfc3339(page.now))[:10]
    name = f"rescind-{kind.name}-{day}.csv"
    return Streamed(name, "text/csv; charset=utf-8", _lines(heads, first, ask))


def _exported(
    page: PageRequest, name: str, given: Mapping[str, str]
) -> tuple[Sequence[str], Callable[[Any], Any]]:
    """Columns of a list, and the question for its part behind a place."""
    if name == UNDECLARED:
        return _OF_UNDECLARED, lambda _: page.api.get("inventory", name, limit=UNKNOWN)
    if name == SCOPES:
        return _OF_SCOPES, lambda after: page.api.get(
            "inventory", name, after=after, limit=PART, **given
        )
    heads = (*_HEADS, *_MORE.get(name, ()))
    return heads, lambda after: _ask(page, name, given, after, PART)


async def _lines(
    heads: Sequence[str], answer: ApiAnswer, ask: Callable[[Any], Any]
) -> AsyncGenerator[bytes, None]:
    yield csv_file(heads, ())
    while True:
        body = answer.body
        rows = body.get("rows") or body.get("undeclared") or ()
        for start in range(0, len(rows), LINES):
            cells = [[_cell(row.get(head)) for head in heads]
                     for row in rows[start : start + LINES]]  # fmt: skip
            yield csv_body(cells)
            await asyncio.sleep(0)
        after = body.get("after")
        if after is None:
            if told := _cut(body):
                yield csv_body([[f"NOT COMPLETE: {told}"]])
            return
        answer = await ask(after)
        if answer.problem is not None:
            told = f"NOT COMPLETE: {answer.problem.title}: {answer.problem.detail}"
            yield csv_body([[told]])
            return


def _cut(body: Mapping[str, Any]) -> str:
    """Why a list that has no further part is not whole; "" where it is."""
    if "undeclared" not in body:
        return ""
    if body["undeclared"] is None:
        return "this process does not know what is told of the realm"
    return f"the first {UNKNOWN}" if len(body["undeclared"]) >= UNKNOWN else ""


def csv_body(rows: Sequence[Sequence[object]]) -> bytes:
    """Lines of a table without its heads."""
    return csv_file((), rows).split(b"\r\n", 1)[1]


def _cell(value: Any) -> object:
    """Value as one cell: a list in one line, each of its parts apart by a blank."""
    return " ".join(map(_part_of_cell, value)) if isinstance(value, list) else value


def _part_of_cell(each: Any) -> str:
    if not isinstance(each, dict):
        return str(each)
    if "ancestor" in each:
        return f"{each['ancestor']}: {' '.join(each['scopes'])};"
    used = each["last_used"] or f"not used since {each['watched_since']}"
    return f"{each['scope']}: {used};"


KIND: Final = PageKind(
    path="/inventory",
    title="Inventory",
    nav=50,
    render=render,
    exports={"csv": export},
    filters=("list", *FILTERS),
)
