"""The audit chain: look entries up, verify it in front of the reader, take it along."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import Factory, define

from streams.console.page import ActResult, PageKind, Rendered, Streamed
from streams.console.templates import url
from streams.model.times import rfc3339
from streams.process.aside import walked
from streams.services.chain_check import (
    BrokenChainError,
    ChainCheck,
    CheckState,
    key_id,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from streams.console.api import Api, ApiAnswer
    from streams.console.page import PageRequest

ROWS: Final = 50
PAGE: Final = 500  # entries that are read at once
LINES: Final = 100  # that are written before others have their turn
MOST_ASKED: Final = 2  # parts of a search that a page without rows waits for
TURN_SECONDS: Final = 1.0  # that a page verifies before it says how far it is
MOST: Final = 16  # checks that are kept
MOST_OWN: Final = 2  # of one person in one realm
FILTERS: Final = ("actor", "action", "identifier", "since", "until")
_EMPTY_FORM: Final = {"key": "", "kept": "", "start": ""}
_HOW: Final = (
    "Copy it as it was printed or exported: a PEM key, or a head in one line with two "
    "dots."
)


@define(eq=False)
class WatchedCheck:
    """A check that somebody watches.

    Attributes:
        of: person and realm; nobody else sees it.
        began: ns.
        signer: thumbprints of the keys that may have signed.
        failed: why the chain cannot be read on now.
    """

    of: tuple[str, str]
    check: ChainCheck
    began: int
    signer: str
    failed: Any = None
    lock: asyncio.Lock = Factory(asyncio.Lock)


class Checks:
    """Checks by their numbers; who looks at one moves it on, and nothing else does."""

    def __init__(self) -> None:
        """Start with none."""
        self._by: OrderedDict[str, WatchedCheck] = OrderedDict()
        self._count = 0

    def keep(self, watched: WatchedCheck) -> str:
        """Keep a check, and give its name; the oldest one goes when there are many."""
        own = [name for name, each in self._by.items() if each.of == watched.of]
        for name in own[: len(own) + 1 - MOST_OWN]:
            del self._by[name]
        self._count += 1
        name = str(self._count)
        self._by[name] = watched
        while len(self._by) > MOST:
            self._by.popitem(last=False)
        return name

    def find(self, name: str, of: tuple[str, str]) -> WatchedCheck | None:
        """Check of a person in a realm."""
        found = self._by.get(name)
        return found if found is not None and found.of == of else None


@define(eq=False)
class AuditPage:
    """The page, with the checks that are under way."""

    checks: Checks = Factory(Checks)

    async def render(self, page: PageRequest) -> Rendered:
        """Show a check, or entries: the last ones, or those that are looked for."""
        given = {name: page.query[name] for name in FILTERS if page.query.get(name)}
        values: dict[str, Any] = {
            "given": dict.fromkeys(FILTERS, "") | given,
            "filtered": bool(given),
            "form": _EMPTY_FORM,
            "wrong": "",
            "check": None,
            "export": url("/audit", export="lines"),
        }
        if "check" in page.query:
            values |= await self._watched(page)
        else:
            values |= await _entries(page, given)
        return Rendered("audit.html", values)

    async def verify(
        self, page: PageRequest, form: Mapping[str, str]
    ) -> ActResult | Rendered:
        """Begin to verify the chain, against the head that it has now."""
        head = await page.api.get("audit/head")
        if head.problem is not None:
            return Rendered("problem.html", {"problem": head.problem}, head.status)
        if head.body["head"] is None:
            return ActResult("/audit", "The chain has no signed head yet: try again.")
        own = form.get("key", "").strip()
        keys = [own] if own else head.body["keys"]
        try:
            check = ChainCheck.begin(
                head.body["head"],
                keys,
                own_key=bool(own),
                kept=form.get("kept", "").split(),
                start=form.get("start", "").strip() or None,
            )
        except (ValueError, BrokenChainError) as error:
            values = await _entries(page, {})
            wrong = {
                "wrong": f"{error}. {_HOW}",
                "form": _EMPTY_FORM | dict(form),
                "check": None,
            }
            more = {
                "given": dict.fromkeys(FILTERS, ""),
                "filtered": False,
                "export": url("/audit", export="lines"),
            }
            return Rendered("audit.html", values | wrong | more, 422)
        signer = ", ".join(map(key_id, keys))
        name = self.checks.keep(WatchedCheck(_of(page), check, page.now, signer))
        return ActResult(f"/audit?check={name}")

    async def _watched(self, page: PageRequest) -> dict[str, Any]:
        name = page.query["check"]
        watched = self.checks.find(name, _of(page))
        if watched is None:
            return {"check": None, **_no_entries(), "gone": True}
        await advance(watched, page.api)
        check = watched.check
        running = check.state is CheckState.RUNNING and watched.failed is None
        return {
            "check": check,
            "watched": watched,
            "running": running,
            "holds": check.state is CheckState.HOLDS,
            "began": rfc3339(watched.began),
            "heads": _heads(check),
            "poll": url("/audit", check=name, fragment="live"),
            "on": url("/audit", check=name),
            "gone": False,
            **_no_entries(),
        }


async def advance(watched: WatchedCheck, api: Api) -> None:
    """Verify what there is time for; a look meanwhile only tells how far it is."""
    if watched.lock.locked():
        return
    time = asyncio.get_running_loop().time
    check = watched.check
    async with watched.lock:
        until = time() + TURN_SECONDS
        while check.state is CheckState.RUNNING:
            answer = await api.get("audit", after=check.after, limit=PAGE)
            watched.failed = answer.problem
            if answer.problem is not None:
                return
            await walked(check.take(answer.body["lines"], answer.body["after"]))
            if time() >= until:
                return


async def _entries(page: PageRequest, given: Mapping[str, str]) -> dict[str, Any]:
    """Entries of the chain: without filters the last ones."""
    after = page.query.get("after")
    if after is None and not given:
        head = await page.api.get("audit/head")
        if head.problem is not None:
            return _no_entries() | {"problem": head.problem}
        after = str(max(0, head.body["sequence"] - ROWS))
    place: Any = after or "0"
    rows: list[Any] = []
    first = last = skipping = None
    for _ in range(MOST_ASKED):
        answer = await page.api.get(
            "audit/search", after=place, limit=ROWS - len(rows), **given
        )
        if answer.problem is not None:
            return _no_entries() | {"problem": answer.problem}
        rows += answer.body["lines"]
        looked, place = answer.body["looked"], answer.body["after"]
        if looked["last"] < looked["first"] and place is not None:
            skipping = looked.get("read", 0)
            continue
        first, last = first or looked["first"], looked["last"]
        if place is None or rows:
            break
    if not given:
        rows.reverse()  # the last one is what most look for
    return _no_entries() | {
        "rows": [_row(line) for line in rows],
        "looked": (first, last) if first else None,
        "skipping": skipping if first is None else None,
        "newest": not given and "after" not in page.query,
        "earlier": url("/audit", after=max(0, int(first or 1) - 1 - ROWS))
        if not given and first and first > 1
        else "",
        "more": "" if place is None else url("/audit", **given, after=place),
        "whole": place is None,
    }


def _no_entries() -> dict[str, Any]:
    return {
        "problem": None, "rows": [], "looked": None, "skipping": None, "newest": False,
        "earlier": "", "more": "", "whole": False, "gone": False,
    }  # fmt: skip


def _row(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row of the table shows of an entry."""
    entry, fact = line.get("entry") or {}, line.get("fact") or {}
    named = [
        str(fact[name])
        for name in ("target", "node", "child", "parent", "first", "second")
        if fact.get(name)
    ]
    what = entry.get("action") or " ".join(
        str(part) for part in (fact.get("effect"), entry.get("fact_kind")) if part
    )
    return {
        "number": line.get("sequence"),
        "at": entry.get("received_at") or entry.get("at"),
        "who": fact.get("actor") or entry.get("actor") or entry.get("authority"),
        "by": entry.get("ingress_key") or "",
        "what": what or ("pruned" if entry else "unreadable"),
        "named": named,
        "reason": fact.get("reason") or "",
        "whole": orjson.dumps(line, option=orjson.OPT_INDENT_2).decode(),
    }


