"""The command ``rescind migrate``: from the embedded server to the roles on Kafka."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from streams.cli.backup import DataDir
from streams.cli.options import Config
from streams.cli.output import to_stderr

if TYPE_CHECKING:
    from pathlib import Path

    from streams.apps.migration import Moved

DONE: Final = 0
BROKEN: Final = 1
USAGE: Final = 2

migrate_app = typer.Typer()


@migrate_app.command()
def migrate(
    config: Config = None,
    data_dir: DataDir = None,
    *,
    leave_alerts: Annotated[
        bool,
        typer.Option(
            "--leave-alerts", help="Leave waiting alerts behind in the data folder."
        ),
    ] = False,
) -> None:
    """Move the log of a stopped embedded server to Kafka, and compare the tables."""
    raise typer.Exit(run(config, data_dir, leave_alerts=leave_alerts))


def run(config: Path | None, data_dir: Path | None, *, leave_alerts: bool) -> int:
    """Move the log of the data folder into the topics.

    Args:
        config: settings file, the one that the roles will have.
        data_dir: instead of the settings' own.
        leave_alerts: alerts that wait for a receiver stay behind.

    Returns:
        The exit code: 0 moved and equal, 1 try it again or the tables differ, 2
        something is not as it must be.
    """
    import sqlite3

    from aiokafka.errors import KafkaError
    from pydantic import ValidationError

    from schemas.errors import SchemaError
    from streams.apps.builders.sources import ConfigurationError
    from streams.apps.migration import MigrationError
    from streams.engines.embedded.data_folder import StoreInUseError
    from streams.engines.kafka.client.publisher import NotAckedError
    from streams.engines.kafka.records.schema_registry import RegistryError
    from streams.engines.kafka.topics.topics import LayoutError
    from streams.services.intake import NotWrittenError
    from streams.settings.errors import explained_either

    try:
        moved = _move(config, data_dir, leave_alerts=leave_alerts)
    except ValidationError as error:
        return _complain(explained_either(error, config), USAGE)
    except FileNotFoundError as error:
        return _complain(f"there is no file {error.filename or error}", USAGE)
    except StoreInUseError as error:
        return _complain(f"{error}: stop it first", USAGE)
    except LayoutError as error:
        return _complain(f"{error}; see: rescind topics plan", USAGE)
    except (ConfigurationError, MigrationError, ValueError) as error:
        return _complain(error, USAGE)
    except (SchemaError, sqlite3.Error) as error:
        return _complain(f"the log cannot be read: {error}", USAGE)
    except (
        KafkaError,
        NotAckedError,
        NotWrittenError,
        RegistryError,
        OSError,
    ) as error:
        return _complain(f"{type(error).__name__}: {error}; run it again", BROKEN)
    sys.stdout.write(_told(moved))
    return DONE


def _move(config: Path | None, data_dir: Path | None, *, leave_alerts: bool) -> Moved:
    from streams.apps.builders.sources import configured_sources
    from streams.apps.migration import Migration
    from streams.process.lifecycle import configure_logging
    from streams.settings.kafka import KafkaSettings
    from streams.settings.server import load

    configure_logging(logging.WARNING)
    given: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
    settings = load(config, **given)
    vocabulary, _ = configured_sources(settings)
    migration = Migration(
        settings.data_dir, settings.realm, KafkaSettings(), vocabulary, _now
    )
    return asyncio.run(migration.run(leave_alerts=leave_alerts))


def _told(moved: Moved) -> str:
    already = f" ({moved.there:,} were there already)" if moved.there else ""
    return (
        f"Moved {moved.facts:,} facts of realm {moved.realm}{already}.\n"
        f"Both tables have {moved.rows:,} rows and the digest {moved.digest}.\n"
        "Next, with the same settings:\n"
        "  start ingress, the workers and notify on Kafka\n"
        "  send the sources to ingress\n"
        "  restart the guards with Kafka as their feed\n"
        "Findings, dead letters and the audit chain stay in the folder. No server "
        "starts from it any more.\n"
    )


def _now() -> int:
    return time.time_ns()  # noqa: TID251 - a composition root


def _complain(text: object, code: int) -> int:
    to_stderr("migrate", text)
    return code
