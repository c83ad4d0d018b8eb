"""The commands ``rescind backup`` and ``rescind restore``, of the embedded server."""

from __future__ import annotations

import os
import secrets
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from streams.cli.options import KeptHeads
from streams.cli.output import to_stderr

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.stages.audit.chain import Head

DONE: Final = 0
BROKEN: Final = 1
USAGE: Final = 2

backup_app = typer.Typer()

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Data folder of the server; default: RESCIND_DATA_DIR."
    ),
]


@backup_app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")],
    data_dir: DataDir = None,
) -> None:
    """Back up the embedded server's log into one file, while it runs."""
    raise typer.Exit(run_backup(file, data_dir))


@backup_app.command("restore")
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


def run_backup(file: Path, data_dir: Path | None) -> int:
    """Write a backup; 2 where that cannot be done."""
    import sqlite3

    from streams.engines.embedded.backup import write
    from streams.engines.embedded.backup_archive import BackupError

    folder = _folder(data_dir)
    try:
        made = write(folder, file, product=version("rescind"), at=_now())
    except (BackupError, OSError, sqlite3.Error) as error:
        return _complain("backup", error, USAGE)
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
            genesis=secrets.token_hex(16),
            at=_now(),
            read_head=reader,
            heads=tuple(heads),
        )
    except BrokenChainError as error:
        return _complain("restore", f"the audit chain is broken: {error}", BROKEN)
    except (BackupError, StoreInUseError, OSError, ValueError) as error:
        return _complain("restore", error, USAGE)
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


def _folder(given: Path | None) -> Path:
    from streams.clients.rescind import DEFAULT_DATA_DIR

    return given or Path(os.environ.get("RESCIND_DATA_DIR") or DEFAULT_DATA_DIR)


def _until(latest: int) -> str:
    from streams.model.times import rfc3339

    return f"the last of {rfc3339(latest)}" if latest else "none yet"


def _now() -> int:
    return time.time_ns()  # noqa: TID251 - a composition root


def _complain(command: str, text: object, code: int) -> int:
    to_stderr(command, text)
    return code
