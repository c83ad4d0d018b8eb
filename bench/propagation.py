"""From an accepted revocation to a denial at a guard in another process.

Open loop: each revocation has a time when it is due, whatever became of the one
before, and times count from there. What is presented is a child of what is revoked.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final, NamedTuple

import aiohttp
from attrs import define, field

from bench.processes import Part, end, line, part
from bench.propagation_parts import DEADLINE, TOKENS, child, parent
from bench.report import Row
from bench.rounds import spread

A_SECOND: Final = 100  # revocations due
ROUNDS: Final = {"tiny": 1, "small": 5, "full": 12}
BLOCK: Final = {"tiny": 5, "small": 10, "full": 25}  # twice a round, on each side
PARTS: Final = "bench.propagation_parts"
WARM: Final = 10  # the first ones open connections, and are not counted
P50_MS: Final = 5.0
P99_MS: Final = 25.0


class Times(NamedTuple):
    """When one revocation was due, was answered 2xx, and took effect (ns)."""

    due: int
    accepted: int
    seen: int


@define
class Side:
    """One of the two that are compared: where to post, and what came of it.

    Attributes:
        sent: by number, when it was due and accepted.
        blocks: the numbers of each block, in order.
    """

    url: str
    sent: dict[int, tuple[int, int]] = field(factory=dict)
    blocks: list[range] = field(factory=list)


def rows(scale: str) -> list[Row]:
    """Measure ours and the bare peer in interleaved blocks."""
    count = ROUNDS[scale] * BLOCK[scale] * 2 + WARM
    with tempfile.TemporaryDirectory() as folder, ExitStack() as parts:
        ready = Path(folder) / "ready"
        server = parts.enter_context(
            part(PARTS, "server", _settings(Path(folder), ready))
        )
        ours = Side(url_of(ready, server))
        asyncio.run(_adopt(ours.url, count))
        guard = parts.enter_context(part(PARTS, "guard", ours.url, str(count)))
        bare = parts.enter_context(part(PARTS, "bare", folder))
        peer = Side(line(bare))
        listener = parts.enter_context(part(PARTS, "listener", peer.url))
        assert line(guard) == line(listener) == "ready"
        asyncio.run(_rounds(ours, peer, ROUNDS[scale], BLOCK[scale]))
        guarded, listened = end(guard, DEADLINE), end(listener, DEADLINE)
        end(bare, DEADLINE)
        server.terminate()
        served = end(server, DEADLINE)
    cpu = served["cpu"] + guarded["cpu"]
    return _report(_joined(ours, guarded), _joined(peer, listened), cpu)


def _report(ours: list[list[Times]], peer: list[list[Times]], cpu: float) -> list[Row]:
    """Compare per round the medians; a round is two blocks of each side."""
    accepted = [_ms(each.seen - each.accepted) for block in ours for each in block]
    p50, p99 = _percentiles(accepted)
    found = [
        Row(
            what=f"accepted -> denied, {len(accepted)} of {A_SECOND}/s, ms",
            value=_told(accepted),
            cpu=cpu,
            target=f"p50 <= {P50_MS:g}, p99 <= {P99_MS:g}",
            met=p50 <= P50_MS and p99 <= P99_MS,
        )
    ]
    for what, column in (("denied", 2), ("accepted", 1)):
        taken = [
            [_ms(each[column] - each.due) for each in block] for block in (*ours, *peer)
        ]
        sides = taken[: len(ours)], taken[len(ours) :]
        told = [_told([ms for block in side for ms in block]) for side in sides]
        ratios = [
            median(one) / median(other) for one, other in zip(*sides, strict=True)
        ]
        found.append(
            Row(
                what=f"due -> {what}, ms",
                value=told[0],
                peer=f"commit + socket, {told[1]}",
                ratio=spread(ratios),
            )
        )
    return found


def _told(values: list[float]) -> str:
    return "p50 {:.2f}, p99 {:.2f}".format(*_percentiles(values))


def _percentiles(values: list[float]) -> tuple[float, float]:
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


def _ms(nanoseconds: int) -> float:
    return nanoseconds / 1e6


def _joined(side: Side, told: dict[str, Any]) -> list[list[Times]]:
    """Give the times of each round; every revocation must have been seen."""
    seen = {int(number): at for number, at in told["seen"].items()}
    missing = side.sent.keys() - seen.keys()
    if missing:
        raise AssertionError(f"{len(missing)} revocations never took effect")
    blocks = [[Times(*side.sent[n], seen[n]) for n in block] for block in side.blocks]
    return [blocks[n] + blocks[n + 1] for n in range(0, len(blocks), 2)]


async def _rounds(ours: Side, peer: Side, rounds: int, block: int) -> None:
    headers = {"Authorization": f"Bearer {TOKENS['revoker']}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for side in (ours, peer):
            await _block(session, side, range(WARM))
            side.blocks.clear()
        for number in range(rounds):
            start = WARM + number * 2 * block
            first = range(start, start + block)
            second = range(start + block, start + 2 * block)
            await _block(session, ours, first)
            await _block(session, peer, first)
            await _block(session, peer, second)
            await _block(session, ours, second)


async def _block(session: aiohttp.ClientSession, side: Side, numbers: range) -> None:
    """Post each revocation when it is due, whether or not others are answered."""
    side.blocks.append(numbers)
    start = time.monotonic_ns() + 20_000_000

    async def revoke(number: int, due: int) -> None:
        body = {"identifier": parent(number), "reason": "bench"}
        async with session.post(f"{side.url}/v1/revocations", json=body) as answer:
            await answer.read()
            accepted = time.monotonic_ns()
            answer.raise_for_status()
        side.sent[number] = (due, accepted)

    async with asyncio.TaskGroup() as tasks:
        for place, number in enumerate(numbers):
            due = start + place * 1_000_000_000 // A_SECOND
            await asyncio.sleep((due - time.monotonic_ns()) / 1e9)
            tasks.create_task(revoke(number, due))


async def _adopt(url: str, count: int) -> None:
    entries = []
    for number in range(count):
        entries.append({"identifier": parent(number), "root": True})
        entries.append({"identifier": child(number), "parents": [parent(number)]})
    headers = {"Authorization": f"Bearer {TOKENS['restorer']}"}
    async with (
        aiohttp.ClientSession(headers=headers, raise_for_status=True) as session,
        session.post(f"{url}/v1/adopt", json={"credentials": entries}),
    ):
        pass


def _settings(folder: Path, ready: Path) -> str:
    path = folder / "settings.yaml"
    tokens = [
        {
            "name": role,
            "sha256": hashlib.sha256(token.encode()).hexdigest(),
            "roles": [role],
        }
        for role, token in TOKENS.items()
    ]
    settings = {
        "data_dir": str(folder / "data"),
        "ready_file": str(ready),
        "listen": {"port": 0},
        "tokens": tokens,
    }
    path.write_text(json.dumps(settings), "utf-8")  # JSON is YAML, too
    return str(path)


def url_of(ready: Path, server: Part) -> str:
    """Wait until the server says where it is."""
    deadline = time.monotonic() + DEADLINE
    while not (ready.exists() and ready.read_text("utf-8").endswith("\n")):
        if server.poll() is not None or time.monotonic() > deadline:
            raise AssertionError("the server did not start")
        time.sleep(0.01)
    return ready.read_text("utf-8").strip()
