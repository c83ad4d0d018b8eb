"""A guard in a process of its own that checks what it is told to, all the time.

Commands come as JSON lines: ``{"watch": [identifiers]}`` begins to check them,
``{"report": true}`` asks for the time of the last check that allowed each one: on
CLOCK_BOOTTIME, which all processes of a machine share, taken before the check.
``{"deaf_until": FILE}`` reads nothing of the feed until that file is there, and then
checks each once more.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from enforcement import Guard
from enforcement.clocks import boottime

AT_ONCE = 200


class Checks:
    """What is checked, and when each was last allowed (ns)."""

    def __init__(self, guard: Guard) -> None:
        """Begin with nothing."""
        self._guard = guard
        self.watched: list[str] = []
        self.allowed: dict[str, int] = {}

    def look(self, each: str) -> None:
        """Check one."""
        at = boottime()
        if self._guard.check(each).allowed:
            self.allowed[each] = at

    async def all_along(self) -> None:
        """Check all, again and again."""
        while True:
            for number, each in enumerate(self.watched):
                self.look(each)
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(0.001)

    def hold_the_loop(self, until: Path) -> None:
        """Let nobody else run until a file is there, and check all once more."""
        say({})
        while not until.exists():
            time.sleep(0.01)
        for each in self.watched:
            self.look(each)


def say(allowed: dict[str, int]) -> None:
    """Answer a command."""
    sys.stdout.write(json.dumps(allowed) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Guard until standard input ends."""
    url, name, lease = sys.argv[1], sys.argv[2], float(sys.argv[3])
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with (
        Guard(url, "guard", name=name, lease=lease) as guard,
        asyncio.TaskGroup() as tasks,
    ):
        checks = Checks(guard)
        looking = tasks.create_task(checks.all_along())
        while line := await lines.readline():
            command = json.loads(line)
            if "watch" in command:
                checks.watched = command["watch"]
            if "deaf_until" in command:
                checks.hold_the_loop(Path(command["deaf_until"]))
            say(checks.allowed)
            if "watch" in command:
                checks.allowed.clear()
        looking.cancel()


asyncio.run(main())
