"""The commands ``rescind backup``, ``restore`` and ``migrate``: arguments here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

moving_app = typer.Typer()

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Of the server; else RESCIND_DATA_DIR."),
]


@moving_app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Gets the backup.", metavar="FILE")],
    data_dir: DataDir = None,
) -> None:
    """Write the embedded server's log and what belongs to it, while it runs."""
    from streams.cli.backup import run_backup  # noqa: PLC0415 - --help stays quick

    raise typer.Exit(run_backup(file, data_dir))


@moving_app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A backup.", metavar="FILE")],
    data_dir: DataDir = None,
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", help="The audit chain's public key; else the backup's."),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option("--head", metavar="JWS", help="Must be in it: one that you kept."),
    ] = None,
) -> None:
    """Make an empty data folder of a backup, as a log of its own."""
    from streams.cli.backup import run_restore  # noqa: PLC0415 - as above

    raise typer.Exit(run_restore(file, data_dir, key or [], head or []))


@moving_app.command()
def migrate(
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings, YAML or JSON.")
    ] = None,
    data_dir: DataDir = None,
    *,
    leave_alerts: Annotated[
        bool,
        typer.Option("--leave-alerts", help="Those that wait for a receiver stay."),
    ] = False,
) -> None:
    """Move the log of a stopped embedded server to Kafka, and prove it equal."""
    from streams.cli.migrate import run  # noqa: PLC0415 - an extra

    raise typer.Exit(run(config, data_dir, leave_alerts=leave_alerts))
