"""A role that serves until a signal comes: its exit code, and what it complains of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from streams.cli.options import BROKEN, DONE, USAGE
from streams.cli.output import complain
from streams.observability.tracing import MissingError
from streams.process.lifecycle import configure_logging, first_error
from streams.settings.errors import explained

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import BaseModel


def served(
    command: str, model: type[BaseModel], config: Path | None, work: Callable[[], None]
) -> int:
    """Read settings and serve, and say what stopped it.

    Args:
        command: that complains.
        model: of the settings.
        config: settings file (YAML or JSON).
        work: reads the settings, and serves.

    Returns:
        The exit code: 0 stopped by a signal, 1 something broke, 2 a wrong setting.
    """
    configure_logging()
    try:
        work()
    except KeyboardInterrupt:
        return DONE
    except ValidationError as error:
        return complain(command, explained(error, model, config), USAGE)
    except FileNotFoundError as error:
        return complain(command, f"there is no file {error.filename or error}", USAGE)
    except (MissingError, ValueError, OSError) as error:
        return complain(command, error, USAGE)
    except BaseExceptionGroup as group:
        return complain(command, own_fault(first_error(group)), BROKEN)
    return DONE


def own_fault(error: BaseException) -> str:
    """Sentence of an error that nobody outside can mend."""
    return f"stopped by a fault of its own: {type(error).__name__}: {error}"
