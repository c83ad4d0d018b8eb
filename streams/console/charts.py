"""Bars and lines of numbers by time, as places on a sheet; the template draws them.

Nothing is text here that comes from outside but labels, and the template escapes those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 720, 200
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 8, 24
COLOURS: Final = 8  # series after these share the last one
TICKS: Final = 4


@frozen
class Bar:
    """One piece of a stack."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    title: str


@frozen
class Tick:
    """A line of the scale, or a mark of time."""

    place: float
    text: str


@frozen
class Chart:
    """What a template draws.

    Attributes:
        title: of the chart, also for those who do not see it.
        summary: what it shows, in words.
        legend: colour and name of each series.
    """

    title: str
    summary: str
    bars: tuple[Bar, ...] = ()
    lines: tuple[tuple[int, str], ...] = ()  # colour and points
    points: tuple[Bar, ...] = ()
    rows: tuple[Tick, ...] = ()
    columns: tuple[Tick, ...] = ()
    legend: tuple[tuple[int, str], ...] = ()
    width: int = WIDTH
    height: int = HEIGHT


def stacked(
    title: str, times: Sequence[str], series: Mapping[str, Sequence[float]]
) -> Chart:
    """Stack the numbers of each time; the first series lies at the bottom.

    Args:
        title: of the chart.
        times: labels, one for each column.
        series: name to a number for each time.
    """
    sums = [sum(column) for column in zip(*series.values(), strict=True)]
    top = ceiling(max(sums, default=0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(times))
    bars = []
    for number, time in enumerate(times):
        below = 0.0
        for colour, (name, values) in enumerate(series.items()):
            value = values[number]
            if not value:
                continue
            high = value / top * _tall()
            below += high
            bars.append(
                Bar(
                    _round(LEFT + number * step + step * 0.1),
                    _round(HEIGHT - BOTTOM - below),
                    _round(step * 0.8),
                    _round(high),
                    min(colour, COLOURS - 1),
                    f"{time}, {name}: {plain(value)}",
                )
            )
    total = plain(sum(sums))
    summary = f"{total} in all; at most {plain(max(sums, default=0))} at one time"
    return Chart(
        title,
        summary,
        bars=tuple(bars),
        rows=_scale(top),
        columns=_marks(times, step),
        legend=_legend(series),
    )


def lined(
    title: str, times: Sequence[str], series: Mapping[str, Sequence[float | None]]
) -> Chart:
    """Join the numbers of each series; where there is none the line breaks."""
    known = [value for values in series.values() for value in values if value]
    top = ceiling(max(known, default=0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(times))
    lines, points = [], []
    for colour, (name, values) in enumerate(series.items()):
        piece: list[str] = []
        colour = min(colour, COLOURS - 1)  # noqa: PLW2901 - of what is left
        for number, value in enumerate([*values, None]):
            if value is None:
                if len(piece) > 1:
                    lines.append((colour, " ".join(piece)))
                piece = []
                continue
            x = _round(LEFT + number * step + step / 2)
            y = _round(HEIGHT - BOTTOM - value / top * _tall())
            piece.append(f"{x},{y}")
            told = f"{times[number]}, {name}: {plain(value)} s"
            points.append(Bar(x, y, 3, 3, colour, told))
    summary = f"at most {plain(max(known, default=0))} s" if known else "no numbers yet"
    return Chart(
        title,
        summary,
        lines=tuple(lines),
        points=tuple(points),
        rows=_scale(top),
        columns=_marks(times, step),
        legend=_legend(series),
    )


def ceiling(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, ... that a value does not exceed."""
    top = 1.0
    if value <= 0:
        return top
    while top > value:
        top /= 10
    while True:
        for factor in (1, 2, 5):
            if top * factor >= value:
                return top * factor
        top *= 10


def plain(value: float) -> str:
    """Write a number without digits that say nothing."""
    return str(int(value)) if value == int(value) else f"{value:.3g}"


def _scale(top: float) -> tuple[Tick, ...]:
    return tuple(
        Tick(
            _round(HEIGHT - BOTTOM - part / TICKS * _tall()), plain(top * part / TICKS)
        )
        for part in range(TICKS + 1)
    )


def _marks(times: Sequence[str], step: float) -> tuple[Tick, ...]:
    """Labels of time, so many as there is room for."""
    every = max(1, -(-len(times) // 8))
    return tuple(
        Tick(_round(LEFT + number * step + step / 2), time)
        for number, time in enumerate(times)
        if not number % every
    )


def _legend(names: Mapping[str, object]) -> tuple[tuple[int, str], ...]:
    return tuple((min(i, COLOURS - 1), name) for i, name in enumerate(names))


def _tall() -> float:
    return HEIGHT - TOP - BOTTOM


def _round(value: float) -> float:
    return round(value, 1)
