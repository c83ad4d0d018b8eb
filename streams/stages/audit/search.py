"""Which lines of an audit chain somebody looks for: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from streams.model.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.stages.audit.chain import Line


def _folded(text: str) -> str:
    return text.casefold()


@frozen
class EntryFilter:
    """What a line has to tell; what is empty is not asked for.

    Attributes:
        actor: who gave the order or ended it, or whose word it is; a part will do.
        action: of an order, or the kind or effect of a fact; a part will do.
        identifier: that a fact names, whole or in part.
        since: ns.
        until: ns.
    """

    actor: str = field(default="", converter=_folded)
    action: str = field(default="", converter=_folded)
    identifier: str = field(default="", converter=_folded)
    since: int | None = None
    until: int | None = None

    def fits(self, line: Line) -> bool:
        """Whether a line of an entry is looked for."""
        entry = line.get("entry") or {}
        fact = line.get("fact") or {}
        return (
            self._is_in_time(at_of(line))
            and _holds(self.actor, _actors(entry, fact))
            and _holds(self.action, _actions(entry, fact))
            and _holds(self.identifier, _texts((fact, entry.get("action"))))
        )

    def _is_in_time(self, at: int | None) -> bool:
        if self.since is None and self.until is None:
            return True
        if at is None:
            return False
        return (self.since is None or at >= self.since) and (
            self.until is None or at < self.until
        )


def at_of(line: Line) -> int | None:
    """When an entry was accepted or ordered (ns); None where it says nothing."""
    entry = line.get("entry") or {}
    return parse_time(entry.get("received_at") or entry.get("at"))


def _actors(entry: Any, fact: Any) -> Iterator[str]:
    for value in (
        entry.get("actor"), entry.get("authority"), entry.get("ingress_key"),
        fact.get("actor"),
    ):  # fmt: skip
        if isinstance(value, str):
            yield value


def _actions(entry: Any, fact: Any) -> Iterator[str]:
    for value in (
        entry.get("action"), entry.get("fact_kind"), fact.get("effect"),
    ):  # fmt: skip
        if isinstance(value, str):
            yield value


def _holds(wanted: str, texts: Iterator[str]) -> bool:
    return not wanted or any(wanted in text.casefold() for text in texts)


def _texts(value: Any) -> Iterator[str]:
    """Yield every text of a document, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
