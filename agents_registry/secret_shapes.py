"""Tell a secret from a name, so that none is kept where its keyed hash belongs.

An identifier of a hashed kind has 32 hex digits as its value, the keyed hash; whatever
else stands there is the secret itself. And what bears the mark of a vendor's secret is
one wherever it stands. The marks are those that no name has by chance: a name that is
taken for a secret would be hashed, and its end would be missed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

    from agents_registry.identifiers import Identifier

HASHED_KINDS: Final = frozenset({"secret", "github.hashed_token"})
HIDDEN: Final = "[secret]"
_HASH: Final = re.compile(r"[0-9a-f]{32}")
_SHAPES: Final = re.compile(
    r"(?<![\w-])(?:"
    # GitHub, GitLab, Slack, npm, Hugging Face, DigitalOcean, Stripe, our webhooks.
    r"gh[pousr]_\w{6,}|github_pat_\w{6,}|glpat-[\w-]{6,}|xox[abeoprs]-[\w-]{6,}"
    r"|xapp-\d-[\w-]{6,}|npm_[A-Za-z0-9]{30,}|hf_[A-Za-z]{30,}|dop_v1_[0-9a-f]{30,}"
    r"|[rs]k_(?:live|test)_\w{10,}|whsec_[\w+/=]{16,}"
    # Vault and OpenBao; older tokens have no mark but their length.
    r"|hv[sbr]\.[\w.-]{6,}|s\.[A-Za-z0-9]{24}(?![\w-])"
    # Anthropic, OpenAI and what speaks like it.
    r"|sk-(?:ant|proj|svcacct|admin|or)-[\w-]{10,}|sk-[A-Za-z0-9]{20,}(?![\w-])"
    # Google, PyPI, SendGrid.
    r"|AIza[\w-]{30,}|ya29\.[\w-]{20,}|pypi-AgE[\w-]{16,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}"
    # JWS and JWE in compact form (RFC 7515 and 7516, section 3.1).
    r"|eyJ[\w-]{5,}\.eyJ[\w-]{2,}\.[\w-]*|eyJ[\w-]{5,}(?:\.[\w-]*){4}"
    r")|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.|\n)*?(?:-----END [A-Z ]*KEY-----|\Z)",
    re.ASCII,
)


def has_secret(text: str) -> bool:
    """Whether something in a text bears the mark of a secret."""
    # Most names have none of these, and to look for them is cheap: see _SHAPES.
    if "-" in text or "." in text or "_" in text or "AIza" in text:
        return _SHAPES.search(text) is not None
    return False


def without_secrets(text: str) -> str:
    """Text with everything masked that bears the mark of a secret."""
    return _SHAPES.sub(HIDDEN, text)


def is_secret(
    identifier: Identifier, hashed_kinds: Container[str] = HASHED_KINDS
) -> bool:
    """Whether an identifier holds a secret in the place of a name or a hash.

    Args:
        identifier: as somebody gave it.
        hashed_kinds: whose values are keyed hashes.
    """
    if identifier.kind in hashed_kinds and not _HASH.fullmatch(identifier.value):
        return True
    return has_secret(identifier.value) or has_secret(identifier.kind)
