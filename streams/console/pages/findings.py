"""The findings: looked for by what they are, each with its evidence and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.console.page import ActResult, Exported, PageKind, Rendered
from streams.console.templates import below, url
from streams.console.text import csv_file
from streams.model.findings import FindingKind, Severity
from streams.model.times import SECOND, rfc3339

if TYPE_CHECKING:
    from streams.console.api import ApiAnswer, ApiProblem
    from streams.console.page import Form, PageRequest

ROWS: Final = 50
EXPORTED: Final = 1000
LOOKED_AT: Final = 30_000  # findings, after which a page says that it found none
HOUR: Final = 3600 * SECOND
WITHIN: Final = {"1h": HOUR, "24h": 24 * HOUR, "7d": 168 * HOUR, "30d": 720 * HOUR}
STATES: Final = ("new", "open", "acknowledged", "silenced", "closed")
ANY: Final = "any"
WORDS: Final = ("kind", "severity", "authority", "identifier", "since", "until")
ENDS: Final = ("1h", "8h", "24h", "7d", "30d")
# What such a name stands for is nobody's credential, agent or owner.
_NOBODYS: Final = frozenset({
    "source", "guard", "realm", "rescind.summary", "rescind.actuator", "rescind.test",
})  # fmt: skip
VIEWS: Final[dict[str, dict[str, str]]] = {
    "New": {"state": "new"},
    "Open": {"state": "open"},
    "High and critical": {"state": "open", "severity": "high"},
    "Dead credentials in use": {
        "state": "open",
        "kind": "use_after_revocation,enforcement_failure,enforcement_lag",
    },
    "Still tried": {"state": "open", "kind": "blocked_attempt"},
    "Unknown agents": {"state": "open", "kind": "unknown_agent,unknown_credential"},
    "Acknowledged": {"state": "acknowledged"},
    "Silenced": {"state": "silenced"},
    "Closed": {"state": "closed"},
}


@frozen
class FindingsView:
    """A saved view: a name and an address."""

    name: str
    address: str
    current: bool


def asked(page: PageRequest) -> dict[str, str]:
    """Filter of a page's address, as the API takes it."""
    query = page.query
    given = {name: query[name].strip() for name in WORDS if query.get(name, "").strip()}
    state = query.get("state", "open")
    given |= {"state": state} if state != ANY else {}
    if query.get("within") in WITHIN:
        given["since"] = str(rfc3339(page.now - WITHIN[query["within"]]))
    return given


async def render(page: PageRequest) -> Rendered:
    """List the findings that are looked for, the newest change first."""
    before = page.query.get("before") or None
    answer, looked = await _looked(page, before)
    rows = answer.body.get("findings", [])
    place = answer.body.get("before")
    later = url("/findings", **{**page.query, "before": place}) if place else ""
    values = {
        "answer": answer,
        "rows": [_row(each) for each in rows],
        "looked": looked,
        "full": len(rows) == ROWS,
        "later": later,
        "earlier": _without(page, "before") if before else "",
        "views": _views(page),
        "kinds": [kind.value for kind in FindingKind if kind is not FindingKind.TEST],
        "severities": [each.name.lower() for each in Severity],
        "states": (*STATES, ANY),
        "spans": tuple(WITHIN),
        "given": {"state": "open", **page.query},
        "csv": url("/findings", **{**page.query, "export": "csv"}),
    }
    return Rendered("findings.html", values)


async def _looked(page: PageRequest, before: str | None) -> tuple[ApiAnswer, int]:
    """Look until something is found; an answer of the API looks for a moment alone."""
    looked, place = 0, before
    while True:
        answer = await page.api.get(
            "findings", order="newest", limit=ROWS, before=place, **asked(page)
        )
        looked += answer.body.get("looked", 0)
        place = answer.body.get("before")
        if answer.body.get("findings") or place is None or looked >= LOOKED_AT:
            return answer, looked


def _views(page: PageRequest) -> list[FindingsView]:
    given = {"state": "open", **page.query}
    given.pop("before", None)
    given.pop("realm", None)
    return [
        FindingsView(name, url("/findings", **query), query == given)
        for name, query in VIEWS.items()
    ]


def _without(page: PageRequest, name: str) -> str:
    return url("/findings", **{k: v for k, v in page.query.items() if k != name})


def _row(finding: dict[str, Any]) -> dict[str, Any]:
    """Return the finding with the words that a list shows."""
    severity = Severity(finding["severity"]).name.lower()
    return finding | {"level": severity, "standing": standing(finding)}


def standing(finding: dict[str, Any]) -> str:
    """Say in one word how a finding stands."""
    if not finding["open"]:
        return "closed"
    if finding["silenced"]:
        return "silenced"
    return "acknowledged" if finding["acknowledged"] else "open"


