"""One order that contains very many: how soon the last of eight guards denies it.

A realm has two labels: one that very many credentials have, and one that a single
credential has. In turns each is suspended, by one order and one fact, and lifted
again. What is timed is the span from the acceptance of the order to the first denial
of the last guard; before that the guard may have allowed. While a label is suspended,
and after its lift, one guard is asked about up to 2,000 credentials with it and as
many without, spread over all.

A lift within 5 s after a suspension does not end it, so a round takes that long.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import define, field

from agents_registry.facts import Fact, LabelSet, Node
from agents_registry.identifiers import Identifier
from bench.contain_parts import MANY, ONE, SAMPLED
from bench.credentials import NOW, accessor
from bench.processes import Part, end, line, part
from bench.realm import filled, serving
from bench.report import Row
from bench.rounds import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

# Credentials, and those of them that have the large label.
SIZES: Final = {
    "tiny": (500, 50), "small": (100_000, 10_000), "full": (1_000_000, 100_000),
}  # fmt: skip
ROUNDS: Final = {"tiny": 1, "small": 15, "full": 50}
GUARDS: Final = 8
PROCESSES: Final = 2
DEADLINE: Final = 300.0
WAIT: Final = 5.2  # seconds, after which a lift counts
SEEN: Final = 0.4  # seconds, after which every guard has an order or a lift
P99_MS: Final = 25.0
MOST_TIMES_ONE: Final = 1.2
LABELS: Final = {MANY: "label.team:many", ONE: "label.team:one"}


@define
class Measured:
    """Milliseconds from the acceptance to the last guard's denial, by label.

    Attributes:
        wrong: answers that were not those of the rule, in words.
    """

    took: dict[str, list[float]] = field(factory=lambda: {MANY: [], ONE: []})
    wrong: list[str] = field(factory=list)


def rows(scale: str) -> list[Row]:
    """Measure both labels in turns."""
    count, matches = SIZES[scale]
    with tempfile.TemporaryDirectory() as name, ExitStack() as parts:
        folder = Path(name)
        filled(folder / "data", facts(count, matches))
        url = parts.enter_context(serving(folder))
        each = [len(range(n, GUARDS, PROCESSES)) for n in range(PROCESSES)]
        guards = [
            parts.enter_context(
                part("bench.contain_parts", url, str(n), str(count), str(matches))
            )
            for n in each
        ]
        for guard in guards:
            assert line(guard) == "ready"
        measured = asyncio.run(_rounds(url, guards, ROUNDS[scale], matches))
        told = [end(guard, DEADLINE, "end\n") for guard in guards]
    cpu = sum(each["cpu"] for each in told)
    return [*_report(measured, count, matches, cpu)]


def facts(count: int, matches: int) -> Iterator[Fact]:
    """Yield credentials: the first have the large label, the last has the other."""
    for number in range(count):
        said: dict[str, Any] = {
            "authority": "vault", "version": NOW + number, "received_at": NOW
        }  # fmt: skip
        node = accessor(number)
        yield Node(node=node, issued_at=NOW, **said)
        if number < matches or number == count - 1:
            label = LABELS[MANY if number < matches else ONE]
            yield LabelSet(node=node, labels=(Identifier.parse(label),), **said)


async def _rounds(url: str, guards: list[Part], rounds: int, matches: int) -> Measured:
    measured = Measured()
    headers = {"Authorization": "Bearer restorer"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for number in range(rounds):
            # In turns, so that no label is always the first.
            order = (MANY, ONE) if number % 2 else (ONE, MANY)
            for label in order:
                await _suspend(session, url, guards, label, measured)
            _check(guards[0], measured, {MANY: min(matches, SAMPLED), ONE: 1})
            await asyncio.sleep(WAIT)
            for label in order:
                name = LABELS[label].replace(":", "=", 1)
                where = f"{name},kind=vault.accessor"
                body = {"where": where, "reason": "bench"}
                await _post(session, f"{url}/v1/lifts", body)
            await asyncio.sleep(SEEN)
            _check(guards[0], measured, {MANY: 0, ONE: 0})
    return measured


async def _suspend(
    session: aiohttp.ClientSession,
    url: str,
    guards: list[Part],
    label: str,
    measured: Measured,
) -> None:
    name = LABELS[label].replace(":", "=", 1)
    selector = f"{name},kind=vault.accessor"
    body = {"where": selector, "for": "1h", "reason": "bench"}
    await _post(session, f"{url}/v1/suspensions", body, "revoker")
    accepted = time.monotonic_ns()
    await asyncio.sleep(SEEN)
    denied = [at for guard in guards for at in _asked(guard, label)["denied"]]
    if len(denied) != GUARDS:  # one of them lost its lease, or the order
        measured.wrong.append(f"{GUARDS - len(denied)} guards do not deny {label}")
        return
    measured.took[label].append((max(denied) - accepted) / 1e6)


def _check(guard: Part, measured: Measured, wanted: dict[str, int]) -> None:
    """Ask one guard about everything: no more is denied than was contained."""
    told = _asked(guard, "sample")
    for label, count in wanted.items():
        if told[label] != count:
            measured.wrong.append(f"{told[label]} of {label} are denied, not {count}")
    if told["others"]:
        measured.wrong.append(f"{told['others']} others are denied")


def _asked(guard: Part, question: str) -> dict[str, Any]:
    assert guard.stdin is not None
    guard.stdin.write(question + "\n")
    guard.stdin.flush()
    return dict(json.loads(line(guard)))


async def _post(
    session: aiohttp.ClientSession, url: str, body: dict[str, Any], token: str = ""
) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.post(url, json=body, headers=headers) as answer:
        assert answer.status == 201, await answer.text()


def _report(measured: Measured, count: int, matches: int, cpu: float) -> Iterator[Row]:
    many, one = measured.took[MANY], measured.took[ONE]
    of = f"of {count:,}, the last of {GUARDS} guards, {len(many)} rounds"
    for label, taken, number in ((MANY, many, matches), (ONE, one, 1)):
        yield Row(
            what=f"accepted -> {number:,} denied, {of}, ms",
            value=f"p50 {median(taken):.2f}, p99 {_p99(taken):.2f}",
            cpu=cpu if label == MANY else None,
            target=f"p99 <= {P99_MS:g}",
            met=_p99(taken) <= P99_MS,
        )
    ratios = [a / b for a, b in zip(many, one, strict=True)]
    ratio = spread(ratios)
    yield Row(
        what=f"{matches:,} matches by one match, by round",
        value=f"median {ratio[0]:.2f}",
        ratio=ratio,
        target=f"median <= {MOST_TIMES_ONE:g}",
        met=ratio[0] <= MOST_TIMES_ONE,
    )
    yield Row(
        what="wrong answers while suspended and after the lift",
        value=str(len(measured.wrong)) + "".join(f"; {w}" for w in measured.wrong[:3]),
        target="0",
        met=not measured.wrong,
    )


def _p99(values: list[float]) -> float:
    if len(values) == 1:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[98]
