"""Readers of sources that tell hashes of secrets, with the realm's peppers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from streams.model.keyed_names import keyed_digest
from streams.sources.catalogue import source
from streams.sources.github.audit import HASHED
from streams.sources.github.github import GitHub
from streams.sources.github.secrets import GitHubSecrets
from streams.sources.litellm.litellm import LiteLlm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.services.reading import RecordReader

SHOWN: Final = "secret"  # the kind of what guards are shown and know by its hash


def keyed_source(name: str, peppers: Sequence[bytes]) -> RecordReader:
    """Make a reader; one of LiteLLM or GitHub names keys with the realm's peppers."""
    if name == LiteLlm.name:
        return LiteLlm(*(partial(_keyed, SHOWN, pepper) for pepper in peppers))
    if name == GitHub.name:
        return keyed_github(peppers)
    return source(name)


def keyed_github(peppers: Sequence[bytes]) -> GitHub:
    """Make a reader of GitHub, whose webhooks are read with their headers."""
    return GitHub(keyed=[partial(_keyed, HASHED, pepper) for pepper in peppers])


def keyed_github_secrets(peppers: Sequence[bytes]) -> GitHubSecrets:
    """Make a reader of the tokens that GitHub found in public."""
    return GitHubSecrets([partial(_keyed, SHOWN, pepper) for pepper in peppers])


def _keyed(kind: str, pepper: bytes, digest: bytes) -> str:
    return keyed_digest(kind, digest, pepper).value
