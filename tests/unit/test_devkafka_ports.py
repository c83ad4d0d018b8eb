"""Ports of a broker to try: never one that was chosen for something else."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from streams.devkafka.launch import Ports

pytestmark = pytest.mark.unit


def test_a_port_that_was_chosen_is_not_reserved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel may give it, since nobody listens on it yet."""
    given = iter([9092, 9092, 4711])

    class Bound:
        """A socket that is bound to the next of these."""

        def __init__(self) -> None:
            self.port = next(given)

        def bind(self, _: Any) -> None:
            """Take the port."""

        def setsockopt(self, *_: Any) -> None:
            """Change nothing."""

        def getsockname(self) -> tuple[str, int]:
            """Give the port."""
            return "127.0.0.1", self.port

        def close(self) -> None:
            """Give it back."""

    monkeypatch.setattr(socket, "socket", Bound)
    ports = Ports()
    assert ports.reserve([9092]) == 4711
    ports.close()
