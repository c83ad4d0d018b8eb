"""Our own guard as a guard under test: ``python -m conformance.reference``.

Clocks and connections come from the kit; everything else is the guard that customers
run: its feed takes each frame, its standing and its lease decide what that proves.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import TYPE_CHECKING, Any, cast

from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.verdict import Policy
from enforcement import Guard, Lapse, Mode
from enforcement.feed import Feed, Link
from enforcement.frames import PART
from enforcement.replica import MalformedError

if TYPE_CHECKING:
    import aiohttp


class DrivenFeed(Feed):
    """The guard's feed, with connections that the kit makes.

    Attributes:
        links: by number of the connection.
    """

    def __init__(self, guard: Guard) -> None:
        """Start with one connection wanted."""
        super().__init__(
            "http://conformance.invalid",
            "none",
            name="conformance",
            standing=guard.standing,
            jitter=lambda: 0.0,
        )
        self.links: dict[int, Link] = {}
        self._links = [Link(succeeds=False)]

    def _spawn(
        self,
        tasks: Any,  # noqa: ARG002 - the kit makes the connections
        session: Any,  # noqa: ARG002 - as above
        link: Link,
        after: float,  # noqa: ARG002 - as above
    ) -> None:
        """Remember that another connection is wanted; the kit offers one."""
        self._links.append(link)

    def connect(self, number: int) -> dict[str, Any] | None:
        """Take a connection, if one is wanted."""
        for link in self._links:
            if link not in self.links.values():
                break
        else:
            return None
        self.links[number] = link
        standing = self._standing
        link.replica = (
            standing.replica.successor() if link.succeeds else standing.begin()
        )
        return self.hello(link)

    async def receive(self, number: int, frame: str | bytes) -> bool:
        """Take a frame; tell whether that ended the connection."""
        link = self.links[number]
        try:
            await self._receive(link, _message(frame))
            session = cast("aiohttp.ClientSession", None)
            self._settle(cast("asyncio.TaskGroup", None), session, link)
        except Exception as error:  # noqa: BLE001 - as the feed's own boundary
            self._standing.fail(link.replica, error)
            self.disconnect(number)
        for other, one in list(self.links.items()):
            if one not in self._links:  # its successor is in force
                del self.links[other]
        return number not in self.links

    def disconnect(self, number: int) -> None:
        """Lose a connection."""
        self.links.pop(number, None)


class Reference:
    """Answers the requests of the kit."""

    def __init__(self) -> None:
        """Wait for a reset."""
        self._clock = self._wall = 0
        self._guard: Guard
        self._feed: DrivenFeed

    def connections(self) -> set[int]:
        """Numbers of the connections that the guard uses."""
        return set(self._feed.links)

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Reply to one request."""
        self._clock, self._wall = request["clock"], request["wall"]
        do = request["do"]
        if do == "reset":
            return self._reset(request["settings"])
        if do == "check":
            return self._check(request)
        feed, number = self._feed, request["connection"]
        if do == "connect":
            return {"hello": feed.connect(number)}
        if do == "ping":
            seq = self._guard.standing.ping()
            return {"ping": {"type": "ping", "seq": seq}}
        if do == "receive":
            part = request.get("bytes")
            frame = request["frame"] if part is None else base64.b64decode(part)
            return {"closed": await feed.receive(number, frame)}
        feed.disconnect(number)
        return {}

    def _reset(self, settings: dict[str, Any]) -> dict[str, Any]:
        self._guard = Guard(
            "http://conformance.invalid",
            "none",
            name="conformance",
            mode=Mode(settings["mode"]),
            policy=Policy(settings["unknown"]),
            lease=settings["lease_ms"] / 1000,
            clock=lambda: self._clock,
            wall_clock=lambda: self._wall,
        )
        self._feed = DrivenFeed(self._guard)
        return {"guard": "rescind-guard (Python)"}

    def _check(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            verdict = self._guard.check(
                _presented(request["presented"]),
                scope=request["scope"],
                at_least=request["at_least"],
            )
        except (ValueError, AttributeError):  # what its caller would have to deny
            return {"allowed": False, "reason": Lapse.UNREADABLE.value}
        return {
            "allowed": verdict.allowed,
            "reason": verdict.reason.value,
            "observed": verdict.observed,
        }


def _presented(shown: dict[str, Any]) -> Any:
    """Read what is presented.

    Raises:
        ValueError: a name in the chain is no identifier.
    """
    if shown["issued_at"] is None and not shown["chain"]:
        return shown["identifiers"]
    names, chain = (
        tuple(map(Identifier.parse, shown[name])) for name in ("identifiers", "chain")
    )
    return Presented(names, shown["issued_at"], chain)


def _message(frame: str | bytes) -> dict[str, Any]:
    if isinstance(frame, bytes):
        return {"type": PART, "bytes": frame}
    try:
        message = json.loads(frame)
    except ValueError as error:
        raise MalformedError(str(error)) from error
    if not isinstance(message, dict):
        raise MalformedError("not an object")
    return message


def main() -> None:
    """Answer line by line until the input ends."""
    reference = Reference()
    with asyncio.Runner() as runner:
        finish = runner.get_loop().run_until_complete
        for line in sys.stdin:
            reply = finish(reference.answer(json.loads(line)))
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
