"""The commands ``rescind topics``: compare a cluster with the layout; make it so."""

from __future__ import annotations

import getpass
import secrets
import time
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from streams.settings.kafka import KafkaSettings

DONE: Final = 0
DIFFERS: Final = 1
FAILED: Final = 2
_QUIET: Final = 50  # the client's warnings: what it raises is told
AS_WANTED: Final = "the topics are as they should be"

topics_app = typer.Typer(
    help="The topics on Kafka; settings come from RESCIND_KAFKA_*.",
    no_args_is_help=True,
)


@topics_app.command("plan")
def topics_plan() -> None:
    """Print what apply would do; exit code 1 if a person must decide something."""
    raise typer.Exit(_run(_plan))


@topics_app.command("apply")
def topics_apply() -> None:
    """Create and configure the topics; never change a number of partitions."""
    raise typer.Exit(_run(_apply))


@topics_app.command("check")
def topics_check() -> None:
    """Compare the topics with the layout; exit code 1 if they differ."""
    raise typer.Exit(_run(_check))


@topics_app.command("acls")
def topics_acls(
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user", metavar="ROLE=NAME", help="Kafka user of a role; can be repeated."
        ),
    ] = None,
    output: Annotated[
        Literal["table", "json", "commands"],
        typer.Option("--output", help="Form of the output."),
    ] = "table",
    raw: Annotated[
        list[str] | None,
        typer.Option(
            "--raw",
            metavar="TOPIC",
            help="A raw topic that a source fills; can be repeated.",
        ),
    ] = None,
    realm: Annotated[
        list[str] | None,
        typer.Option(
            "--realm", help="A realm with polls at ingress; default: default."
        ),
    ] = None,
) -> None:
    """Print the least rights that each role needs on Kafka."""
    raise typer.Exit(run_acls(user or [], output, raw or [], realm or []))


def run_acls(
    users: Sequence[str],
    output: str,
    raw: Sequence[str] = (),
    realms: Sequence[str] = (),
) -> int:
    """Print the least rights of each role.

    Args:
        users: ``role=name`` for roles whose user has another name.
        output: ``table``, ``json`` or ``commands``.
        raw: topics that sources publish to.
        realms: whose vendors are polled; ``default`` where none is given.
    """
    import orjson

    from streams.engines.kafka.topics.acls import Role, acls

    try:
        named = {
            Role(role): name for role, _, name in (u.partition("=") for u in users)
        }
        rights = list(acls(_settings(), named, raw, realms or ("default",)))
    except ValueError as error:
        return _fail(str(error))
    for acl in rights:
        if output == "commands":
            typer.echo(acl.command())
        elif output == "json":
            typer.echo(orjson.dumps(acl.plain()).decode())
        else:
            typer.echo(
                f"{acl.principal:32} {acl.operation:14} {acl.resource} {acl.name}"
            )
    return DONE


async def _plan() -> int:
    from streams.engines.kafka.topics.topics import FIXABLE, plan

    differences = await plan(_settings())
    for difference in differences:
        todo = "apply does" if difference.kind in FIXABLE else "a person must decide"
        typer.echo(f"{todo}: {difference}")
    if not differences:
        typer.echo(AS_WANTED)
    return DONE if {d.kind for d in differences} <= FIXABLE else DIFFERS


async def _check() -> int:
    from streams.engines.kafka.topics.topics import plan

    differences = await plan(_settings())
    for difference in differences:
        typer.echo(str(difference), err=True)
    if not differences:
        typer.echo(AS_WANTED)
    return DIFFERS if differences else DONE


async def _apply() -> int:
    from streams.engines.kafka.topics.topics import apply

    changed = await apply(
        _settings(),
        operator=getpass.getuser(),
        now=time.time_ns(),  # noqa: TID251 - the program owns the clock
        new_id=lambda: secrets.token_hex(16),
    )
    for difference in changed:
        typer.echo(f"done: {difference}")
    typer.echo(AS_WANTED)
    return DONE


def _run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    import asyncio

    from pydantic import ValidationError

    from streams.engines.kafka.client.errors import KafkaError, failure_text
    from streams.engines.kafka.records.schema_registry import RegistryError
    from streams.engines.kafka.topics.topics import LayoutError
    from streams.process.lifecycle import configure_logging
    from streams.settings.errors import explained_either

    configure_logging(_QUIET)
    try:
        return asyncio.run(work())
    except LayoutError as error:
        for difference in error.differences:
            typer.echo(str(difference), err=True)
        typer.echo("nothing of this can be changed: a person must decide", err=True)
        return DIFFERS
    except ValidationError as error:
        return _fail(explained_either(error, None))
    except RegistryError as error:
        return _fail(f"schema registry: {error}")
    except (KafkaError, OSError, TimeoutError) as error:
        return _fail(failure_text(error))


def _settings() -> KafkaSettings:
    from streams.settings.kafka import KafkaSettings

    return KafkaSettings()


def _fail(message: str) -> int:
    typer.echo(message, err=True)
    return FAILED
