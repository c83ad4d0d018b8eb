"""Silences: findings that people know of and do not want to be told of for a while.

A silenced finding is recorded like any other. It is told once its silence ends, if it
is open then. A silence says why, and ends by itself.
"""

from __future__ import annotations

import hashlib
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import frozen

from agents_registry.secret_shapes import HASHED_KINDS
from streams.model.findings import FindingKind
from streams.model.times import AS, DAY, SECOND, rfc3339, typed_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.model.findings import Finding

LONGEST: Final = 30 * DAY  # findings are kept for longer
MOST: Final = 200
MOST_TEXT: Final = 500
ANY: Final = "*"
_HASH_PATTERN: Final = re.compile(r"[0-9a-f*]{0,32}")
# Silence on these hides that revocation does not work. It takes an admin who says so.
CRITICAL: Final = frozenset({
    FindingKind.ENFORCEMENT_FAILURE,
    FindingKind.USE_AFTER_REVOCATION,
    FindingKind.REVOCATION_NOT_APPLIED,
    FindingKind.LEAK,
})  # fmt: skip
_UNITS: Final = {"m": 60 * SECOND, "h": 3600 * SECOND, "d": DAY}
_SPAN: Final = re.compile(r"([0-9]{1,4})([mhd])")
SPAN: Final = "in how long: 30m, 8h, 7d"
FIELDS: Final = frozenset({
    "kinds", "identifier", "realm", "reason", "until", "critical", "key",
})  # fmt: skip


@frozen(kw_only=True)
class Silence:
    """What is not told, and until when.

    Attributes:
        id: unique.
        kinds: of findings; empty: all but the critical ones.
        identifier: a pattern of ``kind:value``, where ``*`` stands for anything.
        realm: whose findings; empty: those of every realm.
        critical: the critical kinds are meant too.
        reason: why, in the operator's words.
        by: who ordered it.
        since, until: in ns.
    """

    id: str
    kinds: frozenset[FindingKind] = frozenset()
    identifier: str = ANY
    realm: str = ""
    critical: bool = False
    reason: str
    by: str
    since: int
    until: int

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is meant, whatever the time."""
        return (
            (not self.kinds or finding.kind in self.kinds)
            and (self.critical or finding.kind not in CRITICAL)
            and (not self.realm or finding.realm == self.realm)
            and fnmatchcase(str(finding.presented), self.identifier)
        )

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready values; times stay integer ns."""
        kinds = sorted(kind.value for kind in self.kinds)
        return attrs.asdict(self) | {"kinds": kinds}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Silence:
        """Read what `to_plain` gave."""
        kinds = frozenset(map(FindingKind, plain["kinds"]))
        return cls(**{**plain, "kinds": kinds})

    def shown(self) -> dict[str, Any]:
        """Silence as people read it."""
        times = {"since": rfc3339(self.since), "until": rfc3339(self.until)}
        return self.to_plain() | times


def in_force(silences: Iterable[Silence], now: int) -> tuple[Silence, ...]:
    """Silences that have not ended at a time (ns)."""
    return tuple(each for each in silences if each.until > now)


def silenced(finding: Finding, silences: Iterable[Silence]) -> Silence | None:
    """Silence that covers a finding the longest, None where none does."""
    found = [each for each in silences if each.covers(finding)]
    return max(found, key=lambda each: (each.until, each.id), default=None)


def mark(finding: Finding, silences: tuple[Silence, ...]) -> dict[str, Any] | None:
    """Say which silence covers a finding now, and why; None where none does."""
    silence = silenced(finding, silences)
    if silence is None:
        return None
    shown = silence.shown()
    return {name: shown[name] for name in ("id", "reason", "by", "until")}


def ordered(
    body: Mapping[str, Any],
    *,
    fresh: str,
    by: str,
    now: int,
    hashed_kinds: frozenset[str] = HASHED_KINDS,
) -> Silence:
    """Read an order to be silent.

    Args:
        body: ``reason`` and ``until`` (RFC 3339), and at least one of ``kinds``,
            ``identifier`` and ``realm``; ``critical`` is true where critical kinds
            are meant. ``until`` may also say in how long: ``30m``, ``8h``, ``7d``.
            An order that is sent again with its ``key`` is the same silence.
        fresh: a unique id.
        by: who orders it.
        now: ns.
        hashed_kinds: whose values are hashes of secrets.

    Raises:
        ValueError: the order cannot be read; the text says what to write.
    """
    if unknown := set(body) - FIELDS:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    kinds = _kinds(body.get("kinds", []))
    identifier, realm = _text(body, "identifier"), _text(body, "realm")
    if not (kinds or identifier or realm):
        raise ValueError("say what is silenced: kinds, identifier or realm")
    kind, _, value = identifier.partition(":")
    if kind in hashed_kinds and not _HASH_PATTERN.fullmatch(value):
        raise ValueError(f"a value of {kind} is a hash, with * for any part of it")
    critical = body.get("critical", False)
    if not isinstance(critical, bool):
        raise ValueError("critical is true or false")  # noqa: TRY004 - as the others
    if (kinds & CRITICAL) and not critical:
        named = ", ".join(sorted(kind.value for kind in kinds & CRITICAL))
        raise ValueError(f"{named}: to silence that too, say critical")
    reason = _text(body, "reason").strip()
    if not reason:
        raise ValueError("reason is missing: say why, for whoever looks for it later")
    return Silence(
        id=_id(_text(body, "key"), by) or fresh,
        kinds=kinds,
        identifier=identifier or ANY,
        realm=realm,
        critical=critical,
        reason=reason,
        by=by,
        since=now,
        until=_until(body.get("until"), now),
    )


def _id(key: str, by: str) -> str:
    """Id of a silence by the key of its order; "" without one."""
    text = f"silence\0{by}\0{key}"
    return hashlib.sha256(text.encode()).hexdigest()[:32] if key else ""


def _kinds(given: Any) -> frozenset[FindingKind]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ValueError("kinds is a list of kinds of findings")
    known = {kind.value: kind for kind in FindingKind if kind is not FindingKind.TEST}
    if unknown := sorted(set(given) - known.keys()):
        raise ValueError(
            f"no kinds of findings: {', '.join(unknown)}; "
            f"the kinds are {', '.join(sorted(known))}"
        )
    return frozenset(known[one] for one in given)


def _text(body: Mapping[str, Any], name: str) -> str:
    given = body.get(name) or ""
    if not isinstance(given, str) or len(given) > MOST_TEXT:
        raise ValueError(f"{name} is a text of at most {MOST_TEXT} characters")
    return given


def _until(given: Any, now: int) -> int:
    span = _SPAN.fullmatch(given) if isinstance(given, str) else None
    if span is not None:
        given = rfc3339(now + int(span[1]) * _UNITS[span[2]])
    if given is None:
        raise ValueError(f"until is missing: {AS}, or {SPAN}")
    try:
        until = typed_time(given if isinstance(given, str) else None)
    except ValueError as error:
        raise ValueError(f"until: {given!r:.42} {error}, or {SPAN}") from error
    if not now < until <= now + LONGEST:
        raise ValueError(f"until lies ahead, by at most {LONGEST // DAY} days")
    return until
