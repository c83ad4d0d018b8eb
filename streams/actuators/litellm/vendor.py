"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="litellm",
    settings="streams.actuators.litellm.settings:LiteLlmActuator",
    proven="server",
    page="issuers.md",
)
