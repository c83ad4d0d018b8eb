"""Random lives of two guards: the same frames, clocks and questions, the same answers.

The guard in Python is the one that is right; the other one is a program that speaks
the driver's protocol (docs/writing-a-guard.md). A life has snapshots, tables, deltas,
pongs that are late, lost connections, gaps, other logs, frames that nobody can read,
and checks of random presentations between them.

``python -m tests.guard_lives --operations 1000000 -- PROGRAM`` runs many.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
from random import Random
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from agents_registry.facts import (
    SECOND,
    Cause,
    Distrust,
    Effect,
    LabelSet,
    Node,
    OwnerSet,
    Reach,
    Withdraw,
    fact_id,
    to_plain,
)
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.registry import Registry
from agents_registry.table_form import pack, version_of
from conformance.drivers import Driver, Program
from conformance.reference import Reference
from tests.second_worlds import CONTAINERS, CREDENTIALS, POLICIES, PRINCIPALS, Maker

if TYPE_CHECKING:
    from agents_registry.facts import Fact

STEPS: Final = 250  # of one life
PART: Final = 700  # bytes of a binary frame
CLASSES: Final = {kind: of.value for kind, of in VOCABULARY.items()}
LABELS: Final = tuple(
    map(Identifier.parse, ("label.team:a", "label.team:b", "label.x:a"))
)
LIMITED_EFFECTS: Final = (Effect.SUSPEND, Effect.NARROW)
SHARED_FIELDS: Final = (
    "authority", "event_id", "version", "stamped", "received_at", "ingress_key",
)  # fmt: skip
MODES: Final = ("fail_closed", "fail_closed", "fail_open", "observe")
GARBAGE: Final = (
    "{", "[]", "null", '{"type":"delta"}', '{"type":"pong","seq":true}',
    '{"type":"delta","from":0,"to":0,"facts":[{}]}', '{"type":"notice"}',
    '{"type":"snapshot","genesis":"","facts":[],"offset":0,"more":false}',
)  # fmt: skip
WEIGHTS: Final = {
    "check": 60, "append": 12, "push": 8, "ping": 10, "pong": 10, "wait": 5,
    "set_wall": 1, "drop": 1, "connect": 4, "gap": 0.3, "garbage": 0.6, "renew": 0.3,
    "shorten": 0.2,
}  # fmt: skip


class Pair:
    """Two guards that are asked the same."""

    def __init__(self, other: Driver) -> None:
        """Compare another guard with the one in Python."""
        self._one = Reference()
        self._other = other
        self.operations = 0
        self.checks = 0
        self.allowed = 0
        self.asked: list[dict[str, Any]] = []

    def stands(self, connection: int) -> bool:
        """Tell whether the guard in Python still uses a connection."""
        return connection in self._one.connections()

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask both; give the answer that they agree on.

        Raises:
            AssertionError: they do not.
        """
        if request["do"] == "reset":
            self.asked.clear()
        self.asked.append(request)
        self.operations += 1
        right = await self._one.answer(request)
        given = self._other.ask(request)
        assert _told(request, right) == _told(request, given), (
            f"of {request} Python said {right}, and the other guard {given}"
        )
        if request["do"] == "check":
            self.checks += 1
            self.allowed += right["allowed"]
        return right


def _told(request: dict[str, Any], reply: dict[str, Any]) -> Any:
    """Give what of a reply has to be the same."""
    do = request["do"]
    if do == "check":
        return [reply["allowed"], reply["reason"], bool(reply.get("observed"))]
    if do == "connect":
        hello = reply["hello"]
        return hello and [hello["genesis"], hello["position"], "tables" in hello]
    return reply.get("closed")


