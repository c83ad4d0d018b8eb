"""The commands that may allow again: arguments here, work elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.server_options import Plain, TokenFile, Url, ask

if TYPE_CHECKING:
    from streams.clients.rescind import Client

Name = Annotated[str, typer.Argument(help="An identifier, kind:value.", metavar="ID")]
Reason = Annotated[str, typer.Option("--reason", help="Kept in the audit record.")]
Authority = Annotated[
    str | None,
    typer.Option("--authority", help="Speak in its name; else as the operators."),
]

grants_app = typer.Typer()
approvals_app = typer.Typer(
    help="What waits for a second person.", no_args_is_help=True
)
grants_app.add_typer(approvals_app, name="approvals")


@grants_app.command()
def lift(  # noqa: PLR0913 - each is an option
    name: Name,
    *,
    reason: Reason,
    authority: Authority = None,
    aspect: Annotated[
        str, typer.Option("--aspect", help="Of the suspend, as its source names it.")
    ] = "",
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """End a suspend or narrow; a revoke never ends so. Exit code 1: still denied."""
    from streams.cli.grant_orders import lift as work  # noqa: PLC0415 - --help is quick

    body = {"identifier": name, "aspect": aspect, "reason": reason}
    more = {} if authority is None else {"authority": authority}

    def order(client: Client) -> int:
        return work(client, body | more, output)

    ask("lift", url, token_file, order)


@grants_app.command()
def withdraw(  # noqa: PLR0913 - each is an option
    name: Name,
    fact: Annotated[
        str, typer.Argument(help="Its id, as `rescind why` prints it.", metavar="FACT")
    ],
    *,
    reason: Reason,
    kind: Annotated[str, typer.Option("--kind", help="Of the fact.")] = "cause",
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Take one fact back, a revocation too."""
    from streams.cli.grant_orders import act  # noqa: PLC0415 - --help stays quick

    body = {"identifier": name, "fact": fact, "kind": kind, "reason": reason}

    def order(client: Client) -> int:
        return act(client, "withdrawals", body, output)

    ask("withdraw", url, token_file, order)


@grants_app.command()
def distrust(  # noqa: PLR0913 - each is an option
    suspect: Annotated[str, typer.Argument(help="The authority.", metavar="AUTHORITY")],
    *,
    key: Annotated[
        str, typer.Option("--key", help="Its ingress key: the name of the credential.")
    ],
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Received from then on.")
    ],
    reason: Reason,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Until then; else now.")
    ] = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Take back all that a stolen key said."""
    from streams.cli.grant_orders import act  # noqa: PLC0415 - --help stays quick

    body = {"suspect": suspect, "key": key, "from": since, "reason": reason}
    more = {} if until is None else {"to": until}

    def order(client: Client) -> int:
        return act(client, "distrusts", body | more, output)

    ask("distrust", url, token_file, order)


@grants_app.command()
def owners(  # noqa: PLR0913 - each is an option
    name: Name,
    owner: Annotated[
        list[str], typer.Option("--owner", metavar="ID", help="Repeat for several.")
    ],
    *,
    reason: Reason,
    authority: Authority = None,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Say who owns it, instead of what the same authority said before."""
    from streams.cli.grant_orders import act  # noqa: PLC0415 - --help stays quick

    body: dict[str, object] = {"identifier": name, "owners": owner, "reason": reason}
    more = {} if authority is None else {"authority": authority}

    def order(client: Client) -> int:
        return act(client, "owners", body | more, output)

    ask("owners", url, token_file, order)


@approvals_app.command("list")
def approvals_list(
    output: Plain = "table", url: Url = None, token_file: TokenFile = None
) -> None:
    """List what waits, oldest first."""
    from streams.cli.grant_orders import waiting  # noqa: PLC0415 - --help stays quick

    ask("approvals", url, token_file, lambda client: waiting(client, output))


@approvals_app.command("approve")
def approvals_approve(
    identity: Annotated[str, typer.Argument(metavar="ID")],
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Have done what another person proposed."""
    from streams.cli.grant_orders import approve  # noqa: PLC0415 - --help stays quick

    ask("approvals", url, token_file, lambda client: approve(client, identity, output))


@approvals_app.command("reject")
def approvals_reject(
    identity: Annotated[str, typer.Argument(metavar="ID")],
    reason: Reason,
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Drop what waits."""
    from streams.cli.grant_orders import reject  # noqa: PLC0415 - --help stays quick

    def order(client: Client) -> int:
        return reject(client, identity, reason, output)

    ask("approvals", url, token_file, order)
