"""The commands on what ends at issuers: how it is, and what is proven."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from streams.cli.options import DONE, Plain, PlainGroup, asking
from streams.cli.output import clean, columns, count, show

if TYPE_CHECKING:
    from streams.clients.rescind import Client

NOT_ENDED: Final = 1
ASKED_EVERY: Final = 0.5  # seconds
PROVEN: Final = frozenset({"ended", "confirmed"})
NOTHING_THERE: Final = frozenset({"off", "none"})  # nobody ends or probes anything
SETTLED: Final = PROVEN | NOTHING_THERE | {"partial"}
WELL: Final = frozenset({"off", "well"})
STATES: Final = (
    "ended", "pending", "failed", "unreachable", "no_way", "left_to_guards",
    "confirmed",
)  # fmt: skip
NONE: Final = (
    "No actuators are set up: what is dead here lives on at its issuer unless somebody "
    "ends it there."
)
NONE_FOUND: Final = (
    "no actuator speaks of anything that it ends, so nothing was probed or ended there"
)
SHOWN: Final = 10  # identifiers that are named

actuators_app = typer.Typer()
endings_app = typer.Typer(
    help="Ends at issuers that wait or were given up.", no_args_is_help=True
)
actuators_app.add_typer(endings_app, name="endings", cls=PlainGroup)

ActuatorName = Annotated[
    str, typer.Argument(help="An actuator of the settings.", metavar="ACTUATOR")
]
CauseId = Annotated[
    str,
    typer.Argument(help="Id of a revocation, as its answer gave it.", metavar="FACT"),
]
WhyText = Annotated[
    str, typer.Option("--reason", help="Reason, recorded in the audit chain.")
]


@asking(actuators_app, "actuators")
def actuators(
    client: Client,
    name: Annotated[
        str | None,
        typer.Argument(help="List what this actuator ends.", metavar="[ACTUATOR]"),
    ] = None,
    limit: Annotated[
        int,
        typer.Option("--limit", min=1, max=1000, help="Length of the list at most."),
    ] = 100,
    output: Plain = "table",
) -> int:
    """List what ends at issuers what is dead here; exit code 1 if one is not well."""
    if name is not None:
        found = client.get("actuators", name, limit=limit)
        show(found, _item_table(found), output)
        return DONE
    rows = client.get("actuators")["actuators"]
    text = (
        _table(rows) if rows else "No actuators are set up: what is dead here lives on"
    )
    text += "" if rows else " at its issuers unless somebody ends it there."
    show({"actuators": rows}, text, output)
    return DONE if all(each["health"] in WELL for each in rows) else NOT_ENDED


@asking(endings_app, "approve", "endings approve")
def approve(
    client: Client,
    name: ActuatorName,
    fact: CauseId,
    *,
    reason: WhyText,
    output: Plain = "table",
) -> int:
    """Let an actuator end all that a revocation reaches at its issuer."""
    body = {"cause": fact, "reason": reason}
    answer = client.post(f"actuators/{quote(name, safe='')}/approvals", body)
    text = f"Approved {count(answer['approved'], 'end')} at {clean(name)}."
    show(answer, text, output)
    return DONE


@asking(endings_app, "retry", "endings retry")
def retry(
    client: Client, name: ActuatorName, *, reason: WhyText, output: Plain = "table"
) -> int:
    """Have an actuator try again what was given up."""
    answer = client.post(
        f"actuators/{quote(name, safe='')}/retries", {"reason": reason}
    )
    text = f"{count(answer['retried'], 'end')} at {clean(name)} will be tried again."
    show(answer, text, output)
    return DONE


@asking(endings_app, "confirm", "endings confirm")
def confirm(
    client: Client,
    name: ActuatorName,
    identifier: Annotated[
        str, typer.Argument(help="What is ended there.", metavar="ID")
    ],
    *,
    reason: WhyText,
    output: Plain = "table",
) -> int:
    """Say that something is ended at its issuer, where no probe could prove it.

    It shows as confirmed by you, not as ended. 1: a second person has to approve it.
    """
    body = {"identifier": identifier, "reason": reason}
    answer = client.post(f"actuators/{quote(name, safe='')}/confirmations", body)
    if answer.get("accepted") is False:
        show(answer, f"Not confirmed yet: {clean(answer['detail'])}.", output)
        return NOT_ENDED
    text = f"Confirmed that {clean(identifier)} is ended at {clean(name)}."
    show(answer, text, output)
    return DONE


@asking(actuators_app, "closure")
def closure(
    client: Client,
    fact: CauseId,
    *,
    wait: Annotated[
        float | None,
        typer.Option("--wait", metavar="SECONDS", help="Wait until it is settled."),
    ] = None,
    output: Plain = "table",
) -> int:
    """Print which guards and issuers a revocation has reached; exit code 1 if not all.

    Guards are proven by receipts, issuers by probes.
    """
    from streams.cli.revoke import CLOSED, SETTLED_STATES, closure_line

    end = time.monotonic() + (wait or 0.0)
    while True:
        guards = client.get("revocations", fact)
        issuers = _issuers(client, [fact])
        settled = guards["state"] in SETTLED_STATES and issuers["state"] in SETTLED
        if settled or time.monotonic() >= end:
            break
        time.sleep(ASKED_EVERY)
    text = f"Guards   {closure_line(guards)}\nIssuers  {issuers_line(issuers)}"
    show({"guards": guards, "issuers": issuers}, text, output)
    there = PROVEN | NOTHING_THERE
    closed = guards["state"] == CLOSED and issuers["state"] in there
    return DONE if closed else NOT_ENDED


def issuers_at(client: Client, facts: list[str], end: float) -> dict[str, Any]:
    """Return how far the ends at issuers are, once settled or at a time (monotonic)."""
    while True:
        found = _issuers(client, facts)
        if found["state"] in SETTLED or time.monotonic() >= end:
            return found
        time.sleep(ASKED_EVERY)


def _issuers(client: Client, facts: list[str]) -> dict[str, Any]:
    if len(facts) > 1:
        return client.post("revocations/issuers", {"ids": facts})
    return client.get(f"revocations/{quote(facts[0], safe='')}/issuers")


def issuers_line(found: dict[str, Any]) -> str:
    """Say how far the ends at issuers are, and what is not ended by name."""
    if found["state"] == "off":
        return "OFF: no actuator is set up, so nothing is ended there."
    if found["state"] == "none":
        return f"NONE: {NONE_FOUND}."
    parts = [f"{found[state]} {_words(state)}" for state in STATES if found.get(state)]
    if parts and found.get("nothing"):
        parts.append(f"{count(found['nothing'], 'revocation')} without anything there")
    lines = [f"{found['state'].upper()}: {', '.join(parts) or 'nothing found yet'}."]
    named = found["not_ended"]
    lines += [
        f"  {clean(each['identifier'])}: {_words(each['state'])} at "
        f"{clean(each['actuator'])}"
        + (f" ({clean(each['reason'])})" if each["reason"] else "")
        for each in named[:SHOWN]
    ]
    if len(named) > SHOWN:
        lines.append(f"  and {len(named) - SHOWN} more")
    return "\n".join(lines)


def _words(state: str) -> str:
    return "left to guards" if state == "left_to_guards" else state


def _table(rows: list[dict[str, Any]]) -> str:
    heads = ("actuator", "vendor", "authority", "mode", "health", *STATES, "last error")
    return columns(
        heads,
        [
            (
                each["name"], each["vendor"], each["authority"], each["mode"],
                each["health"], *(each.get(state, 0) for state in STATES),
                each["last_error"] or "",
            )
            for each in rows
        ],
    )  # fmt: skip


def _item_table(found: dict[str, Any]) -> str:
    rows = [
        (each["identifier"], each["state"], each["act"], each["acts"],
         each["changed"], each["reason"])
        for each in found["items"]
    ]  # fmt: skip
    if not rows:
        return "Nothing is to be ended there."
    more = found["total"] - len(rows)
    heads = ("identifier", "state", "act", "acts", "changed", "reason")
    return columns(heads, rows) + (f"\n{more} more." if more else "")
