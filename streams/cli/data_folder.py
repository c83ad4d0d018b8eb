"""The commands on a data folder: ``rescind backup``, ``restore`` and ``migrate``."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import BROKEN, DONE, USAGE, Config, KeptHeads
from streams.cli.output import complain

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.apps.migration import Moved
    from streams.stages.audit.chain import Head


data_folder_app = typer.Typer()

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Data folder of the server; default: RESCIND_DATA_DIR."
    ),
]


@data_folder_app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")],
    data_dir: DataDir = None,
) -> None:
    """Back up the embedded server's log into one file, while it runs."""
    raise typer.Exit(run_backup(file, data_dir))


@data_folder_app.command("restore")
def restore_backup(
    file: Annotated[Path, typer.Argument(help="The backup to read.", metavar="FILE")],
    data_dir: DataDir = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key", help="Public key of the audit chain; default: the backup's."
        ),
    ] = None,
    head: KeptHeads = None,
) -> None:
    """Restore a backup into an empty data folder, as a log of its own."""
    raise typer.Exit(run_restore(file, data_dir, key or [], head or []))


@data_folder_app.command()
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
    raise typer.Exit(run_migrate(config, data_dir, leave_alerts=leave_alerts))


def run_backup(file: Path, data_dir: Path | None) -> int:
    """Write a backup; 2 where that cannot be done."""
    import sqlite3
    from importlib.metadata import version

    from streams.engines.embedded.backup import write
    from streams.engines.embedded.backup_archive import BackupError

    folder = _folder(data_dir)
    try:
        made = write(folder, file, product=version("rescind"), at=_now())
    except (BackupError, OSError, sqlite3.Error) as error:
        return complain("backup", error, USAGE)
    sys.stdout.write(
        f"Wrote {file}: {made.facts:,} facts of realm {made.realm}, "
        f"{_until(made.latest)}, and {made.sequence:,} entries of the audit chain.\n"
    )
    return DONE


def run_restore(
    file: Path, data_dir: Path | None, keys: list[Path], heads: list[str]
) -> int:
    """Make a data folder of a backup.

    Args:
        file: the backup.
        data_dir: an empty folder.
        keys: of the audit chain; without any, the one in the backup.
        heads: signed heads of it that were kept elsewhere.

    Returns:
        The exit code: 0 restored, 1 its audit chain does not hold, 2 it cannot be
        used.
    """
    from secrets import token_hex

    from streams.engines.embedded.backup_archive import BackupError
    from streams.engines.embedded.data_folder import StoreInUseError
    from streams.engines.embedded.restore import OLD_PUBLIC_KEY, restore
    from streams.services.audit_heads import head_reader, public_key
    from streams.stages.audit.chain import BrokenChainError

    folder = _folder(data_dir)

    def reader(own: bytes) -> Callable[[str], Head]:
        given = [path.read_bytes() for path in keys] or ([own] if own else [])
        return head_reader([public_key(pem) for pem in given])

    try:
        made = restore(
            file,
            folder,
            genesis=token_hex(16),
            at=_now(),
            read_head=reader,
            heads=tuple(heads),
        )
    except BrokenChainError as error:
        return complain("restore", f"the audit chain is broken: {error}", BROKEN)
    except (BackupError, StoreInUseError, OSError, ValueError) as error:
        return complain("restore", error, USAGE)
    sys.stdout.write(
        f"Restored {made.facts:,} facts of realm {made.realm} into {folder}, "
        f"{_until(made.latest)}; the audit chain holds.\n"
        "It is another log now: guards read it from its start. What was accepted later "
        "is not in it.\n"
        "  watched logs, polls and queues go on by themselves from where they were\n"
        "  what was pushed or ordered since then is to be sent again\n"
        "  guards that run keep denying what they denied: restart them only then\n"
        f"  heads signed before are checked with {folder / OLD_PUBLIC_KEY}\n"
    )
    return DONE


def run_migrate(
    config: Path | None, data_dir: Path | None, *, leave_alerts: bool
) -> int:
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

    from pydantic import ValidationError

    from schemas.errors import SchemaError
    from streams.apps.migration import MigrationError
    from streams.engines.embedded.data_folder import StoreInUseError
    from streams.engines.kafka.client.errors import KafkaError, failure_text
    from streams.engines.kafka.client.publisher import NotAckedError
    from streams.engines.kafka.records.schema_registry import RegistryError
    from streams.engines.kafka.topics.topics import LayoutError
    from streams.services.intake import NotWrittenError
    from streams.settings.errors import explained_either

    try:
        moved = _move(config, data_dir, leave_alerts=leave_alerts)
    except ValidationError as error:
        return complain("migrate", explained_either(error, config), USAGE)
    except FileNotFoundError as error:
        return complain("migrate", f"there is no file {error.filename or error}", USAGE)
    except StoreInUseError as error:
        return complain("migrate", f"{error}: stop it first", USAGE)
    except LayoutError as error:
        return complain("migrate", f"{error}; see: rescind topics plan", USAGE)
    except (MigrationError, ValueError) as error:
        return complain("migrate", error, USAGE)
    except (SchemaError, sqlite3.Error) as error:
        return complain("migrate", f"the log cannot be read: {error}", USAGE)
    except (
        KafkaError,
        NotAckedError,
        NotWrittenError,
        RegistryError,
        OSError,
    ) as error:
        return complain("migrate", f"{failure_text(error)}; run it again", BROKEN)
    sys.stdout.write(_told(moved))
    return DONE


def _move(config: Path | None, data_dir: Path | None, *, leave_alerts: bool) -> Moved:
    import asyncio

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


def _folder(given: Path | None) -> Path:
    from streams.clients.rescind import DEFAULT_DATA_DIR

    return given or Path(os.environ.get("RESCIND_DATA_DIR") or DEFAULT_DATA_DIR)


def _until(latest: int) -> str:
    from streams.model.times import rfc3339

    return f"the last of {rfc3339(latest)}" if latest else "none yet"


def _now() -> int:
    return time.time_ns()  # noqa: TID251 - a composition root
