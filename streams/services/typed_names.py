"""Identifiers as people write them, read as the logs name the same thing."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import Identifier, class_of
from streams.model import documents
from streams.services.secret_names import PlainSecretError
from streams.sources.aws.identity import principal_of
from streams.sources.openbao.call import HASHED, HASHED_KINDS, OPEN_KINDS, PATH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.identifiers import NodeClass, Vocabulary
    from streams.services.secret_names import SecretNames

# `-` reads the value from standard input, so that it stands in no history.
AUDIT_HASH: Final = "bao write -field=hash sys/audit-hash/DEVICE input=-"
ALIKE: Final = 0.8  # of 1; a kind that is less so is not meant
_NAMED_BY_ARN: Final = frozenset({"aws.user", "aws.role", "aws.login_profile"})


class UnhashedError(PlainSecretError):
    """A secret stands where its HMAC should, and no vault is known to hash it."""

    def __init__(self, kind: str) -> None:
        """Say what to do about an identifier of a kind."""
        super().__init__(
            f"{kind} is the HMAC of a secret, and only that may be stored: set "
            f"`vaults`, to have it asked for, or give what `{AUDIT_HASH}` prints"
        )


class VaultError(Exception):
    """A vault did not answer as it should; the text says which one and why."""


def is_plain(identifier: Identifier) -> bool:
    """Whether a vault's audit log has an HMAC for this identifier, which is missing."""
    return identifier.kind in HASHED_KINDS and not identifier.value.startswith(HASHED)


def is_plain_secret(identifier: Identifier) -> bool:
    """Whether it is a secret itself, which nothing may keep."""
    return is_plain(identifier) and identifier.kind not in OPEN_KINDS


def identifier_of(text: str) -> Identifier:
    """Read ``kind:value``; commands, questions and orders all read it so.

    An IAM user or role is known without the path that its ARN may hold, a session of
    a role is that role, and a vault's path has no slash at either end.

    Raises:
        ValueError: there is no kind or no value, or the value is too long.
    """
    identifier = Identifier.parse(text.strip())
    if identifier.kind == PATH:  # people write a mount with a slash at its end
        return identifier._replace(value=identifier.value.strip("/")).checked()
    if identifier.kind not in _NAMED_BY_ARN:
        return identifier
    principal = principal_of(identifier.value)
    if principal is None:
        return identifier
    if identifier.kind == "aws.login_profile":  # that of a user has the user's name
        return identifier._replace(value=principal.value)
    return principal


def unknown_kind(kind: str, vocabulary: Mapping[str, NodeClass]) -> str:
    """Say that there is no such kind, which may be meant, and which there are.

    Those of its system where that is known, else all.
    """
    near = get_close_matches(kind, vocabulary, 1, ALIKE)
    what = f"is it {near[0]}? There are" if near else "there are"
    system = f"{(near[0] if near else kind).partition('.')[0]}."
    known = sorted(one for one in vocabulary if one.startswith(system))
    listed = ", ".join(known or sorted(vocabulary))
    return f"no kind is called {kind!r}; {what} {listed} (settings declare more)"


def identifier_of_kind(
    text: Any,
    vocabulary: Vocabulary,
    secrets: SecretNames,
    *,
    plain: bool = False,
) -> Identifier:
    """Read an identifier of a known kind.

    Args:
        text: what somebody gave.
        vocabulary: kind to class.
        secrets: tell what is a secret.
        plain: it may be a secret that stands for its HMAC, and is not stored.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str):
        raise ValueError("identifier is a text, kind:value")  # noqa: TRY004 - JSON
    if not plain and secrets.plain(text) is not None:
        raise PlainSecretError(documents.GIVE_THE_HASH)
    identifier = identifier_of(text)
    if class_of(identifier.kind, vocabulary) is None:
        raise ValueError(unknown_kind(identifier.kind, vocabulary))
    if not plain and is_plain_secret(identifier):
        raise UnhashedError(identifier.kind)
    return identifier
