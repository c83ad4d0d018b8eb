"""How a node stands, as a word and a shape; a colour is never the only sign of it."""

from __future__ import annotations

from typing import Final, NamedTuple


class State(NamedTuple):
    """How a node stands.

    Attributes:
        word: for people.
        shape: name of a shape and of a style: lives, ended, held, expired, open.
    """

    word: str
    shape: str


LIVES: Final = State("lives", "lives")
NOT_DECLARED: Final = State("not declared", "open")
DENIED: Final = State("denied", "ended")
_UNDECLARED: Final = "unknown_credential"
_BY_REASON: Final = {
    "revoked": State("revoked", "ended"),
    "suspended": State("suspended", "held"),
    "not_before": State("signed out", "ended"),
    "no_living_owner": State("no living owner", "ended"),
    "beyond_horizon": State("older than the records", "ended"),
    "expired": State("expired", "expired"),
    "narrowed": State("narrowed", "held"),
    "scope": State("outside of its scope", "held"),
    "lineage_too_large": State("too large to judge", "ended"),
}
# These are no credentials and nobody declares them: only a cause makes them dead.
_VALUES: Final = {
    "label.": State("label", "open"),
    "attribute.": State("value", "open"),
}


def state_of(kind: str, reason: str, *, allowed: bool) -> State:
    """State of a node by its verdict; what is denied for a new reason is not living.

    Args:
        kind: of its identifier.
        reason: of the verdict, as the API gives it.
        allowed: whether the verdict allows.
    """
    if allowed:
        return LIVES
    if reason != _UNDECLARED:
        return _BY_REASON.get(reason, DENIED)
    for beginning, state in _VALUES.items():
        if kind.startswith(beginning):
            return state
    return NOT_DECLARED
