"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="gitlab",
    settings="streams.actuators.gitlab.settings:GitLabActuator",
    proven="fake",
    page="issuers.md",
)
