"""One credential, agent or other node: whether it lives, why, and what is around it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from markupsafe import Markup

from streams.console.api import ApiAnswer
from streams.console.graph.layout import laid_out
from streams.console.graph.neighbourhood import Neighbourhood
from streams.console.graph.rows import rows_of
from streams.console.graph.states import state_of
from streams.console.graph.svg import drawn, summary
from streams.console.page import Exported, PageKind, Rendered
from streams.console.secret_names import is_secret
from streams.console.templates import url
from streams.console.text import visible
from streams.model.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.console.api import ApiProblem
    from streams.console.graph.neighbourhood import ShownNode
    from streams.console.page import PageRequest

LIMITS: Final = (50, 100, 200, 300)  # nodes of a picture
SHOWN: Final = LIMITS[1]
MOST_EXPANDED: Final = 8
LONGEST_EXPANDED: Final = 1000  # characters: a link stands at many nodes
CAUSES: Final = 8  # of the picture, of which it is asked how far they are
LATE: Final = 32  # revocations that spread, of which nodes stand in front
NAMES: Final = 16  # of a node, by which its uses are found
ROWS: Final = 50
FOUND: Final = 20  # findings, and audit lines
FORBIDDEN: Final = 403
MISSING: Final = 404
MORE_SPREAD: Final = "More revocations spread still than are marked."
PATIENCE: Final = 0.1  # seconds, from the request on, for which all waits for lineage
LOOKED: Final = 5000  # audit lines that are looked through, the latest ones


@frozen
class NodeSurroundings:
    """What is around a node, and whether it is marked where an end spreads still.

    Attributes:
        unread: why nobody knows which revocations spread still; None: it was read.
        more_spread: there are more of them than were read.
    """

    lineage: ApiAnswer
    unread: ApiProblem | None
    more_spread: bool


@frozen
class Spread:
    """How far the revocations of a page are.

    Attributes:
        by: answer of each that closure knows, by its id.
        unread: those that could not be asked about, by their ids.
    """

    by: dict[str, dict[str, Any]]
    unread: dict[str, ApiProblem]


async def render(page: PageRequest) -> Rendered:
    """Ask all about one node; each part stands for itself where another one fails.

    A lineage of very many nodes takes seconds: what is known before is shown first.
    """
    asked_at = page.query.get("at", "").strip()
    loop = asyncio.get_running_loop()
    began, looking = loop.time(), loop.create_task(_looked(page))
    why, then, node, findings, audit = await asyncio.gather(
        page.api.get("why", page.name),
        _then(page, asked_at),
        page.api.get("nodes", page.name),
        _findings(page),
        _audit(page),
    )
    if why.problem is not None and why.problem.status in {404, 422}:
        looking.cancel()
        values = {"problem": why.problem, "asked": page.name}
        return Rendered("find.html", values, why.status, "Credential or agent")
    uses = await _uses(page, node)
    values = {
        "name": page.name,
        "why": why,
        "state": _state(why, node),
        "at": asked_at,
        "then": then,
        "node": node,
        "uses": uses,
        "scopes": _scopes(node, uses),
        "findings": findings,
        "audit": audit,
        "limit": _limit(page),
        "limits": LIMITS,
        "expanded": _expanded(page),
        "json": json.dumps,
        "word": _word,
        "severity": Severity,
        "rows_shown": ROWS,
    }

    async def whole() -> Rendered:
        around = await looking
        lineage = around.lineage
        shown = None if lineage.problem else Neighbourhood.read(lineage.body)
        more = {
            "lineage": lineage,
            "around": around,
            "shown": shown,
            "spread": await _spread(page, why, shown),
            **_picture(page, shown),
        }
        return Rendered("credential.html", values | more, title=page.name)

    rest = loop.create_task(whole())
    await asyncio.wait({rest}, timeout=max(0.0, began + PATIENCE - loop.time()))
    if rest.done():
        return rest.result()
    spread = await _spread(page, why, None)
    first = {"lineage": None, "around": None, "shown": None, "spread": spread}
    return Rendered("credential.html", values | first, title=page.name, rest=rest)


async def svg(page: PageRequest) -> Exported | Rendered:
    """Save the picture as a file that is whole by itself.

    One without the marks of what spreads still would say that all of it has arrived; so
    it says where there are more than are marked.
    """
    around = await _looked(page)
    lineage = around.lineage
    problem = lineage.problem or around.unread
    if problem is not None:
        return Rendered("problem.html", {"problem": problem}, problem.status)
    shown = Neighbourhood.read(lineage.body)
    note = MORE_SPREAD if around.more_spread else ""
    picture = drawn(shown, laid_out(shown), clean=visible, note=note)
    return Exported("lineage.svg", "image/svg+xml", picture.encode("utf-8", "replace"))


async def _looked(page: PageRequest) -> NodeSurroundings:
    """Ask for what is around the node; what is not at every guard yet comes early."""
    spread = await page.api.get("revocations", state="open", limit=LATE)
    late = [each["id"] for each in spread.body.get("revocations", ())]
    given = _asked(page) | {"late": json.dumps(late) if late else None}
    lineage = await page.api.get("lineage", page.name, **given)
    more = spread.body.get("before") is not None
    return NodeSurroundings(lineage, spread.problem, more)


async def _then(page: PageRequest, at: str) -> ApiAnswer | None:
    return await page.api.get("why", page.name, at=at) if at else None


async def _uses(page: PageRequest, node: ApiAnswer) -> ApiAnswer:
    """Ask for the uses of every name of the node."""
    names = node.body.get("names", []) if node.problem is None else []
    asked = list(dict.fromkeys([page.name, *names]))[:NAMES]
    return await page.api.get("uses", identifier=json.dumps(asked))


async def _spread(
    page: PageRequest, why: ApiAnswer, shown: Neighbourhood | None
) -> Spread:
    """How far the revocations are that a picture shows, by their causes."""
    causes = [why.body.get("cause") if why.problem is None else None]
    causes += [node.cause for node in shown.nodes] if shown else []
    ids = list(dict.fromkeys(cause["id"] for cause in causes if cause))[:CAUSES]
    answers = await asyncio.gather(*(page.api.get("revocations", each) for each in ids))
    found = Spread({}, {})
    for each, answer in zip(ids, answers, strict=True):
        if answer.problem is None:
            found.by[each] = answer.body
        # Of an old one closure knows nothing any more; its page says so.
        elif answer.problem.status != MISSING:
            found.unread[each] = answer.problem
    return found


async def _findings(page: PageRequest) -> ApiAnswer | None:
    """Latest findings about the node; None where the person may not look for some."""
    pattern = re.sub(r"([*?[])", r"[\1]", page.name)
    found = await page.api.get("findings", identifier=pattern, limit=FOUND)
    if found.problem is not None:
        return None if found.problem.status == FORBIDDEN else found
    return found if "looked" in found.body else None


async def _audit(page: PageRequest) -> ApiAnswer | None:
    """Audit lines that name the node, among the latest ones."""
    if not page.person.may("viewer"):
        return None
    head = await page.api.get("audit/head")
    if head.problem is not None:
        return head
    after = max(0, head.body["sequence"] - LOOKED)
    return await page.api.get(
        "audit/search", identifier=page.name, after=after, limit=FOUND
    )


def _limit(page: PageRequest) -> int:
    given = page.query.get("limit", "")
    return int(given) if given in map(str, LIMITS) else SHOWN


def _expanded(page: PageRequest) -> list[str]:
    """Names of what is expanded, as the URL has them; what is no list is none."""
    try:
        given = json.loads(page.query.get("expand") or "[]")
    except ValueError:
        return []
    texts = given if isinstance(given, list) else []
    kinds = page.person.hashed_kinds
    names = (each for each in texts if isinstance(each, str))
    return [each for each in names if not is_secret(each, kinds)][-MOST_EXPANDED:]


def _asked(page: PageRequest) -> dict[str, Any]:
    expanded = _expanded(page)
    return {
        "limit": _limit(page),
        "expand": json.dumps(expanded) if expanded else None,
    }


def _picture(page: PageRequest, shown: Neighbourhood | None) -> dict[str, Any]:
    """Picture and table, with links that keep what is expanded."""
    if shown is None or not shown.known:
        return {"picture": None, "rows": [], "summary": "", "undrawn": 0}
    expanded, limit = _expanded(page), page.query.get("limit")

    def more(node: ShownNode) -> str:
        names = [*(each for each in expanded if each != node.identifier)]
        while names and len(json.dumps(names)) > LONGEST_EXPANDED:
            del names[0]
        opened = json.dumps([*names, node.identifier][-MOST_EXPANDED:])
        at = page.query.get("at")
        return url("/credentials", page.name, expand=opened, limit=limit, at=at)

    layout = laid_out(shown)
    picture = drawn(shown, layout, clean=visible, node_link=_link, fold_link=more)
    return {
        "undrawn": layout.undrawn,
        "picture": Markup(picture),  # noqa: S704 - `drawn` escapes every text
        "rows": [(row, more(row.node)) for row in rows_of(shown)],
        "summary": summary(shown),
    }


def _link(node: ShownNode) -> str:
    return url("/credentials", node.identifier)


def _state(why: ApiAnswer, node: ApiAnswer) -> str:
    if why.problem is not None:
        return "not known"
    kind = str(node.body.get("kind", ""))
    return _word(kind, why.body["reason"], allowed=bool(why.body["allowed"]))


def _word(kind: str, reason: str, *, allowed: bool) -> str:
    return state_of(kind, reason, allowed=allowed).word


def _scopes(node: ApiAnswer, uses: ApiAnswer) -> list[tuple[str, str, list[str]]]:
    """Return declared scopes, with who declared each and what it covers of the used."""
    used = [each["scope"] for each in uses.body.get("scopes", [])]
    declared = (
        (scope, each["authority"])
        for each in node.body.get("scopes", [])
        for scope in each["scopes"]
    )
    return [
        (scope, authority, [*_covered(scope, used)]) for scope, authority in declared
    ]


def _covered(scope: str, used: Iterable[str]) -> Iterable[str]:
    whole = scope.removesuffix("*") if scope.endswith(":*") else None
    for each in used:
        if each == scope or (whole is not None and each.startswith(whole)):
            yield each


KIND: Final = PageKind(
    path="/credentials/{name}",
    title="Credential or agent",
    render=render,
    exports={"svg": svg},
    filters=("at", "expand", "limit"),
)
