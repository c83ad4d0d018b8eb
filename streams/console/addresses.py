"""Addresses of the console to which a browser is sent back."""

from __future__ import annotations

from typing import Final

from streams.console.secret_names import is_secret_address

NEXT: Final = "/console"
LONGEST: Final = 8190  # characters: no server takes a longer one


def local(target: str, kinds: frozenset[str] | None) -> str:
    """Page to go back to; of any other address the first page, and never a secret.

    Args:
        target: path and query, as a browser gave them.
        kinds: whose values are keyed hashes at the server; None: it is not known.
    """
    if len(target) > LONGEST:
        return NEXT
    is_ours = target == NEXT or target.startswith((f"{NEXT}/", f"{NEXT}?"))
    whole = target if is_ours and "\\" not in target and target.isprintable() else NEXT
    return root(whole, kinds) if is_secret_address(whole, kinds) else whole


def root(target: str, kinds: frozenset[str] | None) -> str:
    """Page that an address is of, without anything that was typed."""
    first = target.removeprefix(NEXT).lstrip("/").partition("/")[0].partition("?")[0]
    return NEXT if is_secret_address(first, kinds) else f"{NEXT}/{first}".rstrip("/")
