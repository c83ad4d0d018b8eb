"""Start a guard from tables: what the suite sends as snapshots goes out as one table.

The guard's hello must say that it reads tables; one that does not gets facts. What no
server would send as a snapshot (half of one, one of two logs, what is no fact) goes out
as it is written.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import from_plain
from agents_registry.identifiers import VOCABULARY, NodeClass
from agents_registry.registry import Registry
from agents_registry.table_form import VERSION, pack, version_of

if TYPE_CHECKING:
    from conformance.drivers import Driver

PART: Final = 1000  # bytes of a frame


class TableDriver:
    """Drives a guard as another driver does, with tables in place of snapshots."""

    def __init__(self, driver: Driver) -> None:
        """Stand before a driver."""
        self._driver = driver
        self._reads = False
        self._chunks: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Pass a request on, or hold back the chunk of a snapshot in it."""
        do = request["do"]
        if do == "receive" and self._reads and self._is_chunk(request["frame"]):
            message, _ = self._chunks[-1]
            self._chunks[-1] = message, request
            return {"closed": False} if message.get("more") is True else self._whole()
        if do in {"check", "receive", "ping", "disconnect"}:
            self._as_they_are()
        reply = self._driver.ask(request)
        if do == "connect":
            self._chunks.clear()
            versions = (reply.get("hello") or {}).get("tables")
            self._versions = versions if isinstance(versions, list) else []
            self._reads = VERSION in self._versions
        return reply

    def _is_chunk(self, frame: str) -> bool:
        """Take a chunk of a snapshot up; tell whether it is one."""
        try:
            message = json.loads(frame)
        except ValueError:
            return False
        found = isinstance(message, dict) and message.get("type") == "snapshot"
        if found:
            self._chunks.append((message, {}))
        return found

    def _as_they_are(self) -> dict[str, Any]:
        """Send the chunks that were held back, and what comes after them."""
        self._reads = self._reads and not self._chunks
        reply: dict[str, Any] = {"closed": False}
        chunks, self._chunks = self._chunks, []
        for _, request in chunks:
            if not reply.get("closed"):
                reply = self._driver.ask(request)
        return reply

    def _whole(self) -> dict[str, Any]:
        messages = [message for message, _ in self._chunks]
        last, request = self._chunks[-1]
        try:
            registry = _table(messages)
        except (AttributeError, LookupError, TypeError, ValueError):
            return self._as_they_are()
        plain = registry.dump()
        version = version_of(plain)
        if version not in self._versions:
            return self._as_they_are()
        self._chunks.clear()
        sections, pieces = pack(plain, lambda of: json.dumps(of).encode())
        head = {
            name: of for name, of in last.items() if name not in {"facts", "more"}
        } | {"type": "table", "version": version, "sections": sections}
        reply = self._driver.ask({**request, "frame": json.dumps(head)})
        content = b"".join(pieces)
        rest = {name: of for name, of in request.items() if name != "frame"}
        for start in range(0, len(content), PART):
            if not reply.get("closed"):
                part = base64.b64encode(content[start : start + PART]).decode()
                reply = self._driver.ask({**rest, "bytes": part})
        return reply


def _table(messages: list[dict[str, Any]]) -> Registry:
    """Table of the chunks of a snapshot.

    Raises:
        ValueError: they are none of one log.
        AttributeError, LookupError, TypeError: as above.
    """
    if len({message["genesis"] for message in messages}) != 1:
        raise ValueError("chunks of two logs")
    if type(messages[-1]["offset"]) is not int or messages[-1]["more"] is not False:
        raise ValueError("no end")
    told = messages[0]["vocabulary"]
    classes = {kind: NodeClass(of) for kind, of in told.items()} if told else VOCABULARY
    facts = [from_plain(fact) for message in messages for fact in message["facts"]]
    return Registry.build(facts, classes)
