"""The run: play the suite, say which level was passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from conformance.cases import DEFAULTS
from conformance.drivers import DriverError
from conformance.game import MANY, Game
from conformance.verdicts import Gravity, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.cases import Case
    from conformance.drivers import Driver

Level = Literal["core", "full"]
SHOWN: Final = 20  # problems listed at most
_WORDS: Final = {
    Gravity.UNSAFE: "UNSAFE",
    Gravity.CORE: "core",
    Gravity.FULL: "full",
}


def run(driver: Driver, cases: Iterable[Case]) -> Tally:
    """Play the cases.

    Args:
        driver: the guard under test.
        cases: of the suite.

    Raises:
        DriverError: the guard does not even take its settings.
    """
    hello = {"do": "reset", "clock": 0, "wall": 0, "settings": DEFAULTS}
    tally = Tally(str(driver.ask(hello).get("guard", "the guard")))
    for case in cases:
        _play(driver, case, tally)
    return tally


def _play(driver: Driver, case: Case, tally: Tally) -> None:
    """Play one case, in each way that it can reach a guard; add to the tally."""
    tally.cases += 1
    for way, steps in _ways(case):
        label = f"{case.group}: {case.name}{way}"
        game = Game(driver, case, label, tally)
        try:
            game.begin()
            for step in steps:
                game.step(step)
        except DriverError as error:
            game.complain(Gravity.CORE, str(error))


def _ways(case: Case) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return the steps of a case, for a rule of the table once for each arrival."""
    if case.steps:
        yield "", case.steps
        return
    end = len(case.facts)
    small = min(MANY, max(1, end // 10))
    asked: list[dict[str, Any]] = [{"rebuild": True}, {"prove": True}, *case.checks]
    deltas = [
        {"delta": {"from": start, "to": min(end, start + small)}}
        for start in range(0, end, small)
    ]
    yield " (snapshot)", [{"sync": end}, *asked]
    if end > MANY:
        return  # it is about size, and once is long enough
    yield " (reversed)", [{"sync": {"to": end, "reversed": True}}, *asked]
    yield " (deltas)", [{"sync": 0}, *deltas, *asked]


def passes(tally: Tally, level: Level) -> bool:
    """Whether a level was passed."""
    limit = Gravity[level.upper()]
    return all(problem.gravity > limit for problem in tally.problems)


def report(tally: Tally, level: Level, groups: list[str] | None = None) -> list[str]:
    """Lines of the report: problems up to a level first, then the levels.

    Args:
        tally: of the run.
        level: whose problems are of interest.
        groups: what was played; None for all, and only that passes a level.
    """
    part = f", in {', '.join(groups)} alone" if groups else ""
    return [f"{line}{part * line.startswith('level')}" for line in _lines(tally, level)]


def _lines(tally: Tally, level: Level) -> Iterator[str]:
    limit = Gravity[level.upper()]
    grave = sorted(
        (p for p in tally.problems if p.gravity <= limit), key=lambda p: p.gravity
    )
    for problem in grave[:SHOWN]:
        yield f"{_WORDS[problem.gravity]}: {problem.case}: {problem.text}"
    if len(grave) > SHOWN:
        yield f"... and {len(grave) - SHOWN} more"
    yield f"{tally.guard}: {tally.cases} cases, {tally.checks} checks"
    counts = dict.fromkeys(Gravity, 0)
    for found in tally.problems:
        counts[found.gravity] += 1
    unsafe = counts[Gravity.UNSAFE]
    if unsafe:
        yield f"UNSAFE: {unsafe} checks allowed what must be denied"
    core = counts[Gravity.CORE]
    yield f"level core: {_outcome(unsafe + core, core, 'problems')}"
    full = counts[Gravity.FULL]
    yield f"level full: {_outcome(unsafe + core + full, full, 'answers to improve')}"


def _outcome(all_of_them: int, own: int, name: str) -> str:
    return "passed" if not all_of_them else f"not passed ({own} {name})"
