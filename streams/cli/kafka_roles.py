"""The commands that run a role of Rescind on Kafka."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from streams.apps.builders.sources import ConfigurationError
from streams.apps.ingress import receive
from streams.apps.notify import deliver
from streams.apps.relay import relay
from streams.apps.worker import collect_rarely, work
from streams.cli.kafka_errors import failure_text
from streams.engines.embedded.analysis import SWITCH_SECONDS
from streams.engines.kafka.checkpoints.checkpoint import CheckpointInUseError
from streams.engines.kafka.client.errors import KafkaError
from streams.engines.kafka.topics.topics import LayoutError
from streams.model.error_text import error_text
from streams.observability.metrics import INGRESS, INSIGHTS, NOTIFY, RELAY, WORKER
from streams.observability.tracing import MissingError, traced_process
from streams.process.lifecycle import configure_logging, keep_collections_short
from streams.process.private_folder import OpenFolderError
from streams.settings.errors import explained_either
from streams.settings.kafka import KafkaSettings
from streams.settings.notify import NotifySettings
from streams.settings.relay import RelaySettings
from streams.settings.server import address, load
from streams.settings.worker import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

STOPPED: Final = 0
BROKEN: Final = 1
USAGE: Final = 2


def run_worker(
    config: Path | None,
    *,
    name: str | None,
    data_dir: Path | None,
    listen: str | None,
) -> int:
    """Work until a signal comes.

    Args:
        config: settings file (YAML or JSON).
        name: of this worker, instead of ``RESCIND_WORKER_NAME``.
        data_dir: of its files, instead of ``RESCIND_WORKER_DATA_DIR``.
        listen: ``HOST:PORT``, instead of the settings' own.

    Returns:
        The exit code: 0 stopped by a signal, 1 something broke, 2 a wrong setting.
        A produce that is not acked ends the process with 70.
    """
    collect_rarely()

    def start() -> Coroutine[Any, Any, None]:
        worker = WorkerSettings(**_given(name=name, data_dir=data_dir))
        return work(load(config, **_listening(listen)), KafkaSettings(), worker)

    return _run(WORKER, start, config)


def run_notify(
    config: Path | None,
    *,
    name: str | None,
    data_dir: Path | None,
    listen: str | None,
) -> int:
    """Deliver alerts until a signal comes.

    Args:
        config: settings file (YAML or JSON).
        name: of this process, instead of ``RESCIND_NOTIFY_NAME``.
        data_dir: of its file, instead of ``RESCIND_NOTIFY_DATA_DIR``.
        listen: ``HOST:PORT``, instead of the settings' own.

    Returns:
        The exit code: 0 stopped by a signal, 1 something broke, 2 a wrong setting.
        A dead letter that is not acked ends the process with 70.
    """

    def start() -> Coroutine[Any, Any, None]:
        notify = NotifySettings(**_given(name=name, data_dir=data_dir))
        return deliver(load(config, **_listening(listen)), KafkaSettings(), notify)

    return _run(NOTIFY, start, config)


def run_ingress(config: Path | None, *, name: str, listen: str | None) -> int:
    """Take events in until a signal comes.

    Args:
        config: settings file (YAML or JSON).
        name: of this process, unique among the writers.
        listen: ``HOST:PORT``, instead of the settings' own.

    Returns:
        The exit code: 0 stopped by a signal, 1 something broke, 2 a wrong setting.
    """

    def start() -> Coroutine[Any, Any, None]:
        keep_collections_short()
        sys.setswitchinterval(SWITCH_SECONDS)
        return receive(load(config, **_listening(listen)), KafkaSettings(), name)

    return _run(INGRESS, start, config)


def run_relay(config: Path | None, *, listen: str | None) -> int:
    """Feed guards until a signal comes.

    Args:
        config: settings file (YAML or JSON).
        listen: ``HOST:PORT``, instead of the settings' own.

    Returns:
        The exit code: 0 stopped by a signal, 1 something broke, 2 a wrong setting.
    """

    def start() -> Coroutine[Any, Any, None]:
        keep_collections_short()
        sys.setswitchinterval(SWITCH_SECONDS)
        settings = load(config, **_listening(listen))
        return relay(settings, KafkaSettings(), RelaySettings())

    return _run(RELAY, start, config)


def run_insights(config: Path | None, *, listen: str | None) -> int:
    """Count what is revoked and found until a signal comes.

    Args:
        config: settings file (YAML or JSON).
        listen: ``HOST:PORT``, instead of the settings' own.

    Returns:
        The exit code: 0 stopped by a signal, 1 something broke, 2 a wrong setting.
    """
    # Of an extra that no other role needs.
    from streams.apps.insights import count
    from streams.settings.insights import InsightsSettings

    def start() -> Coroutine[Any, Any, None]:
        settings = load(config, **_listening(listen))
        return count(settings, KafkaSettings(), InsightsSettings())

    return _run(INSIGHTS, start, config)


def _run(role: str, start: Any, config: Path | None) -> int:
    configure_logging()
    try:
        with traced_process(role):
            asyncio.run(start())
    except KeyboardInterrupt:
        return STOPPED
    except ValidationError as error:
        return _complain(explained_either(error, config), USAGE)
    except LayoutError as error:
        return _complain(f"{error}; see: rescind topics plan", USAGE)
    except (
        ConfigurationError,
        CheckpointInUseError,
        MissingError,
        OpenFolderError,
        ValueError,
    ) as error:
        return _complain(error, USAGE)
    except KafkaError as error:
        return _complain(failure_text(error), BROKEN)
    except OSError as error:
        return _complain(error, BROKEN)
    except BaseExceptionGroup as group:
        return _complain(failure_text(group), BROKEN)
    return STOPPED


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _listening(text: str | None) -> dict[str, Any]:
    return {} if text is None else {"listen": address(text)}


def _complain(message: object, code: int) -> int:
    print(error_text(message), file=sys.stderr)  # noqa: T201 - the program's own words
    return code
