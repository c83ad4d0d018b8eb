"""What other distributions bring: objects that their entry points name."""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExtensionError(ValueError):
    """What a distribution brings cannot be used; the text says which one and why."""


@frozen
class Extension:
    """An entry point, such as ``acme`` of the group ``rescind.sources``."""

    what: str
    point: metadata.EntryPoint

    def __str__(self) -> str:
        whose = "" if self.point.dist is None else f" of {self.point.dist.name}"
        return f"{self.what} {self.point.name}{whose} ({self.point.value})"

    def load(self) -> Any:
        """Import the object.

        Raises:
            ExtensionError: it does not load.
        """
        try:
            return self.point.load()
        except (AttributeError, ImportError) as error:
            text = f"{self} does not load: {error}; mend or remove the distribution"
            raise ExtensionError(text) from error


def extensions(group: str) -> Mapping[str, Extension]:
    """Extensions of a group (``rescind.sources``), by their names."""
    what = group.rpartition(".")[2].removesuffix("s")
    points = metadata.entry_points(group=group)
    return {point.name: Extension(what, point) for point in points}


def loaded(where: str) -> Any:
    """Import what ``module:object`` names.

    Raises:
        ExtensionError: it does not load.
    """
    module, _, name = where.partition(":")
    try:
        return getattr(import_module(module), name)
    except (AttributeError, ImportError) as error:
        raise ExtensionError(f"{where} does not load: {error}") from error