class Life:
    """One life, from a reset on."""

    def __init__(self, pair: Pair, seed: int) -> None:
        """Draw the names and settings of a life."""
        self._pair = pair
        random = self._random = Random(seed)
        names = [*CREDENTIALS, *PRINCIPALS, *CONTAINERS]
        self._maker = Maker(random, tuple(random.sample(names, random.randint(2, 8))))
        self._clock, self._wall = 100 * SECOND, 300 * SECOND
        self._logs = 1
        self._log: list[Fact] = []
        self._distrusts: set[bytes] = set()
        self._open: dict[int, int] = {}  # by connection: the position it was sent
        self._connections = 0
        self._pings: list[tuple[int, int]] = []  # connection, seq

    @property
    def _genesis(self) -> str:
        return f"g:{self._logs}"

    async def run(self) -> None:
        """Live."""
        random = self._random
        settings = {
            "lease_ms": random.choice((400, 1000)),
            "mode": random.choice(MODES),
            "unknown": dict(random.choice(POLICIES)),
        }
        await self._ask("reset", settings=settings)
        self._accept(self._drawn(random.choice((0, 3, 8, 20))))
        await self._connect()
        for do in random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=STEPS):
            await getattr(self, f"_{do}")()

    async def _ask(self, do: str, **content: Any) -> dict[str, Any]:
        return await self._pair.ask(
            {"do": do, "clock": self._clock, "wall": self._wall, **content}
        )

    async def _receive(self, connection: int, **content: Any) -> bool:
        """Send a frame to a connection that stands; tell whether it stands on."""
        if not self._pair.stands(connection):
            self._open.pop(connection, None)  # another one took its place
        if connection not in self._open:
            return False
        reply = await self._ask("receive", connection=connection, **content)
        if reply["closed"]:
            del self._open[connection]
        return not reply["closed"]

    async def _send(self, connection: int, message: dict[str, Any]) -> bool:
        return await self._receive(connection, frame=json.dumps(message))

    def _any(self) -> int:
        return self._random.choice(list(self._open) or [0])

    def _drawn(self, count: int) -> list[Fact]:
        """Draw facts, also what the maker does not know of: labels, ends and kinds."""
        drawn: list[Fact] = []
        for fact in self._maker.facts(count):
            drawn += [fact]
            if isinstance(fact, Cause):
                drawn[-1] = self._limited(fact)
            elif isinstance(fact, Node | OwnerSet) and self._random.random() < 0.25:
                drawn.append(self._labels(fact))
        return drawn

    def _limited(self, cause: Cause) -> Cause:
        random = self._random
        if random.random() < 0.2:
            cause = evolve(cause, target=random.choice(LABELS))
        if cause.effect in LIMITED_EFFECTS and random.random() < 0.4:
            end = self._wall + random.randint(-4, 6) * SECOND
            cause = evolve(cause, until=random.choice((None, end)))
            if cause.reach is Reach.SUBTREE and random.random() < 0.5:
                kinds = {name.kind for name in random.choices(CREDENTIALS, k=2)}
                cause = evolve(cause, kinds=tuple(kinds))
            if cause.reach is Reach.SUBTREE and random.random() < 0.4:
                cause = self._conditional(cause)
        return cause

    def _conditional(self, cause: Cause) -> Cause:
        random, names = self._random, self._maker.names
        owners = [Identifier("owner.of", str(name)) for name in names]
        if random.random() < 0.3:
            cause = evolve(cause, target=random.choice(owners), where=())
        where = random.sample([*LABELS, *names, *owners], random.choice((1, 1, 2)))
        return evolve(cause, where=tuple(where))

    def _labels(self, fact: Node | OwnerSet) -> LabelSet:
        labels = self._random.sample(LABELS, self._random.choice((0, 1, 1, 2)))
        common = {n: getattr(fact, n) for n in SHARED_FIELDS}
        return LabelSet(node=fact.node, labels=tuple(labels), **common)

    def _accept(self, facts: list[Fact]) -> None:
        """Add facts to the log, and of a distrust the first copy alone.

        Another copy takes back the same, and has only the guard in Python build anew.
        """
        for fact in facts:
            again = isinstance(fact, Distrust) and fact_id(fact) in self._distrusts
            if isinstance(fact, Distrust):
                self._distrusts.add(fact_id(fact))
            if not again:
                self._log.append(fact)

    # --- What happens -----------------------------------------------------------

    async def _check(self) -> None:
        random, asked = self._random, self._maker.question()
        names: list[Any] = [str(name) for name in asked.identifiers]
        if random.random() < 0.02:
            names.append(random.choice(("", "x", 5, None, "jwt.jti:")))
            asked = evolve(asked, issued_at=None, chain=())  # in one form it is told
        token = f"{self._genesis}:{random.choice((0, 0, 0, 1))}:{len(self._log)}"
        await self._ask(
            "check",
            presented={
                "identifiers": names,
                "issued_at": asked.issued_at,
                "chain": [str(name) for name in asked.chain],
            },
            scope=asked.scope,
            at_least=token if random.random() < 0.1 else None,
        )

    async def _append(self) -> None:
        self._accept(self._drawn(self._random.choice((1, 1, 2)))[-2:])
        if self._random.random() < 0.8:
            await self._push()

    async def _push(self) -> None:
        """Send what is missing, to every connection that has a whole table."""
        for connection, position in list(self._open.items()):
            end = len(self._log)
            if 0 <= position < end:
                self._open[connection] = end
                facts = [to_plain(fact) for fact in self._log[position:end]]
                await self._send(
                    connection,
                    {"type": "delta", "from": position, "to": end, "facts": facts},
                )

    async def _ping(self) -> None:
        connection = self._any()
        if connection:
            seq = (await self._ask("ping", connection=connection))["ping"]["seq"]
            self._pings.append((connection, seq))
            if self._random.random() < 0.7:
                await self._pong()

    async def _pong(self) -> None:
        """Answer a ping, mostly the last one."""
        if not self._pings:
            return
        place = -1 if self._random.random() < 0.8 else 0
        connection, seq = self._pings.pop(place)
        pong = {
            "type": "pong",
            "seq": seq,
            "genesis": self._genesis,
            "end": len(self._log),
            "remaining_ms": self._random.choice((60_000, 60_000, 300, 0)),
        }
        if self._random.random() < 0.3:
            wrong = self._random.choice((0, 0, 0, 1000, -1_000_000, 5_000_000))
            pong["time_ms"] = max(0, self._wall // 1_000_000 + wrong)
        await self._send(connection, pong)

    async def _wait(self) -> None:
        # The guard in Python weighs its clocks each 5 ms at most.
        passed = self._random.choice((0.006, 0.1, 0.3, 0.399, 0.4, 1, 3)) * SECOND
        self._clock += int(passed)
        self._wall += int(passed)

    async def _set_wall(self) -> None:
        self._wall += self._random.choice((-200, -3, -1, 1, 3, 200)) * SECOND

    async def _drop(self) -> None:
        connection = self._any()
        if connection:
            del self._open[connection]
            await self._ask("disconnect", connection=connection)

    async def _connect(self) -> None:
        """Offer a connection, and send what the hello asks for."""
        number = self._connections + 1
        hello = (await self._ask("connect", connection=number))["hello"]
        if hello is None:
            return
        self._connections = number
        genesis, position = hello["genesis"], hello["position"]
        if genesis == self._genesis and position <= len(self._log):
            self._open[number] = position
            await self._push()
            return
        self._open[number] = -1
        if "tables" in hello and self._random.random() < 0.5:
            await self._table(number)
        else:
            await self._snapshot(number)

    async def _snapshot(self, connection: int) -> None:
        """Send all facts in chunks; what takes facts back comes first."""
        end, size = len(self._log), self._random.choice((1, 3, 1000))
        first = [fact for fact in self._log if isinstance(fact, Withdraw | Distrust)]
        rest = [self._log[at : at + size] for at in range(0, end, size)]
        chunks: list[list[Fact]] = [[*first], *rest]
        for number, chunk in enumerate(chunks, 1):
            if self._random.random() < 0.01:
                return  # the rest never comes
            message = self._log_fields() | {
                "type": "snapshot",
                "facts": [to_plain(fact) for fact in chunk],
                "more": number < len(chunks),
            }
            if not await self._send(connection, message):
                return
        self._open[connection] = end

    async def _table(self, connection: int) -> None:
        """Send the table that all facts make."""
        registry = Registry.build(self._log)
        plain = registry.dump()
        sections, pieces = pack(plain, lambda of: json.dumps(of).encode())
        content = b"".join(pieces)
        if self._random.random() < 0.02:
            content = self._damaged(content)
        message = self._log_fields() | {
            "type": "table",
            "version": version_of(plain),
            "sections": [[*section] for section in sections],
        }
        if not await self._send(connection, message):
            return
        for start in range(0, len(content), PART):
            part = base64.b64encode(content[start : start + PART]).decode()
            if not await self._receive(connection, bytes=part):
                return
        if len(self._log) == message["offset"]:
            self._open[connection] = message["offset"]

    def _damaged(self, content: bytes) -> bytes:
        """Cut the columns off: neither guard takes what is left."""
        return b"\xff" * len(content)

    def _log_fields(self) -> dict[str, Any]:
        return {
            "genesis": self._genesis,
            "realm": "r",
            "vocabulary": CLASSES,
            "offset": len(self._log),
        }

    # --- What goes wrong --------------------------------------------------------

    async def _gap(self) -> None:
        connection, end = self._any(), len(self._log) + 1
        await self._send(
            connection, {"type": "delta", "from": end, "to": end, "facts": []}
        )

    async def _garbage(self) -> None:
        await self._receive(self._any(), frame=self._random.choice(GARBAGE))

    async def _renew(self) -> None:
        """Let the server have another log, with some of the facts."""
        self._logs += 1
        self._log = self._log[: self._random.randint(0, len(self._log))]
        await self._ping()

    async def _shorten(self) -> None:
        """Let the log lose its end."""
        self._log = self._log[:-1]
        await self._ping()


async def compare(other: Driver, operations: int, seed: int = 0) -> Pair:
    """Let two guards live until so many operations are done; give what was counted.

    Raises:
        AssertionError: two answers differ; the seed of the life is in its note.
    """
    pair = Pair(other)
    while pair.operations < operations:
        try:
            await Life(pair, seed).run()
        except AssertionError as error:
            error.add_note(f"the life of seed {seed}, operation {len(pair.asked)}")
            raise
        seed += 1
    return pair


def main() -> None:
    """Compare a program with the guard in Python."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("program", nargs="+")
    given = parser.parse_args()
    with Program(given.program) as other:
        pair = asyncio.run(compare(other, given.operations, given.seed))
    sys.stdout.write(
        f"{pair.operations} operations, {pair.checks} checks, "
        f"{pair.allowed} allowed, no difference\n"
    )


if __name__ == "__main__":
    main()
