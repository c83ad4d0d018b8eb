"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="kubernetes",
    settings="streams.actuators.kubernetes.settings:KubernetesActuator",
    proven="server",
    page="issuers.md",
)
