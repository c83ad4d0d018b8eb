"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="webhook",
    settings="streams.actuators.webhook.settings:WebhookActuator",
    proven="server",
    page="issuers.md",
)
