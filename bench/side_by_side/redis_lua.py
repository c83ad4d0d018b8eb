"""Redis: a key a credential, a set of children each, and a script that walks them."""

from __future__ import annotations

import itertools
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bench.peers.redis_server import redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.side_by_side.question import Tree

BATCH: Final = 1_000
END_ALL: Final = """
local open = {ARGV[1]}
local ended = 0
while #open > 0 do
  local name = table.remove(open)
  ended = ended + redis.call('DEL', 'c:' .. name)
  for _, child in ipairs(redis.call('SMEMBERS', 'k:' .. name)) do
    open[#open + 1] = child
  end
  redis.call('DEL', 'k:' .. name)
end
return ended
"""


class _Connection:
    """Words in, a line or a bulk text out."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def call(self, *words: str) -> bytes:
        self._socket.sendall(_written(words))
        return self._read()

    def all(self, commands: Sequence[Sequence[str]]) -> None:
        self._socket.sendall(b"".join(map(_written, commands)))
        for _ in commands:
            self._read()

    def _read(self) -> bytes:
        line = self._file.readline()
        if line.startswith(b"-"):
            raise AssertionError(line.decode())
        if line.startswith(b"$"):
            return self._file.read(int(line[1:]) + 2)[:-2]
        return line[1:-2]


def _written(words: Sequence[str]) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        text = word.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(text), text))
    return b"".join(parts)


class RedisLua:
    """Asked by EXISTS; a revocation is one EVAL, during which nobody else is served."""

    def __init__(self, port: int, pid: int) -> None:
        """Connect twice: to ask and to revoke."""
        self.pids = self.holds = (pid,)
        self._asking, self._revoking = _Connection(port), _Connection(port)
        told = self._asking.call("INFO", "server").decode()
        self.version = told.partition("redis_version:")[2].partition("\r")[0]

    def declare(self, tree: Tree) -> None:
        """Set its keys."""
        commands = [
            command
            for name, parent in tree.pairs()
            for command in (
                ("SET", f"c:{name}", "1"),
                *([("SADD", f"k:{parent}", name)] if parent else []),
            )
        ]
        rest = iter(commands)
        while batch := list(itertools.islice(rest, BATCH)):
            self._asking.all(batch)

    def allows(self, name: str) -> bool:
        """Ask for the key."""
        return self._asking.call("EXISTS", f"c:{name}") == b"1"

    def revoke(self, tree: Tree) -> None:
        """Delete everything below the root, and the root."""
        ended = self._revoking.call("EVAL", END_ALL, "0", tree.root)
        assert int(ended) == tree.count, ended

    def rest(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


@contextmanager
def opened(folder: Path, work: Path, **_: Any) -> Iterator[RedisLua]:
    """Run a Redis that writes no file."""
    del folder  # it has a place of its own
    with redis(work) as server:
        yield RedisLua(server.port, server.pid)
