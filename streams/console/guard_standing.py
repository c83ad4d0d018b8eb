"""How a guard is, in one word: the same on every page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# What stands for a guard; the first ones need somebody first.
NO_LEASE: Final = ("gone", "silent", "lapsed")
ORDER: Final = {
    name: place
    for place, name in enumerate((*NO_LEASE, "unknown", "behind", "observe", "heard"))
}


def standing_of(row: Mapping[str, Any]) -> str:
    """Word for a guard: how it is, by what the API says of it."""
    standing = str(row["standing"])
    if standing != "heard":
        return standing if standing in ORDER else "unknown"
    if row["heard_ms_ago"] > row["lease_ms"]:
        return "lapsed"
    if row["mode"] == "observe":
        return "observe"
    return "behind" if row["behind"] else "heard"
