"""The commands ``rescind topics``: compare a cluster with the layout; make it so."""

from __future__ import annotations

import asyncio
import getpass
import secrets
import time
from typing import TYPE_CHECKING, Final

import orjson
import typer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from streams.engines.kafka.records.schema_registry import RegistryError
from streams.engines.kafka.topics.acls import Role, acls
from streams.engines.kafka.topics.topics import FIXABLE, LayoutError, apply, plan
from streams.settings.kafka import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any

DONE: Final = 0
DIFFERS: Final = 1
FAILED: Final = 2
AS_WANTED: Final = "the topics are as they should be"


def run_plan() -> int:
    """Print what `apply` would do; 1 where it must not do something."""
    return _run(_plan())


def run_check() -> int:
    """Print what differs; 1 where anything does."""
    return _run(_check())


def run_apply() -> int:
    """Make the topics as they should be; 1 where something must not be changed."""
    return _run(_apply())


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
    differences = await plan(_settings())
    for difference in differences:
        todo = "apply does" if difference.kind in FIXABLE else "a person must decide"
        typer.echo(f"{todo}: {difference}")
    if not differences:
        typer.echo(AS_WANTED)
    return DONE if {d.kind for d in differences} <= FIXABLE else DIFFERS


async def _check() -> int:
    differences = await plan(_settings())
    for difference in differences:
        typer.echo(str(difference), err=True)
    if not differences:
        typer.echo(AS_WANTED)
    return DIFFERS if differences else DONE


async def _apply() -> int:
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


def _run(work: Coroutine[Any, Any, int]) -> int:
    try:
        return asyncio.run(work)
    except LayoutError as error:
        for difference in error.differences:
            typer.echo(str(difference), err=True)
        typer.echo("nothing of this can be changed: a person must decide", err=True)
        return DIFFERS
    except ValidationError as error:
        return _fail(f"the settings are not valid: {error}")
    except RegistryError as error:
        return _fail(f"schema registry: {error}")
    except (KafkaError, OSError, TimeoutError) as error:
        return _fail(f"Kafka: {error or type(error).__name__}")


def _settings() -> KafkaSettings:
    return KafkaSettings()


def _fail(message: str) -> int:
    typer.echo(message, err=True)
    return FAILED
