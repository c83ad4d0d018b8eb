"""The commands ``rescind schedule``: orders that wait for their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from streams.cli.options import Plain, TokenFile, Url, asking, run
from streams.cli.output import clean, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.clients.rescind import Client

schedule_app = typer.Typer(
    help="Orders that wait for their time: list and cancel them.",
    invoke_without_command=True,
)


@schedule_app.callback()
def schedule(
    context: typer.Context,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """List the orders that wait for their time, or cancel one."""
    if context.invoked_subcommand is None:
        from streams.clients.rescind import client

        def order() -> int:
            return listed(client(url, token_file), output)

        raise typer.Exit(run("schedule", order))


@asking(schedule_app, "list", "schedule")
def listed(client: Client, output: Plain = "table") -> int:
    """List the orders that wait for their time, the next one first."""
    answer = client.get("schedule")
    said = "\n".join(map(_entry, answer["schedule"])) or "Nothing is scheduled."
    return show(answer, said, output)


@asking(schedule_app, "cancel", "schedule")
def cancel(
    client: Client,
    identity: Annotated[str, typer.Argument(metavar="ID")],
    reason: Annotated[
        str, typer.Option("--reason", help="Reason, recorded in the audit chain.")
    ],
    output: Plain = "table",
) -> int:
    """Cancel an order before its time; nothing of it is carried out."""
    path = f"schedule/{quote(identity, safe='')}/cancel"
    answer = client.post(path, {"reason": reason})
    return show(answer, f"Cancelled: {clean(answer['cancelled'])}.", output)


def _entry(each: Mapping[str, Any]) -> str:
    why = f": {clean(each['reason'])}" if each["reason"] else ""
    return (
        f"{clean(each['id'])}  {each['due_at']}  {clean(each['summary'])}\n"
        f"    by {clean(each['proposed_by'])} at {each['proposed_at']}{why}"
    )
