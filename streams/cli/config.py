"""The command ``rescind config check``: arguments here, work elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

config_app = typer.Typer(help="The settings, before anything starts with them.")


@config_app.callback()
def config() -> None:
    """Check the settings before anything starts with them."""


@config_app.command()
def check(
    file: Annotated[
        Path | None,
        typer.Argument(help="Settings (YAML or JSON); else the environment's alone."),
    ] = None,
    role: Annotated[
        Literal["serve", "kafka", "pdp"],
        typer.Option(help="Who starts with them; kafka: ingress, worker and notify."),
    ] = "serve",
) -> None:
    """Name all that is wrong, with line and setting; exit code 2 if anything is."""
    from streams.cli.config_check import run  # noqa: PLC0415 - --help stays quick

    raise typer.Exit(run(file, role))
