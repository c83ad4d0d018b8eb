"""The options of ``rescind adopt``, and a command made of a function that reads."""
# Annotations are read here when the module is, so they are no strings.

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from streams.cli.server_options import Plain, Url
from streams.cli.server_options import ServerTokenFile as TokenFile

if TYPE_CHECKING:
    from streams.adopt.listing import Listing
    from streams.clients.rescind import Client

OPERATORS: Final = "operators"

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print what would be declared; tell no server."),
]
AuthorityName = Annotated[
    str,
    typer.Option(
        "--authority",
        help="In whose name it is declared, so that its later events supersede it.",
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Saved answers, instead of --from.", metavar="FILE"),
]
From = Annotated[
    str, typer.Option("--from", metavar="URL", help="Of the system, to ask it.")
]
SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", help="Holds the credential that opens the system."),
]
Ca = Annotated[
    Path | None,
    typer.Option("--ca", help="Certificates to trust, PEM.", exists=True),
]
RosterFile = Annotated[
    Path | None,
    typer.Option(
        "--roster",
        help="Remember the list here: the next run sends what changed, and tells what "
        "is listed no more.",
    ),
]
Worker = Annotated[
    str | None,
    typer.Option(
        "--worker",
        metavar="URL",
        help="On Kafka, where --url is ingress: the worker that has the realm.",
    ),
]
Logs = Annotated[
    list[Path] | None,
    typer.Argument(help="Log files and folders, gzip too.", metavar="PATH"),
]

Read = Callable[..., "Listing"]


class ListByDefault(TyperGroup):
    """``rescind adopt FILE`` is ``rescind adopt list FILE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the default command first, where there is none."""
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


def saved_or_asked(
    *, files: Files = None, base: From = "", secret_file: SecretFile = None,
    ca: Ca = None,
) -> None:  # fmt: skip
    """Hold the options of a system that can be asked; never called."""


def logs(*, files: Logs = None) -> None:
    """Hold the argument of a command that reads logs; never called."""


def _all(
    *, roster: RosterFile = None, dry_run: DryRun = False, worker: Worker = None,
    output: Plain = "table", url: Url = None, token_file: TokenFile = None,
) -> None:  # fmt: skip
    """Hold the options that every command has; never called."""


def system(
    app: typer.Typer,
    name: str,
    authority: str,
    place: Callable[..., None] = saved_or_asked,
) -> Callable[[Read], Read]:
    """Make a command of a function that reads a listing.

    Its first parameter gets the `ListingSource`; the others are its own. Those of
    ``place`` and those that every command has are added.

    Args:
        app: gets the command.
        name: of the command.
        authority: in whose name it declares without --authority.
        place: its parameters are options that say where the list is.
    """
    where = signature(place).parameters
    named = Parameter(
        "authority",
        Parameter.KEYWORD_ONLY,
        default=authority,
        annotation=AuthorityName,
    )
    shared = {"authority": named, **signature(_all).parameters}

    def register(read: Read) -> Read:
        def command(**given: Any) -> None:
            found = {each: given.pop(each) for each in where}
            files = tuple(found.pop("files") or ())
            common = {each: given.pop(each) for each in shared}
            url, token_file = common.pop("url"), common.pop("token_file")

            def work(client: "Callable[[], Client]") -> int:
                from streams.cli.adopt_listing import DeclareOptions, adopt  # noqa: PLC0415 - quick
                from streams.cli.adopt_source import ListingSource  # noqa: PLC0415 - help

                source = ListingSource(files, **found).checked()
                chosen = (f"{key}={value}" for key, value in given.items() if value)
                listed = " ".join(filter(None, (name, source.base, *chosen)))
                order = DeclareOptions(system=listed, files=files, **common)
                return adopt(client, read(source, **given), order)

            run(url, token_file, work)

        own = list(signature(read).parameters.values())[1:]
        options = [
            one.replace(kind=Parameter.KEYWORD_ONLY)
            for one in (*own, *where.values(), *shared.values())
        ]
        command.__signature__ = Signature(options)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in options}
        app.command(name, help=read.__doc__)(command)
        return read

    return register


def run(
    url: str | None,
    token_file: Path | None,
    work: "Callable[[Callable[[], Client]], int]",
) -> None:
    """Do the work with what gives the server's client; end with the exit code."""
    from streams.cli.query import run as end_with  # noqa: PLC0415 - quick help
    from streams.clients.rescind import client  # noqa: PLC0415 - as above

    raise typer.Exit(end_with("adopt", lambda: work(lambda: client(url, token_file))))
