"""The commands that may allow again, and those that approve them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from streams.cli.options import (
    DONE,
    Name,
    Names,
    NamesFile,
    Plain,
    PlainGroup,
    Where,
    Worker,
    asking,
    knowing,
)
from streams.cli.output import clean, show, to_stderr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.clients.rescind import Client

_COMMANDS: Final = {
    "withdrawals": "withdraw", "distrusts": "distrust", "owners": "owners",
    "labels": "labels",
}  # fmt: skip
WAITS: Final = 1

Reason = Annotated[
    str, typer.Option("--reason", help="Reason, recorded in the audit chain.")
]
Authority = Annotated[
    str | None,
    typer.Option("--authority", help="The authority to act for; default: operators."),
]

grants_app = typer.Typer()
approvals_app = typer.Typer(
    help="Orders that wait for a second person.", no_args_is_help=True
)
grants_app.add_typer(approvals_app, name="approvals", cls=PlainGroup)


@asking(grants_app, "lift")
def lift(  # noqa: PLR0913 - each is an option
    client: Client,
    names: Names = None,
    *,
    reason: Reason,
    authority: Authority = None,
    from_file: NamesFile = None,
    where: Where = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Carried out then; default: now."),
    ] = None,
    aspect: Annotated[
        str,
        typer.Option("--aspect", help="Aspect of the suspend, as its source names it."),
    ] = "",
    output: Plain = "table",
) -> int:
    """End a suspend or narrow (never a revoke); exit code 1 if it is still denied."""
    from streams.cli.lifts import order_lift
    from streams.cli.moments import moment_of
    from streams.cli.named_in_order import named

    body: dict[str, object] = {"aspect": aspect, "reason": reason}
    if where is not None:
        if names or from_file:
            raise ValueError("give identifiers or --where, and not both")
        body |= {"where": where}
    else:
        lines = named(names or [], from_file)
        body |= {"identifier": lines[0]} if len(lines) == 1 else {"identifiers": lines}
    body |= {} if at is None else {"at": moment_of(at)}
    more = {} if authority is None else {"authority": authority}
    return order_lift(client, body | more, output)


@asking(grants_app, "withdraw")
def withdraw(  # noqa: PLR0913 - each is an option
    client: Client,
    name: Name,
    fact: Annotated[
        str,
        typer.Argument(
            help="Id of the fact, as `rescind why` prints it.", metavar="FACT"
        ),
    ],
    *,
    reason: Reason,
    kind: Annotated[str, typer.Option("--kind", help="Kind of the fact.")] = "cause",
    worker: Worker = None,
    output: Plain = "table",
) -> int:
    """Take one fact back, such as a revocation."""
    body = {"identifier": name, "fact": fact, "kind": kind, "reason": reason}
    noted = _note_stranger(knowing("withdraw", client, worker), name)
    return act(client, "withdrawals", body, output, noted=noted)


@asking(grants_app, "distrust")
def distrust(  # noqa: PLR0913 - each is an option
    client: Client,
    suspect: Annotated[str, typer.Argument(help="The authority.", metavar="AUTHORITY")],
    *,
    key: Annotated[
        str, typer.Option("--key", help="The ingress key: the name of its credential.")
    ],
    since: Annotated[
        str,
        typer.Option(
            "--from", metavar="TIME", help="Facts received from this time on."
        ),
    ],
    reason: Reason,
    until: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="TIME", help="Facts received until this time; default: now."
        ),
    ] = None,
    output: Plain = "table",
) -> int:
    """Take back every fact that came with a stolen ingress key."""
    from streams.cli.moments import moment_of

    begin, end = moment_of(since, "--from"), moment_of(until, "--to")
    body: dict[str, object] = {"suspect": suspect, "key": key, "reason": reason}
    more = {} if end is None else {"to": end}
    return act(client, "distrusts", body | {"from": begin} | more, output)


@asking(grants_app, "owners")
def owners(
    client: Client,
    name: Name,
    owner: Annotated[
        list[str],
        typer.Option("--owner", metavar="ID", help="An owner; can be repeated."),
    ],
    *,
    reason: Reason,
    authority: Authority = None,
    output: Plain = "table",
) -> int:
    """Set the owners, replacing those that the same authority set before."""
    body: dict[str, object] = {"identifier": name, "owners": owner, "reason": reason}
    more = {} if authority is None else {"authority": authority}
    return act(client, "owners", body | more, output)


@asking(grants_app, "labels")
def labels(  # noqa: PLR0913 - each is an option
    client: Client,
    name: Name,
    label: Annotated[
        list[str] | None,
        typer.Argument(help="Labels, as team=payments.", metavar="KEY=VALUE"),
    ] = None,
    *,
    reason: Reason,
    clear: Annotated[
        bool, typer.Option("--clear", help="Take all of its labels away.")
    ] = False,
    authority: Authority = None,
    output: Plain = "table",
) -> int:
    """Set the labels, replacing those that the same authority set before."""
    if clear == bool(label):
        raise ValueError("give labels as team=payments, or --clear to take all away")
    body: dict[str, object] = {"identifier": name, "labels": label or []}
    more = {} if authority is None else {"authority": authority}
    return act(client, "labels", body | more | {"reason": reason}, output)


def act(
    client: Client,
    path: str,
    body: Mapping[str, object],
    output: str,
    *,
    noted: bool = False,
) -> int:
    """Send an order; 0 it is done, 1 it waits for a second person.

    What of it nothing is known of is noted, as `rescind revoke` does, once.
    """
    answer = client.post(path, body)
    if answer.get("unknown") and not noted:
        to_stderr(_COMMANDS[path], answer["detail"])
    if answer["accepted"]:
        said = f"Done: {clean(answer['summary'])}.\n  at_least  {answer['token']}"
    else:
        said = waits(answer)
    show(answer, said, output)
    return DONE if answer["accepted"] else WAITS


def _note_stranger(client: Client, text: str) -> bool:
    """Say that nothing is known of a name; whether it was said.

    Ingress on Kafka has no table to tell it with its answer.
    """
    from streams.cli.query import names_of
    from streams.cli.strangers import is_stranger
    from streams.clients.rescind import ClientError

    with suppress(ClientError, ValueError):
        name = names_of(client, text)[0]
        if is_stranger(client, name):
            told = f"nothing is known of {clean(name)} so far: is it spelt right?"
            to_stderr("withdraw", told)
            return True
    return False


@asking(approvals_app, "list", "approvals")
def list_waiting(client: Client, output: Plain = "table") -> int:
    """List the orders that wait, oldest first."""
    answer = client.get("approvals")
    said = "\n".join(map(_entry, answer["approvals"])) or "Nothing waits."
    return show(answer, said, output)


@asking(approvals_app, "approve", "approvals")
def order_approval(
    client: Client,
    identity: Annotated[str, typer.Argument(metavar="ID")],
    output: Plain = "table",
) -> int:
    """Approve an order of another person; it takes effect."""
    answer = client.post(f"approvals/{quote(identity, safe='')}/approve", {})
    said = f"Approved {clean(identity)}.\n  at_least  {answer['token']}"
    return show(answer, said, output)


@asking(approvals_app, "reject", "approvals")
def order_rejection(
    client: Client,
    identity: Annotated[str, typer.Argument(metavar="ID")],
    reason: Reason,
    output: Plain = "table",
) -> int:
    """Reject a waiting order."""
    path = f"approvals/{quote(identity, safe='')}/reject"
    answer = client.post(path, {"reason": reason})
    return show(answer, f"Rejected: {clean(answer['rejected'])}.", output)


def waits(answer: Mapping[str, Any]) -> str:
    """Say that nothing has changed yet, and how that goes on."""
    entries = "\n".join(map(_entry, answer["pending"]))
    return f"Not accepted: nothing changes until another person approves it.\n{entries}"


def _entry(each: Mapping[str, Any]) -> str:
    until = each["expires_at"]
    end = "until it is decided" if until is None else f"until {until}"
    why = f": {clean(each['reason'])}" if each["reason"] else ""
    return (
        f"{clean(each['id'])}  {clean(each['summary'])}\n"
        f"    by {clean(each['proposed_by'])} at {each['proposed_at']}, {end}{why}"
    )
