"""All sources: those of this tree, and those that other distributions bring."""

from __future__ import annotations

from functools import cache
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Final

from streams.sources.descriptor import GROUP, Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.sources import Source

# In the order in which they are asked whether they wrote an event.
FOLDERS: Final = (
    "aws", "openbao", "ssf", "keycloak", "kubernetes", "okta", "entra", "github",
    "openai", "anthropic", "auth0", "gitguardian", "litellm", "spire",
)  # fmt: skip


class ExtensionError(ValueError):
    """A source of another distribution cannot be used."""


@cache
def vendors() -> Mapping[str, Descriptor]:
    """Return the descriptors by name of the source, our own first.

    Raises:
        ExtensionError: an entry point of the group ``rescind.sources`` does not load,
            is no descriptor, or has the name of another source.
    """
    found: dict[str, Descriptor] = {}
    for folder in FOLDERS:
        of: Descriptor = import_module(f"streams.sources.{folder}.vendor").VENDOR
        found[of.name] = of
    for point in metadata.entry_points(group=GROUP):
        of = _brought(point)
        if of.name in found:
            raise ExtensionError(
                f"{_named(point)}: there is a source {of.name!r} already; give it "
                "another name, or remove one of the two distributions"
            )
        found[of.name] = of
    return found


def source(name: str) -> Source:
    """Make a fresh reader for one input stream of the named source.

    Raises:
        ExtensionError: as `vendors`; or the module of the reader does not load.
        ValueError: there is no source of that name.
    """
    known = vendors()
    if name not in known:
        message = f"no source {name!r}: choose one of {', '.join(sorted(known))}"
        raise ValueError(message)
    module, _, reader = known[name].reader.partition(":")
    try:
        made: Source = getattr(import_module(module), reader)()
    except (AttributeError, ImportError) as error:
        text = f"source {name}: its reader {known[name].reader} does not load: {error}"
        raise ExtensionError(text) from error
    return made


def _brought(point: metadata.EntryPoint) -> Descriptor:
    try:
        of = point.load()
    except (AttributeError, ImportError) as error:
        text = (
            f"{_named(point)} does not load: {error}; mend or remove the distribution"
        )
        raise ExtensionError(text) from error
    if not isinstance(of, Descriptor):
        raise ExtensionError(
            f"{_named(point)} is no streams.sources.descriptor.Descriptor"
        )
    return of


def _named(point: metadata.EntryPoint) -> str:
    whose = "" if point.dist is None else f" of {point.dist.name}"
    return f"source {point.name}{whose} ({point.value})"
