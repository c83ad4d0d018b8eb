"""What is wrong with settings, as people are told it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from streams.model.wrong_values import told
from streams.settings.kafka import KafkaSettings
from streams.settings.server import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel, ValidationError


def explained(
    error: ValidationError, model: type[BaseModel], file: Path | None = None
) -> str:
    """Say all that is wrong, a line each, as `told` does."""
    if file is None:
        return "\n".join(told(error, model, variables=os.environ))
    text = file.read_text("utf-8-sig")
    return "\n".join(told(error, model, str(file), text, os.environ))


def explained_either(error: ValidationError, config: Path | None) -> str:
    """Say all that is wrong with the settings of the file, or with those of Kafka."""
    if error.title == KafkaSettings.__name__:
        return explained(error, KafkaSettings)
    return explained(error, Settings, config)
