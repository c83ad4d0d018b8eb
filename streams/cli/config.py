"""The command ``rescind config check``: all that is wrong, by setting and line."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import ValidationError

    from agents_registry.identifiers import Vocabulary
    from streams.settings.server import Settings

GOOD: Final = 0
WRONG: Final = 2
# What a text begins with, and the setting that it is about.
_SETTINGS: Final = {
    "token": "tokens",
    "source": "sources",
    "watch": "watch",
    "socket": "sockets",
    "raw topic": "raw_topics",
    "ssf": "ssf",
    "oidc": "oidc",
    "hook": "hooks",
    "poll": "polls",
    "queue": "queues",
    "vault": "vaults",
    "pepper": "peppers",
    "guard": "guard_keys",
    "relay": "relay_keys",
    "global_revocation": "global_revocation",
    "authority": "authorities",
    "containment": "containment",
    "kind": "kinds",
}

config_app = typer.Typer(help="Check the settings before a start.")


@config_app.callback()
def config() -> None:
    """Check the settings before a start."""


@config_app.command()
def check(
    file: Annotated[
        Path | None,
        typer.Argument(help="Settings (YAML or JSON); default: only the environment."),
    ] = None,
    role: Annotated[
        Literal["serve", "kafka", "pdp"],
        typer.Option(
            help="The role to check for; kafka: ingress, worker, relay and notify."
        ),
    ] = "serve",
) -> None:
    """Print every error with its line and setting; exit code 2 if there is one."""
    raise typer.Exit(run(file, role))


def run(file: Path | None, role: str) -> int:
    """Check settings and print what is wrong with them.

    Args:
        file: that holds them; None for those of the environment alone.
        role: ``serve``, ``kafka`` or ``pdp``.

    Returns:
        The exit code: 0 a process can start with them, 2 none can.
    """
    from yaml import safe_load

    wrong = list(_wrong(file, role))
    for text in wrong:
        print(text, file=sys.stderr)  # noqa: T201 - the program's own words
    if wrong:
        return WRONG
    empty = file is not None and not safe_load(file.read_text("utf-8-sig"))
    note = ", and empty: every setting has its default" if empty else ""
    print(f"{file or 'the environment'}: good{note}")  # noqa: T201 - as above
    return GOOD


def _wrong(file: Path | None, role: str) -> Iterator[str]:
    from pydantic import ValidationError

    try:
        settings: Any = _load(file, role)
    except ValidationError as error:
        yield _explained(error, file, role)
    except ValueError as error:
        yield str(error)
    else:
        if role != "pdp":
            text = "" if file is None else file.read_text("utf-8-sig")
            every = "\n".join(_contradictions(settings, role))
            for said in dict.fromkeys(every.splitlines()):
                yield f"{_place(file, text, settings, said)}{said}"


def _load(file: Path | None, role: str) -> Any:
    from streams.settings import server

    if role == "pdp":
        from streams.pdp import settings as pdp

        return pdp.load(file)
    if role == "kafka":
        from streams.settings.kafka import KafkaSettings

        KafkaSettings()
    return server.load(file)


def _explained(error: ValidationError, file: Path | None, role: str) -> str:
    from streams.settings.errors import explained, explained_either

    if role == "pdp":
        from streams.pdp.settings import PdpSettings

        return explained(error, PdpSettings, file)
    return explained_either(error, file)


def _contradictions(settings: Settings, role: str) -> Iterator[str]:
    """Yield what does not fit together, or names files that cannot be used."""
    from streams.apps.builders import sources
    from streams.apps.builders.access import access
    from streams.apps.builders.alerting import alerting
    from streams.apps.builders.door import peers_of
    from streams.apps.builders.hooks import check_authorities
    from streams.http.publication import publication
    from streams.model.error_text import error_text

    looks: list[Callable[[], object]] = [
        lambda: sources.check(settings, sources.configured_sources(settings)[1]),
        lambda: sources.configured_streams(settings),
        lambda: sources.configured_guard_keys(settings, in_topic=role == "kafka"),
        lambda: sources.guard_names(settings),
        lambda: sources.tolerances(settings),
        lambda: alerting(settings),
        lambda: publication(settings),
        lambda: access(settings, int),
        lambda: peers_of(settings.peers),
    ]
    for what in ("hooks", "polls", "queues", "vaults", "global_revocation"):
        named = getattr(settings, what)
        singular = what.removesuffix("s")
        looks.append(partial(check_authorities, settings, singular, named))
    looks.append(lambda: _check_grants(settings))
    looks.append(lambda: _check_containment(settings))
    by_engine = sources.check_kafka if role == "kafka" else sources.check_embedded
    looks.append(lambda: by_engine(settings))
    for look in looks:
        try:
            look()
        except (ValueError, OSError) as error:
            yield error_text(error)


def _check_containment(settings: Settings) -> None:
    """Refuse a rule that could never act."""
    from streams.apps.builders.containment_rules import containment_rules
    from streams.apps.builders.sources import configured_sources

    containment_rules(settings, configured_sources(settings)[0])


def _check_grants(settings: Settings) -> None:
    """Refuse a grant of a kind that nothing has: its authority would be refused."""
    from streams.apps.builders.access import ConfigurationError
    from streams.apps.builders.sources import configured_sources

    kinds, _ = configured_sources(settings)
    wrong = [
        f"authority {name}: {_no_kind(grant.kind, kinds)}"
        for name, authority in settings.authorities.items()
        for grant in authority.grants
        if not _covers(grant.kind, kinds)
    ]
    if wrong:
        raise ConfigurationError("\n".join(wrong))


def _covers(kind: str, kinds: Vocabulary) -> bool:
    begin, star, _ = kind.partition("*")
    return kind in kinds or (bool(star) and any(k.startswith(begin) for k in kinds))


def _no_kind(kind: str, kinds: Vocabulary) -> str:
    from streams.services.typed_names import unknown_kind

    if any(each.startswith(f"{kind}.") for each in kinds):
        return f"no kind is called {kind!r}; {kind}.* are all kinds of that system"
    return unknown_kind(kind, kinds)


def _place(file: Path | None, text: str, settings: Settings, said: str) -> str:
    """Say in which line stands what a text is about: it begins with that."""
    from streams.model.wrong_values import line_of
    from streams.settings.server import Settings

    what, _, name = said.partition(":")[0].rpartition(" ")
    setting = _SETTINGS.get(what, name)
    if file is None or setting not in Settings.model_fields:
        return "" if file is None else f"{file}: "
    held = getattr(settings, setting)
    if isinstance(held, tuple):
        marks = [{str(value) for _, value in each} for each in held]
        found = [number for number, mark in enumerate(marks) if name in mark]
        return line_of(str(file), text, [setting, *found[:1]])
    return line_of(str(file), text, [setting, name])
