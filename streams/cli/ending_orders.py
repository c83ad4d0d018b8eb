"""The commands that end or limit: revoke, suspend, narrow, not-before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import (
    Names,
    NamesFile,
    Plain,
    Planning,
    Worker,
    asking,
    knowing,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.clients.rescind import Client

orders_app = typer.Typer()

Reason = Annotated[
    str, typer.Option("--reason", help="Reason, recorded in the audit chain.")
]
Begin = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="RFC 3339; default: now. A time ahead: carried out then.",
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0,
        help="Wait until every guard enforces it; exit code 1 if not all do.",
    ),
]
Aspect = Annotated[
    str, typer.Option("--aspect", help="What a lift must name to end this alone.")
]
Lasting = Annotated[
    str | None,
    typer.Option("--for", metavar="SPAN", help="It ends by itself after 30m, 2h, 7d."),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="It ends by itself then; RFC 3339."),
]
# Refused by the server, with what to do instead.
NoLasting = Annotated[
    str | None, typer.Option("--for", metavar="SPAN", hidden=True, help="Refused.")
]
NoUntil = Annotated[
    str | None, typer.Option("--until", metavar="TIME", hidden=True, help="Refused.")
]


@asking(orders_app, "revoke")
def revoke(  # noqa: PLR0913 - each is an option
    client: Client,
    names: Names = None,
    reason: Reason = "",
    at: Begin = None,
    wait: Wait = None,
    worker: Worker = None,
    *,
    from_file: NamesFile = None,
    with_created: Annotated[
        bool,
        typer.Option(
            "--with-created",
            help="Also revoke everything that it and its descendants created.",
        ),
    ] = False,
    at_issuers: Annotated[
        bool,
        typer.Option(
            "--at-issuers",
            help="With --wait: wait also until it is proven dead at its issuers.",
        ),
    ] = False,
    lasting: NoLasting = None,
    until: NoUntil = None,
    plan: Planning = False,
    output: Plain = "table",
) -> int:
    """Revoke credentials and everything that descends from them."""
    return _order(
        client, "revoke", names, from_file,
        {"reason": reason, "at": at, "for": lasting, "until": until},
        wait=wait, output=output, plan=plan, worker=worker, with_created=with_created,
        at_issuers=at_issuers,
    )  # fmt: skip


@asking(orders_app, "suspend")
def suspend(  # noqa: PLR0913 - each is an option
    client: Client,
    names: Names = None,
    reason: Reason = "",
    at: Begin = None,
    wait: Wait = None,
    *,
    from_file: NamesFile = None,
    aspect: Aspect = "",
    lasting: Lasting = None,
    until: Until = None,
    plan: Planning = False,
    output: Plain = "table",
) -> int:
    """Deny identifiers and what descends from them until a lift, or until a time."""
    given = {"aspect": aspect, "for": lasting, "until": until}
    return _order(
        client, "suspend", names, from_file, {"reason": reason, "at": at} | given,
        wait=wait, output=output, plan=plan,
    )  # fmt: skip


@asking(orders_app, "narrow")
def narrow(  # noqa: PLR0913 - each is an option
    client: Client,
    names: Names = None,
    reason: Reason = "",
    at: Begin = None,
    wait: Wait = None,
    *,
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="NAMESPACE|VALUE",
            help="What is left, exact or a prefix with :*; can be repeated.",
        ),
    ],
    from_file: NamesFile = None,
    aspect: Aspect = "",
    lasting: Lasting = None,
    until: Until = None,
    plan: Planning = False,
    output: Plain = "table",
) -> int:
    """Leave identifiers and what descends from them some scopes, until a lift."""
    given = {"aspect": aspect, "for": lasting, "until": until, "reason": reason}
    return _order(
        client, "narrow", names, from_file, {"scopes": scope, "at": at, **given},
        wait=wait, output=output, plan=plan,
    )  # fmt: skip


@asking(orders_app, "contain")
def contain(  # noqa: PLR0913 - each is an option
    client: Client,
    where: Annotated[
        str,
        typer.Option(
            "--where",
            metavar="SELECTOR",
            help="Conditions: owner=ID,label.KEY=VALUE,kind=KIND.",
        ),
    ],
    reason: Reason = "",
    at: Begin = None,
    wait: Wait = None,
    *,
    aspect: Aspect = "",
    lasting: Lasting = None,
    until: Until = None,
    plan: Planning = False,
    output: Plain = "table",
) -> int:
    """Suspend all that fits a selector, also what is declared later."""
    given = {"aspect": aspect, "for": lasting, "until": until, "where": where}
    return _order(
        client, "suspend", None, None, {"reason": reason, "at": at} | given,
        wait=wait, output=output, plan=plan, typed="contain",
    )  # fmt: skip


@asking(orders_app, "not-before")
def not_before(  # noqa: PLR0913 - each is an option
    client: Client,
    names: Names = None,
    reason: Reason = "",
    at: Begin = None,
    wait: Wait = None,
    *,
    from_file: NamesFile = None,
    lasting: NoLasting = None,
    until: NoUntil = None,
    plan: Planning = False,
    output: Plain = "table",
) -> int:
    """End what was issued under identifiers until a time; later credentials live."""
    return _order(
        client, "not-before", names, from_file,
        {"reason": reason, "at": at, "for": lasting, "until": until},
        wait=wait, output=output, plan=plan,
    )  # fmt: skip


def _order(  # noqa: PLR0913 - as the commands
    client: Client,
    command: str,
    names: list[str] | None,
    from_file: Path | None,
    given: Mapping[str, object],
    *,
    wait: float | None,
    output: str,
    plan: bool,
    worker: str | None = None,
    with_created: bool = False,
    at_issuers: bool = False,
    typed: str = "",
) -> int:
    from streams.cli.named_in_order import named
    from streams.cli.plans import show_plan
    from streams.cli.revoke import Order, carry_out

    if plan and with_created:
        raise ValueError(
            "--with-created does not go with --plan: what it created is no part of a "
            "plan; `rescind blast-radius` lists it"
        )
    order = Order(
        command,
        [] if given.get("where") else named(names or [], from_file),
        {name: value for name, value in given.items() if value not in (None, "")},
        typed,
    )
    if plan:
        return show_plan(client, order, output)
    return carry_out(
        client,
        order,
        wait=wait,
        output=output,
        worker=knowing(command, client, worker),
        with_created=with_created,
        at_issuers=at_issuers,
    )
