"""The commands ``rescind token``: bearer tokens, and their entries in the settings."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import DONE, USAGE, PlainGroup
from streams.cli.output import columns, complain, to_stderr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.settings.access import StaticToken

ConfigFile = Annotated[
    Path, typer.Option("--config", help="Settings that hold `tokens` (YAML or JSON).")
]
OutFile = Annotated[
    Path | None,
    typer.Option(help="New file for the token, mode 0600; default: NAME.token."),
]

token_app = typer.Typer(
    cls=PlainGroup,
    help="Make bearer tokens, and list, replace and revoke those of settings.",
)


@token_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the credential.")],
    *,
    role: Annotated[
        list[str],
        typer.Option(
            help="ingest, viewer, revoker, restorer, admin or guard; can be repeated."
        ),
    ],
    guard: Annotated[
        list[str] | None,
        typer.Option(help="Name that its guards may have, * for any part; repeatable."),
    ] = None,
    realm: Annotated[
        list[str] | None, typer.Option(help="Realm where it is valid; repeatable.")
    ] = None,
    authority: Annotated[
        str | None, typer.Option(help="On whose behalf an ingest token speaks.")
    ] = None,
    out: OutFile = None,
) -> None:
    """Make a token, and print its entry for `tokens` in the settings."""
    wanted = {
        "name": name, "roles": role, "guards": guard, "realms": realm,
        "authority": authority,
    }  # fmt: skip
    entry = {key: value for key, value in wanted.items() if value}
    raise typer.Exit(_make("token create", entry, out, "Entry for `tokens`:"))


@token_app.command("list")
def list_tokens(config: ConfigFile) -> None:
    """List the credentials of settings, without their digests."""
    from streams.settings.revoked_tokens import revoked_in

    try:
        tokens, file = _tokens(config)
        revoked = set() if file is None else revoked_in(file)[0]
    except (OSError, ValueError) as error:
        raise typer.Exit(complain("token list", error, USAGE)) from error
    rows = [
        (
            each.name, *(_listed(of) for of in (each.roles, each.realms, each.guards)),
            each.authority, "yes" if each.sha256 in revoked else None,
        )
        for each in tokens
    ]  # fmt: skip
    heads = ("name", "roles", "realms", "guards", "authority", "revoked")
    sys.stdout.write(columns(heads, rows) + "\n")


@token_app.command()
def rotate(
    name: Annotated[str, typer.Argument(help="Name of a credential in the settings.")],
    config: ConfigFile,
    out: OutFile = None,
) -> None:
    """Make another token for a credential, and print the entry to put beside it."""
    try:
        found = _named(config, name, _tokens(config)[0])
    except (OSError, ValueError) as error:
        raise typer.Exit(complain("token rotate", error, USAGE)) from error
    entry = found[-1].model_dump(mode="json", exclude_defaults=True)
    entry = {key: _sorted(value) for key, value in entry.items()}
    said = (
        "Entry for `tokens`, beside the present one; remove that one once all who have"
        " the credential use the new token:"
    )
    raise typer.Exit(_make("token rotate", entry, out, said))


@token_app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Name of a credential in the settings.")],
    config: ConfigFile,
    token_file: Annotated[
        Path | None,
        typer.Option(help="With the token: revoke this one, and no other of the name."),
    ] = None,
) -> None:
    """Revoke the tokens of a credential: what runs refuses them within a second."""
    from streams.process.whole_file import write_whole
    from streams.settings.revoked_tokens import COMMENT, revoked_in

    try:
        tokens, file = _tokens(config)
        digests = {each.sha256 for each in _named(config, name, tokens)}
        if token_file is not None:
            given = hashlib.sha256(token_file.read_bytes().strip()).hexdigest()
            if given not in digests:
                raise ValueError(f"{token_file} holds no token of {name}")
            digests = {given}
        if file is None:
            said = "set `revoked_tokens`, a file that every process reads"
            raise ValueError(f"{config}: {said}, and restart them once")
        held = file.read_text("utf-8").splitlines() if file.exists() else []
        new = sorted(digests - (revoked_in(file)[0] if held else set()))
        held += [f"{each}  {COMMENT} {name}" for each in new]
        write_whole(file, "".join(f"{line}\n" for line in held))
    except (OSError, ValueError) as error:
        raise typer.Exit(complain("token revoke", error, USAGE)) from error
    said = "Keep its lines as long as the tokens stand in the settings."
    to_stderr("token revoke", f"{len(new)} more in {file}. {said}")


def _named(
    config: Path, name: str, tokens: Sequence[StaticToken]
) -> Sequence[StaticToken]:
    """Entries of a name.

    Raises:
        ValueError: there are none.
    """
    found = [each for each in tokens if each.name == name]
    if not found:
        raise ValueError(f"{config}: `tokens` has no {name}")
    return found


def _make(command: str, entry: dict[str, Any], out: Path | None, said: str) -> int:
    """Write a new token to a file of its own, and print its entry."""
    from pydantic import ValidationError
    from yaml import safe_dump

    from streams.settings.access import StaticToken
    from streams.settings.errors import explained

    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    entry = {**entry, "sha256": digest}
    file = out or Path(f"{entry['name'].replace(os.sep, '-')}.token")
    try:
        StaticToken.model_validate(entry)
        _write(file, token)
    except ValidationError as error:
        return complain(command, explained(error, StaticToken), USAGE)
    except FileExistsError:
        said = f"{file} is there already: give another file with --out"
        return complain(command, said, USAGE)
    except OSError as error:
        return complain(command, error, USAGE)
    to_stderr(command, f"the token is in {file}, and nowhere else. {said}")
    sys.stdout.write(safe_dump([entry], sort_keys=False))
    return DONE


def _write(out: Path, token: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(out, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(token)


def _tokens(config: Path) -> tuple[tuple[StaticToken, ...], Path | None]:
    """Read the entries of a settings file, and the file of those that are revoked.

    Raises:
        ValueError: they are wrong.
        OSError: the file cannot be read.
    """
    from pydantic import BaseModel, ValidationError
    from yaml import safe_load

    from streams.model.settings_files import hold_settings
    from streams.settings.access import StaticToken
    from streams.settings.errors import explained

    class WithTokens(BaseModel):
        tokens: tuple[StaticToken, ...] = ()
        revoked_tokens: Path | None = None

    WithTokens.model_rebuild(_types_namespace={"StaticToken": StaticToken})
    hold_settings(config)
    held = safe_load(config.read_text("utf-8-sig")) or {}
    try:
        given = WithTokens.model_validate(held)
    except ValidationError as error:
        raise ValueError(explained(error, WithTokens, config)) from error
    return given.tokens, given.revoked_tokens


def _listed(values: Sequence[str] | frozenset[str]) -> str:
    return ", ".join(sorted(values))


def _sorted(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value
