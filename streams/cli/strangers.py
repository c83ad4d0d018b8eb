"""Names in an order that nothing is known of: mostly a slip of the pen."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from streams.cli.output import to_stderr
from streams.cli.why_text import UNKNOWN
from streams.clients.rescind import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.clients.rescind import Client

HINT_SECONDS: Final = 2.0  # for what an answer can be without
# The server lists the first hundred, and tells of the rest in its sentence alone.
_MORE: Final = re.compile(r" and (\d+) more so far: ")
_IN_SENTENCE: Final = 3  # names before these


def is_stranger(client: Client, name: str) -> bool:
    """Whether no fact names it; False where the server cannot say at once."""
    hasty = client.patient(HINT_SECONDS)  # an order does not wait for a hint
    with suppress(ClientError):
        known = hasty.get("why", name)
        if known["reason"] == UNKNOWN and not known["ancestors"]:
            return not hasty.get("blast-radius", name, limit=1)["total"]
    return False


def tell_strangers(
    command: str, names: Sequence[str], answer: Mapping[str, Any]
) -> None:
    """Note each name that nothing is known of, and how many there are beside.

    Args:
        command: that was typed.
        names: as the server listed them.
        answer: to the order.
    """
    for each in names:
        told = f"nothing is known of {each} so far: is it spelt right?"
        to_stderr(command, told)
    found = _MORE.findall(str(answer.get("detail") or ""))
    more = int(found[-1]) + _IN_SENTENCE - len(names) if found else 0
    if more > 0:
        to_stderr(command, f"and of {more} more: are they spelt right?")
