"""The suite: YAML files of cases, read and checked.

A case has ``facts`` and ``checks`` (a rule of the table: the facts reach the guard in
several ways and orders, and the answer must be the same), or ``log`` and ``steps`` (a
rule of the feed or of the lease: what happens, in order).
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import yaml
from attrs import field, frozen

from agents_registry.identifiers import VOCABULARY
from conformance.facts import time, wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

DEFAULTS: Final[dict[str, Any]] = {
    "lease_ms": 1000,
    "mode": "fail_closed",
    "unknown": {"jwt.jti": "allow_if_principal_known"},
}
NOW: Final = 2000  # seconds: the wall clock of a case that does not say so
LEVELS: Final = ("core", "full")
_VOCABULARY: Final = {kind: of.value for kind, of in VOCABULARY.items()}
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
# What a step may do; game.py has a function for each.
STEPS: Final = frozenset({
    "sync", "prove", "rebuild", "connect", "snapshot", "delta", "frame", "drop",
    "ping", "pong", "wait", "wall", "closed", "check", "beside",
})  # fmt: skip
_CASE: Final = frozenset({
    "name", "why", "settings", "vocabulary", "now", "facts", "checks", "log", "steps",
})  # fmt: skip
_CHECK: Final = frozenset({
    "check", "issued_at", "chain", "scope", "at_least", "now", "allow", "deny",
    "observed",
})  # fmt: skip


class SuiteError(Exception):
    """A file of the suite says what the kit does not know."""


@frozen
class Case:
    """One case.

    Attributes:
        group: the name of its file.
        name: a sentence.
        settings: of the guard: ``lease_ms``, ``mode``, ``unknown``.
        vocabulary: kind to class, as the server tells it.
        now: seconds after the epoch, on the wall clock.
        facts: of the log, as the feed carries them.
        checks: a rule of the table; empty for a case with steps.
        steps: what happens.
    """

    group: str
    name: str
    settings: dict[str, Any]
    vocabulary: dict[str, str] = field(repr=False)
    now: float | str
    facts: list[dict[str, Any]] = field(repr=False)
    checks: list[dict[str, Any]]
    steps: list[dict[str, Any]]


def suite(groups: list[str] | None = None) -> list[Case]:
    """Read the suite that comes with the kit.

    Args:
        groups: only these files; None for all.

    Raises:
        SuiteError: a group does not exist, or a file is wrong.
    """
    folder = files("conformance") / "cases"
    found = {f.name.removesuffix(".yaml"): f for f in folder.iterdir()}
    names = sorted(found) if groups is None else groups
    strange = [name for name in names if name not in found]
    if strange:
        raise SuiteError(f"no group {strange[0]}: there are {', '.join(sorted(found))}")
    return [case for name in names for case in read(name, _load(found[name]))]


def read(group: str, content: dict[str, Any]) -> Iterator[Case]:
    """Yield the cases of a file.

    Args:
        group: what they are about.
        content: the document of the file.

    Raises:
        SuiteError: it says what the kit does not know.
    """
    defaults = content.get("defaults", {})
    for plain in content["cases"]:
        try:
            yield _case(group, {**defaults, **plain})
        except (KeyError, ValueError, TypeError, SuiteError) as error:
            raise SuiteError(f"{group}: {plain.get('name')}: {error!r}") from error


def _load(file: Traversable) -> Any:
    return yaml.load(file.read_text("utf-8"), _LOADER)  # noqa: S506 - a safe one


def _case(group: str, plain: dict[str, Any]) -> Case:
    _only(plain, _CASE)
    checks, steps = plain.get("checks", []), plain.get("steps", [])
    for check in checks + [step for step in steps if "check" in step]:
        _only(check, _CHECK)
        if ("deny" in check) == ("allow" in check):
            raise SuiteError(f"a check says allow or deny: {check}")
        if check.get("allow", "core") not in LEVELS:
            raise SuiteError(f"allow is core or full: {check}")
    for step in steps:
        if "check" not in step and (len(step) != 1 or not STEPS.issuperset(step)):
            raise SuiteError(f"not a step: {step}")
    if bool(checks) == bool(steps):
        raise SuiteError("a case has facts and checks, or a log and steps")
    now = plain.get("now", NOW)
    if checks:
        checks = _in_time(checks, now)
        now = checks[0]["now"]
    return Case(
        group=group,
        name=plain["name"],
        settings={**DEFAULTS, **plain.get("settings", {})},
        vocabulary={**_VOCABULARY, **plain.get("vocabulary", {})},
        now=now,
        facts=wire(plain.get("facts", plain.get("log", []))),
        checks=checks,
        steps=steps,
    )


def _in_time(checks: list[dict[str, Any]], now: float | str) -> list[dict[str, Any]]:
    """Order checks by when they are asked: the time of a guard does not go back."""
    timed = []
    for check in checks:
        now = check.get("now", now)
        timed.append({**check, "now": now})
    return sorted(timed, key=lambda check: time(check["now"]))


def _only(plain: dict[str, Any], names: frozenset[str]) -> None:
    strange = plain.keys() - names
    if strange:
        raise SuiteError(f"unknown: {', '.join(sorted(strange))}")