async def exported(page: PageRequest) -> Exported | Rendered:
    """Save the findings of the filter as a table for a spreadsheet."""
    found: list[dict[str, Any]] = []
    place, looked = None, 0
    while True:
        answer = await page.api.get(
            "findings", order="newest", limit=EXPORTED - len(found), before=place,
            **asked(page),
        )  # fmt: skip
        if answer.problem is not None:
            return Rendered("problem.html", {"problem": answer.problem}, answer.status)
        found += answer.body["findings"]
        place, looked = answer.body.get("before"), looked + answer.body.get("looked", 0)
        if place is None or len(found) >= EXPORTED or looked >= LOOKED_AT:
            break
    names = (
        "id", "kind", "severity", "presented", "point", "count", "first_seen",
        "last_seen", "address", "user_agent", "owner", "agent", "authority", "message",
    )  # fmt: skip
    rows = [[standing(each), *(each.get(name) for name in names)] for each in found]
    if place is not None:
        rows.append([f"NOT COMPLETE: {len(found)} rows; {looked} findings looked at"])
    body = csv_file(("state", *names), rows)
    return Exported("findings.csv", "text/csv; charset=utf-8", body)


async def render_one(page: PageRequest) -> Rendered:
    """Show one finding: its alert, its evidence, and what can be done."""
    return await _shown(page)


async def _shown(
    page: PageRequest,
    form: Form | None = None,
    problem: ApiProblem | None = None,
    of: str = "",
) -> Rendered:
    """Show the finding, with an act that failed beside its form."""
    answer = await page.api.get("findings", page.name)
    if answer.problem is not None:
        status = answer.status
        return Rendered("problem.html", {"problem": answer.problem}, status)
    finding = _row(answer.body)
    values = {
        "finding": finding,
        "answers": _answers(finding["alert"]["lines"]),
        "may_act": page.person.may("revoker", "restorer"),
        "may_end": page.person.may("revoker") and _is_somebodys(finding["presented"]),
        "may_silence": page.person.may("restorer"),
        "ends": ENDS,
        "form": form or {},
        "problem": problem,
        "problem_of": of,
        "key": f"{page.name}/{page.now}",
    }
    title = finding["alert"]["title"]
    status = problem.status if problem else 200
    return Rendered("finding.html", values, status, title)


def _answers(lines: list[str]) -> list[tuple[str, str]]:
    """Lines of an alert, each as its question and the answer."""
    told = [("What", lines[0])] if lines else []
    for line in lines[1:]:
        question, _, answer = line.partition(": ")
        told.append((question, answer) if answer else ("", line))
    return told


def _is_somebodys(identifier: str) -> bool:
    return identifier.partition(":")[0] not in _NOBODYS


async def acknowledge(page: PageRequest, form: Form) -> ActResult | Rendered:
    """Say that the person looks into it."""
    note = form.get("note", "")
    path = ("findings", page.name, "acknowledgement")
    answer = await page.api.post(*path, body={"note": note})
    return await _done(page, form, answer, "acknowledge", "You look into it now.")


async def take_back(page: PageRequest, form: Form) -> ActResult | Rendered:
    """Say that nobody looks into it."""
    answer = await page.api.delete("findings", page.name, "acknowledgement")
    said = "Nobody looks into it any more."
    return await _done(page, form, answer, "acknowledge", said)


async def silence(page: PageRequest, form: Form) -> ActResult | Rendered:
    """Stop alerts of this kind about this name, until a time."""
    order = {
        "kinds": [form.get("kind", "")],
        "identifier": _pattern(form.get("identifier", "")),
        "realm": page.person.realm,
        "reason": form.get("reason", ""),
        "until": form.get("until", ""),
        "critical": form.get("critical") == "yes",
        "key": form.get("key") or None,
    }
    answer = await page.api.post("alerts", "silences", body=order)
    until = answer.body.get("until", "")
    return await _done(page, form, answer, "silence", f"It is silent until {until}.")


def _pattern(name: str) -> str:
    """Pattern that means a name and nothing else."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


async def _done(
    page: PageRequest, form: Form, answer: ApiAnswer, act: str, said: str
) -> ActResult | Rendered:
    if answer.problem is not None:
        return await _shown(page, form, answer.problem, act)
    return ActResult(below("/findings", page.name), said)


LIST: Final = PageKind(
    path="/findings",
    title="Findings",
    nav=20,
    render=render,
    exports={"csv": exported},
    filters=("state", "severity", "kind", "authority", "identifier", "within"),
)
ONE: Final = PageKind(
    path="/findings/{name}",
    title="Finding",
    render=render_one,
    acts={"acknowledge": acknowledge, "take-back": take_back, "silence": silence},
)
