"""The plugin for LiteLLM in the real proxy, whose keys lie in a table of the test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bench.gateways.litellm import ASKS, proxy
from bench.gateways.model import Hold, serving_model
from tests.integration.serving import running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.serving import Server

# The first run makes an environment for LiteLLM, from the registry.
pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600)]

KEYS = {"sk-planner": "planner-key", "sk-clerk": "clerk-key", "sk-nameless": ""}
TEAM = "litellm.team:logistics"
CHAT = "/v1/chat/completions"


@asynccontextmanager
async def serving(repository: Path, folder: Path) -> AsyncIterator[Server]:
    """Run a server that knows the keys."""
    mapping = repository / "examples" / "mappings" / "litellm-proxy.yaml"
    sources = {"litellm": {"format": "generic", "mapping": str(mapping)}}
    declared = [
        {"identifier": TEAM},
        {"identifier": "litellm.key_alias:planner-key", "parents": [TEAM]},
        {"identifier": "litellm.key_alias:clerk-key"},
    ]
    async with running(folder, sources=sources) as server:
        status, told = await server.post(
            "/v1/adopt", "restorer", {"credentials": declared}
        )
        assert status == 201, told
        yield server


def caller(url: str, key: str) -> aiohttp.ClientSession:
    """Give a client of the proxy."""
    return aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {key}"})


async def asked(web: aiohttp.ClientSession, **more: Any) -> tuple[int, str]:
    """Call the model; give status and body."""
    async with web.post(CHAT, json=ASKS | more) as got:
        return got.status, await got.text()


async def test_a_proxy_stops_the_revoked(repository: Path, tmp_path: Path) -> None:
    """Calls are refused though LiteLLM still knows the key, and a stream ends."""
    async with (
        serving(repository, tmp_path) as server,
        serving_model() as model,
        proxy(tmp_path, model, KEYS, server.url) as litellm,
        caller(litellm.url, "sk-planner") as planner,
        caller(litellm.url, "sk-clerk") as clerk,
        caller(litellm.url, "sk-nameless") as nameless,
    ):
        for each in (planner, clerk):
            assert (await asked(each))[0] == 200
        assert (await asked(nameless))[0] == 403
        async with planner.post(CHAT, json=ASKS | {"stream": True}) as stream:
            assert b"order 1" in await stream.content.readline()
            order = {"identifier": TEAM}
            assert (await server.post("/v1/revocations", "revoker", order))[0] == 201
            rest = (await stream.content.read()).decode()
            assert "rescind: revoked" in rest
            assert "[DONE]" not in rest
        status, said = await asked(planner)
        assert (status, "rescind: revoked" in said) == (401, True)
        assert (await asked(clerk))[0] == 200


async def test_an_answer_that_is_withheld_costs_nobody_the_model(
    repository: Path, tmp_path: Path
) -> None:
    """LiteLLM gives a model a rest whose calls end with 401, 404, 408 or 429."""
    hold = Hold()
    async with (
        serving(repository, tmp_path) as server,
        serving_model(hold) as model,
        proxy(tmp_path, model, KEYS, server.url) as litellm,
        caller(litellm.url, "sk-planner") as planner,
        caller(litellm.url, "sk-clerk") as clerk,
    ):
        under_way = asyncio.create_task(asked(planner))
        await until(lambda: hold.waiting)
        order = {"identifier": TEAM}
        assert (await server.post("/v1/revocations", "revoker", order))[0] == 201
        assert (await asked(planner))[0] == 401
        hold.over.set()
        status, said = await under_way
        assert (status, "rescind: revoked" in said) == (403, True)
        for _ in range(3):
            assert (await asked(clerk))[0] == 200


async def test_a_proxy_without_the_plugin_goes_on(tmp_path: Path) -> None:
    """Which the plugin is for: the row of the key is gone, and the key still works."""
    async with (
        serving_model() as model,
        proxy(tmp_path, model, KEYS, None) as litellm,
        caller(litellm.url, "sk-planner") as planner,
    ):
        assert (await asked(planner))[0] == 200
        await litellm.delete("sk-planner")
        for _ in range(10):
            assert (await asked(planner))[0] == 200
