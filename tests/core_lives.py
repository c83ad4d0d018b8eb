"""Random lives of a guard of level ``core``: it allows nothing that Python's denies.

Such a guard may deny more, and keep other connections. So it lives alone, with the
lives of ``tests.guard_lives``, and each check that it allows is held against two
things: the guard in Python with the facts that it had applied, and nothing
else; and the proofs that it was sent, by the rules of docs/writing-a-guard.md.

``python -m tests.core_lives --operations 1000000 -- PROGRAM`` runs many.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from agents_registry.registry import Registry
from agents_registry.table_form import pack, version_of
from conformance.drivers import Program
from conformance.reference import Reference
from tests.guard_lives import Life

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from conformance.drivers import Driver

LONG: Final = 10**9  # ms; the lease of the guard in Python, which judges facts alone
MILLISECOND: Final = 1_000_000
PROVEN: Final = 0.5  # of the checks
UNSCOPED: Final = (
    0.8  # of the checks: such a guard denies a scope where any is declared
)


class Proof(NamedTuple):
    """A pong: its end, and until when it may be used (ns)."""

    end: int
    until: int


class Tally:
    """What was counted."""

    def __init__(self, other: Driver) -> None:
        """Start with a guard to ask."""
        self.other = other
        self.operations = self.checks = self.allowed = 0


class CoreLife(Life):
    """One life of one guard."""

    def __init__(self, tally: Tally, seed: int) -> None:
        """Draw the names and settings of a life."""
        super().__init__(cast("Any", SimpleNamespace(stands=self._stands)), seed)
        self._tally = tally
        self._judge = Reference()
        self.asked = 0
        self._began = self._wall - self._clock
        self._lease = 0
        self._sent: dict[int, int] = {}
        self._proofs: list[Proof] = []
        self._applied: list[Fact] | None = None
        self._judged: list[Fact] | None = None

    def _stands(self, connection: int) -> bool:
        return connection in self._open

    async def _ask(self, do: str, **content: Any) -> dict[str, Any]:
        if do == "reset":
            content["settings"] |= {"mode": "fail_closed", "unknown": {}}
            self._lease = content["settings"]["lease_ms"] * MILLISECOND
        if do == "check" and self._random.random() < UNSCOPED:
            content["scope"] = None
        request = {"do": do, "clock": self._clock, "wall": self._wall, **content}
        self.asked += 1
        self._tally.operations += 1
        given = self._tally.other.ask(request)
        if do == "ping":
            self._sent[given["ping"]["seq"]] = self._clock
        elif do == "receive" and given["closed"]:
            self._applied, self._proofs = None, []
        elif do == "check":
            await self._hold(request, given)
        return given

    async def _send(self, connection: int, message: dict[str, Any]) -> bool:
        message.pop("time_ms", None)  # which of three clocks it believes is its own
        stands = await super()._send(connection, message)
        if stands:
            self._take(message)
        return stands

    async def _check(self) -> None:
        """Prove what there is before many checks: else most are denied for a lease."""
        if self._random.random() < PROVEN:
            await self._push()
            await self._ping()
        await super()._check()

    async def _table(self, connection: int) -> None:
        await super()._table(connection)
        if self._open.get(connection, -1) >= 0:
            self._applied = list(self._log)

    def _take(self, message: dict[str, Any]) -> None:
        """Note what the guard has by a message that it took."""
        kind = message["type"]
        if kind in {"snapshot", "table"} and self._applied is not None:
            self._applied, self._proofs = None, []  # it begins anew
        if kind == "snapshot" and not message["more"]:
            self._applied = list(self._log)
        elif kind == "delta" and self._applied is not None:
            self._applied = self._applied + self._log[message["from"] : message["to"]]
        elif kind == "pong":
            sent = self._sent.pop(message["seq"], None)
            if sent is not None and self._applied is not None:
                lasts = min(self._lease, message["remaining_ms"] * MILLISECOND)
                self._proofs.append(Proof(message["end"], sent + lasts))

    async def _hold(self, request: dict[str, Any], given: dict[str, Any]) -> None:
        """Hold an answer against the facts and the proofs.

        Raises:
            AssertionError: it allows what it should deny.
        """
        self._tally.checks += 1
        if not given["allowed"]:
            return
        self._tally.allowed += 1
        assert self._applied is not None, f"it has no table: {request}, {given}"
        end = len(self._applied)
        held = [p for p in self._proofs if p.end <= end and p.until > self._clock]
        assert held, f"nothing proves it: {request}, {given}"
        token = request["at_least"] or f"{self._genesis}:0:0"
        _, partition, offset = token.rsplit(":", 2)
        assert partition == "0", f"of another partition: {request}, {given}"
        assert int(offset) <= end, f"not applied: {request}, {given}"
        right = await self._right(request)
        assert right["allowed"], f"of {request} Python said {right}, it {given}"

    async def _right(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer of the guard in Python that has the same facts, and a lease."""
        # Whoever sets the wall clock back revives nothing.
        carried = self._began + self._clock
        common = {"clock": self._clock, "wall": carried}  # as at its start

        async def ask(do: str, **content: Any) -> dict[str, Any]:
            return await self._judge.answer(common | {"do": do} | content)

        if self._judged is not self._applied:
            facts = self._judged = self._applied or []
            settings = {"lease_ms": LONG, "mode": "fail_closed", "unknown": {}}
            await ask("reset", settings=settings)
            await ask("connect", connection=1)
            for frame in self._built(facts):
                assert not (await ask("receive", connection=1, **frame))["closed"]
            got = await ask("ping", connection=1)
            pong = {
                "type": "pong", "seq": got["ping"]["seq"], "genesis": self._genesis,
                "end": len(facts), "remaining_ms": LONG,
            }  # fmt: skip
            told = await ask("receive", connection=1, frame=json.dumps(pong))
            assert not told["closed"]
        wall = max(self._wall, carried)
        return await self._judge.answer(request | {"wall": wall, "at_least": None})

    def _built(self, facts: list[Fact]) -> list[dict[str, str]]:
        """Frames of the table of facts, in which no order leaves a doubt."""
        plain = Registry.build(facts).dump()
        sections, pieces = pack(plain, lambda of: json.dumps(of).encode())
        message = self._log_fields() | {
            "type": "table", "version": version_of(plain), "offset": len(facts),
            "sections": [[*section] for section in sections],
        }  # fmt: skip
        content = base64.b64encode(b"".join(pieces)).decode()
        return [{"frame": json.dumps(message)}, {"bytes": content}]


async def compare(other: Driver, operations: int, seed: int = 0) -> Tally:
    """Let a guard live until so many operations are done; give what was counted.

    Raises:
        AssertionError: it allows what it should deny; the seed is in its note.
    """
    tally = Tally(other)
    while tally.operations < operations:
        life = CoreLife(tally, seed)
        try:
            await life.run()
        except AssertionError as error:
            error.add_note(f"the life of seed {seed}, operation {life.asked}")
            raise
        seed += 1
    return tally


def main() -> None:
    """Hold a program against the guard in Python."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("program", nargs="+")
    given = parser.parse_args()
    with Program(given.program) as other:
        tally = asyncio.run(compare(other, given.operations, given.seed))
    sys.stdout.write(
        f"{tally.operations} operations, {tally.checks} checks, "
        f"{tally.allowed} allowed, none of them wrongly\n"
    )


if __name__ == "__main__":
    main()
