"""The descriptor of this actuator."""

from __future__ import annotations

from streams.actuators.descriptor import ActuatorDescriptor

ACTUATOR = ActuatorDescriptor(
    name="keycloak",
    settings="streams.actuators.keycloak.settings:KeycloakActuator",
    proven="server",
    page="issuers.md",
)
