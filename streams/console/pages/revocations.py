"""The revocations: how far each one is enforced, what it reaches, and its way back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from streams.console.arrival_curve import ArrivalCurve
from streams.console.page import ActResult, PageKind, Rendered
from streams.console.templates import below, url

if TYPE_CHECKING:
    from streams.console.api import ApiAnswer, ApiProblem
    from streams.console.page import Form, PageRequest

ROWS: Final = 50
AROUND: Final = 300  # nodes that are asked for
AFFECTED: Final = 100  # that are listed
ACTUATORS: Final = 5  # whose ends are listed
ENDS: Final = 20  # of each
LOOKS: Final = 20  # at the table, until it has a fact
PAUSE: Final = 0.1  # seconds
STILL_DENIED: Final = (
    "Another cause may stand, or the lift came within 5 s of the suspension and counts "
    "as ambiguous: see the lineage, and lift it once more."
)
LIFTABLE: Final = frozenset({"suspend", "narrow"})


async def render(page: PageRequest) -> Rendered:
    """List revocations and other ends, the newest first."""
    before, state = page.query.get("before") or None, page.query.get("state") or None
    answer = await page.api.get("revocations", limit=ROWS, before=before, state=state)
    place = answer.body.get("before")
    values = {
        "answer": answer,
        "rows": [row | {"guards": _guards(row)} for row in _rows(answer)],
        "later": url("/revocations", before=place, state=state) if place else "",
        "earlier": url("/revocations", state=state) if before else "",
        "state": state or "",
        "whole": answer.body.get("whole", True),
        "may_end": page.person.may("revoker"),
    }
    return Rendered("revocations.html", values)


def _rows(answer: ApiAnswer) -> list[dict[str, Any]]:
    return list(answer.body.get("revocations", []))


def _guards(row: dict[str, Any]) -> int:
    """How many guards are to enforce it, of those that are still there."""
    return int(row["applied"]) + int(row["fenced"]) + int(row["laggards"])


async def render_one(page: PageRequest) -> Rendered:
    """Show one revocation."""
    return await _shown(page)


async def _shown(
    page: PageRequest, form: Form | None = None, problem: ApiProblem | None = None
) -> Rendered:
    answer = await page.api.get("revocations", page.name)
    if answer.problem is not None:
        status = answer.status
        return Rendered("problem.html", {"problem": answer.problem}, status)
    of = answer.body
    issuers, around = await asyncio.gather(
        page.api.get("revocations", page.name, "issuers"),
        page.api.get("lineage", of["identifier"], limit=AROUND),
    )
    ends, ends_problem = await _ends(page, issuers)
    count = of["applied"] + len(of["fenced"]) + len(of["laggards"])
    values = {
        "of": of,
        "guards": count,
        "curve": ArrivalCurve(of["arrivals"]["curve"], count),
        "issuers": issuers,
        "ends": ends,
        "ends_problem": ends_problem,
        "around": around,
        "affected": affected(around.body)[:AFFECTED],
        "may_restore": page.person.may("restorer"),
        "liftable": of["effect"] in LIFTABLE,
        "form": form or {},
        "problem": problem,
    }
    title = f"{of['effect'].replace('_', ' ')} of {of['identifier']}"
    status = problem.status if problem else 200
    return Rendered("revocation.html", values, status, title)


async def _ends(
    page: PageRequest, issuers: ApiAnswer
) -> tuple[list[dict[str, Any]], ApiProblem | None]:
    """List what actuators end by it, the last changes first, with what probes said.

    Beside it: why those of an actuator are missing.
    """
    rows = issuers.body.get("actuators", [])
    names = [
        row["actuator"]
        for row in rows
        if any(count for name, count in row.items() if name != "actuator")
    ]
    answers = await asyncio.gather(
        *(
            page.api.get("actuators", name, cause=page.name, limit=ENDS)
            for name in names[:ACTUATORS]
        )
    )
    problems = (each.problem for each in answers if each.problem is not None)
    ends = [end for each in answers for end in each.body.get("items", [])]
    return ends, next(problems, None)


def affected(lineage: dict[str, Any]) -> list[dict[str, Any]]:
    """List what hangs on the identifier, each with the path that leads to it.

    The path goes over nodes that the answer has; the first of it is the identifier.
    """
    nodes = {each["identifier"]: each for each in lineage.get("nodes", [])}
    found = []
    for each in nodes.values():
        if each["depth"] <= 0:
            continue
        path, name = [each["identifier"]], each["via"]
        while name in nodes and name not in path:
            path.append(name)
            name = nodes[name]["via"]
        found.append(each | {"path": path[::-1]})
    return sorted(found, key=lambda each: (each["depth"], each["identifier"]))


async def lift(page: PageRequest, form: Form) -> ActResult | Rendered:
    """End a suspension."""
    answer = await page.api.get("revocations", page.name)
    if answer.problem is not None:
        return await _shown(page, form, answer.problem)
    of = answer.body
    order = {
        "identifier": of["identifier"],
        "aspect": of["aspect"],
        "authority": of["authority"],
        "reason": form.get("reason", ""),
    }
    done = await page.api.post("lifts", body=order)
    return await _back(page, form, done, of["identifier"], "It is lifted.")


async def withdraw(page: PageRequest, form: Form) -> ActResult | Rendered:
    """Take the revocation itself back."""
    answer = await page.api.get("revocations", page.name)
    if answer.problem is not None:
        return await _shown(page, form, answer.problem)
    name = answer.body["identifier"]
    order = {"identifier": name, "fact": page.name, "reason": form.get("reason", "")}
    done = await page.api.post("withdrawals", body=order)
    return await _back(page, form, done, name, "It is taken back.")


async def _back(
    page: PageRequest, form: Form, done: ApiAnswer, identifier: str, said: str
) -> ActResult | Rendered:
    if done.problem is not None:
        return await _shown(page, form, done.problem)
    if not done.body.get("accepted"):
        return ActResult("/approvals", str(done.body.get("detail", "")))
    verdict = await _settled(page, identifier, str(done.body.get("token", "")))
    if verdict is not None and not verdict["allowed"]:
        why = str(verdict["reason"]).replace("_", " ")
        said = f"{said} {identifier} is still denied, though: {why}. {STILL_DENIED}"
    return ActResult(below("/revocations", page.name), said)


async def _settled(
    page: PageRequest, identifier: str, token: str
) -> dict[str, Any] | None:
    """Verdict once the table has the fact; None where that takes long or has none."""
    wanted = _offset(token)
    for _ in range(LOOKS):
        answer = await page.api.get("why", identifier)
        if answer.problem is not None:
            return None
        if _offset(str(answer.body["as_of"])) >= wanted:
            return answer.body
        await asyncio.sleep(PAUSE)
    return None


def _offset(token: str) -> int:
    last = token.rpartition(":")[2]
    return int(last) if last.isdigit() else 0


LIST: Final = PageKind(
    path="/revocations", title="Revocations", nav=10, render=render, watches=True
)
ONE: Final = PageKind(
    path="/revocations/{name}",
    title="Revocation",
    render=render_one,
    acts={"lift": lift, "withdraw": withdraw},
    watches=True,
)
