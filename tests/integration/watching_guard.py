"""A guard in a process of its own that checks what it is told to, all the time.

Commands come as JSON lines: ``{"watch": [identifiers]}`` begins to check them,
``{"report": true}`` asks for the time of the last check that allowed each one: on
CLOCK_BOOTTIME, which all processes of a machine share, taken before the check.
"""

from __future__ import annotations

import asyncio
import json
import sys

from enforcement import Guard
from enforcement.clocks import boottime

AT_ONCE = 200


async def main() -> None:
    """Guard until standard input ends."""
    url, name, lease = sys.argv[1], sys.argv[2], float(sys.argv[3])
    allowed: dict[str, int] = {}
    watched: dict[str, None] = {}
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

    async def look() -> None:
        while True:
            for number, each in enumerate(list(watched)):
                at = boottime()
                if guard.check(each).allowed:
                    allowed[each] = at
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(0.001)

    async with (
        Guard(url, "guard", name=name, lease=lease) as guard,
        asyncio.TaskGroup() as tasks,
    ):
        looking = tasks.create_task(look())
        while line := await lines.readline():
            command = json.loads(line)
            if "watch" in command:
                watched.clear()
                watched.update(dict.fromkeys(command["watch"]))
            sys.stdout.write(json.dumps(allowed) + "\n")
            sys.stdout.flush()
            if "watch" in command:
                allowed.clear()
        looking.cancel()


asyncio.run(main())
