"""When guards showed that they had applied a revocation, as a picture and a table.

It is drawn on the server from the pairs that the API gives: no script is needed, and
the picture has a text beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    Curve = Sequence[Sequence[float]]

WIDTH: Final = 640
HEIGHT: Final = 180
LEFT: Final = 44  # room for numbers
HIGH: Final = HEIGHT - 26  # above the times
TICKS: Final = 5


@frozen
class ArrivalCurve:
    """A curve over the guards of a revocation.

    Attributes:
        points: pairs of seconds since its acceptance and the number of guards by then.
        guards: that were to enforce it.
    """

    points: Curve
    guards: int

    @property
    def seconds(self) -> float:
        """Length of the time axis, rounded up to one, two or five of a power of ten."""
        last = max((point[0] for point in self.points), default=0.0)
        step = 0.001
        while True:
            for times in (1, 2, 5):
                if times * step >= last:
                    return round(times * step, 4)
            step *= 10

    def svg(self) -> Markup:
        """Picture of the curve."""
        path = [f"M{self._x(0)} {self._y(0)}"]
        for at, count in self.points:
            path += [f"H{self._x(at)}", f"V{self._y(count)}"]
        if self.points:
            path.append(f"H{self._x(self.seconds)}")
        made = (
            f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            f' aria-labelledby="curve-title"><title id="curve-title">{self.words()}'
            f'</title>{"".join(self._axes())}<path d="{" ".join(path)}"/></svg>'
        )
        return Markup(made)  # noqa: S704 - made of numbers alone

    def _axes(self) -> list[str]:
        left, top, right, low = LEFT, self._y(self._most), self._x(self.seconds), HIGH
        beside = f'<text x="{left - 6}" text-anchor="end"'
        found = [
            f'<line x1="{left}" y1="{top}" x2="{left}" y2="{low}"/>',
            f'<line x1="{left}" y1="{low}" x2="{right}" y2="{low}"/>',
            f'{beside} y="{top + 6}">{self._most}</text>',
            f'{beside} y="{low}">0</text>',
        ]
        for tick in range(TICKS + 1):
            at = self.seconds * tick / TICKS
            anchor = "end" if tick == TICKS else "middle"
            place = f'x="{self._x(at)}" y="{HEIGHT - 6}" text-anchor="{anchor}"'
            found.append(f"<text {place}>{at:g} s</text>")
        return found

    @property
    def _most(self) -> int:
        return max([self.guards, *(int(point[1]) for point in self.points), 1])

    def _x(self, at: float) -> float:
        return round(LEFT + (WIDTH - LEFT - 8) * at / self.seconds, 1)

    def _y(self, count: float) -> float:
        return round(8 + (HIGH - 8) * (1 - count / self._most), 1)

    def words(self) -> str:
        """Say what the picture shows."""
        if not self.points:
            return "No guard showed when it applied this."
        last, count = self.points[-1]
        first = self.points[0][0]
        return (
            f"{int(count)} of {self.guards} guards showed that they had applied it, "
            f"the first after {first:g} s, the last after {last:g} s"
        )
