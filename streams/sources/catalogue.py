"""All sources: those of this tree, and those that other distributions bring."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from streams.model.extensions import ExtensionError, extensions, loaded
from streams.sources.descriptor import GROUP, Descriptor, ReaderSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.sources import Source

# In the order in which they are asked whether they wrote an event.
FOLDERS: Final = (
    "aws", "openbao", "ssf", "keycloak", "kubernetes", "okta", "entra", "github",
    "openai", "anthropic", "auth0", "gitguardian", "litellm", "spire",
)  # fmt: skip
Offer = Literal["hooks", "polls", "adopts"]
NOTHING_SET: Final = ReaderSettings()
OFFERS: Final[tuple[Offer, ...]] = ("hooks", "polls", "adopts")

# Systems whose source has the name of their log, or of another system's like it.
_CALLED: Final = {
    "vault": "openbao", "aws": "cloudtrail", "azure": "entra", "m365": "entra",
    "k8s": "kubernetes", "eks": "kubernetes", "gke": "kubernetes", "aks": "kubernetes",
    "caep": "ssf", "risc": "ssf", "spiffe": "spire", "claude": "anthropic",
}  # fmt: skip


@cache
def own() -> Mapping[str, Descriptor]:
    """Return the descriptors of this tree, by name of the source."""
    found = (loaded(f"streams.sources.{each}.vendor:VENDOR") for each in FOLDERS)
    return {of.name: of for of in found}


@cache
def vendors() -> Mapping[str, Descriptor]:
    """Return all descriptors by name of the source, our own first.

    Raises:
        ExtensionError: an entry point of the group ``rescind.sources`` does not load,
            is no descriptor, or has the name of another source, hook, poll or list.
    """
    found = dict(own())
    for extension in extensions(GROUP).values():
        of = extension.load()
        if not isinstance(of, Descriptor):
            text = f"{extension} is no streams.sources.descriptor.Descriptor"
            raise ExtensionError(text)
        taken = [f"source {of.name!r}"] if of.name in found else []
        for offer in OFFERS:
            names = getattr(of, offer).keys() & offered(offer, found)
            taken += [f"{offer.removesuffix('s')} {name!r}" for name in sorted(names)]
        if taken:
            raise ExtensionError(
                f"{extension}: there is a {taken[0]} already; give it another name, "
                "or remove one of the two distributions"
            )
        found[of.name] = of
    return found


def offered(
    offer: Offer, by: Mapping[str, Descriptor] | None = None
) -> Mapping[str, str]:
    """Hooks, polls or lists that vendors offer, as ``module:object`` by their names.

    Args:
        offer: which of them.
        by: descriptors; None: all.

    Raises:
        ExtensionError: as `vendors`.
    """
    every = vendors() if by is None else by
    return {
        name: where
        for of in every.values()
        for name, where in getattr(of, offer).items()
    }


def source(name: str, settings: ReaderSettings = NOTHING_SET) -> Source:
    """Make a fresh reader for one input stream of the named source.

    Raises:
        ExtensionError: as `vendors`; or the module of the reader does not load.
        ValueError: there is no source of that name.
    """
    of = vendors()[checked(name)]
    try:
        made: Source = (
            loaded(of.configured)(settings) if of.configured else loaded(of.reader)()
        )
    except ExtensionError as error:
        raise ExtensionError(f"source {name}: its reader {error}") from error
    return made


def checked(name: str, *others: str) -> str:
    """Name of a source, if there is one.

    Args:
        name: as the settings have it.
        others: what may stand there too.

    Raises:
        ExtensionError: as `vendors`.
        ValueError: there is none; the text names all.
    """
    known = sorted([*vendors(), *others])
    if name not in known:
        near = [_CALLED.get(name.lower(), ""), *get_close_matches(name.lower(), known)]
        meant = next((f" is it {one}?" for one in near if one), "")
        raise ValueError(f"no source {name!r}:{meant} choose one of {', '.join(known)}")
    return name
