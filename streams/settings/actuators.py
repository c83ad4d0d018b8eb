"""What an operator sets for actuators: ``actuators: {ours: {vendor: NAME, ...}}``.

The settings of a vendor are a model in its folder, which its descriptor names. Secrets
come from a file or from the environment; they are apart from those for reading, and
are never logged.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator

from streams.actuators.catalogue import actuators, own_actuators
from streams.model.extensions import loaded

if TYPE_CHECKING:
    from streams.actuators.settings import ActuatorSettings


def _of_vendor(value: Any, ours: ValidatorFunctionWrapHandler) -> Any:
    """Read settings by the model of their vendor, also of a brought one."""
    vendor = value.get("vendor") if isinstance(value, dict) else None
    if isinstance(vendor, str) and vendor not in own_actuators():
        brought = actuators().get(vendor)
        if brought is not None:
            return loaded(brought.settings).model_validate(value)
    return ours(value)


if TYPE_CHECKING:
    AnyActuator = ActuatorSettings
else:
    _MODELS = [loaded(each.settings) for _, each in sorted(own_actuators().items())]
    _OURS = Annotated[reduce(or_, _MODELS), Field(discriminator="vendor")]
    AnyActuator = Annotated[
        _OURS if len(_MODELS) > 1 else _MODELS[0], WrapValidator(_of_vendor)
    ]
