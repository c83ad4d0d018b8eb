"""Contain: what is to be ended, what that would reach, and only then the order.

Each step is an act of the API: a plan, its reach as the table has it, the order as it
was planned. Somebody who sends a form twice orders once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from streams.console.page import ActResult, PageKind, Rendered
from streams.console.secret_names import is_secret
from streams.console.templates import below

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.console.api import ApiAnswer, ApiProblem
    from streams.console.page import Form, PageRequest

ACTS: Final = {
    "suspend": "suspend: deny it until a lift, or until a time",
    "revoke": "revoke: end it for good",
    "not_before": "not before: end what was issued until now",
    "narrow": "narrow: leave it some scopes alone",
}
SPANS: Final = ("", "1h", "8h", "24h", "7d")
FIRST: Final = 50
AT_ONCE: Final = 8 << 10  # characters that are looked through between two turns
OF_LINE: Final = 64  # that a line counts beside its own
APPLIED: Final = "applied already"


async def render(page: PageRequest) -> Rendered:
    """Show the form, or a plan."""
    if page.query.get("plan"):
        return await _planned(page, page.query["plan"], {})
    names = page.query.get("names") or page.query.get("identifier") or ""
    given = {"act": "suspend", **page.query, "names": names}
    return await _form(page, given)


async def _form(
    page: PageRequest, given: Mapping[str, str], problem: ApiProblem | None = None
) -> Rendered:
    values = {
        "acts": ACTS,
        "spans": SPANS,
        "given": {
            "act": "suspend", "where": "", "for": "", "scopes": "", "reason": "",
            "finding": "", **await _without_secrets(given, page.person.hashed_kinds),
        },
        "problem": problem,
        "may_end": page.person.may("revoker"),
    }  # fmt: skip
    return Rendered("contain.html", values, problem.status if problem else 200)


async def _without_secrets(
    given: Mapping[str, str], kinds: frozenset[str]
) -> dict[str, str]:
    """Return what was filled in, without the lines in which a secret stands."""
    found: dict[str, list[str]] = {"names": []}
    left = AT_ONCE
    for name, text in given.items():
        found[name] = []
        for line in text.splitlines():
            if left < 0:
                await asyncio.sleep(0)  # there may be ten thousand, or long ones
                left = AT_ONCE
            left -= OF_LINE + len(line)
            if not is_secret(line, kinds):
                found[name].append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


async def plan(page: PageRequest, form: Form) -> ActResult | Rendered:
    """Look what an order would reach; nothing is ended by that."""
    answer = await page.api.post("plans", body=order_of(form))
    if answer.problem is not None:
        return await _form(page, form, answer.problem)
    query = {"plan": answer.body["id"]}
    if form.get("finding"):
        query["finding"] = form["finding"]
    return ActResult(f"/contain?{urlencode(query)}")


def order_of(form: Form) -> dict[str, Any]:
    """Body of a plan, of what was filled in."""
    names = [line.strip() for line in form.get("names", "").splitlines()]
    names = [name for name in names if name]
    scopes = [each.strip() for each in form.get("scopes", "").split(",")]
    where = form.get("where", "").strip()
    given: dict[str, Any] = {
        "act": form.get("act", ""),
        "first": FIRST,
        "reason": form.get("reason") or None,
        "for": form.get("for") or None,
        "where": where or None,
        "scopes": [each for each in scopes if each] or None,
    }
    if names or not where:
        given["identifiers"] = names
    return {name: value for name, value in given.items() if value is not None}


async def _planned(
    page: PageRequest,
    name: str,
    form: Mapping[str, str],
    refused: ApiAnswer | None = None,
) -> Rendered:
    """Show a plan; with ``refused`` why it was not applied."""
    answer = await page.api.get("plans", name)
    if answer.problem is not None:
        return await _form(page, form, answer.problem)
    problem = None if refused is None else refused.problem
    values = {
        "plan": answer.body,
        "problem": problem,
        "changes": (refused.body.get("changes") if refused else None) or None,
        # The API says so: what is not as it was seen may be ordered all the same.
        "may_ignore": problem is not None and "anyway" in problem.detail,
        "reason": form.get("reason", answer.body["order"].get("reason") or ""),
        "finding": form.get("finding", page.query.get("finding", "")),
        "may_end": page.person.may("revoker"),
    }
    status = 200 if problem is None else problem.status
    return Rendered("plan.html", values, status, "What this would end")


async def apply(page: PageRequest, form: Form) -> ActResult | Rendered:
    """Order what was planned, and go where it is seen to close."""
    name, reason = form.get("plan", ""), form.get("reason", "").strip()
    body: dict[str, Any] = {"anyway": form.get("anyway") == "yes"}
    body |= {"reason": reason} if reason else {}
    answer = await page.api.post("plans", name, "apply", body=body)
    if answer.problem is None:
        return _ordered(answer)
    if answer.body.get("title") == APPLIED:
        done = answer.body.get("applied") or {}
        said = f"It was applied by {done.get('by')} at {done.get('at')}, and once."
        if done.get("id"):
            return ActResult(below("/revocations", done["id"]), said)
        return ActResult("/approvals", said)
    return await _planned(page, name, form, answer)


def _ordered(answer: ApiAnswer) -> ActResult:
    if answer.body.get("id"):
        return ActResult(below("/revocations", answer.body["id"]), "It is ordered.")
    return ActResult("/approvals", str(answer.body.get("detail", "It waits.")))


KIND: Final = PageKind(
    path="/contain",
    title="Contain",
    nav=30,
    render=render,
    acts={"plan": plan, "apply": apply},
)
