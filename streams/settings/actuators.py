"""What an operator sets for actuators: ``actuators: {ours: {vendor: NAME, ...}}``.

The settings of a vendor are a model in its folder, which its descriptor names. Secrets
come from a file or from the environment; they are apart from those for reading, and
are never logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from streams.actuators.catalogue import actuators, own_actuators
from streams.actuators.settings import ActuatorSettings
from streams.model.by_vendor import ByVendor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _own() -> Mapping[str, str]:
    return {name: each.settings for name, each in own_actuators().items()}


def _every() -> Mapping[str, str]:
    return {name: each.settings for name, each in actuators().items()}


if TYPE_CHECKING:
    AnyActuator = ActuatorSettings
else:
    AnyActuator = Annotated[ActuatorSettings, ByVendor(_own, _every)]
