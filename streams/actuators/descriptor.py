"""What a vendor's folder says of its actuator, without loading it."""

from __future__ import annotations

from typing import Final, Literal

from attrs import frozen

# Distributions outside the tree name their descriptors in this group of entry points.
GROUP: Final = "rescind.actuators"


@frozen(kw_only=True)
class ActuatorDescriptor:
    """One actuator.

    Attributes:
        name: of the vendor, as ``vendor`` of the settings has it.
        settings: ``module:Class`` of an `ActuatorSettings`, whose `actuator` makes it;
            imported when the settings are read.
        proven: by tests against the real ``server``, or against a ``fake`` that was
            made from the vendor's documentation.
        page: its documentation: a file in docs, or an address.
    """

    name: str
    settings: str
    proven: Literal["server", "fake"]
    page: str = "actuators.md"
