"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="github",
    settings="streams.actuators.github.settings:GitHubActuator",
    proven="fake",
    page="issuers.md",
)
