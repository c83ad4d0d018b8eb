"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="anthropic",
    settings="streams.actuators.anthropic.settings:AnthropicActuator",
    proven="fake",
    page="issuers.md",
)
