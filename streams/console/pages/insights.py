"""How it goes: time to deny and to close, revocations and findings, by time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.console.charts import lined, stacked
from streams.console.page import PageKind, Rendered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streams.console.charts import Chart
    from streams.console.page import PageRequest

SERIES: Final = 7  # that a chart tells apart; what is left is one
DAYS: Final = 8  # of which a chart names the hours too
OTHERS: Final = "all others"


@frozen
class ChartSpan:
    """Hours that are shown, and how many of them a column stands for."""

    name: str
    title: str
    hours: int
    step: int


SPANS: Final = {
    each.name: each
    for each in (
        ChartSpan("24h", "24 hours", 24, 1),
        ChartSpan("7d", "7 days", 7 * 24, 6),
        ChartSpan("30d", "30 days", 30 * 24, 24),
        ChartSpan("90d", "90 days", 90 * 24, 72),
    )
}


async def render(page: PageRequest) -> Rendered:
    """Show the charts of a span, each with its table."""
    span = SPANS.get(page.query.get("span", ""), SPANS["24h"])
    given = {"hours": span.hours, "step": span.step}
    counts, denials = await asyncio.gather(
        page.api.get("insights", **given), page.api.get("insights/denials", **given)
    )
    values: dict[str, Any] = {
        "span": span,
        "spans": tuple(SPANS.values()),
        "counts_problem": counts.problem,
        "denials_problem": denials.problem,
        "kept_since": denials.body.get("kept_since"),
        "revocations": counts.body.get("revocations", ()),
        "findings": counts.body.get("findings", ()),
        "denials": denials.body.get("denials", ()),
        "charts": {},
    }
    if counts.problem is None:
        times = columns(counts.body["since"], span)
        values["charts"] |= {
            "by_authority": _counted(
                "Revocations by authority", times, values["revocations"], "authority",
                "count",
            ),
            "by_effect": _counted(
                "Revocations by effect", times, values["revocations"], "effect", "count"
            ),
            "by_kind": _counted(
                "Findings by kind", times, values["findings"], "kind", "opened"
            ),
            "to_close": _lasted(
                "Longest time until a finding was closed", times, values["findings"],
                "kind", "seconds_to_close",
            ),
        }  # fmt: skip
    if denials.problem is None:
        times = columns(denials.body["since"], span)
        values["charts"]["to_deny"] = _lasted(
            "Longest time until every guard denied", times, values["denials"],
            "authority", "seconds_to_deny",
        )  # fmt: skip
    return Rendered("insights.html", values)


def columns(since: str, span: ChartSpan) -> tuple[str, ...]:
    """Return the times at which the columns of a chart begin, as the API names them."""
    first = datetime.fromisoformat(since)
    count = -(-span.hours // span.step)
    times = (first + timedelta(hours=span.step * each) for each in range(count))
    return tuple(each.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for each in times)


def _label(time: str, times: Sequence[str]) -> str:
    """Time as it stands below a chart: the hour where all are of few days."""
    days = len({each[:10] for each in times})
    return time[5:10] if days > DAYS else time[5:16].replace("T", " ")


def _counted(
    title: str, times: Sequence[str], rows: Iterable[Mapping[str, Any]], by: str,
    number: str,
) -> Chart:  # fmt: skip
    series: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * len(times))
    for row in rows:
        if row["hour"] in times:
            series[row[by] or "none"][times.index(row["hour"])] += row[number]
    labels = [_label(each, times) for each in times]
    return stacked(title, labels, _few(series, len(times)))


def _lasted(
    title: str, times: Sequence[str], rows: Iterable[Mapping[str, Any]], by: str,
    spread: str,
) -> Chart:  # fmt: skip
    series: defaultdict[str, list[float | None]] = defaultdict(
        lambda: [None] * len(times)
    )
    for row in rows:
        longest = row[spread]["longest"]
        if longest is None or row["hour"] not in times:
            continue
        of, place = series[row[by] or "none"], times.index(row["hour"])
        of[place] = max(longest, of[place] or 0.0)
    kept = dict(sorted(series.items())[:SERIES])
    return lined(title, [_label(each, times) for each in times], kept)


def _few(series: Mapping[str, list[float]], count: int) -> dict[str, list[float]]:
    """Keep the largest series by themselves, and the sum of all others."""
    ordered = sorted(series.items(), key=lambda each: (-sum(each[1]), each[0]))
    few = dict(ordered[:SERIES])
    if rest := [values for _, values in ordered[SERIES:]]:
        few[OTHERS] = [sum(column) for column in zip(*rest, strict=True)]
    return few or {"none": [0.0] * count}


KIND: Final = PageKind(path="/insights", title="Insights", nav=110, render=render)