def _heads(check: ChainCheck) -> list[tuple[str, Any]]:
    told: list[tuple[str, Any]] = []
    if check.start is not None:
        told.append(("behind the head that you gave", check.start))
    told += [("a head that you gave", head) for head in check.kept]
    told.append(("the head of the server as the check began", check.head))
    if check.end is not None and check.end != check.head:
        told.append(("the head that the lines ended with", check.end))
    return told


def _of(page: PageRequest) -> tuple[str, str]:
    return page.person.name, page.person.realm


# -------------------------------------------------------------------- export


async def export(page: PageRequest) -> Streamed | Rendered:
    """Return the chain line by line, as ``rescind audit export`` does."""
    first = await page.api.get("audit", after=0, limit=PAGE)
    if first.problem is not None:
        return Rendered("problem.html", {"problem": first.problem}, first.status)
    day = str(rfc3339(page.now))[:10]
    name = f"rescind-audit-{day}.ndjson"
    return Streamed(name, "application/x-ndjson", _lines(page.api, first))


async def _lines(api: Api, answer: ApiAnswer) -> AsyncGenerator[bytes, None]:
    """Yield all lines; a page that cannot be had ends them with one of no chain."""
    while True:
        lines = answer.body["lines"]
        for start in range(0, len(lines), LINES):
            some = lines[start : start + LINES]
            yield b"".join(orjson.dumps(each) + b"\n" for each in some)
            await asyncio.sleep(0)
        if answer.body["after"] is None:
            return
        answer = await api.get("audit", after=answer.body["after"], limit=PAGE)
        if answer.problem is not None:
            told = {"not_complete": answer.problem.title}
            yield orjson.dumps(told) + b"\n"
            return


_PAGE: Final = AuditPage()
KIND: Final = PageKind(
    path="/audit", title="Audit", nav=100, render=_PAGE.render,
    acts={"verify": _PAGE.verify}, exports={"lines": export},
    filters=FILTERS,
)  # fmt: skip
