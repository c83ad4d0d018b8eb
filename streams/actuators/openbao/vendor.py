"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="openbao",
    settings="streams.actuators.openbao.settings:OpenBaoActuator",
    proven="server",
)
