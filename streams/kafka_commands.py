"""The commands ``rescind worker`` and ``rescind ingress``: Rescind on Kafka."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError
from pydantic import ValidationError

from streams.app import ConfigurationError, configure_logging
from streams.ingress import receive
from streams.kafka.checkpoint import InUseError
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import LayoutError
from streams.kafka.worker_settings import WorkerSettings
from streams.settings import Listen, load
from streams.worker import work

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

    def start() -> Coroutine[Any, Any, None]:
        given: dict[str, Any] = {"name": name, "data_dir": data_dir}
        worker = WorkerSettings(**{k: v for k, v in given.items() if v is not None})
        return work(load(config, **_listen(listen)), KafkaSettings(), worker)

    return _run(start)


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
        return receive(load(config, **_listen(listen)), KafkaSettings(), name)

    return _run(start)


def _run(start: Any) -> int:
    configure_logging()
    try:
        asyncio.run(start())
    except KeyboardInterrupt:
        return STOPPED
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return _complain(f"{where}: {first['msg']}", USAGE)
    except LayoutError as error:
        return _complain(f"{error}; see: rescind topics plan", USAGE)
    except (ConfigurationError, InUseError, ValueError) as error:
        return _complain(str(error), USAGE)
    except (KafkaError, OSError) as error:
        return _complain(f"{type(error).__name__}: {error}", BROKEN)
    except BaseExceptionGroup as group:
        return _complain(_first(group), BROKEN)
    return STOPPED


def _listen(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError("--listen is HOST:PORT")
    return {"listen": Listen(host=host, port=int(port))}


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _complain(message: str, code: int) -> int:
    print(message, file=sys.stderr)  # noqa: T201 - the program's own words
    return code
