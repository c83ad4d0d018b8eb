"""How many events of each dialect a mapper reads in a CPU-second."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from bench.report import Row, rate
from bench.rounds import interleave
from streams.sources.scim.scim import records as scim_records
from tests.generators.samples import DIALECTS, SCIM, Dialect

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS: Final = {"tiny": 1, "small": 3, "full": 5}
EVENTS: Final = {"tiny": 50, "small": 2_000, "full": 8_000}
LEAST_A_SECOND: Final = 20_000


class Work(NamedTuple):
    """What one dialect is measured with: mapper, peer, and how much they read."""

    ours: Callable[[], object]
    peer: Callable[[], object]
    events: int
    size: int


def rows(scale: str) -> list[Row]:
    """Measure each dialect, and the requests of SCIM, which are no log."""
    works = {name: _log(one, EVENTS[scale]) for name, one in DIALECTS.items()}
    works["scim"] = _requests(EVENTS[scale])
    return [_measured(name, work, ROUNDS[scale]) for name, work in works.items()]


def _measured(name: str, work: Work, rounds: int) -> Row:
    measured = interleave(work.ours, work.peer, rounds)
    ours = work.events / measured.ours_median
    return Row(
        what=f"{name}, {work.size / work.events:,.0f} bytes an event",
        value=rate(ours),
        cpu=measured.cpu,
        peer=f"decoding alone, {rate(work.events / measured.peer_median)}",
        ratio=measured.ratio,
        target=f">= {rate(LEAST_A_SECOND)}",
        met=ours >= LEAST_A_SECOND,
    )


def _log(dialect: Dialect, least: int) -> Work:
    """Make a log of many rounds of the samples, so that few values come twice."""
    parts, events, number = [], 0, 0
    while events < least:
        made = dialect.make(number)
        parts.append(dialect.write(made))
        events += len(made)
        number += 1
    data = b"".join(parts)
    decode = orjson.loads if data.startswith(b"{") else bytes.decode

    def ours() -> None:
        deque(dialect.source().records(data), maxlen=0)

    def peer() -> None:
        deque(map(decode, data.splitlines()), maxlen=0)

    return Work(ours, peer, events, len(data))


def _requests(least: int) -> Work:
    requests = [one for n in range(least // len(SCIM(0))) for one in SCIM(n)]
    bodies = [one.body or b"{}" for one in requests]
    return Work(
        lambda: deque(map(scim_records, requests), maxlen=0),
        lambda: deque(map(orjson.loads, bodies), maxlen=0),
        len(requests),
        sum(map(len, bodies)),
    )
