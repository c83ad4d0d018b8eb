"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="openai",
    settings="streams.actuators.openai.settings:OpenAiActuator",
    proven="fake",
    page="issuers.md",
)
