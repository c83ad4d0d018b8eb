"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="okta",
    settings="streams.actuators.okta.settings:OktaActuator",
    proven="fake",
    page="issuers.md",
)
