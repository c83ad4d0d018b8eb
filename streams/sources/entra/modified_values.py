"""Read the old and new values of Entra's modified properties.

They are JSON inside text, a list of one as often as the bare value, with line breaks
in the M365 log, and booleans come as "False" as well as false.
"""

from __future__ import annotations

import re
from typing import Any, Final

from streams.model.times import sound_time
from streams.sources.reading.fields import listed, nested

# The display name is free text of whoever made the secret, and may imitate a key:
# only what stands outside of it counts.
_KEY: Final = re.compile(r"(?:^\[|,)\s*KeyIdentifier=([^,\]\s]+)")
_NAME: Final = "DisplayName="


def values(value: Any) -> list[Any]:
    """Values of a property: its list, or itself; empty for nothing."""
    value = nested(nested(value))
    if value is None or value == "":
        return []
    return listed(value) if type(value) is list else [value]


def key_ids(value: Any) -> frozenset[str] | None:
    """Key ids of a KeyDescription, whatever the order in it.

    None when the text names no ids: it is not the list that Entra writes.
    """
    found = []
    for entry in values(value):
        key = _key_id(entry) if type(entry) is str else None
        if key is None:
            return None
        found.append(key)
    return frozenset(found)


def _key_id(entry: str) -> str | None:
    before, _, after = entry.partition(_NAME)
    match = _KEY.search(before)
    if match:
        return match.group(1).casefold()
    # The display name came first; the true key stands behind what it says.
    keys = _KEY.findall(after)
    return keys[-1].casefold() if keys else None


def flag(value: Any) -> bool | None:
    """Boolean that may be spelt "False", "[false]" or false."""
    inner = values(value)
    if len(inner) != 1:
        return None
    return {"true": True, "false": False}.get(str(inner[0]).casefold())


def latest(value: Any) -> int | None:
    """Latest time in a value (ns); None where there is none."""
    times = [time for one in values(value) if (time := sound_time(one)) is not None]
    return max(times, default=None)
