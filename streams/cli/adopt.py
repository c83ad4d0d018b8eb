"""The commands ``rescind adopt``, those of vendors by their descriptors."""
# Annotations are read here when the module is, so they are no strings.

import json
import sys
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.main import get_group

from streams.cli.options import (
    DONE,
    MappingFile,
    Plain,
    PlainGroup,
    SourceName,
    Url,
    Worker,
    knowing,
)
from streams.cli.options import ServerTokenFile as TokenFile
from streams.cli.options import run as end_with
from streams.cli.output import clean, count, show, to_stderr

if TYPE_CHECKING:
    from streams.adopt.roster import RosterDifference
    from streams.clients.rescind import Client
    from streams.sources.adopting.adoption import Adoption, Option
    from streams.sources.adopting.listing import Entry, Listing

SHOWN: Final = 20  # names of what is gone
OPERATORS: Final = "operators"
_TOLD: Final = {
    "gone": "listed before, gone now, and not ended by Rescind; revoke what is over",
    "enabled": "suspended before and listed as enabled now; the event that enabled it "
    "has to end the suspension, a list does not",
}

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the declarations; call no server."),
]
AuthorityName = Annotated[
    str,
    typer.Option(
        "--authority",
        help="The authority to declare for; its later events replace the declarations.",
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Files with saved answers, instead of --from.", metavar="FILE"),
]
From = Annotated[str, typer.Option("--from", metavar="URL", help="URL of the system.")]
SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", help="File with the credential for the system."),
]
Ca = Annotated[
    Path | None,
    typer.Option("--ca", help="Certificates to trust (PEM).", exists=True),
]
RosterFile = Annotated[
    Path | None,
    typer.Option(
        "--roster",
        help="File that records the list: the next run sends the changes, and names "
        "entries that are no longer listed.",
    ),
]
Logs = Annotated[
    list[Path] | None,
    typer.Argument(help="Log files and folders, gzip too.", metavar="PATH"),
]


class AdoptGroup(PlainGroup):
    """``rescind adopt FILE`` is ``rescind adopt list FILE``.

    The vendors' commands are made when they are first looked for: the program starts
    without their modules.
    """

    _commands: MutableMapping[str, Any]
    _whole = False

    @property
    def commands(self) -> MutableMapping[str, Any]:
        """Commands by name."""
        if not self._whole:
            self._whole = True
            self._commands.update(_of_systems())
        return self._commands

    @commands.setter
    def commands(self, given: MutableMapping[str, Any]) -> None:
        self._commands = given

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the default command first, where there is none."""
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            name = Path(args[0])
            if not (args[0].startswith("-") or name.suffix or name.exists()):
                systems = ", ".join(sorted(self.commands.keys() - {"list"}))
                ctx.fail(
                    f"no file {name}, and no system of that name; there are {systems}"
                )
            args = ["list", *args]
        return super().parse_args(ctx, args)


def _of_systems() -> dict[str, Any]:
    """Return the commands that descriptors name, and the one that reads logs.

    A distribution whose descriptor cannot be used ends the program, with the reason.
    """
    from streams.model.extensions import ExtensionError, loaded
    from streams.sources.adopting.adoption import Adoption
    from streams.sources.catalogue import offered

    found = typer.Typer(rich_markup_mode=None)
    of_logs = Adoption(
        authority=OPERATORS,
        help="Credentials that a log shows in use, with their lineage in the log.",
        read=lambda source, format_, mapping: source.log(format_, mapping),
    )
    own = list(signature(access_log).parameters.values())
    register(found, "access-log", of_logs, own, logs)
    try:
        for name, where in sorted(offered("adopts").items()):
            of: Adoption = loaded(where)
            own = [_parameter(option) for option in of.options]
            register(found, name, of, own)
    except ExtensionError as error:
        to_stderr("adopt", error)
        raise typer.Exit(2) from error
    group: Any = get_group(found)
    return dict(group.commands)


def _parameter(option: "Option") -> Parameter:
    default: Any = option.default
    kind: Any = type(default)
    if default == ():
        default, kind = None, list[str] | None
    text = typer.Option(option.flag, help=option.help)
    return Parameter(
        option.name,
        Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, text],
    )


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


def register(
    app: typer.Typer,
    name: str,
    of: "Adoption",
    own: Sequence[Parameter],
    place: Callable[..., None] = saved_or_asked,
) -> None:
    """Make a command of a list.

    Args:
        app: gets the command.
        name: of the command.
        of: gets a `ListingSource`, and its own options.
        own: these options.
        place: its parameters are options that say where the list is.
    """
    where = signature(place).parameters
    named = Parameter(
        "authority",
        Parameter.KEYWORD_ONLY,
        default=of.authority,
        annotation=AuthorityName,
    )
    shared = {"authority": named, **signature(_all).parameters}

    def command(**given: Any) -> None:
        found = {each: given.pop(each) for each in where}
        files = tuple(found.pop("files") or ())
        common = {each: given.pop(each) for each in shared}
        url, token_file = common.pop("url"), common.pop("token_file")

        def work(client: "Callable[[], Client]") -> int:
            from streams.adopt.listing_source import ListingSource

            source = ListingSource(files, **found).checked()
            chosen = (f"{key}={value}" for key, value in given.items() if value)
            listed = " ".join(filter(None, (name, source.base, *chosen)))
            return adopt(
                client,
                of.read(source, **given),
                system=listed,
                files=files,
                **common,
            )

        run(url, token_file, work)

    options = [*own, *where.values(), *shared.values()]
    command.__signature__ = Signature(options)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in options}
    app.command(name, help=of.help)(command)


def run(
    url: str | None,
    token_file: Path | None,
    work: "Callable[[Callable[[], Client]], int]",
) -> None:
    """Do the work with what gives the server's client; end with the exit code."""
    from streams.clients.rescind import client

    raise typer.Exit(end_with("adopt", lambda: work(lambda: client(url, token_file))))


