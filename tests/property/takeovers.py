"""Random lives of a partition of accesses whose owners die.

Two workers take turns. One dies after it published a part of what it found, before it
saves its file, or before it commits. Who comes next has its own file, as it was when it
left, or none. Lines come, are deleted when they are old, and the topic is made anew.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from agents_registry.facts import Cause, Effect
from agents_registry.identifiers import Identifier
from agents_registry.steps import finish
from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.engines.kafka.records.accesses import (
    access_records,
    read_access,
    signal_records,
)
from streams.engines.kafka.records.outputs import finding_record
from streams.engines.kafka.records.poison import Poison
from streams.engines.kafka.sentinel import access_loader
from streams.engines.kafka.sentinel.access_loader import AccessLoader
from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
from streams.model.findings import FindingKind
from streams.stages.access.uses import AccessEvent
from streams.stages.ingest.ingress import Origin
from streams.stages.sentinel.tolerances import Tolerances
from tests.unit.test_kafka_taking_over import (
    DAY,
    OTHER,
    SILENCE,
    START,
    TOKEN,
    S,
    World,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path
    from random import Random

STRANGER = Identifier("vault.accessor", "s")  # nobody declares it
REALMS = ("default", "beta")
SILENT = FindingKind.SOURCE_SILENT
RULES = Tolerances(0, 0, DAY, SILENCE)
SETTLED = 1000 * S  # then what nobody declared is told


class DiedError(Exception):
    """The worker died."""


class Life(World):
    """A world in which workers die.

    Attributes:
        committed: offset and name of whoever said last what was judged.
        uses: what happened: realm, name and id of a use.
        times: of the uses of the token, by their ids.
        silences: realms whose source fell silent, each time.
        silent: by realm, whether it still is.
        begin: lines below it were deleted.
        settled: what is told of lines below it will not change.
        knew_at: by when the guard knew of all that had ended.
    """

    def __init__(self, random: Random, folder: Path, files: ExitStack) -> None:
        """Start with the first worker."""
        self.random = random
        self.risk = 0.0
        self.name = "a"
        self.committed: tuple[int, str] | None = None
        self.uses: list[tuple[str, Identifier, str | None]] = []
        self.times: dict[str, int] = {}
        self.silences: list[str] = []
        self.silent: dict[str, bool] = {}
        self.revoked = False
        self.begin = self.settled = 0
        super().__init__(folder, files)
        self.risk = random.choice((0.1, 0.3, 0.6))
        self.given = random.choice((0.0, 0.5, 1.0))  # uses that have an id
        # With receipts each failure is known by its id, and nothing closes.
        self.receipts = self.given == 1 and random.random() < 0.5
        self.knew_at: int | None = None
        if self.receipts:
            self.points.registered("door", START, enforces=True)

    def live(self) -> None:
        """Let things happen, and somebody take over from who dies."""
        happens = [self.arrive] * 4 + [self.judge] * 5
        happens += [self.wait_a_while, self.end_other, self.move]
        happens += [self.hear] if self.receipts else [self.settle, self.retain]
        happens += [] if self.receipts else [self.renew] * self.random.choice((0, 1))
        for _ in range(self.random.randint(5, 40)):
            self.survive(self.random.choice(happens))
        self.risk = 0
        self.settle()
        if self.knew_at is not None:
            self.hear()

    def survive(self, happens: Callable[[], None]) -> None:
        """Do something; where the worker dies of it another one takes over."""
        while True:
            try:
                happens()
            except DiedError:
                happens = self.move
            else:
                return

    # --- who works --------------------------------------------------------------

    def start(self) -> OwnedPartition:
        """Take the partition up as the stage does."""
        member = SimpleNamespace(
            lock=asyncio.Lock(), bounds=self._bounds, since=self._since,
            committed=self._committed,
        )  # fmt: skip
        loader: Any = SimpleNamespace(
            _member=member, held={}, _open=self._open, _clock=lambda: self.now,
            _worker=SimpleNamespace(name=self.name), _remember=RULES.remember,
        )  # fmt: skip
        with (
            patch.object(asyncio, "to_thread", _at_once),
            patch.object(access_loader, "opened", _at_once),
        ):
            warm = _run(AccessLoader._place(loader, 0))
        worker: OwnedPartition = loader.held[0]
        worker.take(() if warm else filter(None, self.held(self.now)))
        return worker

    async def _bounds(self, _: int) -> tuple[int, int]:
        return self.begin, len(self.accesses)

    async def _since(self, *_: int) -> int | None:
        since = self.random.randint(self.begin, self.settled)
        return since if since < len(self.accesses) else None

    async def _committed(self, _: int) -> Any:
        if self.committed is None:
            return None
        offset, name = self.committed
        return SimpleNamespace(offset=offset, metadata=name)

    def _open(self, number: int) -> OwnedPartition:
        file = UsesFile(self.folder / f"{self.name}.db")
        self.files.callback(file.close)
        return OwnedPartition(
            file, RULES, lambda _: self.realm, number, points_of=lambda _: self.points
        )

    def write(self) -> None:
        """Publish, save and commit, as far as it comes to that."""
        random, worker = self.random, self.worker
        records = [
            finding_record(each, 1, judged=worker.judged_of(each.finding))
            for each in worker.unsaved.findings()
        ]
        dies = random.random() < self.risk
        when = random.choice(("published", "acked", "saved")) if dies else ""
        if when == "published":
            records = records[: random.randint(0, len(records))]
        self.told += [(record, self.now) for record in records]
        if when in {"published", "acked"}:
            raise DiedError
        worker.save()
        if when == "saved":
            raise DiedError
        if random.random() < 0.7:
            self.commit()

    def commit(self) -> None:
        """Say what was judged."""
        self.committed = (max(self.worker.position, self.worker.judged), self.name)

    def move(self) -> None:
        """Let somebody take the partition up, whether who had it died or not."""
        self.name = self.random.choice("ab")
        if self.random.random() < 0.3:
            for each in self.folder.glob(f"{self.name}.db*"):
                if each.is_file():
                    each.unlink()
        self.worker = self.start()
        finish(self.worker.restore(self.now))
        self.write()
        self.commit()

    # --- what happens -----------------------------------------------------------

    def arrive(self) -> None:
        """Append lines that nobody has judged yet."""
        for _ in range(self.random.choice((1, 1, 2, 5))):
            self.now += S
            origin = Origin("vault", self.random.choice(REALMS), self.now, "k", 1)
            make = self.random.choice((self._use, self._use, self._use, self._signal))
            if self.random.random() < 0.1:
                self.accesses.append(Poison(len(self.accesses), 0, "undecodable"))
            else:
                (record,) = make(origin)
                self.accesses.append(read_access(record.value, record.headers))

    def _use(self, origin: Origin) -> list[Any]:
        name = self.random.choice((TOKEN, OTHER, TOKEN if self.receipts else STRANGER))
        given = self.random.random() < self.given
        event_id = f"e{len(self.uses)}" if given else None
        self.uses.append((origin.realm, name, event_id))
        if name == TOKEN and event_id is not None:
            self.times[event_id] = self.now
        use = AccessEvent((name,), "door", "allowed", self.now, event_id)
        return list(access_records([use], origin, 0, 1, "f"))

    def _signal(self, origin: Origin) -> list[Any]:
        over = self.silent.get(origin.realm, False) and self.random.random() < 0.6
        signal = {"kind": SILENT.value, "presented": [*TOKEN], "at": self.now}
        self.silent[origin.realm] = not over
        self.silences += [] if over else [origin.realm]
        signals = [signal | ({"over": True} if over else {})]
        return list(signal_records(signals, origin, 1, "f"))

    def judge(self) -> None:
        """Judge the next lines."""
        lines = list(enumerate(self.accesses))[self.worker.position :]
        lines = lines[: self.random.choice((1, 2, 3, 9))]
        if lines:
            finish(self.worker.advance(lines, self.now))
        self.write()

    def end_other(self) -> None:
        """End the other token, as of before its uses."""
        if self.revoked:
            return
        self.revoked = True
        ended = Cause(**self.said, target=OTHER, effect=Effect.REVOKE, at=START - S)
        self.tell(ended)
        for realm in REALMS:
            finish(self.worker.reconsider(realm, [OTHER], self.now))
        self.write()

    def hear(self) -> None:
        """Hear from the guard that it has applied all for a while."""
        if self.knew_at is None:
            self.knew_at = self.random.randint(START, self.now)
            self.points.applied("door", self.end, self.knew_at)
        for realm in REALMS:
            finish(self.worker.recheck(realm, ["door"], self.now))
        self.write()

    def wait_a_while(self) -> None:
        """Let time pass; what is held becomes due, what is silent closes."""
        spans = (S,) if self.receipts else (S, SETTLED, 3 * SILENCE)
        self.now += self.random.choice(spans)
        finish(self.worker.settle(self.now))
        finish(self.worker.tidy(self.now))
        self.write()

    def settle(self) -> None:
        """Judge all lines, and have told what was held of them."""
        while self.worker.position < len(self.accesses):
            self.judge()
        self.now += SETTLED
        finish(self.worker.settle(self.now))
        self.write()
        self.commit()
        if self.revoked:
            self.settled = len(self.accesses)

    def retain(self) -> None:
        """Delete old lines."""
        self.begin = self.random.randint(self.begin, self.settled)

    def renew(self) -> None:
        """Make the topic anew, once all of the old one is told."""
        if self.revoked:
            self.settle()
            self.accesses.clear()
            self.begin = self.settled = 0
            self.committed = None
            self.arrive()
            self.move()


async def _at_once(call: Callable[..., Any], *values: Any) -> Any:
    return call(*values)


def _run(steps: Any) -> Any:
    """Run what waits for nothing."""
    try:
        steps.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError
