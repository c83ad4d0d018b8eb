"""Play a server to a guard: feed it, move its clocks, ask it, judge the answers.

Time is virtual: every request carries both clocks of the guard, so nothing sleeps.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from conformance.drivers import DriverError
from conformance.facts import SECOND, span, time
from conformance.verdicts import Gravity, Problem, Tally, fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conformance.cases import Case
    from conformance.drivers import Driver

GENESIS: Final = "g1"
BOOTED: Final = 100 * SECOND  # the lease clock at the start of a case
AMPLE: Final = 60_000  # ms: a server that vouches for longer than any lease
MANY: Final = 1000  # facts in one message at most
REBUILDS: Final = 3
_CORRECTIONS: Final = ("withdraw", "distrust")


class Game:
    """One case under way."""

    def __init__(self, driver: Driver, case: Case, label: str, tally: Tally) -> None:
        """Set the clocks."""
        self._driver = driver
        self._case = case
        self._label = label
        self._tally = tally
        self._clock, self._wall = BOOTED, time(case.now)
        self._connections = 0
        self._connection = 0
        self._open = False
        self._second = (0, False)  # connection, and whether it stands
        self._over = False
        self._end = 0  # of the log, as the guard was told
        self._pings: dict[str, int] = {}
        self._do: dict[str, Callable[[Any], None]] = {
            "sync": self._sync, "prove": self._prove, "rebuild": self._rebuild,
            "connect": self._connect_as, "snapshot": self._snapshot,
            "delta": self._delta, "frame": self._frame, "drop": self._drop,
            "ping": self._ping, "pong": self._pong, "wait": self._wait,
            "wall": self._move_wall, "closed": self._closed, "beside": self._beside,
        }  # fmt: skip

    def complain(self, gravity: Gravity, text: str) -> None:
        """Note a problem."""
        self._tally.problems.append(Problem(gravity, self._label, text))

    def begin(self) -> None:
        """Have the guard forget everything and take its settings."""
        self._ask("reset", settings=self._case.settings)

    def step(self, step: dict[str, Any]) -> None:
        """Do one step; none any more where a second connection was not wanted."""
        if self._over:
            return
        if "check" in step:
            self._check(step)
        else:
            [(name, content)] = step.items()
            self._do[name](content)

    def _ask(self, do: str, **content: Any) -> dict[str, Any]:
        return self._driver.ask(
            {"do": do, "clock": self._clock, "wall": self._wall, **content}
        )

    # --- The connection ---------------------------------------------------------

    def _connect(self) -> dict[str, Any] | None:
        """Offer a connection; give the guard's hello, None if it wants none."""
        self._connections += 1
        hello = self._ask("connect", connection=self._connections).get("hello")
        if hello is None:
            self._connections -= 1
            return None
        if not isinstance(hello, dict) or hello.get("type") != "hello":
            raise DriverError(f"not a hello: {hello}")
        self._connection, self._open = self._connections, True
        return hello

    def _beside(self, content: dict[str, Any]) -> None:
        """Do one step on a second connection, beside the first.

        The case is over for a guard that wants none, or has ended its first one.
        """
        first = self._connection, self._open
        self._over = "connect" in content and not self._open
        if self._over:
            return
        self._connection, self._open = self._second
        if "connect" in content:
            hello = self._connect()
            self._over = hello is None
            if hello is not None and hello.get("position") is not None:
                self.complain(Gravity.CORE, f"nothing can be rebuilt from: {hello}")
        else:
            self.step(content)
        self._second = self._connection, self._open
        self._connection, self._open = first

    def _connect_as(self, wanted: str) -> None:
        """Connect; ``fresh``: the guard has to ask for a snapshot."""
        hello = self._connect()
        if hello is None:
            raise DriverError("no connection is wanted, though none stands")
        if wanted == "fresh" and hello.get("position") is not None:
            self.complain(Gravity.CORE, f"a snapshot was due, but: {hello}")

    def _sync(self, content: Any) -> None:
        """Bring the guard to a position, over a new connection."""
        wanted = content if isinstance(content, dict) else {"to": content}
        to, genesis = wanted["to"], wanted.get("genesis", GENESIS)
        if self._open:
            self._drop(None)
        hello = self._connect()
        if hello is None:
            raise DriverError("no connection is wanted, though none stands")
        position = hello.get("position")
        resumes = hello.get("genesis") == genesis and isinstance(position, int)
        if position is not None and wanted.get("fresh"):
            self.complain(Gravity.CORE, f"a snapshot was due, but: {hello}")
        if resumes and position <= to and not wanted.get("fresh"):
            self._delta({"from": position, "to": to})
        else:
            self._whole(to, genesis, backwards=wanted.get("reversed", False))
        self._end = to

    def _whole(self, to: int, genesis: str, *, backwards: bool = False) -> None:
        """Send a snapshot as a server does: what takes facts back comes first."""
        facts = self._case.facts[:to]
        first = [f for f in facts if f.get("fact") in _CORRECTIONS]
        if backwards:
            facts = facts[::-1] + facts[:1]
        size = 2 if backwards and len(facts) < MANY else MANY
        chunks = [facts[i : i + size] for i in range(0, len(facts), size)]
        if first or not chunks:
            chunks.insert(0, first)
        for number, chunk in enumerate(chunks, 1):
            more = number < len(chunks)
            self._send_snapshot(chunk, 0 if more else to, genesis, more=more)

    def _rebuild(self, content: Any) -> None:
        """Offer connections to a guard that has to build its table anew.

        Args:
            content: the position that the snapshots have; True: the guard's own.
        """
        to = self._end if content is True else content
        for _ in range(REBUILDS):
            hello = self._connect()
            if hello is None:
                return
            if hello.get("position") is not None:
                self.complain(Gravity.CORE, f"nothing can be rebuilt from: {hello}")
            self._whole(to, GENESIS)

    def _drop(self, _: Any) -> None:
        self._ask("disconnect", connection=self._connection)
        self._open = False

    def _closed(self, _: Any) -> None:
        if self._open:
            self.complain(Gravity.CORE, "the connection had to be ended")
            self._drop(None)

    # --- Messages ---------------------------------------------------------------

    def _snapshot(self, content: dict[str, Any]) -> None:
        """Send one chunk: ``facts`` from..to, ``more``, ``offset``, ``genesis``."""
        start, stop = content["facts"]
        self._send_snapshot(
            self._case.facts[start:stop],
            content.get("offset", stop),
            content.get("genesis", GENESIS),
            more=content["more"],
        )
        self._end = stop

    def _send_snapshot(
        self, facts: list[dict[str, Any]], offset: int, genesis: str, *, more: bool
    ) -> None:
        self._receive({
            "type": "snapshot",
            "genesis": genesis,
            "realm": "conformance",
            "vocabulary": self._case.vocabulary,
            "offset": offset,
            "facts": facts,
            "more": more,
        })  # fmt: skip

    def _delta(self, content: dict[str, Any]) -> None:
        """Send the facts ``from`` to ``to``, or only those of ``facts``."""
        start, end = content["from"], content["to"]
        indices: Iterable[int] = content.get("facts", range(start, end))
        facts = [self._case.facts[i] for i in indices]
        self._receive({"type": "delta", "from": start, "to": end, "facts": facts})
        self._end = end

    def _frame(self, content: Any) -> None:
        """Send a text as it is, or an object as JSON."""
        self._receive(content)

    def _receive(self, message: Any) -> None:
        if not self._open:
            return  # the guard ended the connection; nothing reaches it any more
        frame = message if isinstance(message, str) else json.dumps(message)
        reply = self._ask("receive", connection=self._connection, frame=frame)
        if reply.get("closed"):
            self._open = False

    # --- The lease --------------------------------------------------------------

    def _ping(self, name: str) -> None:
        reply = self._ask("ping", connection=self._connection)
        ping = reply.get("ping")
        if not isinstance(ping, dict) or type(ping.get("seq")) is not int:
            raise DriverError(f"not a ping: {reply}")
        if ping["seq"] in self._pings.values():
            self.complain(Gravity.CORE, f"seq {ping['seq']} was used before")
        self._pings[name] = ping["seq"]

    def _pong(self, content: Any) -> None:
        """Answer the ping of a name; what is not said is as a server would say it."""
        said = content if isinstance(content, dict) else {"of": content}
        pong: dict[str, Any] = {
            "type": "pong",
            "genesis": GENESIS,
            "end": self._end,
            "remaining_ms": AMPLE,
        }
        if "of" in said:
            pong["seq"] = self._pings[said["of"]]
        self._receive(pong | {k: v for k, v in said.items() if k != "of"})

    def _prove(self, content: Any) -> None:
        """Let a ping be answered at once."""
        if not self._open:
            return
        name = f"prove {len(self._pings)}"
        self._ping(name)
        self._pong({"of": name} | (content if isinstance(content, dict) else {}))

    def _wait(self, seconds: float | str) -> None:
        self._clock += span(seconds)
        self._wall += span(seconds)

    def _move_wall(self, seconds: float | str) -> None:
        self._wall += span(seconds)

    # --- The answer -------------------------------------------------------------

    def _check(self, step: dict[str, Any]) -> None:
        self._tally.checks += 1
        names = step["check"]
        issued = step.get("issued_at")
        if "now" in step:
            self._wall = time(step["now"])
        reply = self._ask(
            "check",
            presented={
                "identifiers": names if isinstance(names, list) else [names],
                "issued_at": None if issued is None else time(issued),
                "chain": step.get("chain", []),
            },
            scope=step.get("scope"),
            at_least=step.get("at_least"),
        )
        allowed = reply.get("allowed")
        if not isinstance(allowed, bool):
            raise DriverError(f"not a verdict: {reply}")
        gravity = fault(step, reply)
        if gravity is not None:
            want = {k: step[k] for k in ("allow", "deny", "observed") if k in step}
            self.complain(gravity, f"check {names}: wanted {want}, got {reply}")