adopt_app = typer.Typer(
    cls=AdoptGroup,
    help="Declare existing credentials, from your own list or a system's.",
    no_args_is_help=True,
)


@adopt_app.command("list")
def declared(
    file: Annotated[
        Path, typer.Argument(help="CSV with column names, or a JSON list.")
    ],
    authority: AuthorityName = "operators",
    output: Plain = "table",
    url: Url = None,
    token_file: TokenFile = None,
    *,
    dry_run: DryRun = False,
) -> None:
    """Declare the credentials of your own list; running it again changes nothing."""
    run(
        url,
        token_file,
        lambda client: adopt_file(client, file, authority, output, dry_run=dry_run),
    )


def access_log(*, format_: SourceName = None, mapping: MappingFile = None) -> None:
    """Hold the options of the command that reads logs; never called."""


def adopt_file(
    client: "Callable[[], Client]",
    path: Path,
    authority: str = OPERATORS,
    output: str = "table",
    *,
    dry_run: bool = False,
) -> int:
    """Declare the credentials of a person's list."""
    from streams.adopt.declaration import DeclareOptions, send, unknown_kinds
    from streams.adopt.declared_list import read_list

    entries = read_list(path)
    for kind in unknown_kinds(entries):
        to_stderr(
            "adopt", f"no built-in kind is called {kind}: do the settings declare it?"
        )
    if dry_run:
        return _print_lines(entries)
    total = send(client(), entries, DeclareOptions(authority))
    return show(total, _declared(total), output)


def adopt(
    client: "Callable[[], Client]",
    listing: "Listing",
    *,
    output: str,
    dry_run: bool,
    worker: str | None,
    **options: Any,
) -> int:
    """Declare what a system lists.

    Args:
        client: gives that of the server; a dry run needs none.
        listing: what was read.
        output: ``table`` or ``json``.
        dry_run: print what would be declared, and ask no server.
        worker: URL of who is asked about names (deprecated); None: the server itself.
        options: of `streams.adopt.declaration.DeclareOptions`.

    Raises:
        ClientError: the server refuses or is not there.
        ListingError: the roster is of another list.
        OSError: the roster cannot be read or written.
    """
    from streams.adopt.declaration import DeclareOptions, ListingDeclaration

    declaration = ListingDeclaration.of(listing, DeclareOptions(**options))
    for note in declaration.notes:
        to_stderr("adopt", note)
    if dry_run:
        _print_lines(declaration.difference.changed)
        to_stderr("adopt", _would(declaration.difference, listing))
        return DONE
    server = client()
    report = declaration.send(server, knowing("adopt", server, worker))
    return show(report, _report(report), output)


def _report(report: dict[str, Any]) -> str:
    lines = [_declared(report)]
    if report["same"]:
        lines.append(f"{count(report['same'], 'credential')} said the same as before.")
    for reason, number in sorted(report["left_out"].items()):
        lines.append(f"Left out {number}: {clean(reason)}.")
    for key, said in _TOLD.items():
        names = report[key]
        if names:
            lines.append(f"{count(len(names), 'credential')} {said}:")
            lines += [f"  {clean(name)}" for name in names[:SHOWN]]
        if len(names) > SHOWN:
            lines.append(f"  ... and {len(names) - SHOWN} more; see --output json")
    return "\n".join(lines)


def _declared(total: dict[str, Any]) -> str:
    declared = count(total["accepted"], "credential")
    return f"Declared {declared} ({count(total['facts'], 'fact')})."


def _would(difference: "RosterDifference", listing: "Listing") -> str:
    out = sum(listing.left_out.values())
    return (
        f"would declare {count(len(difference.changed), 'credential')}; "
        f"{difference.same} said the same before, {out} left out, "
        f"{len(difference.gone)} gone since"
    )


def _print_lines(entries: "Iterable[Entry]") -> int:
    for entry in entries:
        sys.stdout.write(json.dumps(entry) + "\n")
    return DONE
