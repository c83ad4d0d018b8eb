"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="entra",
    settings="streams.actuators.entra.settings:EntraActuator",
    proven="fake",
    page="issuers.md",
)
