"""A secret that is typed into a command is shown by none, in output or in errors.

Every command that reads files or asks a server gets it in each place where a text may
stand, and in the files that it reads. A command that is added is found by itself.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest
import structlog
import typer.main
from attrs import frozen

from streams.cli.main import app
from streams.process.lifecycle import configure_logging
from tests.integration.serving import running
from tests.integration.test_planted_everywhere import (
    GITHUB,
    KINDS,
    MARK,
    MARKED,
    settings,
)
from tests.integration.test_planted_secrets import kept, salted_body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

# Processes of their own, and what runs a program or speaks to a broker.
APART: Final = frozenset({
    "serve", "demo", "pdp", "worker", "ingress", "relay", "notify", "demo-kafka",
    "dev-kafka", "insights", "migrate", "topics", "conformance", "backup", "restore",
    "console",
})  # fmt: skip
# Where a server, or what an operator's machine keeps, is named.
PLACES: Final = frozenset({"kafka", "url", "worker", "base", "token_url", "push"})
# What a command looks at before all else.
GOOD: Final = {
    "reason": "test", "until": "1h", "since": "2030-01-01T00:00:00Z",
    "authority": "all", "aspect": "account", "fact": "0" * 64, "key": "k",
    "suspect": "all", "realm": "default", "format_": "openbao", "org": "acme",
    "cluster": "c", "issuer": "http://127.0.0.1:9/", "device": "d", "client_id": "c",
    "base": "http://127.0.0.1:9",
}  # fmt: skip
# Where an identifier may stand.
NAMED: Final = frozenset({"name", "names", "owner", "identifier", "revoke"})
NAMES: Final = (
    *(f"{k}:{s}" for k, s in zip(itertools.cycle(KINDS), MARKED, strict=False)),
    f"secret:{MARK} of no shape",
    f"acme.token:{MARK} of no shape",
    GITHUB,
)


@frozen
class Command:
    """A command and its parameters."""

    path: tuple[str, ...]
    parameters: list[Any]

    def line(self, given: dict[str, str], file: Path) -> list[str]:
        """Give what is typed: what is given, and what the command cannot do without."""
        options: list[str] = []
        arguments: list[str] = []
        for each in self.parameters:
            name, value = each.name, given.get(each.name)
            if is_path(each):
                value = str(file) if each.required else None
            elif value is None and each.required:
                value = GOOD.get(name, "agent.id:good")
            if value is None:
                continue
            if type(each).__name__ == "TyperArgument":
                arguments.append(value)
            else:
                options += [each.opts[0], value]
        return [*self.path, *options, "--", *arguments]

    @property
    def texts(self) -> list[str]:
        """Name the parameters in which anything may stand."""
        return [
            each.name
            for each in self.parameters
            if each.name not in PLACES and not is_path(each) and is_text(each)
        ]

    @property
    def reads(self) -> bool:
        """Tell whether it reads files."""
        return any(is_path(each) and each.required for each in self.parameters)


def is_path(parameter: Any) -> bool:
    """Tell whether a parameter names files."""
    return "Path" in str(parameter.type_descriptor.annotation)


def is_text(parameter: Any) -> bool:
    """Tell whether a parameter takes any text."""
    kind = parameter.type_descriptor.annotation
    return str in (kind, *get_args(kind))


def commands() -> list[Command]:
    """Give all that ask a server, or read files."""

    def below(one: Any, path: tuple[str, ...]) -> Iterator[Command]:
        for name, each in one.commands.items():
            if not path and name in APART:
                continue
            if hasattr(each, "commands"):
                yield from below(each, (*path, name))
            else:
                more = [one for one in each.params if one.name != "help"]
                yield Command((*path, name), more)

    return list(below(typer.main.get_command(app), ()))


def files(folder: Path) -> Iterator[Path]:
    """Give files with secrets: logs, declarations, what is neither, and torn ones."""
    declared = [{"identifier": name, "parents": [name], "root": True} for name in NAMES]
    contents = {
        "log": salted_body("openbao"),
        "other": salted_body("cloudtrail"),
        "declared": json.dumps(declared).encode(),
        "one": json.dumps(declared[:1]).encode(),
        "strange": json.dumps(dict.fromkeys(NAMES, NAMES)).encode(),
        "torn": f'[{{"identifier": "{GITHUB}", {GITHUB}'.encode(),
        "plain": GITHUB.encode(),
    }
    for name, content in contents.items():
        file = folder / name
        file.write_bytes(content)
        yield file


def lines(folder: Path) -> Iterator[list[str]]:
    """Give all that is typed."""
    given = list(files(folder))
    for command in commands():
        names = [name for name in command.texts if name in NAMED]
        for name in NAMES if names else ():
            yield command.line(dict.fromkeys(names, name), given[0])
        if command.texts:
            yield command.line(dict.fromkeys(command.texts, GITHUB), given[0])
        for name in command.texts:
            yield command.line({name: GITHUB}, given[0])
        for file in given if command.reads else ():
            yield command.line({}, file)


def typed(root: Any, line: list[str]) -> str:
    """Run a command in this process; give what it showed, and how it broke."""
    shown = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    crash = ""
    with redirect_stdout(shown), redirect_stderr(shown):
        try:
            root.main(args=line, prog_name="rescind")
        except SystemExit:
            pass
        except Exception as error:  # noqa: BLE001 - told below
            crash = f"{MARK}: broken by {error!r}"
    shown.flush()
    shown.seek(0)
    return shown.read() + crash


async def test_no_command_shows_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the server that they ask keep one."""
    configure_logging(0)
    token = tmp_path / "token"
    token.write_text("everything")
    said: dict[str, str] = {}
    async with running(tmp_path, **settings(tmp_path)) as server:
        monkeypatch.setenv("RESCIND_URL", server.url)
        monkeypatch.setenv("RESCIND_TOKEN_FILE", str(token))
        root = typer.main.get_command(app)

        def type_all() -> None:
            for line in lines(tmp_path):
                said[" ".join(line)] = typed(root, line)

        await asyncio.to_thread(type_all)
        held = list(kept(tmp_path))
    structlog.reset_defaults()
    held += list(kept(tmp_path))
    shown = {line: text for line, text in said.items() if MARK in text}
    assert not shown, json.dumps(shown, indent=1)
    assert not [name for name, data in held if MARK.encode() in data]
    assert sum(map(bool, said.values())) > 100
