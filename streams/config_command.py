"""The command ``rescind config check``: all that is wrong, by setting and line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from yaml import YAMLError

from streams import settings as server
from streams.alerting import alerting
from streams.configured import (
    check,
    check_embedded,
    check_kafka,
    configured_guard_keys,
    configured_sources,
    configured_streams,
    guard_names,
    tolerances,
)
from streams.settings import Settings
from streams.wrong_settings import explained, explained_either
from streams.wrong_values import not_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GOOD: Final = 0
WRONG: Final = 2


def run(file: Path | None, role: str) -> int:
    """Check settings and print what is wrong with them.

    Args:
        file: that holds them; None for those of the environment alone.
        role: ``serve``, ``kafka`` or ``pdp``.

    Returns:
        The exit code: 0 a process can start with them, 2 none can.
    """
    wrong = list(_wrong(file, role))
    for text in wrong:
        print(text, file=sys.stderr)  # noqa: T201 - the program's own words
    if wrong:
        return WRONG
    print(f"{file or 'the environment'}: good")  # noqa: T201 - as above
    return GOOD


def _wrong(file: Path | None, role: str) -> Iterator[str]:
    try:
        settings: Any = _load(file, role)
    except ValidationError as error:
        yield _explained(error, file, role)
    except FileNotFoundError as error:
        yield f"there is no file {error.filename or error}"
    except YAMLError as error:
        yield not_yaml(file, error)
    except ValueError as error:
        yield str(error)
    else:
        if role != "pdp":
            yield from _contradictions(settings, role)


def _load(file: Path | None, role: str) -> Any:
    if role == "pdp":
        from streams.pdp import settings as pdp  # noqa: PLC0415 - an extra

        return pdp.load(file)
    if role == "kafka":
        from streams.kafka.settings import KafkaSettings  # noqa: PLC0415 - as above

        KafkaSettings()
    return server.load(file)


def _explained(error: ValidationError, file: Path | None, role: str) -> str:
    if role == "pdp":
        from streams.pdp.settings import PdpSettings  # noqa: PLC0415 - an extra

        return explained(error, PdpSettings, file)
    return explained_either(error, file)


def _contradictions(settings: Settings, role: str) -> Iterator[str]:
    """Yield what does not fit together, or names files that cannot be used."""
    looks: list[Callable[[], object]] = [
        lambda: check(settings, configured_sources(settings)[1]),
        lambda: configured_streams(settings),
        lambda: configured_guard_keys(settings),
        lambda: guard_names(settings),
        lambda: tolerances(settings),
        lambda: alerting(settings),
    ]
    by_engine = check_kafka if role == "kafka" else check_embedded
    looks.append(lambda: by_engine(settings))
    for look in looks:
        try:
            look()
        except (ValueError, OSError) as error:
            yield str(error)
