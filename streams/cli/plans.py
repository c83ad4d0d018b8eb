"""Plans of acts: what one would reach, and to order it as it was seen."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from streams.cli.options import Plain, asking
from streams.cli.output import clean, columns, count, show, to_stderr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.cli.revoke import Order
    from streams.clients.rescind import Client

NOT_APPLIED: Final = 1
SHOWN: Final = 5  # kinds, owners and names in one line
_SPANS: Final = {
    "hour": "in the last hour", "day": "in the last day", "week": "in the last week",
    "earlier": "earlier", "never": "never seen",
}  # fmt: skip

plans_app = typer.Typer()


def show_plan(client: Client, order: Order, output: str) -> int:
    """Have an order planned, and show what it would reach.

    Raises:
        ValueError: a time of it cannot be read.
    """
    from streams.cli.revoke import dated

    names = [each.strip() for each in order.names]
    named: dict[str, object] = {"identifiers": names} if names else {}
    if len(names) == 1:
        named = {"identifier": names[0]}
    act = order.command.replace("-", "_")
    answer = client.post("plans", {"act": act, **dated(order), **named})
    return show(answer, _plan(answer), output)


@asking(plans_app, "apply")
def apply(
    client: Client,
    identity: Annotated[str, typer.Argument(metavar="PLAN", help="Id of the plan.")],
    *,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Reason; default: that of the plan."),
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Apply it, whatever changed since."),
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            min=0,
            help="Wait until every guard enforces it; exit code 1 if not all do.",
        ),
    ] = None,
    output: Plain = "table",
) -> int:
    """Order what was planned; exit code 1 if something changed, or if it waits."""
    from streams.cli.revoke import follow
    from streams.clients.rescind import ClientError

    body: dict[str, object] = {"anyway": anyway}
    body |= {} if reason is None else {"reason": reason}
    try:
        answer = client.post(f"plans/{quote(identity, safe='')}/apply", body)
    except ClientError as error:
        found = error.document or {}
        if found.get("status") != HTTPStatus.CONFLICT:
            raise
        to_stderr("apply", f"not applied: {found['title']}: {found['detail']}")
        said = "\n".join(_changes(found.get("changes") or {})) or "Nothing is ordered."
        show(found, said, output)
        return NOT_APPLIED
    return follow(client, "apply", {}, answer, wait=wait, output=output)


def _plan(answer: Mapping[str, Any]) -> str:
    ends, first = answer["ends"], answer["first"]
    lines = [
        f"Plan {answer['id']}: {clean(answer['summary'])}. Nothing is ordered yet.",
        f"It would end {_counted(ends)}.",
        f"  last used       {_spans(ends['by_last_use'])}",
        f"  owners          {_most(ends['by_owner'], 'owner')}",
        f"  authorities     {_most(ends['by_authority'], 'authority')}",
    ]
    if "selector" in answer:
        found = answer["selector"]
        lines.append(
            f"  of these        {found['matching']} match, {found['below']} hang below"
        )
    lines += [
        f"  denied already  {_counted(answer['denied_already'])}",
        f"  live on         {count(answer['live_on'], 'identifier')}",
    ]
    lines += [*_notes(answer)]
    if first:
        rows = (
            (each["identifier"], ", ".join(each["owners"]), each["last_use"])
            for each in first
        )
        lines += ["", columns(("IDENTIFIER", "OWNERS", "LAST USE"), rows)]
    lines += ["", f"Until {answer['expires_at']}: rescind apply {answer['id']}"]
    return "\n".join(lines)


def _notes(answer: Mapping[str, Any]) -> Iterable[str]:
    """Say what to look at before it is applied."""
    acting, unowned = answer["acting_now"], answer["lose_last_owner"]
    if acting["total"]:
        names = [each["agent"] for each in acting["first"]]
        yield f"Acting now: {_few(names, acting['total'])}."
    for each in answer["shared_accounts"]:
        agents = _few(each["agents"], each["agents_total"])
        yield f"Shared account {clean(each['account'])}, used by {agents}."
    if unowned["total"]:
        yield f"Last owner lost: {_few(unowned['first'], unowned['total'])}."
    unknown = answer["unknown"]
    if unknown["total"]:
        strangers = _few(unknown["first"], unknown["total"])
        yield f"Nothing is known of {strangers}: is it spelt right?"
    for each in answer["incomplete"]:
        yield f"Incomplete ({each['of']}): {clean(each['detail'])}."


def _changes(changes: Mapping[str, Any]) -> Iterable[str]:
    for name, now in (("added", "also"), ("removed", "no longer")):
        group = changes.get(name)
        if group and group["total"]:
            names = _few(group["first"], group["total"])
            yield f"It would {now} end {_counted(group)}: {names}."


def _counted(group: Mapping[str, Any]) -> str:
    most = [*group["by_kind"].items()][:SHOWN]
    kinds = ", ".join(f"{number} {clean(kind)}" for kind, number in most)
    more = ", ..." if len(group["by_kind"]) > SHOWN else ""
    said = count(group["total"], "identifier")
    return f"{said} ({kinds}{more})" if kinds else said


def _spans(spans: Mapping[str, int]) -> str:
    told = (f"{spans[name]} {words}" for name, words in _SPANS.items() if spans[name])
    return ", ".join(told) or "-"


def _most(rows: list[dict[str, Any]], what: str) -> str:
    told = (f"{clean(each[what])} {each['count']}" for each in rows[:SHOWN])
    return ", ".join(told) or "nobody known"


def _few(names: list[str], total: int) -> str:
    shown = ", ".join(map(clean, names[:SHOWN]))
    more = total - min(len(names), SHOWN)
    return f"{shown} and {more} more" if more > 0 else shown
