"""All actuators: those of this tree, and those that other distributions bring."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from streams.actuators.descriptor import GROUP, ActuatorDescriptor
from streams.model.extensions import ExtensionError, extensions, loaded

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDERS: Final = (
    "openbao", "keycloak", "kubernetes", "aws", "github", "gitlab", "okta", "entra",
    "litellm", "openai", "anthropic", "webhook",
)  # fmt: skip


@cache
def own_actuators() -> Mapping[str, ActuatorDescriptor]:
    """Return the descriptors of this tree, by name of the vendor."""
    found = (loaded(f"streams.actuators.{each}.vendor:ACTUATOR") for each in FOLDERS)
    return {of.name: of for of in found}


@cache
def actuators() -> Mapping[str, ActuatorDescriptor]:
    """Return all descriptors by name of the vendor, our own first.

    Raises:
        ExtensionError: an entry point of the group ``rescind.actuators`` does not load,
            is no descriptor, or has the name of another actuator.
    """
    found = dict(own_actuators())
    for extension in extensions(GROUP).values():
        of = extension.load()
        if not isinstance(of, ActuatorDescriptor):
            text = f"{extension} is no streams.actuators.descriptor.ActuatorDescriptor"
            raise ExtensionError(text)
        if of.name in found:
            raise ExtensionError(
                f"{extension}: there is an actuator {of.name!r} already; give it "
                "another name, or remove one of the two distributions"
            )
        found[of.name] = of
    return found
