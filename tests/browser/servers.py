"""Servers of either engine for the tests of the console, as processes of their own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from tests.browser.world import TOKENS
from tests.integration.fleet import FleetPorts, free_ports, url_of
from tests.integration.forked_program import start
from tests.integration.notifying import variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

DEADLINE: Final = 60.0


@frozen
class Served:
    """A server that answers.

    Attributes:
        api: its URL, that of ingress on Kafka.
        feed: where guards connect.
        console: URL of the process with the console.
        folder: with the logs of its processes.
    """

    api: str
    feed: str
    console: str
    folder: Path


def tokens() -> list[dict[str, Any]]:
    """Tokens of the settings; each is its own name."""
    return [
        {
            "name": name,
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
            "roles": roles,
            "authority": name if roles == ["ingest"] else None,
            "guards": ["*"] if roles == ["guard"] else [],
        }
        for name, roles in TOKENS.items()
    ]


@contextmanager
def embedded(folder: Path, settings: dict[str, Any]) -> Iterator[Served]:
    """Run ``rescind serve`` until the context ends."""
    with _role(folder, "serve", settings, {}) as url:
        yield Served(url, url, url, folder)


@contextmanager
def fleet(
    folder: Path, settings: dict[str, Any], kafka: KafkaSettings
) -> Iterator[Served]:
    """Run each role on Kafka until the context ends; the topics must be there."""
    ports, reach = FleetPorts.free(1), variables(kafka)
    (relay,) = free_ports(1)
    given = settings | {"peers": ports.peers()}
    roles = {
        "worker": ports.workers[0], "notify": ports.notify, "ingress": ports.ingress,
        "relay": relay,
    }  # fmt: skip
    with ExitStack() as stack:
        for role, port in roles.items():
            stack.enter_context(_role(folder, role, given, reach, port))
        api = url_of(ports.ingress)
        pages = _role(folder, "console", {}, {}, 0, "--url", api)
        yield Served(api, url_of(relay), stack.enter_context(pages), folder)


@contextmanager
def _role(
    folder: Path,
    role: str,
    settings: dict[str, Any],
    reach: dict[str, str],
    port: int = 0,
    *more: str,
) -> Iterator[str]:
    """Run a command of the program until the context ends; it must end with 0."""
    ready, config, log = (folder / f"{role}.{end}" for end in ("url", "json", "log"))
    given = {
        "tokens": tokens(), "data_dir": str(folder / role), "ready_file": str(ready),
        "listen": {"host": "127.0.0.1", "port": port}, **settings,
    }  # fmt: skip
    config.write_text(json.dumps(given), "utf-8")
    own = {k: v for k, v in os.environ.items() if not k.startswith("RESCIND_")}
    with log.open("a") as output:
        process = start(
            role, "--config", config, *_named(role, folder), *more,
            cwd=folder, env=own | reach, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        end = time.monotonic() + DEADLINE
        while not (ready.exists() and ready.read_text("utf-8").endswith("\n")):
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < end, log.read_text("utf-8")
            time.sleep(0.02)
        yield ready.read_text("utf-8").strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0, log.read_text("utf-8")
    finally:
        process.kill()
        process.wait(DEADLINE)


def _named(role: str, folder: Path) -> list[str]:
    """Arguments that a role on Kafka needs besides."""
    if role in {"worker", "notify"}:
        return ["--name", role, "--data-dir", str(folder / f"{role}-data")]
    return ["--name", role] if role == "ingress" else []
