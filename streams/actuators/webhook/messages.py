"""What a receiver is told and asked, and how its answers are read: pure.

An answer counts only if it repeats the id of the question, which no question had
before: an answer of yesterday, or one that is always the same, says nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from streams.model.endings import Alive, Probed
from streams.model.times import rfc3339

if TYPE_CHECKING:
    from streams.model.endings import EndTarget

END: Final = "identifier.end"
PROBE: Final = "identifier.probe"
MOST_REASON: Final = 200
_STATES: Final = {each.value: each for each in Alive}


def message(kind: str, target: EndTarget, now: int) -> bytes:
    """Body of an act, or of a question."""
    return orjson.dumps({
        "type": kind,
        "timestamp": rfc3339(now),
        "data": {
            "identifier": str(target.identifier),
            "names": [str(name) for name in target.names],
            "wanted": target.wanted.value,
            "not_before": rfc3339(target.not_before),
        },
    })  # fmt: skip


def id_of(target: EndTarget) -> str:
    """Id of an act: the same, however often it is repeated."""
    since = target.not_before
    text = f"{target.identifier}\n{target.wanted.value}\n{since}"
    return f"end_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def read(answer: Any, question: str, target: EndTarget) -> Probed:
    """Read what a receiver answers to a question.

    Args:
        answer: JSON, as it came.
        question: id of the question.
        target: that was asked about.
    """
    if not isinstance(answer, dict):
        return Probed(Alive.UNKNOWN, "the answer is no object")
    if answer.get("id") != question:
        return Probed(Alive.UNKNOWN, "the answer is to another question")
    if answer.get("identifier") != str(target.identifier):
        return Probed(Alive.UNKNOWN, "the answer is about another identifier")
    found = _STATES.get(str(answer.get("state")))
    if found is None:
        return Probed(Alive.UNKNOWN, "the answer has no state that is known")
    reason = answer.get("reason")
    text = reason[:MOST_REASON] if isinstance(reason, str) else ""
    return Probed(found, text.encode("ascii", "replace").decode())
