"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="aws",
    settings="streams.actuators.aws.settings:AwsActuator",
    proven="server",
    page="issuers.md",
)
