"""LiteLLM's proxy, with the plugin of examples/gateways/litellm or without."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from bench.kafka_broker import REPOSITORY
from bench.peers.environment import FOLDER, python_of
from bench.side_by_side.litellm_keys import OFFLINE, PINS

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

PATIENCE: Final = 20.0  # seconds
EXAMPLE: Final = REPOSITORY / "examples" / "gateways" / "litellm"
ASKS: Final = {"model": "orders", "messages": [{"role": "user", "content": "orders?"}]}


@define
class LiteLlmProxy:
    """A proxy that runs.

    Attributes:
        url: of its API.
        pid: of its process.
    """

    url: str
    process: Process

    @property
    def pid(self) -> int:
        """Number of its process."""
        return self.process.pid

    async def delete(self, key: str) -> None:
        """Delete a key's row, as another proxy does."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{key}\n".encode())
        await _said(self.process, "deleted")


@asynccontextmanager
async def proxy(
    work: Path, model: str, keys: dict[str, str], rescind: str | None, **settings: Any
) -> AsyncIterator[LiteLlmProxy]:
    """Run a proxy until the context ends.

    Args:
        work: folder for its files.
        model: URL of the model behind it.
        keys: the alias of each key.
        rescind: URL of the server; None for a proxy without the plugin.
        **settings: further variables of its environment.
    """
    config = EXAMPLE / "config.yaml"
    if rescind is None:
        text = config.read_text("utf-8")
        config = work / "plain.yaml"
        config.write_text(text.replace("callbacks: rescind_litellm.handler", "{}"))
    environment = {
        **os.environ,
        **OFFLINE,
        "PYTHONPATH": f"{REPOSITORY}:{EXAMPLE}",
        "LITELLM_KEYS": " ".join(f"{key}={alias}" for key, alias in keys.items()),
        "LITELLM_MASTER_KEY": "sk-master",
        "MODEL_URL": model,
        "MODEL_KEY": "sk-model",
        "RESCIND_URL": rescind or "",
        "RESCIND_GUARD_TOKEN": "guard",
        **settings,
    }
    python = await asyncio.to_thread(python_of, *PINS, folder=FOLDER)
    with (work / "litellm.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            python, "-m", "bench.gateways.litellm_program", str(config),
            cwd=work, env=environment, stdin=PIPE, stdout=PIPE, stderr=log,
        )  # fmt: skip
    try:
        place = (await _said(process, "listening on")).split()[-1]
        yield LiteLlmProxy(place, process)
    finally:
        await ended(process)


async def _said(process: Process, words: str) -> str:
    """Give the next line with some words; LiteLLM says more than we ask for."""
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        if words in line:
            return line.strip()
    raise AssertionError("the proxy ended; see litellm.log")


async def ended(process: Process) -> None:
    """End a process by the end of its input, or by force."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(PATIENCE):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
