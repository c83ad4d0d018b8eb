"""Two inline policies: one denies all to sessions older than a time, one to everybody.

Source: IAM user guide, "Revoke IAM role temporary security credentials", and "AWS
global condition context keys", `aws:TokenIssueTime`: it is in requests of temporary
credentials alone, so long-lived keys are not denied by it.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

import orjson

from streams.model.times import SECOND, rfc3339, sound_time
from streams.sources.reading.fields import listed, mapping

OLDER: Final = "RescindDenyOlderSessions"  # names of the two policies
ALL: Final = "RescindDenyAll"
_ISSUED: Final = "aws:TokenIssueTime"
_DENY: Final[dict[str, Any]] = {"Effect": "Deny", "Action": "*", "Resource": "*"}


def older_than(time: int) -> str:
    """Document that denies sessions issued up to a time (ns)."""
    return _document(_older(rfc3339((time // SECOND + 1) * SECOND)))


def everything() -> str:
    """Document that denies everything."""
    return _document(_DENY)


def covers(document: str, time: int) -> bool:
    """Whether a stored document denies all sessions issued up to a time (ns).

    Args:
        document: as GetRolePolicy answers, in the encoding of a URL.
        time: the latest time of issue.
    """
    return any(
        until is not None and until > time for until in map(_until, _read(document))
    )


def denies_all(document: str) -> bool:
    """Whether a stored document denies everything to everybody."""
    return any(one == _DENY for one in _read(document))


def _read(document: str) -> list[Any]:
    try:
        statements = mapping(orjson.loads(unquote(document))).get("Statement")
    except orjson.JSONDecodeError:
        return []
    return [statements] if isinstance(statements, dict) else listed(statements)


def _until(statement: Any) -> int | None:
    """Time before which sessions are denied; None: it is another statement."""
    condition = mapping(mapping(statement).get("Condition"))
    date = mapping(condition.get("DateLessThan")).get(_ISSUED)
    until = sound_time(date)
    ours = until is not None and statement == _older(date)
    return until if ours else None


def _older(date: Any) -> dict[str, Any]:
    return _DENY | {"Condition": {"DateLessThan": {_ISSUED: date}}}


def _document(statement: dict[str, Any]) -> str:
    return orjson.dumps({"Version": "2012-10-17", "Statement": [statement]}).decode()
